"""Model updates: what is signed and newer is taken; everything else is refused and changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tfm_harness import (
    Bench,
    Burned,
    Check,
    Checks,
    Device,
    ModelUpdates,
    Refused,
    ResetKind,
    Verifier,
    VirtualBoard,
)
from tfm_harness.protocol.smp import Command, ModelInfo, status_of
from tfm_harness.testing import make_image, with_other_weights
from tfm_harness.verify import PUBLISHED_P256, TlvType, parse_mcuboot

pytestmark = pytest.mark.needs("update", "models", "file-model-signing-key", "factory-reset")

INVALID_SIGNATURE, INVALID_ARGUMENT, DOES_NOT_EXIST, NOT_PERMITTED = -149, -135, -140, -133
ROOM = 0x60000  # bytes of an update bank (docs/protocol.md)

ACCEPTED = Check(
    id="update.accepted",
    title="a newer image signed with the right key is activated and used",
    requirement="RFC 9019 s.3 (firmware updates work)",
)
UNSIGNED = Check(
    id="update.unsigned-refused",
    title="an image without a signature is refused",
    requirement="PSA Security Model 1.1 s.5.4; RFC 9019 s.3.5",
)
WRONG_KEY = Check(
    id="update.wrong-key-refused",
    title="an image signed with another key is refused",
    requirement="PSA Security Model 1.1 s.5.4",
)
PUBLISHED_KEY = Check(
    id="update.published-key-refused",
    title="an image signed with a key whose private half is published is refused",
    requirement="PSA Security Model 1.1 s.5.4; MCUboot: never ship with the development keys",
)
ROLLBACK = Check(
    id="update.rollback-in-lifecycle",
    title="an image with a lower security counter is refused in every lifecycle, whether it is uploaded or selected",
    requirement="PSA Security Model 1.1 s.5.4 (anti-rollback)",
)
CORRUPT = Check(
    id="update.corrupt-refused",
    title="an image with a changed byte is refused",
    requirement="PSA Security Model 1.1 s.5.4",
)
BAD_MODEL = Check(
    id="update.bad-model-refused",
    title="a signed image whose payload is no model is refused, or gives no result",
    requirement="RFC 9019 s.3.4 (failed updates are recoverable)",
)
TOO_LARGE = Check(
    id="update.too-large-refused",
    title="an image that is larger than the place for it is refused when it is announced",
    requirement="docs/protocol.md, model-upload",
)
MENDED = Check(
    id="update.recovers",
    title="a good update mends a bad one",
    requirement="RFC 9019 s.3.4 (failed updates are recoverable)",
)
LISTED = Check(
    id="update.list-true",
    title="the list of models says of each image what its file says, and which one is active",
    requirement="docs/protocol.md, models",
)
SELECTED = Check(
    id="update.select-by-name",
    title="a model is selected by its whole name only, and by no other",
    requirement="docs/protocol.md, model-select",
)
NOT_OPENED = Check(
    id="update.isolation-kept",
    title="after an update nothing of the secure side is within the non-secure side's reach",
    requirement="PSA Security Model 1.1 s.4.5 (isolation)",
)
KEPT = Check(
    id="update.kept-over-reset",
    title="the activated model is active after every kind of reset",
    requirement="docs/protocol.md, model-select",
)


@pytest.mark.needs("reset", "warm-reset", "cold-reset", "nonvolatile")
def test_a_newer_signed_model_is_taken_and_kept(updates: ModelUpdates, device: Device, verifier: Verifier) -> None:
    image = updates.image(ahead=1)
    updates.checks.equal(ACCEPTED, updates.attempt(image), 0)
    updates.checks.equal(ACCEPTED, updates.active().slot, 4, subject="active slot")
    listed(updates.checks, image, updates.entry.name, updates.active(), "the update")
    verifier.result(device.infer_input(updates.input()))
    out_of_reach(updates, "the update")
    resets: dict[str, Callable[[], object]] = {
        "warm reset": lambda: device.reset(ResetKind.WARM),
        "cold start": lambda: device.reset(ResetKind.COLD),
        "reset by request": updates.bench.reset_by_request,
    }
    for name, reset in resets.items():
        reset()
        active = updates.active()
        updates.checks.equal(KEPT, (active.slot, active.counter), (4, updates.entry.counter + 1), subject=name)
        updates.checks.equal(KEPT, active.id, hashlib.sha256(updates.payload(active.name)).digest(), subject=name)


def out_of_reach(updates: ModelUpdates, subject: str) -> None:
    """Both ends of each region, and the first register of each peripheral."""
    bench = updates.bench
    if bench.missing(["probe", "memory-map"]) or bench.probes.resets:
        return  # each read would take a boot
    regions = bench.memory_map.owned_by("secure")
    peripherals = [each.at for each in bench.memory_map.peripherals if each.owner == "secure"]
    places = [*(at for region in regions for at in (region.at, region.end - 4)), *peripherals]
    for at, seen in zip(places, bench.probes.read_many(places), strict=True):
        updates.checks(
            NOT_OPENED, seen.fault, expected="a fault", seen="none", where=hex(at), subject=f"reading after {subject}"
        )


@pytest.mark.thorough
@pytest.mark.needs("reset", "warm-reset", "cold-reset", "nonvolatile")
def test_a_selected_model_is_kept(updates: ModelUpdates, device: Device) -> None:
    """Without an update: one of the factory's models is selected in place of the other, and stays selected."""
    resets: dict[str, Callable[[], object]] = {
        "a warm reset": lambda: device.reset(ResetKind.WARM),
        "a cold start": lambda: device.reset(ResetKind.COLD),
        "a reset by request": updates.bench.reset_by_request,
    }
    for entry in (updates.other(), updates.entry):
        device.test_commands.select_model(entry.name)
        for name, reset in resets.items():
            reset()
            active = updates.active()
            updates.checks.equal(
                KEPT, (active.slot, active.id), (entry.slot, entry.id), subject=f"{entry.name} selected, after {name}"
            )


@pytest.mark.thorough
def test_of_two_images_of_a_name_the_update_is_selected(updates: ModelUpdates, device: Device) -> None:
    """With the security counter of the factory's image, which may be selected as well; it has other weights."""
    new = with_other_weights(updates.payload(updates.entry.name))
    updates.checks.equal(ACCEPTED, updates.attempt(updates.image(ahead=0, payload=new)), 0)
    device.select_model(updates.other().name)
    beside = next((entry for entry in device.test_commands.models() if entry.slot == 4), None)
    listed(updates.checks, updates.image(ahead=0, payload=new), updates.entry.name, beside, "beside a factory's model")
    updates.checks.equal(LISTED, beside and beside.active, False, subject="active, beside a factory's model")
    device.select_model(updates.entry.name)
    active = updates.active()
    wanted = (4, hashlib.sha256(new).digest())
    updates.checks.equal(SELECTED, (active.slot, active.id), wanted, subject="selected again after the update")


def test_an_unsigned_model_is_refused(updates: ModelUpdates) -> None:
    named = updates.key.public_key()
    image = updates.image(ahead=1, key=None, named_key=named)
    updates.refuse(UNSIGNED, image, INVALID_SIGNATURE, subject="with the right key's hash")
    updates.refuse(UNSIGNED, updates.image(ahead=1, key=None), INVALID_SIGNATURE, subject="without key hash")
    updates.old_model_works()


@pytest.mark.thorough
@pytest.mark.needs("provision", "cold-reset", "nv-access")
def test_models_are_verified_in_every_lifecycle(updates: ModelUpdates, device: Device, virtual: VirtualBoard) -> None:
    """An attacker who can set a board back to an earlier lifecycle would use any lifecycle that verifies less."""
    with virtual.other_boards() as burn:
        for lifecycle in (0x0000, 0x1000, 0x2000, 0x4000, 0x5000, 0x6000):
            burn(Burned(lifecycle=lifecycle))  # no counter was raised in another lifecycle
            device.select_model(updates.entry.name)
            verified_in(updates, lifecycle)


def verified_in(updates: ModelUpdates, lifecycle: int) -> None:
    """In this lifecycle, too, wrong and older images are refused, and right ones are taken."""
    other = ec.generate_private_key(ec.SECP256R1())
    changed = bytearray(updates.image(ahead=1))
    changed[ModelUpdates.HEADER_SIZE + 64] ^= 1
    for check, image, status, words in (
        (UNSIGNED, updates.image(ahead=1, key=None), INVALID_SIGNATURE, "not signed"),
        (WRONG_KEY, updates.image(ahead=1, key=other), INVALID_SIGNATURE, "another key"),
        (CORRUPT, bytes(changed), INVALID_SIGNATURE, "a changed byte"),
        (ROLLBACK, updates.image(ahead=-1), NOT_PERMITTED, "an older one"),
    ):
        updates.refuse(check, image, status, subject=f"{words}, lifecycle {lifecycle:#06x}")
    # Two updates on: the factory's model of the first name is older than the one that ran.
    for image in (updates.image(ahead=1), make_image(updates.recipe(ahead=1, of=updates.other()))):
        updates.checks.equal(ACCEPTED, updates.attempt(image), 0, subject=f"lifecycle {lifecycle:#06x}")
    seen = status_of(updates.device.test_commands.select_model, updates.entry.name)
    subject = f"the factory's older one selected, lifecycle {lifecycle:#06x}"
    updates.checks.equal(ROLLBACK, seen, NOT_PERMITTED, subject=subject)
    again = updates.attempt(updates.image(ahead=1))
    updates.checks.equal(ACCEPTED, again, 0, subject=f"the first name again, lifecycle {lifecycle:#06x}")


def test_a_model_signed_with_another_key_is_refused(updates: ModelUpdates) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    updates.refuse(WRONG_KEY, updates.image(ahead=1, key=other), INVALID_SIGNATURE, subject="its own hash")
    claimed = updates.image(ahead=1, key=other, named_key=updates.key.public_key())
    updates.refuse(WRONG_KEY, claimed, INVALID_SIGNATURE, subject="the right key's hash")
    updates.old_model_works()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.thorough if n >= 2 else ()) for n, name in enumerate(PUBLISHED_P256)]
)
def test_a_model_signed_with_a_published_key_is_refused(updates: ModelUpdates, name: str) -> None:
    """A vendor may forget to replace the key of the examples: such a device would accept anybody's model."""
    published = ec.derive_private_key(PUBLISHED_P256[name], ec.SECP256R1())
    updates.refuse(PUBLISHED_KEY, updates.image(ahead=1, key=published), INVALID_SIGNATURE, subject=name)


@pytest.mark.parametrize(
    "where",
    ["payload", "version", "counter", "hash, last byte", pytest.param("hash, first byte", marks=pytest.mark.thorough)],
)
def test_a_changed_byte_is_refused(updates: ModelUpdates, where: str) -> None:
    image = bytearray(updates.image(ahead=1))
    digest = image.index(next(tlv.value for tlv in parse_mcuboot(bytes(image)).tlvs if tlv.type == TlvType.SHA256))
    at = {
        "hash, first byte": digest,
        "hash, last byte": digest + 31,
        "payload": ModelUpdates.HEADER_SIZE + 64,
        "version": 20,
        "counter": ModelUpdates.HEADER_SIZE + len(updates.payload(updates.entry.name)) + 8,
    }[where]
    image[at] ^= 1
    updates.refuse(CORRUPT, bytes(image), INVALID_SIGNATURE, subject=where)


@pytest.mark.parametrize("cut", ["no flatbuffer", pytest.param("half a model", marks=pytest.mark.thorough)])
def test_a_signed_payload_that_is_no_model_gives_no_result_and_can_be_replaced(updates: ModelUpdates, cut: str) -> None:
    """The vendor's own mistake: refused at activation or at inference, and the next good update mends it."""
    whole = updates.payload(updates.entry.name)
    payload = b"not a model " * 40 if cut == "no flatbuffer" else whole[: len(whole) // 2]
    data = updates.input()
    status = updates.attempt(updates.image(ahead=1, payload=payload))
    if status:
        updates.checks.equal(BAD_MODEL, status, INVALID_ARGUMENT, subject=cut)
        updates.old_model_works(cut)
    else:
        try:
            updates.device.infer_input(data)
        except Refused:
            updates.checks(BAD_MODEL, True)
        else:
            updates.checks(BAD_MODEL, False, expected="no result of what is no model", seen="a result", subject=cut)
    updates.checks.equal(MENDED, updates.attempt(updates.image(ahead=2)), 0, subject=cut)
    updates.old_model_works(f"{cut}, mended")


def test_an_image_larger_than_the_bank_is_refused(updates: ModelUpdates) -> None:
    before = updates.active()
    for size in (0, ROOM + 1, ROOM + 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32, (1 << 32) + 16):
        try:
            updates.device.test_commands.ask(
                Command.MODEL_UPLOAD, {"off": 0, "data": bytes(16), "len": size, "sha": bytes(32)}
            )
        except Refused as refused:
            updates.checks.equal(TOO_LARGE, refused.status, INVALID_ARGUMENT, subject=f"{size} bytes")
        else:
            updates.checks(TOO_LARGE, False, expected="a refusal", seen="accepted", subject=f"{size} bytes")
    answer, _ = updates.device.test_commands.ask(
        Command.MODEL_UPLOAD, {"off": 0, "data": bytes(16), "len": ROOM, "sha": bytes(32)}
    )
    updates.checks.equal(TOO_LARGE, answer.get("off"), 16, subject="exactly the room there is: taken")
    updates.unchanged(before)


def test_the_list_says_what_is_there(updates: ModelUpdates, bench: Bench) -> None:
    """Each factory image by its own file: name, id, version, counter, length; one of them is active."""
    entries = updates.device.test_commands.models()
    updates.checks.equal(LISTED, sum(entry.active for entry in entries), 1, subject="active models")
    updates.checks.equal(LISTED, len({entry.slot for entry in entries}), len(entries), subject="slots, each once")
    for name, model in bench.combination.build.models.items():
        if model.image is None or model.slot is None:
            continue
        entry = next((entry for entry in entries if entry.slot == model.slot), None)
        listed(updates.checks, model.image.read_bytes(), name, entry, f"slot {model.slot}")


def listed(checks: Checks, data: bytes, name: str, entry: ModelInfo | None, subject: str) -> None:
    """The list says of an image what its file says, and that it can be selected."""
    image = parse_mcuboot(data)
    wanted = (
        name,
        hashlib.sha256(image.payload).hexdigest(),
        image.version_text.partition("+")[0],
        next(int.from_bytes(tlv.value, "little") for tlv in image.tlvs if tlv.type == TlvType.SEC_CNT),
        len(image.payload),
        0,
    )
    seen = entry and (entry.name, entry.id.hex(), entry.version, entry.counter, entry.length, entry.status)
    checks.equal(LISTED, seen, wanted, subject=subject)


def test_models_are_selected_by_their_whole_name(updates: ModelUpdates) -> None:
    test_commands, name = updates.device.test_commands, updates.entry.name
    before = updates.active()
    cases = {
        "a name that nobody has": ("nobody", DOES_NOT_EXIST), "but for its last letter": (name[:-1], DOES_NOT_EXIST),
        "and a letter more": (name + "x", DOES_NOT_EXIST), "in capitals": (name.upper(), DOES_NOT_EXIST),
        "with a space": (name + " ", DOES_NOT_EXIST), "empty": ("", INVALID_ARGUMENT),
        "15 letters": ("n" * 15, DOES_NOT_EXIST), "16 letters": ("n" * 16, INVALID_ARGUMENT),
        "300 letters": ("n" * 300, INVALID_ARGUMENT), "its name and 300 letters": (name + "n" * 300, INVALID_ARGUMENT),
    }  # fmt: skip
    for subject, (text, wanted) in cases.items():
        status = status_of(test_commands.select_model, text)
        updates.checks.equal(SELECTED, status, wanted, subject=subject)
        updates.unchanged(before, subject)
    for entry in (updates.other(), updates.entry):
        updates.checks.equal(
            SELECTED, test_commands.select_model(entry.name), entry.id, subject=f"{entry.name}: id answered"
        )
        updates.checks.equal(SELECTED, updates.active().slot, entry.slot, subject=f"{entry.name}: active slot")
