"""The MCC's console: reading its log in any chunks, its failures."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfm_harness.boards.mps3.mcc import MccLog, reboot, reset, watch_start
from tfm_harness.console.base import Console, Mark, Match
from tfm_harness.errors import InfrastructureError

START = (
    b"\r\nARM V2M-MPS3 Boot loader v1.3.2\r\nHBI0309 build 2085\r\n\r\n"
    b"Reading images file \\MB\\HBI0309C\\AN547\\images.txt\r\n"
    b"Writing File \\SOFTWARE\\secure.bin to Address 0x00000000\r\n............\r\n"
    b"File \\SOFTWARE\\secure.bin written to memory address 0x00000000\r\n"
    b"Writing File ns.bin to Address 0x02000000\r\n"
    b"Image loaded from \\SOFTWARE\\ns.bin, no errors\r\n\r\nCmd> "
)


class ScriptedConsole(Console):
    """A console in memory: answers a written line with the bytes that a script gives."""

    def __init__(self, script: dict[bytes, bytes], chunk: int = 7) -> None:
        self.name = "mcc"
        self.data = b""
        self.future = b""
        self.script = script
        self.chunk = chunk

    def mark(self) -> Mark:
        return Mark(len(self.data))

    def write(self, data: bytes) -> None:
        self.future += self.script.get(data, b"")

    def _more(self) -> bool:
        self.data, self.future = self.data + self.future[: self.chunk], self.future[self.chunk :]
        return bool(self.future)

    def wait_for(self, pattern: bytes | re.Pattern[bytes], *, timeout: float, since: Mark | None = None) -> Match:
        assert isinstance(pattern, bytes)
        start = (since or self.mark()).offset
        while (at := self.data.find(pattern, start)) < 0:
            if not self.future:
                raise InfrastructureError("nothing came", kind="console-timeout", seen=self.tail())
            self._more()
        return Match(pattern, at, at + len(pattern))

    def read_from(self, since: Mark, *, limit: int = 1 << 20) -> bytes:
        return self.data[since.offset : since.offset + limit]

    def wait_data(self, since: Mark, *, timeout: float) -> bool:
        while len(self.data) <= since.offset:
            if not self.future:
                return False
            self._more()
        return True

    def subscribe(self, callback: Callable[[bytes], None]) -> Callable[[], None]:
        raise NotImplementedError

    def tail(self, lines: int = 20) -> str:
        return b"\n".join(self.data.splitlines()[-lines:]).decode("ascii", "replace")

    @property
    def transcript(self) -> Path:
        raise NotImplementedError

    @property
    def received(self) -> int:
        return len(self.data)

    def close(self) -> None:
        pass


@given(st.lists(st.integers(0, len(START)), max_size=30))
def test_log_reads_the_same_in_any_chunks(cuts: list[int]) -> None:
    log = MccLog()
    edges = [0, *sorted(cuts), len(START)]
    for begin, end in pairwise(edges):
        log.feed(START[begin:end])
    assert log.images_file == "\\MB\\HBI0309C\\AN547\\images.txt"
    assert log.written == ["secure.bin", "ns.bin"]
    assert log.errors == []
    assert log.ready


def test_truncated_log_is_not_ready() -> None:
    for end in range(len(START) - len(b"Cmd> ") + 3):
        log = MccLog()
        log.feed(START[:end])
        assert not log.ready, end


def test_prompt_of_the_run_before_is_not_ready() -> None:
    log = MccLog()
    log.feed(b"Cmd> reboot\r\nCmd> ")
    assert not log.ready


def test_endless_line_does_not_grow() -> None:
    log = MccLog()
    for _ in range(100):
        log.feed(b"." * 4096)
    assert len(log._pending) <= 8192


def test_reboot_and_watch() -> None:
    console = ScriptedConsole({b"\r": b"\r\nCmd> ", b"reboot\r": b"reboot\r\nRebooting...\r\n" + START})
    log = watch_start(console, reboot(console), ["secure.bin", "NS.BIN"], timeout=1)
    assert log.written == ["secure.bin", "ns.bin"]


def test_silent_mcc() -> None:
    with pytest.raises(InfrastructureError, match="does not answer") as caught:
        reboot(ScriptedConsole({}))
    assert caught.value.kind == "mcc-silent"


def test_a_reset_ends_with_the_prompt_behind_it() -> None:
    """Not with the one before it: the boot before may answer until then."""
    console = ScriptedConsole({b"\r": b"\r\nCmd> ", b"reset\r": b"reset\r\nResetting CPU\r\nCmd> "})
    reset(console)
    assert b"Resetting CPU\r\nCmd>" in console.data
    with pytest.raises(InfrastructureError, match="does not answer") as caught:
        reset(ScriptedConsole({b"\r": b"\r\nCmd> ", b"reset\r": b"reset\r\nResetting CPU\r\n"}))
    assert caught.value.kind == "mcc-silent"


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (START[:130], "mcc-hung"),
        (START.replace(b"ns.bin", b"nt.bin"), "mcc-skipped"),
        (START.replace(b"no errors", b"ERROR: checksum"), "mcc-error"),
        (START.replace(b"\r\nImage loaded", b"\r\nFile ns.bin not found\r\nImage loaded"), "mcc-error"),
    ],
)
def test_failures_are_named(start: bytes, kind: str) -> None:
    console = ScriptedConsole({b"\r": b"Cmd> ", b"reboot\r": start})
    with pytest.raises(InfrastructureError) as caught:
        watch_start(console, reboot(console), ["secure.bin", "ns.bin"], timeout=1)
    assert caught.value.kind == kind


def test_an_mcc_that_starts_for_ever_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfm_harness.boards.mps3.mcc._LONGEST_TALK", 0)
    console = ScriptedConsole({b"\r": b"Cmd> ", b"reboot\r": START[:130] * 100})
    with pytest.raises(InfrastructureError, match="never ends its start") as caught:
        watch_start(console, reboot(console), ["secure.bin"], timeout=1)
    assert caught.value.kind == "mcc-hung"
