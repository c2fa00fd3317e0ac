"""Whether time is steady and counted from the right place, on a clock that no busy host disturbs."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from tfm_harness import Bench, Check, Checks, Device, Inference, Verifier, build_result_profile
from tfm_harness.latency import (
    catalogue,
    check_constant,
    check_independent,
    check_periodic,
    check_start,
    check_tail,
)
from tfm_harness.protocol.smp import PHASES, status_of
from tfm_harness.verify import PublicKey, signature_of_result, what_time_may_follow

pytestmark = pytest.mark.needs("infer", "latency", "models")

MOST = 512  # timings in one answer
TICKS = 60_000_000
"""Of inferences in a series: seconds on an emulator that counts instructions."""
WARM_UPS = 12
TOKEN = 1001
"""Message type of a token (docs/protocol.md, Services)."""
RESULTS = 48
"""Signed results of each kind."""
REFERENCE = "tfm-harness-reference"
FAR = 256
"""Bytes between two models' inputs from which on taking them tells when it is done."""
EMPTY_SHARE = 8
"""Empty measurements take half of what is beside one inference, or a bit less."""
NO_CLOCK = "not covered: this board has no clock that a verdict about single inferences could rest on"

EMPTY = Check(
    id="latency.empty-in-run",
    title="the empty measurements of a series are made in its run, beside its timings",
    requirement="docs/protocol.md, latency",
)
ENTERED = Check(
    id="latency.entered-before-input",
    title="the service is entered before it takes the input, so that this time is between its marks",
    requirement="docs/protocol.md, infer (`ph`: service entered, input ready)",
)
WARM_UP = Check(
    id="latency.warm-up-runs",
    title="the inferences that are asked for to warm up are run before those that are timed",
    requirement="docs/protocol.md, latency (`warm`); MLPerf Tiny rules (warm-up)",
)


def marks_of(inference: Inference) -> list[int]:
    """The eight ticks beside a result."""
    return [inference.answer.ticks[phase] for phase in PHASES]


def how_many(device: Device, *, least: int = 6) -> int:
    """Inferences in a series: many of a fast model, few of a slow one."""
    each: int = max(1, min(device.test_commands.latency(3).ticks))
    return max(least, min(MOST, TICKS // each))


@pytest.mark.parametrize("least", [6, pytest.param(48, marks=pytest.mark.thorough(least=6))])
def test_no_inference_takes_much_longer_than_the_others(
    bench: Bench, device: Device, checks: Checks, least: int
) -> None:
    """For every model that the device holds: hundreds of inferences of a fast one, `least` of a slow one."""
    models = [entry.name for entry in device.test_commands.models() if entry.status == 0]
    with bench.exact_clock() as exact:
        if not exact:
            pytest.skip(NO_CLOCK)
        for name in dict.fromkeys(models):
            device.select_model(name)
            many = how_many(device, least=least)
            run = device.test_commands.latency(many)
            check_tail(run.ticks, checks.report, subject=f"{name}, benchmark")
            if many == MOST and least > 6:
                status = status_of(device.test_commands.latency, 1, warm_up=MOST)
                checks.equal(WARM_UP, status, 0, subject=f"{name}, {MOST} inferences to warm up: as many as may be")
        run = device.test_commands.latency(1, warm_up=WARM_UPS)
        due, spent = (WARM_UPS + 1) * min(run.ticks) * 97 // 100, run.end - run.start
        words = f"{WARM_UPS} inferences to warm up, and one"
        checks(WARM_UP, spent >= due, expected=f"{due} ticks and more", seen=spent, subject=words)
        run = device.test_commands.latency(1)
        # Readings of the counter: at both ends, and two for each measurement. None are nearer than in an empty one.
        due, beside = (2 * len(run.empty) + 2) * min(run.empty), run.end - run.start - run.ticks[0]
        words = f"{len(run.empty)} empty measurements and one inference"
        checks(EMPTY, beside >= due, expected=f"{due} ticks and more beside the inference", seen=beside, subject=words)
        if bench.description.firmware == REFERENCE:  # which does nothing else there
            told = sum(run.empty)
            checks(
                EMPTY, told * EMPTY_SHARE >= beside, expected=f"{beside // EMPTY_SHARE} ticks and more", seen=told,
                subject=f"{words}: the empty ones together",
            )  # fmt: skip


@pytest.mark.thorough
@pytest.mark.needs("signed-result")
@pytest.mark.parametrize(
    "kind",
    [
        "host",
        pytest.param("sensor", marks=pytest.mark.needs("sensor", "stimulus", "sensor-model")),
        pytest.param("encrypted", marks=pytest.mark.needs("encrypted-result")),
    ],
)
def test_no_signed_result_takes_much_longer_than_the_others(
    bench: Bench, device: Device, checks: Checks, request: pytest.FixtureRequest, kind: str
) -> None:
    """Inference, what comes before it and what comes after it, of each kind of result."""
    if kind == "sensor":
        request.getfixturevalue("stimulus")
    with bench.exact_clock() as exact:
        if not exact:
            pytest.skip(NO_CLOCK)
        samples = device.fill_window() if kind == "sensor" else ()
        size = bench.description.input_bytes
        before, inside, after = [], [], []
        for number in range(RESULTS):
            if kind == "sensor":
                inference = device.infer_again(samples)
            else:
                inference = device.infer_input(bytes([number]) * size, encrypted=kind == "encrypted")
            _, entered, _, start, end, _, _, ready = marks_of(inference)
            before.append(start - entered)
            inside.append(end - start)
            after.append(ready - end)
        check_tail(inside, checks.report, subject=f"signed results, {kind}")
        # The first one makes the model ready, and finds out who signs.
        check_tail(before[1:], checks.report, subject=f"signed results, {kind}: before the inference")
        check_tail(after[1:], checks.report, subject=f"signed results, {kind}: after the inference")


def test_no_inference_is_slow_at_a_regular_distance(device: Device, checks: Checks) -> None:
    """On the board as it is: what comes regularly is not the host's."""
    series = [device.test_commands.latency(min(how_many(device, least=48), 300)).ticks for _ in range(2)]
    check_periodic(series, checks.report)


@pytest.mark.needs("signed-result")
def test_ticks_begin_when_the_input_is_ready(bench: Bench, device: Device, checks: Checks) -> None:
    """For every model of the build that the device holds; the exact clock is started once."""
    held = {entry.name for entry in device.test_commands.models() if entry.status == 0}
    gaps: dict[int, tuple[int, int]] = {}
    with bench.exact_clock() as exact:
        if not exact:
            pytest.skip(NO_CLOCK)
        for name in sorted(held & set(bench.combination.build.models)):
            device.select_model(name)
            size = device.describe().input_bytes
            marks = [marks_of(device.infer_input(bytes([number]) * size)) for number in range(6)]
            check_start(marks, checks.report, subject=name)
            gaps[size] = min(mark[1] - mark[0] for mark in marks), min(mark[2] - mark[1] for mark in marks)
    small, large = min(gaps, default=0), max(gaps, default=0)
    if bench.description.firmware == REFERENCE and large - small >= FAR:
        before, after = (gaps[large][place] - gaps[small][place] for place in (0, 1))
        expected = f"at most half of the {after} ticks that an input of {large} bytes costs behind it"
        checks(ENTERED, before * 2 <= after, expected=expected, seen=before, subject=f"{small} and {large} bytes")


@pytest.mark.needs("signed-result")
@pytest.mark.parametrize("count", [14, pytest.param(64, marks=pytest.mark.thorough(count=14))])
def test_signing_takes_the_same_time_whatever_is_signed(
    bench: Bench, device: Device, checks: Checks, count: int
) -> None:
    """Messages of one length; the first signing, which may prepare the key, is left out."""
    if bench.combination.build.latency.signing == "masked":
        pytest.skip("not covered: the build declares that signing is masked, so its time varies (latency.signing)")
    with bench.exact_clock() as exact:
        if not exact:
            pytest.skip(NO_CLOCK)
        check_constant([span_of(inference) for inference in signed(bench, device, count)], checks.report)
        if count > 14 and not bench.missing(["encrypted-result"]):
            hidden = [marks_of(inference) for inference in signed(bench, device, 14, encrypted=True)]
            spans = [marks[7] - marks[6] for marks in hidden]  # from the end of signing to the answer
            check_constant(spans, checks.report, subject="encryption of a result")
        if count > 14 and not bench.missing(["psa-token", "psa-call", "probe", "memory-map", "services"]):
            check_constant(token_times(bench, device, 14), checks.report, subject="attestation token")


def token_times(bench: Bench, device: Device, count: int) -> list[int]:
    """Ticks of the calls for tokens of one length, over zeros and random challenges in turn; the first is left out."""
    service, scratch = bench.services.get("attestation"), bench.memory_map.scratch
    if service is None or scratch is None:
        pytest.skip("not covered: no known attestation service, or no memory for tests")
    commands, base = device.test_commands, scratch[0]
    rng = random.Random(5)  # noqa: S311 - the same challenges every time
    call = (service.handle, TOKEN, [(base, 32)], [(base + 0x10000, 2048)])
    times: list[int] = []
    for number in range(count + 1):
        commands.poke(base, bytes(32) if number % 2 else rng.randbytes(32))
        times += commands.psa_call_timed(call)[1]
    return times[1:]


@pytest.mark.needs("signed-result", "trusted-results")
def test_the_time_of_masked_signing_tells_nothing(bench: Bench, device: Device, checks: Checks) -> None:
    """The same for cryptography that masks: its time varies, but goes neither with the secret nor with the message."""
    if bench.combination.build.latency.signing != "masked":
        pytest.skip("not covered: the build declares that signing takes constant time (latency.signing)")
    with bench.exact_clock() as exact:
        if not exact:
            pytest.skip(NO_CLOCK)
        judge_masked(bench, signed(bench, device, 64), checks)


def signed(bench: Bench, device: Device, count: int, *, encrypted: bool = False) -> list[Inference]:
    """Results over zeros and random inputs in turn; the first, which may prepare the key, is left out."""
    size = bench.description.input_bytes
    rng = random.Random(3)  # noqa: S311 - the same inputs every time
    inputs = [bytes(size) if number % 2 else rng.randbytes(size) for number in range(count + 1)]
    return [device.infer_input(data, nonce=rng.randbytes(32), encrypted=encrypted) for data in inputs][1:]


def span_of(inference: Inference) -> int:
    """Ticks of the signing."""
    marks = marks_of(inference)
    return marks[6] - marks[5]


def judge_masked(bench: Bench, inferences: Sequence[Inference], checks: Checks) -> None:
    """Compare the times with what each signature could have leaked."""
    key, private = bench.trust.key("result"), bench.trust.private_key("result")
    scalar = private.private_numbers().private_value if private is not None else None
    profile = build_result_profile(bench.combination.build)
    if not isinstance(key, PublicKey):
        pytest.skip("not covered: no key that is known to sign results")
    followed: list[dict[str, int]] = []
    for inference in inferences:
        record = signature_of_result(inference.answer.message, profile=profile, key=key)
        if record is None:
            pytest.skip("not covered: a result does not verify, which the suite results judges")
        followed.append(what_time_may_follow(record, scalar))
    values = {name: [each[name] for each in followed] for name in followed[0]}
    check_independent([span_of(inference) for inference in inferences], values, checks.report)
    checks(
        catalogue.SIGNING_JUDGED,
        private is not None,
        expected="the private key, as the harness drew the board's secret",
        seen="the device's own key: only what is signed was compared with the times",
        where="signing",
    )


@pytest.mark.needs("signed-result", "trusted-results", "describe")
def test_one_frequency_is_reported_everywhere(bench: Bench, device: Device, verifier: Verifier, checks: Checks) -> None:
    declared = bench.combination.target.clock
    if declared is None:
        pytest.skip("not covered: the target declares no clock")
    size = bench.description.input_bytes
    result = verifier.result(device.infer_input(bytes(size)))
    for where, hz in (
        ("describe", device.describe().clock_hz),
        ("latency", device.test_commands.latency(1).hz),
        ("signed result", result.integer("tick_hz")),
    ):
        if hz is not None:
            checks.equal(catalogue.ONE_FREQUENCY, hz, declared.hz, subject=where)
