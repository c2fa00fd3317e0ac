"""What a console is to the rest of the harness."""

from __future__ import annotations

import abc
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfm_harness.errors import ProductError

__all__ = ["Console", "Mark", "Match"]


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A position in the stream of received bytes: the number of bytes before it."""

    offset: int


@dataclass(frozen=True, slots=True)
class Match:
    """What `Console.wait_for` found.

    Attributes:
        data: the matched bytes.
        start, end: absolute offsets in the received stream.
        groups: the pattern's groups.
    """

    data: bytes
    start: int
    end: int
    groups: tuple[bytes | None, ...] = ()

    @property
    def after(self) -> Mark:
        """The mark right after the match."""
        return Mark(self.end)


class Console(abc.ABC):
    """One UART: bytes in, bytes out, and a byte-exact transcript of both on disk.

    A reader thread fills a bounded buffer; every byte is kept in the transcript, and none twice in memory. Waiting
    looks only at bytes that came after the caller's mark.
    """

    name: str
    lossless: bool = False
    """Whether nothing between the firmware and the harness can lose or change a byte (an emulated UART). Then the
    product is responsible for damaged or missing bytes."""

    @abc.abstractmethod
    def mark(self) -> Mark:
        """The current end of the received stream."""

    @abc.abstractmethod
    def write(self, data: bytes) -> None:
        """Send all of `data`. Raises `InfrastructureError` kind ``console-closed``."""

    @abc.abstractmethod
    def wait_for(self, pattern: bytes | re.Pattern[bytes], *, timeout: float, since: Mark | None = None) -> Match:
        """Wait for a literal or a compiled pattern after `since` (default: now).

        Raises:
            InfrastructureError: kind ``console-closed`` at once when the transport is dead,
                ``console-timeout`` with the last lines seen.
        """

    @abc.abstractmethod
    def read_from(self, since: Mark, *, limit: int = 1 << 20) -> bytes:
        """Bytes received after `since`, at most `limit`, without waiting (from the transcript if need be)."""

    @abc.abstractmethod
    def wait_data(self, since: Mark, *, timeout: float) -> bool:
        """Wait until any byte came after `since`; False on timeout.

        Raises:
            InfrastructureError: the transport is dead.
        """

    @abc.abstractmethod
    def subscribe(self, callback: Callable[[bytes], None]) -> Callable[[], None]:
        """Call `callback` from the reader thread with each chunk. Returns the function that ends this."""

    @abc.abstractmethod
    def tail(self, lines: int = 20) -> str:
        """The last lines received, printable, for error texts."""

    @property
    @abc.abstractmethod
    def transcript(self) -> Path:
        """The file with every byte received (the ``.events`` file beside it has sent bytes and times)."""

    @property
    @abc.abstractmethod
    def received(self) -> int:
        """Bytes received so far."""

    @property
    def flood(self) -> ProductError | None:
        """Kind ``console-flood``: the firmware printed more than the target's limit allows; else None."""
        return None

    def fileno(self) -> int:
        """The transport's descriptor, for measurements that go past the console; -1 where there is none."""
        return -1

    @abc.abstractmethod
    def close(self) -> None:
        """Close the transport, flush the transcript. Safe to call twice."""
