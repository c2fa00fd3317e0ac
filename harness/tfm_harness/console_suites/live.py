"""Watches a console suite while it runs on a board."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tfm_harness.console.base import Console, Mark
from tfm_harness.console_suites.machine import SuiteMachine
from tfm_harness.console_suites.model import Judgement, Problem
from tfm_harness.errors import HarnessError

__all__ = ["LiveRun", "watch_suite"]

_SLICE = 0.5
_GIVE_UP = 3.0  # seconds of silence after which waiting for a refused or stuck boot ends
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class LiveRun:
    """The result of a run.

    Attributes:
        judgement: the judgement of the output.
        broken: why the bench could not watch to the end; the output until then is judged nevertheless.
        seconds: from the start to the end.
    """

    judgement: Judgement
    broken: HarnessError | None
    seconds: float


def watch_suite(
    console: Console,
    machine: SuiteMachine,
    *,
    since: Mark,
    timeout: float,
    silence: float,
    alive: Callable[[], None] | None = None,
    progress: Callable[[int, str], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> LiveRun:
    """Feed the console's bytes to the machine until the suite has ended, no more can come, or the time is over.

    Args:
        console: where the suite prints.
        machine: a fresh machine.
        since: where the run's output begins.
        timeout: seconds for the whole run.
        silence: longest time without a byte, in seconds.
        alive: called while waiting; raises when the board is known to be dead.
        progress: called with the number of finished cases and the present position, when they change.
        clock: monotonic seconds.
    """
    began = heard = clock()
    mark, told = since, -1
    stopped: Problem | None = None
    broken: HarnessError | None = None
    try:
        while not machine.settled:
            now = clock()
            patience = _GIVE_UP if machine.hopeless or machine.ended else silence
            left = min(began + timeout - now, heard + patience - now)
            # Bytes that have arrived count, even if this process could not read them in time.
            if now - began > timeout or not console.wait_data(mark, timeout=min(_SLICE, max(left, 0.0))):
                if left <= 0:
                    if not machine.hopeless and not machine.ended:
                        stopped = _stopped(machine, now - began, timeout, silence)
                    break
                if alive is not None:
                    alive()
                continue
            data = console.read_from(mark, limit=_CHUNK)
            mark = Mark(mark.offset + len(data))
            heard = clock()
            machine.feed(data, heard - began)
            if progress is not None and machine.cases_done != told:
                told = machine.cases_done
                progress(told, machine.position)
    except HarnessError as error:
        broken = error
        stopped = Problem("timeout", f"the console was lost {machine.position}: {error.message}")
    return LiveRun(machine.judgement(stopped), broken, clock() - began)


def _stopped(machine: SuiteMachine, spent: float, timeout: float, silence: float) -> Problem:
    if spent >= timeout:
        return Problem("timeout", f"the run did not end within {timeout:g} s; it stopped {machine.position}")
    return Problem("timeout", f"not a byte for {silence:g} s; the run stopped {machine.position}")
