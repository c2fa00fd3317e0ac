"""Mutation score of the harness: of small changes of verify, latency and parity's comparison, how many do tests notice?

Each change is made in a copy of the package, and the tests that reach the changed function run until the first failure
(reach.py). Nothing in the working tree is touched. Survivors that are known to change nothing stand in equivalent.yaml,
with the reason.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import yaml

from benchmarks.mutation.operators import Mutant, all_mutants, numbered, sample
from benchmarks.mutation.reach import Reach, file_of, function_at, mark_copy
from benchmarks.mutation.runs import LIMIT, ROOT, SLOW, Outcome, WarmTests, loads, reach_of, run_cold

HERE = Path(__file__).resolve().parent
PACKAGE = ROOT / "harness" / "tfm_harness"
ROOMS = {
    "verify": ("tests/verify", "tests/cli/test_verify.py"),
    "latency": ("tests/latency",),
    "parity": ("tests/parity/test_compare.py", "tests/parity/test_quantise.py"),
}
"""Folders of the package, and the tests that stand for them."""
COMPARISON = ("compare.py", "comparison.py", "metrics.py", "quantise.py", "tolerance.py", "vacuity.py")
GOAL = 90.0
NOTHING: dict[str, object] = {"seconds": {}, "by test": {}, "by file": {}, "at start": [], "loaded": []}
"""The record of a file all of whose tests are left out."""


@dataclass(frozen=True)
class Verdict:
    """What became of one mutant."""

    mutant: Mutant
    outcome: Outcome
    seconds: float = 0.0

    @property
    def killed(self) -> bool:
        """Whether a test noticed it."""
        return self.outcome.killed


class Kept:
    """Verdicts of earlier runs, one JSON line each.

    Kills hold as long as the file that was changed stays the same, the others while the tests stay the same as well.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path is not None and path.exists() else []
        self._entries = {entry["key"]: entry for entry in map(json.loads, lines)}

    def verdict(self, mutant: Mutant, order: Sequence[str]) -> Verdict | None:
        """The verdict of an earlier run; None where there is none, or it does not hold any more."""
        entry = self._entries.get(self._key(mutant))
        if entry is None or not (entry["by"] or entry["tests"] == tests_digest(order)):
            return None
        return Verdict(mutant, Outcome(entry["killed"], entry["by"], len(order), entry["skipped"], entry["left"]))

    def add(self, verdict: Verdict, order: Sequence[str]) -> None:
        """Keep a verdict."""
        if self._path is None:
            return
        outcome = verdict.outcome
        entry = {
            "key": self._key(verdict.mutant), "killed": outcome.killed, "by": outcome.by, "skipped": outcome.skipped,
            "left": outcome.left, "change": verdict.mutant.change, "tests": tests_digest(order),
        }  # fmt: skip
        with self._path.open("a") as stream:
            stream.write(json.dumps(entry) + "\n")

    def reach(self, record: Callable[[Sequence[str]], Path]) -> Reach:
        """Which tests reach what: as recorded before, where neither the file of the tests nor code have changed since.

        Some files of tests are recorded at a time, so that a recording that was cut off can go on.
        """
        code = b"".join(path.read_bytes() for room in ROOMS for path in files_of(room))
        names = {test: hashlib.sha256(code + (ROOT / test).read_bytes()).hexdigest()[:16] for test in test_files()}
        parts: dict[str, str] = {}
        stored = self._path.with_suffix(".reach") if self._path is not None else None
        if stored is not None:
            stored.mkdir(exist_ok=True)
            parts = {test: (stored / name).read_text() for test, name in names.items() if (stored / name).exists()}
        for tests in batched([test for test in names if test not in parts]):
            found = json.loads(record(tests).read_text())
            for test in tests:
                parts[test] = json.dumps(found.get(test, NOTHING))
                if stored is not None:
                    (stored / names[test]).write_text(parts[test])
        return Reach.read(parts.values())

    @staticmethod
    def _key(mutant: Mutant) -> str:
        return f"{hashlib.sha256((PACKAGE / mutant.file).read_bytes()).hexdigest()[:16]} {mutant.name}"


def tests_digest(order: Sequence[str]) -> str:
    """Names these tests and the texts that they are in."""
    text = [
        *sorted(order),
        *((ROOT / file).read_text() for file in sorted({file_of(test) for test in order})),
    ]
    return hashlib.sha256("\n".join(text).encode()).hexdigest()[:16]


def files_of(room: str) -> list[Path]:
    """The files of a room that are changed; tables and catalogues hold no decisions."""
    found = sorted((PACKAGE / room).rglob("*.py"))
    if room == "parity":
        found = [path for path in found if path.name in COMPARISON]
    return [path for path in found if path.name not in {"__init__.py", "catalogue.py", "published.py"}]


def room_of(file: Path) -> str:
    """The room that a file below the package is in."""
    return file.parts[0]


def make_copy(folder: Path) -> Path:
    """A copy of the package; the folder to put on PYTHONPATH."""
    shutil.copytree(PACKAGE, folder / "tfm_harness", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_files() -> list[str]:
    """The files of tests of all rooms."""
    found: list[str] = []
    for tests in ROOMS.values():
        for test in tests:
            paths = sorted((ROOT / test).rglob("test_*.py")) if (ROOT / test).is_dir() else [ROOT / test]
            found += [path.relative_to(ROOT).as_posix() for path in paths]
    return [test for test in found if f"--ignore={test}" not in SLOW]


def batched(files: Sequence[str], size: int = 6) -> Iterator[Sequence[str]]:
    """Some at a time."""
    for start in range(0, len(files), size):
        yield files[start : start + size]


def function_of(mutant: Mutant) -> str:
    """The function that is changed."""
    return function_at((PACKAGE / mutant.file).read_bytes(), mutant.file.as_posix(), mutant.line)


def judged(mutant: Mutant, copy: Path, warm: WarmTests, reach: Reach, likely: Sequence[str], limit: float) -> Verdict:
    """Make the change in the copy, run the tests, take it back."""
    function = function_of(mutant)
    order = reach.order(function, likely)
    if not order:
        return Verdict(mutant, Outcome(killed=False))
    began = time.monotonic()
    place = copy / "tfm_harness" / mutant.file
    right = place.read_bytes()
    place.write_bytes(mutant.text(right))
    outcome = None
    try:
        if function not in reach.loaded:
            outcome = warm.run(order, limit, mutant.file, right)
        if outcome is None:
            outcome = run_cold(copy, reach.by_file(function, likely))
    finally:
        place.write_bytes(right)
    if outcome.by and not warm.passes(outcome.by):
        raise SystemExit(f"{outcome.by} fails without a change: nothing can be said\n{warm.why}")
    if outcome.killed and not outcome.by and not loads(copy, order):
        raise SystemExit("the tests cannot be loaded without a change: nothing can be said")
    return Verdict(mutant, outcome, time.monotonic() - began)


def report(verdicts: list[Verdict]) -> bool:
    """Print scores and survivors; true when the goal is met in every room."""
    rooms: dict[str, list[Verdict]] = defaultdict(list)
    for one in verdicts:
        rooms[room_of(one.mutant.file)].append(one)
    good = bool(verdicts)  # nothing measured is no score
    print(f"\n{'room':<12} {'mutants':>7} {'killed':>7} {'score':>7}")
    for room, found in sorted(rooms.items()):
        killed = sum(one.killed for one in found)
        score = 100 * killed / len(found)
        good = good and score >= GOAL
        print(f"{room:<12} {len(found):>7} {killed:>7} {score:>6.1f} %{'  <- below the goal' if score < GOAL else ''}")
    for one in sorted(verdicts, key=lambda one: (one.mutant.file, one.mutant.line)):
        if not one.killed:
            where = f"{one.mutant.file}:{one.mutant.line}"
            print(f"SURVIVED {where} {one.mutant.operator}: {one.mutant.change[:150]} ({one.outcome.why})")
    return good


@dataclass(frozen=True)
class Equivalent:
    """A change that changes nothing, and why; `which`: of equal ones, by number."""

    file: str
    line: str
    change: str
    reason: str
    which: tuple[int, ...] = (1,)

    def found_in(self, mutants: list[Mutant]) -> list[Mutant]:
        """The changes that it names."""
        number = numbered(mutants)
        here = [
            one for one in mutants if (str(one.file), one.source, one.change) == (self.file, self.line, self.change)
        ]
        return [one for one in here if number[one] in self.which]


def equivalents() -> list[Equivalent]:
    """Those that are known."""
    return [Equivalent(**entry) for entry in yaml.safe_load((HERE / "equivalent.yaml").read_text())]


def every_change() -> list[Mutant]:
    """All changes of the three rooms."""
    return all_mutants(PACKAGE, [path for room in ROOMS for path in files_of(room)])


def chosen_of(mutants: list[Mutant], count: int, seed: int, part: slice = slice(None)) -> list[Mutant]:
    """A part of a sample, without what is no Python and what is known to change nothing: those keep their places."""
    known = {one for entry in equivalents() for one in entry.found_in(mutants)}
    chosen = [one for one in sample(mutants, count, seed)[part] if one not in known]
    return [one for one in chosen if one.compiles((PACKAGE / one.file).read_bytes())]


def main() -> int:
    """Command line; 0 when the goal is met in every room."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=300, help="how many mutants (default: 300; 0: all)")
    parser.add_argument("--seed", type=int, default=1, help="another seed takes another sample")
    parser.add_argument("--jobs", type=int, default=2, help="test runs at a time")
    parser.add_argument("--minutes", type=float, default=0, help="stop taking up new mutants after so long")
    parser.add_argument("--results", type=Path, help="keep kills here, and take those that are there as they are")
    parser.add_argument("--only", default="", help="only files whose path below the package begins so")
    parser.add_argument("--part", default="1/1", help="2/3: the second of three parts of the sample")
    parser.add_argument("--limit", type=float, default=LIMIT, help="most seconds of CPU time for one mutant's tests")
    args = parser.parse_args()
    mutants = [one for one in every_change() if str(one.file).startswith(args.only)]
    part, parts = map(int, args.part.split("/"))
    chosen = chosen_of(mutants, args.sample or len(mutants), args.seed, slice(part - 1, None, parts))
    files = len({one.file for one in mutants})
    print(f"{len(mutants)} changes of {files} files; seed {args.seed}: {len(chosen)} that may change something")
    end = time.monotonic() + args.minutes * 60 if args.minutes else float("inf")
    kept = Kept(args.results)
    verdicts: list[Verdict] = []
    lock = threading.Lock()
    noticed: dict[Path, Counter[str]] = defaultdict(Counter)
    (ROOT / "build").mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="mutation-", dir=ROOT / "build"))
    free: SimpleQueue[tuple[Path, WarmTests]] = SimpleQueue()

    def one(mutant: Mutant) -> None:
        if time.monotonic() > end:
            return
        with lock:
            likely = [test for test, _times in noticed[mutant.file].most_common(10)]
        copy, warm = free.get()
        try:
            found = judged(mutant, copy, warm, reach, likely, args.limit)
        finally:
            free.put((copy, warm))
        with lock:
            verdicts.append(found)
            noticed[mutant.file][found.outcome.by] += 1
            kept.add(found, reach.order(function_of(mutant)))
            word = "killed" if found.killed else "survived"
            print(f"{word:<9} {mutant.file}:{mutant.line} {mutant.change[:80]} ({found.seconds:.1f} s)", flush=True)

    try:
        right = make_copy(work / "marked")
        mark_copy(right / "tfm_harness", [path.relative_to(PACKAGE) for room in ROOMS for path in files_of(room)])
        reach = kept.reach(lambda tests: reach_of(right, work, tests))
        verdicts += [found for one in chosen if (found := kept.verdict(one, reach.order(function_of(one)))) is not None]
        for found in verdicts:
            noticed[found.mutant.file][found.outcome.by] += 1
        done = {found.mutant for found in verdicts}
        for number in range(args.jobs):
            copy = make_copy(work / str(number))
            free.put((copy, WarmTests(copy, test_files())))
        with ThreadPoolExecutor(args.jobs) as pool:
            list(pool.map(one, [mutant for mutant in chosen if mutant not in done]))
    finally:
        while not free.empty():
            free.get()[1].close()
        shutil.rmtree(work, ignore_errors=True)
    if len(verdicts) < len(chosen):
        print(f"time is up: {len(verdicts)} of {len(chosen)} were run")
    return 0 if report(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
