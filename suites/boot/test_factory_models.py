"""Models that are in flash from the factory on: an attacker who can write that chip can change them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tfm_harness import Bench, Build, Check, Checks, Device, ModelUpdates, Refused, Verifier
from tfm_harness.protocol.smp import status_of
from tfm_harness.testing import ImageRecipe, flip, load_signing_key, make_image
from tfm_harness.verify import TlvType, parse_mcuboot

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.needs("describe", "models", "fast-flash", "file-model-signing-key"),
]

REFERENCE = "tfm-harness-reference"
INVALID_SIGNATURE = 149
LAST_SLOT, UPDATE_SLOT = 3, 4
"""Of the factory's (docs/protocol.md, Virtual board)."""
NAME = 0xA0
"""The TLV with a name of a model (docs/protocol.md, Identity)."""

EVERY_SLOT = Check(
    id="boot.every-factory-slot",
    title="a right model in the last of the factory's slots is listed, selected and run",
    requirement="docs/protocol.md, Virtual board (slots 0..3), models",
)
FACTORY = Check(
    id="boot.factory-model-refused",
    title="a model in a factory's slot that is changed, or that the trusted key has not signed, is not used",
    requirement="PSA Security Model 1.1 s.5.3 (verified boot), s.5.4; docs/protocol.md, Identity",
)


def wrong_images(bench: Bench) -> dict[str, Callable[[bytes], bytes]]:
    """Ways in which an image can be wrong; each makes a wrong image of a right one."""
    key = load_signing_key(bench.combination.build.files["model-signing-key"])
    trusted, other = key.public_key(), ec.generate_private_key(ec.SECP256R1())

    def remade(data: bytes, **changes: object) -> bytes:
        parts = parse_mcuboot(data)
        value = {tlv.type: tlv.value for tlv in parts.tlvs}
        return make_image(
            ImageRecipe(
                payload=parts.payload, name=value[NAME].decode(), version=parts.version[:3], key=key,
                counter=int.from_bytes(value[TlvType.SEC_CNT], "little"),
            ).but(**changes)
        )  # fmt: skip

    return {
        "one bit of the model": lambda data: flip(parse_mcuboot(data).header_size + 64)(data),
        "signed with another key": lambda data: remade(data, key=other),
        "signed with another key, naming the trusted one": lambda data: remade(data, key=other, named_key=trusted),
        "not signed, naming the trusted key": lambda data: remade(data, key=None, named_key=trusted),
        "no hash": lambda data: remade(data, with_hash=False),
        "one bit of its version": lambda data: flip(parse_mcuboot(data).start + 20)(data),
    }


@pytest.fixture
def put(bench: Bench, device: Device, tmp_path: Path) -> Iterator[Callable[[dict[str, bytes]], bool]]:
    """Puts images of models in place of the build's, and says whether the device answers then."""
    del device  # ready before anything is changed
    build = bench.combination.build

    def flash(images: dict[str, bytes]) -> bool:
        models = dict(build.models)
        for name, data in images.items():
            path = tmp_path / f"{name}.bin"
            path.write_bytes(data)
            models[name] = models[name].model_copy(update={"image": path})
        bench.flash_variant(build.model_copy(update={"models": models}))
        return bench.answers()

    yield flash
    bench.flash_again()


def test_models_of_the_factory_are_verified(
    bench: Bench, device: Device, put: Callable[[dict[str, bytes]], bool], checks: Checks
) -> None:
    """Puts a wrong image into each slot, until every way to be wrong has been tried."""
    held = {
        name: model.image.read_bytes()
        for name, model in bench.combination.build.models.items()
        if model.image is not None and model.slot is not None
    }
    if not held:
        pytest.skip("not covered: the build names no image of a model in a factory's slot")
    ways = list(wrong_images(bench).items())
    for first in range(0, len(ways), len(held)):
        tried = dict(zip(held, ways[first:] + ways[:first], strict=False))
        if not put({name: change(held[name]) for name, (_, change) in tried.items()}):
            checks(FACTORY, False, expected="an answer", seen="none", subject="boot without a model that may run")
            return
        entries = {entry.slot: entry for entry in device.test_commands.models()}
        for name, (words, _) in tried.items():
            subject = f"{name}: {words}"
            entry = entries.get(bench.combination.build.models[name].slot or 0)
            used = entry is not None and (entry.active or entry.status == 0)
            checks(FACTORY, not used, expected="refused", seen="listed as valid, or active", subject=subject)
            if bench.description.firmware == REFERENCE and entry is not None:
                told = (entry.status, entry.name, entry.version, entry.counter, entry.length)
                checks.equal(FACTORY, told, (INVALID_SIGNATURE, "", "", 0, 0), subject=f"{subject}: what the list says")
            status = status_of(device.test_commands.select_model, name)
            checks(FACTORY, bool(status), expected="refused", seen="selected", subject=f"{subject}, by its name")


@pytest.mark.needs("infer", "signed-result", "trusted-results")
def test_the_last_slot_of_the_factory_holds_a_model_as_well(
    bench: Bench, device: Device, checks: Checks, verifier: Verifier
) -> None:
    """The build may leave the last slot empty; a product may fill it."""
    build = bench.combination.build
    movable = [name for name, model in build.models.items() if model.image is not None and model.slot]
    if bench.description.firmware != REFERENCE or not movable:
        pytest.skip("not covered: how many slots this firmware has is not known, or the build fills none but the first")
    name = movable[0]
    before = bench.description.model or ""
    moved = build.models[name].model_copy(update={"slot": LAST_SLOT})
    bench.flash_variant(build.model_copy(update={"models": dict(build.models) | {name: moved}}))
    try:
        if not checks(EVERY_SLOT, bench.answers(), expected="an answer", seen="none", subject="boot"):
            return
        listed = [entry.slot for entry in device.test_commands.models() if entry.name == name and entry.status == 0]
        checks.equal(EVERY_SLOT, listed, [LAST_SLOT], subject=f"slots of {name}")
        status = status_of(device.select_model, name)
        if checks.equal(EVERY_SLOT, status, 0, subject=f"{name} in slot {LAST_SLOT}, selected"):
            verifier.result(device.infer_input(bytes(bench.description.input_bytes)), subject=f"{name}, moved")
            device.select_model(before)
        if not bench.missing(["update", "factory-reset", "nonvolatile"]):
            full = build.model_copy(update={"models": dict(build.models) | {"copy": moved}})
            every_slot_is_listed(bench, device, checks, verifier, full)
    finally:
        bench.flash_again()


def every_slot_is_listed(bench: Bench, device: Device, checks: Checks, verifier: Verifier, build: Build) -> None:
    """A copy in the last slot beside all that the build fills, and an update."""
    bench.flash_variant(build)
    if not checks(EVERY_SLOT, bench.answers(), expected="an answer", seen="none", subject="boot, every slot"):
        return
    updates = ModelUpdates(bench, device, checks, verifier)
    try:
        with contextlib.suppress(Refused):  # of the list, which is asked for next
            updates.attempt(updates.image(ahead=1))
        filled = {model.slot for model in build.models.values() if model.image is not None and model.slot is not None}
        status = status_of(device.test_commands.models)
        if checks.equal(EVERY_SLOT, status, 0, subject="the list of every slot"):
            slots = sorted(entry.slot for entry in device.test_commands.models())
            checks.equal(EVERY_SLOT, slots, sorted(filled | {UPDATE_SLOT}), subject="slots listed")
    finally:
        bench.factory_reset()
