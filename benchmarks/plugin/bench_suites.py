"""All suites on QEMU: the whole session's wall time over what the device itself is busy or booting.

At most 1.25, and under 60 s on 2 cores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RATIO, SECONDS = 1.25, 60.0


def main() -> int:
    """Print the ratio; 1 when a limit is missed or a suite fails."""
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        command = [sys.executable, "-m", "harness.cli", "run", "--target", "qemu-an547", "--build", "reference"]
        command += ["--run-dir", str(run), "--", "-q", "-p", "no:cacheprovider"]
        environment = {**os.environ, "TFM_HARNESS_STATE_DIR": str(Path(name) / "state")}
        began = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        wall = time.perf_counter() - began
        print("\n".join(done.stdout.splitlines()[-12:]))
        record = json.loads((run / "run.json").read_text())
        busy = float(record["boards"][0]["facts"]["device busy or booting, seconds"])
    print(f"wall {wall:.1f} s, device busy or booting {busy:.1f} s, ratio {wall / busy:.2f} (at most {RATIO})")
    return done.returncode or wall > SECONDS or wall / busy > RATIO


if __name__ == "__main__":
    sys.exit(main())
