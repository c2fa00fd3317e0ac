"""Messages as nearly every device makes them are read at once, as the careful way reads them."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import example, given
from hypothesis import strategies as st
from tfm_harness.errors import HarnessError
from tfm_harness.verify import cose_message
from tfm_harness.verify.cose import parse
from tfm_harness.verify.der import ecdsa_signature

from tests.verify.verify_kit import TEST_ONLY_HMAC, TEST_ONLY_P256, TEST_ONLY_P384, TEST_ONLY_P521, message

KEYS: dict[int, ec.EllipticCurvePrivateKey | bytes] = {
    -7: TEST_ONLY_P256, -35: TEST_ONLY_P384, -36: TEST_ONLY_P521,
    5: TEST_ONLY_HMAC, 6: TEST_ONLY_HMAC, 7: TEST_ONLY_HMAC,
}  # fmt: skip
SIZES = (0, 1, 23, 24, 25, 255, 256, 257, 1000)
MESSAGES = {(number, size): message(b"p" * size, key=key, alg=number) for number, key in KEYS.items() for size in SIZES}


def outcome(data: bytes) -> object:
    try:
        return parse(data)
    except HarnessError as error:
        return error.kind, error.message, error.where, error.seen


def careful(data: bytes) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cose_message, "_USUAL_STARTS", {})
        return outcome(data)


@pytest.mark.parametrize(("number", "size"), MESSAGES)
def test_each_algorithm_and_length(number: int, size: int) -> None:
    data = MESSAGES[number, size]
    assert (cose_message._parse_usual(data) is None) == (size < 24)
    assert outcome(data) == careful(data)


@pytest.mark.parametrize("size", [24, 257])
@pytest.mark.parametrize("number", KEYS)
def test_every_byte_counts(number: int, size: int) -> None:
    data = MESSAGES[number, size]
    for at in range(len(data)):
        for value in {data[at] ^ 1, data[at] ^ 0x80, 0, 0x17, 0x18, 0x58, 0x59, 0xA0, 0xFF}:
            changed = data[:at] + bytes([value]) + data[at + 1 :]
            assert outcome(changed) == careful(changed), (at, value)
        assert outcome(data[:at]) == careful(data[:at]), at
        assert outcome(data + data[:at]) == careful(data + data[:at]), at


def test_a_longer_length_than_needed_is_an_oddity() -> None:
    whole = MESSAGES[-7, 24]
    at = whole.index(b"\x58\x18")
    longer = whole[:at] + b"\x59\x00\x18" + whole[at + 2 :]
    assert [oddity.kind for oddity in parse(longer).oddities] == ["preferred"]


@given(size=st.sampled_from([32, 48, 66]), data=st.data())
@example(size=32, data=None)
def test_a_signature_is_encoded_as_der_wants_it(size: int, data: st.DataObject | None) -> None:
    numbers = st.one_of(st.integers(0, (1 << 8 * size) - 1), st.integers(0, 600).map(lambda n: (1 << 8 * size) - 1 - n))
    pairs = [(0, 0), (1, 127), (128, 255), (256, (1 << 8 * size) - 1)]
    if data is not None:
        pairs.append((data.draw(numbers), data.draw(numbers)))
    for r, s in pairs:
        der = ecdsa_signature(r.to_bytes(size, "big") + s.to_bytes(size, "big"))
        assert der == encode_dss_signature(r, s)
        assert decode_dss_signature(der) == (r, s)
