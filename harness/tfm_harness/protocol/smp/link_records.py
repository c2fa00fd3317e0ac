"""Records of an SMP link: requests, answers, and counts of damage."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from tfm_harness.protocol.smp.header import Op

__all__ = ["Answer", "LinkStats", "Recent", "Request", "Waiting"]

_MOST_RECENT: Final = 128


@dataclass(slots=True)
class LinkStats:
    """What happened on a link so far, in frames."""

    sent: int = 0
    answered: int = 0
    retries: int = 0
    lost: int = 0
    late: int = 0
    stale: int = 0  # answers to frames sent before a reset, or raw: expected and ignored
    bad: dict[str, int] = field(default_factory=dict)  # by `BadFrame.kind`
    log_lines: int = 0
    flagged: int = 0  # answers whose header has flags, which are reserved
    undocumented: set[str] = field(default_factory=set)  # the first undocumented keys of answers
    busy: float = 0.0  # seconds of waiting for the device: for its answers, and for silence that tests expect

    @property
    def clean(self) -> bool:
        """Whether nothing was repeated, lost, late or damaged."""
        return not (self.retries or self.lost or self.late or self.bad)

    def summary(self) -> str:
        """One line for people; empty when `clean`."""
        plain = ((self.retries, "retried"), (self.lost, "lost"), (self.late, "late"))
        parts = [f"{n} {what}" for n, what in plain if n]
        parts += [f"{n} damaged ({kind})" for kind, n in sorted(self.bad.items())]
        return ", ".join(parts)


class Recent:
    """The sequence numbers that were added last, at most 128."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: dict[int, None] = {}  # in the order in which they were added

    def __contains__(self, number: int) -> bool:
        return number in self._numbers

    def add(self, *numbers: int) -> None:
        """Add these; the oldest are forgotten."""
        for number in numbers:
            self._numbers.pop(number, None)
            self._numbers[number] = None
            if len(self._numbers) > _MOST_RECENT:
                del self._numbers[next(iter(self._numbers))]

    def discard(self, number: int) -> None:
        """Forget one, if it is there."""
        self._numbers.pop(number, None)

    def clear(self) -> None:
        """Forget all."""
        self._numbers.clear()


class Waiting:
    """A block in which the device is waited for; its time is added to `LinkStats.busy`.

    Attributes:
        seconds: of the block, once it has ended.
    """

    __slots__ = ("_began", "_stats", "seconds")

    def __init__(self, stats: LinkStats) -> None:
        self._stats = stats
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._began
        self._stats.busy += self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to ask: `payload` is CBOR; `safe` says that asking twice changes nothing."""

    op: Op
    group: int
    command: int
    payload: bytes
    safe: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer's CBOR and the exchange's raw bytes, times in seconds (first byte out to last byte in)."""

    payload: bytes
    raw_request: bytes
    raw_response: bytes
    seconds: float
    retries: int
