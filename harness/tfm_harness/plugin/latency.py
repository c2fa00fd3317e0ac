"""Timing of models: the device's own counter, checked before it is believed, judged, and kept."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tfm_harness.bench.device import Inference
from tfm_harness.bench.not_covered import NotCovered
from tfm_harness.findings import Check, Report
from tfm_harness.latency.budget import check_budget
from tfm_harness.latency.clock import Clock, ClockQuality
from tfm_harness.latency.counter import (
    MIN_SHARE,
    CounterReading,
    check_counter,
    check_rate,
    check_run_accounts,
    run_share,
)
from tfm_harness.latency.dudect import CERTAIN, SUSPICIOUS, Dudect, check_dudect
from tfm_harness.latency.mlperf import RUNS, check_mlperf, run_mlperf
from tfm_harness.latency.phases import check_phases
from tfm_harness.latency.regression import GateResult, Night, regression_gate
from tfm_harness.latency.series import Series, check_series, series_board
from tfm_harness.latency.statistics import summarise
from tfm_harness.protocol.mlperf_tiny.client import MlperfTinyDriver
from tfm_harness.protocol.smp.client import PHASES
from tfm_harness.verify.signed_result import SignedResult

if TYPE_CHECKING:
    from tfm_harness.plugin.bench import Bench

__all__ = ["LEAST", "Latency"]

LEAST: Final = 8
"""Timings of a model, where the build does not say how many and an inference takes long."""
MORE_SERIES: Final = 5
"""Series at most that look for a run of the model that nothing disturbed."""
_RUN_SECONDS = 1.0
_RATE_SECONDS = 1.0
_TRIES = 3
"""Runs of a model at most where the emulator's clock is the host's: another process may disturb one of them."""
_MLPERF_SECONDS = 180.0
_MLPERF_WARMUPS = 10
_MEASURABLE = 100_000  # microseconds: a counter of 1 kHz tells them to 1 %
_SHORT_RUN = 500_000  # microseconds
_MOST_RUN = 100_000  # inferences
_MOST_AT_ONCE = 512  # timings in one answer (docs/protocol.md)


class Latency:
    """Times the models of a bench. Findings go to the test's report, figures to the run's record."""

    def __init__(self, bench: Bench, report: Report) -> None:
        self._bench = bench
        self.report = report

    def dudect(
        self, times: tuple[Sequence[int], Sequence[int]], check: Check, *, subject: str, batch: int = 1
    ) -> Dudect:
        """Judge two classes of times, fixed and random inputs; t is drawn on the run's page and beside it.

        Args:
            times: of the two classes, in ticks.
            check: what is judged.
            subject: what was timed.
            batch: so many times in a row were taken in one go (`tfm_harness.latency.dudect`).

        Raises:
            ValueError: too few measurements for a verdict.
        """
        from tfm_harness.report.svg import standing_alone, t_values

        found = check_dudect(*times, check, self.report, subject=subject, batch=batch)
        values = found.tests
        self._bench.measured.timings.append(
            {
                "name": subject,
                "check": check.id,
                "fixed": found.fixed,
                "random": found.random,
                "means": found.means,
                "values": values,
                "limits": (SUSPICIOUS, CERTAIN),
            }
        )
        title = f"{subject} on {self._bench.combination.name}: {found}"
        chart = standing_alone(t_values(values, (SUSPICIOUS, CERTAIN), title=title))
        path = self._bench.context.run_dir / f"{check.id}-{self._bench.board.name}.svg"
        path.write_text(chart, encoding="utf-8")
        return found

    @property
    def clock(self) -> Clock:
        """The counter as the target declares it; without that, by the name and width that the build gives."""
        declared, build = self._bench.combination.target.clock, self._bench.combination.build.latency
        quality = self._bench.board.clock_quality
        return Clock(
            source=declared.source if declared else build.counter,
            hz=declared.hz if declared else self._bench.description.clock_hz or 1,
            bits=declared.bits if declared else build.counter_bits,
            quality=quality,
            # QEMU's counter runs with the host's clock unless instructions are counted.
            tracks_host=quality is not ClockQuality.DETERMINISTIC
            and self._bench.combination.target.kind in {"qemu", "mps3", "probe"},
        )

    def rate(self) -> None:
        """Judge the counter's rate: readings a second apart, each between two looks at the host's clock."""

        def reading() -> CounterReading:
            before = time.monotonic()
            ticks = self._bench.device.test_commands.latency(1).start
            return CounterReading(ticks=ticks, before=before, after=time.monotonic())

        readings = [reading()]
        while readings[-1].after - readings[0].before < _RATE_SECONDS:
            readings.append(reading())
        check_rate(self.clock, readings, self.report)

    def measure(self, name: str) -> Series:
        """Time the active model, called `name`: counter, series, budgets and regression are judged.

        How often, and against what, says the build's ``latency`` section.
        """
        bench, device, report, clock = self._bench, self._bench.device, self.report, self.clock
        declared = bench.combination.build.latency
        began = time.monotonic()
        device.test_commands.latency(1)
        each = time.monotonic() - began
        count = max(LEAST, min(declared.iterations, int(_RUN_SECONDS / max(each, 1e-6))))
        warmup = min(declared.warmup, count)
        if "iterations" in declared.model_fields_set:
            count = declared.iterations
        if "warmup" in declared.model_fields_set:
            warmup = declared.warmup
        # Warm-ups in a request of their own: the run below then holds timed inferences only, and must account for them.
        if warmup:
            device.test_commands.latency(warmup)
        for _ in range(_TRIES if clock.quality is ClockQuality.MEANINGLESS else 1):
            began = time.monotonic()
            run = device.test_commands.latency(count)
            host = time.monotonic() - began
            series = Series(
                name=name,
                ticks=run.ticks,
                empty=run.empty,
                clock=clock,
                warmup=warmup,
                board=series_board(
                    bench.board.name,
                    bench.combination.target.name,
                    bench.combination.target.count,
                    virtual=getattr(bench.board.target, "virtual", None) is not None,
                ),
                build=(bench.description.measurements.get("SPE") or b"").hex(),
                firmware=bench.description.version,
                environment=dict(bench.board.description),
            )
            if run_share(replace(series, warmup=0), start=run.start, end=run.end) >= MIN_SHARE:
                break
        check_series(series, report, expected=count, subject=name)
        check_counter(
            clock,
            start=run.start,
            end=run.end,
            host_seconds=host,
            report=report,
            bound=declared.host_bound,
            subject=name,
        )
        accounted = replace(series, warmup=0)
        if run_share(accounted, start=run.start, end=run.end) < MIN_SHARE and clock.quality is ClockQuality.MEANINGLESS:
            # A busy host took its time between the inferences, or the device does not time its work: counting tells.
            with bench.exact_clock() as exact:
                if exact:
                    run = device.test_commands.latency(LEAST)
                    accounted = replace(accounted, ticks=run.ticks, empty=run.empty, clock=self.clock)
        check_run_accounts(accounted, start=run.start, end=run.end, report=report)
        budgets = [budget for budget in declared.limits(bench.combination.build.document) if budget.covers(name)]
        for budget in budgets:
            check_budget(series, budget, report)
        result, baseline = self._compare(series)
        words = result.words()
        if declared.mlperf and (figure := self._mlperf(series)) is not None:
            note = "" if clock.quality.carries_budget else f" ({clock.quality.note})"
            words["MLPerf Tiny"] = f"{figure * 1e3:.6g} ms an inference, median of 5 runs{note}"
        bench.measured.keep_series(
            series,
            budgets={budget.statistic: budget.seconds for budget in budgets},
            baseline=baseline.series if baseline else None,
            baseline_name=baseline.run if baseline else "",
            gate=words,
        )
        return series

    def signed_ticks(
        self,
        inference: Inference,
        result: SignedResult,
        series: Series | None = None,
        *,
        name: str,
        again: Callable[[], tuple[Inference, SignedResult]] | None = None,
    ) -> None:
        """Judge that the ticks in a signed result span the work that was done for it, phase by phase.

        Args:
            inference: as it was asked for.
            result: the same, verified.
            series: timings of the same model; by default a few are taken now.
            name: the model.
            again: asks for the same once more. On an emulator whose counter follows the host's time, a busy host
                may have slowed a whole series down: counted instructions then decide, where there are any.
        """
        device, clock = self._bench.device, self.clock
        ticks = series.ticks if series is not None else device.test_commands.latency(LEAST).ticks
        start, end = result.integer("start_ticks"), result.integer("end_ticks")
        least = min(ticks)
        for _ in range(MORE_SERIES):
            # On an emulator that runs freely a busy host makes ticks of any length: every run of a series may be slow.
            if self._bench.board.clock_quality is not ClockQuality.MEANINGLESS or start is None or end is None:
                break
            if end - start >= least:
                break
            least = min(least, *device.test_commands.latency(LEAST).ticks)
        else:
            if again is not None:
                with self._bench.exact_clock() as exact:
                    if exact:
                        self.signed_ticks(*again(), name=name)
                        return
        phases = check_phases(
            [inference.answer.ticks[phase] for phase in PHASES],
            clock=clock,
            host_seconds=inference.answer.host_seconds,
            report=self.report,
            bound=self._bench.combination.build.latency.host_bound,
            result_ticks=(start, end) if start is not None and end is not None else None,
            # The least of the series: on a shared host the median may hold somebody else's work.
            inference_ticks=float(least),
            subject=name,
        )
        self._bench.measured.keep_phases(name, phases.seconds(clock))

    def benchmark(self, name: str, *, runs: int = RUNS) -> float | None:
        """Time the model of a firmware that runs N inferences between two timestamps, by MLPerf Tiny's rules.

        Five inputs, each inferred for at least ten seconds and ten times; the figure is the median of the five.

        Args:
            name: the model, for the findings.
            runs: inputs that are measured; of less than five the rules are not judged, only the device's clock.

        Returns:
            Seconds of an inference; None when a rule is broken, or was not judged.
        """
        client = self._bench.client
        if not isinstance(client, MlperfTinyDriver):
            raise NotCovered(
                f"{self._bench.combination.name} runs no inferences between two timestamps", what="timed-run"
            )
        clock, report = self._firmwares_clock, self.report
        bound = self._bench.combination.build.latency.host_bound

        def measure(data: bytes, count: int) -> int:
            client.load(data)
            client.run(_MLPERF_WARMUPS, 0, timeout=_MLPERF_SECONDS)  # of its own: the run below is timed work only
            done = client.run(count, 0, timeout=_MLPERF_SECONDS)
            check_counter(
                clock,
                start=0,
                end=done.elapsed_us,
                host_seconds=done.host_seconds,
                report=report,
                bound=bound,
                subject=name,
            )
            return done.elapsed_us

        inputs = self._benchmark_inputs(name, len(client.any_input()))
        client.load(inputs[0])
        count = 1
        while (elapsed := client.run(count, 0, timeout=_MLPERF_SECONDS).elapsed_us) < _MEASURABLE and count < _MOST_RUN:
            count *= 10
        each = max(elapsed / count, 1e-3)
        if runs < RUNS:
            for data in inputs[:runs]:
                measure(data, max(10, min(_MOST_RUN, int(_SHORT_RUN / each))))
            return None
        done = run_mlperf(measure, inputs, ticks_each=each, clock=clock)
        figure = check_mlperf(done, clock, report, subject=name)
        if figure is not None:
            note = "" if clock.quality.carries_budget else f" ({clock.quality.note})"
            self._bench.measured.keep_series(
                Series(
                    name=name,
                    ticks=tuple(max(1, round(run.ticks / run.iterations)) for run in done),
                    clock=clock,
                    warmup=_MLPERF_WARMUPS,
                    firmware=self._bench.description.version,
                    environment=dict(self._bench.board.description),
                ),
                gate={"MLPerf Tiny": f"{figure * 1e3:.6g} ms an inference, median of 5 runs{note}"},
            )
        return figure

    @property
    def _firmwares_clock(self) -> Clock:
        """Microseconds since boot, which follow the host's time on every board but simulators that count cycles."""
        bench = self._bench
        follows = self.clock.quality is not ClockQuality.DETERMINISTIC and bench.combination.target.kind != "fvp"
        return replace(self.clock, source="microseconds of the firmware", hz=1_000_000, bits=32, tracks_host=follows)

    def _benchmark_inputs(self, name: str, size: int) -> list[bytes]:
        steps = (1, 3, 5, 7, 11)
        if self._bench.combination.build.models[name].takes == "float32":
            return [
                struct.pack(f"<{size // 4}f", *(((n * s) & 0xFF) / 128 - 1 for n in range(size // 4))) for s in steps
            ]
        return [bytes((n * step + step) & 0xFF for n in range(size)) for step in steps]

    def _mlperf(self, series: Series) -> float | None:
        """Seconds of an inference by MLPerf Tiny's rules; None when a rule is broken."""
        size = self._bench.description.input_bytes
        device, overhead = self._bench.device, series.overhead

        def run(data: bytes, count: int) -> int:
            ticks = 0.0
            while count > 0:
                part = device.test_commands.latency(min(count, _MOST_AT_ONCE), data=data)
                ticks += sum(part.ticks) - overhead * len(part.ticks)
                count -= _MOST_AT_ONCE
            return round(ticks)

        inputs = [bytes((n * step) & 0xFF for n in range(size)) for step in (1, 3, 5, 7, 11)]
        each = summarise(series.values).median
        runs = run_mlperf(run, inputs, ticks_each=each, clock=series.clock, warmup=min(10, _MOST_AT_ONCE))
        return check_mlperf(runs, series.clock, self.report, subject=series.name)

    def _compare(self, series: Series) -> tuple[GateResult, Night | None]:
        """The regression gate against the baseline store; the series is stored where it can ever be compared."""
        bench, report = self._bench, self.report
        if not series.clock.quality.carries_change:
            return regression_gate(series, None, report), None
        from tfm_harness.history import BaselineStore, default_url, judge_and_keep, run_name

        threshold = bench.combination.build.latency.threshold
        name = run_name(bench.context.shared_dir or bench.context.run_dir)
        with BaselineStore(bench.context.store or default_url(bench.context.state_dir)) as store:
            judged = judge_and_keep(store, name, series, report, threshold=threshold)
        return judged.result, judged.baseline
