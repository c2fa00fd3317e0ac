"""Untrusted text made safe to show: in a terminal, in a log that a CI system reads, in JUnit, on a page.

What a device (or a file) says may hold control characters that move a terminal's cursor, marks that turn the
direction of text, or lines that a CI system obeys. Here each of them becomes visible, and does nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final

__all__ = ["hide_secrets", "safe", "safe_json"]

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_UNUSUAL: Final = re.compile(r"[^\x20-\x7e\n\t]")
# GitHub Actions obeys `::command::` at a line's start and `##[command]` anywhere, Azure Pipelines `##vso[...]`,
# TeamCity `##teamcity[...]`.
_COMMAND: Final = re.compile(r"^(\s*):(?=:)|#(?=#\w*\[)", re.MULTILINE)


# user:password@host, also where the password itself holds an @; and what a query or a command line calls a secret
_USERINFO: Final = re.compile(
    r"(?<![\w/.:])([\w.+%-]+):([^\s/@:][^\s/@]*(?:@[^\s/@]+)*)@(?=[\w-]+\.|\[)|(?<=//)([^\s/@:]*):([^\s/]+)@(?=[\w\[])"
)
_QUERY: Final = re.compile(
    r"(?i)((?:[?&;]|(?<!\S)--?)(?:\w+[-_])?(?:pass(?:word|wd|phrase)?|pwd|secret|api[-_]?key|token|pin)=)[^\s&;\"']+"
)


def hide_secrets(text: str) -> str:
    """`text` with ``***`` in place of passwords: of ``user:password@host``, and of queries like ``?password=...``.

    In a command line also ``--password=...``. Words of other texts (``token: ...``) stay.
    """
    if "@" in text:
        text = _USERINFO.sub(lambda found: f"{found[1] if found[1] is not None else found[3]}:***@", text)
    if "=" in text:
        text = _QUERY.sub(r"\1***", text)
    return text


def safe(text: str | bytes) -> str:
    r"""`text` without anything that a terminal or a CI system would act on.

    Colours are left out. Line ends become LF and tabs stay; every other character that is not printable (Unicode's
    categories C and Z, other than the blank) is written as an escape: ``\x1b``, ``\u202e``. The first character of
    a CI system's command is written as an escape. Bytes are UTF-8; what is none is written as escapes. Text that is
    already safe comes back unchanged, so that it may be made safe twice.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    if not text.isprintable():
        text = _COLOUR.sub("", text).replace("\r\n", "\n")
        text = _UNUSUAL.sub(lambda found: found[0] if found[0].isprintable() else _escape(found[0]), text)
    if "::" in text or "##" in text:
        text = _COMMAND.sub(lambda found: (found[1] or "") + ("\\x3a" if found[0][-1] == ":" else "\\x23"), text)
    return text


def safe_json(
    value: object, *, indent: int = 1, sort_keys: bool = False, default: Callable[[object], object] | None = None
) -> str:
    r"""JSON for people's terminals and CI logs as well as for programs: reading it gives the same values.

    What is not printable ASCII is written as ``\uXXXX``, and so is the beginning of a CI system's command, which some
    obey in the middle of a line.

    Args:
        value: what ``json.dumps`` takes.
        indent: as there.
        sort_keys: as there.
        default: as there.
    """
    return json.dumps(value, indent=indent, sort_keys=sort_keys, default=default).replace("##", "\\u0023#")


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
