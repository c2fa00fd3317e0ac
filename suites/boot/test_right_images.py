"""Images with a right signature: which of them the device starts, and what it says about them."""

from __future__ import annotations

import pytest
from tfm_harness import (
    Bench,
    Check,
    Checks,
    Device,
    ImageTrials,
    ProductError,
    Verifier,
)
from tfm_harness.testing import make_image
from tfm_harness.verify import TlvType, parse_mcuboot

REFERENCE = "tfm-harness-reference"
NOT_STARTED = Check(
    id="boot.unstartable-image-refused",
    title="a signed image whose vectors point elsewhere, or that is no image of this kind, is refused",
    requirement="PSA Security Model 1.1 s.5.3 (verified boot); docs/protocol.md, virtual board",
)
LARGE_RUNS = Check(
    id="boot.large-image-runs",
    title="a rightly signed image runs whatever its size, up to the memory there is for it",
    requirement="docs/protocol.md, Virtual board (a megabyte for the non-secure image); RFC 9019 s.3.4",
)
VERSION = Check(
    id="boot.version-told",
    title="the version that is described and attested is the one of the image that runs",
    requirement="RFC 9783 s.4.4.1.4; PSA Security Model 1.1 s.5.3 (measured boot)",
)
LARGEST = 0x100000
HEADER_SIZE = 0x400
"""Bytes of a header behind which vectors are aligned."""


def unstartable(payload: bytes) -> dict[str, dict[str, object]]:
    """Changes of the recipe that give a signed image which must not be started all the same."""

    def vectors(stack: int | None = None, reset: int | None = None) -> dict[str, object]:
        first, second = (int.from_bytes(payload[at : at + 4], "little") for at in (0, 4))
        words = (first if stack is None else stack, second if reset is None else reset)
        return {"payload": b"".join(word.to_bytes(4, "little") for word in words) + payload[8:]}

    reset = int.from_bytes(payload[4:8], "little")
    return {
        "a model's image": {"name": "tamper"},
        "a stack in secure memory": vectors(stack=0x30080000),
        "a reset handler in secure memory": vectors(reset=0x10000001),
        "a stack at 0": vectors(stack=0),
        "a stack that has no room below it": vectors(stack=0x21000000),
        "a stack above the end of its memory": vectors(stack=0x21200008),
        "a stack that is not aligned": vectors(stack=int.from_bytes(payload[:4], "little") - 4),
        "a reset handler without the Thumb bit": vectors(reset=reset & ~1),
        "a reset handler right behind the image": {
            **vectors(reset=(reset & 0xFFF00000) + HEADER_SIZE + (len(payload) + 1 & ~1) | 1),
            "header_size": HEADER_SIZE,
        },
        "a reset handler behind the image": vectors(reset=(reset & 0xFFF00000) + 0xFFFF1),
        "a reset handler in the header": vectors(reset=(reset & 0xFFF00000) + 0x101),
        # A CPU with so many interrupts ignores the last nine bits of where its vectors are (DDI 0553, VTOR).
        "vectors that are not aligned to 512 bytes": {"header_size": 0x500},
        "no code": {"payload": payload[:4]},
    }  # fmt: skip


@pytest.mark.needs("fast-flash", "identity", "file-model-signing-key")
@pytest.mark.parametrize("part", [pytest.param(part, marks=pytest.mark.thorough) for part in range(3)])
def test_a_signed_image_that_cannot_be_started_does_not_run(
    bench: Bench, trial: ImageTrials, checks: Checks, part: int
) -> None:
    """A signature says who made an image; the secure side must still not jump to every address that the image names."""
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: where this firmware's images may point is not known")
    for subject, changes in list(unstartable(trial.signed.parts.payload).items())[part::3]:
        image = make_image(trial.recipe(counter=trial.signed.higher, **changes))
        try:
            said, silent = trial.refusal(image)
        except ProductError as error:  # it was started, and the secure side caught what became of it
            checks(NOT_STARTED, False, expected="a refusal", seen=error.message, subject=subject)
            raise
        checks(NOT_STARTED, silent, expected="no answer", seen="it runs", subject=subject)
        checks(NOT_STARTED, said is not None, expected="a line with 'refused'", seen=said or "nothing", subject=subject)
    trial.runs_again(f"signed images that cannot be started, part {part}")


@pytest.mark.thorough
@pytest.mark.needs("fast-flash", "identity", "file-model-signing-key")
def test_a_large_image_runs(bench: Bench, trial: ImageTrials, checks: Checks) -> None:
    """Firmware grows: the largest image that fits must not brick the board."""
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: how much memory this firmware's images have is not known")
    for size in (0x10000, 0x20000, LARGEST - 0x800):
        payload = trial.signed.parts.payload + bytes(size - len(trial.signed.parts.payload))
        image = make_image(trial.recipe(payload=payload))
        subject = f"{len(image)} bytes"
        checks(LARGE_RUNS, trial.runs(image), expected="an answer", seen="silence", subject=subject)


@pytest.mark.needs("fast-flash", "identity", "file-model-signing-key", "psa-token")
def test_the_version_that_is_told_is_the_images(
    bench: Bench, device: Device, trial: ImageTrials, verifier: Verifier, checks: Checks
) -> None:
    spe = device.describe().raw.get("spe")
    for version in ((10, 7, 10259), (255, 0, 65535)):
        text = ".".join(map(str, version))
        image = make_image(trial.recipe(version=version))
        if not checks(VERSION, trial.runs(image), expected="an answer", seen="silence", subject=f"version {text}"):
            continue
        said = device.client.describe().raw
        checks.equal(VERSION, said.get("ver"), text, subject="described")
        checks.equal(VERSION, said.get("spe"), spe, subject=f"the secure side's, beside an image {text}, described")
        parsed = verifier.apart().token(*device.attest(), subject=f"version {text}")
        told = {component.type: component for component in parsed.software_components}
        checks.equal(VERSION, told["NSPE"].version if "NSPE" in told else None, text, subject="in the token")
        if spe is not None:
            checks.equal(
                VERSION, told["SPE"].version if "SPE" in told else None, spe, subject="secure side, in the token"
            )
        digest = next(tlv.value for tlv in parse_mcuboot(image).tlvs if tlv.type == TlvType.SHA256)
        checks.equal(VERSION, told["NSPE"].measurement if "NSPE" in told else None, digest, subject="measured")
