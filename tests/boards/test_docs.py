"""docs/targets.md and docs/boards: examples load, every key and every kind is described."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tfm_harness.config.kinds import BUILT_IN, config_model
from tfm_harness.config.loading import load_target
from tfm_harness.config.target import TargetBase

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = {kind: DOCS / "boards" / f"{kind}.md" for kind in ("fvp", "labgrid", "mps3", "probe")}


@pytest.mark.parametrize("kind", sorted(PAGES))
def test_the_example_loads_and_every_key_is_described(tmp_path: Path, kind: str) -> None:
    page = PAGES[kind].read_text()
    (example,) = re.findall(r"```yaml target\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "board.yaml"
    path.write_text(example)
    assert load_target(path).kind == kind
    own = set(config_model(kind).model_fields) - set(TargetBase.model_fields)
    described = {
        word for row in re.findall(r"^\| (`[^|]*) \|", page, re.MULTILINE) for word in re.findall(r"`(\w+)`", row)
    }
    assert own <= described | {"consoles"}, own - described


def test_every_kind_stands_in_both_tables() -> None:
    can, _, tried = (DOCS / "targets.md").read_text().partition("## What was run on what")
    for kind in BUILT_IN:
        assert re.search(rf"^\| \[?`{kind}`", can, re.MULTILINE), kind
        assert re.search(rf"^\| `{kind}` \|", tried, re.MULTILINE), kind


def test_links_lead_somewhere() -> None:
    for page in (DOCS / "targets.md", *(DOCS / "boards").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).is_file(), f"{page.name} -> {link}"
