"""Models that differ from another model only in their numbers."""

from __future__ import annotations

from tfm_harness.errors import ConfigError

__all__ = ["with_other_weights"]


def with_other_weights(model: bytes) -> bytes:
    """A .tflite file of the same size, shapes and quantisation whose largest int8 constant is reversed.

    Raises:
        ConfigError: kind ``model-variant``: it has no int8 constant that would change.
    """
    import tflite

    root = tflite.Model.GetRootAs(model, 0)
    graph = root.Subgraphs(0)
    weights = b""
    for index in range(graph.TensorsLength()):
        tensor = graph.Tensors(index)
        buffer = root.Buffers(tensor.Buffer())
        if tensor.Type() == tflite.TensorType.INT8 and buffer is not None and buffer.DataLength() > len(weights):
            weights = buffer.DataAsNumpy().tobytes()
    at = model.find(weights) if weights else -1
    if at < 0 or weights == weights[::-1]:
        raise ConfigError("this model has no int8 weights that could be changed", kind="model-variant")
    return model[:at] + weights[::-1] + model[at + len(weights) :]
