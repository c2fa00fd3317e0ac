"""The console against a raw socket loop and its peers: ``python -m benchmarks.console.run``.

Medians of five runs (labgrid: of three, and of a shorter log: it takes minutes for a megabyte), each run a process of
its own. Peers are installed into venvs of the benchmark's own. Ends with status 1 when a limit is missed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import venv
from benchmarks.results import Results

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MB = 1_000_000
LIMIT = 300.0  # seconds for one run of one client


@dataclass(frozen=True)
class RunMetrics:
    seconds: float
    peak_mb: float


ONE_CPU = ("taskset", "-c", str(min(os.sched_getaffinity(0))))
"""Round trips are measured with both ends on one CPU. On two, a round trip is mostly the waking of the other one: by
chance of the scheduler the raw loop then takes 8 or 70 us, and the ratio says nothing."""


def once(client: str, task: str, port: int, count: int) -> RunMetrics:
    python = venv("labgrid") if client == "labgrid" else venv("pexpect") if client in {"pexpect", "pyserial"} else None
    environment = {**os.environ, "PYTHONPATH": "" if python else str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        words = [str(python or sys.executable), str(HERE / "clients.py"), client, task, str(port), str(count), folder]
        if task == "lines":
            words = [*ONE_CPU, *words]
        done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=LIMIT, check=False)
    if done.returncode:
        raise SystemExit(f"{client} {task}: {done.stderr[-800:]}")
    result = json.loads(done.stdout.splitlines()[-1])
    return RunMetrics(result["seconds"], result["peak_kb"] / 1024)


def measure(
    kept: Results, clients: Iterable[str], task: str, port: int, count: int, runs: int
) -> dict[str, RunMetrics]:
    """Medians of `runs` runs of each client, in turns: whatever else the host does hits all alike."""
    found: dict[str, list[RunMetrics]] = {client: [] for client in clients}
    for _ in range(runs):
        for client, results in found.items():
            try:
                results.append(once(client, task, port, count))
            except subprocess.TimeoutExpired:
                kept.leave_out(f"{client} {task}", f"not ended within {LIMIT:g} s")
    if not all(found.values()):
        kept.finish()
        raise SystemExit("a client never came to an end")
    return {
        client: RunMetrics(
            statistics.median(result.seconds for result in results),
            statistics.median(result.peak_mb for result in results),
        )
        for client, results in found.items()
    }


def main() -> int:
    results = Results("console")

    with subprocess.Popen(
        [*ONE_CPU, sys.executable, str(HERE / "server.py")], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        try:
            print("1,000 round trips of a line")
            lines = measure(results, ("raw", "harness", "pyserial", "pexpect"), "lines", port, 1000, 5)
            lines |= measure(results, ("labgrid",), "lines", port, 1000, 3)
            for name, value in lines.items():
                print(f"  {name:10} {value.seconds:8.3f} s {value.peak_mb:6.0f} MB")
            results.add(
                "1,000 round trips", lines["harness"].seconds / lines["raw"].seconds, to="a raw socket", at_most=2.5
            )
            results.add(
                "1,000 round trips, against pexpect",
                lines["harness"].seconds / lines["pexpect"].seconds,
                to="pexpect",
                at_most=1.0,
            )
            results.add(
                "1,000 round trips, against labgrid",
                lines["harness"].seconds / lines["labgrid"].seconds,
                to="labgrid",
                at_most=0.1,
            )
            slow = once("labgrid", "marker", port, 20_000)
            for size in (10, 50):
                print(f"a marker behind {size} MB, every byte kept")
                found = measure(results, ("raw", "harness", "pexpect"), "marker", port, size * MB, 5)
                for name, value in found.items():
                    print(f"  {name:10} {value.seconds:8.3f} s {value.peak_mb:6.0f} MB")
                print(f"  {'labgrid':10} {slow.seconds:8.3f} s for 0.02 MB")
                results.add(
                    f"marker behind {size} MB",
                    found["harness"].seconds / found["raw"].seconds,
                    to="a minimal loop",
                    at_most=2.0,
                )
                results.add(
                    f"marker behind {size} MB, against pexpect",
                    found["harness"].seconds / found["pexpect"].seconds,
                    to="pexpect",
                    at_most=0.1,
                )
                per_byte = (found["harness"].seconds / (size * MB)) / (slow.seconds / 20_000)
                results.add(f"marker behind {size} MB, a byte", per_byte, to="labgrid", at_most=0.01)
                results.add(f"marker behind {size} MB, peak memory", found["harness"].peak_mb, unit="MB", at_most=80)
        finally:
            server.kill()
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
