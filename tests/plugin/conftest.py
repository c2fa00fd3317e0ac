from __future__ import annotations

import os
from pathlib import Path

import pytest
from tfm_harness.testing import make_distribution

from tests.warm import run_pytest

ROOT = Path(__file__).resolve().parents[2]


class Project:
    """A user's project: a folder with targets, builds and tests, run as a user runs it."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester = pytester
        self.path = pytester.path
        self.limit = 180.0  # seconds for a run
        monkeypatch.setenv("TFM_HARNESS_STATE_DIR", str(self.path / "state"))
        site = self.path / "site"
        boards = {
            "simulator": "tests.plugin.simulator_board:SimulatorBoard",
            "tfm": "tests.plugin.tfm_board:TfmBoard",
        }
        make_distribution(site, "tests-simulator-board", {"tfm_harness.boards": boards})
        monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{site}")
        monkeypatch.setenv("COLUMNS", "160")
        pytester.makeconftest("")
        self.target("bench")
        self.build("fw")

    def append_conftest(self, text: str) -> None:
        path = self.path / "conftest.py"
        path.write_text(path.read_text() + "\n" + text)

    def target(self, name: str, fault: str = "", extra: str = "") -> None:
        folder = self.path / "targets"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.yaml").write_text(
            f"kind: simulator\nconsoles: {{ns: 0, secure: 1}}\nfault: '{fault}'\n{extra}"
        )

    def build(self, name: str, text: str = "") -> None:
        folder = self.path / "fw_builds" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "build.yaml").write_text("protocol: smp\ntrust: {iak: provisioned, results: provisioned}\n" + text)

    def test(self, body: str, suite: str = "mine") -> Path:
        folder = self.path / suite
        folder.mkdir(exist_ok=True)
        path = folder / f"test_{suite}.py"
        path.write_text(body)
        return path

    def run(self, *args: str, target: str = "bench", build: str = "fw") -> pytest.RunResult:
        """In a process of its own, as users do."""
        chosen = [*(["--tfm-target", target] if target else []), *(["--tfm-build", build] if build else [])]
        return run_pytest(self.pytester, *chosen, "-p", "no:cacheprovider", *args, timeout=self.limit)

    def life(self, target: str = "bench") -> list[str]:
        """What happened to the board, in order."""
        path = self.path / "state" / f"{target}.life"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(pytester, monkeypatch)
