"""A simulated farm, run for real on QEMU: ``python -m benchmarks.farm.run FOLDER [--boards 12] [--nights 7] [--each]``.

Twelve virtual boards in one pool, three builds of the reference firmware, short suites. The emulators count
instructions (`deterministic`), so that latency can be compared over the nights; the baseline is accepted after the
first one. Stories, each beginning in a night: board 2 has a bad cable from night 4 on (its console goes away
right after the flash), one test of the build `alpha` fails now and then, the build `beta` gets slower in night 5
(slower.patch), and the build `gamma` breaks attestation from night 6 on (the measurement is not the running image's; a
faulty build of fw_builds/reference/mutants). Prints for each night its wall time, sessions, verdict and what `history
show` says of it, writes the pages to FOLDER/pages, and ends with 1 when a page does not tell its story (stories.py).
A folder that has nights already is gone on with, and so is a night that was cut off. Needs qemu-system-arm, the built
reference firmware and its compiler.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import yaml
from tfm_harness.farm.storage import load_night
from tfm_harness.testing import make_distribution

from benchmarks.farm.stories import check

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "fw_builds" / "reference"
BAD_CABLE, SLOWER, BROKEN_ATTESTATION = 4, 5, 6
FAULT = "ATTEST_OTHER_IMAGE"
CABLED = '''
"""A QEMU board whose console goes away right after the flash and stays so, when its name stands in the target."""
import contextlib
import random
import threading
import time
from typing import Literal

from tfm_harness.boards.qemu.board import QemuBoard
from tfm_harness.config.qemu import QemuTarget


class CabledTarget(QemuTarget):
    kind: Literal["cabled"] = "cabled"
    bad_cable: str = ""


class CabledBoard(QemuBoard):
    kind = "cabled"
    config_model = CabledTarget

    def flash(self, build):
        super().flash(build)
        if self.target.bad_cable == self.name:
            seconds = random.Random(str(self.context.run_dir)).uniform(0.2, 0.6)
            timer = threading.Timer(seconds, self._pull)
            timer.daemon = True
            timer.start()

    def _pull(self):
        while True:
            with contextlib.suppress(Exception):
                self.console("ns").close()
            time.sleep(0.1)
'''
PROVE = """
import time

def test_it_serves_for_longer_than_a_bad_cable_holds(device):
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        assert device.describe()
"""
SOAK = """
import random
from pathlib import Path

TALLY = Path(__file__).resolve().parents[2] / "tally"

def test_it_describes_itself(device):
    assert device.describe()

def test_now_and_then(device, bench):
    if bench.combination.build.name == "alpha":
        with TALLY.open("a+") as tally:
            tally.write("x")
        chance = random.Random(200 + TALLY.stat().st_size).random()
        assert chance > 0.35, "one of many: the sensor's first sample was late"
"""
TOKENS = """
def test_the_token_tells_the_truth(device, verifier):
    verifier.token(*device.attest())
"""
PACE = """
def test_pace(latency):
    latency.measure("tamper")
"""


def make_project(folder: Path, boards: int, *, each: bool) -> None:
    """Targets, builds, suites and the farm file."""
    target = yaml.safe_load((ROOT / "targets" / "qemu-an547.yaml").read_text())
    target.update(kind="cabled", count=boards)
    (folder / "targets").mkdir(parents=True)
    (folder / "targets" / "virtual.yaml").write_text(yaml.safe_dump(target, sort_keys=False))
    for name in ("golden", "alpha", "beta", "gamma"):
        use_firmware(folder / "fw_builds" / name, REFERENCE / "out")
    for suite, body in {"prove": PROVE, "soak": SOAK, "tokens": TOKENS, "pace": PACE}.items():
        (folder / "suites" / suite).mkdir(parents=True)
        (folder / "suites" / suite / f"test_{suite}.py").write_text(body)
        (folder / "suites" / suite / "README.md").write_text(f"# {suite}\n\nThe board serves.\n")
    farm = {
        "builds": ["alpha", "beta", "gamma"],
        "pools": {"hall": {"targets": ["virtual"], "each": each}},
        "suites": ["soak", "tokens", "pace"],
        "quick": True,
        "deterministic": True,
        "golden": {"build": "golden", "suites": ["prove"], "every": "7d"},
        "state_dir": "state",
        "limits": {"at_once": 2},
    }
    (folder / "farm.yaml").write_text(yaml.safe_dump(farm, sort_keys=False))
    make_distribution(
        folder / "site", "cabled-board", {"tfm_harness.boards": {"cabled": "cabled_board:CabledBoard"}},
        modules={"cabled_board": CABLED},
    )  # fmt: skip


def use_firmware(place: Path, out: Path) -> None:
    """A build of its own name with the images of `out`."""
    if not place.exists():
        place.mkdir(parents=True)
        build = yaml.safe_load((REFERENCE / "build.yaml").read_text())
        build["name"] = place.name
        (place / "build.yaml").write_text(yaml.safe_dump(build, sort_keys=False))
        for part in ("keys", "models"):
            shutil.copytree(REFERENCE / part, place / part)
    shutil.rmtree(place / "out", ignore_errors=True)
    shutil.copytree(out, place / "out", ignore=shutil.ignore_patterns("objects", "sources-*", "*.map"))


def tell_stories(folder: Path, night: int) -> None:
    """What is different from this night on."""
    if night == BAD_CABLE:
        target = yaml.safe_load((folder / "targets" / "virtual.yaml").read_text())
        target["bad_cable"] = "virtual.2"
        (folder / "targets" / "virtual.yaml").write_text(yaml.safe_dump(target, sort_keys=False))
    if night == SLOWER:
        patch = Path(__file__).with_name("slower.patch")
        use_firmware(folder / "fw_builds" / "beta", make_firmware(folder / "slower", f"PATCH={patch}"))
    if night == BROKEN_ATTESTATION:
        use_firmware(folder / "fw_builds" / "gamma", make_firmware(folder / "broken", f"MUTANT={FAULT}"))


def make_firmware(out: Path, what: str) -> Path:
    """The reference firmware with a change, in the folder `out`."""
    words = ["make", "-s", "-C", str(REFERENCE), what, f"OUT={out}"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return out


def accept_baseline(folder: Path) -> None:
    """The first night's latency of one run is what later nights are compared with."""
    night = min((folder / "nights").iterdir())
    run = next(one.name for one in load_night(night).sessions if one.verdict == "passed" and not one.golden)
    done = tool(folder, "baseline", "accept", run, "--reason", "first night", "--state-dir", "state")
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


def tool(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder / "site"), "TFM_HARNESS_LOCK_DIR": str(folder / "locks")}
    return subprocess.run(
        [sys.executable, "-m", "tfm_harness.cli.main", *words], cwd=folder, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--boards", type=int, default=12)
    parser.add_argument("--nights", type=int, default=7)
    parser.add_argument("--each", action="store_true", help="each build on each board, not on one of them")
    args = parser.parse_args()
    folder = args.folder.resolve()
    if not (folder / "farm.yaml").exists():
        make_project(folder, args.boards, each=args.each)
        (folder / "locks").mkdir()
    begun = sorted(folder.glob("nights/*"))
    ended = [path for path in begun if (path / "night.json").exists() and not load_night(path).ended_early]
    for night in range(len(ended) + 1, args.nights + 1):
        goes_on = len(begun) > len(ended) and night == len(ended) + 1  # the benchmark was ended in the middle of it
        if not goes_on:
            tell_stories(folder, night)
        began = time.monotonic()
        done = tool(folder, "night", "farm.yaml", *["--resume"] * goes_on)
        wall = time.monotonic() - began
        (folder / f"night-{night}.txt").write_text(done.stdout + done.stderr)
        if done.returncode not in {0, 1, 10}:
            print(done.stdout + done.stderr)
            return 1
        record = load_night(max((folder / "nights").iterdir()))
        golden = sum(session.golden for session in record.sessions)
        states = Counter(board.state for board in record.boards)
        print(
            f"night {night}: {wall:.0f} s, {len(record.sessions)} sessions ({golden} golden), {record.verdict};",
            end=" ",
        )
        print(", ".join(f"{count} {state}" for state, count in states.items()))
        for test in record.tests:
            tries = ", ".join(f"{one.outcome} on {one.board}" for one in test.tries)
            print(f"  {test.build}: {test.test.rpartition('::')[2]}: {test.outcome}: {tries}")
        if night == 1:
            accept_baseline(folder)
        shown = tool(folder, "history", "show", "--state-dir", "state")
        print("  " + (shown.stdout or shown.stderr).strip().replace("\n", "\n  "), flush=True)
    done = tool(folder, "history", "export-site", "pages", "--state-dir", "state")
    print((done.stdout or done.stderr).strip())
    return done.returncode or (0 if check(folder) else 1)


if __name__ == "__main__":
    sys.exit(main())
