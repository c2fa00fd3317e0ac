"""After an update the new model runs under its own identity, and the token says so, whatever happens in between."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from tfm_harness import (
    Bench,
    Check,
    Device,
    ModelUpdates,
    Reference,
    Refused,
    ResetKind,
    Source,
    Verifier,
    VirtualBoard,
)
from tfm_harness.protocol.smp import status_of
from tfm_harness.testing import flip, with_other_weights

pytestmark = pytest.mark.needs(
    "update", "models", "file-model-signing-key", "factory-reset", "signed-result", "trusted-results"
)

DOES_NOT_EXIST = -140

ACCEPTED = Check(
    id="update.new-weights-accepted",
    title="a newer image of the same name with other weights is activated",
    requirement="RFC 9019 s.3 (firmware updates work)",
)
OTHER_NUMBERS = Check(
    id="update.new-weights-differ",
    title="the new weights give other numbers than the old ones for the input of the comparison",
    requirement="tfm-harness: a comparison of equals proves nothing",
    waivable=False,
)
EXPECTED_MODEL = Check(
    id="update.expected-model",
    title="after an update the new model's id is the one that requests may ask for, and the old one is refused",
    requirement="docs/protocol.md, infer (`mid`)",
)
VERIFIED_RUNS = Check(
    id="update.verified-copy-runs",
    title="a model that changes in its memory after it was verified is not run",
    requirement="PSA Security Model 1.1 s.5.4 (what runs is what was verified); CWE-367",
)

REACHED = Check(
    id="update.change-reached",
    title="the model that must not run changed after the device had read it",
    requirement="tfm-harness: a change that nobody could notice proves nothing",
    waivable=False,
)


class Telling:
    """Inputs for which two models give different outputs."""

    def __init__(self, reference: Reference, old: bytes, new: bytes) -> None:
        info = reference.engine.info(old, "old")
        size = info.input_bytes
        rng = np.random.default_rng(11)
        inputs = [rng.integers(0, 256, size, dtype=np.uint8).tobytes() for _ in range(32)]
        arrays = reference.unpack_inputs(info, inputs)
        before, after = (reference.engine.run(model, arrays, name="m")[0] for model in (old, new))
        differing = np.flatnonzero((before != after).reshape(len(inputs), -1).any(axis=1))
        self.inputs = [inputs[index] for index in differing[:2]]


PLACES = 24
"""Weights that are tried, one after another, until a change of one shows in the outputs."""
QUICK = ("updated", "after a warm reset")


@pytest.mark.needs("psa-token", "trusted-iak", "reset", "warm-reset", "cold-reset", "nonvolatile")
@pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.thorough(every=False))], ids=["some", "every"]
)
def test_the_new_model_runs_and_is_attested(
    updates: ModelUpdates, bench: Bench, device: Device, verifier: Verifier, reference: Reference, every: bool
) -> None:
    """Same name, other weights: outputs, model id and measurement are the new file's, in every way of loading it."""
    old = updates.payload(updates.entry.name)
    new = with_other_weights(old)
    telling = Telling(reference, old, new)
    updates.checks(OTHER_NUMBERS, bool(telling.inputs), expected="an input that tells them apart", seen="none of 32")

    def judge(subject: str) -> None:
        for data in telling.inputs:
            inference = device.infer_input(data)
            verifier.result(inference, subject=subject)
            reference.matches(inference, subject=subject)
        announced = device.test_commands.attest_size(32)
        verifier.token(*device.attest(), announced_size=announced, subject=subject)

    def taken(image: bytes) -> None:  # whatever its version is: the counter decides alone
        updates.checks.equal(ACCEPTED, updates.attempt(image), 0)

    def by_way_of_another() -> None:
        device.select_model(updates.other().name)
        other = device.infer_input(updates.input(5))
        verifier.result(other, subject="the other model")
        reference.matches(other, subject="the other model")
        device.select_model(updates.entry.name)

    judge("before")
    updates.checks.equal(ACCEPTED, updates.attempt(updates.image(ahead=1, payload=new, version=(255, 254, 65535))), 0)
    ways: dict[str, Callable[[], object]] = {
        "updated": lambda: None,
        "after a warm reset": lambda: device.reset(ResetKind.WARM),
        "after another model": by_way_of_another,
        "after a cold start": lambda: device.reset(ResetKind.COLD),
        "after a reset by request": bench.reset_by_request,
        "after a refused update": lambda: updates.attempt(updates.image(ahead=5, key=None)),
        "updated back to the old weights": lambda: taken(updates.image(ahead=2, payload=old, version=(2, 3, 5))),
        "updated again": lambda: taken(updates.image(ahead=3, payload=new, version=(0, 0, 1))),
        "updated under the same counter": lambda: taken(updates.image(ahead=3, payload=old, version=(0, 0, 0))),
    }  # fmt: skip
    for subject, happen in ways.items():
        if every or subject in QUICK:
            happen()
            judge(subject)


@pytest.mark.parametrize("source", ["host", pytest.param("sensor", marks=pytest.mark.thorough)])
def test_requests_name_the_new_model(updates: ModelUpdates, device: Device, verifier: Verifier, source: str) -> None:
    sensor = next(
        (m.name for m in updates.valid() if updates.bench.combination.build.models[m.name].input == "sensor"), None
    )
    if source == "sensor":
        if sensor is None or updates.bench.missing(["sensor", "stimulus"]):
            pytest.skip("not covered: no model that takes the sensor's window")
        device.select_model(sensor)
        updates.entry = updates.active()
        samples = device.fill_window()
    old = updates.payload(updates.entry.name)
    new = with_other_weights(old)
    updates.checks.equal(ACCEPTED, updates.attempt(updates.image(ahead=1, payload=new)), 0)
    data = None if source == "sensor" else updates.input(3)
    ids = {"old": hashlib.sha256(old).digest(), "new": hashlib.sha256(new).digest()}
    ids |= {"one bit off": ids["new"][:31] + bytes([ids["new"][31] ^ 1]), "zeros": bytes(32)}
    for which, model_id in ids.items():
        status = status_of(device.infer_expecting, model_id, Source.HOST if data is not None else Source.SENSOR, data)
        wanted = 0 if which == "new" else DOES_NOT_EXIST
        updates.checks.equal(EXPECTED_MODEL, status, wanted, subject=f"{which} id, input of the {source}")
    if data is None:
        verifier.result(device.infer_again(samples))


@pytest.mark.needs("nv-access")
def test_a_model_that_changes_after_it_was_verified_is_not_run(
    updates: ModelUpdates, device: Device, reference: Reference, virtual: VirtualBoard
) -> None:
    """External flash can change under a running device; the copy that runs must be the one that was verified."""
    old = updates.payload(updates.entry.name)
    changed = with_other_weights(old)
    telling = Telling(reference, old, changed)
    for number, when in enumerate(("before it is selected", "between its selection and its first use"), 1):
        image = updates.image(ahead=number)
        updates.checks.equal(ACCEPTED, updates.attempt(image), 0, subject=when)
        at = virtual.nv.read().find(image)
        if at < 0 or not telling.inputs:
            pytest.skip("not covered: the firmware keeps updated images elsewhere, or not as they came")
        device.select_model(updates.other().name)
        device.infer_input(updates.input())
        place = at + image.index(old)
        try:
            if number == 1:
                virtual.nv.write(place, changed)
            device.test_commands.select_model(updates.entry.name)
            if number == 2:
                virtual.nv.write(place, changed)
            device.describe()
            inference = device.infer_input(telling.inputs[0])
        except Refused as refused:
            updates.checks.refused(VERIFIED_RUNS, refused)
            if number == 2:  # nothing else is active; whatever size of input is described, none is run
                again = status_of(device.infer_input, updates.input())
                subject = f"{when}, asked once more"
                updates.checks(VERIFIED_RUNS, again != 0, expected="a refusal again", seen="a result", subject=subject)
        else:
            exact = reference.matches(inference, subject=f"changed {when}").exact
            updates.checks(
                VERIFIED_RUNS, exact, expected="a refusal, or the verified model's numbers", seen="other numbers",
                subject=when,
            )  # fmt: skip


@pytest.mark.thorough
@pytest.mark.needs("register-stops")
def test_a_factorys_model_that_changes_after_it_was_verified_is_not_run(
    updates: ModelUpdates, device: Device, reference: Reference, virtual: VirtualBoard
) -> None:
    """A factory's model is in external flash, as an update is: one byte changes once its hash has been computed."""
    slots = getattr(getattr(updates.bench.combination.target, "virtual", None), "model_slots", None)
    entry = updates.other()
    file = updates.bench.combination.build.models[entry.name]
    if slots is None or entry.slot >= slots.count or file.image is None:
        pytest.skip("not covered: where the factory's models lie is not known")
    image, old = file.image.read_bytes(), updates.payload(entry.name)
    start = image.find(old)
    if start < 0:
        pytest.skip("not covered: the image holds its model in another form")
    weights = [n for n, (a, b) in enumerate(zip(old, with_other_weights(old), strict=True)) if a != b]
    aligned = [n for n in weights if (start + n) % 4 == 0]
    device.select_model(entry.name)
    for at in aligned[:: max(1, len(aligned) // PLACES)]:
        changed = flip(at, 0x80)(old)  # one byte alone: the rest of its word may not have been read yet
        telling = Telling(reference, old, changed)
        if telling.inputs:
            break
    else:
        pytest.skip("not covered: no single weight that shows in the outputs")
    device.select_model(updates.entry.name)
    place = slots.base + entry.slot * slots.stride + start + at
    reached = virtual.raced(
        lambda: status_of(device.test_commands.select_model, entry.name), place, changed[at : at + 4]
    )
    updates.changed = True
    updates.checks(REACHED, reached, expected="the device reads its factory's model", seen="it does not")
    try:
        device.describe()
        inference = device.infer_input(telling.inputs[0])
    except Refused as refused:
        updates.checks.refused(VERIFIED_RUNS, refused)
    else:
        exact = reference.matches(inference, subject="a factory's model, changed").exact
        updates.checks(
            VERIFIED_RUNS, exact, expected="a refusal, or the verified model's numbers", seen="other numbers",
            subject="a factory's model",
        )  # fmt: skip
