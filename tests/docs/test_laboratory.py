"""The table of what a security laboratory would try names the faulty builds that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LEAST = 3
TIME = ("latency.dudect-", "latency.constant-signing")
PAGE = (ROOT / "docs" / "reference-firmware.md").read_text()
TABLE = PAGE.partition("| suite | faulty builds, at least | checks that catch them |\n")[2].partition("\n\n")[0]
ROWS = re.findall(r"^\| ([a-z]+) \| (\d+) \| (.*) \|$", TABLE, re.MULTILINE)


def test_the_suites_are_there() -> None:
    assert [suite for suite, _, _ in ROWS] == ["confidentiality", "bus", "storage", "skip", "latency", "abuse"]


@pytest.mark.parametrize(("suite", "number", "checks"), ROWS, ids=[row[0] for row in ROWS])
def test_the_table_is_that_of_the_faulty_builds(suite: str, number: str, checks: str) -> None:
    said = yaml.safe_load((ROOT / "fw_builds" / "reference" / "mutants" / "mutants.yaml").read_text())
    claimed = [entry["check"] for entry in said.values() if entry.get("suite") == suite]
    if suite == "latency":
        claimed = [check for check in claimed if check.startswith(TIME)]
    assert LEAST <= int(number) <= len(claimed)
    assert set(re.findall("`([^`]+)`", checks)) <= set(claimed)
