"""Small ready-made models for the reference engines' self-test and for tests."""

from __future__ import annotations

import numpy as np

from tfm_harness.parity.testkit import ModelBuilder

__all__ = [
    "classifier",
    "compiled_dense",
    "dense",
    "half_weights",
    "mixed",
    "remembers",
    "two_in_two_out",
    "two_signatures",
]


def dense(dtype: str = "int8", *, width: int = 16, units: int = 8, layers: int = 2, seed: int = 1) -> bytes:
    """`layers` fully connected layers: input (1, width), output (1, units), of `dtype`."""
    rng = np.random.default_rng(seed)
    m = ModelBuilder()
    scale = {"int8": 0.05, "int16": 0.002, "float32": 0.0}[dtype]
    current = m.tensor([1, width], dtype, scale=scale, zero=3 if dtype == "int8" else 0)
    m.inputs = [current]
    for layer in range(layers):
        out = units if layer == layers - 1 else width
        growth = {"int8": 9 + 5 * layer, "int16": 25, "float32": 0}[dtype]  # keeps most outputs inside the range
        current = m.dense(current, out, rng, scale=scale * growth)
    m.outputs = [current]
    return m.build()


def classifier(*, width: int = 96, hidden: int = 64, classes: int = 10, seed: int = 7) -> bytes:
    """int8 convolution, two fully connected layers and softmax: sensitive to every known kernel difference."""
    rng = np.random.default_rng(seed)
    m = ModelBuilder()
    source = m.tensor([1, 1, width, 2], scale=0.031, zero=-5)
    taps = 4
    weights = m.tensor(
        [taps, 1, 3, 2],
        scale=[0.011, 0.017, 0.023, 0.013],
        data=rng.integers(-127, 128, (taps, 1, 3, 2), dtype=np.int8),
    )
    bias = m.tensor(
        [taps],
        "int32",
        scale=[0.031 * s for s in (0.011, 0.017, 0.023, 0.013)],
        data=rng.integers(-900, 900, taps, dtype=np.int64),
    )
    conv = m.tensor([1, 1, width - 2, taps], scale=0.043, zero=4)
    m.op("CONV_2D", [source, weights, bias], [conv])
    flat_shape = m.tensor([2], "int32", data=np.array([1, (width - 2) * taps]))
    flat = m.tensor([1, (width - 2) * taps], scale=0.043, zero=4)
    m.op("RESHAPE", [conv, flat_shape], [flat])
    middle = m.dense(flat, hidden, rng, scale=0.9, zero=-11)
    logits = m.dense(middle, classes, rng, scale=6.5, zero=9)
    probabilities = m.tensor([1, classes], scale=1 / 256, zero=-128)
    m.op("SOFTMAX", [logits], [probabilities], beta=0.02)
    m.inputs, m.outputs = [source], [logits, probabilities]
    return m.build()


def two_in_two_out(*, seed: int = 3) -> bytes:
    """Two int8 inputs (1, 6) and (1, 6), outputs their scaled sum (1, 6) and a dense layer of it (1, 4)."""
    rng = np.random.default_rng(seed)
    m = ModelBuilder()
    left, right = m.tensor([1, 6], scale=0.1), m.tensor([1, 6], scale=0.07, zero=2)
    total = m.tensor([1, 6], scale=0.15, zero=-1)
    m.op("ADD", [left, right], [total])
    out = m.dense(total, 4, rng, scale=0.4)
    m.inputs, m.outputs = [left, right], [total, out]
    return m.build()


def remembers(*, width: int = 4, filters: int = 3, memory: int = 5, seed: int = 5) -> bytes:
    """A stateful model: one SVDF, whose variable tensor keeps values of the last `memory` inferences."""
    rng = np.random.default_rng(seed)
    b = ModelBuilder()
    source = b.tensor([1, width], "float32")
    feature = b.tensor([filters, width], "float32", data=rng.normal(size=(filters, width)).astype(np.float32))
    time = b.tensor([filters, memory], "float32", data=rng.normal(size=(filters, memory)).astype(np.float32))
    bias = b.tensor([filters], "float32", data=rng.normal(size=filters).astype(np.float32))
    state = b.tensor([1, filters * memory], "float32", variable=True)
    out = b.tensor([1, filters], "float32")
    b.op("SVDF", [source, feature, time, bias, state], [out])
    b.inputs, b.outputs = [source], [out]
    return b.build()


def mixed(*, seed: int = 11) -> bytes:
    """Two branches: an int8 dense layer, which an NPU runs, and a float32 one, which it leaves to the CPU."""
    rng = np.random.default_rng(seed)
    m = ModelBuilder()
    quantised, real = m.tensor([1, 16], scale=0.05, zero=3), m.tensor([1, 6], "float32")
    m.inputs = [quantised, real]
    m.outputs = [m.dense(quantised, 8, rng, scale=0.7), m.dense(real, 4, rng)]
    return m.build()


def compiled_dense(
    *, config: int = 0x0000_3008, head: bytes = b"COP1", scale: float = 0.7, description: str = "Vela Optimised"
) -> bytes:
    """A file like Vela's output for `dense()`, with the interface and the head of the payload; it computes nothing.

    Args:
        config: the configuration word (0x3008: an Ethos-U55 of 256 MACs).
        head: first bytes of the payload.
        scale: the output's scale.
        description: the model's description.
    """
    m = ModelBuilder(description=description)
    payload = head + np.array([0x0010_0001, config, 0x1006_6001], "<u4").tobytes()
    commands = m.tensor([len(payload)], "uint8", data=np.frombuffer(payload, np.uint8))
    weights = m.tensor([32], "uint8", data=np.arange(32, dtype=np.uint8))
    scratch = m.tensor([32], "uint8")
    source, out = m.tensor([1, 16], scale=0.05, zero=3), m.tensor([1, 8], scale=scale)
    m.op("ethos-u", [commands, weights, scratch, scratch, source], [out])
    m.inputs, m.outputs = [source], [out]
    return m.build()


def two_signatures(dtype: str = "int8", *, width: int = 16, seed: int = 21) -> bytes:
    """Two subgraphs with a signature each: ``classify`` (1, width) to (1, 8), ``embed`` (1, width) to (1, 5)."""
    rng = np.random.default_rng(seed)
    parts = []
    for units in (8, 5):
        m = ModelBuilder()
        source = m.tensor([1, width], dtype, scale=0.05 if dtype == "int8" else 0.0, zero=3 if dtype == "int8" else 0)
        m.inputs, m.outputs = [source], [m.dense(source, units, rng, scale=0.6)]
        parts.append(m)
    parts[0].others, parts[0].signatures = [parts[1]], {"classify": 0, "embed": 1}
    return parts[0].build()


def half_weights(*, width: int = 8, units: int = 4, seed: int = 31) -> bytes:
    """A float32 dense layer whose weights are stored as float16, and converted to float32 by DEQUANTIZE."""
    rng = np.random.default_rng(seed)
    m = ModelBuilder()
    source = m.tensor([1, width], "float32")
    stored = m.tensor([units, width], "float16", data=rng.normal(size=(units, width)).astype(np.float16))
    weights = m.tensor([units, width], "float32")
    m.op("DEQUANTIZE", [stored], [weights])
    bias = m.tensor([units], "float32", data=rng.normal(size=units).astype(np.float32))
    out = m.tensor([1, units], "float32")
    m.op("FULLY_CONNECTED", [source, weights, bias], [out])
    m.inputs, m.outputs = [source], [out]
    return m.build()
