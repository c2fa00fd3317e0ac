"""Mutation score of the reference firmware: of its C's small changes, how many do the suites notice?

Takes a seeded sample of all changes that the C mutator finds, builds each, and runs the suites until the first failure:
on the whole sample the quick selection of the nearest suites, then on what survived their thorough tests, and then the
other suites; among them first the tests that noticed other changes nearby, then cheap ones. A build of the same bytes
as the right one is no fault and is not counted. Survivors are printed with file, line and change; those that are known
to change nothing stand in mutation/equivalent.yaml with a reason. With --results a measurement goes on where it ended.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from mutation.c_mutator import REFERENCE, Mutant, all_mutants, sample
from mutation.judge import OTHER_BUILD, STEPS, THOROUGH, Judge
from mutation.verdicts import Results, Verdict, known_equivalent

GOAL, GOAL_FILE, FEW = 95.0, 85.0, 5
Entries = list[dict[str, Any]]


def report(verdicts: list[Verdict], entries: list[dict[str, Any]]) -> bool:
    """Print the score of each file, and the survivors; true when the goals are met."""
    by_file: dict[str, list[Verdict]] = defaultdict(list)
    for one in verdicts:
        if one.state in {"killed", "survived"} and not (one.state == "survived" and known_equivalent(one, entries)):
            by_file[one.file].append(one)
    good = True
    total = killed = 0
    print(f"\n{'file':<44} {'mutants':>7} {'killed':>7} {'score':>7}")
    for file, found in sorted(by_file.items()):
        dead = sum(one.state == "killed" for one in found)
        total, killed = total + len(found), killed + dead
        score = 100 * dead / len(found)
        low = score < GOAL_FILE and file.startswith(("spe/", "partition/")) and len(found) >= FEW
        good = good and not low
        print(f"{file:<44} {len(found):>7} {dead:>7} {score:>6.0f} %{'  <- below the goal' if low else ''}")
    score = 100 * killed / total if total else 100.0
    print(f"{'all':<44} {total:>7} {killed:>7} {score:>6.1f} %")
    left_out = [one for one in verdicts if one.state in {"unbuildable", "equivalent"}]
    known = [one for one in verdicts if one.state == "survived" and known_equivalent(one, entries)]
    print(f"not counted: {len(left_out)} unbuildable or of the same bytes, {len(known)} known to change nothing")
    short = [one for one in verdicts if one.state == "survived" and not known_equivalent(one, entries)]
    short = [one for one in short if set(one.reach.split()) != set(STEPS)]
    if short:
        print(f"{len(short)} survivors have not met every test: the score is a lower bound")
    for one in sorted(verdicts, key=lambda one: (one.file, one.line)):
        if one.state == "survived" and not known_equivalent(one, entries):
            print(f"SURVIVED {one.file}:{one.line} {one.function}(): {one.operator}: {one.change}")
    return good and score >= GOAL


class Measurement:
    """Judges a sample, a few at a time, until it is done or the time is up."""

    def __init__(self, results: Results, jobs: int, minutes: float) -> None:
        self.results = results
        self.jobs = jobs
        self.began = time.monotonic()
        self.end = self.began + minutes * 60 if minutes else float("inf")
        self.lock = threading.Lock()

    def run(self, mutants: list[Mutant], judged: Callable[[Mutant], Verdict]) -> None:
        """Judge each change. Verdicts go to the results; the terminal gets a line each, with the time left."""
        began = time.monotonic()
        done = killed = 0

        def one(mutant: Mutant) -> None:
            nonlocal done, killed
            if time.monotonic() > self.end:
                return
            found = judged(mutant)
            with self.lock:
                self.results.add(found)
                done, killed = done + 1, killed + (found.state == "killed")
                left = (time.monotonic() - began) / done * (len(mutants) - done) / 60
                print(
                    f"{found.state:<10} {found.file}:{found.line} {found.change[:70]} ({found.by}, {found.seconds} s)"
                )
                print(f"  {done} of {len(mutants)} done, {killed} killed; about {left:.0f} min left", flush=True)

        with ThreadPoolExecutor(self.jobs) as pool:
            list(pool.map(one, mutants))


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=400, help="how many mutants (default: 400; 0: all)")
    parser.add_argument("--seed", type=int, default=1, help="another seed takes another sample")
    parser.add_argument("--only", default="", metavar="TEXT", help="of the sample, only files whose path holds TEXT")
    parser.add_argument("--without", default="", metavar="TEXT", help="no files whose path holds TEXT")
    parser.add_argument(
        "--part", default="1/1", metavar="K/N", help="every Nth of them from the Kth on: N runs may share --results"
    )
    parser.add_argument("--jobs", type=int, default=2, help="builds and runs at a time")
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="verdicts, one JSON line each; those that still hold are kept"
    )
    parser.add_argument(
        "--keep-kills", action="store_true", help="kills hold too where suites or other functions changed since"
    )
    parser.add_argument("--again", action="store_true", help="run survivors of --results again")
    parser.add_argument("--minutes", type=float, default=0, help="stop taking up mutants after so long")
    parser.add_argument("--no-thorough", action="store_true", help="only the quick selection of each suite")
    parser.add_argument("--nearest", action="store_true", help="only the suites nearest to a file: a lower bound")
    parser.add_argument("--report", action="store_true", help="judge nothing more: say what --results holds")
    parser.add_argument("--list", action="store_true", help="list the sample and end")
    return parser.parse_args()


def measure(chosen: list[Mutant], results: Results, args: argparse.Namespace, entries: Entries) -> None:
    """Judge the changes of the sample that have no verdict yet."""
    work = Path(tempfile.mkdtemp(prefix="mutation-"))
    measurement = Measurement(results, args.jobs, args.minutes)

    def left(step: str) -> Iterator[Mutant]:
        for mutant in chosen:
            found = results.known.get(mutant.name)
            if found is None or (
                found.state == "survived" and step not in found.reach.split() and not known_equivalent(found, entries)
            ):
                yield mutant

    try:
        judge = Judge(work, results)
        for step, (nearest, options) in STEPS.items():
            if (nearest or not args.nearest) and not (args.no_thorough and options == THOROUGH):
                measurement.run(list(left(step)), partial(judge.judged, step=step))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def main() -> int:
    """Command line; 0 when the goals are met."""
    args = options()
    every = all_mutants()
    elsewhere = [one for one in every if one.file.startswith(OTHER_BUILD)]
    mutants = [one for one in every if one not in elsewhere]
    chosen = sample(mutants, args.sample or len(mutants), args.seed)
    files = len({one.file for one in mutants})
    print(f"{len(mutants)} changes of {files} files; sample of {len(chosen)}, seed {args.seed}")
    print(f"not judged: {len(elsewhere)} changes of {', '.join(OTHER_BUILD)}: the suites' build does not hold them")
    chosen = [one for one in chosen if args.only in one.file and not (args.without and args.without in one.file)]
    part, parts = map(int, args.part.split("/"))
    chosen = chosen[part - 1 :: parts]
    if args.list:
        for one in chosen:
            print(f"{one.name} {one.file}:{one.line} {one.function}(): {one.operator}: {one.change}")
        return 0
    results = Results.load(args.results, keep_kills=args.keep_kills)
    if args.again:
        results.known = {name: one for name, one in results.known.items() if one.state != "survived"}
    entries: Entries = yaml.safe_load((REFERENCE / "mutation" / "equivalent.yaml").read_text()) or []
    if not args.report:
        measure(chosen, results, args, entries)
    verdicts = [results.known[one.name] for one in chosen if one.name in results.known]
    if len(verdicts) < len(chosen):
        print(f"{len(verdicts)} of {len(chosen)} were run so far")
    return 0 if report(verdicts, entries) else 1


if __name__ == "__main__":
    sys.exit(main())
