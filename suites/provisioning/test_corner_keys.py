"""Keys and signatures whose numbers begin or end with zero bytes: one board in 43 has such a key."""

from __future__ import annotations

import hashlib

import pytest
from tfm_harness import Burned, Check, Checks, Device, Refused, Verifier, VirtualBoard
from tfm_harness.verify import derive_reference_keys, record_request, reference_private_key

pytestmark = pytest.mark.needs("provision", "known-secrets", "cold-reset", "nv-access")

CORNERS = {
    2627161: "x of the result key, r of the request for the result key",
    2136946: "y of the client key, s of the request for the client key",
}
"""Which numbers begin with a zero byte on the board whose hardware unique key is the hash of this number.

One of its private keys ends in a zero byte: what was drawn for it ended in 0xFF, and one is added (docs/protocol.md).
"""

SIGN_BIT = 103911
"""The number of the board whose request for the result key has an r, and the other one an s, that begins with 0x80."""

FIXED_LENGTH = Check(
    id="provisioning.fixed-length-numbers",
    title="a key or a request whose numbers begin with zeros is encoded as it must be, and verifies",
    requirement="RFC 9053 s.7.1.1 (coordinates have the curve's length); X.690 s.8.3 (integers have the shortest form)",
)
REACHED = Check(
    id="provisioning.corner-reached",
    title="the numbers that are to begin with zeros do so",
    requirement="tfm-harness: a comparison of usual numbers proves nothing about the others",
    waivable=False,
)


@pytest.mark.needs("public-keys", "csr")
@pytest.mark.parametrize(
    "number", [pytest.param(2627161, id="x-and-r"), pytest.param(2136946, id="y-and-s", marks=pytest.mark.thorough)]
)
def test_keys_whose_numbers_begin_with_zeros(
    device: Device, verifier: Verifier, virtual: VirtualBoard, checks: Checks, number: int
) -> None:
    """The test draws boards' secrets until a coordinate of the key, and a number of a request's signature, begin so."""
    huk = hashlib.sha256(f"TEST_ONLY {number}".encode()).digest()
    with virtual.other_board(Burned(huk=huk)):
        trusted = derive_reference_keys(huk)
        keys = {"iak": trusted.iak, "result": trusted.result, "client": trusted.client}
        first = [half[0] for key in keys.values() for half in (key.x, key.y)]
        checks(REACHED, 0 in first, expected=CORNERS[number], seen="none", subject="coordinates")
        last = [reference_private_key(huk, role).private_numbers().private_value & 0xFF for role in keys]
        checks(REACHED, 0 in last, expected="one that ends in a zero byte", seen="none", subject="private keys")
        for role, key in keys.items():
            shown = verifier.public_key(role, device.public_key(role))
            checks(FIXED_LENGTH, shown == key, expected=key, seen=shown or "no usable key", subject=f"{role} key")
        zeros = []
        for role in ("result", "client"):
            request = verifier.csr(role, device.csr(role))
            record = record_request(request) if request is not None else None
            subject = f"request for the {role} key"
            if checks(FIXED_LENGTH, record is not None, expected="one that verifies", seen="none", subject=subject):
                assert record is not None
                # With 0x80 and more behind it a zero must stand there: one that may be left out is what is looked for.
                zeros += [half[0] if half[1] < 0x80 else None for half in (record.r, record.s)]
        if len(zeros) == 4:
            checks(REACHED, 0 in zeros, expected=CORNERS[number], seen="none", subject="numbers of a signature")
        verifier.token(*device.attest(), subject="token of that board")


@pytest.mark.thorough
@pytest.mark.needs("public-keys", "csr", "describe")
def test_numbers_that_begin_with_the_sign_bit_alone(
    device: Device, verifier: Verifier, virtual: VirtualBoard, checks: Checks
) -> None:
    """One signature in 128 has a number that begins with 0x80: without a zero before it, it is a negative one.

    What the UUID of this board is drawn from has other values where version and variant stand.
    """
    huk = hashlib.sha256(f"TEST_ONLY {SIGN_BIT}".encode()).digest()
    with virtual.other_board(Burned(huk=huk)):
        first = []
        for role, half in (("result", "r"), ("client", "s")):
            request = verifier.csr(role, device.csr(role))
            record = record_request(request) if request is not None else None
            subject = f"request for the {role} key, whose {half} begins with 0x80"
            if checks(FIXED_LENGTH, record is not None, expected="one that verifies", seen="none", subject=subject):
                assert record is not None
                first.append(getattr(record, half)[0])
        if len(first) == 2:
            checks.equal(REACHED, first, [0x80, 0x80], subject="numbers that begin with 0x80")


@pytest.mark.thorough
@pytest.mark.needs("public-keys", "csr")
@pytest.mark.parametrize(("number", "role"), [(16316169, "result"), (20222172, "client")])
def test_keys_near_the_order_in_all_but_their_first_byte(
    device: Device, virtual: VirtualBoard, checks: Checks, number: int, role: str
) -> None:
    """One key in 2^24: its second to fourth bytes are the order's, and what follows is more than the order's."""
    huk = hashlib.sha256(f"TEST_ONLY {number}".encode()).digest()
    with virtual.other_board(Burned(huk=huk)):
        try:
            device.public_key(role)
            seen = device.csr(role)
        except Refused as refused:
            checks(FIXED_LENGTH, False, expected="a key and a request", seen=refused.message, subject=f"{role} key")
        else:
            checks(FIXED_LENGTH, bool(seen), expected="a request", seen="none", subject=f"{role} key")
