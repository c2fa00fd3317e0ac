"""Rewrites a .tflite model to have other outputs, or another subgraph as its first; its bytes are kept."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tfm_harness.errors import ConfigError
from tfm_harness.parity.model_parser import parse_model, whole

__all__ = ["expose_tensors", "select_signature"]


def expose_tensors(model: bytes, indices: Sequence[int]) -> bytes:
    """The same model with tensors `indices` of its first subgraph as its outputs.

    Interpreters may compute in place (TFLite's ADD overwrites its input even when asked to preserve all
    tensors), but they never overwrite an output of the graph. The file keeps all its bytes: a new vector
    is appended and SubGraph.outputs points to it (FlatBuffers: an offset counts from its own place, forward).

    Raises:
        ConfigError: kind ``model-malformed``, as `parse_model`.
        IndexError: a tensor the model does not have.
    """
    import tflite

    info = parse_model(model)
    if any(not 0 <= index < len(info.tensors) for index in indices):
        raise IndexError(f"tensors {list(indices)} of {len(info.tensors)}")
    table = tflite.Model.GetRootAs(model, 0).Subgraphs(0)._tab  # noqa: SLF001 - generated code has no other way
    place = table.Pos + table.Offset(8)  # SubGraph: tensors 4, inputs 6, outputs 8
    changed = bytearray(model) + bytes(-len(model) % 4)
    struct.pack_into("<I", changed, place, len(changed) - place)
    return bytes(changed) + struct.pack(f"<I{len(indices)}i", len(indices), *indices)


def select_signature(model: bytes, key: str, *, name: str = "model") -> bytes:
    """The same model with the subgraph of a signature as its first one, which interpreters run.

    The file keeps all its bytes but one offset: the first entry of Model.subgraphs points to that subgraph, too (so
    that numbers in control flow operators keep their meaning; none of them may name the subgraph that was first). The
    list of signatures is made empty, because interpreters check them against the subgraph that was first.

    Raises:
        ConfigError: kind ``model-signature``: the model has no such signature; ``model-malformed``, as `parse_model`.
    """
    import tflite

    found = dict(parse_model(model, name=name).signatures)
    if key not in found:
        raise ConfigError(
            f"model {name} has no signature {key!r}", kind="model-signature", where=name,
            expected=f"one of {', '.join(found)}" if found else "a model with signatures", seen=key,
        )  # fmt: skip
    with whole(model, name):
        table = tflite.Model.GetRootAs(model, 0)._tab  # noqa: SLF001 - generated code has no other way
        vector, changed = table.Vector(table.Offset(8)), bytearray(model)  # Model: version 4, codes 6, subgraphs 8
        there = table.Indirect(vector + 4 * found[key])
        if there < vector:
            raise ValueError("a subgraph that lies before the list of subgraphs")
        struct.pack_into("<I", changed, vector, there - vector)
        struct.pack_into("<I", changed, table.Vector(table.Offset(18)) - 4, 0)  # the vector's length
    return bytes(changed)
