"""Mutation score of the harness: of small changes of verify, latency and parity's comparison, how many do tests notice?

Each change is made in a copy of the package (links to the files that stay), and the tests of its room run until the
first failure. Nothing in the working tree is touched. Survivors that are known to change nothing stand in
equivalent.yaml, with the reason.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import yaml

from benchmarks.mutation.operators import Mutant, all_mutants, sample

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PACKAGE = ROOT / "harness" / "tfm_harness"
ROOMS = {
    "verify": ("tests/verify", "tests/cli/test_verify.py"),
    "latency": ("tests/latency",),
    "parity": ("tests/parity/test_compare.py", "tests/parity/test_quantise.py"),
}
"""Folders of the package, and the tests that stand for them."""
COMPARISON = ("compare.py", "comparison.py", "metrics.py", "quantise.py", "tolerance.py", "vacuity.py")
SLOW = ("--ignore=tests/verify/test_verify_fuzz.py", "-m", "not qemu")
GOAL = 90.0
LIMIT = 300  # seconds for one mutant's tests; a mutant that loops is killed by it


@dataclass(frozen=True)
class Verdict:
    """What became of one mutant."""

    mutant: Mutant
    killed: bool
    seconds: float


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
    """A package folder whose files are links to the right ones; the folder to put on PYTHONPATH."""
    shutil.copytree(
        PACKAGE, folder / "tfm_harness", copy_function=os.link, ignore=shutil.ignore_patterns("__pycache__")
    )
    return folder


def run_tests(copy: Path, room: str) -> int:
    """Exit code of the room's tests on the copy; 1: a test failed."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *SLOW, *ROOMS[room]]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT, check=False, cwd=ROOT, env=environment
        )
    except subprocess.TimeoutExpired:
        return 1
    return done.returncode


def judged(mutant: Mutant, copy: Path) -> Verdict:
    """Make the change in the copy, run the tests, take it back."""
    began = time.monotonic()
    place, right = copy / "tfm_harness" / mutant.file, PACKAGE / mutant.file
    place.unlink()
    place.write_bytes(mutant.text(right.read_bytes()))
    try:
        code = run_tests(copy, room_of(mutant.file))
    finally:
        place.unlink()
        os.link(right, place)
    return Verdict(mutant, code != 0, time.monotonic() - began)


def report(verdicts: list[Verdict]) -> bool:
    """Print scores and survivors; true when the goal is met in every room."""
    rooms: dict[str, list[Verdict]] = defaultdict(list)
    for one in verdicts:
        rooms[room_of(one.mutant.file)].append(one)
    good = True
    print(f"\n{'room':<12} {'mutants':>7} {'killed':>7} {'score':>7}")
    for room, found in sorted(rooms.items()):
        killed = sum(one.killed for one in found)
        score = 100 * killed / len(found)
        good = good and score >= GOAL
        print(f"{room:<12} {len(found):>7} {killed:>7} {score:>6.1f} %{'  <- below the goal' if score < GOAL else ''}")
    for one in sorted(verdicts, key=lambda one: (one.mutant.file, one.mutant.line)):
        if not one.killed:
            print(f"SURVIVED {one.mutant.file}:{one.mutant.line} {one.mutant.operator}: {one.mutant.change[:150]}")
    return good


def candidates() -> list[Mutant]:
    """Every change of the three rooms that is not known to change nothing."""
    entries = yaml.safe_load((HERE / "equivalent.yaml").read_text()) or []
    known = {(entry["file"], entry["line"], entry["change"]) for entry in entries}
    found = all_mutants(PACKAGE, [path for room in ROOMS for path in files_of(room)])
    return [one for one in found if not known or (str(one.file), source_line(one), one.change) not in known]


def source_line(mutant: Mutant) -> str:
    """The line that a change is in, without its indent."""
    return (PACKAGE / mutant.file).read_text().splitlines()[mutant.line - 1].strip()


def main() -> int:
    """Command line; 0 when the goal is met in every room."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=300, help="how many mutants (default: 300; 0: all)")
    parser.add_argument("--seed", type=int, default=1, help="another seed takes another sample")
    parser.add_argument("--jobs", type=int, default=2, help="test runs at a time")
    parser.add_argument("--minutes", type=float, default=0, help="stop taking up new mutants after so long")
    args = parser.parse_args()
    mutants = candidates()
    chosen = sample(mutants, args.sample or len(mutants), args.seed)
    chosen = [one for one in chosen if one.compiles((PACKAGE / one.file).read_bytes())]
    files = len({one.file for one in mutants})
    print(f"{len(mutants)} changes of {files} files; sample of {len(chosen)}, seed {args.seed}")
    end = time.monotonic() + args.minutes * 60 if args.minutes else float("inf")
    verdicts: list[Verdict] = []
    lock = threading.Lock()
    # In the checkout's own file system: links.
    (ROOT / "build").mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="mutation-", dir=ROOT / "build"))
    free: SimpleQueue[Path] = SimpleQueue()

    def one(mutant: Mutant) -> None:
        if time.monotonic() > end:
            return
        copy = free.get()
        try:
            found = judged(mutant, copy)
        finally:
            free.put(copy)
        with lock:
            verdicts.append(found)
            word = "killed" if found.killed else "survived"
            print(f"{word:<9} {mutant.file}:{mutant.line} {mutant.change[:80]} ({found.seconds:.0f} s)", flush=True)

    try:
        for number in range(args.jobs):
            free.put(make_copy(work / str(number)))
        for room in ROOMS:
            copy = free.get()
            if run_tests(copy, room) != 0:
                raise SystemExit(f"the tests of {room} fail without a change: nothing can be said")
            free.put(copy)
        with ThreadPoolExecutor(args.jobs) as pool:
            list(pool.map(one, chosen))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if len(verdicts) < len(chosen):
        print(f"time is up: {len(verdicts)} of {len(chosen)} were run")
    return 0 if report(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
