"""YAML of others: what looks like a number or a date and is none is an error of YAML, in every reader of such files."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tfm_harness.config.plain_yaml import PlainLoader
from tfm_harness.errors import ConfigError
from tfm_harness.history.issues import load_issues

WRONG = (
    "2999-01-41",
    "2024-02-30 10:00:00",
    "2024-01-01 25:00:00",
    "0x_",
    "0b_",
    "9" * 5000,
    "2024-01-01T00:00:00+99:99",
)


@pytest.mark.parametrize("value", WRONG, ids=lambda value: value[:24])
def test_a_scalar_that_is_none(value: str) -> None:
    with pytest.raises(yaml.YAMLError, match="line 2"):
        yaml.load(f"a: 1\nb: {value}\n", Loader=PlainLoader)


def test_right_ones() -> None:
    assert yaml.load("a: 0x1f\nb: [1, 2.5, text]\n", Loader=PlainLoader) == {"a": 31, "b": [1, 2.5, "text"]}


@pytest.mark.parametrize("value", WRONG, ids=lambda value: value[:24])
def test_known_issues(tmp_path: Path, value: str) -> None:
    path = tmp_path / "issues.yaml"
    path.write_text(f"- {{ticket: A-1, test: x, until: {value}}}\n")
    with pytest.raises(ConfigError):
        load_issues(path)
