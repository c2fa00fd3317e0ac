"""Whether the pages of the simulated farm tell each story in the right words.

``python -m benchmarks.farm.stories FOLDER``, the folder of run.py, prints each story with the page and the section in
which it was looked for, and ends with 1 when one is not told.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple


class Story(NamedTuple):
    """Words that stand in a section of a page; with `absent`, words that do not."""

    night: int
    section: str
    words: tuple[str, ...]
    absent: bool = False
    page: str = "night"


SLOWER = ("test_pace", "virtual+beta", "the product", "latency.not-slower")
BROKEN = ("test_the_token_tells_the_truth", "virtual+gamma", "the product", "attestation.component-measurement")
STORIES = (
    Story(4, "the bench", ("virtual.2", "console")),
    Story(4, "Boards that need somebody", ("virtual.2", "Bad", "the golden build", "console")),
    Story(4, "new failure", ("virtual",), absent=True),
    Story(5, "new failure", SLOWER),
    Story(5, "Figures", ("latency of tamper", "virtual+beta", "slower", "+9.6")),
    Story(6, "new failure", BROKEN),
    Story(6, "still failing", SLOWER),
    Story(7, "still failing", SLOWER),
    Story(7, "still failing", BROKEN),
    Story(7, "Boards that need somebody", ("virtual.2", "Bad")),
    Story(7, "new failure", ("virtual",), absent=True),
    Story(7, "boards", ("virtual.2", "Bad", "the golden build", "console"), page="boards"),
)
FLAKY = ("test_now_and_then", "virtual+alpha", "fails in ")
"""Stands in the section "flaky" of at least one night, and no night calls the test a regression of another build."""


class _Sections(HTMLParser):
    """The text of a page by the heading above it."""

    def __init__(self) -> None:
        super().__init__()
        self.text: dict[str, str] = defaultdict(str)
        self._heading = ""
        self._within: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        del attrs
        if tag in {"h1", "h2", "script", "style"}:
            self._within.append(tag)
            self._heading = "" if tag in {"h1", "h2"} else self._heading

    def handle_endtag(self, tag: str) -> None:
        if self._within and self._within[-1] == tag:
            self._within.pop()

    def handle_data(self, data: str) -> None:
        inside = self._within[-1] if self._within else ""
        if inside in {"h1", "h2"}:
            self._heading += data.strip()
        elif not inside:
            self.text[self._heading.casefold()] += data


def sections(page: Path) -> dict[str, str]:
    """The words of a page by section; places for line breaks are no words."""
    parser = _Sections()
    parser.feed(page.read_text(encoding="utf-8").replace("<wbr>", "").replace("\u200b", ""))
    return {heading: re.sub(r"\s+", " ", text) for heading, text in parser.text.items()}


def check(folder: Path) -> bool:
    """Print what each story's page says; whether all are told."""
    names = sorted(path.parent.name for path in folder.glob("nights/*/night.json"))  # those that came to their end
    pages = {number: sections(folder / "pages" / "night" / f"{name}.html") for number, name in enumerate(names, 1)}
    told = True
    for story in STORIES:
        if story.night > len(names):
            continue
        found = pages[story.night] if story.page == "night" else sections(folder / "pages" / f"{story.page}.html")
        text = found.get(story.section.casefold(), "")
        missing = [word for word in story.words if (word in text) is story.absent]
        told &= not missing
        where = f"night {story.night}" if story.page == "night" else f"{story.page}.html"
        what = f"{'no ' if story.absent else ''}{', '.join(story.words)}"
        print(f"{'told' if not missing else 'NOT TOLD'}: {where}, {story.section}: {what}")
        if missing:
            print(f"  about {', '.join(missing)} it says: {text[:400]!r}")
    flaky = [n for n, found in pages.items() if all(word in found.get("flaky", "") for word in FLAKY)]
    print(f"{'told' if flaky else 'NOT TOLD'}: flaky, in nights {flaky}: {', '.join(FLAKY)}")
    return told and bool(flaky)


if __name__ == "__main__":
    sys.exit(not check(Path(sys.argv[1])))
