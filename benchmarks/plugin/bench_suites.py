"""All suites on QEMU: the whole session's wall time over what the device itself is busy or booting.

Medians of five runs after one that only collects (Python keeps what it compiled, as it does for users). At most 1.25,
and under 60 s on 2 cores.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.results import Results, rounds_within

ROOT = Path(__file__).resolve().parents[2]
RATIO, SECONDS, ROUNDS = 1.25, 60.0, 5
LONGEST = 900.0  # seconds for one session


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """One session; its folder is `folder`."""
    command = [sys.executable, "-m", "tfm_harness.cli.main", "run", "--target", "qemu-an547", "--build", "reference"]
    command += ["--run-dir", str(folder), "--", "-q", "-p", "no:cacheprovider", *words]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["TFM_HARNESS_STATE_DIR"] = str(folder.parent / "state")
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST
    )


def main() -> int:
    """Print the ratio; 1 when a limit is missed or a suite fails."""
    results = Results("suites")
    with tempfile.TemporaryDirectory() as name:
        run(Path(name) / "collect", "--collect-only")
        numbers = itertools.count()

        def once() -> tuple[float, float]:
            folder = Path(name) / f"run{next(numbers)}"
            began = time.perf_counter()
            done = run(folder)
            wall = time.perf_counter() - began
            if done.returncode:
                raise SystemExit(f"a suite fails:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
            record = json.loads((folder / "run.json").read_text())
            busy = float(record["boards"][0]["device_seconds"])
            print(f"wall {wall:.1f} s, device busy or booting {busy:.1f} s, ratio {wall / busy:.2f}", flush=True)
            return wall, wall / busy

        found = rounds_within(results, "all suites", ROUNDS, once, (subprocess.TimeoutExpired,))
    results.add("all suites", statistics.median(wall for wall, _ in found), unit="s", at_most=SECONDS)
    ratio = statistics.median(ratio for _, ratio in found)
    results.add("all suites, over the time of the device", ratio, to="the device busy or booting", at_most=RATIO)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
