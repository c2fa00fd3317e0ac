"""Fault injection on the wire: damage to bytes by a line, a converter or a faulty device."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

__all__ = [
    "FaultyWire",
    "WireFault",
    "delete",
    "flip",
    "insert",
    "overwrite",
    "repeat",
    "silence",
    "truncate",
]

WireFault = Callable[[bytes], bytes]
"""Takes the bytes of one transmission, returns the bytes that arrive."""


def silence(_data: bytes) -> bytes:
    """Nothing arrives."""
    return b""


def truncate(length: int) -> WireFault:
    """Only the first `length` bytes arrive."""
    return lambda data: data[:length]


def delete(at: int, count: int = 1) -> WireFault:
    """`count` bytes from `at` on are lost."""
    return lambda data: data[:at] + data[at + count :]


def flip(at: int, mask: int = 0x01) -> WireFault:
    """The bits of `mask` change in the byte at `at`; shorter data arrive as they are."""
    return lambda data: data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :] if at < len(data) else data


def overwrite(at: int, noise: bytes) -> WireFault:
    """`noise` arrives instead of the same number of bytes."""
    return lambda data: data[:at] + noise + data[at + len(noise) :]


def insert(at: int, noise: bytes) -> WireFault:
    """`noise` arrives between two bytes: a log line of another CPU, for instance."""
    return lambda data: data[:at] + noise + data[at:]


def repeat(times: int = 2) -> WireFault:
    """Everything arrives several times."""
    return lambda data: data * times


class FaultyWire:
    """Connects a console and a simulated device, and injects faults.

    Args:
        device: takes the written bytes, returns the answer's bytes.
    """

    def __init__(self, device: Callable[[bytes], bytes]) -> None:
        self.device = device
        self.always: WireFault | None = None
        """Changes every answer, until it is None again."""
        self.deaf: WireFault | None = None
        """Changes what the device gets to hear."""
        self._next: deque[WireFault] = deque()
        self.answers: list[bytes] = []
        """What the device answered, before any fault."""

    def next(self, *faults: WireFault) -> None:
        """Change the next answers: one fault for each of them, in order."""
        self._next.extend(faults)

    def __call__(self, data: bytes) -> bytes:
        """The bytes that arrive as the answer to `data`."""
        answer = self.device(self.deaf(data) if self.deaf else data)
        if not answer:
            return b""
        self.answers.append(answer)
        if self._next:
            answer = self._next.popleft()(answer)
        return self.always(answer) if self.always else answer


def each_position(data: bytes, most: int = 64) -> Sequence[int]:
    """Positions in `data`, all of them or `most` evenly spread ones: for faults at each."""
    step = max(1, -(-len(data) // most))
    return range(0, len(data), step)
