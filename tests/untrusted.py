"""What a hostile device, file or user says, and whether an output is harmless: for tests of all that is shown."""

from __future__ import annotations

import csv
import dataclasses
import enum
import io
import re
import types
import typing
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any, Literal

from tests.test_safe_text import OBEYED
from tests.test_safe_text import PAYLOADS as CONTROL

__all__ = ["PAYLOADS", "filled", "troubles"]

MARK = "zzz"
PAYLOADS: Mapping[str, str] = {
    **CONTROL,
    "element": f"<{MARK} onload=alert(1)>",
    "script": f"</pre></script><script>{MARK}()</script>",
    "attribute": f"\"' onmouseover='{MARK}()",
    "end of CDATA": f"]]></failure><{MARK}/>",
    "formula": "=cmd|' /C calc'!A0",
    "formula with plus": "+1+1",
    "formula with minus": "-2+3",
    "formula with at": "@SUM(1+1)",
    "formula behind a tab": "\t=1+1",
    "Markdown link": f"[click](javascript:{MARK})",
    "Markdown image": f"![x](http://{MARK}.example/x)",
    "Markdown table": "| a | b |\n|---|---|\n# heading",
    "mention": "@everyone #1",
    "percent": "%0A::error::x %s {0} %(x)s",
    "lone surrogate": "a\ud800b",
    "wrapped": "word " * 40 + "::error::x ##vso[task.complete] " + "more " * 40,
    "long": "A" * 20_000,
}


def filled(value: Any, payload: str, *, keep: frozenset[str] = frozenset()) -> Any:
    """A copy of a record with `payload` as every free text in it, at any depth; words of fixed lists stay."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = typing.get_type_hints(type(value))
        changed = {}
        for field in dataclasses.fields(value):
            if field.name in keep or not field.init or _fixed(hints[field.name]):
                continue
            changed[field.name] = filled(getattr(value, field.name), payload, keep=keep)
        return dataclasses.replace(value, **changed)
    if isinstance(value, enum.Enum):
        return value
    if isinstance(value, str):
        return payload
    if isinstance(value, Mapping):
        return {f"{payload}{n or ''}": filled(item, payload, keep=keep) for n, item in enumerate(value.values())}
    if isinstance(value, tuple):
        return tuple(filled(item, payload, keep=keep) for item in value)
    return value


def _fixed(hint: Any) -> bool:
    """Whether only words of a list may stand there."""
    if typing.get_origin(hint) is Literal:
        return True
    is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    return is_union and any(_fixed(part) for part in typing.get_args(hint))


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self._script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._script = tag == "script"
        if MARK in tag or any(MARK in name or (name.startswith("on") and MARK in (said or "")) for name, said in attrs):
            self.wrong.append(f"<{tag} {attrs}>")
        if any(
            name in {"href", "src"} and (said or "").lower().startswith(("javascript:", "http://zzz"))
            for name, said in attrs
        ):
            self.wrong.append(f"<{tag} {attrs}>")

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script and f"{MARK}()" in data:
            self.wrong.append(f"script {data[:60]}")


def troubles(name: str, text: str) -> list[str]:
    """What is wrong with an output, by the kind that its name says; empty when it is harmless."""
    found: list[str] = []
    if not text.replace("\n", "").replace("\t", "").isprintable():
        at_ = [f"{name}: character {c!r} at {at}" for at, c in enumerate(text) if not (c.isprintable() or c in "\n\t")]
        found = at_[:3]
    kind = name.rpartition(".")[2]
    obeyed = [line for line in text.splitlines() if OBEYED.search(line)]
    if name.endswith("annotations.txt"):  # its lines are commands: ours, one a line, and none within
        obeyed = [line for line in obeyed if not re.match(r"::(error|warning|notice) [^:]*::", line) or "##[" in line]
    found += [f"{name}: a line that a CI system obeys: {line[:80]!r}" for line in obeyed[:3]]
    if kind == "html":
        page = _Page()
        page.feed(text)
        found += [f"{name}: {wrong}" for wrong in page.wrong[:3]]
    elif kind == "xml":
        root = ET.fromstring(text)
        found += [f"{name}: element {one.tag}" for one in root.iter() if MARK in one.tag]
    elif kind == "csv":
        for row in csv.reader(io.StringIO(text)):
            found += [
                f"{name}: formula {cell[:40]!r}" for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))
            ]
    elif kind == "md":
        bare = re.sub(r"\\.", "", text)
        found += [
            f"{name}: {wrong!r}"
            for wrong in (f"<{MARK}", "<script", "](javascript", "![x]", "@everyone", "\n# heading")
            if wrong in bare
        ]
    return found
