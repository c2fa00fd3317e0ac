"""A small client of the GDB remote serial protocol: enough for memory, registers, halt, go and watchpoints.

Source: GDB manual, appendix E "GDB Remote Serial Protocol". Used on QEMU's gdbstub.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tfm_harness.verify.instruction_skips import IT_STATE

__all__ = [
    "ACCESSES",
    "LR",
    "PC",
    "READS",
    "WRITES",
    "XPSR",
    "GdbRemote",
    "GdbRemoteError",
    "UnreadableError",
    "connect_when_up",
]

LR, PC, XPSR = 14, 15, 25
"""GDB's numbers of core registers."""
WRITES, READS, ACCESSES = b"2", b"3", b"4"
"""GDB's kinds of watchpoints."""

_WRITE_CHUNK = 1024
_READ_CHUNK = 2000
_LONGEST_PACKET = 1 << 20
_MOST_STOPS = 1000  # unsolicited stop replies that are skipped before an answer


def connect_when_up(
    control: socket.socket, path: Path, timeout: float = 10.0, given_up: Callable[[], bool] = lambda: False
) -> None:
    """Connect to a unix socket that an emulator has made, but may not listen on yet.

    Raises:
        OSError: nothing listens within `timeout` seconds, or until `given_up` returns True.
    """
    end = time.monotonic() + timeout
    while True:
        try:
            control.connect(str(path))
        except OSError:
            if time.monotonic() > end or given_up():
                raise
            time.sleep(0.005)
        else:
            return


class GdbRemoteError(Exception):
    """The stub refused a command or is gone."""


class UnreadableError(GdbRemoteError):
    """No memory answers at an address; the stub works."""


class GdbRemote:
    """Connected to a gdbstub on a unix socket; the target is halted when `__init__` returns."""

    def __init__(self, path: str, *, timeout: float = 10.0) -> None:
        self._timeout = timeout
        self._socket = self._connect(path)
        self._buffer = b""
        self._acknowledge = True
        self.halted = True
        self._stop_reply = b""
        try:
            self._greet()
        except BaseException:
            self._socket.close()
            raise

    def _greet(self) -> None:
        self.synchronise()
        features = self.command(b"qSupported:xmlRegisters=arm;hwbreak+;swbreak+")
        self.command(b"qXfer:features:read:target.xml:0,ffb")  # QEMU answers p and P only after this
        if b"QStartNoAckMode+" in features:
            self.command(b"QStartNoAckMode")
            self._acknowledge = False

    def _connect(self, path: str) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connect_when_up(connection, Path(path), self._timeout)
        except OSError as error:
            connection.close()
            raise GdbRemoteError(f"no gdbstub at {path}: {error}") from error
        return connection

    def close(self) -> None:
        """Detach: the target continues to run. Safe to call twice."""
        with contextlib.suppress(OSError, GdbRemoteError):
            if self.halted:
                self.command(b"D")
        self._socket.close()

    def _send(self, packet: bytes) -> None:
        try:
            self._socket.sendall(b"$" + packet + b"#%02x" % (sum(packet) & 0xFF))
        except OSError as error:
            raise GdbRemoteError(f"the gdbstub is gone: {error}") from error

    def _packet(self) -> bytes | None:
        start = self._buffer.find(b"$")
        end = self._buffer.find(b"#", start) if start >= 0 else -1
        if end < 0 or len(self._buffer) < end + 3:
            return None
        packet, self._buffer = self._buffer[start + 1 : end], self._buffer[end + 3 :]
        if self._acknowledge:
            self._socket.sendall(b"+")
        return packet

    def _receive(self) -> bytes:
        end = time.monotonic() + self._timeout  # for the whole packet
        while (packet := self._packet()) is None:
            try:
                self._socket.settimeout(max(end - time.monotonic(), 0.001))
                data = self._socket.recv(65536)
            except OSError as error:
                raise GdbRemoteError(f"no answer from the gdbstub: {error}") from error
            if not data:
                raise GdbRemoteError("the gdbstub hung up")
            self._buffer += data
            if time.monotonic() > end or len(self._buffer) > _LONGEST_PACKET:
                raise GdbRemoteError("the gdbstub talks without end")
        return packet

    def command(self, packet: bytes) -> bytes:
        """Send one packet, return the answer."""
        self._send(packet)
        return self._receive()

    def _ok(self, packet: bytes) -> None:
        answer = self.command(packet)
        if answer != b"OK":
            raise GdbRemoteError(f"{packet[:20]!r} refused: {answer!r}")

    def write_memory(self, address: int, data: bytes) -> None:
        """Write physical memory. Raises `GdbRemoteError` if nothing answers at the address."""
        for offset in range(0, len(data), _WRITE_CHUNK):
            chunk = data[offset : offset + _WRITE_CHUNK]
            self._ok(b"M%x,%x:%s" % (address + offset, len(chunk), chunk.hex().encode()))

    def read_memory(self, address: int, length: int) -> bytes:
        """Read memory. Raises `UnreadableError` if no memory answers."""
        data = b""
        while len(data) < length:
            answer = self.command(b"m%x,%x" % (address + len(data), min(_READ_CHUNK, length - len(data))))
            if answer.startswith(b"E") or not answer:
                raise UnreadableError(f"read of 0x{address + len(data):08x} refused: {answer!r}")
            data += bytes.fromhex(answer.decode())
        return data

    def read_register(self, number: int) -> int:
        """Read one 32-bit core register by GDB's number."""
        return int.from_bytes(bytes.fromhex(self.command(b"p%x" % number).decode())[:4], "little")

    def read_wide(self, number: int) -> bytes:
        """Read one register of any width by the stub's number, in the target's byte order.

        Raises:
            GdbRemoteError: the stub has no such register.
        """
        answer = self.command(b"p%x" % number)
        if answer.startswith(b"E") or not answer:
            raise GdbRemoteError(f"register {number} refused: {answer!r}")
        return bytes.fromhex(answer.decode())

    def write_register(self, number: int, value: int) -> None:
        """Set one 32-bit core register."""
        self._ok(b"P%x=%s" % (number, value.to_bytes(4, "little").hex().encode()))

    def poll(self) -> None:
        """Notice a stop that the harness did not ask for."""
        if self.halted:
            return
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self._buffer += self._socket.recv(4096)
        packet = self._packet()
        if packet is not None and packet[:1] in {b"T", b"S"}:
            self.halted = True

    def await_stop(self, timeout: float) -> bool:
        """Whether the running core stops by itself within `timeout` seconds. Raises `GdbRemoteError`."""
        end = time.monotonic() + timeout
        port = self._socket.fileno()
        if port < 0:
            raise GdbRemoteError("the gdbstub's port is closed")
        waiter = select.poll()
        waiter.register(port, select.POLLIN)
        while not self.halted:
            packet = self._packet()
            if packet is not None:
                self.halted = packet[:1] in {b"T", b"S"}
                self._stop_reply = packet
                continue
            if not waiter.poll(max(0.0, end - time.monotonic()) * 1000):
                return False
            try:
                data = self._socket.recv(65536)
            except OSError as error:
                raise GdbRemoteError(f"the gdbstub is gone: {error}") from error
            if not data:
                raise GdbRemoteError("the gdbstub hung up")
            self._buffer += data
        return True

    @property
    def stopped_at_word(self) -> int | None:
        """The word that `watch` watches and at whose access the core stopped."""
        for part in self._stop_reply[3:].split(b";"):
            name, _, value = part.partition(b":")
            if name in {b"watch", b"rwatch", b"awatch"}:
                return int(value, 16)
        return None

    def watch(self, kind: bytes, address: int) -> None:
        """Stop the core before each access of this kind (`WRITES`, `READS`, `ACCESSES`). The core is halted."""
        self._ok(b"Z%s,%x,4" % (kind, address))

    def watch_no_more(self, kind: bytes, address: int) -> None:
        """Undo `watch`. The core is halted."""
        self._ok(b"z%s,%x,4" % (kind, address))

    def step_watched(self, kind: bytes, addresses: Sequence[int]) -> None:
        """After a stop at one of these watched words: let the access happen.

        QEMU 7.2 stops an ARM core before the access, and again and again at the same one.
        """
        for address in addresses:
            self.watch_no_more(kind, address)
        self.step()
        for address in addresses:
            self.watch(kind, address)

    def break_at(self, address: int) -> None:
        """Stop the core before the instruction at `address`. The core is halted."""
        self._ok(b"Z0,%x,2" % address)

    def break_no_more(self, address: int) -> None:
        """Undo `break_at`. The core is halted."""
        self._ok(b"z0,%x,2" % address)

    def step_over(self, address: int, *, still: bool) -> None:
        """Execute the next instruction; with `still` it has a breakpoint of `break_at`, which stays."""
        if still:
            self.break_no_more(address)
        self.step()
        if still:
            self.break_at(address)

    def leave(self, *, breaks: Iterable[int] = (), watches: Iterable[tuple[bytes, int]] = ()) -> None:
        """Halt, remove these breakpoints and watchpoints, let the core run and disconnect. Never raises."""
        with contextlib.suppress(OSError, GdbRemoteError):
            self.halt()
            for address in breaks:
                self.command(b"z0,%x,2" % address)
            for kind, address in watches:
                self.command(b"z%s,%x,4" % (kind, address))
        self.close()

    def halt(self) -> None:
        """Stop the core."""
        self.poll()
        if not self.halted:
            self._socket.sendall(b"\x03")
            self._receive()
            self.halted = True

    def go(self) -> None:
        """Let the core run."""
        if self.halted:
            self._send(b"c")
            self.halted = False

    def synchronise(self) -> None:
        """Skip unsolicited stop replies: QEMU sends them on connecting and when reset while stopped."""
        self._send(b"qAttached")
        for _ in range(_MOST_STOPS):
            if self._receive() in {b"0", b"1"}:
                return
        raise GdbRemoteError("the gdbstub does not answer what was asked")

    def step(self) -> None:
        """Execute one instruction."""
        self.command(b"s")

    def execute(self, code: bytes, registers: Mapping[int, int]) -> dict[int, int]:
        """Let the halted core execute one Thumb instruction of the harness, and restore everything.

        System registers are reached in this way: QEMU's stub ignores writes to them, and does not show all of them.

        Args:
            code: the instruction, 2 or 4 bytes. It may change the general registers only, and must not branch.
            registers: values of r0 to r12 for it, by number.

        Returns:
            r0 to r12 after the instruction.

        Raises:
            GdbRemoteError: the program counter is not after the instruction (it faulted).
        """
        before = {number: self.read_register(number) for number in (*range(13), PC, XPSR)}
        at = before[PC]
        there = self.read_memory(at, len(code))
        try:
            self.write_memory(at, code)
            self.write_register(XPSR, before[XPSR] & ~IT_STATE)  # else the condition of an IT block would apply
            for number, value in registers.items():
                self.write_register(number, value)
            self.step()
            after = {number: self.read_register(number) for number in range(13)}
            ended = self.read_register(PC)
        finally:
            self.write_memory(at, there)
            for number, value in before.items():
                self.write_register(number, value)
        if ended != at + len(code):
            raise GdbRemoteError(f"an instruction at 0x{at:08x} ended at 0x{ended:08x}")
        return after
