"""Stored results judged again on two processes: ``python -m benchmarks.verify.bench_many``.

``tfm-harness verify result DIR -j N`` on folders of two sizes. What the larger one takes more is the time for its
additional files, without the start of the processes: a farm has a million of them. Both numbers of processes are
measured in turns.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.results import Results, rounds_within
from benchmarks.verify.bench_verify import KEY, result_payload, sign1

FEW, MANY = 2000, 14000
ROUNDS, LIMIT, LONGEST = 3, 1.6, 300.0


def judge(folder: Path, key: Path, jobs: int) -> float:
    """Seconds for all files of a folder."""
    words = [sys.executable, "-m", "tfm_harness.cli.main", "verify", "result", str(folder), "--key", str(key)]
    began = time.monotonic()
    done = subprocess.run(
        [*words, "-j", str(jobs)],
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise SystemExit(f"the benchmark's own evidence fails:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.monotonic() - began


def main() -> int:
    """See the module."""
    results = Results("verify-many")
    with tempfile.TemporaryDirectory() as name:
        key = Path(name) / "key.pem"
        key.write_text(KEY.pem)
        folders = {count: Path(name) / str(count) for count in (FEW, MANY)}
        for count, folder in folders.items():
            folder.mkdir()
            for number in range(count):
                (folder / f"{number:06}.cbor").write_bytes(sign1(result_payload(number))[0])

        def once() -> tuple[float, float]:
            one, two = (judge(folders[MANY], key, jobs) - judge(folders[FEW], key, jobs) for jobs in (1, 2))
            return one, two

        found = rounds_within(results, "stored results", ROUNDS, once, (subprocess.TimeoutExpired,))
    results.add(
        "stored results, two processes", statistics.median(one / two for one, two in found), to="one process",
        at_least=LIMIT,
    )  # fmt: skip
    fastest = min(two for _, two in found)
    results.add("stored results, two processes, a second", (MANY - FEW) / fastest, unit="results/s")
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
