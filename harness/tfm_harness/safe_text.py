"""Untrusted text made safe to show: in a terminal, in a log that a CI system reads, in JUnit, on a page.

Text from a device or a file may contain control characters that move a terminal's cursor, marks that change the
direction of text, or lines that a CI system executes. This module makes each of them visible and harmless.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final

__all__ = ["hide_secrets", "safe", "safe_json"]

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_UNUSUAL: Final = re.compile(r"[^\x20-\x7e\n\t]+")
# GitHub Actions obeys `::command::` at a line's start and `##[command]` anywhere, Azure Pipelines `##vso[...]`,
# TeamCity `##teamcity[...]`.
_COMMAND: Final = re.compile(r"^(\s*):(?=:)|#(?=#\w*\[)", re.MULTILINE)


# user:password@host, also if the password contains an @; and values that a query or a command line calls a secret
_USERINFO: Final = re.compile(
    r"(?<![\w/.:])([\w.+%-]+):([^\s/@:][^\s/@]*(?:@[^\s/@]+)*)@(?=[\w-]+\.|\[)|(?<=//)([^\s/@:]*):([^\s/]+)@(?=[\w\[])"
)
_QUERY: Final = re.compile(
    r"(?i)((?:[?&;]|(?<!\S)--?)(?:\w+[-_])?(?:pass(?:word|wd|phrase)?|pwd|secret|api[-_]?key|token|pin)=)[^\s&;\"']+"
)


def hide_secrets(text: str) -> str:
    """`text` with ``***`` in place of passwords: of ``user:password@host``, and of queries like ``?password=...``.

    In a command line also of ``--password=...``. Other texts (``token: ...``) stay unchanged.
    """
    if "@" in text:
        text = _USERINFO.sub(lambda found: f"{found[1] if found[1] is not None else found[3]}:***@", text)
    if "=" in text:
        text = _QUERY.sub(r"\1***", text)
    return text


def safe(text: str | bytes) -> str:
    r"""`text` without anything on which a terminal or a CI system would act.

    Colours are left out. Line ends become LF and tabs stay; every other character that is not printable (Unicode's
    categories C and Z, other than the blank) is written as an escape: ``\x1b``, ``\u202e``. The first character of
    a CI system's command is written as an escape. Bytes are read as UTF-8; invalid ones are written as escapes. Safe
    text is returned unchanged, so that calling this twice does no harm.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    if not text.isprintable():
        text = _COLOUR.sub("", text).replace("\r\n", "\n")
        text = _UNUSUAL.sub(_shown, text)
    if "::" in text or "##" in text:
        text = _COMMAND.sub(lambda found: (found[1] or "") + ("\\x3a" if found[0][-1] == ":" else "\\x23"), text)
    return text


def safe_json(
    value: object, *, indent: int = 1, sort_keys: bool = False, default: Callable[[object], object] | None = None
) -> str:
    r"""JSON for people's terminals and CI logs as well as for programs: reading it gives the same values.

    Characters other than printable ASCII are written as ``\uXXXX``. So is the beginning of a CI system's command,
    because some systems execute commands in the middle of a line.

    Args:
        value: as for ``json.dumps``, like all arguments.
        indent: as there.
        sort_keys: as there.
        default: as there.
    """
    return json.dumps(value, indent=indent, sort_keys=sort_keys, default=default).replace("##", "\\u0023#")


def _shown(found: re.Match[str]) -> str:
    text = found[0]
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
