"""A device that chatters, drips, floods or sends damage without end: each way to wait ends at its deadline.

The clock is the test's own: each look at the console takes ten milliseconds, and in each of them the device sends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from tfm_harness.console.base import Mark
from tfm_harness.console.deadline import Deadline
from tfm_harness.errors import HarnessError, InfrastructureError, ProductError
from tfm_harness.protocol.smp.frame import encode_frame
from tfm_harness.protocol.smp.header import GROUP_OS, Header, Op
from tfm_harness.protocol.smp.link import SmpLink
from tfm_harness.protocol.smp.link_records import Request
from tfm_harness.protocol.zephyr_shell.session import ShellSession
from tfm_harness.testing import MemoryConsole

STEP = 0.01
FRAME = encode_frame(Header.pack(Op.WRITE, GROUP_OS, 0, 200, 4) + b"\xa1\x61r\x01")
NOISE = {
    "log lines": b"[00:00:01] still here\r\n",
    "dripping text": b".",
    "damaged frames": FRAME[:12] + b"!!!!" + FRAME[16:],
    "half frames": FRAME[: len(FRAME) // 2] + b"\n",
    "frame starts": FRAME[:2],
    "prompts": b"uart:~$ \r\n",
    "nothing printable": bytes(range(128, 160)),
}
REQUEST = Request(op=Op.WRITE, group=GROUP_OS, command=0, payload=b"\xa1\x61d\x61x", safe=True, name="echo")


class Chatter(MemoryConsole):
    """Sends `noise` whenever somebody waits or looks; the clock goes on with each look."""

    def __init__(self, path: Path, noise: bytes) -> None:
        super().__init__(lambda _: b"", path)
        self.noise = noise
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def wait_data(self, since: Mark, *, timeout: float) -> bool:
        self.now += min(STEP, max(timeout, 0.0)) or STEP / 10
        self.push(self.noise)
        return super().wait_data(since, timeout=0)

    def read_from(self, since: Mark, *, limit: int = 1 << 20) -> bytes:
        self.now += STEP / 10
        self.push(self.noise)
        return super().read_from(since, limit=limit)


@pytest.fixture(params=sorted(NOISE))
def console(request: pytest.FixtureRequest, tmp_path: Path) -> Chatter:
    return Chatter(tmp_path / "ns.log", NOISE[request.param])


def ask(link: SmpLink) -> object:
    return link.request(REQUEST, timeout=2.0)


def ask_many(link: SmpLink) -> object:
    return link.burst([REQUEST] * 8, timeout=2.0)


def drain(link: SmpLink) -> object:
    return link.drain(quiet=0.5, limit=6.0)


def settle(link: SmpLink) -> None:
    link.settle()


@pytest.mark.parametrize("way", [ask, ask_many, drain, settle])
def test_smp_ends(console: Chatter, way: Callable[[SmpLink], object]) -> None:
    link = SmpLink(console, clock=console.clock)
    with contextlib.suppress(InfrastructureError, ProductError):
        way(link)
    assert console.now < 7.0


def test_frames_without_end_are_the_products(tmp_path: Path) -> None:
    console = Chatter(tmp_path / "ns.log", FRAME)
    link = SmpLink(console, clock=console.clock)
    with pytest.raises(ProductError, match="without end") as caught:
        link.drain(quiet=0.5, limit=3.0)
    assert caught.value.kind == "smp-flood"
    assert console.now < 4.0


def test_log_lines_do_not_hide_that_frames_have_ended(tmp_path: Path) -> None:
    console = Chatter(tmp_path / "ns.log", NOISE["log lines"])
    link = SmpLink(console, clock=console.clock)
    assert link.drain(quiet=0.5, limit=6.0) == []
    assert console.now < 1.0


def test_the_shell_ends(console: Chatter) -> None:
    session = ShellSession(console, clock=console.clock)
    with pytest.raises(HarnessError):
        session.command("infer get", timeout=5.0)
    assert console.now < 13.0


def test_a_deadline_is_a_moment() -> None:
    now = 5.0
    deadline = Deadline.after(2.0, lambda: now)
    assert (deadline.left(), deadline.left(0.5), deadline.passed) == (2.0, 0.5, False)
    assert deadline.sooner(1.0).at == 6.0
    assert deadline.sooner(9.0).at == 7.0
    now = 8.0
    assert (deadline.left(), deadline.passed) == (0.0, True)
