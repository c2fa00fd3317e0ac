"""Arm's Synchronous Data Streams: ``NAME.N.sds`` with the description ``NAME.sds.yml``.

A record is a time slot (u32, in ticks; 1,000 a second unless the description says otherwise), a size (u32) and data,
little endian without padding, as the description's ``content`` defines.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tfm_harness.errors import ConfigError
from tfm_harness.files import TEXT_LIMIT, read_file
from tfm_harness.stimulus.columns import MAX_ROWS, Trace
from tfm_harness.stimulus.recordings.streams import Stream, merge

__all__ = ["find_description", "read_sds"]

_FORMS: Final = {
    "int8_t": "b", "uint8_t": "B", "int16_t": "h", "uint16_t": "H", "int32_t": "i", "uint32_t": "I", "int64_t": "q",
    "uint64_t": "Q", "float": "f", "double": "d",
}  # fmt: skip
_MICROTESLA: Final = {
    "ut": 1.0,
    "µt": 1.0,
    "microtesla": 1.0,
    "nt": 1e-3,
    "mt": 1e3,
    "t": 1e6,
    "g": 100.0,
    "gauss": 100.0,
}
_CELSIUS: Final = frozenset({"degc", "°c", "c", "celsius", "degree celsius", "degrees celsius"})
_WRAP: Final = 1 << 32
_SETTINGS: Final = ConfigDict(extra="ignore", frozen=True)


class _Value(BaseModel):
    model_config = _SETTINGS

    value: str
    type: str
    offset: float = 0.0
    scale: float = 1.0
    unit: str = ""


class _Sds(BaseModel):
    model_config = _SETTINGS

    name: str
    frequency: Annotated[float, Field(gt=0)]
    tick_frequency: Annotated[float, Field(gt=0, alias="tick-frequency")] = 1000.0
    content: Annotated[tuple[_Value, ...], Field(min_length=1)]


class _Description(BaseModel):
    model_config = _SETTINGS

    sds: _Sds


def find_description(path: Path) -> Path:
    """The description of ``NAME.N.sds``: ``NAME.sds.yml`` beside it.

    Raises:
        ConfigError: kind ``trace-missing``.
    """
    name = path.name.removesuffix(".sds")
    head, _, number = name.rpartition(".")
    stem = head if head and number.isdigit() else name
    for candidate in (path.with_name(f"{stem}.sds.yml"), path.with_name(f"{stem}.sds.yaml")):
        if candidate.is_file():
            return candidate
    raise ConfigError(
        "an SDS file without its description",
        kind="trace-missing",
        where=str(path),
        expected=f"{stem}.sds.yml beside it",
    )


def read_sds(data: bytes, path: Path, channels: Mapping[str, str] | None = None) -> Trace:
    """A trace of an SDS file.

    Args:
        data: the file's bytes.
        path: its path; the description lies beside it.
        channels: channel of each value by name; by default a value with a magnetic unit whose name ends in x, y or z is
            ``mag.x``, ..., one in degrees Celsius is ``temp``, and one whose name is a channel's keeps it.

    Raises:
        ConfigError: kinds ``trace-missing`` and ``trace-invalid`` with file and byte.
    """
    described = _describe(find_description(path))
    names = {value.value: _channel(value, channels or {}) for value in described.content}
    if not any(names.values()):
        raise _invalid(
            str(path), "no value of this stream is a channel",
            hint=f"name them: --map {described.content[0].value}=mag.x",
        )  # fmt: skip
    form = _form(described, str(path))
    seconds: list[float] = []
    columns: dict[str, list[float]] = {channel: [] for channel, _ in filter(None, names.values())}
    for at, second, row in _records(data, described, form, str(path)):
        if len(seconds) >= MAX_ROWS:
            raise _invalid(f"{path}, byte {at}", f"more than {MAX_ROWS} samples")
        seconds.append(second)
        for value, raw in zip(described.content, row, strict=True):
            if (known := names[value.value]) is not None:
                channel, worth = known
                columns[channel].append((raw * value.scale + value.offset) * worth)
    left_out = [name for name, known in names.items() if known is None]
    source = f"{path} ({', '.join(left_out)} left out)" if left_out else str(path)
    return merge([Stream(described.name, seconds, columns)], source)


def _describe(path: Path) -> _Sds:
    import yaml

    from tfm_harness.config.plain_yaml import PlainLoader

    try:
        plain = yaml.load(read_file(path, TEXT_LIMIT).decode(), Loader=PlainLoader)  # noqa: S506 - a safe loader
        return _Description.model_validate(plain).sds
    except OSError as error:
        raise ConfigError(
            f"cannot read the description: {error.strerror}", kind="trace-missing", where=str(path)
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise _invalid(str(path), f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid(str(path), f"no YAML: {str(error).splitlines()[0]}") from None


def _channel(value: _Value, given: Mapping[str, str]) -> tuple[str, float] | None:
    unit = value.unit.strip().lower()
    worth = _MICROTESLA.get(unit, 1.0)
    if value.value in given:
        return given[value.value], worth if given[value.value].startswith("mag") else 1.0
    if unit in _MICROTESLA and value.value[-1:].lower() in {"x", "y", "z"}:
        return f"mag.{value.value[-1].lower()}", worth
    if unit in _CELSIUS:
        return "temp", 1.0
    return (value.value, 1.0) if value.value == "temp" or "." in value.value else None


def _form(described: _Sds, where: str) -> struct.Struct:
    parts = []
    for value in described.content:
        if value.type not in _FORMS:
            raise _invalid(where, f"value {value.value!r} has type {value.type!r}, which is not read",
                           hint=f"types that are read: {', '.join(_FORMS)}")  # fmt: skip
        parts.append(_FORMS[value.type])
    return struct.Struct("<" + "".join(parts))


def _records(
    data: bytes, described: _Sds, form: struct.Struct, where: str
) -> Iterator[tuple[int, float, tuple[float, ...]]]:
    at, wraps, before, first = 0, 0, -1, -1
    while at < len(data):
        if at + 8 > len(data):
            raise _invalid(f"{where}, byte {at}", "the file ends in a record's header")
        slot, size = struct.unpack_from("<II", data, at)
        if size > len(data) - at - 8:
            raise _invalid(f"{where}, byte {at}", f"a record of {size} bytes, {len(data) - at - 8} left")
        if size % form.size:
            raise _invalid(f"{where}, byte {at}", f"a record of {size} bytes, not a multiple of {form.size}")
        if slot < before:  # the 32-bit counter wrapped
            wraps += 1
        before = slot
        first = slot if first < 0 else first  # counted from it: a float keeps fewer digits of a large number
        begin = (slot + wraps * _WRAP - first) / described.tick_frequency
        held = memoryview(data)[at + 8 : at + 8 + size]
        for index, row in enumerate(form.iter_unpack(held)):
            yield at, begin + index / described.frequency, row
        at += 8 + size


def _invalid(where: str, message: str, *, hint: str | None = None) -> ConfigError:
    return ConfigError(message, kind="trace-invalid", where=where, hint=hint)
