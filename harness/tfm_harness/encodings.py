"""Whether bytes are text, and in which encoding, judged by all bytes; and whether untrusted text is a number."""

from __future__ import annotations

import codecs

__all__ = ["plain_text", "utf16_codec", "whole_number"]

_PROBE = 1 << 16
_SHARE = 0.97  # share of the characters that must be usual in texts
_BOMS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_UTF16 = {"utf-16-le": 1, "utf-16-be": 0}  # the position of an ASCII character's zero byte


def whole_number(text: str, digits: int = 18) -> int | None:
    """A number of ASCII digits, `digits` of them at most; None for anything else.

    `str.isdigit` alone is not enough: it accepts ``²``, which `int` refuses, and `int` refuses more than 4300 digits.
    """
    return int(text) if len(text) <= digits and text.isascii() and text.isdigit() else None


def utf16_codec(head: bytes) -> str | None:
    """The UTF-16 codec with which these bytes are text, with or without a byte order mark; None if none is.

    FF FE at the start is no proof, because line noise on a UART looks like that. The characters must be usual in texts.
    """
    probe = head[: _PROBE - _PROBE % 2]
    marked = next((codec for bom, codec in _BOMS if probe.startswith(bom)), None)
    for codec in (marked,) if marked else _UTF16:
        body = probe[2:] if marked else probe
        body = body[: len(body) - len(body) % 2]
        if len(body) < 8 and not marked:
            continue
        zeros = body[_UTF16[codec] :: 2].count(0)
        if (not body or zeros >= len(body) // 2 * 0.5) and _is_text(body.decode(codec, "replace")):
            return codec
    return None


def plain_text(data: bytes) -> str | None:
    """The bytes as text, without a byte order mark; None when they are binary."""
    if not data:
        return None
    codec = utf16_codec(data)
    if codec is not None:
        text = data.decode(codec, "replace").removeprefix("\ufeff")
        return text if _is_text(text) else None
    if data[0] >= 0x80 and not data.startswith(codecs.BOM_UTF8):
        return None  # a tag (CBOR, DER): the rest of a short message may happen to be valid UTF-8
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if _is_text(text, share=1.0) else None


def _is_text(text: str, *, share: float = _SHARE) -> bool:
    if not text:
        return True
    odd = sum(1 for char in text if not (char.isprintable() or char in "\t\r\n\x0c\x1b\x04\ufeff") or char == "\ufffd")
    return odd <= len(text) * (1 - share)
