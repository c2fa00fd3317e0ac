"""Every relative link in the project's written material leads somewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def pages() -> list[Path]:
    """All Markdown files that are part of the project."""
    known = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    ).stdout.splitlines()  # fmt: skip
    found = [ROOT / name for name in known] or [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    return [path for path in found if path.is_file()]


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    gone = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert gone == []


def test_there_are_pages() -> None:
    assert len(pages()) > 15
