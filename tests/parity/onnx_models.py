"""ONNX models made on the spot for tests."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

__all__ = ["ONNX", "classifier", "model", "needs_onnx", "single"]

ONNX = find_spec("onnx") is not None and find_spec("onnxruntime") is not None
needs_onnx = pytest.mark.skipif(not ONNX, reason="onnx and onnxruntime are not installed (tfm-harness[onnx])")

Port = tuple[str, str, Sequence[Any] | None]


def model(
    nodes: Sequence[Any], inputs: Sequence[Port], outputs: Sequence[Port], constants: dict[str, Any] | None = None,
    *, opset: int = 13,
) -> Any:  # fmt: skip
    """A ModelProto. Ports: name, NumPy type, shape (a word for a dynamic extent; None: no shape)."""
    from onnx import helper, numpy_helper

    def port(said: Port) -> Any:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(said[1]))
        return helper.make_tensor_value_info(said[0], kind, said[2])

    made = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "test", [port(i) for i in inputs], [port(o) for o in outputs], made)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def single(
    op: str, shape: Sequence[Any], out: Sequence[Any] | None = None, dtype: str = "float32", **attributes: Any
) -> Any:
    """One operator on one input."""
    from onnx import helper

    node = helper.make_node(op, ["x"], ["y"], **attributes)
    return model([node], [("x", dtype, shape)], [("y", dtype, out or [f"d{axis}" for axis in range(len(shape))])])


def classifier(*, seed: int = 1, dynamic: bool = False) -> Any:
    """Convolution, ReLU, two dense layers, softmax: floats, as a framework exports them. Input x (1, 2, 8, 8)."""
    from onnx import helper

    rng = np.random.default_rng(seed)
    constants = {
        "w": rng.normal(size=(4, 2, 3, 3)).astype(np.float32), "b": rng.normal(size=4).astype(np.float32),
        "g": (rng.normal(size=(6, 4 * 36)) * 0.05).astype(np.float32), "c": rng.normal(size=6).astype(np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["conv"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("Flatten", ["relu"], ["flat"]),
        helper.make_node("Gemm", ["flat", "g", "c"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["y"]),
    ]
    return model(nodes, [("x", "float32", ["N" if dynamic else 1, 2, 8, 8])], [("y", "float32", ["N", 6])], constants)
