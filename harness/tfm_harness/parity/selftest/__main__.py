"""Makes ``vectors.npz`` from seeds with the installed tflite-runtime."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfm_harness.parity import small_models
from tfm_harness.parity.engines import ReferenceEngine
from tfm_harness.parity.model_parser import parse_model
from tfm_harness.parity.selftest import VECTORS

MODELS = {
    "int8-classifier": small_models.classifier(seed=7),
    "int16-dense": small_models.dense("int16", width=24, units=12, seed=11),
    "float32-dense": small_models.dense("float32", width=12, units=6, seed=13),
}


def main() -> None:
    """Write the file."""
    rng = np.random.default_rng(20240611)
    stored: dict[str, Any] = {}
    with ReferenceEngine("tflite-runtime", self_test=False) as engine:
        for name, model in MODELS.items():
            tensor = parse_model(model, name=name).inputs[0]
            if tensor.dtype == "float32":
                inputs = rng.normal(size=(48, *tensor.shape)).astype(np.float32)
            else:
                limits = np.iinfo(tensor.dtype)
                inputs = rng.integers(limits.min, limits.max + 1, (48, *tensor.shape), dtype=np.int64).astype(
                    tensor.dtype
                )
            stored[f"{name}/model"] = np.frombuffer(model, np.uint8)
            stored[f"{name}/input"] = inputs
            for position, output in enumerate(engine.run(model, inputs, name=name)):
                stored[f"{name}/output{position}"] = output
    np.savez_compressed(VECTORS, **stored)


if __name__ == "__main__":
    main()
