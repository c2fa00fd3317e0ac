"""A UART behind QEMU's multiplexer: nothing is lost, changed or held back."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tfm_harness.boards.base import ResetKind
from tfm_harness.boards.qemu.board import QemuBoard
from tfm_harness.boards.qemu.command import command_line
from tfm_harness.boards.qemu.quick_uart import ESCAPE, MuxTransport, is_quick
from tfm_harness.config.build import Build
from tfm_harness.config.qemu import QemuTarget
from tfm_harness.console.base import Mark
from tfm_harness.testing import ask_line, wait_until_ready

from tests.boards.qemu.test_board import READY


def plain(coded: bytes) -> bytes:
    """What QEMU's multiplexer hands on of what it reads (chardev/char-mux.c)."""
    out = bytearray()
    escaped = False
    for byte in coded:
        if escaped:
            escaped = False
            assert byte in {ESCAPE, 0}, f"a command for the multiplexer: {byte}"
            if byte == 0:
                continue
        elif byte == ESCAPE:
            escaped = True
            continue
        out.append(byte)
    assert not escaped
    return bytes(out)


SMALL = 4096
"""Bytes that a pipe of these tests holds: one page, the least that Linux gives."""


@pytest.fixture
def pair() -> Iterator[tuple[MuxTransport, int]]:
    """Our ends, and the descriptor that QEMU reads."""
    reads, to_qemu = os.pipe()
    from_qemu, writes = os.pipe()
    os.close(writes)
    os.set_blocking(reads, False)
    fcntl.fcntl(to_qemu, fcntl.F_SETPIPE_SZ, SMALL)
    transport = MuxTransport(from_qemu, to_qemu)
    yield transport, reads
    transport.close()
    with contextlib.suppress(OSError):
        os.close(reads)


def test_every_byte_passes_as_it_is(pair: tuple[MuxTransport, int]) -> None:
    ours, reads = pair
    data = bytes(range(256)) + bytes([ESCAPE] * 3) + b"end"
    assert not ours.unread_by_peer()
    assert ours.write(memoryview(data)) == len(data)
    ours.knock()
    assert ours.write(b"") == 0
    assert ours.unread_by_peer()
    assert plain(os.read(reads, SMALL)) == data
    assert not ours.unread_by_peer()


FEW_VALUES = bytes((ESCAPE, 0, 65)[value % 3] for value in range(256))


@pytest.mark.parametrize("seed", range(3))
def test_a_full_pipe_cuts_no_pair(pair: tuple[MuxTransport, int], seed: int) -> None:
    ours, reads = pair
    draw = random.Random(seed)
    sent, got, stood = bytearray(), bytearray(), 0
    while len(sent) < 1 << 15 or stood < 20:
        data = draw.randbytes(draw.choice((1, 3, 500, 5000))).translate(FEW_VALUES)
        at = 0
        while at < len(data):
            taken = ours.write(data[at:])
            sent += data[at : at + taken]
            at += taken
            if at < len(data):
                stood += 1
                ours.knock()
                got += os.read(reads, draw.choice((1, 7, SMALL)))
    ours.close()
    while more := os.read(reads, SMALL):
        got += more
    assert plain(bytes(got)) == sent


def test_a_knock_at_a_pipe_that_nobody_reads_does_nothing(pair: tuple[MuxTransport, int]) -> None:
    ours, reads = pair
    os.close(reads)
    ours.knock()
    ours.close()
    ours.knock()


def test_only_consoles_that_can_take_it_are_behind_it(probe_build: Build, qemu_target: QemuTarget) -> None:
    bursts = probe_build.model_copy(update={"uart_bursts": True})
    assert is_quick(qemu_target, bursts, "ns")
    assert not is_quick(qemu_target, bursts, "secure")
    assert not is_quick(qemu_target, probe_build, "ns")
    assert not is_quick(qemu_target.model_copy(update={"machine": "musca-a"}), bursts, "ns")


def test_the_escape_byte_is_named_where_a_console_is_behind_the_multiplexer(
    qemu_target: QemuTarget, probe_build: Build
) -> None:
    """Where none is, QEMU's command line has nothing that does nothing."""

    more: dict[str, Any] = {"otp": None, "entropy": None, "nv_file": None, "deterministic": False}

    def words(consoles: dict[str, int]) -> list[str]:
        return command_line(qemu_target, probe_build, consoles=consoles, qmp=4, **more)

    everyone = dict.fromkeys(qemu_target.consoles, 3)
    assert "-echr" not in words(everyone)
    del everyone["ns"]
    quick = words(everyone)
    assert quick[quick.index("-echr") + 1] == hex(ESCAPE)
    assert [word for word in quick if "mux=on" in word] == ["stdio,id=uart0,signal=off,mux=on"]


@pytest.fixture
def quick_board(make_qemu: Callable[..., QemuBoard], probe_build: Build) -> QemuBoard:
    board = make_qemu()
    board.acquire()
    board.flash(probe_build.model_copy(update={"uart_bursts": True}))
    return board


@pytest.mark.qemu
def test_the_firmware_gets_every_byte(quick_board: QemuBoard) -> None:
    wait_until_ready(quick_board, READY)
    port = quick_board.console("ns")
    text = bytes(sorted(set(range(1, 256)) - {10}))[:250]
    mark = port.mark()
    port.write(b"echo " + text + b"\n")
    port.wait_for(text + b"\n", timeout=10, since=mark)


@pytest.mark.qemu
def test_what_is_sent_before_the_firmware_listens_reaches_it(quick_board: QemuBoard) -> None:
    """The probe speaks long before it listens, and so few bytes all fit into the multiplexer."""
    port = quick_board.console("ns")
    port.write(b"echo first\n")
    port.wait_for(b"first\n", timeout=20, since=Mark(0))
    for kind in (ResetKind.WARM, ResetKind.COLD, ResetKind.WARM):
        mark = port.mark()
        quick_board.reset(kind)
        port.write(b"echo again\n")
        port.wait_for(b"again\n", timeout=20, since=mark)
    mark = port.mark()
    port.write(b"reset\n")
    port.wait_for(READY, timeout=20, since=mark)
    assert ask_line(quick_board, "echo after its own reset") == "after its own reset"
