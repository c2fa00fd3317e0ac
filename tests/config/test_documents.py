"""The documents on writing targets and builds: their examples load, their tables are complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tfm_harness.config.build import Build
from tfm_harness.config.loading import load_build, load_target
from tfm_harness.config.qemu import QemuTarget
from tfm_harness.config.target import TargetBase
from tfm_harness.verify.catalogue import ALL

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: str, language: str) -> list[str]:
    return [found[3] for found in BLOCK.finditer((DOCS / page).read_text()) if found[1] == language]


@pytest.mark.parametrize("text", blocks("writing-a-target.md", "yaml"))
def test_example_targets_load(tmp_path: Path, text: str) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(text)
    assert load_target(path).name == "example"


@pytest.mark.parametrize("text", blocks("writing-a-build.md", "yaml"))
def test_example_builds_load(tmp_path: Path, text: str) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(text)
    build = load_build(path, require_files=False)
    assert build.images
    for waiver in build.granted():
        assert any(waiver.finding == check.id for check in ALL), waiver


@pytest.mark.parametrize(
    ("page", "model"),
    [("writing-a-target.md", TargetBase), ("writing-a-target.md", QemuTarget), ("writing-a-build.md", Build)],
)
def test_every_key_is_explained(page: str, model: type[TargetBase | Build]) -> None:
    text = (DOCS / page).read_text()
    for key in model.model_fields:
        assert re.search(rf"`{key}[`.:]|\n{key}:", text), f"{page} does not speak of {key!r}"
