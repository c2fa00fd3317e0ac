"""Signed results over their whole domain: every nonce, no forged source, one counter for everything."""

from __future__ import annotations

import random

import pytest
from tfm_harness import (
    Bench,
    Check,
    Checks,
    ClockQuality,
    Device,
    Refused,
    ResetKind,
    Source,
    Stimulus,
    Verifier,
    VirtualBoard,
)
from tfm_harness.protocol.smp import PHASES, Command, status_of
from tfm_harness.testing import NoObjectError, with_object

pytestmark = pytest.mark.needs("infer", "signed-result", "nonce", "trusted-results")

INVALID_ARGUMENT, DOES_NOT_EXIST, NOT_SUPPORTED = -135, -140, -134
LONGEST = 60_000
"""Milliseconds between two samples, at most (docs/protocol.md)."""
LOOKS = 2000
COUNTER_OWNER, COUNTER_UID = 261, 0x7465734C

NONCE_SIZE = Check(
    id="result.nonce-sizes-refused",
    title="a nonce of any other size than 8 to 64 bytes is refused",
    requirement="RFC 9711 s.4.1; docs/protocol.md, infer",
)
SOURCE = Check(
    id="result.source-not-forged",
    title="a result that names the sensor as its source has its input from the sensor's driver only",
    requirement="RFC 9334 s.8.1; docs/protocol.md, label -70002",
)
NO_WINDOW = Check(
    id="result.window-for-its-model",
    title="a model that does not take the sensor's window gives no result of it",
    requirement="docs/protocol.md, infer (134: a model that does not take a window); RFC 9334 s.8.1",
)
EXPECTED_MODEL = Check(
    id="result.expected-model",
    title="a request that names a model is answered by that model or refused, for every source of the input",
    requirement="docs/protocol.md, infer (`mid`)",
)
ORDER = Check(
    id="result.times-in-order",
    title="the ticks of a result follow each other in the order of the work, for every source of the input",
    requirement="docs/protocol.md, infer (`ph`), labels -70006 and -70007",
)
WIDTH = Check(
    id="result.counter-width",
    title="the counter goes on beyond 8, 16, 32, 53 and 63 bits, and stops at its end",
    requirement="docs/protocol.md, label -70005 (never repeats)",
)


def some_input(bench: Bench, seed: int) -> bytes:
    """One input tensor's bytes."""
    return random.Random(seed).randbytes(bench.description.input_bytes)  # noqa: S311 - the same in each run


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param((8, 9, 31, 33, 63, 64), id="some"),
        pytest.param(tuple(range(8, 65)), id="all", marks=pytest.mark.thorough(sizes=(8, 9, 31, 33, 63, 64))),
    ],
)
def test_nonces_of_every_length_are_bound(
    bench: Bench, device: Device, verifier: Verifier, sizes: tuple[int, ...]
) -> None:
    """All bytes of a nonce are different, so that none can be dropped, repeated or moved unseen."""
    samples = () if bench.missing(["sensor", "stimulus", "sensor-model"]) else device.fill_window()
    for number, size in enumerate(sizes):
        nonce = bytes(random.Random(size).sample(range(256), size))  # noqa: S311 - the same in each run
        verifier.result(device.infer_input(some_input(bench, size), nonce=nonce), subject=f"{size} bytes")
        if samples and (number % 4 == 0 or size == max(sizes)):
            verifier.result(device.infer_again(samples, nonce=nonce), subject=f"{size} bytes, for a window")
    for nonce in (bytes(32), b"\xff" * 32, bytes(8), b"\xff" * 64):
        verifier.result(device.infer_input(some_input(bench, 1), nonce=nonce), subject=nonce.hex()[:8])
    verifier.relations()


def test_nonces_of_other_lengths_are_refused(bench: Bench, device: Device, checks: Checks) -> None:
    """Also those whose length looks right when only its low bits are kept."""
    for size in (*range(8), *range(65, 129), 255, 256, 256 + 8, 256 + 32, 256 + 64, 512 + 16, 1024 + 32):
        status = status_of(device.infer_input, some_input(bench, 1), nonce=bytes(size))
        checks.equal(NONCE_SIZE, status, INVALID_ARGUMENT, subject=f"{size} bytes")


@pytest.mark.needs("sensor", "stimulus", "sensor-model")
def test_the_source_cannot_be_forged(device: Device, checks: Checks, stimulus: Stimulus) -> None:
    """Records that a caller hands in must never be signed as read from the sensor."""
    stimulus.set("mag.x", 40.0)
    samples = device.fill_window()
    test_commands = device.test_commands
    records = b"".join(sample.record() for sample in samples)
    for data in (b"", records[:8], records):
        status = status_of(test_commands.ask, Command.INFER, {"nonce": bytes(16), "src": 0, "in": data})
        checks.equal(SOURCE, status, INVALID_ARGUMENT, subject=f"{len(data)} bytes of input beside source 0")
    for source in (2, 3, 255, 256, 1 << 16, 1 << 31):
        status = status_of(test_commands.ask, Command.INFER, {"nonce": bytes(16), "src": source})
        checks.equal(SOURCE, status, INVALID_ARGUMENT, subject=f"source {source}")


@pytest.mark.needs("sensor", "stimulus", "sensor-model", "models")
def test_a_model_that_takes_no_window_gives_no_result_of_one(
    bench: Bench, device: Device, checks: Checks, stimulus: Stimulus
) -> None:
    """A whole window is there. No part of it may be signed as the input of a model that does not take windows."""
    entries = device.test_commands.models()
    active = next(entry.name for entry in entries if entry.active)
    known = bench.combination.build.models
    others = [entry for entry in entries if entry.status == 0 and entry.name in known]
    others = [entry for entry in others if known[entry.name].input != "sensor"]
    if not others:
        pytest.skip("not covered: every model takes a window of the sensor")
    stimulus.set("mag.x", 40.0)
    try:
        for entry in others:
            device.select_model(entry.name)
            device.fill_window()
            for encrypted in (False, True)[: 1 if bench.missing(["encrypted-result"]) else 2]:
                asked = {"nonce": bytes(16), "src": int(Source.SENSOR), "mid": entry.id, "enc": int(encrypted)}
                status = status_of(device.test_commands.ask, Command.INFER, asked)
                bench.asked_results += status == 0
                subject = f"{entry.name}, whose input is no window{', encrypted' * encrypted}"
                checks.equal(NO_WINDOW, status, NOT_SUPPORTED, subject=subject)
    finally:
        device.select_model(active)


@pytest.mark.needs("models")
@pytest.mark.parametrize("source", ["host", "sensor"])
def test_the_expected_model_is_honoured(
    bench: Bench, device: Device, checks: Checks, request: pytest.FixtureRequest, source: str
) -> None:
    if source == "sensor":
        if bench.missing(["sensor", "stimulus", "sensor-model"]):
            pytest.skip("not covered: no sensor to take an input from")
        request.getfixturevalue("stimulus")
        device.fill_window()
    active = next(entry for entry in device.test_commands.models() if entry.active)
    others = {
        f"model {entry.name}": entry.id for entry in device.test_commands.models() if entry.id and not entry.active
    }
    wrong = {f"bit {bit} off": flipped(active.id, bit) for bit in (0, 7, 128, 248, 255)}
    for subject, model_id in {"its own": active.id, **others, **wrong, "zeros": bytes(32)}.items():
        status: int | None = 0
        try:
            if source == "host":
                device.infer_expecting(model_id, Source.HOST, some_input(bench, 3))
            else:
                device.infer_expecting(model_id, Source.SENSOR)
        except Refused as refused:
            status = refused.status
        wanted = 0 if subject == "its own" else DOES_NOT_EXIST
        checks.equal(EXPECTED_MODEL, status, wanted, subject=f"{subject}, input of the {source}")


@pytest.mark.needs("models")
def test_an_expected_model_is_named_by_32_bytes(bench: Bench, device: Device, checks: Checks) -> None:
    """An id that is cut, or has more behind it, is none."""
    active = next(entry for entry in device.test_commands.models() if entry.active).id
    for model_id in (b"", active[:1], active[:31], active + b"\0", active * 2):
        status = status_of(device.infer_expecting, model_id, Source.HOST, some_input(bench, 3))
        checks.equal(EXPECTED_MODEL, status, INVALID_ARGUMENT, subject=f"an id of {len(model_id)} bytes")


@pytest.mark.needs("latency")
@pytest.mark.parametrize(
    "source",
    ["host", "sensor", pytest.param("encrypted", marks=pytest.mark.needs("encrypted-result", "known-secrets"))],
)
def test_times_are_in_their_order(
    bench: Bench, device: Device, verifier: Verifier, checks: Checks, request: pytest.FixtureRequest, source: str
) -> None:
    """For each source, and encrypted: the phases follow each other, and the signed ticks belong to this inference."""
    sensed = source != "host" and not bench.missing(["sensor", "stimulus", "sensor-model"])
    if source == "sensor" and not sensed:
        pytest.skip("not covered: no sensor to take an input from")
    if sensed:
        request.getfixturevalue("stimulus")
    # On a busy host an emulator's clock makes work look longer, never shorter: the least of many counts.
    least = min(device.test_commands.latency(32).ticks)
    taken: dict[str, int] = {}
    last = 0
    for number in range(3):
        encrypted = source == "encrypted"
        inference = (
            device.infer_window(encrypted=encrypted)
            if source == "sensor" or (sensed and number == 1)
            else device.infer_input(some_input(bench, number), encrypted=encrypted)
        )
        judge = verifier.encrypted_result if encrypted else verifier.result
        result = judge(inference, subject=f"{source} {number}")
        if result is None:
            return  # which `encryption.*` has said
        marks = [inference.answer.ticks[phase] for phase in PHASES]
        subject = f"{source}, result {number}"
        checks(ORDER, marks == sorted(marks), expected="each after the one before", seen=marks, subject=subject)
        checks(ORDER, marks[0] > last, expected=f"after {last}, the request before", seen=marks[0], subject=subject)
        span = result.integer("end_ticks") or 0, result.integer("start_ticks") or 0
        checks.equal(ORDER, span, (marks[4], marks[3]), subject=f"{subject}: signed end and start")
        taken[f"{subject}: inference"] = span[0] - span[1]
        last = marks[-1]
        checks(ORDER, marks[6] < marks[7], expected="a response after signing", seen=marks, subject=subject)
    least = min(least, *device.test_commands.latency(32).ticks)
    for subject, ticks in taken.items():
        checks(ORDER, 2 * ticks > least, expected=f"about {least} ticks", seen=ticks, subject=subject)


@pytest.mark.thorough
@pytest.mark.needs("latency", "free-running", "sensor", "stimulus", "sensor-model")
def test_times_go_on_beyond_32_bits(bench: Bench, device: Device, verifier: Verifier, checks: Checks) -> None:
    """On a clock whose idle time passes at once, a few samples that are a minute apart let hours pass."""
    if bench.board.clock_quality is not ClockQuality.MEANINGLESS:
        pytest.skip("not covered: idle time does not pass at once on this board")
    test_commands = device.test_commands
    with bench.exact_clock() as exact:
        if not exact:
            pytest.skip("not covered: idle time does not pass at once on this board")
        hz = test_commands.latency(1).hz
        test_commands.sample("clear")
        test_commands.sample("free", ms=LONGEST)
        # Counted by the samples, not by the counter, whose width is the question.
        late = (1 << 32) // (hz * LONGEST // 1000) + 2
        taken = next((n for _ in range(LOOKS) if (n := test_commands.sample("free", ms=LONGEST).taken) > late), 0)
        test_commands.sample("stop")
        if not taken:
            pytest.skip("not covered: no samples come, which the suite sensor judges")
        for number, source in enumerate(("host", "sensor")):
            inference = device.infer_window() if source == "sensor" else device.infer_input(some_input(bench, number))
            result = verifier.result(inference, subject=f"{source}, late")
            marks = [inference.answer.ticks[phase] for phase in PHASES]
            checks(ORDER, marks == sorted(marks), expected="each after the one before", seen=marks, subject=source)
            checks(ORDER, min(marks) >= 1 << 32, expected="above 2^32", seen=marks, subject=f"{source}: phases")
            span = result.integer("start_ticks") or 0, result.integer("end_ticks") or 0
            checks.equal(ORDER, span, (marks[3], marks[4]), subject=f"{source}: signed start and end")
            run = test_commands.latency(1)
            seen = run.start, run.end
            checks(ORDER, marks[7] < seen[0] < seen[1], expected=f"after {marks[7]}", seen=seen, subject="a benchmark")


def flipped(value: bytes, bit: int) -> bytes:
    """`value` with one bit changed."""
    return value[: bit // 8] + bytes([value[bit // 8] ^ 1 << bit % 8]) + value[bit // 8 + 1 :]


@pytest.mark.needs("sensor", "stimulus", "sensor-model", "reset", "warm-reset", "cold-reset", "nonvolatile", "models")
def test_one_counter_for_every_kind_of_request(
    bench: Bench, device: Device, verifier: Verifier, stimulus: Stimulus
) -> None:
    """Sources, models, refusals and resets in turn, with one nonce: no two results are the same, each is counted."""
    stimulus.set("temp", 30.0)
    nonce = bytes(range(16))
    name = next(entry.name for entry in device.test_commands.models() if entry.active)
    other = next(
        (entry.name for entry in device.test_commands.models() if entry.status == 0 and not entry.active), None
    )

    def both(subject: str) -> None:
        verifier.result(device.infer_input(some_input(bench, 1), nonce=nonce), subject=f"{subject}, host")
        verifier.result(device.infer_window(nonce=nonce), subject=f"{subject}, sensor")
        verifier.result(device.infer_input(some_input(bench, 1), nonce=nonce), subject=f"{subject}, host again")

    both("first")
    if other is not None:
        device.select_model(other)
        verifier.result(device.infer_input(some_input(bench, 2), nonce=nonce), subject="another model")
        device.select_model(name)
    asked = bench.asked_results
    for size in (0, 65):
        with pytest.raises(Refused):
            device.infer_input(some_input(bench, 1), nonce=bytes(size))
    bench.asked_results = asked  # what is refused is no result
    both("after refusals")
    device.reset(ResetKind.WARM)
    both("after a warm reset")
    device.reset(ResetKind.COLD)
    both("after a cold start")
    bench.reset_by_request()
    both("after a reset by request")
    verifier.relations()


@pytest.mark.needs("nv-access", "cold-reset", "describe")
@pytest.mark.parametrize(
    "widths", [(16, 32), pytest.param((8, 24, 31, 53, 63), marks=pytest.mark.thorough)], ids=["some", "others"]
)
def test_the_counter_is_as_wide_as_it_says(
    bench: Bench, device: Device, checks: Checks, verifier: Verifier, virtual: VirtualBoard, widths: tuple[int, ...]
) -> None:
    """The counter is set just below each width that an implementation may have chosen too small."""
    if bench.description.firmware != "tfm-harness-reference":
        pytest.skip("not covered: where this firmware keeps its counter is not known")
    verifier.apart().result(device.infer_input(some_input(bench, 0)))
    with virtual.keeping():
        for bits in widths:
            start = (1 << bits) - 2
            try:
                content = with_object(virtual.nv.read(), COUNTER_OWNER, COUNTER_UID, start.to_bytes(8, "little"))
            except NoObjectError as error:
                pytest.skip(f"not covered: {error}")
            virtual.restart_with(content)
            for step in (1, 2, 3):
                apart = verifier.apart()
                result = apart.result(device.infer_input(some_input(bench, step)))
                subject = f"{step} above {start:#x}"
                checks.equal(WIDTH, result.counter, start + step, subject=subject)
                wrong = [
                    finding.id
                    for finding in apart.report.findings
                    if not finding.passed and finding.id.startswith(("result.", "cose.", "cbor."))
                ]
                checks.equal(WIDTH, wrong, [], subject=f"{subject}: whatever else is asked of a result")
        content = with_object(virtual.nv.read(), COUNTER_OWNER, COUNTER_UID, b"\xfe" + b"\xff" * 7)
        virtual.restart_with(content)
        last = verifier.apart().result(device.infer_input(some_input(bench, 1)))
        checks.equal(WIDTH, last.counter, (1 << 64) - 1, subject="the last value")
        status = status_of(device.infer_input, some_input(bench, 2))
        checks(WIDTH, status != 0, expected="a refusal", seen="another result", subject="after the last value")
