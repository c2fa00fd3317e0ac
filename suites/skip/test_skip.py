"""What must be refused is still refused when the CPU leaves out one instruction."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tfm_harness import (
    Bench,
    Check,
    Checks,
    Debugger,
    Device,
    HarnessError,
    ModelUpdates,
    PowerState,
    SkipCampaign,
    Verifier,
    VirtualBoard,
)
from tfm_harness.protocol.smp import run_request
from tfm_harness.testing import ImageRecipe, load_signing_key, make_image
from tfm_harness.verify import TlvType, parse_mcuboot

pytestmark = pytest.mark.needs("debugger")

REFERENCE: Final = "tfm-harness-reference"
COSE_SIGN1: Final = 0xD2  # tag 18 (RFC 9052, section 2)
KEPT: Final = 0x20000  # bytes of the NV memory that hold counters and settings
RUN: Final = 3  # docs/protocol.md, Services: inference
ATTEST: Final = 1001
STOPPED: Final = ("Reset_Handler", "Fault_Handler")

IMAGE = Check(
    id="skip.image-refused",
    title="no skipped instruction makes an image run that must be refused",
    requirement="PSA Security Model 1.1 s.5.3 (verified boot); PSA Certified Level 3, fault injection",
)
MODEL = Check(
    id="skip.model-refused",
    title="no skipped instruction makes a model active that must be refused",
    requirement="PSA Security Model 1.1 s.5.4; PSA Certified Level 3, fault injection",
)
RESULT = Check(
    id="skip.result-refused",
    title="no skipped instruction makes the secure side sign a result that must be refused",
    requirement="docs/protocol.md, Services; PSA Certified Level 3, fault injection",
)
POINTER = Check(
    id="skip.pointer-refused",
    title="no skipped instruction lets a caller read or write through a pointer that must be refused",
    requirement="PSA Firmware Framework 1.0 s.3.3.2; PSA Certified Level 3, fault injection",
)


def thorough(*cases: str) -> pytest.MarkDecorator:
    """These cases in a thorough run."""
    return pytest.mark.parametrize("case", [pytest.param(case, marks=pytest.mark.thorough) for case in cases])


def some(first: str, *others: str) -> pytest.MarkDecorator:
    """The first case always, the others in a thorough run."""
    cases = [first, *(pytest.param(case, marks=pytest.mark.thorough) for case in others)]
    return pytest.mark.parametrize("case", cases)


@pytest.fixture(autouse=True)
def _known_firmware(bench: Bench, device: Device) -> None:
    del device  # skips first what the board has not
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: where this firmware's boots and refusals end is not known")


@pytest.mark.needs("nv-access", "identity", "file-model-signing-key", "cold-reset")
@thorough(
    "one bit of code", "another signature", "another signer", "a lower security counter", "a stack in secure memory"
)
def test_an_image_stays_refused(
    bench: Bench, skips: SkipCampaign, virtual: VirtualBoard, tmp_path: Path, case: str
) -> None:
    """Each boot begins with the same image and the same kept memory; it has accepted once the image's code runs."""
    image = next(
        image for image in bench.combination.build.images if image.world == "nonsecure" and image.kind == "bin"
    )
    assert image.at is not None
    content = image.file.read_bytes()
    bad, base = bad_image(bench, content, case), image.at
    kept = virtual.nv.read(0, KEPT)
    parts = parse_mcuboot(content)
    forbidden = int.from_bytes(parts.payload[4:8], "little") & ~1
    secure_base = base | 1 << 28  # of the alias that the secure side may write to

    def prepare(debugger: Debugger) -> None:
        for at, data in differences(content, bad):
            debugger.write(secure_base + at, data)
        virtual.nv.write(0, kept)

    if case == "a lower security counter":
        kept = after_a_newer_image(bench, virtual, content, tmp_path)
    try:
        skips.boots(
            IMAGE, case, prepare=prepare, forbidden=forbidden, foreign=range(base, base + 0x200000),
            refused=("sleep_forever",), stopped=STOPPED,
        )  # fmt: skip
    finally:
        bench.factory_reset()


def recipe(bench: Bench, content: bytes, *, ahead: int = 0) -> ImageRecipe:
    """The same code, signed anew with the key that the build gives to tests, and a counter so much higher."""
    parts = parse_mcuboot(content)
    counter = next((int.from_bytes(tlv.value, "little") for tlv in parts.tlvs if tlv.type == TlvType.SEC_CNT), 1)
    key = load_signing_key(bench.combination.build.files["model-signing-key"])
    return ImageRecipe(
        payload=parts.payload, name="", counter=counter + ahead, version=parts.version[:3], key=key,
        header_size=parts.header_size,
    )  # fmt: skip


def bad_image(bench: Bench, content: bytes, case: str) -> bytes:
    """The non-secure image, in a form that must be refused."""
    right = recipe(bench, content)
    middle = right.header_size + len(right.payload) // 2
    if case == "another signature":
        return padded(make_image(right.but(signature=other_signature())), content)
    if case == "another signer":
        return padded(make_image(right.but(key=ec.generate_private_key(ec.SECP256R1()))), content)
    if case == "a stack in secure memory":
        return padded(make_image(right.but(payload=struct.pack("<I", 0x30080000) + right.payload[4:])), content)
    if case == "a lower security counter":
        return content
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def other_signature() -> bytes:
    """A well-formed signature of something else."""
    return ec.generate_private_key(ec.SECP256R1()).sign(b"something else", ec.ECDSA(hashes.SHA256()))


def padded(image: bytes, like: bytes) -> bytes:
    """Erased flash behind the image, as far as the other one went."""
    return image + b"\xff" * max(0, len(like) - len(image))


def differences(before: bytes, after: bytes) -> list[tuple[int, bytes]]:
    """What must be written over `before`: places and bytes."""
    size = 64
    return [
        (at, after[at : at + size])
        for at in range(0, len(after), size)
        if after[at : at + size] != before[at : at + size]
    ]


def after_a_newer_image(bench: Bench, virtual: VirtualBoard, content: bytes, folder: Path) -> bytes:
    """What the device keeps when an image with a higher security counter than the build's has run."""
    file = folder / "newer.bin"
    file.write_bytes(make_image(recipe(bench, content, ahead=6)))
    build = bench.combination.build
    images = tuple(
        image.model_copy(update={"file": file}) if image.world == "nonsecure" else image for image in build.images
    )
    bench.flash_variant(build.model_copy(update={"images": images}))
    try:
        assert bench.answers(), "a newer image must run"
        return virtual.nv.read(0, KEPT)
    finally:
        bench.board.power(PowerState.OFF)
        bench.board.erase()
        bench.flash_again()


@pytest.mark.needs("update", "models", "file-model-signing-key", "nv-access", "cold-reset")
@thorough("one bit of the model", "another signature", "a lower security counter")
def test_a_model_stays_refused(
    bench: Bench, device: Device, skips: SkipCampaign, checks: Checks, verifier: Verifier, case: str
) -> None:
    """The image is uploaded once; its activation is tried again and again."""
    updates = ModelUpdates(bench, device, checks, verifier)
    if case == "a lower security counter":
        assert updates.attempt(updates.image(ahead=3)) == 0
    before = updates.active()
    image = updates.image(ahead=1)
    if case == "one bit of the model":
        at = 32 + updates.entry.length // 2
        image = image[:at] + bytes([image[at] ^ 1]) + image[at + 1 :]
    elif case == "another signature":
        image = updates.image(ahead=1, signature=other_signature())
    digest: list[bytes] = [b""]

    def prepare() -> None:
        now = updates.active_or_none()
        if now is None or (now.counter, now.name, now.id) != (before.counter, before.name, before.id):
            bench.factory_reset()
            if case == "a lower security counter":
                assert updates.attempt(updates.image(ahead=3)) == 0
            else:
                device.select_model(before.name)
        digest[0] = device.test_commands.upload_model(image)

    def accepted() -> bool:
        now = updates.active_or_none()
        return now is not None and (now.slot, now.id, now.counter) != (before.slot, before.id, before.counter)

    try:
        skips.requests(
            MODEL, case, request=lambda: tried(lambda: device.test_commands.activate_model(digest[0])),
            accepted=accepted, prepare=prepare,
        )  # fmt: skip
    finally:
        bench.factory_reset()


def tried(call: Callable[[], object]) -> None:
    """Ask for it; any answer will do."""
    try:
        call()
    except HarnessError as error:
        if error.kind not in {"refused", "smp-answer"}:
            raise


class RawCalls:
    """Calls services past the client library, and looks at what they left in the caller's memory."""

    def __init__(self, bench: Bench, device: Device) -> None:
        scratch = bench.memory_map.scratch
        if scratch is None:
            pytest.skip("not covered: the memory map names no non-secure RAM that tests may use")
        self.commands, self.services = device.test_commands, bench.services
        self.data, self.answer, self.more = scratch[0], scratch[0] + 0x4000, scratch[0] + 0x6000

    def forget(self) -> None:
        """Nothing has been answered."""
        self.commands.poke(self.answer, bytes(4))

    def put(self, address: int, data: bytes) -> None:
        """Let the caller's memory hold `data` again, if a reset or the firmware has changed it; its two ends tell."""
        last = len(data) // 4 * 4 - 8
        if (self.commands.peek(address, 8), self.commands.peek(address + last, 8)) != (data[:8], data[last : last + 8]):
            self.commands.poke(address, data)

    @property
    def signed(self) -> bool:
        """Whether a signed message stands where the answer goes."""
        return self.commands.peek(self.answer, 1)[0] == COSE_SIGN1


@pytest.fixture
def calls(bench: Bench, device: Device) -> RawCalls:
    """Someone on the non-secure side."""
    return RawCalls(bench, device)


@pytest.mark.needs("infer", "psa-call", "probe", "memory-map", "services", "cold-reset")
@thorough("a short nonce", "another model than asked for", "a window that is not full")
def test_a_result_stays_refused(bench: Bench, device: Device, skips: SkipCampaign, calls: RawCalls, case: str) -> None:
    """A request counts as accepted when a signed result is in the caller's memory afterwards."""
    data = device.any_input()
    source, length = (0, 0) if case == "a window that is not full" else (1, len(data))
    nonce, expected = (4, 0) if case == "a short nonce" else (16, int(case == "another model than asked for"))
    request = run_request(source, nonce=bytes(range(64)), nonce_length=nonce, expects=expected, model=bytes(range(32)))
    handle = calls.services["inference"].handle

    def prepare() -> None:
        calls.forget()
        device.test_commands.sample("clear")
        calls.put(calls.data, request)
        calls.put(calls.data + 0x1000, data)

    inputs = [(calls.data, len(request)), (calls.data + 0x1000, length)]
    try:
        skips.requests(
            RESULT, case,
            request=lambda: tried(
                lambda: calls.commands.psa_call(handle, RUN, inputs, [(calls.answer, 3072), (calls.more, 48)])
            ),
            accepted=lambda: calls.signed, prepare=prepare,
        )  # fmt: skip
    finally:
        bench.factory_reset()


@pytest.mark.needs("psa-token", "psa-call", "probe", "memory-map", "services", "nv-access", "cold-reset")
@some("an input in secure memory", "an output in secure memory", "an array in secure memory")
def test_a_pointer_stays_refused(
    bench: Bench, skips: SkipCampaign, calls: RawCalls, virtual: VirtualBoard, case: str
) -> None:
    """Secure memory that the host can see as well: its last page, which the firmware does not use."""
    nv, place = virtual.nv, virtual.nv.size - 0x1000
    secure = nv.address + place
    handle = calls.services["attestation"].handle
    challenge = bytes(range(1, 33))
    outputs = [(secure if case.startswith("an output") else calls.answer, 1024)]
    inputs = [(secure + 64 if case.startswith("an input") else calls.data, 32)]

    def prepare() -> None:
        calls.forget()
        calls.put(calls.data, challenge)
        nv.write(place, struct.pack("<II", calls.data, 32).ljust(64, b"\0") + challenge)

    def request() -> None:
        array = secure if case.startswith("an array") else None
        tried(lambda: calls.commands.psa_call_at(handle, ATTEST, inputs, outputs, in_array=array))

    def accepted() -> bool:
        changed = nv.read(place, 64)[8:] != bytes(56)
        return changed or calls.signed

    try:
        skips.requests(POINTER, case, request=request, accepted=accepted, prepare=prepare)
    finally:
        with contextlib.suppress(HarnessError):
            nv.write(place, bytes(0x1000))
        bench.factory_reset()
