"""A pool of four emulated boards against one board: ``python -m benchmarks.boards.pool``.

Both run the same suites with the same tests; the pool through ``pytest -n 4`` (four processes, one board each).
The figure is one board's time over the pool's, the median of five rounds after one that only collects (Python keeps
what it compiled, as it does for users). Ends with status 1 when it is below the limit.
"""

from __future__ import annotations

import os
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
ROUNDS = 5
ONLY_OURS = ("-p", "no:hypothesispytest")  # a plugin of the development environment: most of its start-up time


def run(folder: Path, name: str, count: int, *more: str) -> tuple[float, int]:
    """Seconds and the number of tests passed."""
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
    words += ["-n", str(count)] if count > 1 else []
    words += [str(ROOT / "suites"), *more]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    began = time.monotonic()
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=1800)
    seconds = time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    (suite,) = ET.parse(folder / f"{name}.xml").getroot().iter("testsuite")
    passed = int(suite.get("tests", "0")) - sum(int(suite.get(word, "0")) for word in ("failures", "errors", "skipped"))
    return seconds, passed


def main() -> int:
    results = Results("pool")
    first = True

    def once() -> float:
        nonlocal first
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if first:
                run(folder, "collect", 1, "--collect-only")
                first = False
            one, passed = run(folder, "one", 1)
            four, passed_by_pool = run(folder, "four", 4)
        if passed != passed_by_pool:
            raise SystemExit(f"not the same tests: {passed} passed on one board, {passed_by_pool} in the pool")
        print(f"{passed} tests: one board {one:.1f} s, four boards {four:.1f} s: {one / four:.2f} times", flush=True)
        return one / four

    ratios = rounds_within(results, "one board and four", ROUNDS, once, (subprocess.TimeoutExpired,))
    results.add("four boards, times as fast", statistics.median(ratios), to="one board", at_least=LIMIT)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
