"""Runs tests on a copy of the package that holds a change: in a process that is warm, or in one of its own."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.mutation.reach import file_of

ROOT = Path(__file__).resolve().parents[2]
BITS = "tests/verify/test_verify_csr_and_certificates.py::test_no_changed_bit_outside_of_what_is_signed_passes"
SLOW = ("--ignore=tests/verify/test_verify_fuzz.py", f"--deselect={BITS}", "-m", "not qemu")
"""Left out: fuzzing, and every bit of twenty certificates, which take longer than all the rest."""
LIMIT = 600.0  # seconds for one change's tests
HANG = 200  # seconds without an end of the test that runs: five times what it may take of CPU time


def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


@dataclass(frozen=True)
class Outcome:
    """What the tests of one change came to."""

    killed: bool
    by: str = ""
    """The test that noticed it; empty when the tests could not even be collected."""
    tests: int = 0
    """How many reach its function."""
    skipped: int = 0
    left: int = 0
    """How many did not run, since time was up."""

    @property
    def why(self) -> str:
        """Why nothing was noticed."""
        if not self.tests:
            return "no test reaches it"
        if self.skipped == self.tests:
            return f"not measured: all {self.tests} tests that reach it are skipped"
        words = [f"{self.tests} tests reach it"]
        words += [f"{self.skipped} are skipped"] if self.skipped else []
        words += [f"not measured with {self.left}, time was up"] if self.left else []
        return ", ".join(words)


def environment_of(copy: Path) -> dict[str, str]:
    """What the tests of a copy see; what Hypothesis keeps goes with the copy."""
    return {
        **os.environ,
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(copy / "hypothesis"),
    }


def _command(plugin: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        f"benchmarks.mutation.{plugin}",
        *SLOW,
    ]


def run_pytest(
    environment: Mapping[str, str], files: Iterable[str], limit: float, *words: str, say: bool = False
) -> int:
    """Exit code of the tests; 1: a test failed, or they did not end."""
    try:
        done = subprocess.run(
            [*_command("reach"), *words, *files],
            capture_output=True, text=True, timeout=limit, check=False, cwd=ROOT, env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 1
    if say and done.returncode:
        print(done.stdout[-4000:], done.stderr[-4000:])
    return done.returncode


def reach_of(copy: Path, work: Path, tests: Sequence[str]) -> Path:
    """Run these tests once, which must pass, and see what each of them reaches; the file that holds it."""
    children = work / "children"
    children.mkdir(exist_ok=True)
    result = work / "reach.json"
    environment = {**environment_of(copy), "MUTATION_RECORD": str(result), "MUTATION_REACHED": str(children)}
    if run_pytest(environment, tests, 4 * LIMIT, say=True) not in {0, 5}:  # 5: all are left out
        raise SystemExit("the tests fail without a change: nothing can be said")
    return result


def run_cold(copy: Path, order: Sequence[str], first: int = 2) -> Outcome:
    """The tests in a process of their own, which loads the changed package; before, those of the first files alone."""
    files = list(dict.fromkeys(map(file_of, order)))[:first]
    begin = [test for test in order if file_of(test) in files]
    found = _run_cold(copy, begin)
    rest = [test for test in order if test not in set(begin)]
    if found.killed or not rest:
        return replace(found, tests=len(order))
    then = _run_cold(copy, rest)
    return replace(then, tests=len(order), skipped=found.skipped + then.skipped)


def _run_cold(copy: Path, order: Sequence[str]) -> Outcome:
    choice, result = copy / "choice", copy / "result"
    choice.write_text("\n".join(order))
    result.unlink(missing_ok=True)
    environment = {**environment_of(copy), "MUTATION_CHOICE": str(choice), "MUTATION_RESULT": str(result)}
    code = run_pytest(environment, dict.fromkeys(map(file_of, order)), LIMIT, "-x")
    outcomes = json.loads(result.read_text()) if result.exists() else {}
    by = next((test for test, outcome in outcomes.items() if outcome == "failed"), "")
    skipped = sum(outcome == "skipped" for outcome in outcomes.values())
    return Outcome(code != 0, by, len(order), skipped)


def loads(copy: Path, order: Sequence[str]) -> bool:
    """Whether the tests can be loaded."""
    return not run_pytest(environment_of(copy), dict.fromkeys(map(file_of, order)), LIMIT, "--collect-only")


class WarmTests:
    """A process that has loaded all tests, with the package of one copy, and forks for each change (server.py).

    Begun while the copy holds no change.
    """

    def __init__(self, copy: Path, files: Sequence[str]) -> None:
        self._copy = copy
        self._text = b""
        self.why = ""
        """Text of the last failure."""
        self._passing: set[str] = set()
        """Tests that are known to pass here without a change."""
        theirs, self._requests = os.pipe()
        self._answers, ours = os.pipe()
        environment = {**environment_of(copy), "MUTATION_SERVER": f"{theirs} {ours}"}
        with (copy / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*_command("server"), *files],
                pass_fds=(theirs, ours), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=ROOT, env=environment,
            )  # fmt: skip
        os.close(theirs)
        os.close(ours)
        if "ready" not in (self._answer(LIMIT) or {}):
            raise SystemExit("the tests cannot be loaded without a change:\n" + (self._copy / "server.log").read_text())

    def _answer(self, seconds: float) -> dict[str, Any] | None:
        """The next line; None when it does not come."""
        end = time.monotonic() + seconds
        while b"\n" not in self._text:
            if not select.select([self._answers], [], [], max(0.0, end - time.monotonic()))[0]:
                return None
            got = os.read(self._answers, 1 << 16)
            if not got:
                raise SystemExit(
                    "the process of the tests has ended:\n" + (self._copy / "server.log").read_text()[-4000:]
                )
            self._text += got
        line, _, self._text = self._text.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def run(self, order: Sequence[str], limit: float, file: Path | None = None, right: bytes = b"") -> Outcome | None:
        """Run the tests with the change that a file of the copy holds; `right` is what it held.

        Args:
            order: node ids.
            limit: seconds of CPU time after which no further test is begun.
            file: below the package; None: no change.

        Returns:
            None when the change cannot be put into what is loaded.
        """
        request: dict[str, object] = {"file": "", "tests": list(order), "work": str(self._copy / "work")}
        if file is not None:
            (self._copy / "right").write_bytes(right)
            request |= {"file": str(self._copy / "tfm_harness" / file), "right": str(self._copy / "right")}
        with os.fdopen(os.dup(self._requests), "wb") as stream:
            stream.write(json.dumps(request).encode() + b"\n")
        return self._followed(order, limit)

    def _followed(self, order: Sequence[str], limit: float) -> Outcome | None:
        child, test, failed = 0, "", ""
        ran = skipped = 0
        cannot = cut = False
        while "end" not in (answer := self._answer(HANG) or {"hangs": True}):
            child = answer.get("child", child)
            test = answer.get("began", test)
            cannot = cannot or "cannot" in answer
            if "hangs" in answer or (cut := cut or limit < 0):
                _kill(child)
            self.why = answer.get("why", self.why)
            if outcome := answer.get("outcome"):
                ran += 1
                skipped += outcome == "skipped"
                failed = test if outcome == "failed" else failed
                test = ""
                limit -= answer["cpu"]
        if cannot:
            return None
        failed = failed or ("" if cut else test)  # the process ended in it
        return Outcome(bool(failed), failed, len(order), skipped, 0 if failed else len(order) - ran)

    def passes(self, test: str) -> bool:
        """Whether a test passes here without a change."""
        if test not in self._passing:
            found = self.run([test], LIMIT)
            if found is not None and not found.killed:
                self._passing.add(test)
        return test in self._passing

    def close(self) -> None:
        """End the process."""
        os.close(self._requests)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()
        os.close(self._answers)
