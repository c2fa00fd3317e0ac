"""Files whose tables and vectors reach outside of the file, or of what holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tfm_harness.testing.right_models import (
    dense,
)
from tfm_harness.testing.tflite_builder import Graph

__all__ = ["damaged_models"]


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _put(data: bytes, at: int, value: int, size: int) -> bytes:
    return data[:at] + (value % (1 << 8 * size)).to_bytes(size, "little") + data[at + size :]


def _field(data: bytes, table: int, field: int) -> int:
    """The offset of a field's value."""
    vtable = table - _u32(data, table)
    return table + _u16(data, vtable + 4 + 2 * field)


def _follow(data: bytes, at: int) -> int:
    return at + _u32(data, at)


def damaged_models(base: Callable[[], Graph] = dense) -> Iterator[tuple[str, bytes]]:
    """Files whose tables and vectors reach outside of the file, or of what holds them."""
    data = base().build()
    size = len(data)

    def first(table: int, field: int) -> int:
        return _follow(data, _follow(data, _field(data, table, field)) + 4)

    model = _follow(data, 0)
    graph = first(model, 2)
    tables = {
        "model": (model, 2), "operator code": (first(model, 1), 2), "subgraph": (graph, 0),
        "tensor": (first(graph, 0), 0), "operator": (first(graph, 3), 1), "buffer": (first(model, 4), None),
    }  # fmt: skip
    for name, (table, field) in tables.items():
        vtable = (table - _u32(data, table)) % (1 << 32)
        yield f"{name}: vtable before the file", _put(data, table, table + 1, 4)
        yield f"{name}: vtable at the file's end", _put(data, table, table - size + 2, 4)
        yield f"{name}: vtable of an odd size", _put(data, vtable, _u16(data, vtable) + 1, 2)
        yield f"{name}: vtable of 2 bytes", _put(data, vtable, 2, 2)
        yield f"{name}: vtable longer than the file", _put(data, vtable, 0xFFFE, 2)
        yield f"{name}: table of 3 bytes", _put(data, vtable + 2, 3, 2)
        yield f"{name}: table longer than the file", _put(data, vtable + 2, 0xFFFF, 2)
        if field is not None:
            slot = vtable + 4 + 2 * field
            yield f"{name}: a field inside the table's head", _put(data, slot, 2, 2)
            yield f"{name}: a field behind its table", _put(data, slot, _u16(data, vtable + 2), 2)
            yield f"{name}: a field that reaches behind its table", _put(data, slot, _u16(data, vtable + 2) - 3, 2)
    vectors = {
        "operator codes": _field(data, model, 1), "subgraphs": _field(data, model, 2),
        "buffers": _field(data, model, 4), "tensors": _field(data, graph, 0), "inputs": _field(data, graph, 1),
        "operators": _field(data, graph, 3), "shape": _field(data, first(graph, 0), 0),
    }  # fmt: skip
    for name, at in vectors.items():
        vector = _follow(data, at)
        yield f"{name}: a vector at the file's end", _put(data, at, size - at, 4)
        yield f"{name}: a vector 3 bytes before the end", _put(data, at, size - 3 - at, 4)
        yield f"{name}: a vector far behind the end", _put(data, at, 0xFFFFFFF0, 4)
        for count in (0x40000000 + _u32(data, vector), 0x7FFFFFFF, 0xFFFFFFFF, (size - vector) // 4 + 1):
            yield f"{name}: {count:#x} entries", _put(data, vector, count, 4)
    for at in (0, 4, size - 3, size, 0x7FFFFFFF, 0xFFFFFFFC):
        yield f"the root at {at:#x}", _put(data, 0, at, 4)
    for length in (0, 4, 7, 8, 40, size // 2, size - 64):
        yield f"cut after {length} bytes", data[:length]
