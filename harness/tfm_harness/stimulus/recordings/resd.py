"""Renode's sensor data, RESD version 1: read and written.

A file has ``RESD``, the version and three zero bytes, then blocks. A block is a header (u8 block type, u16 sample type,
u16 channel, u64 size of what follows), the start in ns, with constant frequency the period in ns, the length of the
metadata, the metadata, and samples; samples with times of their own begin with a u64 offset in ns. All little endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from tfm_harness.errors import ConfigError
from tfm_harness.stimulus.columns import MAX_ROWS, Trace
from tfm_harness.stimulus.recordings.streams import Stream, merge

__all__ = ["MAGIC", "encode_resd", "read_resd"]

MAGIC: Final = b"RESD"
_VERSION: Final = 1
_ARBITRARY, _CONSTANT = 1, 2
_HEADER: Final = struct.Struct("<BHHQ")


class _Kind(NamedTuple):
    """A sample type: its name, its axes' channels, its format, and the value of its unit in the trace's unit."""

    name: str
    channels: tuple[str, ...]
    form: str
    worth: float


_AXES: Final = ("x", "y", "z")
_KINDS: Final = {
    1: _Kind("temperature", ("temp",), "<i", 1e-3),  # millidegrees Celsius
    2: _Kind("acceleration", tuple(f"acc.{axis}" for axis in _AXES), "<iii", 1e-6),  # micro g
    8: _Kind("magnetic flux density", tuple(f"mag.{axis}" for axis in _AXES), "<iii", 1e-3),  # nanotesla
}
_OTHERS: Final = {3: "angular rate", 4: "voltage", 5: "ECG", 6: "humidity", 7: "pressure"}


def read_resd(data: bytes, source: str) -> Trace:
    """A trace of a RESD file's temperature, acceleration and magnetic channels.

    Channel 0 of a type has the plain name (``mag.x``), channel 1 has ``mag1.x`` and so on. Blocks of one channel follow
    each other in time. Other sample types are omitted, and the trace's source says so.

    Raises:
        ConfigError: kind ``trace-invalid`` with the byte offset.
    """
    if data[:4] != MAGIC:
        raise _invalid(source, 0, "not a RESD file: it does not begin with RESD")
    if len(data) < 8 or data[4] != _VERSION:
        raise _invalid(source, 4, f"RESD version {data[4] if len(data) > 4 else 'missing'}, not {_VERSION}")
    times: dict[tuple[int, int], list[int]] = {}
    rows: dict[tuple[int, int], list[tuple[float, ...]]] = {}
    left_out: set[str] = set()
    for at, block, kind, channel, body in _blocks(data, source):
        known = _KINDS.get(kind)
        if known is None:
            left_out.add(_OTHERS.get(kind, f"sample type {kind:#06x}"))
            continue
        for moment, row in _samples(body, block, known, source, at):
            times.setdefault((kind, channel), []).append(moment)
            rows.setdefault((kind, channel), []).append(row)
            if len(times[kind, channel]) > MAX_ROWS:
                raise _invalid(source, at, f"more than {MAX_ROWS} samples")
    # Counted from the first sample: nanoseconds since 1970 are too many for a float of seconds.
    first = min((moments[0] for moments in times.values()), default=0)
    streams = [
        Stream(
            f"{_KINDS[kind].name} {channel}",
            [(moment - first) * 1e-9 for moment in times[kind, channel]],
            dict(zip(_named(_KINDS[kind].channels, channel), zip(*rows[kind, channel], strict=True), strict=True)),
        )
        for kind, channel in times
    ]
    note = f"{source} ({', '.join(sorted(left_out))} left out)" if left_out else source
    return merge(streams, note)


def _named(channels: tuple[str, ...], number: int) -> list[str]:
    if not number:
        return list(channels)
    return [f"{head}{number}{dot}{axis}" for head, dot, axis in (channel.partition(".") for channel in channels)]


def _blocks(data: bytes, source: str) -> Iterator[tuple[int, int, int, int, bytes]]:
    at = 8
    while at < len(data):
        if at + _HEADER.size > len(data):
            raise _invalid(source, at, "the file ends in a block's header")
        block, kind, channel, size = _HEADER.unpack_from(data, at)
        if block not in {_ARBITRARY, _CONSTANT}:
            raise _invalid(source, at, f"block type {block}")
        start = at + _HEADER.size
        if size > len(data) - start:
            raise _invalid(source, at, f"a block of {size} bytes, {len(data) - start} left")
        yield at, block, kind, channel, data[start : start + size]
        at = start + size


def _samples(body: bytes, block: int, kind: _Kind, source: str, at: int) -> Iterator[tuple[int, tuple[float, ...]]]:
    """Nanoseconds and values of each sample."""
    head = 16 if block == _ARBITRARY else 24
    if len(body) < head:
        raise _invalid(source, at, "the block ends before its samples")
    start = int.from_bytes(body[:8], "little")
    period = int.from_bytes(body[8:16], "little") if block == _CONSTANT else 0
    metadata = int.from_bytes(body[head - 8 : head], "little")
    if metadata > len(body) - head:
        raise _invalid(source, at, f"{metadata} bytes of metadata, {len(body) - head} left")
    if block == _CONSTANT and not period:
        raise _invalid(source, at, "a period of 0 ns")
    held = memoryview(body)[head + metadata :]
    form = struct.Struct(kind.form if block == _CONSTANT else "<Q" + kind.form[1:])
    if len(held) % form.size:
        raise _invalid(source, at, f"{len(held)} bytes of samples, not a multiple of {form.size}")
    for index, values in enumerate(form.iter_unpack(held)):
        moment = start + (index * period if block == _CONSTANT else values[0])
        numbers = values if block == _CONSTANT else values[1:]
        yield moment, tuple(value * kind.worth for value in numbers)


def encode_resd(trace: Trace) -> bytes:
    """A RESD file of a trace's temperature, acceleration and magnetic channels.

    Raises:
        ConfigError: kind ``trace-invalid``: no times, register counts, an incomplete vector, a channel of another name,
            or a value beyond 32 bits.
    """
    if not trace.seconds:
        raise ConfigError("RESD needs times, and the trace has none", kind="trace-invalid", where=trace.source,
                          hint="put the times into the CSV, in a first column t[s]")  # fmt: skip
    if trace.raw:
        raise ConfigError("RESD holds physical values, not register counts", kind="trace-invalid",
                          seen=", ".join(sorted(trace.raw)), where=trace.source)  # fmt: skip
    out, written = bytearray(MAGIC + bytes([_VERSION, 0, 0, 0])), set[str]()
    for number, kind in _KINDS.items():
        held = [channel for channel in kind.channels if channel in trace.columns]
        if not held:
            continue
        if len(held) != len(kind.channels):
            raise ConfigError(f"RESD's {kind.name} has {', '.join(kind.channels)}", kind="trace-invalid",
                              seen=", ".join(held), where=trace.source)  # fmt: skip
        written.update(held)
        body = bytearray(struct.pack("<QQ", 0, 0))
        columns = [trace.columns[channel] for channel in held]
        for second, row in zip(trace.seconds, zip(*columns, strict=True), strict=True):
            try:
                body += struct.pack("<Q" + kind.form[1:], round(second * 1e9), *(round(v / kind.worth) for v in row))
            except struct.error:
                raise ConfigError("a value beyond 32 bits", kind="trace-invalid", seen=str(row)) from None
        out += _HEADER.pack(_ARBITRARY, number, 0, len(body)) + body
    if strangers := trace.columns.keys() - written:
        raise ConfigError("RESD has no sample type for a channel", kind="trace-invalid",
                          seen=", ".join(sorted(strangers)), where=trace.source)  # fmt: skip
    return bytes(out)


def _invalid(source: str, at: int, message: str) -> ConfigError:
    return ConfigError(message, kind="trace-invalid", where=f"{source}, byte {at}")
