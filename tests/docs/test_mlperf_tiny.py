"""docs/mlperf-tiny.md and the ready-made build files say what the code takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from tfm_harness.config.loading import load_build
from tfm_harness.config.model import ModelConfig
from tfm_harness.parity.accuracy_catalogue import ALL

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "mlperf-tiny.md").read_text(encoding="utf-8")
BUILDS = sorted((ROOT / "fw_builds" / "mlperf-tiny").glob("*.yaml"))


def test_the_page_names_the_checks_of_accuracy() -> None:
    assert set(re.findall(r"^\| `(accuracy\.[a-z-]+)` \|", PAGE, re.MULTILINE)) == {check.id for check in ALL}


def test_the_pages_models_are_taken() -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    assert blocks
    for block in blocks:
        for model in block["models"].values():
            ModelConfig.model_validate(model)


@pytest.mark.parametrize("path", BUILDS, ids=lambda path: path.stem)
def test_a_ready_made_build_asks_for_what_the_rules_ask_for(path: Path) -> None:
    build = load_build(path, require_files=False)
    ((name, model),) = build.models.items()
    assert name == path.stem
    assert model.dataset is not None
    asked = {"kws01": ("top-1", 0.9), "vww01": ("top-1", 0.8), "ic01": ("top-1", 0.85), "ad01": ("auc", 0.85)}
    assert (model.dataset.metric, model.dataset.least) == asked[name]
    takes = {"kws01": "tensor", "vww01": "uint8", "ic01": "uint8", "ad01": "float32"}
    assert model.takes == takes[name]


def test_there_is_a_build_of_each_task() -> None:
    assert [path.stem for path in BUILDS] == ["ad01", "ic01", "kws01", "vww01"]
