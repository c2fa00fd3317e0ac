"""Whether bytes are text, and in which encoding: by plausibility of the whole, not by two bytes in front.

And whether text of others is a number.
"""

from __future__ import annotations

import codecs

__all__ = ["plain_text", "utf16_codec", "whole_number"]

_PROBE = 1 << 16
_SHARE = 0.97  # of the characters must be such as texts have
_BOMS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_UTF16 = {"utf-16-le": 1, "utf-16-be": 0}  # where an ASCII character has its zero byte


def whole_number(text: str, digits: int = 18) -> int | None:
    """A number of ASCII digits, `digits` of them at most; None for anything else.

    `str.isdigit` alone holds for ``²``, of which `int` makes no number, and `int` refuses more than 4300 digits.
    """
    return int(text) if len(text) <= digits and text.isascii() and text.isdigit() else None


def utf16_codec(head: bytes) -> str | None:
    """The UTF-16 codec that makes text of these bytes, with or without a byte order mark; None when neither does.

    FF FE in front is no proof: line noise on a UART looks like that. The characters must be those of a text.
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
    """The text that these bytes are, without a byte order mark; None when they are binary."""
    if not data:
        return None
    codec = utf16_codec(data)
    if codec is not None:
        text = data.decode(codec, "replace").removeprefix("\ufeff")
        return text if _is_text(text) else None
    if data[0] >= 0x80 and not data.startswith(codecs.BOM_UTF8):
        return None  # a tag (CBOR, DER): a short message may happen to be valid UTF-8 behind it
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
