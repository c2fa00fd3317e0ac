"""Known answers that an engine must give before it may judge anything.

``vectors.npz`` holds models (as bytes), inputs and expected outputs. The expected outputs are those
of tflite-runtime 2.14.0 ``BUILTIN_REF``, on which ai-edge-litert 1.2.0 ``BUILTIN_REF`` and the
tflite-micro kernels agree bit for bit; optimised kernels, XNNPACK and ai-edge-litert from 1.3.0 on give
other numbers. Made by ``python -m tfm_harness.parity.selftest``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tfm_harness.errors import InfrastructureError

__all__ = ["VECTORS", "load_vectors", "prove"]

VECTORS = Path(__file__).with_name("vectors.npz")


class Engine(Protocol):
    """An engine to be tested: see `tfm_harness.parity.engines.ReferenceEngine`."""

    name: str
    partial: bool

    @property
    def record(self) -> object: ...

    def run(
        self, model: bytes, inputs: Sequence[npt.ArrayLike] | npt.ArrayLike, *, name: str = ...
    ) -> Sequence[npt.NDArray[Any]]: ...


def load_vectors() -> dict[str, tuple[bytes, npt.NDArray[Any], list[npt.NDArray[Any]]]]:
    """The known answers by model name: the .tflite bytes, inputs (n, *shape), expected outputs."""
    with np.load(VECTORS, allow_pickle=False) as stored:
        names = sorted(key.removesuffix("/model") for key in stored.files if key.endswith("/model"))
        return {
            name: (
                stored[f"{name}/model"].tobytes(),
                stored[f"{name}/input"],
                [stored[k] for k in sorted(stored.files) if k.startswith(f"{name}/output")],
            )
            for name in names
        }


def prove(engine: Engine) -> None:
    """Run the known vectors.

    Raises:
        InfrastructureError: kind ``engine-refused``, with the difference.
    """
    proven = 0
    for name, (model, inputs, expected) in load_vectors().items():
        try:
            outputs = engine.run(model, inputs, name=f"self-test {name}")
        except InfrastructureError as error:
            if error.kind != "engine-refused-model" or not engine.partial:
                raise
            continue  # it will refuse a user's model of that kind, too
        proven += 1
        for position, (want, got) in enumerate(zip(expected, outputs, strict=True)):
            if want.tobytes() == got.tobytes():
                continue
            differing = int(np.count_nonzero(want != got))
            largest = float(np.abs(want.astype(np.float64) - got.astype(np.float64)).max())
            raise InfrastructureError(
                f"reference engine {engine.record} fails its self-test",
                kind="engine-refused",
                expected=f"the stored outputs of {name} (TFLite reference kernels)",
                seen=f"output {position}: {differing} of {want.size} elements differ, by up to {largest:g}",
                hint="this version or resolver is no oracle for TFLM; leave `engine` out: another reference is used",
            )
    if not proven:
        raise InfrastructureError(
            f"reference engine {engine.record} refuses every model of its self-test",
            kind="engine-refused",
            expected="at least one that it runs",
            seen="none",
        )
