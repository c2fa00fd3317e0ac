"""Stored results judged again on two processes: ``python -m benchmarks.verify.bench_many``.

``tfm-harness verify result DIR -j N`` on folders of two sizes. What the larger one takes more is the time for its
additional files, without the start of the processes: a farm has a million of them. Both numbers of processes are
measured in turns. On a host with other work two processes do not get two CPUs, and the ratio of the times says little;
the CPU time of all processes together tells then what it costs to share the work: 1.1 times that of one process lets
two CPUs be 1.8 times as fast, as long as the first process, which collects, has little of it. Other work makes it vary.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.results import Results, rounds_within
from benchmarks.verify.bench_verify import KEY, result_payload, sign1

FEW, MANY = 2000, 14000
ROUNDS, LIMIT, MOST_CPU, LONGEST = 3, 1.6, 1.25, 300.0


def judge(folder: Path, key: Path, jobs: int) -> tuple[float, float]:
    """Seconds for all files of a folder, and the CPU time of all processes."""
    words = [sys.executable, "-m", "tfm_harness.cli.main", "verify", "result", str(folder), "--key", str(key)]
    began, used = time.monotonic(), cpu_time()
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
    return time.monotonic() - began, cpu_time() - used


def cpu_time() -> float:
    """Seconds of the processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


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

        def once() -> tuple[tuple[float, float], ...]:
            few, many = ([judge(folders[count], key, jobs) for jobs in (1, 2)] for count in (FEW, MANY))
            return tuple((long[0] - short[0], long[1] - short[1]) for short, long in zip(few, many, strict=True))

        found = rounds_within(results, "stored results", ROUNDS, once, (subprocess.TimeoutExpired,))
    results.add(
        "stored results, two processes", statistics.median(one[0] / two[0] for one, two in found), to="one process",
        at_least=LIMIT,
    )  # fmt: skip
    results.add(
        "stored results, CPU time of two processes", statistics.median(two[1] / one[1] for one, two in found),
        to="one process", at_most=MOST_CPU,
    )  # fmt: skip
    fastest = min(two[0] for _, two in found)
    results.add("stored results, two processes, a second", (MANY - FEW) / fastest, unit="results/s")
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
