"""How far the two ONNX oracles lie apart, by operator: the source of the measured tolerances in docs/parity.md.

Random models of one operator, random inputs: ``python benchmarks/parity/onnx_classes.py [VECTORS]``.
"""

# ruff: noqa: ANN401 - onnx is not typed
from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from tfm_harness.parity.onnx import OnnxEngine, get_onnx_engine
from tfm_harness.parity.onnx_model import pack

SHAPE = [1, 8, 12, 12]


def models(rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    """Operator class and a model with it."""
    from onnx import helper, numpy_helper

    def made(op: str, shape: list[int], constants: dict[str, Any], dtype: str = "float32", **attributes: Any) -> Any:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        names = ["x", *constants] if op not in {"QLinearConv", "QLinearMatMul"} else list(constants)
        names = ["x" if name == "_x" else name for name in names]
        node = helper.make_node(op, names, ["y"], **attributes)
        held = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items() if k != "_x"]
        out = helper.make_empty_tensor_value_info("y")
        graph = helper.make_graph([node], op, [helper.make_tensor_value_info("x", kind, shape)], [out], held)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        import onnx

        return onnx.shape_inference.infer_shapes(model, strict_mode=True)

    def real(*shape: int, scale: float = 1.0) -> Any:
        return (rng.normal(size=shape) * scale).astype(np.float32)

    def whole(*shape: int) -> Any:
        return rng.integers(-127, 128, shape).astype(np.int8)

    one, zero = np.float32(0.02), np.int8(3)
    for _ in range(4):
        yield "Conv", made("Conv", SHAPE, {"w": real(16, 8, 3, 3), "b": real(16)})
        yield "Gemm", made("Gemm", [1, 256], {"w": real(256, 32), "b": real(32)})
        yield "MatMul", made("MatMul", [1, 256], {"w": real(256, 32)})
        yield "BatchNormalization", made("BatchNormalization", SHAPE, {
            "s": real(8), "b": real(8), "m": real(8), "v": np.abs(real(8)) + np.float32(0.1)})  # fmt: skip
        yield "AveragePool", made("AveragePool", SHAPE, {}, kernel_shape=[3, 3])
        yield "GlobalAveragePool", made("GlobalAveragePool", SHAPE, {})
        yield "ReduceMean", made("ReduceMean", SHAPE, {}, axes=[2, 3])
        yield "LayerNormalization", made("LayerNormalization", [1, 10, 64], {"s": real(64), "b": real(64)})
        yield "LSTM", made("LSTM", [6, 1, 16], {"w": real(1, 64, 16, scale=0.3), "r": real(1, 64, 16, scale=0.3)},
                           hidden_size=16)  # fmt: skip
        for op in ("Softmax", "Sigmoid", "Tanh", "Exp", "Erf", "HardSwish", "Relu", "MaxPool", "LeakyRelu", "Sqrt"):
            yield op, made(op, SHAPE, {}, **({"kernel_shape": [2, 2]} if op == "MaxPool" else {}))  # type: ignore[arg-type]
        for op in ("Add", "Mul", "Div"):
            yield op, made(op, SHAPE, {"w": real(8, 1, 1)})
        yield "QuantizeLinear", made("QuantizeLinear", SHAPE, {"s": one, "z": zero})
        yield "QLinearConv", made("QLinearConv", SHAPE, {
            "_x": 0, "xs": one, "xz": zero, "w": whole(16, 8, 3, 3), "ws": np.float32(0.01), "wz": np.int8(0),
            "ys": np.float32(0.3), "yz": np.int8(-4)}, "int8")  # fmt: skip
        yield "QLinearMatMul", made("QLinearMatMul", [1, 256], {
            "_x": 0, "xs": one, "xz": zero, "w": whole(256, 32), "ws": np.float32(0.01), "wz": np.int8(0),
            "ys": np.float32(0.4), "yz": np.int8(-4)}, "int8")  # fmt: skip


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    rng = np.random.default_rng(1)
    rows: dict[str, list[tuple[float, float, int, int]]] = {}
    with get_onnx_engine() as first, get_onnx_engine("onnxruntime") as second:
        print(f"{first.record} and {second.record}, {count} vectors a model, 4 models an operator")
        for op, model in models(rng):
            rows.setdefault(op, []).append(
                measure(first, second, pack(model.SerializeToString(), "", {}, {}), rng, count)
            )
    print("| operator | largest difference | of the tensor's largest value | elements that differ |\n|---|---|---|---|")
    for op, found in rows.items():
        gap, share = max(f[0] for f in found), max(f[1] for f in found)
        differ, of = sum(f[2] for f in found), sum(f[3] for f in found)
        print(f"| {op} | {gap:.3g} | {share:.2g} | {differ / of:.2%} of {of} |")


def measure(
    first: OnnxEngine, second: OnnxEngine, blob: bytes, rng: np.random.Generator, count: int
) -> tuple[float, float, int, int]:
    """Largest difference, the same as a share of the largest value, elements that differ, elements."""
    tensor = first.info(blob).inputs[0]
    if tensor.dtype == "float32":
        inputs = rng.normal(size=(count, *tensor.shape)).astype(np.float32) * np.float32(2)
    else:
        inputs = rng.integers(-128, 128, (count, *tensor.shape)).astype(tensor.dtype)
    (ours,), (theirs,) = first.run(blob, inputs), second.run(blob, inputs)
    gap = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    gap = np.where(np.isnan(ours) & np.isnan(theirs), 0, gap) if ours.dtype.kind == "f" else gap
    largest = float(np.nanmax(np.abs(ours.astype(np.float64))))
    return float(gap.max()), float(gap.max()) / largest, int((gap > 0).sum()), gap.size


if __name__ == "__main__":
    main()
