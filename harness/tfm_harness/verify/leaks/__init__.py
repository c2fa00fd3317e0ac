"""Searches the outputs of a device for secrets, in any notation. Pure: bytes in, findings out.

A `Scanner` is made once of the secrets, and then searches outputs and memory. It finds any piece of a secret of at
least `Secret.window` bytes plus `Secret.step` - 1: raw, hexadecimal in any grouping, dumps with offsets, C arrays,
decimal and octal lists, base64, base32, base85, uuencode, escaped strings of several languages, coloured, compressed by
gzip or zlib, or one of these inside of hexadecimal or base64; the bytes in order, reversed, in words of either byte
order, bits reversed, nibbles swapped, inverted, or with their signs flipped.
"""

from __future__ import annotations

from tfm_harness.verify.leaks.canaries import NOTATIONS, RAW_NOTATIONS, missed_canaries
from tfm_harness.verify.leaks.samples import SampleValues, samples_in, series_in
from tfm_harness.verify.leaks.scanner import Leak, Scanner
from tfm_harness.verify.leaks.secrets import Secret, device_secrets, fingerprints

__all__ = [
    "NOTATIONS",
    "RAW_NOTATIONS",
    "Leak",
    "SampleValues",
    "Scanner",
    "Secret",
    "device_secrets",
    "fingerprints",
    "missed_canaries",
    "samples_in",
    "series_in",
]
