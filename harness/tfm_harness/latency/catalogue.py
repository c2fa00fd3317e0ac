"""Every check of latency, declared once."""

from __future__ import annotations

from tfm_harness.findings import Catalogue, Check, Severity

__all__ = [
    "ALL",
    "BASELINE",
    "BUDGET",
    "BUDGET_JUDGED",
    "CONSTANT_SIGNING",
    "COUNTER_MOVES",
    "COUNTER_RATE",
    "COUNTER_WITHIN_HOST",
    "DRIFT",
    "DUDECT_DIGEST",
    "DUDECT_INFERENCE",
    "DUDECT_INPUT",
    "DUDECT_SIGNING",
    "DUDECT_TAG",
    "FASTER",
    "GATE_JUDGED",
    "MLPERF_DURATION",
    "MLPERF_ITERATIONS",
    "MLPERF_RUNS",
    "NOT_SLOWER",
    "ONE_FREQUENCY",
    "PERIODIC",
    "PHASES_ADD_UP",
    "PHASES_ORDER",
    "RESULT_TICKS",
    "RUN_ACCOUNTS",
    "SERIES_ABOVE_EMPTY",
    "SERIES_COMPLETE",
    "SIBLING",
    "SIGNING_INDEPENDENT",
    "SIGNING_JUDGED",
    "START_AT_INPUT",
    "TAIL",
    "VELA_ESTIMATE",
]

ALL = Catalogue("latency")


def _check(slug: str, title: str, requirement: str, severity: Severity = Severity.FAILURE) -> Check:
    return ALL.declare(
        Check(
            id=f"latency.{slug}",
            title=title,
            requirement=requirement,
            dev=severity,
            validation=severity,
            production=severity,
        )
    )


_EEMBC = "EEMBC/MLPerf Tiny runner: timestamps of the device's counter"
COUNTER_MOVES = _check("counter-moves", "the device's counter advances between two readings", _EEMBC)
COUNTER_RATE = _check(
    "counter-rate", "the counter's rate against the host clock is the declared frequency", "tfm-harness: clock constant"
)
COUNTER_WITHIN_HOST = _check(
    "counter-within-host",
    "device time fits inside host time and leaves no more than the bound unexplained",
    "tfm-harness: host time is a bound, never a measurement",
)
SERIES_COMPLETE = _check("series-complete", "the device returned as many timings as were asked for", "docs/protocol.md")
SERIES_ABOVE_EMPTY = _check(
    "series-above-empty", "an inference takes longer than an empty measurement", "tfm-harness: empty-call subtraction"
)
RUN_ACCOUNTS = _check(
    "run-accounts",
    "the timed inferences account for the time of the whole run",
    "tfm-harness: end ticks must be taken after the work",
)
RESULT_TICKS = _check(
    "result-ticks",
    "start and end ticks of a signed result span the inference",
    "tfm-harness: docs/protocol.md, labels -70006 and -70007",
)
PHASES_ORDER = _check("phases-order", "phase ticks never run backwards", "docs/protocol.md, infer: ph")
PHASES_ADD_UP = _check(
    "phases-add-up",
    "the device's phases and the wire add up to the host's time within the stated bound",
    "docs/protocol.md, infer: ph",
)
START_AT_INPUT = _check(
    "start-at-input",
    "an inference's ticks begin when its input is ready",
    "docs/protocol.md, infer: ph; labels -70006 and -70007",
)
TAIL = _check(
    "tail-ratio", "no inference takes much longer than the others", "tfm-harness: p99.9 against the median, exact clock"
)
PERIODIC = _check(
    "no-periodic-outliers",
    "no inference of a regular distance takes much longer than the others",
    "tfm-harness: outliers of the host's own are never regular",
)
CONSTANT_SIGNING = _check(
    "constant-signing",
    "the time to sign depends neither on the key nor on what is signed",
    "FIPS 140-3 IG 12.A (timing); TF-M threat model (side channels)",
)
SIGNING_INDEPENDENT = _check(
    "signing-independent",
    "where signing is declared to be masked, its time follows neither the secret number nor what is signed",
    "FIPS 140-3 IG 12.A (timing); TF-M threat model (side channels)",
)
SIGNING_JUDGED = _check(
    "signing-judged",
    "the host knows the key, so that the time to sign can be compared with the secret number",
    "tfm-harness: what is not judged is said",
    Severity.INFO,
)
DUDECT_TAG = _check(
    "dudect-tag",
    "the time to refuse a stored object does not depend on which byte of its tag is wrong",
    "FIPS 140-3 IG 12.A (timing); CWE-208; dudect (DATE 2017)",
)
DUDECT_DIGEST = _check(
    "dudect-digest",
    "the time to refuse a digest does not depend on which byte of it is wrong",
    "CWE-208; dudect (DATE 2017)",
)
DUDECT_SIGNING = _check(
    "dudect-signing",
    "the time to sign does not depend on what is signed, by Welch's t of two classes",
    "FIPS 140-3 IG 12.A (timing); dudect (DATE 2017)",
)
DUDECT_INFERENCE = _check(
    "dudect-inference",
    "the time of an inference does not depend on its input, where the build says so",
    "arXiv 2103.14739 (inputs recovered from timing); build YAML: latency.inference",
)
DUDECT_INPUT = _check(
    "dudect-input",
    "the time of an inference does not depend on its input",
    "arXiv 2103.14739 (inputs recovered from timing)",
    Severity.INFO,
)
ONE_FREQUENCY = _check(
    "one-frequency",
    "every path that reports a counter's frequency reports the declared one",
    "docs/protocol.md, describe, latency, label -70008",
)
BUDGET = _check("budget", "the statistic stays within its budget", "build YAML: latency.budgets")
BUDGET_JUDGED = _check(
    "budget-judged", "the clock can carry a budget's verdict", "tfm-harness: clock quality", Severity.INFO
)
NOT_SLOWER = _check("not-slower", "not slower than the accepted baseline", "tfm-harness: regression gate")
DRIFT = _check("no-drift", "not slower than the median of the last nights", "tfm-harness: regression gate")
FASTER = _check(
    "not-faster",
    "not faster than the baseline (accept a new one if that is meant)",
    "tfm-harness: regression gate",
    Severity.INFO,
)
BASELINE = _check("baseline", "there is a baseline to compare with", "tfm-harness: regression gate", Severity.INFO)
SIBLING = _check(
    "sibling-baseline",
    "a board is not without the baseline that another board of its kind has",
    "tfm-harness: regression gate",
    Severity.WARNING,
)
GATE_JUDGED = _check(
    "gate-judged", "the series can be compared with its baseline", "tfm-harness: clock quality", Severity.INFO
)
MLPERF_RUNS = _check("mlperf-runs", "five runs with five different inputs", "MLPerf Tiny rules: performance mode")
MLPERF_DURATION = _check("mlperf-duration", "each run lasts at least 10 seconds", "MLPerf Tiny rules: performance mode")
MLPERF_ITERATIONS = _check(
    "mlperf-iterations", "each run has at least 10 iterations", "MLPerf Tiny rules: performance mode"
)
VELA_ESTIMATE = _check(
    "vela-estimate",
    "an inference on an NPU takes half to twice of what Vela estimates",
    "Vela README, performance information: an estimate, no measurement",
    Severity.INFO,
)
