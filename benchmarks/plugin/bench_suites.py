"""All suites on QEMU: the whole session's wall time over what the device itself is busy or booting.

Medians of five runs after one that only collects (Python keeps what it compiled, as it does for users). At most 1.25,
and under 60 s on 2 cores.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RATIO, SECONDS, ROUNDS = 1.25, 60.0, 5


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """One session; its folder is `folder`."""
    command = [sys.executable, "-m", "tfm_harness.cli.main", "run", "--target", "qemu-an547", "--build", "reference"]
    command += ["--run-dir", str(folder), "--", "-q", "-p", "no:cacheprovider", *words]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["TFM_HARNESS_STATE_DIR"] = str(folder.parent / "state")
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def main() -> int:
    """Print the ratio; 1 when a limit is missed or a suite fails."""
    walls, ratios = [], []
    with tempfile.TemporaryDirectory() as name:
        run(Path(name) / "collect", "--collect-only")
        for number in range(ROUNDS):
            folder = Path(name) / f"run{number}"
            began = time.perf_counter()
            done = run(folder)
            wall = time.perf_counter() - began
            if done.returncode:
                print(done.stdout[-4000:] + done.stderr[-2000:])
                return 1
            record = json.loads((folder / "run.json").read_text())
            busy = float(record["boards"][0]["device_seconds"])
            print(f"wall {wall:.1f} s, device busy or booting {busy:.1f} s, ratio {wall / busy:.2f}")
            walls.append(wall)
            ratios.append(wall / busy)
    wall, ratio = statistics.median(walls), statistics.median(ratios)
    print(f"medians: wall {wall:.1f} s (at most {SECONDS:g}), ratio {ratio:.2f} (at most {RATIO})")
    return int(wall > SECONDS or ratio > RATIO)


if __name__ == "__main__":
    sys.exit(main())
