"""CBOR diagnostic notation (RFC 8949 s.8), as far as the collected vectors use it."""

from __future__ import annotations

import json
import re

_TOKEN = re.compile(
    r"""\s+ | /[^/]*/ | (?P<bytes>h'[^']*') | (?P<text>"(?:[^"\\]|\\.)*") | (?P<number>-?\d+) | (?P<mark>[{}\[\]:,])""",
    re.VERBOSE,
)


def parse(text: str) -> object:
    """The value of a text in diagnostic notation."""
    tokens: list[str] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"diagnostic notation not understood at {at}: {text[at : at + 20]!r}")
        if match.lastgroup:
            tokens.append(match.group())
        at = match.end()
    value, rest = _value(tokens, 0)
    if rest != len(tokens):
        raise ValueError("more than one value")
    return value


def _value(tokens: list[str], at: int) -> tuple[object, int]:
    token = tokens[at]
    if token == "{":
        made: dict[object, object] = {}
        at += 1
        while tokens[at] != "}":
            key, at = _value(tokens, at)
            value, at = _value(tokens, at + 1)  # past the colon
            made[key] = value
            at += tokens[at] == ","
        return made, at + 1
    if token == "[":
        items: list[object] = []
        at += 1
        while tokens[at] != "]":
            item, at = _value(tokens, at)
            items.append(item)
            at += tokens[at] == ","
        return items, at + 1
    if token.startswith("h'"):
        return bytes.fromhex("".join(token[2:-1].split())), at + 1
    return json.loads(token), at + 1
