"""Input vectors from files: .npz, .npy, folders of .npy, and .csv.

Integers are used unchanged and must fit the tensor's type; real numbers for an integer tensor
are quantised with the rule that the build declares.
"""

from __future__ import annotations

import csv
import io
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfm_harness.csv_text import TIME_COLUMN, NoCsvError, decimal, delimiter_of, read_csv_text
from tfm_harness.errors import ConfigError
from tfm_harness.files import open_file
from tfm_harness.parity.model_info import ModelInfo, TensorInfo
from tfm_harness.parity.quantise import QuantisationRule, quantise

__all__ = ["load_inputs"]

Array = npt.NDArray[Any]
MAX_FILE = 1 << 30


def load_inputs(
    paths: Path | Sequence[Path], info: ModelInfo, *, rule: QuantisationRule = QuantisationRule.ROUND
) -> list[Array]:
    """Load vectors for `info` from one or more files, in order.

    * ``.npz``: one array for each input, named as the tensor, or ``input0``, ``input1``, ...; one lone
      array of any name serves a model with one input.
    * ``.npy``: one array (n, *shape), or one vector, for a model with one input.
    * folder: its ``.npy`` files in name order, one vector or stack of vectors each.
    * ``.csv``: one vector a row, all inputs' elements in C order one after the other; a first row that
      holds no number is a header.

    Returns:
        One array (n, *shape) for each input tensor.

    Raises:
        ConfigError: kind ``input-file``, with file and line or array name.
    """
    files = [paths] if isinstance(paths, Path) else list(paths)
    parts = [_load(path, info, rule) for path in files]
    if not parts:
        raise _error(Path(), "no input file is given", "at least one")
    return [np.concatenate([part[i] for part in parts]) for i in range(len(info.inputs))]


def _load(path: Path, info: ModelInfo, rule: QuantisationRule) -> list[Array]:
    try:
        if path.is_dir():
            found = sorted(path.glob("*.npy"))
            if not found:
                raise _error(path, "a folder without .npy files", "at least one .npy file")
            return [np.concatenate(a) for a in zip(*(_npy(p, info, rule) for p in found), strict=True)]
        if path.stat().st_size > MAX_FILE:
            raise _error(path, f"{path.stat().st_size} bytes", f"at most {MAX_FILE} bytes")
        kind = path.suffix.lower()
        if kind == ".npz":
            return _npz(path, info, rule)
        if kind == ".npy":
            return _npy(path, info, rule)
        if kind == ".csv":
            return _csv(path, info, rule)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as exc:
        raise _error(path, str(exc), "a readable file") from exc
    except (MemoryError, OverflowError) as exc:
        raise _error(path, str(exc) or "more than fits into memory", "arrays that fit into memory") from exc
    except (
        RuntimeError,
        KeyError,
        TypeError,
        SyntaxError,
        tokenize.TokenError,
    ) as exc:  # zipfile: encrypted, unknown compression; numpy: odd headers
        raise _error(path, f"{type(exc).__name__}: {exc}", "plain numeric arrays, not encrypted") from exc
    except (UnicodeDecodeError, NoCsvError) as exc:
        raise _error(path, str(exc), "UTF-8 text") from exc
    except ValueError as exc:  # numpy: pickled objects, bad headers, cut files
        raise _error(path, str(exc), "plain numeric arrays") from exc
    raise _error(path, f"a file ending in {path.suffix!r}", ".npz, .npy, .csv or a folder of .npy")


def _npz(path: Path, info: ModelInfo, rule: QuantisationRule) -> list[Array]:
    with (
        open_file(path) as file,
        zipfile.ZipFile(file) as archive,
    ):  # check its full size before any array is made
        grown = sum(entry.file_size for entry in archive.infolist())
    if grown > MAX_FILE:
        raise _error(path, f"an archive that grows to {grown} bytes", f"at most {MAX_FILE} bytes")
    with open_file(path) as file, np.load(file, allow_pickle=False) as stored:
        names = list(stored.files)
        if len(info.inputs) == 1 and len(names) == 1:
            return [_tensor(stored[names[0]], info.inputs[0], rule, path, names[0])]
        arrays = []
        for number, tensor in enumerate(info.inputs):
            key = next((k for k in (tensor.name, f"input{number}") if k in names), None)
            if key is None:
                raise _error(path, f"arrays {', '.join(names)}", f"an array {tensor.name!r} or 'input{number}'")
            arrays.append(_tensor(stored[key], tensor, rule, path, key))
    _same_length(path, arrays)
    return arrays


def _npy(path: Path, info: ModelInfo, rule: QuantisationRule) -> list[Array]:
    if len(info.inputs) != 1:
        raise _error(path, "one array", f"{len(info.inputs)} inputs: use .npz or .csv")
    with open_file(path) as file:
        loaded = np.load(file, allow_pickle=False)
    if not isinstance(loaded, np.ndarray):
        raise _error(path, "an archive", "a single array; rename it to .npz")
    return [_tensor(loaded, info.inputs[0], rule, path, path.name)]


def _csv(path: Path, info: ModelInfo, rule: QuantisationRule) -> list[Array]:
    width = sum(t.elements for t in info.inputs)
    rows: list[list[float]] = []
    lines: list[int] = []
    first = True  # the header, if there is one
    for line, row in _csv_rows(path):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (first and not any(_is_number(c) for c in cells)):
            first = first and not any(cells)
            continue
        first = False
        if len(cells) != width:
            raise _error(path, f"{len(cells)} values", f"{width} values a row", line)
        bad = next((c for c in cells if not _is_number(c)), None)
        if bad is not None:
            raise _error(path, repr(bad), "a number", line)
        rows.append([float(c) for c in cells])
        lines.append(line)
    if not rows:
        raise _error(path, "no row of numbers", "at least one vector")
    table = np.asarray(rows, dtype=np.float64)
    arrays, at = [], 0
    real = _written_as_real(path)
    for tensor in info.inputs:
        part = table[:, at : at + tensor.elements].reshape(len(rows), *tensor.shape)
        at += tensor.elements
        whole = bool(np.isfinite(part).all() and (part == np.trunc(part)).all())
        integral = tensor.dtype != "float32" and whole and not real
        _check_rows(part, tensor, path, lines, integral=integral)
        arrays.append(_tensor(part.astype(np.int64) if integral else part, tensor, rule, path, tensor.name))
    return arrays


def _written_as_real(path: Path) -> bool:
    """Whether a CSV writes any value with a point or exponent: then all values are real numbers."""
    return any(_is_number(c) and set(c) & set(".eE") for _, row in _csv_rows(path) for c in row)


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows with their line numbers; a column of times is left out, because it is no input."""
    text = read_csv_text(path)
    delimiter = delimiter_of(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    times: set[int] | None = None
    try:
        for row in reader:
            if times is None and any(row):
                times = {at for at, cell in enumerate(row) if TIME_COLUMN.fullmatch(cell.strip())}
            yield reader.line_num, [decimal(cell, delimiter) for at, cell in enumerate(row) if at not in (times or ())]
    except csv.Error as exc:
        raise _error(path, str(exc), "comma-separated numbers", reader.line_num) from exc


def _check_rows(part: Array, tensor: TensorInfo, path: Path, lines: list[int], *, integral: bool) -> None:
    """Name the line of the first value that cannot be one of the tensor's.

    Raises:
        ConfigError: kind ``input-file``.
    """
    bad, words = ~np.isfinite(part), "finite numbers"
    if integral and np.dtype(tensor.dtype).kind in "iu":
        limits = np.iinfo(tensor.dtype)
        # Compared as floats: the largest int64 has no exact float, and the next float is too large.
        bad = bad | (part < float(limits.min)) | (part >= float(limits.max) + 1)
        words = f"{tensor.dtype}: {limits.min}..{limits.max}"
    if bad.any():
        vector = int(np.flatnonzero(bad.reshape(len(part), -1).any(axis=1))[0])
        value = part[vector][bad[vector]].reshape(-1)[0]
        raise _error(path, f"{value:.17g}", words, lines[vector])


def _tensor(array: Array, tensor: TensorInfo, rule: QuantisationRule, path: Path, name: str) -> Array:
    where = f"array {name}"
    if not isinstance(array, np.ndarray):  # numpy returns a member without an array's header as bytes
        raise _error(path, "not an array", "an array", where)
    if array.dtype.kind not in "iufb":
        raise _error(path, f"type {array.dtype}", "numbers", where)
    if array.shape == tensor.shape:
        array = array[np.newaxis]
    elif array.ndim and array.shape[1:] != tensor.shape and array.size and array[:1].size == tensor.elements:
        array = array.reshape(len(array), *tensor.shape)
    elif array.ndim == 0 or array.shape[1:] != tensor.shape:
        raise _error(path, f"shape {list(array.shape)}", f"(n, {', '.join(map(str, tensor.shape))})", where)
    if not len(array):
        raise _error(path, "no vectors", "at least one", where)
    if tensor.dtype == "float32":
        values = array.astype(np.float32)
        if not np.isfinite(values).all():
            raise _error(path, "NaN, infinity or a value too large for float32", "finite numbers", where)
        return values
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise _error(path, "NaN or infinity", "finite numbers", where)
        return quantise(array, tensor, rule)
    target = np.dtype(tensor.dtype)
    if target.kind in "iu":
        limits = np.iinfo(target)
        low, high = int(array.min()), int(array.max())
        if low < limits.min or high > limits.max:
            raise _error(path, f"values {low}..{high}", f"{tensor.dtype}: {limits.min}..{limits.max}", where)
    return array.astype(target)


def _is_number(text: str) -> bool:
    if "_" in text:  # Python's own notation
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def _same_length(path: Path, arrays: list[Array]) -> None:
    if len({len(a) for a in arrays}) > 1:
        raise _error(path, f"{[len(a) for a in arrays]} vectors", "as many for each input")


def _error(path: Path, seen: str, expected: str, at: int | str = "") -> ConfigError:
    where = f"{path}:{at}" if isinstance(at, int) else f"{path}, {at}" if at else str(path)
    return ConfigError("input vectors cannot be used", kind="input-file", expected=expected, seen=seen, where=where)
