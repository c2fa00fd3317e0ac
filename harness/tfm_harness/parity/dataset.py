"""Data sets in the layout of MLPerf Tiny: a file of labels and a file for each input.

Source: eembc/energyrunner, datasets/README.md; mlcommons/tiny, benchmark/runner/datasets.py.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from tfm_harness.csv_text import delimiter_of
from tfm_harness.errors import ConfigError
from tfm_harness.files import read_file, resolved
from tfm_harness.parity.model_info import ModelInfo
from tfm_harness.parity.quantise import QuantisationRule, dequantise, quantise

__all__ = ["LabelledSample", "Taken", "input_bytes", "read_dataset", "tensors_of", "wire_of"]

Taken = Literal["tensor", "uint8", "float32"]
"""The input that a firmware takes over the wire: the input tensor's own bytes; unsigned bytes, from which it subtracts
128; or single-precision numbers, which it quantises."""

TRACES: Final = frozenset({".csv", ".npz", ".resd", ".sds"})
"""The endings of recorded traces' names, see `tfm_harness.stimulus.trace`."""

_MOST_LABELS: Final = 16 << 20
_MOST_INPUT: Final = 64 << 20
_MOST_CLASSES: Final = 1000


@dataclass(frozen=True, slots=True)
class LabelledSample:
    """One line of the labels' file.

    Attributes:
        name: the input's file.
        label: its class.
        parts: the inputs that the device gets in turn; their scores are averaged.
    """

    name: str
    label: int
    parts: tuple[bytes, ...]


def input_bytes(info: ModelInfo, taken: Taken) -> int:
    """The number of bytes of one input in the form that the firmware takes."""
    return info.input_bytes if taken != "float32" else 4 * info.inputs[0].elements


def read_dataset(
    folder: Path,
    labels: str,
    size: int,
    *,
    samples: int | None = None,
    windows: Callable[[Path], Sequence[bytes]] | None = None,
) -> list[LabelledSample]:
    """The labelled samples of a folder.

    Args:
        folder: holds everything.
        labels: the labels' file.
        size: bytes of one input.
        samples: the number of lines to use, evenly spread; None: all.
        windows: for a model that reads the sensor: makes the inputs of a recorded trace, one for each window.

    Raises:
        ConfigError: ``dataset``: a file that is missing, too large or of another size, a line of another form, a file
            outside of the folder; with file and line.
    """
    path = folder / labels
    text = _read(path, _MOST_LABELS, str(path)).decode("utf-8-sig", "replace")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text))
    try:
        rows = [(reader.line_num, row) for row in reader if any(row)]
    except csv.Error as error:
        raise _error(
            "the data set's labels are no CSV", f"{path}:{reader.line_num}", "file,classes,class", str(error)
        ) from error
    if not rows:
        raise _error("the data set has no samples", str(path), "a line for each input", "none")
    if samples is not None and samples < len(rows):
        rows = [rows[n * len(rows) // samples] for n in range(samples)]
    found: list[LabelledSample] = []
    for number, row in rows:
        found += _samples(folder, row, f"{path}:{number}", size, windows)
    return found


def tensors_of(parts: list[bytes], info: ModelInfo, taken: Taken, rule: QuantisationRule) -> npt.NDArray[Any]:
    """The model's input tensors, (n, *shape) of the tensor's type, from inputs in the form that the firmware takes.

    Raises:
        ConfigError: ``input-not-finite``; ``dataset``: the model's input cannot be made of it.
    """
    tensor = info.inputs[0]
    joined = b"".join(parts)
    shape = (len(parts), *tensor.shape)
    if taken == "float32":
        return quantise(np.frombuffer(joined, dtype="<f4").reshape(shape), tensor, rule)
    if taken == "uint8":
        if tensor.dtype != "int8":
            raise _error(
                "`takes: uint8` is for models with an int8 input", "", "int8", f"{tensor.dtype} input {tensor.name}"
            )
        return (np.frombuffer(joined, dtype=np.uint8) ^ np.uint8(0x80)).view(np.int8).reshape(shape)
    return np.frombuffer(joined, dtype=np.dtype(tensor.dtype).newbyteorder("<")).reshape(shape)


def wire_of(tensors: npt.NDArray[Any], info: ModelInfo, taken: Taken) -> list[bytes]:
    """The inputs in the form that the firmware takes, from input tensors: the inverse of `tensors_of`."""
    if taken == "float32":
        real = np.asarray(dequantise(tensors, info.inputs[0]), dtype="<f4")
        return [each.tobytes() for each in real]
    if taken == "uint8":
        return [(each.view(np.uint8) ^ np.uint8(0x80)).tobytes() for each in np.ascontiguousarray(tensors)]
    return [each.tobytes() for each in tensors]


def _samples(
    folder: Path, row: list[str], where: str, size: int, windows: Callable[[Path], Sequence[bytes]] | None
) -> list[LabelledSample]:
    """The samples of a line: a trace has a sample for each window, any other file is one sample."""
    words = [word.strip() for word in row]
    numbers = words[1:]
    if (
        len(words) not in (3, 5)
        or not words[0]
        or not all(w.isascii() and w.isdecimal() and len(w) < 10 for w in numbers)
    ):
        raise _error("a line of the data set's labels has another form", where,
                     "file,classes,class or file,classes,class,window,stride", ",".join(row)[:200])  # fmt: skip
    classes, label = int(words[1]), int(words[2])
    if not 0 <= label < classes <= _MOST_CLASSES:
        raise _error("a line of the data set's labels names a class that does not exist", where,
                     f"a class below the number of classes, of which there are at most {_MOST_CLASSES}",
                     f"class {label} of {classes}")  # fmt: skip
    path = folder / words[0]
    if "\0" in words[0]:
        raise _error("a line of the data set's labels names no file", where, "a file's name", repr(words[0][:200]))
    if not resolved(path).is_relative_to(resolved(folder)):
        raise _error("a line of the data set's labels names a file outside of its folder", where, str(folder), words[0])
    if windows is not None and path.suffix in TRACES:
        return _of_trace(words, label, path, where, windows)
    data = _read(path, _MOST_INPUT, where)
    if len(words) == 3:
        parts: tuple[bytes, ...] = (data,)
    else:
        window, stride = int(words[3]), int(words[4])
        if window == 0 or stride == 0:
            raise _error("a window or a stride of no bytes", where, "1 or more", f"{window}, {stride}")
        parts = tuple(data[at : at + window] for at in range(0, len(data) - window + 1, stride))
    wrong = sorted({len(part) for part in parts} - {size})
    if wrong or not parts:
        raise _error("an input of the data set has another size than the model takes", where, f"{size} bytes",
                     f"{path.name}: {wrong[0] if wrong else len(data)} bytes")  # fmt: skip
    return [LabelledSample(words[0], label, parts)]


def _of_trace(
    words: list[str], label: int, path: Path, where: str, windows: Callable[[Path], Sequence[bytes]]
) -> list[LabelledSample]:
    """One sample for each window of a recorded trace.

    Raises:
        ConfigError: ``dataset``: the line cuts the trace itself, or it is shorter than a window; else as `windows`.
    """
    if len(words) != 3:
        raise _error("the windows of a trace are the front-end's own", where, "file,classes,class", ",".join(words))
    inputs = windows(path)
    if not inputs:
        raise _error("a trace of the data set is shorter than a window", where, "a window at least", path.name)
    return [LabelledSample(f"{words[0]}, window {n}", label, (data,)) for n, data in enumerate(inputs)]


def _read(path: Path, limit: int, where: str) -> bytes:
    try:
        return read_file(path, limit)
    except (ConfigError, OSError) as error:
        raise _error("a file of the data set cannot be read", where, str(path), str(error)) from None


def _error(message: str, where: str, expected: str, seen: str) -> ConfigError:
    return ConfigError(
        message, kind="dataset", expected=expected, seen=seen, where=where or None,
        hint="docs/mlperf-tiny.md says how a data set is laid out, and what `takes` means",
    )  # fmt: skip
