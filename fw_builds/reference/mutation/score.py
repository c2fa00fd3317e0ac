"""Mutation score of the reference firmware: of its C's small changes, how many do the suites notice?

Takes a seeded sample of all changes that the C mutator finds, builds each, and runs the suites until the first failure,
the nearest ones first. A build of the same bytes as the right one is no fault and is not counted. Survivors are printed
with file, line and change; those that are known to change nothing stand in mutation/equivalent.yaml with a reason.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from mutation.c_mutator import REFERENCE, Mutant, all_mutants, sample
from mutation.suite_run import ROOT, Outcome, make, run_suites

QUICK = ("results", "attestation", "sensor", "provisioning", "robustness", "storage", "confidentiality")
SLOW = ("bus", "boot", "isolation", "update", "latency", "parity")
NEAREST = (
    ("partition/nn/sensor_frontend.h", ("sensor", "parity")),
    ("partition/nn/", ("parity", "update")),
    ("partition/sensor", ("sensor", "bus")),
    ("partition/encrypt", ("storage",)),
    ("partition/sampler", ("sensor",)),
    ("partition/measure", ("latency", "parity")),
    ("partition/model", ("update", "parity")),
    ("partition/csr", ("provisioning",)),
    ("partition/der", ("provisioning",)),
    ("partition/", ("results",)),
    ("spe/services/attest", ("attestation",)),
    ("spe/services/model", ("update",)),
    ("spe/services/platform", ("boot", "attestation")),
    ("spe/boot", ("boot", "update")),
    ("spe/storage/otp", ("provisioning", "boot")),
    ("spe/storage/ps", ("storage",)),
    ("spe/services/ps", ("storage",)),
    ("spe/crypto/aead", ("storage",)),
    ("spe/storage", ("update", "results")),
    ("spe/crypto", ("results", "attestation", "provisioning")),
    ("spe/core", ("isolation", "boot")),
    ("spe/", ("attestation", "isolation")),
    ("pseudo_driver/measure", ("latency", "parity")),
    ("pseudo_driver/model", ("update",)),
    ("pseudo_driver/probe", ("isolation",)),
    ("pseudo_driver/identity", ("provisioning", "attestation")),
    ("pseudo_driver/storage", ("storage",)),
    ("pseudo_driver/inference", ("results", "sensor")),
    ("pseudo_driver/", ("robustness",)),
)
"""Which suites are nearest to a file: they run first, the others after them."""
OPTIONS = ("-x",)
FIRMWARE = ("partition", "spe", "pseudo_driver", "platform", "mk", "models")
GOAL, GOAL_FILE, FEW = 95.0, 85.0, 5


@dataclass(frozen=True)
class Verdict:
    """What became of one mutant: killed, survived, equivalent (same bytes) or unbuildable; `by`: what killed it."""

    name: str
    file: str
    line: int
    function: str
    operator: str
    change: str
    state: str
    by: str = ""
    seconds: float = 0.0


def suites_for(file: str) -> tuple[list[str], list[str]]:
    """The nearest suites, and the others: quick ones first."""
    near = next((list(suites) for prefix, suites in NEAREST if file.startswith(prefix)), [])
    return near, [suite for suite in (*QUICK, *SLOW) if suite not in near]


def image_bytes(images: Path) -> bytes:
    """What runs: both ELFs' loadable bytes."""
    found = b""
    for name in ("secure", "nonsecure"):
        target = images / f"{name}.flat"
        command = ["arm-none-eabi-objcopy", "-O", "binary", str(images / f"{name}.elf"), str(target)]
        subprocess.run(command, check=True, capture_output=True)
        found += target.read_bytes()
        target.unlink()
    return found


def judged(mutant: Mutant, work: Path, right: bytes, *, thorough: bool, all_suites: bool) -> Verdict:
    """Build one mutant and run the suites on it until something fails."""
    began = time.monotonic()
    folder = work / mutant.name
    folder.mkdir(parents=True)

    def verdict(state: str, by: str = "") -> Verdict:
        shutil.rmtree(folder, ignore_errors=True)
        seconds = round(time.monotonic() - began, 1)
        return Verdict(
            mutant.name, mutant.file, mutant.line, mutant.function, mutant.operator, mutant.change, state, by, seconds
        )

    patch = folder / f"{mutant.name}.patch"
    patch.write_text(mutant.patch())
    # Warnings are off: a change may leave a variable without use.
    if make(folder / "out", f"PATCH={patch}", "warnings=-w"):
        return verdict("unbuildable")
    if image_bytes(folder / "out") == right:
        return verdict("equivalent", "the same bytes")
    near, others = suites_for(mutant.file)
    others = others if all_suites else []
    rounds = [[*near, *others], *([[*near, *others]] if thorough else [])]
    for number, suites in enumerate(rounds):
        outcome = Outcome(mutant.name)
        options = [*OPTIONS, "--tfm-quick"] if number == 0 else [*OPTIONS, "-m", "thorough"]
        run_suites(outcome, folder, suites, few_vectors="partition/nn" not in mutant.file, options=options)
        if outcome.failed:
            suite, checks = next(iter(outcome.failed.items()))
            return verdict("killed", f"{suite}/{min(checks)}")
        if outcome.errors or outcome.broken:
            return verdict("killed", "the board: " + (outcome.errors or [outcome.broken])[0][:160])
    return verdict("survived")


def check_the_right_build(folder: Path) -> None:
    """A failure of the right build would kill every mutant.

    Raises:
        SystemExit: it fails something.
    """
    problem = make(folder / "out")
    outcome = Outcome("the right build")
    if not problem:
        run_suites(outcome, folder, [*QUICK, *SLOW], few_vectors=True, options=[*OPTIONS, "--tfm-quick"])
    wrong = [problem or outcome.broken, *outcome.errors, *(f"{suite}: {ids}" for suite, ids in outcome.failed.items())]
    if any(wrong):
        raise SystemExit(
            "the right build fails, so nothing can be said of faulty ones:\n" + "\n".join(filter(None, wrong))
        )
    print(f"the right build passes {sum(outcome.passed.values())} tests in {outcome.seconds:.0f} s", flush=True)


def known_equivalent(verdict: Verdict, entries: Iterable[dict[str, Any]]) -> str:
    """The reason why a survivor changes nothing that can be seen; empty when none is known.

    An entry names a file, a function, the changes it is about (`change`, one or a list), and where the same change
    stands in a function more than once, the lines' texts (`in`, one or a list) that hold it.
    """
    for entry in entries:
        changes = entry["change"] if isinstance(entry["change"], list) else [entry["change"]]
        if (entry["file"], entry["function"]) == (verdict.file, verdict.function) and verdict.change in changes:
            texts = entry.get("in")
            if texts is None:
                return str(entry["reason"])
            line = (REFERENCE / verdict.file).read_text().splitlines()[verdict.line - 1]
            if any(text in line for text in ([texts] if isinstance(texts, str) else texts)):
                return str(entry["reason"])
    return ""


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
    for one in sorted(verdicts, key=lambda one: (one.file, one.line)):
        if one.state == "survived" and not known_equivalent(one, entries):
            print(f"SURVIVED {one.file}:{one.line} {one.function}(): {one.operator}: {one.change}")
    return good and score >= GOAL


def digest() -> str:
    """Of everything that a verdict hangs on: firmware, suites, harness."""
    found = hashlib.sha256()
    for folder in (*(REFERENCE / part for part in FIRMWARE), ROOT / "suites", ROOT / "harness", ROOT / "targets"):
        for path in sorted(folder.rglob("*")):
            if path.suffix in {".c", ".h", ".ld", ".mk", ".py", ".yaml"}:
                found.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return found.hexdigest()


def load(path: Path) -> dict[str, Verdict]:
    """Verdicts of an earlier run on the same firmware, suites and harness; others are dropped from the file."""
    lines = path.read_text().splitlines() if path.is_file() else []
    if not lines or json.loads(lines[0]) != {"of": digest()}:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"of": digest()}) + "\n")
        return {}
    return {said["name"]: Verdict(**said) for said in map(json.loads, lines[1:])}


def main() -> int:
    """Command line; 0 when the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=400, help="how many mutants (default: 400; 0: all)")
    parser.add_argument("--seed", type=int, default=1, help="another seed takes another sample")
    parser.add_argument("--only", default="", metavar="TEXT", help="only files whose path holds TEXT")
    parser.add_argument("--without", default="", metavar="TEXT", help="no files whose path holds TEXT")
    parser.add_argument("--jobs", type=int, default=2, help="builds and runs at a time")
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="verdicts, one JSON line each; known ones are kept"
    )
    parser.add_argument("--again", action="store_true", help="run survivors of --results again")
    parser.add_argument("--minutes", type=float, default=0, help="stop taking up new mutants after so long")
    parser.add_argument("--no-thorough", action="store_true", help="only the quick selection of each suite")
    parser.add_argument("--nearest", action="store_true", help="only the suites nearest to a file: a lower bound")
    parser.add_argument("--list", action="store_true", help="list the sample and end")
    args = parser.parse_args()
    mutants = [one for one in all_mutants(args.only) if not args.without or args.without not in one.file]
    chosen = sample(mutants, args.sample or len(mutants), args.seed)
    files = len({one.file for one in mutants})
    print(f"{len(mutants)} changes of {files} files; sample of {len(chosen)}, seed {args.seed}")
    if args.list:
        for one in chosen:
            print(f"{one.name} {one.file}:{one.line} {one.function}(): {one.operator}: {one.change}")
        return 0
    known = load(args.results) if args.results else {}
    if args.again:
        known = {name: one for name, one in known.items() if one.state != "survived"}
    entries: list[dict[str, Any]] = yaml.safe_load((REFERENCE / "mutation" / "equivalent.yaml").read_text()) or []
    work = Path(tempfile.mkdtemp(prefix="mutation-"))
    end = time.monotonic() + args.minutes * 60 if args.minutes else float("inf")
    verdicts = [known[one.name] for one in chosen if one.name in known]
    lock = threading.Lock()

    def one(mutant: Mutant) -> None:
        if time.monotonic() > end:
            return
        found = judged(mutant, work, right, thorough=not args.no_thorough, all_suites=not args.nearest)
        with lock:
            verdicts.append(found)
            print(
                f"{found.state:<10} {found.file}:{found.line} {found.change[:70]} ({found.by}, {found.seconds} s)",
                flush=True,
            )
            if args.results:
                with args.results.open("a") as file:
                    file.write(json.dumps(asdict(found)) + "\n")

    try:
        problem = make(work / "right", "warnings=-w")
        if problem:
            raise SystemExit(problem)
        right = image_bytes(work / "right")
        check_the_right_build(work / "baseline")
        with ThreadPoolExecutor(args.jobs) as pool:
            list(pool.map(one, [mutant for mutant in chosen if mutant.name not in known]))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if len(verdicts) < len(chosen):
        print(f"time is up: {len(verdicts)} of {len(chosen)} were run")
    return 0 if report(verdicts, entries) else 1


if __name__ == "__main__":
    sys.exit(main())
