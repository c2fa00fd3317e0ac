"""The specifications of a model's outputs, for comparison with a signed result."""

from __future__ import annotations

from functools import lru_cache

from tfm_harness.verify.results import (
    TensorSpec,
)

__all__ = ["output_specs"]


@lru_cache(maxsize=16)
def output_specs(model: bytes, name: str) -> tuple[TensorSpec, ...]:
    """The description of a model's outputs that a result must have; each model is parsed once."""
    from tfm_harness.parity.model_parser import parse_model

    return tuple(
        TensorSpec(
            type=str(tensor.dtype),
            shape=tuple(tensor.shape),
            scale=tensor.quantisation.scales[0] if tensor.quantisation else None,
            zero_point=tensor.quantisation.zero_points[0] if tensor.quantisation else None,
        )
        for tensor in parse_model(model, name=name).outputs
    )
