"""A message of a known shape is decoded as the careful decoder does it: same value, oddities and errors."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfm_harness.verify import cbor, cbor_shapes
from tfm_harness.verify.cbor_shapes import Shapes, shape_of

from tests.examples import few

_NUMBERS = st.integers(-(1 << 64), (1 << 64) - 1)
_KEYS = st.one_of(_NUMBERS, st.text(max_size=30), st.binary(max_size=30))
_VALUES = st.recursive(
    st.one_of(_NUMBERS, st.text(max_size=40), st.binary(max_size=300), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=6), st.dictionaries(_KEYS, inner, max_size=6)),
    max_leaves=20,
)


def outcome(data: bytes, shapes: Shapes, monkeypatch: pytest.MonkeyPatch) -> object:
    """What decoding gives with these shapes known."""
    monkeypatch.setattr(cbor, "_SHAPES", shapes)
    try:
        decoded = cbor.decode(data)
    except cbor.CborError as error:
        return error.rule, error.offset, error.message
    return repr(decoded.value), decoded.oddities


@pytest.mark.examples
@settings(max_examples=few(100))
@given(value=_VALUES, data=st.data())
def test_a_changed_message_decodes_as_without_the_shape(value: object, data: st.DataObject) -> None:
    message = bytearray(cbor.encode(value))
    with pytest.MonkeyPatch.context() as monkeypatch:
        shapes = Shapes()
        first = outcome(bytes(message), shapes, monkeypatch)
        assert first == outcome(bytes(message), shapes, monkeypatch)
        for at, bits in data.draw(
            st.lists(st.tuples(st.integers(0, len(message) - 1), st.integers(1, 255)), max_size=3)
        ):
            message[at] ^= bits
            assert outcome(bytes(message), shapes, monkeypatch) == outcome(bytes(message), Shapes(), monkeypatch)


def test_every_bit_of_a_message_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    claims = {10: bytes(range(32)), 1: 24, 2: -25, 3: 255, 4: 256, 5: 65536, 6: 1 << 32, -7: "text", b"key": [b"x", {}]}
    message = cbor.encode({**claims, "more": [None, True, False, 23, -24, {1: b"\x00" * 24}]})
    shapes = Shapes()
    outcome(message, shapes, monkeypatch)
    assert shapes.decode(message) == cbor.decode(message).value
    for at in range(len(message)):
        for bit in range(8):
            changed = message[:at] + bytes([message[at] ^ 1 << bit]) + message[at + 1 :]
            assert outcome(changed, shapes, monkeypatch) == outcome(changed, Shapes(), monkeypatch), (at, bit)


def test_the_shape_is_used() -> None:
    one, other = ({2: 1000 + number, 3: {4: [b"%d" % number]}, 10: bytes([number]) * 32} for number in (1, 2))
    shapes = Shapes()
    shapes.learn(cbor.encode(one), one)
    assert shapes.decode(cbor.encode(other)) == other
    assert list(shapes.decode(cbor.encode(other))) == list(other)


def test_a_number_in_a_longer_form_is_for_the_careful_decoder() -> None:
    shapes = Shapes()
    shapes.learn(b"\x81\x18\x64", [100])
    assert shapes.decode(b"\x81\x18\x65") == [101]
    assert shapes.decode(b"\x81\x18\x17") is None
    assert [oddity.kind for oddity in cbor.decode(b"\x81\x18\x17").oddities] == ["preferred"]


@pytest.mark.parametrize("form", ["<e", "<f", "<d"])
def test_floats_are_equal_bit_by_bit(form: str) -> None:
    raw = {"<e": b"\xf9", "<f": b"\xfa", "<d": b"\xfb"}[form] + struct.pack(form, 0.5)[::-1]
    shapes, value = Shapes(), [0.5, b"a"]
    shapes.learn(b"\x82" + raw + b"\x41a", value)
    assert shapes.decode(b"\x82" + raw + b"\x41b") == [0.5, b"b"]
    assert shapes.decode(b"\x82" + raw[:-1] + b"\x01\x41b") is None
    assert math.isclose(cbor.decode(raw).value, 0.5)  # type: ignore[arg-type]  # a float, by its head


def test_what_is_given_out_is_the_callers_own() -> None:
    message = cbor.encode({1: [b"a"], 2: {3: b"b"}})
    value = cbor.decode(message).value
    shapes = Shapes()
    shapes.learn(message, value)
    assert isinstance(value, dict)
    value[9] = "changed by whoever got it"
    again = shapes.decode(message)
    again[1].append(b"also")
    again[2][3] = b"changed"
    assert shapes.decode(message) == {1: [b"a"], 2: {3: b"b"}}


def test_what_is_kept_is_bounded() -> None:
    shapes = Shapes()
    for length in range(200):
        message = cbor.encode(bytes(length))
        shapes.learn(message, bytes(length))
    assert len(shapes._by_length) <= cbor_shapes._MOST
    shapes.learn(cbor.encode(bytes(5000)), bytes(5000))
    assert max(shapes._by_length) <= cbor_shapes._LONGEST


def test_messages_of_many_shapes_make_a_new_one_ever_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def counted(message: bytes, value: object) -> cbor_shapes.Shape | None:
        made.append(message)
        return shape_of(message, value)

    monkeypatch.setattr(cbor_shapes, "shape_of", counted)
    shapes = Shapes()
    for number in range(1000):
        message = cbor.encode(f"{number:04}")
        assert shapes.decode(message) is None
        shapes.learn(message, f"{number:04}")
    assert len(made) < 15


def test_no_shape_where_the_value_says_too_little() -> None:
    assert shape_of(b"\xf7", cbor.UNDEFINED) is None
    assert shape_of(b"\x81\x01", [300]) is None  # not what the message holds: its end lies elsewhere
