"""Model updates: what is signed and newer is taken; everything else is refused and changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tfm_harness import Bench, Check, Checks, Device, Refused, ResetKind, Verifier
from tfm_harness.protocol.smp import Command, ModelInfo
from tfm_harness.testing import ImageRecipe, load_signing_key, make_image

pytestmark = pytest.mark.needs("update", "models", "file-model-signing-key", "factory-reset")

INVALID_SIGNATURE, NOT_PERMITTED, DOES_NOT_EXIST = -149, -133, -140

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
CORRUPT = Check(
    id="update.corrupt-refused",
    title="an image with a changed byte is refused",
    requirement="PSA Security Model 1.1 s.5.4",
)
ROLLBACK = Check(
    id="update.rollback-refused",
    title="an image with a lower security counter than one that was active is refused",
    requirement="PSA Security Model 1.1 s.5.4 (anti-rollback)",
)
UNKNOWN_DIGEST = Check(
    id="update.unknown-digest-refused",
    title="only the image that was uploaded whole can be activated",
    requirement="docs/protocol.md, model-activate",
)
BAD_MODEL = Check(
    id="update.bad-model-refused",
    title="a signed image that is too large or whose payload is no model gives no result",
    requirement="RFC 9019 s.3.4 (failed updates are recoverable)",
)
MENDED = Check(
    id="update.recovers",
    title="a good update mends a bad one",
    requirement="RFC 9019 s.3.4 (failed updates are recoverable)",
)
UNCHANGED = Check(
    id="update.refusal-changes-nothing",
    title="after a refusal the old model is active and gives results",
    requirement="RFC 9019 s.3.4 (failed updates are recoverable)",
)
KEPT = Check(
    id="update.kept-over-reset",
    title="the activated model is active after a reset",
    requirement="docs/protocol.md, model-select",
)


class Updates:
    """Makes images for the active model and tries them."""

    def __init__(self, bench: Bench, device: Device, checks: Checks) -> None:
        self.bench, self.device, self.checks = bench, device, checks
        self.key = load_signing_key(bench.pair.build.files["model-signing-key"])
        self.entry = self.active()
        self.payload = bench.pair.build.model_file(self.entry.name).read_bytes()

    def active(self) -> ModelInfo:
        return next(entry for entry in self.device.lab.models() if entry.active)

    def recipe(self, *, ahead: int = 0) -> ImageRecipe:
        counter = self.entry.counter + ahead
        return ImageRecipe(
            payload=self.payload, name=self.entry.name, counter=counter, version=(1, 0, counter), key=self.key
        )

    def attempt(self, image: bytes) -> int | None:
        """0, or the status of the refusal, at upload or at activation."""
        try:
            self.device.lab.activate_model(self.device.lab.upload_model(image))
        except Refused as refused:
            return refused.status
        return 0

    def refuse(self, check: Check, image: bytes, status: int, subject: str = "") -> None:
        before = self.active()
        seen = self.attempt(image)
        self.checks.equal(check, seen, status, subject=subject)
        self.checks.equal(UNCHANGED, (self.active().id, self.active().counter), (before.id, before.counter))


@pytest.fixture
def updates(bench: Bench, device: Device, checks: Checks) -> Iterator[Updates]:
    yield Updates(bench, device, checks)
    # What was activated here, and the counters it raised, must not be what the next test begins with.
    bench.factory_reset()


@pytest.mark.needs("warm-reset")
def test_a_newer_signed_model_is_taken_and_kept(updates: Updates, device: Device, verifier: Verifier) -> None:
    image = make_image(updates.recipe(ahead=1))
    updates.checks.equal(ACCEPTED, updates.attempt(image), 0)
    updates.checks.equal(ACCEPTED, updates.active().slot, 4, subject="active slot")
    device.describe()
    size = updates.bench.description.input_bytes
    verifier.result(device.infer_input(bytes(size)))
    device.reset(ResetKind.WARM)
    updates.checks.equal(KEPT, updates.active().slot, 4, subject="active slot")
    updates.checks.equal(KEPT, updates.active().id, hashlib.sha256(updates.payload).digest())


def test_a_rollback_is_refused(updates: Updates) -> None:
    updates.checks.equal(ACCEPTED, updates.attempt(make_image(updates.recipe(ahead=2))), 0)
    updates.entry = updates.active()
    updates.refuse(ROLLBACK, make_image(updates.recipe(ahead=-1)), NOT_PERMITTED)


def test_an_unsigned_model_is_refused(updates: Updates) -> None:
    named = updates.key.public_key()
    image = make_image(updates.recipe(ahead=1).but(key=None, named_key=named))
    updates.refuse(UNSIGNED, image, INVALID_SIGNATURE, "with the right key's hash")
    updates.refuse(UNSIGNED, make_image(updates.recipe(ahead=1).but(key=None)), INVALID_SIGNATURE, "without key hash")


def test_a_model_signed_with_another_key_is_refused(updates: Updates) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    updates.refuse(WRONG_KEY, make_image(updates.recipe(ahead=1).but(key=other)), INVALID_SIGNATURE, "its own hash")
    claimed = updates.recipe(ahead=1).but(key=other, named_key=updates.key.public_key())
    updates.refuse(WRONG_KEY, make_image(claimed), INVALID_SIGNATURE, "the right key's hash")


@pytest.mark.parametrize("where", ["payload", "version", "counter"])
def test_a_changed_byte_is_refused(updates: Updates, where: str) -> None:
    image = bytearray(make_image(updates.recipe(ahead=1)))
    at = {"payload": 0x400 + 64, "version": 20, "counter": 0x400 + len(updates.payload) + 8}[where]
    image[at] ^= 1
    updates.refuse(CORRUPT, bytes(image), INVALID_SIGNATURE, where)


def test_only_what_was_uploaded_can_be_activated(updates: Updates, device: Device) -> None:
    device.lab.upload_model(make_image(updates.recipe(ahead=1)))
    status: int | None = 0
    try:
        device.lab.activate_model(bytes(32))
    except Refused as refused:
        status = refused.status
    updates.checks.equal(UNKNOWN_DIGEST, status, DOES_NOT_EXIST)


def test_a_signed_payload_that_is_no_model_gives_no_result_and_can_be_replaced(updates: Updates) -> None:
    """The vendor's own mistake: refused at activation or at inference, and the next good update mends it."""
    size = updates.bench.description.input_bytes
    for ahead, payload in ((1, b"not a model " * 40), (3, updates.payload[: len(updates.payload) // 2])):
        subject = f"{len(payload)} bytes"
        status = updates.attempt(make_image(updates.recipe(ahead=ahead).but(payload=payload)))
        try:
            updates.device.infer_input(bytes(size))
            answered = True
        except Refused:
            answered = False
        held = answered == (status != 0)
        updates.checks(BAD_MODEL, held, expected="no result of what is no model", seen="a result", subject=subject)
        good = updates.attempt(make_image(updates.recipe(ahead=ahead + 1)))
        updates.checks.equal(MENDED, good, 0, subject=subject)
        updates.device.infer_input(bytes(size))


def test_an_image_larger_than_the_bank_is_refused(updates: Updates) -> None:
    before = updates.active()
    size = 0x40000 + 1
    try:
        updates.device.lab.ask(Command.MODEL_UPLOAD, {"off": 0, "data": bytes(16), "len": size, "sha": bytes(32)})
        refused = False
    except Refused:
        refused = True
    updates.checks(BAD_MODEL, refused, expected="a refusal", seen="accepted", subject=f"{size} bytes")
    updates.checks.equal(UNCHANGED, updates.active().id, before.id)
