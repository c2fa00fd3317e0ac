"""What the plugin costs every pytest session: an empty one with it, over one without it. At most 1.10.

The peers' plugins are measured the same way, each in a virtual environment of the benchmark's own.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.peers import venv
from benchmarks.results import Results

LIMIT = 1.10
LONGEST = 120.0  # seconds for one session
ROUNDS = 15
PEER_ROUNDS = 5
PEERS = {"labgrid": "labgrid.pytestplugin", "pytest-embedded": "pytest_embedded.plugin"}


def session(python: Path, folder: Path, *args: str) -> float:
    """CPU seconds of an empty session: what it costs, however busy the host is."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
    # Bare means bare: no other installed plugin may hide what this one costs.
    # Some plugins make folders of their own where temporary files go.
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "TMPDIR": str(folder)}
    subprocess.run(command, cwd=folder, capture_output=True, check=True, env=alone, timeout=LONGEST)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ratio(name: str, python: Path, plugin: str, folder: Path, rounds: int) -> float:
    """The median over `rounds` of a session's cost with the plugin over that without it."""
    bare: list[float] = []
    loaded: list[float] = []
    for arguments in ([], ["-p", plugin]):
        session(python, folder, *arguments)  # compiles what is not compiled yet
    for _ in range(rounds):
        # In turns, so that whatever else the host does hits both alike.
        bare.append(session(python, folder))
        loaded.append(session(python, folder, "-p", plugin))
    found = statistics.median(one / other for one, other in zip(loaded, bare, strict=True))
    seconds = f"bare {statistics.median(bare):.3f} s, with the plugin {statistics.median(loaded):.3f} s"
    print(f"{name:<16} {seconds}, ratio {found:.3f}", flush=True)
    return found


def main() -> int:
    """Print the ratios; 1 when ours is too large."""
    results = Results("plugin-start")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_empty.py").write_text("def test_empty(): pass\n")
        ours = ratio("tfm-harness", Path(sys.executable), "tfm_harness.plugin.entry", folder, ROUNDS)
        results.add("an empty session with the plugin", ours, to="one without", at_most=LIMIT)
        for peer, plugin in PEERS.items():
            try:
                theirs = ratio(peer, venv(peer), plugin, folder, PEER_ROUNDS)
            except subprocess.SubprocessError as error:
                results.leave_out(peer, str(error))
            else:
                results.add(f"an empty session with {peer}", theirs, to="one without")
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
