"""CSV as loggers and spreadsheets write it: comma, semicolon or tabulator, decimal comma, UTF-8 or UTF-16."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tfm_harness.encodings import utf16_codec
from tfm_harness.files import open_file

__all__ = ["TIME_COLUMN", "NoCsvError", "decimal", "delimiter_of", "read_csv_text"]

TIME_COLUMN: Final = re.compile(r"(?:timestamp|date[ _]?time|time)(?:[_ ]?[\[(]?(s|ms|us|ns)[\])]?)?", re.IGNORECASE)
"""The name of a time column, as loggers write it; the group is the unit, if the name has one."""

_WESTERN: Final = "\u00b0\u00b2\u00b5\u00b1\u00c4\u00d6\u00dc\u00df\u00e4\u00f6\u00fc\u00e9\u00e8".encode(
    "cp1252"
)  # units, umlauts
_SEP: Final = re.compile(r"sep=.[ \t]*")  # a line that only Excel writes
_REMARK: Final = re.compile(r"[ \t]*(?:[;%]|//)(?:[ ,].*)?")  # sigrok, Octave and others, before the header
_OTHER: Final[dict[bytes, str]] = {
    b"version https://git-lfs": "a Git LFS pointer: fetch the file itself with `git lfs pull`",
    b"<!DOCTYPE": "an HTML page: a download that was answered with something else",
    b"<!doctype": "an HTML page: a download that was answered with something else",
    b"<html": "an HTML page: a download that was answered with something else",
    b"<?xml": "XML: export it as CSV",
    b"{": "JSON: export it as CSV",
    b"PK\x03\x04": "a zip archive (a workbook of a spreadsheet?): save it as CSV",
    b"\xd0\xcf\x11\xe0": "a workbook of a spreadsheet (.xls): save it as CSV",
    b"\x1f\x8b": "compressed with gzip: unpack it",
    b"PAR1": "Apache Parquet: export it as CSV",
    b"\x89HDF": "HDF5: export it as CSV",
    b"<<<<<<<": "a file with an unfinished Git merge: resolve it",
}
_OTHERS: Final = (";", "\t", "|")


class NoCsvError(ValueError):
    """The file is not CSV; the text says what it is, and what to do."""


def read_csv_text(path: Path) -> str:
    """The file's text, without a byte order mark. Lines before the header that are not rows become empty.

    UTF-8, UTF-16, or (spreadsheets) Windows-1252.

    Raises:
        OSError: it cannot be read.
        NoCsvError: it is not text, or text of another kind.
    """
    with open_file(path) as file:
        data = file.read()
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    other = next((words for head, words in _OTHER.items() if start.startswith(head)), None)
    if other is not None:
        raise NoCsvError(f"the file is {other}")
    codec = utf16_codec(data)
    try:
        text = data.decode(codec or "utf-8-sig").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        if b"\0" in data or any(byte < 0x20 and byte not in b"\t\r\n" for byte in data[:4096]):
            raise NoCsvError("the file is binary, not text") from None
        if not all(byte < 0x80 or byte in _WESTERN for byte in data):
            raise NoCsvError(f"neither UTF-8 nor Windows-1252: {error}") from None
        text = data.decode("cp1252")
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        plain = line.strip()
        if plain and not _SEP.fullmatch(plain) and not _REMARK.fullmatch(plain):
            break
        lines[number] = line[len(line.rstrip("\r\n")) :]
    return "".join(lines)


def delimiter_of(text: str) -> str:
    """The separator of the values: the most frequent one in the first line that is not a comment."""
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    if any(other in first for other in _OTHERS):  # then commas are decimal commas
        return max(_OTHERS, key=first.count)
    return ","


def decimal(cell: str, delimiter: str) -> str:
    """A number with a decimal point instead of a decimal comma, if the delimiter is not a comma."""
    return cell.replace(",", ".") if delimiter != "," and cell.count(",") == 1 and "." not in cell else cell
