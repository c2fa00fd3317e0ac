"""Proof that a pass means something: every faulty build must be caught, by the check that claims to.

Builds the reference firmware right and with every patch of mutants/, runs the suites on each under QEMU, and prints the
matrix of mutants by suites. Fails when a mutant survives, when only other checks than the claimed one see it, when
patches and mutants.yaml disagree, or when the right build fails anything. Mutants that no suite can see in QEMU
(`unseen`) and those whose check is not written yet (`check: pending`) are built, listed, and run only when named.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from tfm_harness.plugin.record import SUITES

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CLEAN = "NONE"
BUILD_LIMIT = 900  # seconds; against hanging, not against a busy machine
RUN_LIMIT = 1800
SLOW = frozenset({"boot", "isolation", "parity", "update"})
"""Suites that take most of the time."""


@dataclass(frozen=True)
class Claim:
    """What mutants.yaml says about a mutant."""

    name: str
    fault: str
    suite: str
    check: str
    names: str = ""  # what a failed check of that suite must give as the place: the operator, the phase
    options: tuple[str, ...] = ()  # of this run's pytest
    unseen: str = ""  # why no suite sees it in QEMU
    host_test: str = ""  # what sees it all the same

    @property
    def not_run(self) -> str:
        """Why the suites are not held against this mutant; empty: they are."""
        return f"not to be seen in QEMU: {self.unseen}" if self.unseen else "" if self.check else "no check sees it yet"


@dataclass
class Outcome:
    """What happened to one build. `failed` holds the failed checks by suite; `errors` what the bench could not do."""

    name: str
    seconds: float = 0.0
    failed: dict[str, set[str]] = field(default_factory=dict)
    places: dict[str, set[str]] = field(default_factory=dict)  # by suite: where the failed checks point
    passed: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    broken: str = ""


def claims() -> dict[str, Claim]:
    """The claims; they must name exactly the patches of mutants/."""
    folder = HERE / "mutants"
    said = yaml.safe_load((folder / "mutants.yaml").read_text())
    known = {path.stem for path in folder.glob("*.patch")}
    if set(said) != known:
        sys.exit(f"mutants.yaml and the patches disagree about {', '.join(sorted(set(said) ^ known))}")
    keys = {"fault", "suite", "check", "names", "options", "unseen", "host_test"}
    found = {}
    for name, entry in said.items():
        wrong = (
            set(entry) - keys
            or {"fault"} - set(entry)
            or (set() if "unseen" in entry else {"suite", "check"} - set(entry))
        )
        if wrong:
            sys.exit(f"mutants.yaml: {name}: {', '.join(sorted(wrong))} missing or not known")
        check = "" if entry.get("check") == "pending" else entry.get("check", "")
        options = tuple(entry.get("options", ()))
        found[name] = Claim(
            name,
            entry["fault"],
            entry.get("suite", ""),
            check,
            entry.get("names", ""),
            options,
            entry.get("unseen", ""),
            entry.get("host_test", ""),
        )
    return found


def build_and_run(
    name: str, work: Path, suites: list[str], *, few_vectors: bool, options: tuple[str, ...] = ()
) -> Outcome:
    """Build one firmware and run the suites on it."""
    began = time.monotonic()
    outcome = Outcome(name)
    folder = work / name
    images = folder / "out"
    make = ["make", "-C", str(HERE), f"OUT={images}", f"PYTHON={sys.executable}"]
    if name != CLEAN:
        make.append(f"MUTANT={name}")
    try:
        built = subprocess.run(make, capture_output=True, text=True, timeout=BUILD_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        outcome.broken = f"not built within {BUILD_LIMIT} s"
        return outcome
    if built.returncode:
        outcome.broken = "does not build:\n" + "\n".join((built.stdout + built.stderr).splitlines()[-15:])
        return outcome
    description = write_build(folder, images, few_vectors=few_vectors)
    run = folder / "run"
    command = [sys.executable, "-m", "tfm_harness.cli.main", "run", *suites, "--target", "qemu-an547"]
    command += ["--build", str(description), "--run-dir", str(run), "--", "-q", "-p", "no:cacheprovider", *options]
    environment = dict(os.environ, TFM_HARNESS_STATE_DIR=str(folder / "state"), PYTHONDONTWRITEBYTECODE="1")
    try:
        tested = subprocess.run(
            command, capture_output=True, text=True, timeout=RUN_LIMIT, check=False, cwd=ROOT, env=environment
        )
    except subprocess.TimeoutExpired:
        outcome.broken = f"the suites did not end within {RUN_LIMIT} s"
        return outcome
    (folder / "output.txt").write_text(tested.stdout + tested.stderr)
    record = run / "run.json"
    if not record.is_file():
        outcome.broken = "no record:\n" + "\n".join((tested.stdout + tested.stderr).splitlines()[-15:])
        return outcome
    for test in json.loads(record.read_text())["tests"]:
        suite = test["suite"]
        outcome.passed[suite] = outcome.passed.get(suite, 0) + (test["outcome"] == "passed")
        failed = {finding["id"] for finding in test["findings"] if finding["status"] == "failed"}
        places = {finding["where"] for finding in test["findings"] if finding["status"] == "failed"}
        outcome.places.setdefault(suite, set()).update(places)
        if test["outcome"] == "failed" and not failed:
            failed = {test["kind"]}
        if failed:
            outcome.failed.setdefault(suite, set()).update(failed)
        if test["outcome"] != "passed" and test["outcome"] != "failed":
            outcome.errors.append(f"{test['nodeid']}: {test['outcome']}: {test['kind'] or test['message']}")
    outcome.seconds = time.monotonic() - began
    return outcome


def write_build(folder: Path, images: Path, *, few_vectors: bool) -> Path:
    """A build description like build.yaml's, with the images of another folder.

    Only the mutants that parity claims, and the right build, get all its vectors: they take most of the time.
    """
    said = yaml.safe_load((HERE / "build.yaml").read_text())

    def moved(path: str) -> str:
        return str(images / path.removeprefix("out/")) if path.startswith("out/") else str(HERE / path)

    for image in said["images"]:
        image["file"] = moved(image["file"])
    for model in said["models"].values():
        model["file"] = moved(model["file"])
        if "image" in model:
            model["image"] = moved(model["image"])
    for section in ("trust", "files"):
        for key, value in said.get(section, {}).items():
            if value != "provisioned":
                said[section][key] = moved(value)
    if few_vectors:
        said["parity"] = {**said.get("parity", {}), "vectors": 24, "min_distinct": 2}
    path = folder / "build.yaml"
    path.write_text(yaml.safe_dump(said))
    return path


def verdict(claim: Claim, outcome: Outcome) -> str:
    """Empty when the mutant is caught as claimed."""
    if outcome.broken:
        return outcome.broken
    if claim.check in outcome.failed.get(claim.suite, set()):
        places = outcome.places.get(claim.suite, set())
        if not claim.names or any(claim.names in place for place in places):
            return ""
        return f"caught, but {claim.suite} does not name {claim.names!r}: {'; '.join(sorted(places))}"
    others = sorted(f"{suite}: {', '.join(sorted(ids))}" for suite, ids in outcome.failed.items())
    if others:
        return f"not caught by {claim.suite}/{claim.check}, only by {'; '.join(others)}"
    return f"SURVIVES: {claim.suite}/{claim.check} does not see that {claim.fault}"


def matrix(outcomes: list[Outcome], said: dict[str, Claim], suites: list[str]) -> None:
    """Mutants by suites: X caught as claimed, x caught besides, . not seen, - not run."""
    width = max(map(len, said))
    print(f"\n{'':<{width}}  " + "  ".join(f"{suite[:9]:>9}" for suite in suites) + f"  {'seconds':>7}")
    for outcome in outcomes:
        claim = said.get(outcome.name)
        cells = []
        for suite in suites:
            failed = outcome.failed.get(suite, set())
            if claim and suite == claim.suite and claim.check in failed:
                cells.append("X")
            elif failed:
                cells.append("x")
            else:
                cells.append("." if suite in outcome.passed else "-")
        row = "  ".join(f"{cell:>9}" for cell in cells)
        print(f"{outcome.name:<{width}}  {row}  {outcome.seconds:>7.1f}")
    print("X caught by the check that claims to, x caught besides, . not seen, - not run")


def main() -> int:
    """Run; 0 when every mutant is caught as claimed and the right build passes everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mutant", nargs="*", help="only these (default: all)")
    parser.add_argument("--jobs", type=int, default=2, help="builds and runs at a time")
    parser.add_argument("--claimed-suite-only", action="store_true", help="run only the suite that claims to catch it")
    parser.add_argument(
        "--quick", action="store_true", help=f"leave out {', '.join(sorted(SLOW))} where they do not claim the mutant"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep images and records there")
    args = parser.parse_args()
    said = claims()
    unknown = set(args.mutant) - set(said) - {CLEAN}
    if unknown:
        parser.error(f"no such mutant: {', '.join(sorted(unknown))}")
    names = args.mutant or [CLEAN, *(name for name, claim in said.items() if not claim.not_run)]
    suites = sorted(SUITES)
    work = args.keep.resolve() if args.keep else Path(tempfile.mkdtemp(prefix="mutants-"))
    work.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()

    def one(name: str) -> Outcome:
        chosen = suites
        if name in said and (args.quick or args.claimed_suite_only):
            left = set() if args.claimed_suite_only else set(suites) - SLOW
            chosen = sorted({said[name].suite, *left})
        claim = said.get(name)
        outcome = build_and_run(
            name,
            work,
            chosen,
            few_vectors=claim is not None and claim.suite != "parity",
            options=claim.options if claim else (),
        )
        problem = verdict(said[name], outcome) if name in said else outcome.broken or ""
        print(
            f"{name}: {'caught' if name in said and not problem else problem or 'done'} ({outcome.seconds:.0f} s)",
            flush=True,
        )
        return outcome

    try:
        # The first build fetches and compiles what all share; two at once would do it twice.
        outcomes = [one(names[0])]
        with ThreadPoolExecutor(args.jobs) as pool:
            outcomes += pool.map(one, names[1:])
    finally:
        if args.keep is None:
            shutil.rmtree(work, ignore_errors=True)
    matrix(outcomes, said, suites)
    problems = [(o.name, verdict(said[o.name], o)) for o in outcomes if o.name in said]
    problems = [(name, problem) for name, problem in problems if problem]
    for clean in (o for o in outcomes if o.name == CLEAN):
        for suite, failed in clean.failed.items():
            problems.append((CLEAN, f"the right build fails {suite}: {', '.join(sorted(failed))}"))
        problems += [(CLEAN, error) for error in ([clean.broken] if clean.broken else clean.errors)]
    for name, problem in problems:
        print(f"FAILED {name}: {problem}")
    for claim in said.values():
        if not args.mutant and claim.not_run:
            host_test = f" ({claim.host_test})" if claim.host_test else ""
            print(f"not run: {claim.name}: {claim.fault}: {claim.not_run}{host_test}")
    caught = sum(1 for o in outcomes if o.name in said and not verdict(said[o.name], o))
    total = sum(1 for o in outcomes if o.name in said)
    print(f"{caught} of {total} mutants caught by the check that claims to, in {time.monotonic() - began:.0f} s")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
