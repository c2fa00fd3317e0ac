"""Judges results that are printed as text, and models on labelled data, with the reference's outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfm_harness.bench.device import Device
from tfm_harness.bench.not_covered import NotCovered
from tfm_harness.protocol.base import Feature, Source

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from tfm_harness.config.model import ModelConfig
    from tfm_harness.config.sensors import SensorConfig
    from tfm_harness.findings import Report
    from tfm_harness.parity.accuracy import AccuracyResult
    from tfm_harness.parity.model_info import ModelInfo
    from tfm_harness.parity.printed import PrintedComparison
    from tfm_harness.parity.quantise import QuantisationRule

__all__ = ["judge_accuracy", "judge_printed", "printed_texts"]

Progress = Callable[[int, int], None]
Run = Callable[["npt.NDArray[Any]"], "npt.NDArray[Any]"]
"""The reference as a function from input tensors (n, *shape) to its first output (n, *shape)."""

_AT_ONCE = 64
"""The number of inputs between two reports of progress."""


def printed_texts(device: Device, inputs: Sequence[bytes], progress: Progress) -> list[tuple[str, ...]]:
    """The results that the device prints of each input, as text."""
    found = []
    for number, data in enumerate(inputs):
        progress(number, len(inputs))
        message = device.client.infer(source=Source.HOST, data=data).message
        found.append(tuple(message.decode("ascii", "replace").split(",")))
    return found


def judge_printed(
    device: Device,
    tensors: npt.NDArray[Any],
    *,
    name: str,
    config: ModelConfig,
    info: ModelInfo,
    run: Run,
    rule: QuantisationRule,
    report: Report,
    progress: Progress,
) -> PrintedComparison:
    """Compare printed results with the reference's, for these input tensors (n, *shape)."""
    import numpy as np

    from tfm_harness.parity.dataset import tensors_of, wire_of
    from tfm_harness.parity.printed import check_printed, printed_error

    wire = wire_of(tensors, info, config.takes)
    texts = printed_texts(device, wire, progress)
    outputs = run(tensors_of(wire, info, config.takes, rule))
    if config.gives == "reconstruction-error":
        real = np.frombuffer(b"".join(wire), dtype="<f4").reshape(len(wire), -1)
        return printed_error(texts, real, outputs, info, report, subject=name)
    return check_printed(texts, outputs, info, report, subject=name)


def _windows_of(
    config: ModelConfig, info: ModelInfo, sensors: Mapping[str, SensorConfig]
) -> Callable[[Path], list[bytes]] | None:
    """A function that makes inputs of a recorded trace, window by window; None when the model has no front-end."""
    from tfm_harness.bench.windows import trace_windows
    from tfm_harness.parity.frontend import WINDOW, get_frontend

    if config.frontend is None or config.takes != "tensor" or len(info.inputs) != 1:
        return None
    front_end = get_frontend(config.frontend)

    def windows(path: Path) -> list[bytes]:
        tensors = front_end(trace_windows([str(path)], sensors, step=WINDOW)).reshape(-1, *info.inputs[0].shape)
        return [tensor.astype(info.inputs[0].dtype).tobytes() for tensor in tensors]

    return windows


def judge_accuracy(
    device: Device,
    *,
    name: str,
    config: ModelConfig,
    info: ModelInfo,
    run: Run,
    rule: QuantisationRule,
    report: Report,
    progress: Progress,
    sensors: Mapping[str, SensorConfig],
) -> AccuracyResult:
    """Compare the device and the reference with the labels of the model's data set.

    Recorded traces among the files of a model that reads the sensor go through its front-end, as `sensors` read them.

    Raises:
        NotCovered: the build names no data set, or the firmware neither takes batches nor prints results.
        ConfigError: ``dataset``: the data set cannot be used.
    """
    import numpy as np

    from tfm_harness.errors import ConfigError
    from tfm_harness.parity.accuracy import check_accuracy
    from tfm_harness.parity.dataset import input_bytes, read_dataset, tensors_of

    dataset = config.dataset
    if dataset is None:
        raise NotCovered(f"the build names no data set of model {name!r}", what="dataset")
    samples = read_dataset(
        dataset.folder, dataset.labels, input_bytes(info, config.takes), samples=dataset.samples,
        windows=_windows_of(config, info, sensors),
    )  # fmt: skip
    parts = [part for sample in samples for part in sample.parts]
    owner = np.repeat(np.arange(len(samples)), [len(sample.parts) for sample in samples])
    tensors = tensors_of(parts, info, config.takes, rule)
    reference = _scores(run(tensors), parts, config, info)
    if Feature.PRINTED_RESULT in device.client.features:
        texts = printed_texts(device, parts, progress)
        widths = {len(text) for text in texts}
        if widths != {reference.shape[1]}:
            from tfm_harness.parity import catalogue

            report.add(
                catalogue.OUTPUT_FORM, False, expected=f"{reference.shape[1]} results",
                seen=f"{' or '.join(map(str, sorted(widths)))} results", subject=name,
            )  # fmt: skip
            raise NotCovered(f"the device prints another number of results than model {name!r} has", what="results")
        seen = np.array([[float(text) for text in row] for row in texts])
    elif Feature.BATCH in device.client.features:
        seen = _scores(_batches(device, tensors, info, progress), parts, config, info)
    else:
        raise NotCovered(f"this firmware takes no batches and prints no results: model {name!r} on labelled data")
    averaged = [_mean_of(owner, each, len(samples)) for each in (seen, reference)]
    if dataset.metric == "auc":
        averaged = [each[:, -1] for each in averaged]
    try:
        return check_accuracy(
            [sample.label for sample in samples], averaged[0], averaged[1], report, model=name,
            metric=dataset.metric, least=dataset.least, labels=dataset.classes,
            names=[sample.name for sample in samples], printed=Feature.PRINTED_RESULT in device.client.features,
        )  # fmt: skip
    except ValueError as error:
        raise ConfigError(
            f"the data set of model {name!r} cannot be judged by {dataset.metric}", kind="dataset",
            expected="both classes, 0 and 1, among the samples" if dataset.metric == "auc" else "classes of the model",
            seen=str(error), where=str(dataset.folder / dataset.labels),
            hint="docs/mlperf-tiny.md says how a data set is laid out, and what `takes` means",
        ) from None  # fmt: skip


def _scores(
    outputs: npt.NDArray[Any], parts: Sequence[bytes], config: ModelConfig, info: ModelInfo
) -> npt.NDArray[np.float64]:
    """Real scores (n, classes) of a model's first output."""
    import numpy as np

    from tfm_harness.parity.printed import errors_of
    from tfm_harness.parity.quantise import dequantise

    if config.gives == "reconstruction-error":
        real = np.frombuffer(b"".join(parts), dtype="<f4").reshape(len(parts), -1)
        return errors_of(real, outputs, info).reshape(-1, 1)
    return dequantise(outputs, info.outputs[0]).reshape(len(outputs), -1)


def _mean_of(owner: npt.NDArray[Any], scores: npt.NDArray[Any], count: int) -> npt.NDArray[np.float64]:
    import numpy as np

    total = np.zeros((count, scores.shape[1]))
    np.add.at(total, owner, scores)
    averaged: npt.NDArray[np.float64] = total / np.bincount(owner, minlength=count).reshape(-1, 1)
    return averaged


def _batches(device: Device, tensors: npt.NDArray[Any], info: ModelInfo, progress: Progress) -> npt.NDArray[Any]:
    """The device's first output of each input tensor, by its batch command."""
    answers: list[bytes] = []
    for at in range(0, len(tensors), _AT_ONCE):
        progress(at, len(tensors))
        rows = [row.tobytes() for row in tensors[at : at + _AT_ONCE]]
        answers += device.test_commands.batch(rows, info.output_bytes)
    return info.unpack_outputs(b"".join(answers), len(tensors))[0]
