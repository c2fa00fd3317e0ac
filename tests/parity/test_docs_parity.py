"""docs/parity.md names every check, no other, and its YAML is what the configuration takes."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from tfm_harness.config.parity import ParityConfig
from tfm_harness.parity.catalogue import ALL

PAGE = Path(__file__).resolve().parents[2] / "docs" / "parity.md"


def test_page_names_the_checks() -> None:
    assert set(re.findall(r"^\| `(parity\.[a-z-]+)` \|", PAGE.read_text(), re.MULTILINE)) == {c.id for c in ALL}


def test_examples_are_valid() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        ParityConfig.model_validate(yaml.safe_load(block)["parity"])
