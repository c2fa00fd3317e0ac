"""The bytes that a text may mean: every reading of it as numbers, dumps and encodings.

Each reading is a stream of bytes with their places in the text. Readings are generous: a wrong one gives noise, and
noise does not hold eight bytes of a secret in a row.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tfm_harness.verify.leaks.bases import base_readings
from tfm_harness.verify.leaks.numerals import (
    binary_readings,
    decimal_readings,
    decimals_run_together,
    hex_readings,
    hex_run_together,
    octal_readings,
)
from tfm_harness.verify.leaks.reading import Reading
from tfm_harness.verify.leaks.strings import string_readings
from tfm_harness.verify.leaks.tokens import DECIMAL, OCTAL, Text
from tfm_harness.verify.leaks.wrappings import bare_decimals, unmarked, written_out

__all__ = ["WORDS", "Reading", "readings"]

WORDS = "single 32-bit words"


def readings(text: bytes) -> Iterator[Reading]:
    """Every reading of `text` but the raw one; the last is that of single 32-bit words.

    The words have eight hexadecimal digits, or at least five after 0x; their most significant byte comes first.
    """
    for reading in _all(text):
        if len(reading.data) >= 8:
            yield reading


def _all(text: bytes) -> Iterator[Reading]:
    block = Text(text)
    unmarked_text = unmarked(text)  # of the same length
    every = block.numbers()  # the text must not keep it: a reference circle would stay in memory
    found = [every]
    if unmarked_text is not None:
        plain, whole = unmarked_text
        found = [*([] if whole else found), Text(plain).numbers()]
    for some in found:
        yield from hex_readings(some)
    yield from hex_run_together(block)
    yield from decimal_readings(every.of(DECIMAL))
    numbers = bare_decimals(text)  # of the same length
    if numbers is not None:
        yield from decimal_readings(Text(numbers).numbers().of(DECIMAL))
    yield from decimals_run_together(block)
    octal = every.of(OCTAL)
    yield from octal_readings(octal)
    yield from base_readings(block)
    yield from binary_readings(block, found)
    yield from string_readings(text, octal)
    for name, data, places in written_out(text):
        yield Reading(name, np.frombuffer(data, np.uint8), places)
    for some in found:
        words = some.only((some.length == 8) | (some.prefixed & (some.length >= 5) & (some.length <= 8)))
        yield Reading(WORDS, words.values(16).astype(">u4").view(np.uint8), words.start, 4)
