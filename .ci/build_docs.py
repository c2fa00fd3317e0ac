"""Builds the documentation's site: ``python .ci/build_docs.py`` (or ``make docs``); warnings are errors.

The pages lie where developers read them: in ``docs/``, beside each suite, in the README. They are copied into
``build/docs/pages`` with their folders, so that their links work in the repository and on the site alike.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
STAGE = ROOT / "build" / "docs"

SECTIONS: dict[str, list[str]] = {
    "Start": ["README.md", "docs/tutorial.md", "docs/index.md", "docs/troubleshooting.md", "docs/glossary.md"],
    "Describe": [
        "docs/writing-a-target.md",
        "docs/writing-a-build.md",
        "docs/writing-a-suite.md",
        "docs/targets.md",
        "docs/ci.md",
    ],
    "Boards": ["docs/boards/*.md"],
    "Firmware": [
        "docs/porting.md",
        "docs/other-firmware.md",
        "docs/bootstrap-server.md",
        "docs/mlperf-tiny.md",
        "docs/import-build.md",
        "docs/console-suites.md",
        "docs/reference-firmware.md",
        "docs/protocol.md",
        "fw_builds/**/README.md",
    ],
    "Judge": [
        "docs/verification.md",
        "docs/parity.md",
        "docs/latency.md",
        "docs/report.md",
        "docs/evidence.md",
        "docs/errors.md",
    ],
    "Suites": ["suites/*/README.md"],
    "Develop": [
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "docs/extending.md",
        "docs/examples/**/README.md",
        "docs/api.md",
        "docs/versions.md",
        "docs/benchmarks.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "harness/**/README.md",
    ],
}
"""The order in which a reader wants the pages: section to paths or patterns. A page of ``docs/`` that no section
names comes last, under "More"."""

FENCE = re.compile(r"^```(\w+) .*$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def pages() -> list[str]:
    """Every Markdown file that git knows or would add, as paths below the repository's root."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    found = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return sorted(page for page in set(found) if not page.startswith("docs/changes/") and (ROOT / page).is_file())


def linked_files(page: str) -> set[str]:
    """Files of the repository, other than pages, that `page` links to."""
    found = set()
    for target in LINK.findall((ROOT / page).read_text(encoding="utf-8")):
        path = os.path.normpath(Path(page).parent / target)
        if "://" not in target and (ROOT / path).is_file() and not path.endswith(".md"):
            found.add(path)
    return found


def title(page: str) -> str:
    """The page's own first heading."""
    heading = re.search(r"^# (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    return heading[1].replace("`", "") if heading else page


def navigation(found: list[str]) -> list[dict[str, list[dict[str, str]]]]:
    """The site's menu, section by section."""
    left = list(found)
    sections: dict[str, list[str]] = {}
    for name, patterns in SECTIONS.items():
        for pattern in patterns:
            matches = [page for page in left if page == pattern or ("*" in pattern and _matches(page, pattern))]
            sections.setdefault(name, []).extend(matches)
            left = [page for page in left if page not in matches]
    sections["More"] = left
    return [{name: [{title(page): page} for page in listed]} for name, listed in sections.items() if listed]


def _matches(page: str, pattern: str) -> bool:
    expression = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
    return re.fullmatch(expression, page) is not None


def stage() -> Path:
    """Copy the pages, write MkDocs' configuration beside them; its path."""
    shutil.rmtree(STAGE, ignore_errors=True)
    found = pages()
    for path in {*found, *(file for page in found for file in linked_files(page))}:
        copy = STAGE / "pages" / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".md"):
            # Words behind a block's language (for the tests) are no fence to MkDocs: it would show the page wrongly.
            copy.write_text(FENCE.sub(r"```\1", (ROOT / path).read_text(encoding="utf-8")), encoding="utf-8")
        else:
            shutil.copyfile(ROOT / path, copy)
    settings = yaml.safe_load((ROOT / ".ci" / "mkdocs.yml").read_text(encoding="utf-8"))
    settings |= {"docs_dir": "pages", "site_dir": "site", "nav": navigation(found)}
    configuration = STAGE / "mkdocs.yml"
    configuration.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return configuration


def main() -> int:
    """Stage and build."""
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(stage())]
    done = subprocess.run(
        words, check=False, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    lines = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("INFO")]
    if done.returncode != 0:
        print("\n".join(lines), file=sys.stderr)
    else:
        print(f"documentation: {STAGE.relative_to(ROOT)}/site/index.html")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
