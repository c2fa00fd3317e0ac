"""200 simulated boards and 8 sessions on one host: ``python -m benchmarks.farm.scale [--boards 200] [--sessions 8]``.

The boards are simulated by processes of their own (`benchmarks.farm.simulated`), so that what is measured is the host's
part alone: CPU time and memory of the sessions. A session opens its boards as every command does, and its tests are
real ones: an inference is asked for, its signed result verified, kept and compared with the earlier ones. Beside the
200 boards one session with one board is open all the time; both work in turns, so that a busy host slows them alike.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.helper import Helper
from benchmarks.results import Results

FLAT, NOTICED = 1.1, 0.2
"""Most that a test may cost at 200 boards, of its cost at one; most seconds until a dead board is noticed."""
PER_PROCESS = 50
ROUNDS, WARM_UP, TESTS = 3, 10, 25
PAUSE = 0.03
"""Seconds before each test, in which other processes have the CPU, as on real boards, where a test takes longer. The
console's background reader has taken over when the next test begins, and hands over to the test again (0.15 ms)."""
IDLE = 3.0
BUILD = """
name: simulated
protocol: smp
images: []
trust: {results: results.pem, iak: iak.pem}
attestation: {profile: "tag:psacertified.org,2023:psa#tfm"}
results: {profile: tfm-harness-reference}
"""


# --- a session


def session(folder: Path, names: Sequence[str]) -> None:
    """Open the boards and do what the lines on standard input say."""
    from tfm_harness.bench.combination import load_combination
    from tfm_harness.bench.live import LiveCombination, open_bench
    from tfm_harness.boards.base import RunContext
    from tfm_harness.errors import HarnessError
    from tfm_harness.findings import Report

    with contextlib.ExitStack() as stack:
        benches: list[LiveCombination] = []
        before = _memory()
        for name in names:
            run_dir = folder / "run" / name
            run_dir.mkdir(parents=True)
            combination = load_combination(str(folder / f"{name}.yaml"), str(folder / "build.yaml"))
            benches.append(stack.enter_context(open_bench(combination, RunContext(run_dir, folder / "state"))))
        _say({"opened": len(benches), "kilobytes": _memory() - before})

        def test(number: int) -> None:
            time.sleep(PAUSE)
            bench = benches[number]
            bench.begin_test()
            report = Report()
            bench.verifier(report, test="scale").result(bench.device.infer_input(bytes(128)))
            if not report.ok:
                raise SystemExit(f"the benchmark's own board fails: {report.failed}")

        for line in sys.stdin:
            what, _, number = line.strip().partition(" ")
            cpu = time.process_time()
            if what == "work":
                for count in range(int(number)):
                    test(count % len(benches))
            elif what == "idle":
                time.sleep(float(number))
            elif what == "die":
                try:
                    test(int(number))
                except HarnessError:
                    _say({"noticed": time.monotonic()})
                    continue
                raise SystemExit("a dead board answered")
            _say({"cpu": time.process_time() - cpu})


def _say(what: object) -> None:
    print(json.dumps(what), flush=True)


def _memory() -> int:
    """Kilobytes that this process keeps for itself."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


# --- the benchmark


def make_project(folder: Path, ports: Sequence[int]) -> list[str]:
    """The targets of all boards, and the build; the targets' names."""
    from tfm_harness.verify import derive_reference_keys

    identity = derive_reference_keys(bytes(range(32)))
    (folder / "results.pem").write_text(identity.result.pem)
    (folder / "iak.pem").write_text(identity.iak.pem)
    (folder / "build.yaml").write_text(BUILD)
    names = []
    for number, port in enumerate(ports):
        names.append(f"board{number}")
        where = f"{{kind: tcp, host: 127.0.0.1, port: {port}}}"
        (folder / f"board{number}.yaml").write_text(f"kind: attach\nconsoles:\n  ns: {where}\n")
    return names


@contextlib.contextmanager
def farm(folder: Path, boards: int, sessions: int) -> Iterator[tuple[list[Helper], list[Helper]]]:
    """Sessions with their boards open, and the processes that simulate these."""
    simulators: list[Helper] = []
    open_sessions: list[Helper] = []
    try:
        simulators.extend(
            Helper("benchmarks.farm.simulated", str(min(PER_PROCESS, boards - first)))
            for first in range(0, boards, PER_PROCESS)
        )
        ports = [port for simulator in simulators for port in simulator.hear()]
        folder.mkdir()
        names = make_project(folder, ports)
        open_sessions += [
            Helper("benchmarks.farm.scale", "--session", str(folder), *names[number::sessions])
            for number in range(sessions)
        ]
        yield open_sessions, simulators
    finally:
        for helper in (*open_sessions, *simulators):
            helper.end()


def all_do(sessions: Sequence[Helper], what: str) -> list[Any]:
    """Let all sessions do something at once; what each says then."""
    for one in sessions:
        one.tell(what)
    return [one.hear() for one in sessions]


def work(session: Helper) -> float:
    """Seconds of CPU that a session needs for `TESTS` tests.

    Others come before them: the first tests after a pause cost more, and of eight sessions that work in turns each has
    longer pauses than the single one between them.
    """
    all_do([session], f"work {WARM_UP}")
    return float(all_do([session], f"work {TESTS}")[0]["cpu"])


def notice(sessions: Sequence[Helper], simulators: Sequence[Helper]) -> list[float]:
    """Seconds from the death of a board to the session's error, one board of each session."""
    found = []
    for number, one in enumerate(sessions):
        simulator = simulators[number // PER_PROCESS]
        simulator.tell(f"die {number % PER_PROCESS}")
        simulator.hear()  # the order is taken before the session asks
        one.tell("die 0")
        died = simulator.hear()["at"]
        found.append(one.hear()["noticed"] - died)
    return found


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=int, default=200)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--session", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.session:
        session(Path(args.session[0]), args.session[1:])
        return 0
    results = Results("scale")
    with (
        tempfile.TemporaryDirectory() as name,
        farm(Path(name) / "many", args.boards, args.sessions) as (many, simulators),
        farm(Path(name) / "one", 1, 1) as (one, _),
    ):
        opened = [helper.hear() for helper in many]
        one[0].hear()
        all_do(many, f"work {TESTS}")
        all_do(one, f"work {TESTS}")
        ratios, costs = [], []
        for _round in range(ROUNDS):
            # One after the other: on two CPUs eight at once would measure the host's caches.
            spent, single = 0.0, 0.0
            for helper in many:
                single += work(one[0])
                spent += work(helper)
            costs.append(spent / (TESTS * args.sessions))
            ratios.append(spent / single)
        idle = all_do(many, f"idle {IDLE}")
        noticed = notice(many, simulators)
    results.add(f"cost of a test at {args.boards} boards", statistics.median(ratios), to="one board", at_most=FLAT)
    results.add("host's CPU time for a test", statistics.median(costs) * 1000, unit="ms")
    cpu = sum(said["cpu"] for said in idle) / args.boards / IDLE
    results.add("host's CPU time for an open board that waits", cpu * 1e6, unit="us/s")
    memory = sum(said["kilobytes"] for said in opened) / args.boards
    results.add("memory of an open board", memory / 1024, unit="MB")
    results.add("until a dead board is noticed, longest", max(noticed), unit="s", at_most=NOTICED)
    return results.finish()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    sys.exit(main())
