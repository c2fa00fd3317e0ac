"""The breakdown of one request's time, from the device's phase ticks to the host's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tfm_harness.findings import Report
from tfm_harness.latency import catalogue
from tfm_harness.latency.clock import Clock
from tfm_harness.latency.counter import MIN_SHARE, RATE_TOLERANCE, elapsed_ticks

__all__ = ["MARKS", "PHASES", "Phases", "check_phases"]

MARKS = (
    "request complete",
    "service entered",
    "input ready",
    "inference start",
    "inference end",
    "signing start",
    "signing end",
    "response ready",
)
"""The eight ticks of docs/protocol.md, infer: ``ph``."""

PHASES = ("dispatch", "sample", "prepare", "inference", "claims", "signing", "response")
"""The seven intervals between `MARKS`; ``wire`` is the rest of the time that the host measured."""


@dataclass(frozen=True, slots=True)
class Phases:
    """A breakdown of one request.

    Attributes:
        ticks: by phase name, in order.
        device_seconds: from request complete to response ready.
        host_seconds: from the request's first byte to the response's last.
    """

    ticks: dict[str, int]
    device_seconds: float
    host_seconds: float

    @property
    def wire_seconds(self) -> float:
        """The time that the device's counter does not explain: both transfers and the host's own delay."""
        return self.host_seconds - self.device_seconds

    def seconds(self, clock: Clock) -> dict[str, float]:
        """All phases in seconds, and ``wire`` if the clock follows the host: then they add up to `host_seconds`."""
        device = {name: clock.seconds(t) for name, t in self.ticks.items()}
        return {**device, "wire": self.wire_seconds} if clock.follows_host else device


def check_phases(
    marks: Sequence[int],
    *,
    clock: Clock,
    host_seconds: float,
    report: Report,
    bound: float = 1.0,
    result_ticks: tuple[int, int] | None = None,
    inference_ticks: float | None = None,
    subject: str = "",
) -> Phases:
    """Check one request's phases and break its time down.

    Args:
        marks: eight raw readings, in the order of `MARKS`.
        bound: host seconds the wire may take (message bytes at the UART's rate plus scheduling).
        result_ticks: start and end ticks of the signed result, when there is one.
        inference_ticks: the time of an inference of this model (median of a series), if known:
            the timed interval must hold at least `MIN_SHARE` of it.

    Raises:
        ValueError: not eight marks.
    """
    if len(marks) != len(MARKS):
        raise ValueError(f"{len(marks)} phase ticks, expected {len(MARKS)}")
    half = 1 << (clock.bits - 1)
    steps = [elapsed_ticks(a, b, clock.bits) for a, b in pairwise(marks)]
    backwards = [f"{MARKS[i]} to {MARKS[i + 1]}" for i, step in enumerate(steps) if step >= half]
    ordered = report.add(
        catalogue.PHASES_ORDER,
        not backwards,
        expected="ticks that never run backwards",
        seen=f"backwards from {', '.join(backwards)}: {list(marks)}",
        subject=subject,
    )
    whole = elapsed_ticks(marks[0], marks[-1], clock.bits) if ordered else 0
    phases = Phases(dict(zip(PHASES, steps, strict=True)), clock.seconds(whole), host_seconds)
    if ordered and clock.follows_host:
        report.add(
            catalogue.PHASES_ADD_UP,
            -host_seconds * RATE_TOLERANCE <= phases.wire_seconds <= bound,
            expected=f"device phases within {host_seconds:.6f} s of host time, at most {bound:g} s on the wire",
            seen=f"{phases.device_seconds:.6f} s on the device, {phases.wire_seconds:.6f} s beyond",
            subject=subject,
        )
    if result_ticks is not None or inference_ticks is not None:
        _check_result(phases, marks, clock, result_ticks, inference_ticks, report, subject)
    return phases


def _check_result(
    phases: Phases,
    marks: Sequence[int],
    clock: Clock,
    result_ticks: tuple[int, int] | None,
    inference_ticks: float | None,
    report: Report,
    subject: str,
) -> None:
    start, end = result_ticks if result_ticks is not None else (marks[3], marks[4])
    inside = elapsed_ticks(start, end, clock.bits)
    needed = inference_ticks * MIN_SHARE if inference_ticks is not None else 1.0
    problems = []
    if inside < needed:
        problems.append(f"ticks span {inside}, an inference takes about {needed / MIN_SHARE:.0f}")
    if phases.ticks["inference"] < needed:
        problems.append(f"phase inference is {phases.ticks['inference']} ticks")
    # The signed ticks must be inside their request, in order.
    positions = [elapsed_ticks(marks[0], tick, clock.bits) for tick in (start, end, marks[-1])]
    if positions != sorted(positions):
        problems.append(f"the signed ticks {start} and {end} do not lie in order inside {marks[0]} to {marks[-1]}")
    report.add(
        catalogue.RESULT_TICKS,
        not problems,
        expected="start and end ticks around the inference",
        seen="; ".join(problems),
        where="inference",
        subject=subject,
    )
