"""Every page's links lead somewhere, and every command that a page shows is one that exists."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from tfm_harness.bench.capabilities import KNOWN_WORDS
from tfm_harness.cli.main import make_parser
from tfm_harness.findings import Policy

from tests.tree import own_files

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    str(path.relative_to(ROOT))
    for folder in ("docs", "suites", "fw_builds", "harness", "targets")
    for path in own_files(ROOT / folder, ".md")
    if "changes" not in path.parts
) + [path.name for path in sorted(ROOT.glob("*.md"))]
MADE = ("docs/api.md", "docs/errors.md", "CHANGELOG.md")
LONGEST_LINE = 120
LINK = re.compile(r"(?<!`)\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(?:sh|console|shell|bash|text)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^ {4,}(?:\$ )?((?:tfm-harness|make) .*(?:\\\n.*)*)", re.MULTILINE)
FENCED = re.compile(r"^(?:\$ )?((?:tfm-harness|make) .*(?:\\\n.*)*)", re.MULTILINE)
PLACEHOLDERS = re.compile(r"[\[\]|]|\.\.\.")  # a synopsis, not a command to type


def slug(heading: str) -> str:
    text = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip()
    return re.sub(r"[\s-]+", "-", text)


@cache
def anchors(page: Path) -> set[str]:
    return {slug(found) for found in re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = page if not path else Path(os.path.normpath(page.parent / path))
        assert target.exists(), f"{name}: {link}"
        if anchor and target.suffix == ".md":
            assert re.sub(r"-+", "-", anchor) in anchors(target), f"{name}: {link}"


@pytest.mark.parametrize("name", [name for name in PAGES if name not in MADE])
def test_paragraphs_have_short_lines(name: str) -> None:
    """Not those of tables, pictures, headings and what is shown word for word; pages made from sources are left out."""
    text = re.sub(r"^```.*?^```", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    words = [line for line in text.splitlines() if not line.startswith(("|", "#", "![", "    ", "- [", "[![", "<"))]
    assert [line for line in words if len(line) > LONGEST_LINE and " " in line.strip()] == []


def shown(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    outside = FENCE.sub("", text)
    found = INDENTED.findall(outside) + [c for block in FENCE.findall(text) for c in FENCED.findall(block)]
    return [re.sub(r"\\\n\s*", " ", command) for command in found]


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


@cache
def goals() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", PAGES)
def test_shown_commands_exist(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = make_parser()
    for command in shown(name):
        # What stands behind wide space or a # is the page's remark on the command.
        words = shlex.split(re.split(r"\s{3,}|\s{2,}\(|\s+#", command)[0])
        words = words[: next((i for i, word in enumerate(words) if word in {"&&", "||", ";", ">", "|"}), len(words))]
        if words[0] == "make":
            if "-C" not in words:
                assert {word for word in words[1:] if "=" not in word and word[0] != "-"} <= goals(), (
                    f"{name}: {command}"
                )
            continue
        commands = subcommands(parser)
        if len(words) < 2 or words[1].startswith("-") or words[1].isupper():
            continue
        assert words[1] in commands, f"{name}: {command}"
        if PLACEHOLDERS.search(command):
            continue
        code: object = 0
        try:
            parser.parse_known_args(words[1:])
        except SystemExit as ended:
            code = ended.code
        assert code == 0, f"{name}: {command}\n{capsys.readouterr().err}"


def test_the_readme_names_every_command_and_suite() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:tfm-harness )?([a-z-]+)(?: [^`]*)?`", page.partition("## Commands")[2]))
    assert set(subcommands(make_parser())) <= named
    suites = {path.name for path in (ROOT / "suites").iterdir() if (path / "README.md").is_file()}
    assert set(re.findall(r"\(suites/(\w+)/README\.md\)", page)) == suites


def test_the_page_on_suites_has_every_word_of_needs() -> None:
    page = (ROOT / "docs" / "writing-a-suite.md").read_text(encoding="utf-8")
    part = page.partition("## What a test needs")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \|", part, re.MULTILINE)
    assert {word for cell in cells for word in re.findall(r"`([a-z-]+)`", cell)} == KNOWN_WORDS


def test_pages_give_the_names_of_policies() -> None:
    for name in ("docs/writing-a-suite.md", "docs/writing-a-build.md"):
        lists = re.findall(r"`dev`, `(\w+)`(?:,| or) `production`", (ROOT / name).read_text(encoding="utf-8"))
        assert lists, name
        assert set(lists) == {str(Policy.VALIDATION)}, name


def test_the_site_builds_without_a_warning() -> None:
    pytest.importorskip("mkdocs", reason="MkDocs is not installed (extra: docs)")
    done = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "build_docs.py")], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
