"""Sessions killed at random moments: ``python -m tests.campaigns.kills --kills 1000 --seed 1``.

Each kill: a session on a board (``--kinds``; real boards' kinds through their simulators) gets SIGKILL, SIGTERM, SIGINT
or SIGHUP at a moment between its start and its usual end. Then must hold: no process of it is left after ``--limit``
seconds, no lock is held, no file lies outside the run's folder, the state folder can be read and names the same board,
and (each ``--next``-th time) the next session passes. Needs the built reference firmware and QEMU. Exit status 0:
nothing found; 1: findings, each with the number of the kill; the same seed gives the same signals and moments.
A finding is printed when it is found, and a line after each whole run, so that a campaign that is stopped has said
how far it came; ``--minutes`` ends it by itself.
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
from typing import Final

import yaml
from tfm_harness.boards.lock_files import user_name
from tfm_harness.boards.locks import BoardUse, list_boards, list_host

from tests.boards.real_build import write_build
from tests.reference_firmware import FIRMWARE, ROOT

SIGNALS: Final = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
POLITE_END: Final = 60.0  # a session that was asked to end gives its board back first
TESTS: Final = """
import pytest

@pytest.mark.parametrize("n", range(6))
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


class Campaign:
    """Kills of sessions on one kind of board, in a folder of its own."""

    def __init__(self, kind: str, board: Board, folder: Path, limit: float) -> None:
        self.kind = kind
        self.folder = folder
        self.limit = limit
        self.findings: list[str] = []
        self.slowest = 0.0
        self._board = board
        self._token = f"campaign-{os.getpid()}-{kind}"
        self.work = folder / "work"
        for name in ("work", "tmp", "home", "state", "locks"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (self.work / "test_it.py").write_text(TESTS)
        (self.work / "pytest.ini").write_text("[pytest]\n")
        self._identity: dict[str, bytes] = {}

    def start(self) -> subprocess.Popen[bytes]:
        """A session; every process of it has the campaign's mark in its PATH, which even bare environments keep."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            **self._board.environment,
            "PATH": f"{os.environ['PATH']}:/nonexistent/{self._token}",
            "TMPDIR": str(self.folder / "tmp"),
            "HOME": str(self.folder / "home"),
            "TFM_HARNESS_STATE_DIR": str(self.folder / "state"),
            "TFM_HARNESS_LOCK_DIR": str(self.folder / "locks"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *self._board.options]
        with (self.folder / "session.log").open("wb") as log:
            return subprocess.Popen(
                words, cwd=self.work, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def left(self) -> list[str]:
        """Processes with the mark."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self._token.encode() in (path / "environ").read_bytes():
                    state = (path / "stat").read_text().rpartition(")")[2].split()[0]
                    if state != "Z":
                        words = (path / "cmdline").read_bytes().replace(b"\0", b" ")[:120]
                        found.append(f"{path.name} {words.decode(errors='replace')}")
        return found

    def clean(self, number: str) -> float:
        """A whole session; how long it took."""
        began = time.monotonic()
        session = self.start()
        try:
            code = str(session.wait(300))
        except subprocess.TimeoutExpired:
            session.kill()
            code = "hung"
        if code != "0":
            said = (self.folder / "session.log").read_text(errors="replace")[-3000:]
            self.findings.append(f"{self.kind} {number}: the next run did not pass ({code}):\n{said}")
        took = time.monotonic() - began
        self._check(number)
        return took

    def kill(self, number: int, how: signal.Signals, after: float) -> None:
        """One session, killed."""
        session = self.start()
        with contextlib.suppress(subprocess.TimeoutExpired):
            session.wait(after)
        session.send_signal(how)
        try:
            session.wait(POLITE_END)
        except subprocess.TimeoutExpired:
            self.findings.append(f"{self.kind} kill {number}: {how.name} after {after:.2f} s did not end it")
            session.kill()
            session.wait()
        self._check(f"kill {number} ({how.name} after {after:.2f} s)")

    def _check(self, number: str) -> None:
        began = time.monotonic()
        while (left := self.left()) and time.monotonic() - began < max(self.limit, 10.0):
            time.sleep(0.01)
        took = time.monotonic() - began
        self.slowest = max(self.slowest, took)
        if left or took > self.limit:
            self.findings.append(f"{self.kind} {number}: processes lived {took:.2f} s: {left or 'gone by then'}")
        held = [use.name for use in self._uses() if use.locked]
        if held:
            self.findings.append(f"{self.kind} {number}: still locked: {held}")
        strange = [str(path) for name in ("tmp", "home") for path in (self.folder / name).rglob("*") if path.is_file()]
        # pytest's own folder of temporary files; its next run cleans it up
        strange = [path for path in strange if f"/tmp/pytest-of-{user_name(os.geteuid())}/" not in path]
        strange += [str(path) for path in self.work.iterdir() if path.name not in {"runs", "test_it.py", "pytest.ini"}]
        if strange:
            self.findings.append(f"{self.kind} {number}: outside the run's folder: {strange}")
        self._check_state(number)

    def _uses(self) -> list[BoardUse]:
        os.environ["TFM_HARNESS_LOCK_DIR"] = str(self.folder / "locks")
        return [*list_boards(self.folder / "state"), *list_host()]

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


def run(
    kinds: list[str], kills: int, seed: int, folder: Path, *, limit: float, each: int, minutes: float = math.inf
) -> list[str]:
    """The campaign over all kinds in turn; its findings. Prints a line for each kind and each whole run."""
    findings: list[str] = []
    chance = random.Random(seed)
    over = time.monotonic() + minutes * 60
    for position, kind in enumerate(kinds):
        share = kills // len(kinds) + (position < kills % len(kinds))
        place = folder / kind
        place.mkdir(parents=True)
        counts: Counter[str] = Counter()
        with contextlib.contextmanager(KINDS[kind])(place) as board:
            campaign = Campaign(kind, board, place, limit)
            usual, told = campaign.clean("clean run"), 0
            for number in range(1, share + 1):
                how = SIGNALS[chance.randrange(len(SIGNALS))]
                counts[how.name] += 1
                campaign.kill(number, how, chance.random() * usual)
                done = number == share or time.monotonic() > over
                if number % each == 0 or done:
                    campaign.clean(f"kill {number}")
                    print(f"{kind}: {number} of {share} kills, {len(campaign.findings)} findings", flush=True)
                for finding in campaign.findings[told:]:
                    print(finding, flush=True)
                told = len(campaign.findings)
                if done:
                    break
        share = sum(counts.values())
        findings += campaign.findings
        said = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        print(
            f"{kind}: {share} kills ({said}), seed {seed}, a run takes {usual:.1f} s; "
            f"{len(campaign.findings)} findings; the last process was gone after {campaign.slowest:.2f} s at most",
            flush=True,
        )
    return findings


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"of {', '.join(KINDS)}")
    parser.add_argument("--limit", type=float, default=1.0, help="seconds a process may outlive its session")
    parser.add_argument("--next", type=int, default=5, help="a whole run after each so many kills")
    parser.add_argument("--minutes", type=float, default=math.inf, help="no further kill after so long")
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder")
    args = parser.parse_args()
    kinds = args.kinds.split(",")
    findings = run(
        kinds, args.kills, args.seed, args.folder.resolve(), limit=args.limit, each=args.next, minutes=args.minutes
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
