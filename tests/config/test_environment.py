"""Environment variables: the table is what the code reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tfm_harness.cli import main as cli
from tfm_harness.config.environment import PREFIX, VARIABLES, check_environment
from tfm_harness.errors import ConfigError
from tfm_harness.plugin.options import OPTIONS

from tests.tree import own_files

ROOT = Path(__file__).resolve().parents[2]
NAMES = {option.env for option in OPTIONS}


def test_every_variable_that_the_project_names_is_in_the_table() -> None:
    named = set()
    for folder in ("harness", "suites", "benchmarks", "docs", ".ci"):
        for suffix in (".py", ".md", ".sh", ".yml", ".yaml"):
            for path in own_files(ROOT / folder, suffix):
                named |= set(re.findall(rf"\b{PREFIX}[A-Z0-9_]*[A-Z0-9]\b", path.read_text("utf-8")))
    assert named - NAMES <= set(VARIABLES)


def test_what_is_known_passes() -> None:
    check_environment(NAMES, dict.fromkeys([*NAMES, *VARIABLES, "HOME", "TFM_OTHER"], "1"))


def test_what_is_unknown_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="TFM_HARNESS_RUNDIR; did you mean TFM_HARNESS_RUN_DIR"):
        check_environment(NAMES, {"TFM_HARNESS_RUNDIR": "x"})


def test_the_command_looks_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TFM_HARNESS_STATEDIR", "x")
    assert cli.main(["targets"]) == 4
    assert "did you mean TFM_HARNESS_STATE_DIR?" in capsys.readouterr().err
