"""A console in memory and a firmware in Python: for tests of the client and the plugin, with faults to order.

It speaks the framing through PyPI's `smp` (not through the harness's own encoder), so that both
sides cannot share a mistake.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cbor2
from smp import packet as smp_packet
from tfm_harness.console.base import Console, Mark, Match
from tfm_harness.errors import InfrastructureError
from tfm_harness.protocol.smp.header import HEADER


def frame(payload: bytes) -> bytes:
    return b"".join(smp_packet.encode(payload))


class MemoryConsole(Console):
    """What `device` returns for each written chunk is what comes back."""

    def __init__(self, device: Callable[[bytes], bytes], path: Path, name: str = "ns") -> None:
        self.name = name
        self._device = device
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        self._data = bytearray()
        self._news = threading.Condition()
        self.closed = False
        self.written = bytearray()

    def push(self, data: bytes) -> None:
        with self._news:
            self._data += data
            with self._path.open("ab") as file:
                file.write(data)
            self._news.notify_all()

    def mark(self) -> Mark:
        return Mark(len(self._data))

    def write(self, data: bytes) -> None:
        self._check()
        self.written += data
        answer = self._device(data)
        if answer:
            self.push(answer)

    def _check(self) -> None:
        if self.closed:
            raise InfrastructureError("the console is closed", kind="console-closed", where=f"console {self.name!r}")

    def wait_for(self, pattern: bytes | re.Pattern[bytes], *, timeout: float, since: Mark | None = None) -> Match:
        start = since or self.mark()
        compiled = re.compile(re.escape(pattern)) if isinstance(pattern, bytes) else pattern
        end = time.monotonic() + timeout
        while True:
            found = compiled.search(self._data, start.offset)
            if found:
                return Match(found[0], found.start(), found.end(), found.groups())
            if not self.wait_data(Mark(len(self._data)), timeout=end - time.monotonic()):
                raise InfrastructureError("pattern not found", kind="console-timeout", where=self.tail())

    def read_from(self, since: Mark, *, limit: int = 1 << 20) -> bytes:
        return bytes(self._data[since.offset : since.offset + limit])

    def wait_data(self, since: Mark, *, timeout: float) -> bool:
        with self._news:
            self._check()
            return self._news.wait_for(lambda: len(self._data) > since.offset or self.closed, max(timeout, 0)) and (
                len(self._data) > since.offset
            )

    def subscribe(self, callback: Callable[[bytes], None]) -> Callable[[], None]:
        raise NotImplementedError

    def tail(self, lines: int = 20) -> str:
        return "\n".join(self._data.decode("ascii", "backslashreplace").splitlines()[-lines:])

    @property
    def transcript(self) -> Path:
        return self._path

    @property
    def received(self) -> int:
        return len(self._data)

    def close(self) -> None:
        with self._news:
            self.closed = True
            self._news.notify_all()


class Firmware:
    """Answers SMP requests by command table; `faults` change the next answers' bytes.

    A fault takes the whole framed answer and gives what is really sent.
    """

    def __init__(self) -> None:
        self.commands: dict[tuple[int, int], Callable[[dict[str, object]], dict[str, object]]] = {
            (0, 0): lambda a: {"r": a["d"]},
            (0, 5): lambda _: {},
            (0, 6): lambda _: {"buf_size": 4096, "buf_count": 1},
        }
        self.faults: list[Callable[[bytes], bytes]] = []
        self.requests: list[tuple[int, int, int, dict[str, object]]] = []  # group, command, sequence, arguments
        self._lines = b""
        self._decoder = smp_packet.decode()
        next(self._decoder)

    def __call__(self, data: bytes) -> bytes:
        out = b""
        self._lines += data
        while b"\n" in self._lines:
            line, self._lines = self._lines.split(b"\n", 1)
            try:
                self._decoder.send(line + b"\n")
            except StopIteration as done:
                out += self.answer(done.value)
                self._decoder = smp_packet.decode()
                next(self._decoder)
        return out

    def answer(self, request: bytes) -> bytes:
        op, _flags, length, group, sequence, command = HEADER.unpack_from(request)
        assert length == len(request) - HEADER.size
        assert op >> 3 == 1, "version 2"
        arguments = cbor2.loads(request[HEADER.size :])
        self.requests.append((group, command, sequence, arguments))
        handler = self.commands.get((group, command))
        body: dict[str, object] = handler(arguments) if handler else {"rc": 8}
        answer = frame(self.packet(op & 7, group, sequence, command, body))
        return self.faults.pop(0)(answer) if self.faults else answer

    @staticmethod
    def packet(op: int, group: int, sequence: int, command: int, body: dict[str, object] | bytes) -> bytes:
        payload = body if isinstance(body, bytes) else cbor2.dumps(body)
        return HEADER.pack((op + 1) | 1 << 3, 0, len(payload), group, sequence, command) + payload
