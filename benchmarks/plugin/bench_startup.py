"""What the plugin costs every pytest session: an empty one with it, over one without it. At most 1.10.

Peers, in a virtual environment of the benchmark's own: labgrid 3.2, pytest-embedded 1.7 (measured the same way).
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

LIMIT = 1.10
ROUNDS = 15


def session(folder: Path, *args: str) -> float:
    """CPU seconds of an empty session: what it costs, however busy the host is."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
    # Bare means bare: no other installed plugin may hide what this one costs.
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    subprocess.run(command, cwd=folder, capture_output=True, check=True, env=alone)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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
    ratio = statistics.median(one / other for one, other in zip(loaded, bare, strict=True))
    print(f"bare {statistics.median(bare):.3f} s, with the plugin {statistics.median(loaded):.3f} s")
    print(f"ratio {ratio:.3f} (at most {LIMIT})")
    return ratio > LIMIT


if __name__ == "__main__":
    sys.exit(main())
