"""Watching a suite: what ends the wait, and that nothing that arrived is lost."""

from __future__ import annotations

import pytest
from tfm_harness.console.base import Mark
from tfm_harness.console_suites import Verdict, get_machine
from tfm_harness.console_suites.live import LiveRun, watch_suite
from tfm_harness.errors import InfrastructureError
from tfm_harness.testing import ScriptedConsole

from tests.console_suites.helpers import GOOD, kinds

DATA = GOOD.encode("latin-1")


def watch(console: ScriptedConsole, *, timeout: float = 100, silence: float = 10) -> LiveRun:
    return watch_suite(
        console, get_machine("tf-m"), since=Mark(0), timeout=timeout, silence=silence, clock=console.clock
    )


def printing(data: bytes, size: int = 7) -> ScriptedConsole:
    console = ScriptedConsole(lambda _: b"", lambda text: [text[i : i + size] for i in range(0, len(text), size)])
    console.say(data)
    return console


def test_ends_at_the_end_marker() -> None:
    console = printing(DATA + b"chatter\r\n" * 1000)
    run = watch(console)
    assert run.judgement.verdict is Verdict.PASSED
    assert all(case.seconds is not None for case in run.judgement.cases)
    assert console.waiting  # the chatter behind the end was not waited for


def test_silence_and_time_limit() -> None:
    run = watch(printing(DATA[:-200]))
    assert (run.judgement.verdict, "timeout" in kinds(run.judgement)) == (Verdict.INCOMPLETE, True)
    endless = ScriptedConsole(lambda _: b"")
    endless.say(b"")
    endless.chunker = lambda _: [b"x\r\n"] * 5_000_000
    endless.say(b"x")
    run = watch(endless, timeout=1)
    assert "did not end within 1 s" in run.judgement.problems[0].message


def test_what_arrived_late_counts() -> None:
    """The process was kept from reading for longer than the silence: the bytes are there nevertheless."""
    console = printing(DATA, size=len(DATA))
    times = iter([0.0, *[50.0] * 1000])
    run = watch_suite(console, get_machine("tf-m"), since=Mark(0), timeout=100, silence=10, clock=lambda: next(times))
    assert run.judgement.verdict is Verdict.PASSED


def test_a_refused_boot_is_not_waited_for() -> None:
    console = printing(b"[INF] Starting bootloader\r\n[ERR] Unable to find bootable image\r\n")
    run = watch(console, silence=1000, timeout=2000)
    assert kinds(run.judgement) == {"image-refused", "never-started"}
    assert console.clock.now < 10


def test_a_lost_console_keeps_what_was_seen() -> None:
    console = printing(DATA[:-300])
    answered: list[int] = []

    def dead() -> None:
        answered.append(1)
        raise InfrastructureError("the emulator has ended", kind="emulator-exit")

    run = watch_suite(
        console, get_machine("tf-m"), since=Mark(0), timeout=100, silence=50, alive=dead, clock=console.clock
    )
    assert isinstance(run.broken, InfrastructureError)
    assert run.judgement.verdict is Verdict.INCOMPLETE
    assert run.judgement.cases
    assert answered == [1]


def test_progress_is_told() -> None:
    told: list[tuple[int, str]] = []
    console = printing(DATA)
    watch_suite(
        console, get_machine("tf-m"), since=Mark(0), timeout=100, silence=10, clock=console.clock,
        progress=lambda done, where: told.append((done, where)),
    )  # fmt: skip
    assert [done for done, _ in told] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("size", [1, 3, 64, 5000])
def test_any_chunks(size: int) -> None:
    assert watch(printing(DATA, size)).judgement.verdict is Verdict.PASSED
