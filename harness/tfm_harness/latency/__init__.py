"""Latency by the device's own counter, judged only if that counter is good enough for a judgement.

Pure: numbers in, findings out. `Series` is a raw measurement, `Statistics` its summary; the checks
prove the counter first (`check_counter`), then judge budgets (`check_budget`) and changes
(`regression_gate`).
"""

from tfm_harness.latency import catalogue
from tfm_harness.latency.budget import Budget, check_budget
from tfm_harness.latency.clock import Clock, ClockQuality
from tfm_harness.latency.counter import CounterReading, check_counter, check_rate, check_run_accounts, elapsed_ticks
from tfm_harness.latency.dependence import LEAST_TIMINGS, check_independent
from tfm_harness.latency.dudect import LEAST_MEASUREMENTS, Dudect, check_dudect, dudect
from tfm_harness.latency.mlperf import MlperfRun, check_mlperf, plan_iterations, run_mlperf
from tfm_harness.latency.phases import PHASES, Phases, check_phases
from tfm_harness.latency.regression import GateResult, Night, regression_gate
from tfm_harness.latency.series import Series, check_series
from tfm_harness.latency.statistics import Statistics, summarise
from tfm_harness.latency.steadiness import check_constant, check_periodic, check_start, check_tail

__all__ = [
    "LEAST_MEASUREMENTS",
    "LEAST_TIMINGS",
    "PHASES",
    "Budget",
    "Clock",
    "ClockQuality",
    "CounterReading",
    "Dudect",
    "GateResult",
    "MlperfRun",
    "Night",
    "Phases",
    "Series",
    "Statistics",
    "catalogue",
    "check_budget",
    "check_constant",
    "check_counter",
    "check_dudect",
    "check_independent",
    "check_mlperf",
    "check_periodic",
    "check_phases",
    "check_rate",
    "check_run_accounts",
    "check_series",
    "check_start",
    "check_tail",
    "dudect",
    "elapsed_ticks",
    "plan_iterations",
    "regression_gate",
    "run_mlperf",
    "summarise",
]
