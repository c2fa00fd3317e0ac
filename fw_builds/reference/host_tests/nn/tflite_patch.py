"""Reads and changes the output list of a .tflite file (first subgraph), by the FlatBuffer layout itself.

tflite-runtime lets ADD and a few others write over their input, so the values of inner tensors cannot be read
afterwards, `experimental_preserve_all_tensors` or not. Naming an inner tensor as the model's output keeps it.
"""

from __future__ import annotations

import struct

__all__ = ["operator_outputs", "with_output"]


def _u32(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])


def _field(data: bytes, table: int, number: int) -> int:
    """Where the object that an offset field of a table refers to starts."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    slot = table + struct.unpack_from("<H", data, vtable + 4 + 2 * number)[0]
    return int(slot + _u32(data, slot))


def _element(data: bytes, vector: int, index: int) -> int:
    """Where the table that element `index` of a vector refers to starts."""
    at = vector + 4 + 4 * index
    return at + _u32(data, at)


def _subgraph(data: bytes) -> int:
    return _element(data, _field(data, _u32(data, 0), 2), 0)


def operator_outputs(data: bytes) -> list[int]:
    """The tensor that each operator writes."""
    operators = _field(data, _subgraph(data), 3)
    tables = [_element(data, operators, index) for index in range(_u32(data, operators))]
    return [_u32(data, _field(data, table, 2) + 4) for table in tables]


def with_output(data: bytes, tensor: int) -> bytes:
    """The same model with `tensor` as its only output (the file must name one output already)."""
    outputs = _field(data, _subgraph(data), 2)
    if _u32(data, outputs) != 1:
        raise ValueError("expected a model with one output")
    changed = bytearray(data)
    struct.pack_into("<I", changed, outputs + 4, tensor)
    return bytes(changed)
