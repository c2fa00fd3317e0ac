"""Generates input vectors that make a model give many different outputs.

With uniform random inputs, some models give only one output. This search starts from several families of
inputs, keeps vectors that give new outputs, and mutates and crosses those. The same seed, model and engine
give the same vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfm_harness.parity.model_info import ModelInfo, TensorInfo

__all__ = ["Generated", "breed", "generate_inputs"]

Array = npt.NDArray[Any]
Run = Callable[[list[Array]], Sequence[Array]]

FAMILIES = 7

ENOUGH = 0.5
"""The search stops early at so many distinct, not wholly saturated outputs for each requested vector."""


@dataclass(frozen=True, eq=False)
class Generated:
    """Vectors, and figures of their search.

    Attributes:
        inputs: one array (n, *shape) for each input.
        distinct: distinct outputs among the chosen vectors.
        evaluated: vectors tried on the reference.
    """

    inputs: list[Array]
    seed: int
    distinct: int
    evaluated: int


def generate_inputs(
    info: ModelInfo,
    run: Run,
    count: int,
    *,
    seed: int,
    rounds: int = 4,
    like: Sequence[Array] = (),
) -> Generated:
    """Search for `count` vectors with many distinct, unsaturated outputs.

    Args:
        run: the reference: inputs (n, *shape) each to outputs (n, *shape) each.
        seed: recorded in every result.
        rounds: most rounds of mutation after the first families; each evaluates `count` / 2 vectors.
        like: real vectors to start from as well, one array (m, *shape) for each input.

    Raises:
        ValueError: `count` below 1.
    """
    if count < 1:
        raise ValueError(f"{count} vectors")
    rng = np.random.default_rng(seed)
    pool = [
        np.stack([_fresh(tensor, rng, number % FAMILIES) for number in range(count)])
        if tensor.dtype != "bool"
        else rng.integers(0, 2, (count, *tensor.shape)).astype(bool)
        for tensor in info.inputs
    ]
    if like:
        pool = [np.concatenate([np.asarray(real, dtype=p.dtype), p]) for real, p in zip(like, pool, strict=True)]
    outputs = _flatten(run(pool))
    for _ in range(rounds):
        if len({signature for signature, saturated in outputs if saturated < 1}) >= ENOUGH * count:
            break
        parents = _interesting(outputs, rng, max(2, count // 2))
        children = [breed(array, parents, tensor, rng) for array, tensor in zip(pool, info.inputs, strict=True)]
        pool = [np.concatenate([array, child]) for array, child in zip(pool, children, strict=True)]
        outputs += _flatten(run(children))
    chosen = _choose(outputs, count, rng)
    picked = [array[chosen] for array in pool]
    # For a stateful model, an output depends on the chosen vectors before it.
    final = _flatten(run(picked)) if info.stateful else [outputs[i] for i in chosen]
    return Generated(picked, seed, len({signature for signature, _ in final}), len(outputs))


def _fresh(tensor: TensorInfo, rng: np.random.Generator, family: int) -> Array:
    """One vector of a family: uniform, narrow, ramp, constant with noise, sparse, extremes, sine."""
    low, high, centre = _range(tensor)
    span = high - low
    shape, size = tensor.shape, tensor.elements
    if family == 0:
        values = rng.uniform(low, high, size)
    elif family == 1:
        values = rng.normal(rng.uniform(low, high), span * 10 ** rng.uniform(-2.5, -0.5), size)
    elif family == 2:
        start, end = rng.uniform(low, high, 2)
        values = np.linspace(start, end, size)
    elif family == 3:
        values = rng.uniform(low, high) + rng.normal(0, span * 0.01, size)
    elif family == 4:
        values = np.where(rng.random(size) < rng.uniform(0.02, 0.3), rng.uniform(low, high, size), centre)
    elif family == 5:
        values = np.where(rng.random(size) < rng.uniform(0.1, 0.9), low, high)
    else:
        phase = np.arange(size) * rng.uniform(0.02, 3.0) + rng.uniform(0, 6.3)
        values = centre + np.sin(phase) * span * rng.uniform(0.02, 0.5) + rng.normal(0, span * 0.01, size)
    return _fit(values.reshape(shape), tensor)


def breed(pool: Array, parents: Sequence[int], tensor: TensorInfo, rng: np.random.Generator) -> Array:
    """A child of each parent: noise, a stretch replaced, a crossing, or a point between two."""
    low, high, _ = _range(tensor)
    children = []
    for parent in parents:
        child = pool[parent].astype(np.float64).reshape(-1).copy()
        other = pool[parents[int(rng.integers(len(parents)))]].astype(np.float64).reshape(-1)
        way = int(rng.integers(4))
        if way == 0:  # noise on all elements
            child += rng.normal(0, (high - low) * 10 ** rng.uniform(-2.5, -0.7), child.size)
        elif way == 1:  # one stretch replaced
            start = int(rng.integers(child.size))
            end = start + 1 + int(rng.integers(max(1, child.size // 3)))
            child[start:end] = rng.uniform(low, high, child[start:end].size)
        elif way == 2:  # crossover
            cut = int(rng.integers(child.size + 1))
            child[cut:] = other[cut:]
        else:  # a point between two parents
            child += (other - child) * rng.uniform(0.1, 0.9)
        children.append(_fit(child.reshape(tensor.shape), tensor))
    return np.stack(children)


def _range(tensor: TensorInfo) -> tuple[float, float, float]:
    if tensor.dtype == "float32":
        return -8.0, 8.0, 0.0
    if tensor.dtype == "bool":
        return 0.0, 1.0, 0.0
    limits = np.iinfo(tensor.dtype)
    if limits.bits > 16:  # indices and counts: large values make no sense
        return -128.0, 127.0, 0.0
    centre = tensor.quantisation.zero_points[0] if tensor.quantisation else 0
    return float(limits.min), float(limits.max), float(centre)


def _fit(values: npt.NDArray[np.float64], tensor: TensorInfo) -> Array:
    if tensor.dtype == "float32":
        return values.astype(np.float32)
    if tensor.dtype == "bool":
        return values > 0.5
    low, high, _ = _range(tensor)
    return np.clip(np.rint(values), low, high).astype(tensor.dtype)


def _flatten(outputs: Sequence[Array]) -> list[tuple[bytes, float]]:
    """For each vector: its output bytes and the share of saturated elements."""
    count = len(outputs[0])
    rows = [np.ascontiguousarray(o).reshape(count, -1) for o in outputs]
    saturated = np.zeros(count)
    for row in rows:
        if row.dtype.kind in "iu":
            limits = np.iinfo(row.dtype)
            saturated += ((row == limits.min) | (row == limits.max)).mean(axis=1) / len(rows)
    return [(b"".join(row[i].tobytes() for row in rows), float(saturated[i])) for i in range(count)]


def _interesting(outputs: list[tuple[bytes, float]], rng: np.random.Generator, count: int) -> list[int]:
    """Parents, drawn with weight on rare and unsaturated outputs."""
    seen: dict[bytes, int] = {}
    for signature, _ in outputs:
        seen[signature] = seen.get(signature, 0) + 1
    weights = np.array([(1.05 - saturated) / seen[signature] for signature, saturated in outputs])
    return [int(i) for i in rng.choice(len(outputs), size=count, p=weights / weights.sum())]


def _choose(outputs: list[tuple[bytes, float]], count: int, rng: np.random.Generator) -> list[int]:
    """One vector of each output first, least saturated first; the rest at random."""
    order = sorted(range(len(outputs)), key=lambda i: (outputs[i][1], i))
    first: dict[bytes, int] = {}
    for index in order:
        first.setdefault(outputs[index][0], index)
    chosen = list(first.values())[:count]
    taken = set(chosen)
    rest = [i for i in rng.permutation(len(outputs)) if int(i) not in taken]
    return sorted([*chosen, *(int(i) for i in rest[: count - len(chosen)])])
