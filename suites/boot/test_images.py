"""Only what is signed runs, whichever part of an image is changed, and nothing older than what ran before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tfm_harness import (
    Bench,
    Build,
    Burned,
    Check,
    Checks,
    Device,
    Mark,
    PowerState,
    ProductError,
    ResetKind,
    StoppedCpu,
    Verifier,
    VirtualBoard,
)
from tfm_harness.testing import ImageRecipe, flip, image_key_hash, load_signing_key, make_image
from tfm_harness.verify import PUBLISHED_P256, McubootImage, TlvType, parse_mcuboot

REFERENCE = "tfm-harness-reference"
REFUSAL = re.compile(
    rb"\[[A-Z]+\] [^\n]* refused: "  # the reference firmware
    # MCUboot, and with it TF-M's BL2 ([ERR]) and Zephyr's boot loader (E:)
    rb"|Image in the (?:primary|secondary) slot is not valid"
    rb"|Unable to find bootable image"
    rb"|Image \d+ not valid|Boot(?:ing)? failed|FIH panic"
)
"""How boot loaders say that an image is not to run."""

HALTED = b"[BOOT] halted: no non-secure image to start\n"
"""The reference firmware's last line where it starts no image."""

PUBLISHED_IMAGE_KEYS = ("MCUboot's and TF-M's root-ec-p256", "TF-M's root-EC-P256_1")
"""Of the published keys those that boot loaders come with; all of them: suite update, for models."""

REFUSED = Check(
    id="boot.tampered-image-refused",
    title="an image that is not as it was signed does not run",
    requirement="PSA Security Model 1.1 s.5.3 (verified boot); MCUboot design, Image Integrity",
)
SAID = Check(
    id="boot.refusal-said",
    title="a boot loader that speaks says that an image was refused",
    requirement="docs/protocol.md, OTP area (the device can say what is wrong)",
)
FOREIGN = Check(
    id="boot.foreign-image-refused",
    title="an image that is not signed with the trusted key does not run",
    requirement="PSA Security Model 1.1 s.5.3 (verified boot)",
)
ROLLBACK = Check(
    id="boot.rollback-refused",
    title="a non-secure image with a lower security counter than one that ran does not run",
    requirement="PSA Security Model 1.1 s.5.4 (anti-rollback)",
)
NOT_STARTED = Check(
    id="boot.unstartable-image-refused",
    title="a signed image whose vectors point elsewhere, or that is no image of this kind, is refused",
    requirement="PSA Security Model 1.1 s.5.3 (verified boot); docs/protocol.md, virtual board",
)
VERSION = Check(
    id="boot.version-told",
    title="the version that is described and attested is the one of the image that runs",
    requirement="RFC 9783 s.4.4.1.4; PSA Security Model 1.1 s.5.3 (measured boot)",
)
FUSED_KEY = Check(
    id="boot.fused-key",
    title="images and models that another key has signed than the one in the fuses are refused",
    requirement="PSA Security Model 1.1 s.5.3 (immutable root of trust); docs/protocol.md, OTP area",
)
EVERY_RESET = Check(
    id="boot.verified-at-every-reset",
    title="the image is verified at every start, after a warm reset too",
    requirement="PSA Security Model 1.1 s.5.3 (verified boot); CWE-367",
)
NOT_RAISED = Check(
    id="boot.refusal-raises-nothing",
    title="an image that is refused does not raise the security counter: the one of before runs again",
    requirement="PSA Security Model 1.1 s.5.4 (anti-rollback); MCUboot design, security counter; RFC 9019 s.3.4",
)
LARGE_RUNS = Check(
    id="boot.large-image-runs",
    title="a rightly signed image runs whatever its size, up to the memory there is for it",
    requirement="docs/protocol.md, Virtual board (a megabyte for the non-secure image); RFC 9019 s.3.4",
)
LARGEST = 0x100000
HEADER_SIZE = 0x400
"""Bytes of a header behind which vectors are aligned."""
RAISED_IN = (0x1000, 0x5000)
"""Other lifecycles in which an image that runs must raise the counter, too: *assembly and test*, and being mended.

What the board remembers is forgotten behind one of them, so that it comes last.
"""
NEWER_RUNS = Check(
    id="boot.newer-image-runs",
    title="a rightly signed image with an equal or higher security counter runs",
    requirement="tfm-harness: a device that refuses everything proves nothing",
    waivable=False,
)


@dataclass(frozen=True)
class Signed:
    """The build's non-secure image: its bytes, and its parts."""

    data: bytes
    parts: McubootImage

    @property
    def code(self) -> int:
        """Offset of the first byte that runs."""
        return self.parts.header_size

    def value(self, *kinds: int) -> tuple[int, int] | None:
        """Offset and length of the first TLV of these types; None where the image has none."""
        for tlv in self.parts.tlvs:
            if tlv.type in kinds:
                return self.data.index(tlv.value, tlv.offset), len(tlv.value)
        return None

    @property
    def counter(self) -> int | None:
        """The security counter."""
        place = self.value(TlvType.SEC_CNT)
        return None if place is None else int.from_bytes(self.data[place[0] : sum(place)], "little")

    @property
    def higher(self) -> int:
        """The security counter of images that must be refused: a mistake, or an attack, bars nothing."""
        return (self.counter or 1) + 9


Change = Callable[[Signed], bytes | None]


def bit(where: Callable[[Signed], int | None], mask: int = 1) -> Change:
    """Change one bit of the byte at an offset."""

    def change(image: Signed) -> bytes | None:
        at = where(image)
        if at is None:
            return None
        return image.data[:at] + bytes([image.data[at] ^ mask]) + image.data[at + 1 :]

    return change


def within(*kinds: int, last: bool = False) -> Callable[[Signed], int | None]:
    """The first or last byte of a TLV's value."""

    def where(image: Signed) -> int | None:
        place = image.value(*kinds)
        return None if place is None else place[0] + (place[1] - 1 if last else 0)

    return where


def cut(image: Signed, at: int) -> bytes:
    """Erased flash from an offset on. A file is padded to its slot: half of it may well be the whole image."""
    return image.data[:at] + b"\xff" * (len(image.data) - at)


def swapped(image: Signed) -> bytes | None:
    """Two neighbouring bytes of the code that differ, exchanged: a plain sum would stay the same."""
    data = image.data
    for at in range(image.code + 0x100, image.code + len(image.parts.payload) - 1):
        if data[at] != data[at + 1]:
            return data[:at] + bytes([data[at + 1], data[at]]) + data[at + 2 :]
    return None


SIGNATURES = tuple(sorted(TlvType.SIGNATURES))
HASHES = (TlvType.SHA256, TlvType.SHA384, TlvType.SHA512)
QUICK: dict[str, Change] = {
    "one bit in the middle of the code": bit(lambda image: image.code + len(image.parts.payload) // 2),
    "last bit of the signature": bit(within(*SIGNATURES, last=True)),
    "no TLVs": lambda image: image.data[: image.code + len(image.parts.payload)] + b"\xff" * 512,
}
HEADER: dict[str, Change] = {
    "one bit of the header's version": bit(lambda image: image.parts.start + 20),
    "one bit of the magic": bit(lambda image: image.parts.start),
    "one bit of the load address": bit(lambda image: image.parts.start + 4),
    "one bit of the header's size": bit(lambda image: image.parts.start + 8, 0x10),
    "one bit of the protected TLVs' size": bit(lambda image: image.parts.start + 10),
    "one bit of the image's size": bit(lambda image: image.parts.start + 12),
    "one bit of the flags": bit(lambda image: image.parts.start + 16),
    "one bit of the header's padding": bit(lambda image: image.code - 1),
}
CODE: dict[str, Change] = {
    "first bit of the code": bit(lambda image: image.code),
    "last bit of the code": bit(lambda image: image.code + len(image.parts.payload) - 1, 0x80),
    "two bytes of code swapped": swapped,
    "nothing at all": lambda image: b"\xff" * len(image.data),
    "cut off in the header": lambda image: image.data[:16],
    "cut off in the middle": lambda image: cut(image, image.code + len(image.parts.payload) // 2),
}
TLVS: dict[str, Change] = {
    "first byte of the hash": bit(within(*HASHES)),
    "last byte of the hash": bit(within(*HASHES, last=True), 0x80),
    "key hash": bit(within(TlvType.KEYHASH, TlvType.PUBKEY, last=True)),
    "first byte of the signature": bit(within(*SIGNATURES)),
    "middle of the signature": bit(lambda image: (p := image.value(*SIGNATURES)) and p[0] + p[1] // 2),
    "a higher security counter": bit(within(TlvType.SEC_CNT, last=True), 0x40),
    "cut off in the signature": lambda image: cut(image, image.parts.end - 20),
}
THOROUGH = {"header": HEADER, "code": CODE, "TLVs": TLVS}
"""Several to a test: the build under test is flashed again after each."""


@pytest.fixture
def signed(bench: Bench, device: Device) -> Signed:
    """The image under test."""
    del device  # ready before anything is changed
    build = bench.combination.build
    image = next((image for image in build.images if image.world == "nonsecure" and image.kind == "bin"), None)
    if image is None:
        pytest.skip(f"not covered: {build.name} has no signed non-secure image")
    data = image.file.read_bytes()
    return Signed(data, parse_mcuboot(data))


class Trial:
    """Flashes images in place of the build's."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench, self.path = bench, folder / "image.bin"
        self.heard = b""
        self.replaced = False

    def refusal(self, data: bytes) -> tuple[str | None, bool]:
        """Flash an image that must not run: what was said of it, and whether nothing answers.

        What was said is None where the boot loader spoke of other things only, and "" where not one byte came: a
        silent one (TF-M's BL2 in a Release build) is judged by what must not happen.
        """
        marks = self._flash(data)
        silent = self.bench.stays_silent()
        return self._said(marks), silent

    def runs(self, data: bytes) -> bool:
        """Flash an image that must run."""
        self._flash(data)
        return not self.bench.stays_silent()

    def own_runs(self) -> bool:
        """Flash the build's own image: whether it runs. Then the board is as the next test wants it."""
        self.bench.flash_variant(self.bench.combination.build)
        self.replaced = self.bench.stays_silent()
        if not self.replaced:
            self.bench.prove_build()
        return not self.replaced

    def forget_counters(self) -> None:
        """What the board remembers would refuse the build under test, which is flashed next."""
        self.bench.board.power(PowerState.OFF)
        self.bench.board.erase()
        self.replaced = True

    def _flash(self, data: bytes) -> dict[str, Mark]:
        self.replaced = True
        self.path.write_bytes(data)
        build = self.bench.combination.build
        images = tuple(
            image.model_copy(update={"file": self.path})
            if image.world == "nonsecure" and image.kind == "bin"
            else image
            for image in build.images
        )
        variant: Build = build.model_copy(update={"images": images})
        marks = {name: console.mark() for name, console in self.bench.board.consoles.items()}
        self.bench.flash_variant(variant)
        return marks

    def _said(self, marks: dict[str, Mark]) -> str | None:
        """The words that say so, on whichever console; None or "" as `refusal` has it."""
        texts = [self.bench.board.console(name).read_from(mark) for name, mark in marks.items()]
        self.heard = b"".join(texts)
        found = next((match for text in texts if (match := REFUSAL.search(text.replace(b"\0", b"")))), None)
        if found is not None:
            return found[0].decode("ascii", "backslashreplace")
        return None if any(text.strip() for text in texts) else ""


@pytest.fixture
def trial(bench: Bench, tmp_path: Path) -> Iterator[Trial]:
    """Flashes images in place of the build's; the next test finds the build as it was."""
    found = Trial(bench, tmp_path)
    yield found
    if found.replaced:
        bench.flash_again()


@pytest.mark.needs("fast-flash", "identity")
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(QUICK, id="some"),
        *(pytest.param(group, id=name, marks=pytest.mark.thorough) for name, group in THOROUGH.items()),
    ],
)
def test_a_tampered_image_does_not_run(
    signed: Signed, trial: Trial, checks: Checks, changes: Mapping[str, Change]
) -> None:
    images = {words: data for words, change in changes.items() if (data := change(signed)) is not None}
    if not images:
        pytest.skip(f"not covered: the image has no such part ({', '.join(changes)})")
    for change, data in images.items():
        said, silent = trial.refusal(data)
        judge_said(checks, said, change)
        if trial.bench.description.firmware == REFERENCE:
            heard = trial.heard
            checks(SAID, HALTED in heard, expected=HALTED.decode(), seen=heard[-300:], subject=f"{change}: halt")
        checks(REFUSED, silent, expected="no answer", seen="the tampered image answers", subject=change)


@pytest.mark.thorough
@pytest.mark.needs("fast-flash", "identity", "provision", "known-secrets", "cold-reset")
@pytest.mark.parametrize("lifecycles", [(0x0000, 0x2000, 0x1000), (0x4000, 0x6000, 0x5000)], ids=["first", "last"])
def test_images_are_verified_in_every_lifecycle(
    bench: Bench, signed: Signed, trial: Trial, checks: Checks, virtual: VirtualBoard, lifecycles: tuple[int, ...]
) -> None:
    """What is let through while boards are made and mended is let through by who sets a board back to that."""
    data = next(iter(QUICK.values()))(signed)
    assert data is not None
    wrong = [(REFUSED, "one bit of code", data)]
    if not bench.missing(["file-model-signing-key"]) and bench.combination.build.trust.models is None:
        other = recipe(bench, signed, key=ec.generate_private_key(ec.SECP256R1()))
        wrong += [(FOREIGN, "another signer", make_image(other))]
        if signed.counter:
            older = recipe(bench, signed).but(counter=signed.counter - 1)
            wrong += [(ROLLBACK, "a lower security counter", make_image(older))]
    with virtual.burning() as provision:
        for lifecycle in lifecycles:
            provision(Burned(lifecycle=lifecycle))
            for check, words, image in wrong:
                _, silent = trial.refusal(image)
                subject = f"{words}, lifecycle {lifecycle:#06x}"
                checks(check, silent, expected="no answer", seen="the image answers", subject=subject)
            # A right one runs in this lifecycle, so silence says something.
            if lifecycle not in RAISED_IN or not signed.counter or len(wrong) == 1:
                bench.flash_again()
                continue
            newer = make_image(recipe(bench, signed, counter=signed.counter + 1))
            subject = f"counter {signed.counter + 1}, lifecycle {lifecycle:#06x}"
            try:
                checks(NEWER_RUNS, trial.runs(newer), expected="an answer", seen="silence", subject=subject)
                _, silent = trial.refusal(signed.data)
            finally:
                trial.forget_counters()
            subject = f"counter {signed.counter} after {subject}"
            checks(ROLLBACK, silent, expected="no answer", seen="the image answers", subject=subject)


@pytest.mark.thorough
@pytest.mark.needs("fast-flash", "identity", "provision", "known-secrets", "cold-reset", "nv-access")
def test_images_are_verified_without_an_identity(
    bench: Bench, signed: Signed, trial: Trial, checks: Checks, virtual: VirtualBoard
) -> None:
    """A board whose fuses are still empty, or damaged, runs what is signed, and nothing else."""
    data = next(iter(QUICK.values()))(signed)
    assert data is not None
    with virtual.burning() as provision:
        for words, area in (("empty fuses", bytes(256)), ("damaged fuses", bytes(255) + b"\1")):
            provision(Burned(otp=area))
            _, silent = trial.refusal(data)
            checks(REFUSED, silent, expected="no answer", seen="the image answers", subject=words)
            bench.flash_again()  # the right one runs with these fuses, so silence says something


def judge_said(checks: Checks, said: str | None, subject: str) -> None:
    """A boot loader that prints anything at all says that it refused."""
    if said != "":
        checks(SAID, said is not None, expected="a refusal", seen=said or "other text only", subject=subject)


def recipe(bench: Bench, signed: Signed, **changes: object) -> ImageRecipe:
    """The same code, to be signed anew with the key that the build gives to tests."""
    if bench.combination.build.trust.models is not None:
        pytest.skip("not covered: the key for tests signs models, and images have another one")
    return ImageRecipe(
        payload=signed.parts.payload,
        name="",
        counter=signed.counter or 1,
        version=signed.parts.version[:3],
        key=load_signing_key(bench.combination.build.files["model-signing-key"]),
    ).but(**changes)


@pytest.mark.thorough
@pytest.mark.needs("fast-flash", "identity", "file-model-signing-key")
def test_an_image_of_another_signer_does_not_run(bench: Bench, signed: Signed, trial: Trial, checks: Checks) -> None:
    good = recipe(bench, signed, counter=signed.higher)
    assert good.key is not None
    other = ec.generate_private_key(ec.SECP256R1())
    trusted = good.key.public_key()
    published = [(name, ec.derive_private_key(PUBLISHED_P256[name], ec.SECP256R1())) for name in PUBLISHED_IMAGE_KEYS]
    for subject, image in (
        *((f"signed with a published key: {name}", good.but(key=key)) for name, key in published),
        ("signed with another key, which it names", good.but(key=other)),
        ("signed with another key, naming the trusted one", good.but(key=other, named_key=trusted)),
        ("not signed, naming the trusted key", good.but(key=None, named_key=trusted)),
        ("neither signed nor naming a key", good.but(key=None)),
        ("an empty signature", good.but(signature=b"")),
        ("a signature of zeros", good.but(signature=bytes(70))),
        ("no hash", good.but(with_hash=False)),
        ("the hash of something else", good.but(hash_of=b"something else")),
    ):
        _, silent = trial.refusal(make_image(image))
        checks(FOREIGN, silent, expected="no answer", seen="the image answers", subject=subject)
        if image.key is not None and image.key is not good.key and image.named_key is None:
            names_both_keys(bench, trial, checks, image.key.public_key(), trusted, subject)
    runs_again(trial, checks, "images of another signer")


def names_both_keys(
    bench: Bench,
    trial: Trial,
    checks: Checks,
    named: ec.EllipticCurvePublicKey,
    trusted: ec.EllipticCurvePublicKey,
    subject: str,
) -> None:
    """The secure console shows the begin of the hash of the key that the image names, and of the trusted one."""
    if bench.description.firmware != REFERENCE:
        return
    short = [image_key_hash(key).hex()[:8] for key in (named, trusted)]
    line = f"[BOOT] NSPE image: key hash {short[0]}..., trusted {short[1]}...\n".encode()
    checks(SAID, line in trial.heard, expected=line.decode(), seen=trial.heard[-300:], subject=subject)


@pytest.mark.needs("fast-flash", "identity", "file-model-signing-key", "factory-reset", "nonvolatile")
def test_an_older_image_does_not_run(bench: Bench, signed: Signed, trial: Trial, checks: Checks) -> None:
    """The counter of what ran is kept: an equal or higher one runs, a lower one never again."""
    if signed.counter is None:
        pytest.skip("not covered: the image has no security counter")
    base = signed.counter
    higher = make_image(recipe(bench, signed, counter=base + 6))
    try:
        checks(NEWER_RUNS, trial.runs(higher), expected="an answer", seen="silence", subject=f"counter {base + 6}")
        older = {
            f"counter {base}": signed.data,
            f"counter {base + 5}": make_image(recipe(bench, signed, counter=base + 5)),
            f"counter {base + 5} under a higher version": make_image(
                recipe(bench, signed, counter=base + 5, version=(255, 255, 65535))
            ),
        }
        for words, image in older.items():
            said, silent = trial.refusal(image)
            subject = f"{words} after {base + 6}"
            checks(ROLLBACK, silent, expected="no answer", seen="the older image answers", subject=subject)
            judge_said(checks, said, subject)
            if bench.description.firmware == REFERENCE:
                own = base if image is signed.data else base + 5
                line = f"[BOOT] NSPE image: security counter {own}, this device has seen {base + 6}\n".encode()
                checks(SAID, line in trial.heard, expected=line.decode(), seen=trial.heard[-300:], subject=subject)
        checks(NEWER_RUNS, trial.runs(higher), expected="an answer", seen="silence", subject=f"again {base + 6}")
        # One whose low 8 and 16 bits, and whose sign, make it lower than what must be refused behind it.
        far = 0x8001_0000 | base & 0xFF
        newer = make_image(recipe(bench, signed, counter=far))
        checks(NEWER_RUNS, trial.runs(newer), expected="an answer", seen="silence", subject=f"counter {far:#x}")
        said, silent = trial.refusal(higher)
        subject = f"counter {base + 6} after {far:#x}"
        checks(ROLLBACK, silent, expected="no answer", seen="the older image answers", subject=subject)
        judge_said(checks, said, subject)
    finally:
        trial.forget_counters()


def runs_again(trial: Trial, checks: Checks, subject: str) -> None:
    """After images with higher security counters were refused, the build's own still runs."""
    if trial.bench.missing(["nonvolatile", "factory-reset"]):
        return
    if not checks(NOT_RAISED, trial.own_runs(), expected="an answer", seen="silence", subject=subject):
        trial.forget_counters()


def unstartable(payload: bytes) -> dict[str, dict[str, object]]:
    """What is signed and right, and must not be started all the same: changes of the recipe."""

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
    bench: Bench, signed: Signed, trial: Trial, checks: Checks, part: int
) -> None:
    """A signature says who made it; the secure side must not jump wherever the image says."""
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: where this firmware's images may point is not known")
    for subject, changes in list(unstartable(signed.parts.payload).items())[part::3]:
        image = make_image(recipe(bench, signed, counter=signed.higher, **changes))
        try:
            said, silent = trial.refusal(image)
        except ProductError as error:  # it was started, and the secure side caught what became of it
            checks(NOT_STARTED, False, expected="a refusal", seen=error.message, subject=subject)
            raise
        checks(NOT_STARTED, silent, expected="no answer", seen="it runs", subject=subject)
        checks(NOT_STARTED, said is not None, expected="a line with 'refused'", seen=said or "nothing", subject=subject)
    runs_again(trial, checks, f"signed images that cannot be started, part {part}")


@pytest.mark.thorough
@pytest.mark.needs("fast-flash", "identity", "file-model-signing-key")
def test_a_large_image_runs(bench: Bench, signed: Signed, trial: Trial, checks: Checks) -> None:
    """Firmware grows; the last update that fits must not be the one that bricks the board."""
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: how much memory this firmware's images have is not known")
    for size in (0x10000, 0x20000, LARGEST - 0x800):
        payload = signed.parts.payload + bytes(size - len(signed.parts.payload))
        image = make_image(recipe(bench, signed, payload=payload))
        subject = f"{len(image)} bytes"
        checks(LARGE_RUNS, trial.runs(image), expected="an answer", seen="silence", subject=subject)


def with_tail(image: bytes, tail: bytes) -> bytes:
    """Bytes behind the last TLV, which the unprotected area counts as its own."""
    first = next(tlv for tlv in parse_mcuboot(image).tlvs if not tlv.protected)
    length = int.from_bytes(image[first.offset - 2 : first.offset], "little")
    end = first.offset - 4 + length
    head = image[: first.offset - 2] + (length + len(tail)).to_bytes(2, "little")
    return head + image[first.offset : end] + tail + image[end:]


@pytest.mark.thorough
@pytest.mark.needs("fast-flash", "identity", "file-model-signing-key")
def test_tlvs_of_an_image_are_looked_at_as_a_whole(bench: Bench, signed: Signed, trial: Trial, checks: Checks) -> None:
    """Anybody can append to an image; what comes twice is believed once and looked at another time."""
    good = recipe(bench, signed)
    cases = [
        (subject, make_image(image))
        for subject, image in (
            ("an unknown TLV that is not signed", good.but(unprotected=((0x60, b"tail"),))),
            ("a security counter that is not signed", good.but(unprotected=((TlvType.SEC_CNT, b"\xff" * 4),))),
            ("two security counters", good.but(protected=((TlvType.SEC_CNT, b"\xff" * 4),))),
            ("no security counter", good.but(counter=None)),
            ("a second hash", good.but(unprotected=((TlvType.SHA256, bytes(32)),))),
            ("a second key hash", good.but(unprotected=((TlvType.KEYHASH, bytes(32)),))),
            ("a second signature", good.but(unprotected=((SIGNATURES[0], bytes(70)),))),
            ("a signature of 80 bytes", good.but(signature=bytes(80))),
        )
    ]
    if bench.description.firmware == REFERENCE:  # which takes no area that does not end with a TLV
        right = make_image(good)
        cases += [(f"{size} bytes behind the last TLV", with_tail(right, bytes(size))) for size in (1, 3)]
    for subject, image in cases:
        _, silent = trial.refusal(image)
        checks(REFUSED, silent, expected="no answer", seen="the image answers", subject=subject)


@pytest.mark.needs("fast-flash", "identity", "file-model-signing-key", "psa-token")
def test_the_version_that_is_told_is_the_images(
    bench: Bench, device: Device, signed: Signed, trial: Trial, verifier: Verifier, checks: Checks
) -> None:
    spe = device.describe().raw.get("spe")
    for version in ((10, 7, 10259), (255, 0, 65535)):
        text = ".".join(map(str, version))
        image = make_image(recipe(bench, signed, version=version))
        if not checks(NEWER_RUNS, trial.runs(image), expected="an answer", seen="silence", subject=f"version {text}"):
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


@pytest.mark.needs("provision", "nv-access", "known-secrets")
def test_the_key_that_the_fuses_name_is_the_one_that_counts(
    bench: Bench, device: Device, virtual: VirtualBoard, checks: Checks, signed: Signed
) -> None:
    """A board of another vendor, or of another product line, runs none of this build's images.

    What is in its fuses differs in the last byte, or the first: no part of a hash is enough.
    """
    if bench.missing(["identity"]):
        pytest.skip("not covered: no identity")
    own = next((tlv.value for tlv in signed.parts.tlvs if tlv.type == TlvType.KEYHASH), bytes(range(100, 132)))
    last, first = flip(len(own) - 1)(own), flip(0)(own)
    with virtual.fuses() as burn:
        burn(Burned(image_key_hash=last), answers=False)
        checks(FUSED_KEY, bench.stays_silent(), expected="no answer", seen="the image answers", subject="image key")
        burn(Burned(model_key_hash=first), answers=False)
        if checks(FUSED_KEY, bench.answers(), expected="an answer", seen="none", subject="model key: the image runs"):
            active = [entry.name for entry in device.test_commands.models() if entry.active]
            checks.equal(FUSED_KEY, active, [], subject="model key: active models")


@pytest.mark.needs("nv-access", "write-stops", "warm-reset", "cold-reset", "identity")
def test_an_image_is_verified_at_every_reset(
    bench: Bench, device: Device, signed: Signed, virtual: VirtualBoard, checks: Checks
) -> None:
    """The image changes while the secure side boots, before it looks at it: also after a warm reset it must look."""
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: at which write to what it keeps this firmware has not verified yet is not known")
    image = next(
        image for image in bench.combination.build.images if image.world == "nonsecure" and image.kind == "bin"
    )
    before = virtual.nv.read()
    device.reset(ResetKind.WARM)
    after = virtual.nv.read()
    at = next((n for n in range(0, len(after), 4) if after[n : n + 4] != before[n : n + 4]), None)
    if at is None or image.at is None:
        pytest.skip("not covered: a boot changes nothing that is kept, so that there is no place to stop at")
    place = image.at + signed.code - 4  # signed, and never run: what is not verified goes on as if nothing were
    silent: list[bool] = []

    def change(cpu: StoppedCpu) -> None:
        word = cpu.read(place, 4)
        cpu.write(place, bytes([word[0] ^ 1]) + word[1:])

    def restart() -> None:
        device.test_commands.request_reset()  # a reset from outside would stop the CPU as well
        bench.reset_monitor.await_reset(30.0)
        silent.append(bench.stays_silent())

    try:
        with bench.reset_monitor.expected_reset():
            stopped = virtual.in_secure_code(restart, virtual.nv.address + at, change)
        if not stopped:
            pytest.skip("not covered: the secure side could not be stopped before it verifies")
        checks(EVERY_RESET, silent == [True], expected="no answer", seen="the changed image runs")
    finally:
        device.reset(ResetKind.COLD)
