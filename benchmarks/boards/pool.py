"""A pool of four emulated boards against one board: ``python -m benchmarks.boards.pool``.

Both run the same tests, the quick selection of all suites (``--whole``: all tests, an hour); the pool through
``pytest -n 4`` (four processes, one board each). The figure is one board's time over the pool's, the median of the
rounds after one that only collects (Python keeps what it compiled, as it does for users). The CPU time of both says
what is left to gain: on two CPUs the pool cannot be faster than half of its own CPU time. Ends with status 1 when a
limit is missed.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

from benchmarks.results import Results, rounds_within

ROOT = Path(__file__).parents[2]
LIMIT = 1.6
ROUNDS, LONGEST = 2, 1800.0
ONLY_OURS = ("-pno:hypothesispytest", "-pno:anyio")  # of the development environment: most of the start-up time


def run(folder: Path, name: str, count: int, *more: str) -> tuple[float, float, int]:
    """Seconds, CPU seconds (emulators' too), and the number of tests passed."""
    target = folder / f"{name}.yaml"
    target.write_text((ROOT / "targets" / "qemu-an547.yaml").read_text() + f"count: {count}\n")
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *ONLY_OURS,
        f"--tfm-target={target}",
        "--tfm-build=reference",
    ]
    words += [f"--tfm-run-dir={folder}/{name}", f"--tfm-state-dir={folder}/state", f"--junit-xml={folder}/{name}.xml"]
    words += [f"--basetemp={folder}/{name}.tmp"]  # pytest would remove what other sessions have left in its usual one
    words += ["-n", str(count)] if count > 1 else []
    words += [str(ROOT / "suites"), *more]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    began, spent = time.monotonic(), _cpu()
    done = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST
    )
    seconds, spent = time.monotonic() - began, _cpu() - spent
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    (suite,) = ET.parse(folder / f"{name}.xml").getroot().iter("testsuite")
    passed = int(suite.get("tests", "0")) - sum(int(suite.get(word, "0")) for word in ("failures", "errors", "skipped"))
    return seconds, spent, passed


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whole", action="store_true", help="all tests, not the quick selection")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    words = () if args.whole else ("--tfm-quick",)
    results = Results("pool")
    first = True

    def once() -> tuple[float, float]:
        nonlocal first
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if first:
                run(folder, "collect", 1, "--collect-only")
                first = False
            one, cpu, passed = run(folder, "one", 1, *words)
            four, cpu_of_pool, passed_by_pool = run(folder, "four", 4, *words)
        if passed != passed_by_pool:
            raise SystemExit(f"not the same tests: {passed} passed on one board, {passed_by_pool} in the pool")
        print(
            f"{passed} tests: one board {one:.1f} s (CPU {cpu:.1f} s),"
            f" four boards {four:.1f} s (CPU {cpu_of_pool:.1f} s): {one / four:.2f} times",
            flush=True,
        )
        return one / four, cpu_of_pool / cpu

    found = rounds_within(results, "one board and four", args.rounds, once, (subprocess.TimeoutExpired,))
    times = statistics.median(ratio for ratio, _ in found)
    results.add("four boards, times as fast", times, to="one board", at_least=LIMIT)
    results.add("four boards, CPU time", statistics.median(cpu for _, cpu in found), to="one board")
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
