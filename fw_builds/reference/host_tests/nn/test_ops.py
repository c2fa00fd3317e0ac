"""Each operator against the reference kernels, in random one-operator models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from engines import Int8, ParityRows, Refused, engine_run, reference
from tfm_harness.testing.one_operator import GENERATORS, at_the_edges
from tfm_harness.testing.tflite_builder import Graph

MODELS_EACH = [15, pytest.param(60, marks=pytest.mark.nightly)]
INPUTS_EACH = 25
EDGES_EACH = [20, pytest.param(40, marks=pytest.mark.nightly)]


def inputs_for(rng: np.random.Generator, graph: Graph) -> Int8:
    size = int(np.prod(graph.tensors[0].shape))
    inputs = rng.integers(-128, 128, size=(INPUTS_EACH, size)).astype(np.int8)
    inputs[0], inputs[1], inputs[2] = -128, 127, graph.tensors[0].zero_point  # the corners
    return inputs


@pytest.mark.parametrize("models", MODELS_EACH)
@pytest.mark.parametrize("name", GENERATORS)
def test_operator_is_bit_exact(name: str, models: int, model_file: Path, parity_row: ParityRows) -> None:
    exact = total = 0
    outputs = set()
    for index in range(models):
        rng = np.random.default_rng([index, len(name), ord(name[0])])
        graph = GENERATORS[name](rng)
        content = graph.build()
        model_file.write_bytes(content)
        inputs = inputs_for(rng, graph)
        expected = reference.run(content, inputs)
        seen = engine_run(model_file, inputs)
        np.testing.assert_array_equal(seen, expected, err_msg=f"{name} model {index}: {graph}")
        total += len(inputs)
        exact += int((seen == expected).all(axis=1).sum())
        outputs |= {row.tobytes() for row in expected}
    parity_row.append((f"{name} x {models} models", total, exact, len(outputs)))
    assert len(outputs) >= 16


@pytest.mark.parametrize("models", EDGES_EACH)
@pytest.mark.parametrize("name", GENERATORS)
def test_operator_is_bit_exact_at_the_edges_of_quantisation(
    name: str, models: int, model_file: Path, parity_row: ParityRows
) -> None:
    """Multipliers from far below 2^-31 to 2^30, biases of 31 bits, ranges of no value: the same, or refused."""
    total = exact = refused = 0
    outputs = set()
    for index in range(models):
        rng = np.random.default_rng([index, len(name), 31])
        graph = at_the_edges(rng, name)
        content = graph.build()
        model_file.write_bytes(content)
        inputs = inputs_for(rng, graph)
        try:
            seen = engine_run(model_file, inputs)
        except Refused as why:
            if why.status != "QUANT":
                raise
            refused += 1
            continue
        expected = reference.run(content, inputs)
        np.testing.assert_array_equal(seen, expected, err_msg=f"{name} model {index}: {graph}")
        total += len(inputs)
        exact += int((seen == expected).all(axis=1).sum())
        outputs |= {row.tobytes() for row in expected}
    parity_row.append((f"{name} x {models - refused} at the edges", total, exact, len(outputs)))
    assert refused < models // 4
    assert len(outputs) >= 16
