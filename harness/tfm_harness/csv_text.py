"""CSV as loggers and spreadsheets write it: comma, semicolon or tabulator, decimal comma, UTF-8 or UTF-16."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tfm_harness.encodings import utf16_codec
from tfm_harness.files import open_file

__all__ = ["TIME_COLUMN", "decimal", "delimiter_of", "read_csv_text"]

TIME_COLUMN: Final = re.compile(r"(?:timestamp|time)(?:[_ ]?[\[(]?(s|ms|us|ns)[\])]?)?", re.IGNORECASE)
"""The name of a column of times, as loggers write it; the group is the unit, where it is named."""


def read_csv_text(path: Path) -> str:
    """The file's text, without a byte order mark.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is no text.
    """
    with open_file(path) as file:
        data = file.read()
    codec = utf16_codec(data)
    return (data.decode(codec) if codec else data.decode("utf-8-sig")).removeprefix("\ufeff")


def delimiter_of(text: str) -> str:
    """What separates the values: the one that stands most often in the first line that is no comment."""
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    if ";" in first or "\t" in first:  # then commas are decimal
        return max((";", "\t"), key=first.count)
    return ","


def decimal(cell: str, delimiter: str) -> str:
    """A number with a decimal point, where commas separate nothing."""
    return cell.replace(",", ".") if delimiter != "," and cell.count(",") == 1 and "." not in cell else cell
