"""Sessions killed at random moments: ``python -m tests.campaigns.kills --kills 1000 --seed 1``.

Each kill: a session on a board (``--kinds``; real boards' kinds through their simulators) gets SIGKILL, SIGTERM, SIGINT
or SIGHUP at a moment between its start and its usual end. Then must hold: no process of it is left after ``--limit``
seconds, no lock is held, no file lies outside the run's folder, no record says "passed" of tests that reached no end,
the state folder can be read and names the same board, and (each ``--next``-th time) the next session passes. Needs the
built reference firmware and QEMU. Exit status 0: nothing found; 1: findings, each with the number of the kill; the same
seed gives the same signals and moments (as parts of a usual run). A session that ended before its moment is not
counted. A line is printed after each kill, and a finding when it is found, so that a campaign that is stopped has said
how far it came; ``--minutes`` ends it by itself.

Most of a short session are its imports, where there is little to leave behind. So sessions are forked from a process
that has imported already (`tests.warm`), and the moments fall where a board is held; each ``--cold``-th kill meets a
session of a new interpreter. Workers of a pool are new interpreters always.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import yaml
from tfm_harness.boards.lock_files import user_name
from tfm_harness.boards.locks import BoardUse, list_boards, list_host

from tests.boards.real_build import write_build
from tests.reference_firmware import FIRMWARE, ROOT
from tests.warm import WarmServer

SIGNALS: Final = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
POLITE_END: Final = 60.0  # a session that was asked to end gives its board back first
_MODULES: Final = (
    "tfm_harness.boards.fvp.board", "tfm_harness.boards.mps3.board", "tfm_harness.boards.probe.board",
    "tfm_harness.boards.provision", "tfm_harness.boards.qemu.board", "tfm_harness.parity.accuracy_catalogue",
    "tfm_harness.parity.model_info", "tfm_harness.stimulus.player", "tfm_harness.stimulus.qmp", "tflite", "tomllib",
)  # fmt: skip
"""What sessions on these boards import beside the usual."""
TEST_COUNT: Final = 31
TESTS: Final = """
import pytest

@pytest.mark.parametrize("n", range(30))
def test_it_serves(device, n):
    assert device.describe()

def test_after_a_reset(bench):
    bench.device.describe()
"""


@dataclass
class Board:
    """A board that sessions can be started on."""

    options: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def _qemu(folder: Path, count: int) -> Path:
    target = yaml.safe_load((ROOT / "targets" / "qemu-an547.yaml").read_text())
    if count > 1:
        target["count"] = count
    path = folder / "qemu.yaml"
    path.write_text(yaml.safe_dump(target))
    return path


def _qemu_board(folder: Path) -> Iterator[Board]:
    yield Board(("--tfm-target", str(_qemu(folder, 1)), "--tfm-build", str(FIRMWARE / "build.yaml")))


def _pool(folder: Path) -> Iterator[Board]:
    yield Board(("--tfm-target", str(_qemu(folder, 2)), "--tfm-build", str(FIRMWARE / "build.yaml"), "-n", "2"))


_SENSORS = """\
sensors: {mag: {model: lsm303dlhc, address: 0x1e}, temp: {model: tmp105, address: 0x48}}
clock: {source: sse-counter, hz: 32000000}
"""


def _fvp(folder: Path) -> Iterator[Board]:
    from tfm_harness.testing.simulators import fvp

    (folder / "fvp-bin").mkdir()
    binary = fvp.install(folder / "fvp-bin")
    target = yaml.safe_load((ROOT / "targets" / "fvp-corstone300.yaml").read_text())
    path = folder / "fvp.yaml"
    path.write_text(yaml.safe_dump({**target, "binary": str(binary), **yaml.safe_load(_SENSORS)}))
    yield Board(("--tfm-target", str(path), "--tfm-build", str(FIRMWARE / "build.yaml")))


def _mps3(folder: Path) -> Iterator[Board]:
    from tfm_harness.testing.simulators.mps3 import StandInMps3, make_card

    card = make_card(folder / "V2M-MPS3")
    with StandInMps3(card, folder, entropy_at=0x38001000, flash=True) as fake:
        path = folder / "mps3.yaml"
        path.write_text(
            f"kind: mps3\ndisk: {{mount: {card}}}\nmcc: {{kind: serial, port: {fake.ports[0]}, reconnect: 5}}\n"
            f"consoles:\n  ns: {{kind: serial, port: {fake.ports[1]}, reconnect: 5}}\n"
            f"  secure: {{kind: serial, port: {fake.ports[2]}, reconnect: 5}}\n{_SENSORS}"
        )
        yield Board(("--tfm-target", str(path), "--tfm-build", str(write_build(folder / "build"))))


def _probe(folder: Path) -> Iterator[Board]:
    from tfm_harness.testing.simulators.probe_board import StandInProbeBoard, entry_point_folder

    site = entry_point_folder(folder / "site")
    with StandInProbeBoard("TESTPROBE1", folder / "p") as fake:
        path = folder / "probe.yaml"
        path.write_text(
            "kind: probe\nprobe: TESTPROBE1\nstart: 0x10000000\nregions:\n"
            "  itcm: {start: 0x10000000, size: 512K}\n  dtcm: {start: 0x30000000, size: 512K}\n"
            "  sram: {start: 0x01000000, size: 2M}\n  qspi: {start: 0x38000000, size: 8M}\n"
            f"consoles:\n  ns: {{kind: tcp, host: 127.0.0.1, port: {fake.ports[0]}}}\n"
            f"  secure: {{kind: tcp, host: 127.0.0.1, port: {fake.ports[1]}}}\n{_SENSORS}"
        )
        name, value = fake.environment
        build = write_build(folder / "build", entropy=True)
        environment = {name: value, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
        yield Board(("--tfm-target", str(path), "--tfm-build", str(build)), environment)


KINDS: Final = {"qemu": _qemu_board, "pool": _pool, "fvp": _fvp, "mps3": _mps3, "probe": _probe}


class _Session(Protocol):
    """A session that runs. Its waits raise `TimeoutError`."""

    def wait(self, limit: float) -> int: ...

    def signal(self, how: signal.Signals) -> None: ...

    def end(self) -> None: ...


class _Started:
    """A session of a new interpreter."""

    def __init__(self, words: list[str], folder: Path, environment: dict[str, str], log: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *words], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip

    def wait(self, limit: float) -> int:
        try:
            return self._process.wait(limit)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None

    def signal(self, how: signal.Signals) -> None:
        self._process.send_signal(how)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


class _Forked:
    """A session that a warm process has forked."""

    def __init__(
        self, forks: WarmServer, words: list[str], folder: Path, environment: dict[str, str], log: int
    ) -> None:
        self._forks = forks
        self._pid = forks.start(words, folder, log, log, environment)

    def wait(self, limit: float) -> int:
        return self._forks.wait(limit)

    def signal(self, how: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # it ended just now
            os.kill(self._pid, how)

    def end(self) -> None:
        self.signal(signal.SIGKILL)
        self._forks.wait()


class Campaign:
    """Kills of sessions on one kind of board, in a folder of its own."""

    def __init__(self, kind: str, board: Board, folder: Path, limit: float) -> None:
        self.kind = kind
        self.folder = folder
        self.limit = limit
        self.findings: list[str] = []
        self.patience = max(limit, 10.0)
        self.slowest = 0.0
        self._board = board
        self._token = f"campaign-{os.getpid()}-{kind}"
        self._forks = WarmServer(self.environment(), _MODULES)
        self.work = folder / "work"
        for name in ("work", "tmp", "home", "state", "locks"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (self.work / "test_it.py").write_text(TESTS)
        (self.work / "pytest.ini").write_text("[pytest]\n")
        self._tests = TEST_COUNT
        self._records: set[Path] = set()
        self._strange: set[str] = set()
        self._identity: dict[str, bytes] = {}

    def environment(self) -> dict[str, str]:
        """Every process of a session has the campaign's mark in its PATH, which even bare environments keep."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            **self._board.environment,
            "PATH": f"{os.environ['PATH']}:/nonexistent/{self._token}",
            "TMPDIR": str(self.folder / "tmp"),
            "HOME": str(self.folder / "home"),
            "TFM_HARNESS_STATE_DIR": str(self.folder / "state"),
            "TFM_HARNESS_LOCK_DIR": str(self.folder / "locks"),
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else each session compiles all that it imports
        return environment

    def start(self, *, cold: bool = True) -> _Session:
        """A session, of a new interpreter or forked."""
        words = ["-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:anyio", *self._board.options]
        with (self.folder / "session.log").open("wb") as log:
            if cold:
                return _Started(words, self.work, self.environment(), log.fileno())
            return _Forked(self._forks, words, self.work, self.environment(), log.fileno())

    def close(self) -> None:
        """End what forks."""
        self._forks.stop()

    def left(self) -> list[str]:
        """Processes with the mark."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            if path.name == str(self._forks.pid):
                continue
            with contextlib.suppress(OSError):
                if self._token.encode() in (path / "environ").read_bytes():
                    state = (path / "stat").read_text().rpartition(")")[2].split()[0]
                    if state != "Z":
                        words = (path / "cmdline").read_bytes().replace(b"\0", b" ")[:120]
                        found.append(f"{path.name} {words.decode(errors='replace')}")
        return found

    def clean(self, number: str, *, cold: bool = True) -> float:
        """A whole session; how long it took."""
        began = time.monotonic()
        session = self.start(cold=cold)
        try:
            code = str(session.wait(300))
        except TimeoutError:
            session.end()
            code = "hung"
        if code != "0":
            said = (self.folder / "session.log").read_text(errors="replace")[-3000:]
            self.findings.append(f"{self.kind} {number}: the next run did not pass ({code}):\n{said}")
        took = time.monotonic() - began
        self.check(number)
        return took

    def kill(self, number: int, how: signal.Signals, after: float, *, cold: bool) -> bool:
        """One session, killed; False when it ended before."""
        session = self.start(cold=cold)
        killed = False
        try:
            session.wait(after)
        except TimeoutError:
            killed = True
            session.signal(how)
            try:
                session.wait(POLITE_END)
            except TimeoutError:
                self.findings.append(f"{self.kind} kill {number}: {how.name} after {after:.2f} s did not end it")
                session.end()
        self.check(f"kill {number} ({how.name} after {after:.2f} s)")
        return killed

    def _held(self) -> list[str]:
        return [use.name for use in self._uses() if use.locked]

    def check(self, number: str) -> None:
        """Look at what a session has left."""
        began = time.monotonic()
        # A process that is about to be gone has no environment any more, by which it is known, but still its files.
        while ((left := self.left()) or self._held()) and time.monotonic() - began < self.patience:
            time.sleep(0.01)
        took = time.monotonic() - began
        self.slowest = max(self.slowest, took)
        held = self._held()
        if left or (took > self.limit and not held):
            self.findings.append(f"{self.kind} {number}: processes lived {took:.2f} s: {left or 'gone by then'}")
        if held:
            self.findings.append(f"{self.kind} {number}: still locked after {took:.2f} s: {held}")
        strange = [
            str(path) for name in ("tmp", "home") for path in (self.folder / name).rglob("*") if not path.is_dir()
        ]
        # pytest's own folder of temporary files; its next run cleans it up
        own = f"{self.folder}/tmp/pytest-of-{user_name(os.geteuid())}/"
        strange = [path for path in strange if not path.startswith(own)]
        usual = {"runs", "test_it.py", "pytest.ini", "__pycache__"}
        strange += [str(path) for path in self.work.iterdir() if path.name not in usual]
        strange = sorted(set(strange) - self._strange)
        self._strange.update(strange)  # each is told once
        if strange:
            self.findings.append(f"{self.kind} {number}: outside the run's folder: {strange}")
        self._check_records(number)
        self._check_state(number)

    def _uses(self) -> list[BoardUse]:
        os.environ["TFM_HARNESS_LOCK_DIR"] = str(self.folder / "locks")
        return [*list_boards(self.folder / "state"), *list_host()]

    def _check_records(self, number: str) -> None:
        """What a record says is true of the tests in it; looked at once each."""
        for path in set(self.work.glob("runs/*/run.json")) - self._records:
            self._records.add(path)
            try:
                record = json.loads(path.read_text())
            except ValueError:
                self.findings.append(f"{self.kind} {number}: {path.parent.name}/run.json is not whole")
                continue
            tests = record.get("tests", [])  # none: it ended before they were collected
            ended = [test for test in tests if test.get("outcome", "passed") == "passed"]
            if record["verdict"] == "passed" and not len(ended) == len(tests) == self._tests:
                self.findings.append(
                    f"{self.kind} {number}: {path.parent.name} says passed, and {len(ended)} of {self._tests} passed"
                )

    def _check_state(self, number: str) -> None:
        """What is kept of a board is whole, and stays the same board."""
        for path in (self.folder / "state" / "boards").glob("*/*"):
            if path.suffix == ".json":
                try:
                    json.loads(path.read_text())
                except ValueError:
                    self.findings.append(f"{self.kind} {number}: {path.name} is not whole")
        secrets = {str(path): path.read_bytes() for path in (self.folder / "state" / "boards").glob("*/huk*")}
        if any(secrets.get(name) != value for name, value in self._identity.items()):
            self.findings.append(f"{self.kind} {number}: another identity than before")
        self._identity = secrets


@dataclass(frozen=True)
class Plan:
    """How a campaign goes.

    Attributes:
        kills: of all kinds together.
        seed: the same signals and moments again.
        limit: seconds that a process may outlive its session.
        each: a whole run after each so many kills.
        cold: each so-many-th kill meets a session of a new interpreter.
        minutes: no further kill after so long.
    """

    kills: int
    seed: int
    limit: float = 1.0
    each: int = 5
    cold: int = 10
    minutes: float = math.inf


def run(kinds: list[str], plan: Plan, folder: Path) -> list[str]:
    """The campaign over all kinds in turn; its findings. Prints a line for each kind, each kill and each finding."""
    findings: list[str] = []
    chance = random.Random(plan.seed)
    over = time.monotonic() + plan.minutes * 60
    for position, kind in enumerate(kinds):
        share = plan.kills // len(kinds) + (position < plan.kills % len(kinds))
        place = folder / kind
        place.mkdir(parents=True)
        with contextlib.contextmanager(KINDS[kind])(place) as board:
            campaign = Campaign(kind, board, place, plan.limit)
            with contextlib.closing(campaign):
                _kills(campaign, share, chance, plan, over)
        findings += campaign.findings
    return findings


def _kills(campaign: Campaign, share: int, chance: random.Random, plan: Plan, over: float) -> None:
    """All of one kind; `over` is the moment after which none is begun."""
    counts: Counter[str] = Counter()
    usual = {True: campaign.clean("clean run") if share >= plan.cold else 0.0, False: 0.0}
    if plan.cold > 1:
        campaign.clean("first fork", cold=False)  # with the imports of what forks
        usual[False] = campaign.clean("clean fork", cold=False)
    told = early = 0
    while (number := sum(counts.values())) < share and time.monotonic() < over:
        how = SIGNALS[chance.randrange(len(SIGNALS))]
        number += 1
        cold = number % plan.cold == 0
        after = chance.random() * usual[cold]
        if not campaign.kill(number, how, after, cold=cold):  # the host is less busy than when a run was measured
            usual[cold] *= 0.8
            early += 1
            continue
        counts[how.name] += 1
        if number % plan.each == 0 or number == share or time.monotonic() > over:
            usual[cold] = campaign.clean(f"kill {number}", cold=cold)
        print(
            f"{campaign.kind}: {number} of {share} kills, {how.name} after {after:.2f} s"
            f"{' (cold)' if cold else ''}, {len(campaign.findings)} findings",
            flush=True,
        )
        for finding in campaign.findings[told:]:
            print(finding, flush=True)
        told = len(campaign.findings)
    said = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    print(
        f"{campaign.kind}: {sum(counts.values())} kills ({said}), seed {plan.seed}, {early} sessions ended before; "
        f"a run takes {usual[True]:.1f} s, {usual[False]:.1f} s forked; {len(campaign.findings)} findings; "
        f"the last process was gone after {campaign.slowest:.2f} s at most",
        flush=True,
    )


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"of {', '.join(KINDS)}")
    parser.add_argument("--limit", type=float, default=1.0, help="seconds a process may outlive its session")
    parser.add_argument("--next", type=int, default=5, help="a whole run after each so many kills")
    parser.add_argument("--cold", type=int, default=10, help="each so-many-th kill meets a new interpreter")
    parser.add_argument("--minutes", type=float, default=math.inf, help="no further kill after so long")
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder")
    args = parser.parse_args()
    plan = Plan(args.kills, args.seed, limit=args.limit, each=args.next, cold=args.cold, minutes=args.minutes)
    findings = run(args.kinds.split(","), plan, args.folder.resolve())
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
