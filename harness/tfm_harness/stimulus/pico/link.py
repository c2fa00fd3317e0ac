"""Host side of the Pico's line protocol (device/link.py): numbered, CRC-protected requests.

I/O is behind `LineTransport`, so that the same code talks to a tty, an rfc2217 URL or a simulator.
"""

from __future__ import annotations

import binascii
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tfm_harness.console.deadline import Deadline
from tfm_harness.errors import InfrastructureError
from tfm_harness.stimulus.base import Sample

__all__ = ["LineTransport", "PicoLink", "PicoRefusedError", "seal", "unseal"]

PROTOCOL_VERSION = 1
SERVED_PER_REQUEST = 8
_NUMBER = re.compile(r"-?[0-9]{1,10}", re.ASCII)


class LineTransport(Protocol):
    """Transfers lines. `receive` returns one line without its LF, or None when none came in time."""

    @property
    def name(self) -> str:
        """Its name in errors: a device path or URL."""

    def send(self, line: bytes) -> None:
        """Send a whole line, LF included."""

    def receive(self, timeout: float) -> bytes | None:
        """One line within `timeout` seconds."""

    def close(self) -> None:
        """Close; safe to call twice."""


class PicoRefusedError(InfrastructureError):
    """The Pico understood the request and refused it."""


def seal(text: str) -> bytes:
    """A complete request line: text, ``*``, CRC-16/XMODEM as four hex digits, LF."""
    body = text.encode("ascii")
    return body + b"*%04X\n" % binascii.crc_hqx(body, 0)


def unseal(line: bytes) -> str | None:
    """The text of an answer line, or None when its CRC does not hold."""
    body, star, digits = line.rpartition(b"*")
    try:
        crc = int(digits, 16)
    except ValueError:
        return None
    if not star or len(digits) != 4 or crc != binascii.crc_hqx(body, 0):
        return None
    return body.decode("ascii", "replace")


@dataclass(slots=True)
class PicoLink:
    """Sends requests and matches answers by sequence number.

    Every request is idempotent, so a request whose answer is corrupt or missing is sent again; `retries` counts this.

    Raises (all methods):
        InfrastructureError: kind ``pico-silent``, ``pico-corrupt``, ``pico-version``, ``pico-answer`` (the answer has a
            wrong form).
        PicoRefusedError: kind ``pico-refused``.
    """

    transport: LineTransport
    timeout: float = 1.0
    attempts: int = 3
    retries: int = 0
    stale: int = 0
    clock: Callable[[], float] = time.monotonic
    _sequence: int = field(default=0, init=False)

    def request(self, verb: str, *args: object) -> list[str]:
        """Send one request. Returns the words after ``ok``."""
        self._sequence += 1
        sequence = str(self._sequence)
        line = seal(" ".join([f">{sequence}", verb, *map(str, args)]))
        heard: bytes | None = None
        for attempt in range(self.attempts):
            if attempt:
                self.retries += 1
            self.transport.send(line)
            end = Deadline.after(self.timeout, self.clock)  # an endless stream of old lines does not extend it
            last = False
            while not last:
                last = end.passed
                heard = self.transport.receive(end.left())
                if heard is None:
                    break
                text = unseal(heard)
                if text is None or text == "<- err crc":
                    break  # the request or the answer was corrupt: ask again
                words = text.split()
                if not words or words[0] != f"<{sequence}":
                    self.stale += 1  # a late answer to an earlier request
                    continue
                return self._checked(verb, args, words[1:])
        raise InfrastructureError(
            f"the sensor player {'did not answer' if heard is None else 'gave corrupt answers to'} {verb!r}",
            kind="pico-silent" if heard is None else "pico-corrupt",
            expected=f"an answer with sequence number {sequence} and a correct CRC, in {self.attempts} attempts",
            seen="nothing" if heard is None else repr(heard),
            where=self.transport.name,
            hint="check the Pico's cable and that device/main.py runs on it (docs/boards/pico.md)",
        )

    def _checked(self, verb: str, args: tuple[object, ...], words: list[str]) -> list[str]:
        if words and words[0] == "ok":
            return words[1:]
        raise PicoRefusedError(
            f"the sensor player refused {' '.join([verb, *map(str, args)])!r}",
            kind="pico-refused",
            expected="ok",
            seen=" ".join(words),
            where=self.transport.name,
            hint="values: magnetometer int16 counts, temperature -2048..2047 in 1/16 degC",
        )

    def hello(self) -> str:
        """Check the protocol version; returns the board's unique id."""
        words = self.request("hello")
        if len(words) < 3 or words[0] != "tfm-harness-pico" or words[1] != str(PROTOCOL_VERSION):
            raise InfrastructureError(
                "the device on this port is not a sensor player of this version",
                kind="pico-version",
                expected=f"tfm-harness-pico {PROTOCOL_VERSION}",
                seen=" ".join(words),
                where=self.transport.name,
                hint="copy harness/tfm_harness/stimulus/pico/device/*.py to the Pico again",
            )
        return words[2].removeprefix("uid=")

    def set(self, sample: Sample) -> None:
        """Set `sample`, which every following read returns."""
        self.request("set", sample.x, sample.y, sample.z, sample.t)

    def load(self, samples: Sequence[Sample]) -> None:
        """Store a trace (at most 4096 samples)."""
        for index, sample in enumerate(samples):
            self.request("load", index, sample.x, sample.y, sample.z, sample.t)

    def play(self, length: int) -> None:
        """Start the stored trace: it advances after each complete sample that was served."""
        self.request("play", length)

    def fault(self, sensor: str, mode: str) -> None:
        """Play a fault: `sensor` is ``mag`` or ``temp``, `mode` is ``none``, ``absent`` or ``stuck``."""
        self.request("fault", sensor, mode)

    def served_count(self) -> int:
        """How many complete samples the controller has read since power-on."""
        words = self.request("stats")
        values = dict(word.partition("=")[::2] for word in words)
        return self._numbers("stats", [values.get("served", "")], words, 1)[0]

    def _numbers(self, verb: str, parts: Sequence[str], words: Sequence[str], count: int) -> list[int]:
        """Decimal numbers of at most ten digits, `count` of them."""
        if len(parts) == count and all(_NUMBER.fullmatch(part) for part in parts):
            return [int(part) for part in parts]
        raise InfrastructureError(
            f"the sensor player's answer to {verb!r} has another form",
            kind="pico-answer",
            seen=" ".join(words)[:200] or "nothing",
            where=self.transport.name,
            hint="copy harness/tfm_harness/stimulus/pico/device/*.py to the Pico again",
        )

    def served(self, count: int) -> list[Sample]:
        """The last `count` samples that the Pico really served, oldest first.

        Raises:
            PicoRefusedError: fewer were served, or the ring of 1,024 no longer has them.
        """
        end = self.served_count()
        out: list[Sample] = []
        for first in range(end - count, end, SERVED_PER_REQUEST):
            size = min(SERVED_PER_REQUEST, end - first)
            words = self.request("served", first, size)
            if len(words) != size:
                self._numbers("served", [], words, size)
            out += [Sample(*self._numbers("served", word.split(","), words, 4)) for word in words]
        return out
