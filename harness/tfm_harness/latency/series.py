"""A raw latency measurement: every value, never only a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tfm_harness.findings import Report
from tfm_harness.latency import catalogue
from tfm_harness.latency.clock import Clock

__all__ = ["Series", "check_series", "series_board"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Ticks of single inferences as the device counted them.

    Attributes:
        name: what was measured, usually the model's name.
        ticks: raw values, warm-ups excluded, in order.
        empty: raw values of empty measurements (nothing between start and stop), in order.
        clock: the counter.
        warmup: inferences run before the first value and not timed.
        board, build, firmware: what it ran on; `build` is a digest of the images.
        environment: further facts that decide comparability (emulator version, flags).
    """

    name: str
    ticks: tuple[int, ...]
    clock: Clock
    empty: tuple[int, ...] = ()
    warmup: int = 0
    board: str = ""
    build: str = ""
    firmware: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, ticks: bytes, empty: bytes, **facts: Any) -> Series:  # noqa: ANN401 - the fields' own types
        """From the ``t`` and ``e`` byte strings of docs/protocol.md (u32 little endian each).

        Raises:
            ValueError: a length that is not a multiple of 4.
        """
        return cls(ticks=_u32(ticks), empty=_u32(empty), **facts)

    @property
    def overhead(self) -> float:
        """Median ticks of an empty measurement; 0 without one."""
        return float(median(self.empty)) if self.empty else 0.0

    @property
    def values(self) -> tuple[float, ...]:
        """Ticks of the inference alone: raw minus `overhead`."""
        cost = self.overhead
        return tuple(t - cost for t in self.ticks)

    @property
    def seconds(self) -> tuple[float, ...]:
        """`values` in seconds of the declared clock."""
        return tuple(self.clock.seconds(v) for v in self.values)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "ticks": list(self.ticks),
            "empty": list(self.empty),
            "clock": self.clock.as_dict(),
            "warmup": self.warmup,
            "board": self.board,
            "build": self.build,
            "firmware": self.firmware,
            "environment": dict(self.environment),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Series:
        """From `as_dict`. Raises `KeyError`, `TypeError` or `ValueError` on other data."""
        return cls(
            **{
                **data,
                "ticks": tuple(int(t) for t in data["ticks"]),
                "empty": tuple(int(t) for t in data["empty"]),
                "clock": Clock.from_dict(data["clock"]),
            }
        )


def series_board(board: str, target: str, count: int, *, virtual: bool) -> str:
    """The name in a series of the board on which it was measured; only series with the same name are compared.

    Real boards differ from each other, so each has its own series. Emulators of one target do not: all of a pool are
    compared with the same baseline.

    Args:
        board: the board's name; in a pool, that of the single board (``an547.2``).
        target: the target's name (``an547``).
        count: the number of boards of the target, even if a run uses only one of them.
        virtual: whether the board is emulated.
    """
    numbered = board.startswith(f"{target}.") and board.removeprefix(f"{target}.").isdigit()
    return target if virtual and numbered and count > 1 else board


def check_series(series: Series, report: Report, *, expected: int, subject: str = "") -> bool:
    """Judge whether the series is complete, and its times are longer than zero.

    Args:
        expected: the number of requested timings.
    """
    subject = subject or series.name
    complete = report.add(
        catalogue.SERIES_COMPLETE,
        len(series.ticks) == expected and expected > 0,
        expected=f"{expected} timings",
        seen=f"{len(series.ticks)} timings",
        subject=subject,
    )
    shortest = min(series.values, default=0.0)
    return (
        report.add(
            catalogue.SERIES_ABOVE_EMPTY,
            shortest > 0,
            expected=f"more than the {series.overhead:g} ticks of an empty measurement",
            seen=f"shortest inference {min(series.ticks, default=0)} ticks",
            where="inference",
            subject=subject,
        )
        and complete
    )


def _u32(data: bytes) -> tuple[int, ...]:
    if len(data) % 4:
        raise ValueError(f"{len(data)} bytes of ticks: not a multiple of 4")
    return tuple(int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4))


def pooled(series: Sequence[Series]) -> Series:
    """Several series of the same thing as one, in order.

    Raises:
        ValueError: none given, or clocks or names differ.
    """
    if not series or any((s.name, s.clock) != (series[0].name, series[0].clock) for s in series):
        raise ValueError("series to pool must share name and clock")
    first = series[0]
    return Series(
        name=first.name,
        ticks=tuple(t for s in series for t in s.ticks),
        empty=tuple(e for s in series for e in s.empty),
        clock=first.clock,
        warmup=first.warmup,
        board=first.board,
        build=first.build,
        firmware=first.firmware,
        environment=first.environment,
    )
