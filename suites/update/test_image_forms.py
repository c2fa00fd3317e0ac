"""Images that are signed with the right key and still must be refused, or whose signature only looks right."""

from __future__ import annotations

import struct

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from tfm_harness import Check, Device, ModelUpdates, Refused, Verifier
from tfm_harness.verify import P256, TlvType, parse_mcuboot

pytestmark = pytest.mark.needs("update", "models", "file-model-signing-key", "factory-reset")

INVALID_ARGUMENT, INVALID_SIGNATURE, NOT_PERMITTED = -135, -149, -133
KEYHASH, SHA256, ECDSA, SEC_CNT, NAME = 0x01, 0x10, 0x22, 0x50, 0xA0

UNSIGNED_TLV = Check(
    id="update.unsigned-tlv-refused",
    title="an image with a TLV that is neither signed nor one that may stand unsigned is refused",
    requirement="MCUboot design, image format (TLVs outside the protected area are on a list)",
)
HEADER = Check(
    id="update.header-refused",
    title="a signed image whose header contradicts the image or asks for what is not done is refused",
    requirement="MCUboot design, image format (header, flags)",
)
COUNTER_TLV = Check(
    id="update.counter-needed",
    title="a model without exactly one protected security counter of 4 bytes is refused",
    requirement="MCUboot design, security counter; PSA Security Model 1.1 s.5.4",
)
NAME_TLV = Check(
    id="update.name-form-refused",
    title="a model whose name is missing, given twice, too long or not printable is refused",
    requirement="docs/protocol.md, Identity (protected TLV 0x00A0)",
)
SIGNATURE = Check(
    id="update.signature-form-refused",
    title="a signature that is empty, of another image, malformed or out of range is refused",
    requirement="PSA Security Model 1.1 s.5.4; FIPS 186-5 s.6.4.2; X.690 s.8",
)
TAKEN = Check(
    id="update.right-form-taken",
    title="an image in any form that is right is taken",
    requirement="tfm-harness: a device that refuses everything proves nothing",
    waivable=False,
)
HASH = Check(
    id="update.hash-needed",
    title="an image without the hash of its own content is refused",
    requirement="MCUboot design, image format (IMAGE_TLV_SHA256)",
)


QUICK = (SEC_CNT, NAME)
KINDS = (0x40, SEC_CNT, 0x60, 0x74, 0x80, NAME, 0xA1, 0x1A0, 0xFFFE)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in QUICK else pytest.mark.thorough) for kind in KINDS]
)
def test_unsigned_tlvs_are_refused(updates: ModelUpdates, kind: int) -> None:
    """Anybody can append them; they must not change the meaning of an image that was signed."""
    value = (0xFFFF).to_bytes(4, "little") if kind == SEC_CNT else b"tail"
    # Anybody can append to an image that the vendor signed; older ones are what an attacker wants back.
    image = updates.image(ahead=1, unprotected=((kind, value),))
    updates.refuse(UNSIGNED_TLV, image, INVALID_ARGUMENT, subject=f"type {kind:#06x}")


HEADERS: dict[str, dict[str, int]] = {
    "magic": {"magic": 0x96F3B83C},
    "an old magic": {"magic": 0x96F3B83C ^ 1 ^ 0xFF},
    "load address": {"load_address": 0x21000000},
    "encrypted, AES-128": {"flags": 0x04},
    "encrypted, AES-256": {"flags": 0x08},
    "not bootable": {"flags": 0x10},
    "RAM load": {"flags": 0x20},
    "compressed": {"flags": 0x400},
    "unknown flag": {"flags": 1 << 31},
    "header of 0 bytes": {"header_size": 0},
    "header of 16 bytes": {"header_size": 16},
    "header larger than the file": {"header_size": 0xFFFF},
    "image larger than the bank": {"image_size": 0x60000},
    "image size at 2^32": {"image_size": 0xFFFFFFFF},
    "image size that wraps with the header": {"image_size": 0x1_0000_0000 - ModelUpdates.HEADER_SIZE},
    "no protected TLVs": {"protected_size": 0},
    "protected TLVs one byte shorter": {"protected_size": -1},
    "protected TLVs longer than they are": {"protected_size": 1},
    "protected size at 2^16": {"protected_size": 0xFFFF},
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.thorough if n % 8 else ()) for n, name in enumerate(HEADERS)]
)
def test_headers_that_contradict_the_image_are_refused(updates: ModelUpdates, name: str) -> None:
    header = dict(HEADERS[name])
    if name.startswith("protected TLVs"):
        whole = struct.unpack_from("<H", updates.image(ahead=1), 10)[0]
        header["protected_size"] += whole
    updates.refuse(HEADER, updates.image(ahead=1, header=header), INVALID_ARGUMENT, INVALID_SIGNATURE, subject=name)


@pytest.mark.thorough
def test_a_counter_that_is_missing_double_or_misshapen_is_refused(updates: ModelUpdates) -> None:
    high = (1000).to_bytes(4, "little")
    cases: dict[str, dict[str, object]] = {
        "none": {"counter": None},
        "none, under a name that is new": {"counter": None, "name": "newcomer"},
        "none protected, one unprotected": {"counter": None, "unprotected": ((SEC_CNT, high),)},
        "twice, the second higher": {"protected": ((SEC_CNT, high),)},
        "twice, the second zero": {"counter": 1000, "protected": ((SEC_CNT, bytes(4)),)},
        "2 bytes": {"counter": None, "protected": ((SEC_CNT, high[:2]),)},
        "8 bytes": {"counter": None, "protected": ((SEC_CNT, high + bytes(4)),)},
        "0 bytes": {"counter": None, "protected": ((SEC_CNT, b""),)},
    }
    for subject, changes in cases.items():
        updates.refuse(COUNTER_TLV, updates.image(ahead=1, **changes), INVALID_ARGUMENT, subject=subject)


@pytest.mark.thorough
def test_a_name_that_is_missing_double_or_misshapen_is_refused(updates: ModelUpdates) -> None:
    own = updates.entry.name.encode()
    cases: dict[str, dict[str, object]] = {
        "none": {"name": ""},
        "twice": {"protected": ((NAME, own),)},
        "empty": {"name": "", "protected": ((NAME, b""),)},
        "16 bytes": {"name": "sixteen-bytes-xx"},
        "255 bytes": {"name": "n" * 255},
        "a NUL inside": {"name": "", "protected": ((NAME, own + b"\0x"),)},
        "a space": {"name": "two words"},
        "not ASCII": {"name": "", "protected": ((NAME, b"tamp\xc3\xa9r"),)},
    }
    for subject, changes in cases.items():
        updates.refuse(NAME_TLV, updates.image(ahead=1, **changes), INVALID_ARGUMENT, subject=subject)


def integer(value: int, *, zeros: int = 0) -> bytes:
    """A DER INTEGER with zeros in front that do not belong there."""
    data = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return b"\x02" + bytes([zeros + len(data)]) + bytes(zeros) + data


def der_forms(right: bytes) -> dict[str, bytes]:
    """A right signature in forms that are not DER, or not of two numbers below 2^256."""
    r, s = decode_dss_signature(right)
    one, other = integer(r), integer(s)
    both = one + other
    unsigned = r.to_bytes(32, "big")
    return {
        "r with a zero in front": sequence(integer(r, zeros=1) + other),
        "s with a zero in front": sequence(one + integer(s, zeros=1)),
        "r of 34 bytes": sequence(integer(r, zeros=34 - len(one) + 2) + other),
        "r above 2^256": sequence(integer(r + (1 << 256)) + other),
        "s above 2^256": sequence(one + integer(s + (1 << 256))),
        "r negative": sequence(b"\x02\x20" + bytes([unsigned[0] | 0x80]) + unsigned[1:] + other),
        "an empty r": sequence(b"\x02\x00" + other),
        "an empty s": sequence(one + b"\x02\x00"),
        "r as an octet string": sequence(b"\x04" + one[1:] + other),
        "s as an octet string": sequence(one + b"\x04" + other[1:]),
        "a set": b"\x31" + sequence(both)[1:],
        "a length in the long form": b"\x30\x81" + bytes([len(both)]) + both,
        "a length one too small": b"\x30" + bytes([len(both) - 1]) + both,
        "a length one too large": b"\x30" + bytes([len(both) + 1]) + both,
        "a byte behind s": sequence(both + b"\0"),
        "a byte behind the sequence": sequence(both) + b"\0",
        "r alone": sequence(one),
        "s cut short": sequence(one + other[:-1]),
        "s longer than the sequence": sequence(one + other[:1] + bytes([other[1] + 1]) + other[2:]),
        "r, s and a third": sequence(both + integer(1)),
        "one byte": right[:1],
        "a head alone": b"\x30\x00",
        "filled up to 80 bytes": right + bytes(80 - len(right)),
    }


def sequence(content: bytes) -> bytes:
    """A DER SEQUENCE."""
    return b"\x30" + bytes([len(content)]) + content


@pytest.mark.thorough
def test_a_right_signature_in_a_wrong_form_is_refused(updates: ModelUpdates) -> None:
    """Where two parsers read one signature differently, an attacker can deceive one of them."""
    right = b""
    while not right or max(decode_dss_signature(right)) >= 1 << 255:  # so that a zero more is not too long as well
        right = parse_mcuboot(updates.image(ahead=1)).tlvs[-1].value
    for subject, signature in der_forms(right).items():
        image = updates.image(ahead=1, signature=signature)
        status = updates.attempt(image)
        updates.checks(
            SIGNATURE, status in {INVALID_SIGNATURE, INVALID_ARGUMENT}, expected="-149 or -135", seen=status,
            subject=subject,
        )  # fmt: skip
    updates.checks.equal(TAKEN, updates.attempt(updates.image(ahead=1, signature=right)), 0, subject="in its own form")
    whole = updates.image(ahead=1)
    signed = whole[: len(whole) - 4 - sum(4 + len(tlv.value) for tlv in parse_mcuboot(whole).tlvs[-3:])]
    for which, number in (("r", 0), ("s", 1)):  # one signature in 256
        short = right
        while decode_dss_signature(short)[number] >= 1 << 248:
            short = updates.key.sign(signed, ec.ECDSA(hashes.SHA256()))
        status = updates.attempt(updates.image(ahead=1, signature=short))
        updates.checks.equal(TAKEN, status, 0, subject=f"a signature whose {which} has 31 bytes or less")


@pytest.mark.thorough
def test_tlvs_that_come_twice_or_in_a_wrong_length_are_refused(updates: ModelUpdates) -> None:
    """Of two hashes, keys or signatures, a device may check one and use the other."""
    whole = updates.image(ahead=1)
    digest, key, signature = (tlv.value for tlv in parse_mcuboot(whole).tlvs[-3:])
    area = len(whole) - sum(4 + len(value) for value in (digest, key, signature)) - 4
    right = ((SHA256, digest), (KEYHASH, key), (ECDSA, signature))

    def with_tlvs(*tlvs: tuple[int, bytes], more: int = 0, magic: int = 0x6907, tail: bytes = b"") -> bytes:
        content = b"".join(struct.pack("<HH", kind, len(value)) + value for kind, value in tlvs) + tail
        return whole[:area] + struct.pack("<HH", magic, len(content) + 4 + more) + content

    cases = {
        f"{name} {words}": with_tlvs(*[pair for pair in right if pair[0] != kind], *((kind, value) for value in values))
        for kind, name, value in ((SHA256, "hash", digest), (KEYHASH, "key hash", key), (ECDSA, "signature", signature))
        for words, values in {
            "twice": (value, value), "and an empty one": (value, b""), "behind an empty one": (b"", value),
            "with another first byte": (bytes([value[0] ^ 1]) + value[1:],),
            "with another last byte": (value[:-1] + bytes([value[-1] ^ 1]),),
            "missing": (), "empty": (b"",), "one byte short": (value[:-1],), "one byte long": (value + b"\0",),
        }.items()
    }  # fmt: skip
    cases |= {
        "another magic": with_tlvs(*right, magic=0x6908),
        "an area of 3 bytes": with_tlvs(*right, more=-len(whole) + area + 3),
        "an empty area": with_tlvs(*right, more=-len(whole) + area + 4),
        "an area one byte short": with_tlvs(*right, more=-1),
        "an area one byte long": with_tlvs(*right, tail=b"\0"),
        "an area three bytes long": with_tlvs(*right, tail=b"\0" * 3),
        "an area to the end of the bank and beyond": with_tlvs(*right, more=0xFF00 - len(whole) + area),
        "a TLV that reaches behind its area": with_tlvs(*right, tail=struct.pack("<HH", KEYHASH, 1)),
        "a TLV of 2^16 - 1 bytes": with_tlvs(*right, tail=struct.pack("<HH", KEYHASH, 0xFFFF)),
    }
    for subject, image in cases.items():
        status = updates.attempt(image)
        updates.checks(
            UNSIGNED_TLV, status in {INVALID_SIGNATURE, INVALID_ARGUMENT}, expected="-149 or -135", seen=status,
            subject=subject,
        )  # fmt: skip
    for subject, tail in {
        "1 byte": b"\0", "3 bytes": bytes(3), "a TLV that reaches behind it": struct.pack("<HH", 0xA1, 1),
        "a TLV of 2^16 - 1 bytes": struct.pack("<HH", 0xA1, 0xFFFF),
    }.items():  # fmt: skip
        image = updates.image(ahead=1, protected_tail=tail)
        updates.refuse(HEADER, image, INVALID_ARGUMENT, subject=f"protected area with {subject} at its end")
    updates.checks.equal(TAKEN, updates.attempt(with_tlvs(*reversed(right))), 0, subject="in another order")
    known = updates.image(ahead=1, protected=((0xA1, b"of the vendor"),))
    updates.checks.equal(TAKEN, updates.attempt(known), 0, subject="a signed TLV of the vendor's own")
    many: dict[str, tuple[tuple[int, bytes], ...]] = {
        "a signed TLV of 40,000 bytes": ((0xA1, bytes(40_000)),),
        "a hundred signed TLVs": tuple((0x1A0 + number, bytes(number)) for number in range(100)),
    }
    for subject, protected in many.items():
        status = updates.attempt(updates.image(ahead=1, protected=protected))
        updates.checks.equal(TAKEN, status, 0, subject=subject)


@pytest.mark.thorough
def test_an_image_of_exactly_the_banks_size_is_taken(updates: ModelUpdates) -> None:
    room = 0x60000
    payload = updates.payload(updates.entry.name)
    payload += bytes(room - len(updates.image(ahead=1)))
    image = updates.image(ahead=1, payload=payload)
    while len(image) != room:  # a signature in DER has no fixed length
        payload = payload[:-1] if len(image) > room else payload
        image = updates.image(ahead=1, payload=payload)
    updates.checks.equal(TAKEN, updates.attempt(image), 0, subject=f"{room} bytes")
    updates.checks.equal(TAKEN, updates.active().length, len(payload), subject=f"{room} bytes: length of the model")


@pytest.mark.thorough
def test_right_images_of_other_measures_are_taken(updates: ModelUpdates, device: Device, verifier: Verifier) -> None:
    """Longer headers, models whose length is a whole number of blocks, names with any characters: all of these run."""
    payload = updates.payload(updates.entry.name)

    def runs(subject: str) -> None:
        try:
            verifier.result(device.infer_input(updates.input(3)), subject=subject)
        except Refused as refused:
            updates.checks(TAKEN, False, expected="a result", seen=refused.message, subject=subject)

    for size in (64, 512, 1024):
        image = updates.image(ahead=1, header_size=size)
        updates.checks.equal(TAKEN, updates.attempt(image), 0, subject=f"a header of {size} bytes")
        runs(f"a header of {size} bytes")
    for block in (256, 1024, 4096, 16384):
        whole = payload + bytes(-len(payload) % block)
        subject = f"a model of {len(whole)} bytes"
        updates.checks.equal(TAKEN, updates.attempt(updates.image(ahead=1, payload=whole)), 0, subject=subject)
        runs(subject)
    from_zero = updates.attempt(updates.image(name="from-zero", counter=0))
    updates.checks.equal(TAKEN, from_zero, 0, subject="security counter 0, under a new name")
    for name in ("!\"#$%&'()*+,-./", ":;<=>?@[\\]^_`", "{|}~09AZaz"):  # all that may stand in one
        updates.checks.equal(TAKEN, updates.attempt(updates.image(ahead=1, name=name)), 0, subject=f"name {name}")
        updates.checks.equal(TAKEN, updates.active().name, name, subject="listed")
        # Its weights are those of the one before: what looks at them alone takes it for the same model.
        updates.checks.equal(TAKEN, device.describe().model, name, subject="described")


@pytest.mark.thorough
def test_signatures_that_only_look_right_are_refused(updates: ModelUpdates) -> None:
    right = updates.key.sign(b"something else", ec.ECDSA(hashes.SHA256()))
    n = P256.order
    cases: dict[str, bytes] = {
        "empty": b"",
        "of something else": right,
        "r and s zero": encode_dss_signature(0, 0),
        "r zero": encode_dss_signature(0, 1),
        "s zero": encode_dss_signature(1, 0),
        "r = s = 1": encode_dss_signature(1, 1),
        "r at the order": encode_dss_signature(n, 1),
        "r = s = order": encode_dss_signature(n, n),
        "cut short": right[:-1],
        "64 raw bytes": bytes(range(1, 65)),
        "all 0xff": b"\xff" * 72,
    }
    for subject, signature in cases.items():
        updates.refuse(
            SIGNATURE, updates.image(ahead=1, signature=signature), INVALID_SIGNATURE, INVALID_ARGUMENT, subject=subject
        )
    its_own = next(tlv.value for tlv in parse_mcuboot(updates.image(ahead=1)).tlvs if tlv.type in TlvType.SIGNATURES)
    unnamed = updates.image(ahead=1, key=None, signature=its_own)
    updates.refuse(SIGNATURE, unnamed, INVALID_SIGNATURE, subject="a right one, and no key's hash")
    twice = updates.image(ahead=1, unprotected=((0x22, right),))
    updates.refuse(SIGNATURE, twice, INVALID_ARGUMENT, subject="a second signature")


@pytest.mark.thorough
def test_a_hash_that_is_missing_or_of_something_else_is_refused(updates: ModelUpdates) -> None:
    updates.refuse(HASH, updates.image(ahead=1, with_hash=False), INVALID_SIGNATURE, subject="none")
    updates.refuse(
        HASH, updates.image(ahead=1, hash_of=b"other"), INVALID_SIGNATURE, subject="signed, of another image"
    )
    updates.refuse(
        HASH, updates.image(ahead=1, unprotected=((0x10, bytes(32)),)), INVALID_ARGUMENT, subject="a second one"
    )
    updates.old_model_works()
