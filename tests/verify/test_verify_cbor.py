"""The strict decoder: RFC 8949's examples, its refusals, offsets, and the encoder."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfm_harness.verify import cbor

# RFC 8949 appendix A, those of its examples that evidence may hold.
EXAMPLES: list[tuple[str, object]] = [
    ("00", 0),
    ("17", 23),
    ("1818", 24),
    ("1903e8", 1000),
    ("1a000f4240", 1_000_000),
    ("1bffffffffffffffff", (1 << 64) - 1),
    ("20", -1),
    ("3903e7", -1000),
    ("3bffffffffffffffff", -(1 << 64)),
    ("f90000", 0.0),
    ("f93c00", 1.0),
    ("fb3ff199999999999a", 1.1),
    ("f97bff", 65504.0),
    ("fa47c35000", 100000.0),
    ("f9c400", -4.0),
    ("f97c00", math.inf),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("f7", cbor.UNDEFINED),
    ("40", b""),
    ("4401020304", b"\1\2\3\4"),
    ("60", ""),
    ("6449455446", "IETF"),
    ("62c3bc", "ü"),
    ("80", []),
    ("83010203", [1, 2, 3]),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("a0", {}),
    ("a201020304", {1: 2, 3: 4}),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
]

REFUSED = {
    "nothing": ("", "well-formed", 0),
    "two items": ("0001", "trailing", 1),
    "cut integer": ("19 03", "well-formed", 0),
    "cut string": ("43 0102", "well-formed", 0),
    "cut array": ("82 01", "well-formed", 0),
    "cut map": ("a2 01 02", "well-formed", 0),
    "cut inside an array": ("82 01 42", "well-formed", 2),
    "reserved info 28": ("1c", "well-formed", 0),
    "reserved info 30": ("5e", "well-formed", 0),
    "indefinite bytes": ("5f 41 00 ff", "definite", 0),
    "indefinite text": ("7f 61 61 ff", "definite", 0),
    "indefinite array": ("9f ff", "definite", 0),
    "indefinite map": ("bf ff", "definite", 0),
    "inner indefinite": ("82 00 9f ff", "definite", 2),
    "break": ("ff", "well-formed", 0),
    "indefinite integer": ("1f", "well-formed", 0),
    "bad UTF-8": ("62 61 ff", "well-formed", 2),
    "surrogate": ("63 ed a0 80", "well-formed", 1),
    "overlong UTF-8": ("62 c0 80", "well-formed", 1),
    "duplicate": ("a2 01 00 01 00", "unique-keys", 3),
    "duplicate in another form": ("a2 01 00 18 01 00", "unique-keys", 3),
    "float key": ("a1 f9 3c 00 00", "map-keys", 1),
    "true key": ("a1 f5 00", "map-keys", 1),
    "array key": ("a1 80 00", "map-keys", 1),
    "map key": ("a1 a0 00", "map-keys", 1),
    "null key": ("a1 f6 00", "map-keys", 1),
    "tag": ("c1 00", "tags", 0),
    "tag as key": ("a1 c1 00 00", "tags", 1),
    "inner tag": ("81 c2 41 00", "tags", 1),
    "simple 0": ("e0", "well-formed", 0),
    "simple 19": ("f3", "well-formed", 0),
    "simple 24 in two": ("f8 18", "well-formed", 0),
    "simple 255": ("f8 ff", "well-formed", 0),
    "false in two bytes": ("f8 14", "well-formed", 0),
    "huge array": ("9b ff ff ff ff ff ff ff ff", "well-formed", 0),
    "huge map": ("bb 7f ff ff ff ff ff ff ff", "well-formed", 0),
    "huge text": ("7b ff ff ff ff ff ff ff ff", "well-formed", 0),
    "array of many": ("9a 00 01 00 00 00", "well-formed", 0),
}


@pytest.mark.parametrize(("encoded", "value"), EXAMPLES)
def test_the_examples_of_the_standard(encoded: str, value: object) -> None:
    decoded = cbor.decode(bytes.fromhex(encoded))
    assert decoded.value == value
    assert type(decoded.value) is type(value)
    assert decoded.oddities == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ff", "break code outside"),
        ("1f", "indefinite unsigned integer"),
        ("3f", "indefinite negative integer"),
        ("df", "indefinite tag"),
    ],
)
def test_what_may_have_no_indefinite_length_is_named(text: str, words: str) -> None:
    with pytest.raises(cbor.CborError, match=words):
        cbor.decode(bytes.fromhex(text))


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_rule_and_offset(name: str) -> None:
    text, rule, offset = REFUSED[name]
    with pytest.raises(cbor.CborError) as caught:
        cbor.decode(bytes.fromhex(text))
    assert (caught.value.rule, caught.value.offset) == (rule, offset)
    assert f"byte {offset}" in str(caught.value)


def test_limits() -> None:
    deep = b"\x81" * cbor.MAX_DEPTH + b"\x00"
    assert cbor.decode(deep)
    for data in (b"\x81" + deep, b"\x81" * 60_000 + b"\x00", bytes(2) + b"\x00" * cbor.MAX_SIZE):
        with pytest.raises(cbor.CborError) as caught:
            cbor.decode(data)
        assert caught.value.rule in {"limits", "trailing"}
    with pytest.raises(cbor.CborError) as caught:
        cbor.decode(bytes(11), max_size=10)
    assert caught.value.rule == "limits"


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("1817", ["preferred"]),
        ("190017", ["preferred"]),
        ("1a0000ffff", ["preferred"]),
        ("1b00000000ffffffff", ["preferred"]),
        ("5801ff", ["preferred"]),
        ("9800", ["preferred"]),
        ("b800", ["preferred"]),
        ("a20200 0100", ["map-order"]),
        ("a2 2000 0100", ["map-order"]),
        ("a1 18 01 00", ["preferred"]),
        ("a2 0100 2000", []),
        ("a2 1818 00 20 00", []),
    ],
)
def test_unusual_encodings_are_reported_and_not_refused(text: str, kinds: list[str]) -> None:
    assert [oddity.kind for oddity in cbor.decode(bytes.fromhex(text)).oddities] == kinds


def test_a_range_has_absolute_offsets() -> None:
    with pytest.raises(cbor.CborError) as caught:
        cbor.decode_range(b"\xff\xff\xa2\x01\x00\x01\x00\xff", 2, 7)
    assert caught.value.offset == 5
    assert cbor.decode_range(b"\xff\x05\xff", 1, 2).value == 5


KEYS = st.integers(-(1 << 64), (1 << 64) - 1) | st.text(max_size=8) | st.binary(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 64), (1 << 64) - 1) | st.binary(max_size=40) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_encoded_is_decoded_and_deterministic(value: object) -> None:
    encoded = cbor.encode(value)
    try:
        decoded = cbor.decode(encoded)
    except cbor.CborError as error:
        assert error.rule == "limits"  # noqa: PT017 -- the one refusal allowed: deeper than evidence may be
        return
    assert decoded.value == value
    assert decoded.oddities == ()


@given(st.binary(max_size=300))
def test_any_bytes_give_a_value_or_our_own_error(data: bytes) -> None:
    try:
        decoded = cbor.decode(data)
    except cbor.CborError as error:
        assert 0 <= error.offset <= len(data)  # noqa: PT017 -- either outcome is right
        return
    assert decoded is not None


@pytest.mark.parametrize("value", [1.5, {1, 2}, object()])
def test_the_encoder_refuses_what_it_does_not_know(value: object) -> None:
    with pytest.raises(TypeError):
        cbor.encode(value)


def test_the_encoder_refuses_integers_beyond_64_bits() -> None:
    for value in (1 << 64, -(1 << 64) - 1):
        with pytest.raises(ValueError, match="64 bits"):
            cbor.encode(value)


@pytest.mark.parametrize("around", [b"\x81", b"\xa1\x00", b"\x82\x00", b"\xa2\x00\x00\x01"])
def test_lists_and_maps_stand_in_each_other_so_deep_and_no_deeper(around: bytes) -> None:
    deep = around * cbor.MAX_DEPTH + b"\x00"
    assert cbor.decode(deep).oddities == ()
    with pytest.raises(cbor.CborError) as caught:
        cbor.decode(around + deep)
    assert caught.value.rule == "limits"
