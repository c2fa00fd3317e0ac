"""Running one console suite on a bench."""

from __future__ import annotations

import contextlib
import weakref

import pytest

from tfm_harness.bench.firmware import emulator_limit
from tfm_harness.boards.base import ResetKind
from tfm_harness.boards.emulator_quirks import hints_for, is_tfm
from tfm_harness.config.console_suite import ConsoleSuiteConfig
from tfm_harness.console.base import Mark
from tfm_harness.console_suites.live import LiveRun, watch_suite
from tfm_harness.console_suites.model import Expectations, Problem, Verdict
from tfm_harness.console_suites.registry import get_machine
from tfm_harness.errors import InfrastructureError, ProductError
from tfm_harness.plugin.bench import Bench
from tfm_harness.plugin.console_items import leave

__all__ = ["expectations_of", "run_console_suite"]

# Problems that have an item of their own.
_OF_CASES = {"case-failed", "case-not-ended", "suite-failed"}
_SHOWN = 8
# Benches whose first boot some suite has been judged from.
_STARTED: weakref.WeakSet[Bench] = weakref.WeakSet()


def expectations_of(config: ConsoleSuiteConfig) -> Expectations:
    """What a build says must be seen."""
    return Expectations(
        suites=config.expect,
        min_cases=config.min_cases,
        allow_skipped=config.allow_skipped,
        allow_resets=config.allow_resets,
        allow_faults=config.allow_faults,
        allow_repeats=config.allow_repeats,
        need_eot=config.eot,
    )


def run_console_suite(bench: Bench, suite: str, item: pytest.Item) -> None:
    """Run the suite from a fresh boot, leave its cases with `item`, and judge the run as a whole.

    Raises:
        InfrastructureError: the console was lost.
        ProductError: the run is incomplete or contradicts itself; single failed cases are items of their own.
    """
    config = next((config for config in bench.combination.build.console_suites if config.suite == suite), None)
    if config is None:
        pytest.skip(
            f"not covered: {bench.combination.name} lists no console suite"
            + ("" if suite == "none-listed" else f" {suite}")
        )
    console = bench.board.console(config.console)
    item.user_properties.append(("harness.transcript", str(console.transcript)))
    with contextlib.ExitStack() as stack:
        if config.allow_resets:
            stack.enter_context(bench.reset_monitor.expected_reset())
        since = _fresh_start(bench, config)
        run = watch_suite(
            console,
            get_machine(suite, expectations_of(config)),
            since=since,
            timeout=config.timeout,
            silence=config.silence,
            alive=bench.board.check_alive,
        )
    leave(item, run)
    if run.broken is not None:
        raise run.broken
    _judge(bench, config, run)


def _fresh_start(bench: Bench, config: ConsoleSuiteConfig) -> Mark:
    """Where the run's output begins: at the boot that is running, when nothing else has used it, else at a new one."""
    if bench.boots == 0 and bench not in _STARTED:
        _STARTED.add(bench)
        return Mark(0)
    mark = bench.board.console(config.console).mark()
    with bench.reset_monitor.expected_reset():
        bench.board.reset(ResetKind.COLD if ResetKind.COLD in bench.board.resets else ResetKind.WARM)
    bench.boots += 1
    return mark


def _judge(bench: Bench, config: ConsoleSuiteConfig, run: LiveRun) -> None:
    judgement = run.judgement
    problems = [problem for problem in judgement.problems if problem.kind not in _OF_CASES]
    if judgement.verdict is Verdict.PASSED or not problems:
        return
    limit = emulator_limit(bench.board, bench.combination, problems[0].message)
    if limit is not None:
        bench.reset_monitor.blame_emulator()
        raise limit
    console = bench.board.console(config.console)
    said = console.read_from(Mark(0)).decode("utf-8", "replace")
    resets = len(bench.board.guest_resets)
    machine = getattr(bench.combination.target, "machine", None)
    known = hints_for(machine, said, resets=resets, tfm=is_tfm(bench.combination.build))
    if not console.received:
        raise InfrastructureError(
            "not one byte came on the suite's console",
            kind="silent",
            expected=f"a boot and the output of {config.suite}",
            seen=f"{resets} resets" if resets else "",
            where=f"console {config.console!r}",
            hint="\n".join(known)
            or "check that the suite prints on this console, that the device is powered, and that it started after the"
            " console was opened",
        )
    told = next((problem.hint for problem in problems if problem.hint), None)
    raise ProductError(
        f"console suite {config.suite}: {judgement.verdict}: {problems[0].message}",
        kind=f"console-suite-{problems[0].kind}",
        expected="all that the suite announces runs, ends and agrees with its summary",
        seen="\n".join(_line(problem) for problem in problems[:_SHOWN])
        + (f"\nand {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""),
        where=f"{console.transcript}\n{console.tail(8)}",
        hint="\n".join(known) or told,
    )


def _line(problem: Problem) -> str:
    return f"{problem.kind}: {problem.message}" + (f" (line {problem.line})" if problem.line else "")
