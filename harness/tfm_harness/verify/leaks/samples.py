"""Readings of a sensor in a log: a few small numbers, which only count together."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["SampleValues", "samples_in"]

_NUMBER = re.compile(rb"(?<![0-9A-Za-z.])(0[xX][0-9A-Fa-f]+|-?[0-9]+\.[0-9]+|-?[0-9]+|[0-9A-Fa-f]{4})(?![0-9A-Za-z])")
_HEX_RUN = re.compile(rb"(?<![0-9A-Fa-f])[0-9A-Fa-f]{2}(?:[ :,-]?[0-9A-Fa-f]{2}){5,}")
_SIDE_BY_SIDE = 3
"""Registers of one sample in a row, in hexadecimal: less than 2^-40 by chance, even among a window's samples."""
_ORDERS: tuple[Literal["big", "little"], ...] = ("big", "little")
_LEAST = 20
"""Smaller numbers stand in every log."""


@dataclass(frozen=True, slots=True)
class SampleValues:
    """One sample: what the registers held, and the same in physical units (microtesla, degrees Celsius)."""

    counts: tuple[int, ...]
    units: tuple[float, ...] = ()


def samples_in(text: bytes, samples: Sequence[SampleValues]) -> Iterator[tuple[int, bytes]]:
    """Lines (their offset and content) that show at least two different values of one sample, or its registers."""
    wanted = [_numbers(sample) for sample in samples]
    registers = [{count & 0xFFFF for count in sample.counts if abs(count) >= _LEAST} for sample in samples]
    place = 0
    for line in text.splitlines(keepends=True):
        shown = {value for number in _NUMBER.findall(line) for value in _values(number)}
        together = len(shown) > 1 and any(_values_together(numbers, shown) for numbers in wanted)
        if together or any(_side_by_side(run, registers) for run in _HEX_RUN.findall(line)):
            yield place, line.strip()
        place += len(line)


def _numbers(sample: SampleValues) -> list[set[float]]:
    """For each channel the numbers that would show it."""
    channels: list[set[float]] = [set() for _ in range(max(len(sample.counts), len(sample.units)))]
    for channel, count in enumerate(sample.counts):
        if abs(count) >= _LEAST:
            channels[channel] |= {float(count), float(count & 0xFFFF), float(count & 0xFFFF_FFFF)}
    for channel, unit in enumerate(sample.units):
        if abs(unit) >= _LEAST or unit != int(unit):
            channels[channel] |= {round(unit, digits) for digits in (1, 2, 3, 4)} | {round(unit * 1000.0)}
    return channels


def _values_together(channels: list[set[float]], shown: set[float]) -> bool:
    """Whether two channels are shown by two different numbers."""
    hits = [channel & shown for channel in channels if channel & shown]
    return len(hits) >= 2 and len(set().union(*hits)) >= 2


def _side_by_side(run: bytes, registers: Sequence[set[int]]) -> bool:
    """Whether so many different registers of one sample stand in a row of hexadecimal digits, in either byte order."""
    data = bytes.fromhex(re.sub(rb"[^0-9A-Fa-f]", b"", run).decode())
    for at in range(len(data) - 2 * _SIDE_BY_SIDE + 1):
        words = [data[n : n + 2] for n in range(at, at + 2 * _SIDE_BY_SIDE, 2)]
        for order in _ORDERS:
            shown = {int.from_bytes(word, order) for word in words}
            if len(shown) == _SIDE_BY_SIDE and any(shown <= known for known in registers):
                return True
    return False


def _values(number: bytes) -> Iterator[float]:
    if number[:2].lower() == b"0x":
        yield float(int(number, 16))
        return
    with contextlib.suppress(ValueError):
        yield float(number)
    if len(number) == 4 and b"." not in number and b"-" not in number:
        yield float(int(number, 16))
