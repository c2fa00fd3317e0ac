"""Finds sensor readings in a log: a few small numbers, which count only together."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["SampleValues", "samples_in", "series_in"]

_NUMBER = re.compile(rb"(?<![0-9A-Za-z.])(0[xX][0-9A-Fa-f]+|-?[0-9]+\.[0-9]+|-?[0-9]+|[0-9A-Fa-f]{4})(?![0-9A-Za-z])")
_HEX_RUN = re.compile(rb"(?<![0-9A-Fa-f])[0-9A-Fa-f]{2}(?:[ :,-]?[0-9A-Fa-f]{2}){5,}")
_SIDE_BY_SIDE = 3
"""So many registers of one sample in a row, in hexadecimal, count; by chance: less than 2^-40 in a whole window."""
_IN_A_ROW = 4
"""So many samples in a row, each in its own log line, count; a chance match needs a channel that counts up, too."""
_ORDERS: tuple[Literal["big", "little"], ...] = ("big", "little")
_LEAST = 20
"""Numbers that are smaller do not count: they occur in every log."""


@dataclass(frozen=True, slots=True)
class SampleValues:
    """One sample: the registers' values, and the same values in physical units (microtesla, degrees Celsius)."""

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


def series_in(text: bytes, samples: Sequence[SampleValues]) -> Iterator[tuple[int, bytes]]:
    """Lines (offset and content) that show one channel of these samples in their order, a line for each sample.

    One value alone may occur anywhere. Four samples in a row at the same place of lines of one form are no chance.
    """
    forms: dict[tuple[bytes, int], list[tuple[int, bytes, set[float]]]] = {}
    place = 0
    for line in text.splitlines(keepends=True):
        form = _NUMBER.sub(b"#", line)
        for index, number in enumerate(_NUMBER.findall(line)):
            forms.setdefault((form, index), []).append((place, line.strip(), set(_values(number))))
        place += len(line)
    channels = list(zip(*(_numbers(sample) for sample in samples), strict=True))
    for lines in forms.values():
        for channel in channels:
            yield from _follows(lines, channel)


def _follows(
    lines: Sequence[tuple[int, bytes, set[float]]], channel: Sequence[set[float]]
) -> Iterator[tuple[int, bytes]]:
    """The lines of the first run that is long enough, and in which no two samples have the same value."""
    shows: dict[float, list[int]] = {}
    for number, values in enumerate(channel):
        for value in values:
            shows.setdefault(value, []).append(number)
    before: dict[int, int] = {}  # by sample: the length of the run that ends at the line before
    for at, (_, _, values) in enumerate(lines):
        here = {number: before.get(number - 1, 0) + 1 for value in values for number in shows.get(value, ())}
        for number, length in here.items():
            run = channel[number - _IN_A_ROW + 1 : number + 1]
            if length >= _IN_A_ROW and len({frozenset(one) for one in run}) == _IN_A_ROW:
                yield from ((place, line) for place, line, _ in lines[at - _IN_A_ROW + 1 : at + 1])
                return
        before = here


def _numbers(sample: SampleValues) -> list[set[float]]:
    """For each channel, the numbers that show its value."""
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
    """Whether a row of hexadecimal digits holds enough different registers of one sample, in either byte order."""
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
