"""The input vectors with which device and reference are compared for a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfm_harness.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt

    from tfm_harness.config.build import Build
    from tfm_harness.config.sensors import SensorConfig
    from tfm_harness.parity.model_info import ModelInfo

__all__ = ["parity_vectors"]


def parity_vectors(
    build: Build,
    name: str,
    info: ModelInfo,
    count: int,
    *,
    run: Callable[[list[npt.NDArray[Any]]], Sequence[npt.NDArray[Any]]],
    sensors: Mapping[str, SensorConfig],
) -> tuple[list[npt.NDArray[Any]], int | None, str]:
    """Vectors for a model.

    The files of the build's ``parity.inputs``, else windows of recorded traces for sensor models, and vectors
    generated from the build's seed, with many distinct outputs among them.

    Args:
        build: declares the model, its inputs, its traces and the seed.
        name: the model.
        info: the contents of its file.
        count: the number of vectors, if no files are given.
        run: the reference, from one array (n, *shape) for each input to one for each output.
        sensors: the target's sensors, which play the recorded traces.

    Returns:
        One array (n, *shape) for each input; the seed if some were generated; a text about their origin.

    Raises:
        ConfigError: a file or a declared trace that cannot be read or does not fit.
    """
    import numpy as np

    from tfm_harness.parity.generate import generate_inputs
    from tfm_harness.parity.inputs import load_inputs

    if files := build.parity.inputs.get(name):
        return load_inputs(files, info, rule=build.quantisation(name)), None, ", ".join(path.name for path in files)
    recorded, words = _recorded(build, name, info, sensors)
    recorded = recorded[: max(1, count // 2)] if len(recorded) else recorded
    seed = build.parity.seed
    found = generate_inputs(
        info, run, max(1, count - len(recorded)), seed=seed, like=[recorded] if len(recorded) else ()
    )
    source = f"{len(found.inputs[0])} generated"
    if not len(recorded):
        return found.inputs, seed, source
    return [np.concatenate([recorded, found.inputs[0]])], seed, f"{len(recorded)} windows of {words}, {source}"


def _recorded(
    build: Build, name: str, info: ModelInfo, sensors: Mapping[str, SensorConfig]
) -> tuple[npt.NDArray[Any], str]:
    """A sensor model's input tensors for each window of the recorded traces; none when it has no front-end."""
    import numpy as np

    from tfm_harness.bench.windows import BUNDLED, trace_windows
    from tfm_harness.parity.frontend import get_frontend

    config = build.models[name]
    nothing: npt.NDArray[Any] = np.empty((0, *info.inputs[0].shape), dtype=info.inputs[0].dtype)
    if config.frontend is None or len(info.inputs) != 1:
        return nothing, ""
    declared = build.parity.traces.get(name)
    traces = declared or dict.fromkeys([*BUNDLED, *([config.trace] if config.trace else [])])
    try:
        windows = trace_windows(traces, sensors)
    except ConfigError:
        if declared:
            raise
        return nothing, ""  # this target has other sensors than the bundled traces
    tensors = get_frontend(config.frontend)(windows).reshape(-1, *info.inputs[0].shape)
    return tensors, ", ".join(traces)
