"""Ways back to an older model: resets, changes of names or slots, and limits of the counter's number range."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tfm_harness import Bench, Check, Device, ModelUpdates, Refused, ResetKind, Verifier, VirtualBoard
from tfm_harness.protocol.smp import status_of
from tfm_harness.testing import make_image

pytestmark = pytest.mark.needs("update", "models", "file-model-signing-key", "factory-reset")

NOT_PERMITTED, STORAGE_FAILURE = -133, -146
REFERENCE = "tfm-harness-reference"
NAMES = 15
"""Of models whose security counters the reference firmware remembers (docs/protocol.md, Identity)."""

ACCEPTED = Check(
    id="update.newer-accepted",
    title="an image with the same security counter or a higher one is taken",
    requirement="PSA Security Model 1.1 s.5.4 (anti-rollback); MCUboot design, security counter",
)
ROLLBACK = Check(
    id="update.rollback-refused",
    title="an image with a lower security counter than one that was active is refused, also after resets",
    requirement="PSA Security Model 1.1 s.5.4 (anti-rollback)",
)
ARITHMETIC = Check(
    id="update.rollback-arithmetic",
    title="security counters are compared as unsigned numbers of 32 bits",
    requirement="MCUboot design, security counter (IMAGE_TLV_SEC_CNT, 32 bits unsigned)",
)
SELECT = Check(
    id="update.select-no-rollback",
    title="selecting a model by name never goes back to a lower security counter",
    requirement="PSA Security Model 1.1 s.5.4 (anti-rollback)",
)
OWN_COUNTER = Check(
    id="update.counters-by-name",
    title="a raised security counter of one model bars no other model",
    requirement="docs/protocol.md, Identity (one counter for each model name)",
)
LISTED = Check(
    id="update.list-current",
    title="the list of models says of each image whether it may be active now, and names the one that is",
    requirement="docs/protocol.md, models (`st`, `act`)",
)
DAMAGED_BANK = Check(
    id="update.damaged-bank-no-rollback",
    title="when the updated model is damaged in its memory, neither it nor an older one gives a result",
    requirement="PSA Security Model 1.1 s.5.4 (anti-rollback, secure boot of every image)",
)
NOT_RAISED = Check(
    id="update.refusal-raises-nothing",
    title="an image that is refused does not raise its security counter",
    requirement="RFC 9019 s.3.4 (failed updates are recoverable); MCUboot design, security counter",
)
REFUSED_AGAIN = Check(
    id="update.refused-again",
    title="what was uploaded and refused is refused for the same reason when it is asked for again",
    requirement="docs/protocol.md, model-activate; RFC 9019 s.3.4 (failed updates are recoverable)",
)
MANY_NAMES = Check(
    id="update.counter-room",
    title="an image whose security counter cannot be remembered is refused; earlier counters stay",
    requirement="docs/protocol.md, Identity (15 names); RFC 9019 s.3.4",
)


QUICK = ("nothing", "another model", "another model, then a warm reset")


@pytest.mark.needs("reset", "warm-reset", "cold-reset", "nonvolatile")
@pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.thorough(every=False))], ids=["some", "every"]
)
def test_an_older_model_is_refused_whatever_came_between(
    updates: ModelUpdates, bench: Bench, device: Device, every: bool
) -> None:
    raised = updates.image(ahead=3)
    updates.checks.equal(ACCEPTED, updates.attempt(raised), 0)
    updates.checks.equal(ACCEPTED, updates.attempt(updates.image(ahead=3)), 0, subject="the same counter again")
    between: dict[str, Callable[[], object]] = {
        "nothing": lambda: None,
        "another model": lambda: device.select_model(updates.other().name),
        "another model, then a warm reset": lambda: device.reset(ResetKind.WARM),
        "a reset by request": bench.reset_by_request,
        "a cold start": lambda: device.reset(ResetKind.COLD),
        "the raised model again": lambda: device.select_model(updates.entry.name),
    }
    for name, happen in between.items():
        if not every and name not in QUICK:
            continue
        happen()
        for ahead in (2, 0, -1) if every and name == "nothing" else (2,):
            image = updates.image(ahead=ahead)
            updates.refuse(ROLLBACK, image, NOT_PERMITTED, subject=f"{3 - ahead} lower, after {name}")
    updates.old_model_works()


@pytest.mark.thorough
def test_counters_are_unsigned_numbers_of_32_bits(updates: ModelUpdates) -> None:
    """Each step crosses the width or the sign of a number that an implementation may have chosen too small."""
    steps = (0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0xFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
    lower = 0
    for counter in steps:
        subject = f"{counter:#x} after {lower:#x}"
        updates.checks.equal(ARITHMETIC, updates.attempt(updates.image(counter=counter)), 0, subject=subject)
        updates.checks.equal(ARITHMETIC, updates.active().counter, counter, subject=subject)
        refused = updates.attempt(updates.image(counter=lower))
        updates.checks.equal(ARITHMETIC, refused, NOT_PERMITTED, subject=f"{lower:#x} after {counter:#x}")
        lower = counter
    for counter in (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE):
        updates.refuse(
            ARITHMETIC, updates.image(counter=counter), NOT_PERMITTED, subject=f"{counter:#x} after 0xffffffff"
        )


@pytest.mark.needs("reset", "warm-reset", "cold-reset", "nonvolatile")
def test_a_change_of_slots_is_no_way_back(updates: ModelUpdates, device: Device) -> None:
    """Another model overwrites the raised model in the update bank; the factory's older one is still there."""
    other = updates.other()
    updates.checks.equal(ACCEPTED, updates.attempt(updates.image(ahead=1)), 0)
    updates.checks.equal(ACCEPTED, updates.attempt(make_image(updates.recipe(ahead=1, of=other))), 0)
    for when in ("at once", "after a warm reset", "after a cold start"):
        status = status_of(device.test_commands.select_model, updates.entry.name)
        updates.checks.equal(SELECT, status, NOT_PERMITTED, subject=when)
        updates.checks.equal(SELECT, updates.active().name, other.name, subject=when)
        older = next((entry for entry in device.test_commands.models() if entry.slot == updates.entry.slot), None)
        updates.checks.equal(
            LISTED, older and (older.name, older.status, older.active, older.counter),
            (updates.entry.name, -NOT_PERMITTED, False, updates.entry.counter), subject=f"the older image, {when}",
        )  # fmt: skip
        if when != "after a cold start":
            device.reset(ResetKind.WARM if when == "at once" else ResetKind.COLD)
    updates.old_model_works()
    # The counter of the other name was not raised: it is as before.
    free = next(
        entry
        for entry in device.test_commands.models()
        if entry.status == 0 and entry.name not in {updates.entry.name, other.name}
    )
    device.select_model(free.name)
    updates.checks.equal(OWN_COUNTER, updates.active().name, free.name)


@pytest.mark.thorough
def test_a_factorys_model_that_ran_counts(updates: ModelUpdates, device: Device) -> None:
    """No update of that name before: the factory's model is selected, and nothing older may follow it.

    Nor the one that a new board runs without any selection.
    """
    for entry in (updates.other(), updates.entry):
        if entry.counter == 0:
            pytest.skip("not covered: the factory's models have the lowest security counter")
        device.select_model(entry.name)
        older = make_image(updates.recipe(ahead=-1, of=entry))
        updates.refuse(ROLLBACK, older, NOT_PERMITTED, subject=f"{entry.name}, one lower than the factory's, selected")
    updates.bench.factory_reset()
    entry = updates.active()
    if entry.counter:
        older = make_image(updates.recipe(ahead=-1, of=entry))
        updates.refuse(ROLLBACK, older, NOT_PERMITTED, subject=f"{entry.name}, one lower than a new board's own")


@pytest.mark.needs("nv-access", "warm-reset")
@pytest.mark.thorough
@pytest.mark.parametrize("start", ["cold", "warm"])
def test_a_damaged_update_brings_no_older_model_back(
    updates: ModelUpdates, device: Device, verifier: Verifier, virtual: VirtualBoard, start: str
) -> None:
    """Damaged while the power is off, or while the device runs, which looks at it at its next reset."""
    image = updates.image(ahead=1)
    updates.checks.equal(ACCEPTED, updates.attempt(image), 0)
    data = updates.input()
    with virtual.off() if start == "cold" else contextlib.nullcontext():
        updates.damage_kept(virtual, image, len(updates.payload(updates.entry.name)))
    if start == "warm":
        device.reset(ResetKind.WARM)
    try:
        device.infer_input(data)
    except Refused as refused:
        updates.checks.refused(DAMAGED_BANK, refused)
    else:
        updates.checks.refused(DAMAGED_BANK, None, seen=f"a result of {updates.active().name}, {updates.active()}")
    verifier.token(*device.attest(), subject="with the damaged model")
    entries = {entry.slot: entry for entry in device.test_commands.models()}
    damaged, factory = entries.get(4), entries.get(updates.entry.slot)
    updates.checks(
        LISTED, damaged is not None and damaged.status != 0 and not damaged.active, subject="the damaged update",
        expected="listed, with the reason why it is refused", seen=damaged or "not listed",
    )  # fmt: skip
    for entry in entries.values():  # nobody may take a refused image's model for one that runs
        updates.checks.equal(LISTED, bool(entry.id), entry.status == 0, subject=f"id of slot {entry.slot}")
    updates.checks(
        LISTED, factory is not None and factory.status == -NOT_PERMITTED and not factory.active,
        subject="the older image of that name", expected=f"listed with {-NOT_PERMITTED}", seen=factory or "not listed",
    )  # fmt: skip
    updates.checks.equal(ACCEPTED, updates.attempt(updates.image(ahead=2)), 0, subject="a good update mends it")
    updates.old_model_works()


@pytest.mark.thorough
@pytest.mark.needs("nv-access", "cold-reset")
def test_a_damaged_update_of_another_name_leaves_a_model(
    updates: ModelUpdates, device: Device, verifier: Verifier, virtual: VirtualBoard
) -> None:
    """The factory's first model may still run. It does, and the list, the token and results say so."""
    first = next((entry for entry in updates.valid() if entry.slot == 0), None)
    other = next((entry for entry in updates.valid() if entry.slot != 0), None)
    if first is None or other is None:
        pytest.skip("not covered: no valid model in factory slot 0, or in no other one")
    image = make_image(updates.recipe(ahead=1, of=other))
    updates.checks.equal(ACCEPTED, updates.attempt(image), 0)
    with virtual.off():
        updates.damage_kept(virtual, image, other.length)
    active = updates.active_or_none()
    seen = active and (active.slot, active.name, active.id)
    updates.checks.equal(LISTED, seen, (0, first.name, first.id), subject="active, beside a damaged update")
    device.describe()
    verifier.result(device.infer_input(updates.input()), subject="beside a damaged update")
    verifier.token(*device.attest(), subject="beside a damaged update")


@pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.thorough(every=False))], ids=["first", "every"]
)
def test_a_refused_image_raises_no_counter(updates: ModelUpdates, every: bool) -> None:
    """For every kind of fault: else one faulty image would bar all good images that the vendor has made so far."""
    wrong: dict[str, dict[str, object]] = {
        "signed, and no model": {"payload": b"not a model " * 40},
        "half a model": {"payload": updates.payload(updates.entry.name)[:200]},
        "not signed": {"key": None},
        "a changed hash": {"hash_of": b"other"},
        "a signature of something else": {"signature": updates.key.sign(b"x", ec.ECDSA(hashes.SHA256()))},
    }
    for subject, changes in list(wrong.items())[: None if every else 1]:
        bad = updates.image(ahead=7, **changes)
        status = updates.attempt(bad)
        updates.checks(NOT_RAISED, status not in {0, None}, expected="a refusal", seen=status, subject=subject)
        again = updates.activated(updates.digest(bad))
        updates.checks.equal(REFUSED_AGAIN, again, status, subject=f"{subject}, asked again")
        updates.checks.equal(
            NOT_RAISED, updates.attempt(updates.image(ahead=1)), 0, subject=f"{subject}, then one newer"
        )
    status = updates.attempt(updates.image(ahead=0))
    updates.checks.equal(ROLLBACK, status, NOT_PERMITTED, subject="after all of it, the one before")


@pytest.mark.thorough
def test_names_that_are_nearly_the_same_have_counters_of_their_own(updates: ModelUpdates) -> None:
    """Alike but for the last letter, the first one, one letter more, and in capitals."""
    name = updates.entry.name
    near = ("counter-of-a", "counter-of-b", "dounter-of-a", "counter-of-", "counter-of-ab", "Counter-of-a", name + "x")
    for number, one in enumerate(near):
        status = updates.attempt(updates.image(name=one, counter=100 - number))
        updates.checks.equal(OWN_COUNTER, status, 0, subject=f"{one}: {100 - number}")
    for number, one in enumerate(near):
        status = updates.attempt(updates.image(name=one, counter=99 - number))
        updates.checks.equal(OWN_COUNTER, status, NOT_PERMITTED, subject=f"{one}: one lower")
    updates.checks.equal(OWN_COUNTER, updates.attempt(updates.image(ahead=0)), 0, subject=f"{name}: never raised")


@pytest.mark.thorough
@pytest.mark.needs("nv-access", "cold-reset")
def test_a_model_named_as_the_image_bars_no_image(updates: ModelUpdates, bench: Bench, virtual: VirtualBoard) -> None:
    """The non-secure image has a security counter, too: a model of that name raises another one."""
    for name in ("NSPE", "SPE"):
        status = updates.attempt(updates.image(name=name, counter=0x7FFFFFFF))
        updates.checks.equal(OWN_COUNTER, status, 0, subject=f"a model named {name}")
    with virtual.off(answers=False):
        pass
    updates.checks(OWN_COUNTER, bench.answers(), expected="an answer", seen="none", subject="the next boot")


@pytest.mark.thorough
def test_more_names_than_counters_can_be_remembered(updates: ModelUpdates) -> None:
    """Each new name takes room; when there is none left, the update is refused, and no earlier counter is lost."""
    device, other = updates.device, updates.other()
    updates.bench.factory_reset()  # no counter but that of the first slot's model has its place yet
    device.select_model(updates.entry.name)
    device.select_model(other.name)  # its counter has its place before there is none left
    updates.checks.equal(ACCEPTED, updates.attempt(updates.image(ahead=2)), 0)
    taken = 0
    for number in range(40):
        before = updates.active()
        status = updates.attempt(updates.image(name=f"name{number}", counter=5))
        if status != 0:
            updates.checks.equal(MANY_NAMES, status, STORAGE_FAILURE, subject=f"name {number}")
            updates.unchanged(before, f"name {number}")
            if not updates.bench.missing(["warm-reset"]):  # what it remembers was written before it was refused
                device.reset(ResetKind.WARM)
                updates.unchanged(before, f"name {number}, after a warm reset")
            device.select_model(other.name)  # beside the update, which is not active now, and must stay as well
            before, listed = updates.active(), device.test_commands.models()
            status = updates.attempt(updates.image(name="beside", counter=5))
            updates.checks.equal(MANY_NAMES, status, STORAGE_FAILURE, subject="a name more, a factory's model active")
            updates.unchanged(before, "a name more, a factory's model active")
            now = device.test_commands.models()
            updates.checks.equal(LISTED, now, listed, subject="after a name more, a factory's model active")
            never = [e for e in updates.valid() if e.slot and e.name not in {updates.entry.name, other.name}]
            if never:
                status = status_of(device.test_commands.select_model, never[0].name)
                updates.checks.equal(MANY_NAMES, status, STORAGE_FAILURE, subject="a factory's model that never ran")
                updates.unchanged(before, "a factory's model that never ran")
            break
        taken = number + 1
    if updates.bench.description.firmware == REFERENCE:  # no more, or other partitions' room is taken
        updates.checks(MANY_NAMES, taken < NAMES, expected=f"at most {NAMES} names", seen=taken + 1, subject="room")
    updates.checks.equal(MANY_NAMES, updates.attempt(updates.image(ahead=1)), NOT_PERMITTED, subject="the first name")
    for number in sorted({0, taken // 2, taken - 1}):  # what was taken is remembered
        status = updates.attempt(updates.image(name=f"name{number}", counter=4))
        updates.checks.equal(MANY_NAMES, status, NOT_PERMITTED, subject=f"name {number} of {taken}, one lower")
