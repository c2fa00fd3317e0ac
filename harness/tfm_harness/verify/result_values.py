"""The values of a signed result's claims, checked against their profile's rules."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass

from tfm_harness.verify.cbor import CborValue
from tfm_harness.verify.result_profile import ClaimRule

__all__ = ["ELEMENT_SIZES", "ClaimValueError", "OutputTensor", "StrayBytesError", "read_value"]

ELEMENT_SIZES = {
    "int8": 1, "uint8": 1, "bool": 1, "int16": 2, "float16": 2, "int32": 4, "float32": 4, "int64": 8,
}  # fmt: skip
"""Tensor types (TFLite schema, TensorType) and the size of an element in bytes."""

_INTEGER_RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}


class ClaimValueError(ValueError):
    """A claim's value breaks its rule; the text says how."""


class StrayBytesError(ClaimValueError):
    """A text claim holds bytes that are no text, which may be leaked memory."""


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """One output tensor: raw little-endian elements, TFLite type name, shape, quantisation."""

    data: bytes
    type: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int


Read = int | float | str | bytes | tuple[OutputTensor, ...]


def read_value(rule: ClaimRule, value: CborValue) -> Read:
    """The value of one claim as a Python object.

    Raises:
        ClaimValueError: it breaks the rule.
    """
    if rule.type == "bytes":  # byte strings such as hashes are the most common values: no look-up in a table
        return _bytes(rule, value)
    if rule.type == "tensors":
        return read_tensors(value)
    read = _READERS[rule.type](rule, value)
    if isinstance(read, int) and not isinstance(read, bool):
        if rule.values is not None and read not in rule.values:
            raise ClaimValueError(f"{read}, not one of {', '.join(f'{n} ({t})' for n, t in rule.values.items())}")
        if (rule.low is not None and read < rule.low) or (rule.high is not None and read > rule.high):
            raise ClaimValueError(f"{read}, outside {rule.low} to {rule.high}")
    return read


def _bytes(rule: ClaimRule, value: CborValue) -> bytes:
    if not isinstance(value, bytes):
        raise ClaimValueError(f"{_kind(value)} in place of a byte string")
    size = rule.size
    if size is not None and not size[0] <= len(value) <= size[1]:
        low, high = size
        raise ClaimValueError(f"{len(value)} bytes in place of {low if low == high else f'{low} to {high}'}")
    return value


def _integer(rule: ClaimRule, value: CborValue) -> int:
    if type(value) is not int or (rule.type == "uint" and value < 0):
        raise ClaimValueError(f"{_kind(value)} in place of {'an unsigned' if rule.type == 'uint' else 'an'} integer")
    return value


def _float(_rule: ClaimRule, value: CborValue) -> float:
    if not isinstance(value, float) or not math.isfinite(value):
        raise ClaimValueError(f"{_kind(value)} in place of a finite float")
    return value


def _text(rule: ClaimRule, value: CborValue) -> str:
    if not isinstance(value, str):
        raise ClaimValueError(f"{_kind(value)} in place of text")
    return _matching(rule, value, value.encode())


def _text_bytes(rule: ClaimRule, value: CborValue) -> str:
    if not isinstance(value, bytes):
        raise ClaimValueError(f"{_kind(value)} in place of a byte string that holds text")
    return _matching(rule, value.decode("ascii", errors="replace"), value)


def _matching(rule: ClaimRule, text: str, raw: bytes) -> str:
    clean = next((i for i, character in enumerate(text) if not character.isprintable() or character == "\ufffd"), None)
    if clean is not None:
        at = len(text[:clean].encode())
        raise StrayBytesError(f"{len(raw)} bytes: text {text[:clean]!r}, then {len(raw) - at} bytes {raw[at:].hex()}")
    if rule.size is not None and not rule.size[0] <= len(raw) <= rule.size[1]:
        raise ClaimValueError(f"{len(raw)} bytes in place of {rule.size[0]} to {rule.size[1]}")
    if rule.pattern is not None and rule.pattern.fullmatch(text) is None:
        prefix = rule.pattern.match(text)
        if prefix is not None and prefix.end():
            rest = raw[len(text[: prefix.end()].encode()) :]
            raise StrayBytesError(f"text {text[: prefix.end()]!r}, then {len(rest)} bytes {rest.hex()}")
        raise ClaimValueError(f"{text!r}, which does not match {rule.pattern.pattern}"[:200])
    return text


def _le_uint32(_rule: ClaimRule, value: CborValue) -> int:
    if not isinstance(value, bytes) or len(value) != 4:
        raise ClaimValueError(f"{_kind(value)} in place of a byte string of 4")
    return int.from_bytes(value, "little")


def _le_float32(_rule: ClaimRule, value: CborValue) -> float:
    if not isinstance(value, bytes) or len(value) != 4:
        raise ClaimValueError(f"{_kind(value)} in place of a byte string of 4")
    number: float = struct.unpack("<f", value)[0]
    if not math.isfinite(number):
        raise ClaimValueError(f"{number}, which is no finite number")
    return number


_READERS: dict[str, Callable[[ClaimRule, CborValue], Read]] = {
    "bytes": _bytes, "uint": _integer, "int": _integer, "float": _float, "text": _text, "text-bytes": _text_bytes,
    "le-uint32": _le_uint32, "le-float32": _le_float32,
}  # fmt: skip


def read_tensors(value: CborValue) -> tuple[OutputTensor, ...]:
    """Output tensors: array of [data, type, shape, scale, zero point].

    Raises:
        ClaimValueError: a member of another type, or a shape that does not fit the data.
    """
    if not isinstance(value, list) or not value:
        raise ClaimValueError(f"{_kind(value)} in place of an array of tensors")
    return tuple(_read_tensor(index, item) for index, item in enumerate(value))


def _read_tensor(index: int, item: CborValue) -> OutputTensor:
    if not isinstance(item, list) or len(item) != 5:
        raise _problem(index, f"{_kind(item)} in place of [data, type, shape, scale, zero point]")
    data, kind, shape, scale, zero_point = item
    if not isinstance(data, bytes):
        raise _problem(index, f"data is {_kind(data)}")
    if not isinstance(kind, str) or kind not in ELEMENT_SIZES:
        raise _problem(index, f"type is {kind!r}"[:80])
    dimensions = _dimensions(shape)
    if dimensions is None:
        raise _problem(index, f"shape is {shape!r}"[:80])
    wanted = math.prod(dimensions) * ELEMENT_SIZES[kind]
    if len(data) != wanted:
        raise _problem(index, f"{len(data)} bytes of data, {kind} of shape {list(dimensions)} has {wanted}")
    if (
        not isinstance(scale, float)
        or not math.isfinite(scale)
        or scale < 0
        or (scale == 0 and kind in _INTEGER_RANGES)
    ):
        raise _problem(index, f"scale is {scale!r}"[:80])
    low, high = _INTEGER_RANGES.get(kind, (-(1 << 31), (1 << 31) - 1))
    if type(zero_point) is not int or not low <= zero_point <= high:
        raise _problem(index, f"zero point is {zero_point!r}"[:80])
    return OutputTensor(data, kind, dimensions, scale, zero_point)


def _problem(index: int, text: str) -> ClaimValueError:
    return ClaimValueError(f"tensor {index}: {text}")


def _dimensions(shape: CborValue) -> tuple[int, ...] | None:
    """A tensor's shape; None when the value is no shape."""
    if not isinstance(shape, list) or len(shape) > 8:
        return None
    dimensions = []
    for size in shape:
        if type(size) is not int or not 0 < size <= 1 << 31:
            return None
        dimensions.append(size)
    return tuple(dimensions)


def _kind(value: object) -> str:
    if isinstance(value, bytes):
        return f"byte string of {len(value)} bytes"
    if isinstance(value, list | dict):
        return f"{'array' if isinstance(value, list) else 'map'} of {len(value)}"
    return f"{value!r}"[:80]
