"""The claim of a suite, in its own words."""

from __future__ import annotations

from pathlib import Path

__all__ = ["claim"]


def claim(readme: Path) -> str:
    """The first paragraph below the title of a suite's README, on one line; empty when there is none."""
    try:
        text = readme.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    paragraphs = [part for part in text.split("\n\n") if part.strip() and not part.lstrip().startswith("#")]
    return " ".join(paragraphs[0].split()) if paragraphs else ""
