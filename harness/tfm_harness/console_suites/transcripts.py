"""Reads saved transcripts of other tools: the device's output, without the recorder's additions.

Raw UART captures pass unchanged. The following is recognised and removed line by line, so that line numbers are those
of the file: time stamps in front of every line (CI systems, ``ts``, terminal programs), LAVA's ``output.yaml``, UTF-16
files of Windows tools, control characters shown in the way of ``cat -v``, and any other text of one form before every
line.
"""

from __future__ import annotations

import codecs
import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO

import yaml

from tfm_harness.config.plain_yaml import PlainLoader
from tfm_harness.console_suites.lines import EOT, readings
from tfm_harness.console_suites.machine import SuiteMachine
from tfm_harness.console_suites.model import Expectations, Judgement
from tfm_harness.console_suites.prefixes import common_prefix, common_suffix
from tfm_harness.console_suites.registry import get_machine
from tfm_harness.encodings import utf16_codec
from tfm_harness.errors import ConfigError
from tfm_harness.files import open_file

__all__ = ["detect", "device_output", "judge_file", "judge_stream"]

_CHUNK = 1 << 16
MAX_TRANSCRIPT = 4 << 30
"""Most bytes of a saved transcript: twice what a console may print in a run."""
_PROBE_LINES = 400
_LAST = 80  # bytes of the last line: an end marker shown as text, with colours
_SHARE = 0.9  # share of the non-empty lines that must look alike, to count as a recorder's addition

_ISO = re.compile(
    rb"^\r*\[?(?P<iso>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)\]?:?(?:[ \t]|(?=\r?$))"
)
_SECONDS = re.compile(rb"^\r*\[ {0,8}(?P<seconds>\d{1,9}\.\d{1,9})\](?:[ \t]|(?=\r?$))")
_CLOCK = re.compile(rb"^\r*\[?(?P<clock>\d\d:\d\d:\d\d(?:[.,]\d{1,9})?)\]?(?:[ \t]|(?=\r?$))")
_SYSLOG = re.compile(rb"^\r*(?P<syslog>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d{1,9})?)(?:[ \t]|(?=\r?$))")
_LAVA = re.compile(rb"^- \{\"?dt\"?: .*\"?lvl\"?: .*\"?msg\"?: .*\}\s*$")
_CARET = re.compile(rb"[^\r\x1b]*\^M$")  # a CR shown as two characters
_STAMPS = {"iso-stamps": _ISO, "second-stamps": _SECONDS, "syslog-stamps": _SYSLOG, "clock-stamps": _CLOCK}

Piece = tuple[bytes, float | None]


def detect(head: bytes) -> str:
    """The format of the file's first bytes: ``utf-16``, ``lava``, a kind of time stamp, ``caret``, or ``raw``."""
    if utf16_codec(head) is not None:
        return "utf-16"
    lines = probe_lines(head)
    for kind, form in (("lava", _LAVA), *_STAMPS.items(), ("caret", _CARET)):
        if lines and sum(form.match(line) is not None for line in lines) >= max(1, int(len(lines) * _SHARE)):
            return kind
    return "raw"


def probe_lines(head: bytes) -> list[bytes]:
    """The whole, non-empty lines of a file's first bytes (bounded)."""
    lines = [line for line in head.split(b"\n")[:_PROBE_LINES] if line.strip()]
    if len(lines) > 1 and not head.endswith(b"\n") and len(head) >= _CHUNK:
        lines.pop()  # cut by the probe's size
    return lines


def device_output(stream: IO[bytes], understands: Callable[[str], bool] | None = None) -> Iterator[Piece]:
    """The bytes that the device sent, each piece with its time in seconds if the file has it.

    Args:
        stream: the file.
        understands: whether a line has a meaning for the expected suite; with it, an unknown recorder's prefix is
            recognised, too.
    """
    head = stream.read(_CHUNK)
    kind = detect(head)
    if kind == "utf-16":
        decoder = codecs.getincrementaldecoder(utf16_codec(head) or "utf-16-le")("replace")
        while head:
            yield decoder.decode(head).removeprefix("\ufeff").encode("utf-8", "replace"), None
            head = stream.read(_CHUNK)
        return
    convert = _converter(kind)
    probe = [line for line in (convert(line)[0] for line in probe_lines(head)) if line.strip()]
    suffix = common_suffix(probe, _SHARE)
    probe = [_without_end(line, suffix) for line in probe]
    prefix = common_prefix([line for line in probe if line.strip()], understands, _SHARE) if understands else None
    if kind == "raw" and prefix is None and not suffix:
        yield head.removeprefix(codecs.BOM_UTF8), None
        while chunk := stream.read(_CHUNK):
            yield chunk, None
        return
    for line in _lines(head, stream):
        text, at = convert(line)
        text = _without_end(text, suffix)
        yield text if prefix is None else prefix.sub(b"", text, count=1), at


def _without_end(line: bytes, suffix: bytes) -> bytes:
    """The line without the text that the recorder wrote before its line end."""
    text = line.rstrip(b"\r\n")
    return text.removesuffix(suffix) + line[len(text) :] if suffix else line


def _converter(kind: str) -> Callable[[bytes], Piece]:
    others: dict[str, Callable[[bytes], Piece]] = {
        "raw": lambda line: (line, None),
        "lava": _from_lava,
        "caret": _from_carets,
    }
    return others.get(kind) or partial(_without_stamp, _STAMPS[kind])


def judge_stream(stream: IO[bytes], suite: str, expectations: Expectations | None = None) -> Judgement:
    """Judge the transcript in a binary stream.

    Raises:
        ConfigError: kind ``unknown-console-suite``.
    """
    machine: SuiteMachine = get_machine(suite, expectations)
    last = b""
    for data, at in device_output(stream, machine.understands):
        machine.feed(data, at)
        last = (last + data)[-_LAST:].rpartition(b"\n")[2]
    if any(text == EOT for text, _ in readings(last)):
        machine.feed(b"\n")  # the end marker shown as text, and the file's last line has no end
    return machine.judgement()


def judge_file(path: Path, suite: str, expectations: Expectations | None = None) -> Judgement:
    """Judge a saved transcript.

    Raises:
        ConfigError: kind ``transcript-unreadable`` or ``unknown-console-suite``.
    """
    try:
        with open_file(path, MAX_TRANSCRIPT) as stream:
            return judge_stream(stream, suite, expectations)
    except OSError as error:
        raise ConfigError(
            f"the transcript cannot be read: {error.strerror or error}",
            kind="transcript-unreadable",
            expected="a file with the console's output",
            where=str(path),
        ) from error


def _lines(head: bytes, stream: IO[bytes]) -> Iterable[bytes]:
    pending = head
    while True:
        *whole, pending = pending.split(b"\n")
        for line in whole:
            yield line + b"\n"
        chunk = stream.read(_CHUNK)
        if not chunk:
            break
        pending += chunk
        if len(pending) > 1 << 20:  # no line end in a mebibyte: pass it on; the splitter limits its length
            yield pending
            pending = b""
    if pending:
        yield pending


def _without_stamp(stamp: re.Pattern[bytes], line: bytes) -> Piece:
    match = stamp.match(line)
    return (line, None) if match is None else (line[match.end() :], _seconds(match))


def _seconds(match: re.Match[bytes]) -> float | None:
    kind, raw = next(iter(match.groupdict().items()))
    text = raw.decode("ascii").replace(",", ".")
    try:
        if kind == "seconds":
            return float(text)
        if kind == "iso":
            stamp = dt.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
            return (stamp if stamp.tzinfo else stamp.replace(tzinfo=dt.UTC)).timestamp()
        hours, minutes, seconds = text.split()[-1].split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


def _from_carets(line: bytes) -> Piece:
    """Turn a caret and a letter, as ``cat -v`` shows a control character, back into that character."""
    return re.sub(rb"\^([@-_])", lambda match: bytes([match[1][0] ^ 0x40]), line), None


def _from_lava(line: bytes) -> Piece:
    """One entry of LAVA's output.yaml; only the device's output (level ``target``) counts."""
    try:
        entries = yaml.load(line, Loader=_LavaLoader)  # noqa: S506 - a safe loader, without YAML's dates
        entry = entries[0]
        if entry.get("lvl") != "target":
            return b"\n", None
        text, stamp = _text(entry.get("msg", "")), _ISO.match(_text(entry.get("dt", "")).encode())
    except (yaml.YAMLError, AttributeError, IndexError, KeyError, TypeError):
        return b"\n", None  # an unreadable entry does not count
    return text.replace("\r\n", "\r").replace("\n", "\r").encode() + b"\n", _seconds(stamp) if stamp else None


def _text(value: object) -> str:
    if isinstance(value, list | dict):
        raise TypeError("a list or a mapping where text is expected")
    return str(value)


class _LavaLoader(PlainLoader):
    """A safe loader that leaves YAML's dates and numbers as strings."""


_LavaLoader.yaml_implicit_resolvers = {}
