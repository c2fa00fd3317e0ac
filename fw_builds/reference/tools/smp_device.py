"""A small client of the pseudo-driver's protocol (docs/protocol.md) on PyPI's `smp`, for the firmware's own tests."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

import cbor2
from smp import header as smp_header
from smp import packet

__all__ = ["GROUP_INFERENCE", "GROUP_OS", "Device", "Refused"]

GROUP_OS = 0
GROUP_INFERENCE = 64

_READ, _WRITE = smp_header.OP.READ, smp_header.OP.WRITE
_START = packet.START_DELIMITER


class Refused(Exception):  # noqa: N818 - the device's answer, not a fault of ours
    """The device answered with an error.

    Attributes:
        group: 64 and `rc` a negated psa_status_t, or None and `rc` an SMP error.
    """

    def __init__(self, group: int | None, rc: int) -> None:
        super().__init__(f"refused: group {group}, rc {rc}")
        self.group = group
        self.rc = rc


class Device:
    """Requests and answers over a connected socket.

    `poke` is called after each message sent: QEMU holds back the first byte after a boot until its monitor is used.
    """

    def __init__(self, connection: socket.socket, poke: Callable[[], object], *, timeout: float = 120.0) -> None:
        self._socket = connection
        self._poke = poke
        self._timeout = timeout
        self._buffer = bytearray()
        self._sequence = itertools.cycle(range(256))
        self._poked = False
        self.log: list[str] = []
        self.watch: Callable[[bytes, bytes], None] | None = None  # called with each request and its answer

    def restarted(self) -> None:
        """The device was reset: its next first byte needs a poke, what it had sent before is void."""
        self._poked = False

    # --- messages ---------------------------------------------------------------------------

    def send_raw(self, data: bytes) -> None:
        """Put bytes on the wire."""
        self._socket.settimeout(self._timeout)
        self._socket.sendall(data)
        if not self._poked:
            self._poke()
            self._poked = True

    def line(self, timeout: float | None = None) -> bytes:
        """The next line, without its LF. Raises TimeoutError, ConnectionError."""
        limit = self._timeout if timeout is None else timeout
        end = time.monotonic() + limit
        while b"\n" not in self._buffer:
            self._socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                unfinished, said = bytes(self._buffer[-80:]), self.log[-3:]
                raise TimeoutError(
                    f"no whole line on UART0 within {limit:g} s; unfinished: {unfinished!r}; text lines before: {said}"
                ) from None
            if not data:
                raise ConnectionError("the device's UART was closed: QEMU has ended")
            self._buffer += data
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        return line

    def receive(self, timeout: float | None = None) -> bytes:
        """The next SMP message; lines of text on the way go to `log`."""
        decoder = packet.decode()
        next(decoder)
        started = False
        while True:
            line = self.line(timeout)
            if not line.startswith((_START, packet.CONTINUE_DELIMITER)):
                self.log.append(line.decode("ascii", "backslashreplace"))
                continue
            if not started and not line.startswith(_START):
                raise AssertionError(f"a frame that does not begin: {line!r}")
            started = True
            try:
                decoder.send(line + b"\n")
            except StopIteration as done:
                return bytes(done.value)

    def encode(self, op: int, group: int, command: int, body: object, *, version: int = 1) -> bytes:
        """An SMP message."""
        payload = body if isinstance(body, bytes) else cbor2.dumps(body)
        return (
            bytes(
                smp_header.Header(
                    op=smp_header.OP(op),
                    version=smp_header.Version(version),
                    flags=smp_header.Flag(0),
                    length=len(payload),
                    group_id=group,
                    sequence=next(self._sequence),
                    command_id=command,
                )
            )
            + payload
        )

    def exchange(self, message: bytes, timeout: float | None = None) -> bytes:
        """Send a message, receive its answer; both with headers."""
        self.send_raw(b"".join(packet.encode(message)))
        answer = self.receive(timeout)
        if answer[4:8] != message[4:8] or answer[0] & 7 != (message[0] & 7) + 1:
            raise AssertionError(f"answer {answer[:8].hex()} to request {message[:8].hex()}")
        if self.watch is not None:
            self.watch(message, answer)
        return answer

    def request(self, op: int, group: int, command: int, body: object) -> dict[str, Any]:
        """One exchange. Raises `Refused`."""
        answer = cbor2.loads(self.exchange(self.encode(op, group, command, body))[8:])
        if not isinstance(answer, dict):
            raise AssertionError(f"answer is no map: {answer!r}")  # noqa: TRY004 - the device's fault, not a caller's
        if set(answer) == {"err"}:
            raise Refused(answer["err"]["group"], answer["err"]["rc"])
        if set(answer) == {"rc"}:
            raise Refused(None, answer["rc"])
        return answer

    def read(self, command: int, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        """A read of the inference group."""
        return self.request(_READ, GROUP_INFERENCE, command, dict(body or {}))

    def write(self, command: int, body: Mapping[str, object]) -> dict[str, Any]:
        """A write of the inference group."""
        return self.request(_WRITE, GROUP_INFERENCE, command, dict(body))

    # --- commands ---------------------------------------------------------------------------

    def wait_ready(self, timeout: float = 60.0) -> dict[str, Any]:
        """Wait for the start line, then describe."""
        end = time.monotonic() + timeout
        while self.line(end - time.monotonic()) != b"[NS] ready":
            pass
        return self.describe()

    def describe(self) -> dict[str, Any]:
        """Who the firmware is."""
        return self.read(0)

    def echo(self, text: str) -> str:
        """The OS group's echo."""
        return str(self.request(_WRITE, GROUP_OS, 0, {"d": text})["r"])

    def sample(self, mode: str = "step", **more: int) -> dict[str, Any]:
        """Take a sample, or change how they are taken."""
        return self.write(1, {"mode": mode, **more})

    def infer(self, nonce: bytes, data: bytes | None = None, **more: object) -> dict[str, Any]:
        """An inference with its signed result: from the sensor, or of `data`."""
        body: dict[str, object] = {"nonce": nonce, "src": 0 if data is None else 1, **more}
        if data is not None:
            body["in"] = data
        return self.write(2, body)

    def attest(self, challenge: bytes, **more: int) -> bytes:
        """An attestation token."""
        return bytes(self.write(3, {"ch": challenge, **more})["tok"])

    def public_key(self, key: int) -> bytes:
        """A COSE_Key."""
        return bytes(self.read(5, {"key": key})["key"])

    def csr(self, key: int) -> bytes:
        """A PKCS#10 request."""
        return bytes(self.read(6, {"key": key})["csr"])

    def probe(self, address: int, size: int = 4, value: int | None = None) -> dict[str, Any]:
        """Read, or write `value`, from the non-secure side."""
        body = {"op": 0 if value is None else 1, "addr": address, "size": size}
        return self.write(7, body if value is None else {**body, "val": value})

    def psa_call(self, handle: int, kind: int, vectors_in: list[list[int]], vectors_out: list[list[int]]) -> int:
        """A raw psa_call from the non-secure side."""
        return int(self.write(9, {"h": handle, "type": kind, "in": vectors_in, "out": vectors_out})["st"])

    def batch(self, data: bytes) -> bytes:
        """Unsigned outputs of inputs back to back."""
        return bytes(self.write(10, {"in": data})["out"])

    def stats(self) -> dict[str, Any]:
        """The link's counters."""
        return self.read(17)

    def reset(self) -> None:
        """A warm reset, answered first."""
        self.request(_WRITE, GROUP_OS, 5, {})
        self.restarted()
