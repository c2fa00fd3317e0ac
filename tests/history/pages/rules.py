"""Rules of accessibility that a page must keep, read from its markup and its style."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

VOID = frozenset({"meta", "link", "input", "br", "img", "wbr", "hr"})
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")


class Page(HTMLParser):
    """The page's elements with what stands in them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[dict[str, str]] = []
        self.found: list[dict[str, str]] = []
        self.problems: list[str] = []
        self.feed(text)
        self.close()
        self.problems += [f"<{one['tag']}> is never closed" for one in self.stack]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        twice = [name for name, count in Counter(name for name, _ in attrs).items() if count > 1]
        self.problems += [f"<{tag}> has {name} twice" for name in twice]
        one = {name: value or "" for name, value in attrs} | {
            "tag": tag, "text": "", "in": " ".join(up["tag"] for up in self.stack),
        }  # fmt: skip
        self.found.append(one)
        if tag not in VOID:
            self.stack.append(one)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.stack or self.stack[-1]["tag"] != tag:
            self.problems.append(f"</{tag}> closes nothing")
        else:
            self.stack.pop()

    def handle_data(self, data: str) -> None:
        for one in self.stack:
            one["text"] += data

    def all(self, *tags: str) -> list[dict[str, str]]:
        """Elements of these tags."""
        return [one for one in self.found if one["tag"] in tags]


def broken_rules(text: str) -> list[str]:
    """What a page does wrong, in words."""
    page = Page(text)
    wrong = list(page.problems)
    if page.all("html")[0].get("lang") != "en":
        wrong.append("the language is not said")
    if len(page.all("main")) != 1 or not page.all("title")[0]["text"].strip():
        wrong.append("one main part and a title")
    levels = [HEADINGS.index(one["tag"]) for one in page.all(*HEADINGS)]
    if levels.count(0) != 1 or levels[:1] != [0]:
        wrong.append(f"one h1, and it comes first: {levels}")
    if any(after > before + 1 for before, after in pairwise(levels)):
        wrong.append(f"a heading's level is left out: {levels}")
    wrong += [
        f"<{one['tag']}> without words"
        for one in page.all("a", "button")
        if not (one["text"].strip() or one.get("aria-label", "").strip())
    ]
    wrong += [
        f"a field without a label: {one.get('name')}"
        for one in page.all("input", "select")
        if one.get("type") != "hidden" and " label" not in f" {one['in']}"
    ]
    charts = page.all("svg")
    wrong += ["a chart without a title" for one in charts if one.get("role") != "img" or not one["text"].strip()]
    wrong += ["a navigation without a name" for one in page.all("nav") if not one.get("aria-label")]
    wrong += [
        f"a table's heading without a scope: {one['text']}"
        for one in page.all("th")
        if one.get("scope") not in {"row", "col"}
    ]
    if len(page.all("table")) != len(page.all("caption")):
        wrong.append("a table without a caption")
    for one in page.found:
        if one.get("tabindex", "0") not in {"0", "-1"}:
            wrong.append("an order of its own for the tab key")
        if "style" in one or any(name.startswith("on") for name in one):
            wrong.append(f"<{one['tag']}> with style or script of its own")
    ids = Counter(one["id"] for one in page.found if one.get("id"))
    wrong += [f"the id {name} stands twice" for name, count in ids.items() if count > 1]
    names = set(ids)
    wrong += [
        f"aria-labelledby={one['aria-labelledby']} names nothing"
        for one in page.found
        if one.get("aria-labelledby") and one["aria-labelledby"] not in names
    ]
    return wrong


def colours(css: str) -> dict[str, dict[str, str]]:
    """The style's colours by theme."""
    light, _, rest = css.partition("@media (prefers-color-scheme: dark)")
    dark = rest[: rest.index("* {")]
    found = {"light": dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light))}
    found["dark"] = {**found["light"], **dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", dark))}
    return found


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, 1 to 21 (WCAG 2.1, relative luminance)."""

    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
