"""Finds the text that an unknown recorder writes before or after every line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from tfm_harness.console_suites.lines import readings

__all__ = ["common_prefix", "common_suffix"]

_MAX_PREFIX = 120
_MAX_SUFFIX = 16
_FEWEST = 8  # lines that are needed to recognise a common end
_EDGE = re.compile(rb"[ \t]+|[\])|:>]")
_VARIES = re.compile(
    rb"(?P<number>\d+)|(?P<name>(?<![A-Za-z])(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov"
    rb"|Dec|AM|PM)(?![A-Za-z]))|(?P<blank>[ \t]+)"
)
_FORMS = {"number": rb"\d+", "name": rb"[A-Za-z]{2,3}", "blank": rb"[ \t]+"}


def common_prefix(lines: Sequence[bytes], understands: Callable[[str], bool], share: float) -> re.Pattern[bytes] | None:
    """The pattern of the text before the device's own text in these lines; None when there is none.

    If a suite's line follows other text, that text is a candidate. Numbers, names of days and months, and blanks may
    differ from line to line; everything else must be the same. The candidate is used if more lines have a meaning
    without it than with it, and nearly every line begins with it.

    Args:
        lines: the file's first lines, none empty.
        understands: whether a cleaned line has a meaning for the suite.
        share: the share of lines that must begin with it.
    """
    plain = sum(_makes_sense(line, understands) for line in lines)
    forms = Counter(form for line in lines if (form := _form_before(line, understands)) is not None)
    for form, number in forms.most_common(1):
        prefix = re.compile(b"^" + form)
        if number > plain and sum(prefix.match(line) is not None for line in lines) >= len(lines) * share:
            return prefix
    return None


def common_suffix(lines: Sequence[bytes], share: float) -> bytes:
    r"""The text at the end of nearly all of these lines, before the line end; a device does not end all lines alike.

    ``<CR><LF>``, ``\r\n``, ``$`` of ``cat -A``, ``#015`` of a syslog, ``<br>``: a line end that is shown as
    text. It does not begin with a letter or digit, and has no blank. Empty when there is none.

    Args:
        lines: the file's first lines, none empty.
        share: the share of lines that must end in it.
    """
    if len(lines) < _FEWEST:
        return b""
    ends = [line.rstrip(b"\r\n") for line in lines]
    for size in range(_MAX_SUFFIX, 0, -1):
        for suffix, number in Counter(end[-size:] for end in ends if len(end) >= size).most_common(1):
            end = suffix.strip()
            if number >= len(lines) * share and end and not end[:1].isalnum() and b" " not in end:
                return end
    return b""


def _form_before(line: bytes, understands: Callable[[str], bool]) -> bytes | None:
    for edge in _EDGE.finditer(line, 0, _MAX_PREFIX):
        if _makes_sense(line[edge.end() :], understands):
            return _form(line[: edge.end()])
    return None


def _makes_sense(line: bytes, understands: Callable[[str], bool]) -> bool:
    return any(understands(text) for text, _ in readings(line))


def _form(prefix: bytes) -> bytes:
    out, at = b"", 0
    for match in _VARIES.finditer(prefix):
        out += re.escape(prefix[at : match.start()])
        # The last blank may be missing if the device's line is empty.
        last = match.lastgroup == "blank" and match.end() == len(prefix)
        out += rb"(?:[ \t]+|(?=\r?$))" if last else _FORMS[str(match.lastgroup)]
        at = match.end()
    return out + re.escape(prefix[at:])
