"""Recorded traces: what the sensors read, sample by sample, from CSV or .npz."""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
import re
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final

from tfm_harness.csv_text import TIME_COLUMN, NoCsvError, decimal, delimiter_of, read_csv_text
from tfm_harness.errors import ConfigError
from tfm_harness.files import expanded, open_file
from tfm_harness.stimulus.columns import MAX_ROWS, Trace

__all__ = ["MAX_ROWS", "Trace", "load_trace", "ramp"]

_DAMAGED: Final = (
    zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError, RuntimeError, TypeError,
    MemoryError, OverflowError, SyntaxError, tokenize.TokenError,  # NumPy evaluates an array's header as Python code
)  # fmt: skip
"""Exceptions of zipfile and numpy for files of another format, damaged, encrypted or compressed in an unusual way."""
_MAX_BYTES: Final = 64 << 20
_UNITS: Final = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
# For each unit: the smallest number that is a date of this century, and the unit in seconds.
_EPOCHS: Final = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3), (9.4e8, 1.0))
_COLUMN: Final = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*)(?: ?[\[(](uT|[\u00b5\u03bc]T|degC|\u00b0C|C|count|s)[\])])?")
_EXPECTED: Final = "expected a channel such as mag.x, mag.x[count] or temp[degC]"
_GERMAN: Final = re.compile(r"(\d\d)\.(\d\d)\.(\d{4})[ T](\d\d:\d\d:\d\d)(?:[.,](\d{1,6}))?")


def ramp(channel: str, start: float, stop: float, count: int) -> Trace:
    """`count` values of `channel` in equal steps, `start` first and `stop` last."""
    if count < 2:
        raise ConfigError("a ramp has at least two samples", kind="trace-invalid", seen=str(count))
    step = (stop - start) / (count - 1)
    return Trace({channel: tuple(start + step * index for index in range(count))}, source=f"a ramp of {channel}")


def find_trace(wanted: str | Path) -> Path:
    """The file of a trace: as given, in the working directory, or among the traces that come with the harness.

    Raises:
        ConfigError: kind ``trace-missing``.
    """
    path = expanded(Path(wanted))
    bundled = Path(__file__).parent / "traces"
    for candidate in (path, bundled / path):
        if candidate.is_file():
            return candidate
    from tfm_harness.config.nearest import did_you_mean

    came = sorted(file.name for file in bundled.glob("*.csv"))
    names = ", ".join(came)
    beside = [file.name for file in path.parent.glob("*") if file.suffix in {".csv", ".npz"}]
    raise ConfigError(
        f"no such trace: {wanted}" + did_you_mean(path.name, [*beside, *came]),
        kind="trace-missing",
        where=f"{Path.cwd()} and {bundled}",
        expected=f"a file; bundled: {names}",
    )


def load_trace(path: Path) -> Trace:
    """Read a trace.

    CSV: a header with the channels' names, then one row a sample, separated by commas, semicolons (with a decimal
    comma), tabulators or bars; lines that begin with ``#`` are comments, and so are sigrok's and Excel's own lines in
    front of the header. ``.npz``: one one-dimensional array for each
    channel. Names may carry a unit: ``mag.x[uT]`` (the default for the magnetometer), ``temp[degC]``,
    ``mag.x[count]`` for register counts; ``t`` or ``t[s]`` is time. ``timestamp`` and ``time`` are times, too: with a
    unit, as dates, or as numbers since 1970. ``.resd`` is Renode's format, ``.sds`` Arm's, with its ``.sds.yml`` beside
    it.

    Raises:
        ConfigError: kind ``trace-missing`` or ``trace-invalid`` with file:line.
    """
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise _invalid(str(path), f"larger than {_MAX_BYTES} bytes")
        if path.suffix in {".resd", ".sds"}:
            return _load_recording(path)
        return _load_npz(path) if path.suffix == ".npz" else _load_csv(path)
    except OSError as error:
        raise ConfigError(f"cannot read the trace: {error.strerror}", kind="trace-missing", where=str(path)) from error


def _load_recording(path: Path) -> Trace:
    from tfm_harness.files import read_file
    from tfm_harness.stimulus.recordings.resd import read_resd
    from tfm_harness.stimulus.recordings.sds import read_sds

    data = read_file(path, _MAX_BYTES)
    return read_resd(data, str(path)) if path.suffix == ".resd" else read_sds(data, path)


def _invalid(where: str, message: str) -> ConfigError:
    return ConfigError(message, kind="trace-invalid", where=where)


def _make(names: Iterable[str], columns: Mapping[str, tuple[float, ...]], source: str) -> Trace:
    channels: dict[str, tuple[float, ...]] = {}
    raw: set[str] = set()
    seconds: tuple[float, ...] = ()
    for name in names:
        match = _COLUMN.fullmatch(name.strip()) or TIME_COLUMN.fullmatch(name.strip())
        if not match:
            if not name.strip():
                raise _invalid(source, "a column without a name (a table's index?): leave it out")
            hint = "; the first row must name the channels" if re.fullmatch(r"[-+.\deE,]+", name.strip()) else ""
            raise _invalid(source, f"column {name!r}: {_EXPECTED}{hint}")
        channel, unit = (match[1], match[2]) if match.re is _COLUMN else ("t", "s")
        if channel == "t" or TIME_COLUMN.fullmatch(name.strip()):
            if seconds:
                raise _invalid(source, "two columns of time")
            seconds = columns[name]
        elif channel in channels:
            raise _invalid(source, f"channel {channel!r} appears twice")
        else:
            channels[channel] = columns[name]
            if unit == "count":
                raw.add(channel)
    if not channels:
        raise _invalid(source, "no channel besides the time")
    for index, (before, after) in enumerate(pairwise(seconds)):
        if after <= before:
            raise _invalid(source, f"time does not rise from sample {index} to {index + 1}")
    trace = Trace(channels, frozenset(raw), seconds, source)
    if not len(trace):
        raise _invalid(source, "no samples")
    return trace


def _load_csv(path: Path) -> Trace:
    names: list[str] = []
    columns: list[list[float]] = []
    open_ended = False
    try:
        text = read_csv_text(path)
        delimiter = delimiter_of(text)
        reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
        for row in reader:
            if not row or row[0].lstrip().startswith("#"):
                continue
            where = f"{path}:{reader.line_num}"
            if not names:
                names = [cell.strip() for cell in row]
                open_ended = len(names) > 1 and not names[-1]  # every line ends with a delimiter
                names = names[:-1] if open_ended else names
                columns = [[] for _ in names]
                if len(set(names)) != len(names):
                    raise _invalid(where, "a column's name appears twice")
                continue
            if open_ended and row and not row[-1].strip():
                row = row[:-1]  # noqa: PLW2901 - the same row without its empty end
            if len(row) != len(names):
                raise _invalid(where, f"{len(row)} values, expected {len(names)} ({', '.join(names)})")
            if len(columns[0]) >= MAX_ROWS:
                raise _invalid(where, f"more than {MAX_ROWS} samples")
            for name, column, cell in zip(names, columns, row, strict=True):
                column.append(_cell(name, cell, delimiter, f"{where}: {name}"))
    except (csv.Error, NoCsvError) as error:
        raise _invalid(str(path), f"not a CSV text: {error}") from error
    if not names:
        raise _invalid(str(path), "empty")
    table = {name: tuple(column) for name, column in zip(names, columns, strict=True)}
    return _make(names, _with_time(table, str(path)), str(path))


def _cell(name: str, cell: str, delimiter: str, where: str) -> float:
    """One value: a number, with a decimal comma if commas are not separators; or a date in a time column."""
    if TIME_COLUMN.fullmatch(name) and (":" in cell or "-" in cell[1:]) and "e-" not in cell.lower():
        return _moment(cell.strip(), where)
    return _number(decimal(cell, delimiter), where)


def _moment(cell: str, where: str) -> float:
    """Seconds of a date: ISO 8601, or day.month.year. A date with slashes is ambiguous and is refused."""
    german = _GERMAN.fullmatch(cell)
    if german:
        cell = f"{german[3]}-{german[2]}-{german[1]}T{german[4]}.{(german[5] or '0').ljust(6, '0')}"
    try:
        moment = dt.datetime.fromisoformat(cell)
    except ValueError:
        raise _invalid(where, f"not a time: {cell[:40]!r}; write 2026-01-31T12:00:00.000, or seconds") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def _with_time(table: dict[str, tuple[float, ...]], source: str) -> dict[str, tuple[float, ...]]:
    """Turn a time column (``timestamp``, ``time``) into seconds since the first sample. It keeps its name.

    Without a unit, the size of a number decides: seconds, milli-, micro- or nanoseconds since 1970. A smaller number
    shows no unit and is refused.
    """
    for name, values in table.items():
        match = TIME_COLUMN.fullmatch(name)
        if match is None or not values:
            continue
        factor = _UNITS.get((match[1] or "").lower())
        if factor is None:
            factor = next((f for least, f in _EPOCHS if values[0] >= least), None)
        if factor is None:
            raise _invalid(source, f"column {name!r} has no unit: write {name}[s], {name}[ms], {name}[us] or t")
        table[name] = tuple((value - values[0]) * factor for value in values)
    return table


def _number(cell: str, where: str) -> float:
    try:
        value = float(cell) if cell.isascii() and "_" not in cell else math.nan  # Python's own spellings are no CSV
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _invalid(where, f"not a number: {cell.strip()[:40]!r}")
    return value


def _load_npz(path: Path) -> Trace:
    import numpy as np

    try:
        with (
            open_file(path) as file,
            zipfile.ZipFile(file) as archive,
        ):  # check the unpacked size before any array is made
            total = sum(item.file_size for item in archive.infolist())
        if total > _MAX_BYTES:
            raise _invalid(str(path), f"would grow to {total} bytes, more than {_MAX_BYTES}")
        with open_file(path) as file, np.load(file, allow_pickle=False) as arrays:
            columns: dict[str, tuple[float, ...]] = {}
            for name in arrays.files:
                array = arrays[name]
                if not isinstance(array, np.ndarray):  # numpy returns other members as bytes
                    raise _invalid(f"{path}: {name}", "not an array")
                if array.ndim != 1 or array.dtype.kind not in "iuf":
                    raise _invalid(
                        f"{path}: {name}", f"expected one dimension of numbers, not {array.dtype}{array.shape}"
                    )
                if not np.isfinite(array).all():
                    raise _invalid(f"{path}: {name}", "holds a value that is not finite")
                columns[name] = tuple(float(value) for value in array)
    except _DAMAGED as error:
        raise _invalid(str(path), f"not an .npz file of plain arrays: {error}") from error
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise _invalid(str(path), f"columns of different length: {lengths}")
    return _make(columns, columns, str(path))
