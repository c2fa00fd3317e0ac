"""All suites on QEMU: the whole session's wall time over the time for which it waits for the device.

The quick selection (``--whole``: all tests, which take five minutes). Medians after a run that only collects (Python
keeps what it compiled, as it does for users).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.boards.pool import ONLY_OURS
from benchmarks.results import Results, rounds_within

ROOT = Path(__file__).resolve().parents[2]
RATIO, ROUNDS = 1.25, 2
LONGEST = 900.0  # seconds for one session


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """One session; its folder is `folder`."""
    command = [sys.executable, "-m", "tfm_harness.cli.main", "run", "--target", "qemu-an547", "--build", "reference"]
    # A folder of its own, as pytest would remove what other sessions have left in its usual one.
    command += ["--run-dir", str(folder), "--", "-q", "-p", "no:cacheprovider", f"--basetemp={folder}.tmp"]
    command += [*ONLY_OURS, *words]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["TFM_HARNESS_STATE_DIR"] = str(folder.parent / "state")
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST
    )


def main() -> int:
    """Print the ratio; 1 when a limit is missed or a suite fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whole", action="store_true", help="all tests, not the quick selection")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    words = () if args.whole else ("--tfm-quick",)
    results = Results("suites")
    with tempfile.TemporaryDirectory() as name:
        run(Path(name) / "collect", "--collect-only")
        numbers = itertools.count()

        def once() -> tuple[float, float]:
            folder = Path(name) / f"run{next(numbers)}"
            began = time.perf_counter()
            done = run(folder, *words)
            wall = time.perf_counter() - began
            if done.returncode:
                raise SystemExit(f"a suite fails:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
            record = json.loads((folder / "run.json").read_text())
            busy = float(record["boards"][0]["device_seconds"])
            print(f"wall {wall:.1f} s, waiting for the device {busy:.1f} s, ratio {wall / busy:.2f}", flush=True)
            return wall, wall / busy

        found = rounds_within(results, "all suites", args.rounds, once, (subprocess.TimeoutExpired,))
    results.add("all suites", statistics.median(wall for wall, _ in found), unit="s")
    ratio = statistics.median(ratio for _, ratio in found)
    results.add("all suites, over the time of the device", ratio, to="waiting for the device", at_most=RATIO)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
