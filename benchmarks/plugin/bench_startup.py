"""What the plugin costs every pytest session: an empty one with it, over one without it. At most 1.10.

Peers, in a virtual environment of the benchmark's own: labgrid 3.2, pytest-embedded 1.7 (measured the same way).
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 1.10
ROUNDS = 15


def session(folder: Path, *args: str) -> float:
    """CPU and wall seconds of an empty session; the lesser of both counts, so that a busy host does not."""
    before = os.times()
    began = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
    # Bare means bare: no other installed plugin may hide what this one costs.
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    subprocess.run(command, cwd=folder, capture_output=True, check=True, env=alone)
    wall = time.perf_counter() - began
    after = os.times()
    return min(wall, after.children_user + after.children_system - before.children_user - before.children_system)


def main() -> int:
    """Print the ratio; 1 when it is too large."""
    bare: list[float] = []
    loaded: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_empty.py").write_text("def test_empty(): pass\n")
        plugin = ["-p", "harness.plugin.entry"]
        for arguments in ([], plugin):
            session(folder, *arguments)  # compiles what is not compiled yet
        for _ in range(ROUNDS):
            # In turns, so that whatever else the host does hits both alike.
            bare.append(session(folder))
            loaded.append(session(folder, *plugin))
    ratio = statistics.median(loaded) / statistics.median(bare)
    print(f"bare {statistics.median(bare):.3f} s, with the plugin {statistics.median(loaded):.3f} s")
    print(f"ratio {ratio:.3f} (at most {LIMIT})")
    return ratio > LIMIT


if __name__ == "__main__":
    sys.exit(main())
