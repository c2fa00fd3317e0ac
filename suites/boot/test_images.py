"""Only what is signed runs, whichever part of an image is changed, and nothing older than what ran before."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tfm_harness import (
    Bench,
    Burned,
    Check,
    Checks,
    ImageTrials,
    SignedImage,
    VirtualBoard,
)
from tfm_harness.testing import image_key_hash, make_image
from tfm_harness.verify import PUBLISHED_P256, TlvType, parse_mcuboot

REFERENCE = "tfm-harness-reference"
HALTED = "[BOOT] halted: no non-secure image to start"
"""The reference firmware's last line where it starts no image."""
PUBLISHED_IMAGE_KEYS = ("MCUboot's and TF-M's root-ec-p256", "TF-M's root-EC-P256_1")
"""Of the published keys those that boot loaders come with; all of them: suite update, for models."""
REFUSED = Check(
    id="boot.tampered-image-refused",
    title="an image that is not as it was signed does not run",
    requirement="PSA Security Model 1.1 s.5.3 (verified boot); MCUboot design, Image Integrity",
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
NEWER_RUNS = Check(
    id="boot.newer-image-runs",
    title="a rightly signed image with an equal or higher security counter runs",
    requirement="tfm-harness: a device that refuses everything proves nothing",
    waivable=False,
)
RAISED_IN = (0x1000, 0x5000)
"""Other lifecycles in which an image that runs must raise the counter, too: *assembly and test*, and being mended.

What the board remembers is forgotten behind one of them, so that it comes last.
"""

Change = Callable[[SignedImage], bytes | None]


def bit(where: Callable[[SignedImage], int | None], mask: int = 1) -> Change:
    """Change one bit of the byte at an offset."""

    def change(image: SignedImage) -> bytes | None:
        at = where(image)
        if at is None:
            return None
        return image.data[:at] + bytes([image.data[at] ^ mask]) + image.data[at + 1 :]

    return change


def within(*kinds: int, last: bool = False) -> Callable[[SignedImage], int | None]:
    """The first or last byte of a TLV's value."""

    def where(image: SignedImage) -> int | None:
        place = image.value(*kinds)
        return None if place is None else place[0] + (place[1] - 1 if last else 0)

    return where


def cut(image: SignedImage, at: int) -> bytes:
    """Erased flash from an offset on. A file is padded to its slot: half of it may well be the whole image."""
    return image.data[:at] + b"\xff" * (len(image.data) - at)


def swapped(image: SignedImage) -> bytes | None:
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


@pytest.mark.needs("fast-flash", "identity")
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(QUICK, id="some"),
        *(pytest.param(group, id=name, marks=pytest.mark.thorough) for name, group in THOROUGH.items()),
    ],
)
def test_a_tampered_image_does_not_run(trial: ImageTrials, checks: Checks, changes: Mapping[str, Change]) -> None:
    images = {words: data for words, change in changes.items() if (data := change(trial.signed)) is not None}
    if not images:
        pytest.skip(f"not covered: the image has no such part ({', '.join(changes)})")
    for change, data in images.items():
        said, silent = trial.refusal(data)
        trial.judge_said(said, change)
        if trial.bench.description.firmware == REFERENCE:
            trial.says(HALTED, f"{change}: halt")
        checks(REFUSED, silent, expected="no answer", seen="the tampered image answers", subject=change)


@pytest.mark.thorough
@pytest.mark.needs("fast-flash", "identity", "provision", "known-secrets", "cold-reset")
@pytest.mark.parametrize("lifecycles", [(0x0000, 0x2000, 0x1000), (0x4000, 0x6000, 0x5000)], ids=["first", "last"])
def test_images_are_verified_in_every_lifecycle(
    bench: Bench, trial: ImageTrials, checks: Checks, virtual: VirtualBoard, lifecycles: tuple[int, ...]
) -> None:
    """An attacker who can set a board back to an earlier lifecycle would use any lifecycle that verifies less."""
    data = next(iter(QUICK.values()))(trial.signed)
    assert data is not None
    wrong = [(REFUSED, "one bit of code", data)]
    if not bench.missing(["file-model-signing-key"]) and bench.combination.build.trust.models is None:
        other = trial.recipe(key=ec.generate_private_key(ec.SECP256R1()))
        wrong += [(FOREIGN, "another signer", make_image(other))]
        if trial.signed.counter:
            older = trial.recipe().but(counter=trial.signed.counter - 1)
            wrong += [(ROLLBACK, "a lower security counter", make_image(older))]
    with virtual.burning() as provision:
        for lifecycle in lifecycles:
            provision(Burned(lifecycle=lifecycle))
            for check, words, image in wrong:
                _, silent = trial.refusal(image)
                subject = f"{words}, lifecycle {lifecycle:#06x}"
                checks(check, silent, expected="no answer", seen="the image answers", subject=subject)
            # A right one runs in this lifecycle, so silence says something.
            if lifecycle not in RAISED_IN or not trial.signed.counter or len(wrong) == 1:
                bench.flash_again()
                continue
            newer = make_image(trial.recipe(counter=trial.signed.counter + 1))
            subject = f"counter {trial.signed.counter + 1}, lifecycle {lifecycle:#06x}"
            try:
                checks(NEWER_RUNS, trial.runs(newer), expected="an answer", seen="silence", subject=subject)
                _, silent = trial.refusal(trial.signed.data)
            finally:
                trial.forget_counters()
            subject = f"counter {trial.signed.counter} after {subject}"
            checks(ROLLBACK, silent, expected="no answer", seen="the image answers", subject=subject)


@pytest.mark.thorough
@pytest.mark.needs("fast-flash", "identity", "provision", "known-secrets", "cold-reset", "nv-access")
def test_images_are_verified_without_an_identity(
    bench: Bench, trial: ImageTrials, checks: Checks, virtual: VirtualBoard
) -> None:
    """A board whose fuses are still empty, or damaged, runs what is signed, and nothing else."""
    data = next(iter(QUICK.values()))(trial.signed)
    assert data is not None
    with virtual.burning() as provision:
        for words, area in (("empty fuses", bytes(256)), ("damaged fuses", bytes(255) + b"\1")):
            provision(Burned(otp=area))
            _, silent = trial.refusal(data)
            checks(REFUSED, silent, expected="no answer", seen="the image answers", subject=words)
            bench.flash_again()  # the right one runs with these fuses, so silence says something


@pytest.mark.thorough
@pytest.mark.needs("fast-flash", "identity", "file-model-signing-key")
def test_an_image_of_another_signer_does_not_run(bench: Bench, trial: ImageTrials, checks: Checks) -> None:
    good = trial.recipe(counter=trial.signed.higher)
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
            names_both_keys(bench, trial, image.key.public_key(), trusted, subject)
    trial.runs_again("images of another signer")


def names_both_keys(
    bench: Bench,
    trial: ImageTrials,
    named: ec.EllipticCurvePublicKey,
    trusted: ec.EllipticCurvePublicKey,
    subject: str,
) -> None:
    """The secure console shows the first digits of two hashes: of the key that the image names, and the trusted one."""
    if bench.description.firmware != REFERENCE:
        return
    short = [image_key_hash(key).hex()[:8] for key in (named, trusted)]
    line = f"[BOOT] NSPE image: key hash {short[0]}..., trusted {short[1]}..."
    trial.says(line, subject)


@pytest.mark.needs("fast-flash", "identity", "file-model-signing-key", "factory-reset", "nonvolatile")
def test_an_older_image_does_not_run(bench: Bench, trial: ImageTrials, checks: Checks) -> None:
    """The security counter of an image that ran is kept: an equal or higher one runs, a lower one never again."""
    if trial.signed.counter is None:
        pytest.skip("not covered: the image has no security counter")
    base = trial.signed.counter
    higher = make_image(trial.recipe(counter=base + 6))
    try:
        checks(NEWER_RUNS, trial.runs(higher), expected="an answer", seen="silence", subject=f"counter {base + 6}")
        older = {
            f"counter {base}": trial.signed.data,
            f"counter {base + 5}": make_image(trial.recipe(counter=base + 5)),
            f"counter {base + 5} under a higher version": make_image(
                trial.recipe(counter=base + 5, version=(255, 255, 65535))
            ),
        }
        for words, image in older.items():
            said, silent = trial.refusal(image)
            subject = f"{words} after {base + 6}"
            checks(ROLLBACK, silent, expected="no answer", seen="the older image answers", subject=subject)
            trial.judge_said(said, subject)
            if bench.description.firmware == REFERENCE:
                own = base if image is trial.signed.data else base + 5
                line = f"[BOOT] NSPE image: security counter {own}, this device has seen {base + 6}"
                trial.says(line, subject)
        checks(NEWER_RUNS, trial.runs(higher), expected="an answer", seen="silence", subject=f"again {base + 6}")
        # One whose low 8 and 16 bits, and whose sign, make it lower than what must be refused behind it.
        far = 0x8001_0000 | base & 0xFF
        newer = make_image(trial.recipe(counter=far))
        checks(NEWER_RUNS, trial.runs(newer), expected="an answer", seen="silence", subject=f"counter {far:#x}")
        said, silent = trial.refusal(higher)
        subject = f"counter {base + 6} after {far:#x}"
        checks(ROLLBACK, silent, expected="no answer", seen="the older image answers", subject=subject)
        trial.judge_said(said, subject)
    finally:
        trial.forget_counters()


def with_tail(image: bytes, tail: bytes) -> bytes:
    """Bytes behind the last TLV, which the unprotected area counts as its own."""
    first = next(tlv for tlv in parse_mcuboot(image).tlvs if not tlv.protected)
    length = int.from_bytes(image[first.offset - 2 : first.offset], "little")
    end = first.offset - 4 + length
    head = image[: first.offset - 2] + (length + len(tail)).to_bytes(2, "little")
    return head + image[first.offset : end] + tail + image[end:]


@pytest.mark.thorough
@pytest.mark.needs("fast-flash", "identity", "file-model-signing-key")
def test_tlvs_of_an_image_are_looked_at_as_a_whole(bench: Bench, trial: ImageTrials, checks: Checks) -> None:
    """Anybody can append TLVs. Of two with one type, a loader may check the first and use the second."""
    good = trial.recipe()
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
