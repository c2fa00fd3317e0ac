"""Proof that a pass means something: every faulty build must be caught, by the check that claims to.

Builds the reference firmware right and with every patch of mutants/, and runs the suites on each under QEMU. A mutant
first meets the suite that claims it, until its first failure; `--matrix` runs all suites on all mutants and prints who
sees what. Fails when a mutant survives, when only other checks than the claimed one see it, when patches and
mutants.yaml disagree, or when the right build fails anything. Mutants that no suite can see in QEMU (`unseen`) and
those whose check is not written yet (`check: pending`) are listed, and run only when named.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import yaml
from tfm_harness.bundled import SUITES
from tfm_harness.coverage.suites import read_suite

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # also when a test loads this file

from mutation.host_run import survives  # noqa: E402
from mutation.suite_run import CLEAN, ROOT, Outcome, make, run_suites  # noqa: E402  # found by the line above


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
        """Why nothing is held against this mutant; empty: something is."""
        if self.unseen:
            return "" if self.host_test else f"not to be seen in QEMU: {self.unseen}"
        return "" if self.check else "no check sees it yet"


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


def first_of_each_suite(said: dict[str, Claim], count: int) -> list[str]:
    """The first `count` mutants that each suite claims and that can be run on QEMU."""
    chosen: dict[str, list[str]] = {}
    for claim in said.values():
        if not claim.not_run and not claim.host_test and len(chosen.setdefault(claim.suite, [])) < count:
            chosen[claim.suite].append(claim.name)
    return [name for names in chosen.values() for name in names]


def judged(
    name: str, work: Path, said: dict[str, Claim], suites: list[str], *, matrix: bool, quick: bool = False
) -> Outcome:
    """Build one firmware and run on it what must be run: see the module's text."""
    outcome = Outcome(name)
    folder = work / name
    claim = said.get(name)
    if claim is not None and claim.host_test:
        folder.mkdir()
        outcome.broken = survives(HERE / "mutants" / f"{name}.patch", claim.host_test, folder)
        return outcome
    outcome.broken = make(folder / "out", *([] if claim is None else [f"MUTANT={name}"]))
    if outcome.broken:
        return outcome
    options = claim.options if claim else ("--tfm-quick",) if quick else ()
    few_vectors = quick if claim is None else claim.suite != "parity"
    if claim is None or matrix or not claim.check:
        run_suites(outcome, folder, suites, few_vectors=few_vectors, options=options)
        return outcome
    # Tests that the claim names are few already, and may be thorough ones: left out, they would only cost a second run.
    quickly = () if "-k" in claim.options else ("--tfm-quick",)
    run_suites(outcome, folder, [claim.suite], few_vectors=few_vectors, options=("-x", *quickly, *narrowed(claim)))
    if first := verdict(claim, outcome):
        # Another check failed first, or a thorough test sees the fault, or one that seemed not to make the check.
        outcome.again = first
        outcome.broken = ""
        outcome.errors.clear()
        run_suites(outcome, folder, [claim.suite], few_vectors=few_vectors, options=options)
    return outcome


def narrowed(claim: Claim) -> tuple[str, ...]:
    """Options that leave the tests of the suite that make the claimed check; the suite's sources tell which they are.

    Only these can catch the mutant as claimed, and the rest of a suite takes most of its time.
    """
    if "-k" in claim.options:
        return claim.options
    making = [
        test.name
        for test in read_suite(ROOT / "suites" / claim.suite).tests
        if any(fnmatchcase(claim.check, check) for check in test.checks)
    ]
    return (*claim.options, "-k", " or ".join(making)) if making else claim.options


def verdict(claim: Claim, outcome: Outcome) -> str:
    """Empty when the mutant is caught as claimed; a run that the bench spoiled is no survival."""
    if outcome.broken or claim.host_test:
        return outcome.broken
    if claim.check in outcome.failed.get(claim.suite, set()):
        places = outcome.places.get(claim.suite, set())
        if not claim.names or any(claim.names in place for place in places):
            return ""
        return f"caught, but {claim.suite} does not name {claim.names!r}: {'; '.join(sorted(places))}"
    others = sorted(f"{suite}: {', '.join(sorted(ids))}" for suite, ids in outcome.failed.items())
    if others:
        return f"not caught by {claim.suite}/{claim.check}, only by {'; '.join(others)}"
    if outcome.errors:
        return f"not judged, {claim.suite} could not be run: {outcome.errors[0]}"
    return f"SURVIVES: {claim.suite}/{claim.check} does not see that {claim.fault}"


def print_matrix(outcomes: list[Outcome], said: dict[str, Claim], suites: list[str]) -> None:
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
    parser.add_argument("--matrix", action="store_true", help="run all suites on all mutants, and print the matrix")
    parser.add_argument(
        "--each-suite",
        type=int,
        default=0,
        metavar="N",
        help="only the first N mutants of each suite in mutants.yaml, and the right build with the quick selection",
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep images and records there")
    args = parser.parse_args()
    said = claims()
    unknown = set(args.mutant) - set(said) - {CLEAN}
    if unknown:
        parser.error(f"no such mutant: {', '.join(sorted(unknown))}")
    names = args.mutant or [CLEAN, *(name for name, claim in said.items() if not claim.not_run)]
    left_out = 0
    if args.each_suite and not args.mutant:
        chosen = first_of_each_suite(said, args.each_suite)
        left_out = len(names) - 1 - len(chosen)
        names = [CLEAN, *chosen]
    suites = sorted(SUITES)
    work = args.keep.resolve() if args.keep else Path(tempfile.mkdtemp(prefix="mutants-"))
    work.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()

    def one(name: str) -> Outcome:
        quick = name == CLEAN and bool(args.each_suite)
        outcome = judged(name, work, said, suites, matrix=args.matrix, quick=quick)
        problem = verdict(said[name], outcome) if name in said else outcome.broken
        word = "caught" if name in said and not problem else problem or "done"
        again = f"; the narrow run had not shown it: {outcome.again.splitlines()[0]}" if outcome.again else ""
        print(f"{name}: {word} ({outcome.seconds:.0f} s{again})", flush=True)
        return outcome

    try:
        with ThreadPoolExecutor(args.jobs) as pool:
            outcomes = list(pool.map(one, names))
    finally:
        if args.keep is None:
            shutil.rmtree(work, ignore_errors=True)
    if args.matrix:
        print_matrix(outcomes, said, suites)
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
            print(f"not run: {claim.name}: {claim.fault}: {claim.not_run}")
    slowest = sorted(outcomes, key=lambda outcome: -outcome.seconds)[:5]
    print("took longest:", ", ".join(f"{outcome.name} {outcome.seconds:.0f} s" for outcome in slowest))
    caught = sum(1 for o in outcomes if o.name in said and not verdict(said[o.name], o))
    total = sum(1 for o in outcomes if o.name in said)
    if left_out:
        print(f"not run: {left_out} more mutants; `make mutants` runs all of them")
    print(f"{caught} of {total} mutants caught by the check that claims to, in {time.monotonic() - began:.0f} s")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
