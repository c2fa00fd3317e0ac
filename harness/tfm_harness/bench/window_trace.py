"""The sensor's values and the device's outputs, for the report page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfm_harness.bench.device import Inference

if TYPE_CHECKING:
    import numpy.typing as npt

    from tfm_harness.parity.model_info import ModelInfo

__all__ = ["window_trace"]


def window_trace(number: int, inference: Inference, info: ModelInfo, output: npt.NDArray[Any]) -> dict[str, Any]:
    """The samples of an inference's window, by channel, and the values of the model's first output.

    Args:
        number: the number of the window in this run, from 1.
        inference: the inference, which must have samples.
        info: the model.
        output: the device's output.
    """
    scale = info.outputs[0].quantisation
    values = [float(value) for value in output.ravel()]
    if scale is not None:
        values = [(value - scale.zero_points[0]) * scale.scales[0] for value in values]
    samples = inference.samples
    return {
        "name": f"window {number}, model {info.name}",
        "channels": {
            **{f"mag.{axis} [counts]": [float(getattr(s, axis)) for s in samples] for axis in "xyz"},
            "temp [degC]": [s.t / 16 for s in samples],
        },
        "outputs": [(len(samples) - 1, values)],
        "labels": [f"output {index}" for index in range(len(values))],
    }
