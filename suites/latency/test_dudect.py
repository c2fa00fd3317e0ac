"""Whether a time tells a secret, by dudect: two classes of inputs, drawn at random, and Welch's t between their times.

On an emulator that counts instructions these are measurements of instructions: branches and early ends show, caches and
buses do not.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable, Sequence

import pytest
from tfm_harness import Bench, Device, Latency, Refused, VirtualBoard, fresh_nonce
from tfm_harness.latency import LEAST_MEASUREMENTS, catalogue
from tfm_harness.verify import messages_in

pytestmark = [pytest.mark.thorough, pytest.mark.needs("latency", "describe")]

AT_A_TIME = 32
INFERENCES = 8
"""At a time."""
MEASUREMENTS = LEAST_MEASUREMENTS + 400
SLOWEST = 400_000
"""Ticks of one measurement, at most, on an emulator: ten thousand of them must end."""
NO_CLOCK = "not covered: this board has no clock that a verdict about single calls could rest on"
REFERENCE = "tfm-harness-reference"
INVALID_SIGNATURE, DOES_NOT_EXIST = -149, -140
UID = 0x4455_4445_4354


class Classes:
    """Times of the two classes, in batches of one class each; which comes next is drawn."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.rng = random.Random(17)  # noqa: S311 - the same order every time
        self.times: tuple[list[int], list[int]] = [], []

    def take(self, batch: Callable[[bool], Sequence[int]]) -> None:
        """Measure until there is enough. `batch` times one class: the random one where its argument is true."""
        batch(False)  # what is prepared at first use is not measured
        progress = self.bench.progress("timings")
        while (count := sum(map(len, self.times))) < MEASUREMENTS:
            which = self.rng.random() < 0.5
            self.times[which].extend(batch(which))
            progress(min(count, MEASUREMENTS), MEASUREMENTS)


@pytest.fixture
def classes(bench: Bench) -> Classes:
    """An empty measurement."""
    return Classes(bench)


def nearly(right: bytes) -> tuple[bytes, bytes]:
    """Wrong in the first byte alone, and in the last one: a comparison that ends early ends late at one of them."""
    return bytes([right[0] ^ 0x80]) + right[1:], right[:-1] + bytes([right[-1] ^ 0x80])


def refused(timed: tuple[int, tuple[int, ...]], expected: int) -> tuple[int, ...]:
    """The times of a batch of calls, each of which was refused as it must be."""
    status, times = timed
    assert (status, len(times)) == (expected, AT_A_TIME)
    return times


@pytest.mark.needs("psa-call", "probe", "memory-map", "services", "update", "models")
def test_refusing_a_digest_takes_the_same_time(
    bench: Bench, device: Device, classes: Classes, latency: Latency
) -> None:
    """The digest of an uploaded model: some wrong in their first byte or their last one alone, and random ones."""
    store, scratch = bench.services.get("model-store"), bench.memory_map.scratch
    if bench.description.firmware != REFERENCE or store is None or scratch is None:
        pytest.skip("not covered: the model store of this firmware is not known")
    commands, base = device.test_commands, scratch[0]
    with bench.exact_clock() as exact:
        if not exact:
            pytest.skip(NO_CLOCK)
        right = commands.upload_model(b"no model at all " * 4)
        commands.poke(base, b"".join(nearly(right)) * (AT_A_TIME // 2) + classes.rng.randbytes(32 * 2 * AT_A_TIME))
        answer = base + 0x10000

        def batch(which: bool) -> Sequence[int]:
            first = classes.rng.randrange(AT_A_TIME, 2 * AT_A_TIME + 1) if which else 0
            call = (store.handle, 1006, [(base + 32 * first, 32)], [(answer, 256)])
            return refused(commands.psa_call_timed(call, AT_A_TIME, step=32), DOES_NOT_EXIST)

        classes.take(batch)
    latency.dudect(classes.times, catalogue.DUDECT_DIGEST, subject="digest of an uploaded model", batch=AT_A_TIME)


@pytest.mark.needs("psa-call", "probe", "memory-map", "services", "protected-storage", "nv-access")
def test_refusing_a_tag_takes_the_same_time(
    bench: Bench, device: Device, classes: Classes, latency: Latency, virtual: VirtualBoard
) -> None:
    """The tag of a stored object, changed in flash: wrong in its first byte or its last one alone, and random."""
    service, scratch, nv = bench.services.get("protected-storage"), bench.memory_map.scratch, virtual.nv
    if bench.description.firmware != REFERENCE or service is None or scratch is None:
        pytest.skip("not covered: how this firmware stores objects is not known")
    commands, base = device.test_commands, scratch[0]
    data = hashlib.sha256(b"timed").digest()
    with bench.exact_clock() as exact:
        if not exact:
            pytest.skip(NO_CLOCK)
        before = nv.read()
        commands.ps_set(UID, data)
        after = nv.read()
        at, message = next(
            (at, message) for at, message in messages_in(after).items() if before[at : at + 64] != after[at : at + 64]
        )
        tag_at = at + message.size - 16
        tag = message.ciphertext[-16:]
        commands.poke(base, struct.pack("<QII", UID, 0, 0))
        call = (service.handle, 1002, [(base, 8), (base + 8, 4)], [(base + 0x10000, 64)])

        def batch(which: bool) -> Sequence[int]:
            nv.write(tag_at, classes.rng.randbytes(16) if which else classes.rng.choice(nearly(tag)))
            return refused(commands.psa_call_timed(call, AT_A_TIME), INVALID_SIGNATURE)

        try:
            classes.take(batch)
        finally:
            commands.ps_remove(UID)
    latency.dudect(classes.times, catalogue.DUDECT_TAG, subject="tag of a stored object", batch=AT_A_TIME)


@pytest.mark.needs("models", "infer")
def test_an_inference_takes_the_same_time_whatever_its_input(
    bench: Bench, device: Device, classes: Classes, latency: Latency
) -> None:
    """Zeros, and random inputs: a note, unless the build declares `latency.inference: constant`."""
    commands = device.test_commands
    with bench.exact_clock() as exact:
        if not exact:
            pytest.skip(NO_CLOCK)
        fastest, ticks = "", 0
        for entry in commands.models():
            if entry.status == 0:
                device.select_model(entry.name)
                took = min(commands.latency(2).ticks)
                if not fastest or took < ticks:
                    fastest, ticks = entry.name, took
        if not bench.missing(["clock-control"]) and ticks > SLOWEST:
            pytest.skip(f"not covered: {MEASUREMENTS} inferences of {ticks} ticks take too long in an emulator")
        device.select_model(fastest)
        size = device.describe().input_bytes

        def batch(which: bool) -> Sequence[int]:
            return commands.latency(INFERENCES, data=classes.rng.randbytes(size) if which else bytes(size)).ticks

        classes.take(batch)
    declared = bench.combination.build.latency.inference == "constant"
    latency.dudect(
        classes.times,
        catalogue.DUDECT_INFERENCE if declared else catalogue.DUDECT_INPUT,
        subject=f"inference of {fastest}",
        batch=INFERENCES,
    )


@pytest.mark.needs("psa-token")
def test_signing_takes_the_same_time_by_dudect(
    bench: Bench, device: Device, classes: Classes, latency: Latency
) -> None:
    """One challenge again and again, and random ones: tokens of one length, signed with another secret number each."""
    if not bench.missing(["clock-control"]):
        pytest.skip(
            f"not covered: {MEASUREMENTS} signatures take many minutes in an emulator;"
            " there latency.constant-signing compares instructions, which must be equal"
        )
    if bench.combination.build.latency.signing == "masked":
        pytest.skip("not covered: the build declares that signing is masked: latency.signing-independent")
    service, scratch = bench.services.get("attestation"), bench.memory_map.scratch
    if service is None or scratch is None or bench.missing(["psa-call", "probe"]):
        pytest.skip("not covered: no known attestation service, or no memory for tests")
    commands, base = device.test_commands, scratch[0]
    commands.poke(base, bytes(32))
    call = (service.handle, 1001, [(base, 32)], [(base + 0x10000, 1024)])

    def batch(which: bool) -> Sequence[int]:
        commands.poke(base, fresh_nonce() if which else bytes(32))
        try:
            return commands.psa_call_timed(call)[1]
        except Refused:
            pytest.skip("not covered: the firmware refuses to time a call")

    classes.take(batch)
    latency.dudect(classes.times, catalogue.DUDECT_SIGNING, subject="attestation token")
