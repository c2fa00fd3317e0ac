"""docs/nights.md: its farm file is one, its words are the code's, and its night runs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from tfm_harness.config.farm import Farm, FarmPool, Golden, Limits, load_farm
from tfm_harness.farm.health import STATES
from tfm_harness.farm.record import NightVerdict
from tfm_harness.farm.storage import load_night
from tfm_harness.farm.verdict import EXIT_CODES
from tfm_harness.testing import make_distribution

from tests.farm.farms import write
from tests.reference_firmware import ROOT, needs_firmware
from tests.warm import run_in

PAGE = (ROOT / "docs" / "nights.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## A farm's night in one command") :]
FIRST = PAGE[PAGE.index("## Your first night") : PAGE.index("## The store")]
EXAMPLE = re.search(r"```yaml\n(# farm.yaml\n.*?)```", FIRST, re.DOTALL)


def test_the_shown_file_is_a_farm(tmp_path: Path) -> None:
    assert EXAMPLE is not None
    (tmp_path / "farm.yaml").write_text(EXAMPLE[1])
    farm = load_farm(tmp_path / "farm.yaml")
    assert farm.limits.night == 1800
    assert farm.golden == Golden()


def test_every_key_is_told() -> None:
    for model, without in ((Farm, {"name", "description"}), (FarmPool, {"targets"}), (Golden, set()), (Limits, set())):
        for key in set(model.model_fields) - without:
            assert f"`{key}`" in SECTION or f"{key}:" in SECTION, f"{model.__name__}.{key}"


def test_every_state_verdict_and_trouble_is_told() -> None:
    for state in STATES:
        assert state in SECTION
    for verdict in get_args(NightVerdict):
        assert verdict in SECTION
        rows = [line.split("|") for line in SECTION[SECTION.index("| exit code |") :].splitlines() if line[:2] == "| "]
        (codes,) = [
            row[1]
            for row in rows
            if verdict in row[2].split(" ") or f"{verdict}," in row[2] or row[2].strip() == verdict
        ]
        assert str(EXIT_CODES[verdict]) in codes.replace(" ", "").split(",")
    sources = " ".join(path.read_text() for path in (ROOT / "harness" / "tfm_harness" / "farm").rglob("*.py"))
    for trouble in set(re.findall(r'"((?:session|worker|night|build)-(?:[a-z]+))"', sources)):
        if trouble not in {
            "night-write",
            "night-file",
            "night-journal",
            "night-changed",
            "session-start",
            "session-files",
        }:
            assert f"`{trouble}`" in SECTION, trouble


def test_the_first_night_by_hand_on_a_simulated_board(tmp_path: Path) -> None:
    """Each command of the tutorial, in its order, in a folder with nothing else; QEMU's board is simulated."""
    assert EXAMPLE is not None
    boards = {"simulator": "tests.plugin.simulator_board:SimulatorBoard"}
    make_distribution(tmp_path / "site", "tests-simulator-board", {"tfm_harness.boards": boards})
    here = tmp_path / "here"
    write(here / "targets" / "qemu-an547.yaml", "kind: simulator\nconsoles: {ns: 0, secure: 1}\n")
    write(
        here / "fw_builds" / "reference" / "build.yaml",
        "protocol: smp\ntrust: {iak: provisioned, results: provisioned}\n",
    )
    for suite in ("boot", "attestation"):
        body = "import pytest\n\ndef test_serves(device):\n    assert device.describe()\n"
        body += "\n@pytest.mark.thorough\ndef test_more(device):\n    assert device.describe()\n"
        write(here / "suites" / suite / f"test_{suite}.py", body)
        write(here / "suites" / suite / "README.md", f"# {suite}\n\nIt serves.\n")
    write(here / "farm.yaml", EXAMPLE[1])
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TFM_HARNESS")},
        "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path / 'site'}", "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }  # fmt: skip
    lines = [line.strip() for line in FIRST.splitlines() if line.startswith("    tfm-harness ")]
    assert len(lines) == 10
    said = []
    for line in lines:
        words = shlex.split(line.removeprefix("tfm-harness "))
        done = run_in(here, words, environment, 300, "tfm-harness")
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        said.append(done.stdout)
    plan, night, show, summary, _, health, _, out, _, resumed = said
    assert "reference: golden check: boot" in plan
    assert "PASSED" in night
    assert "2 passed, 2 left out" in show
    assert "2 passed, 2 left out" in summary
    assert (here / "pages" / "index.html").is_file()
    assert "qemu-an547               Good" in health
    assert "never: reference on desk: qemu-an547: Maintenance: new USB cable" in out
    assert out.rstrip().endswith("nothing of it would run")
    assert ": 0 sessions on 1 board;" in resumed
    assert len(list((here / "nights").iterdir())) == 1


@needs_firmware
def test_the_shown_plan_runs_nothing(tmp_path: Path) -> None:
    done = _night(tmp_path, "--plan")
    assert done.returncode == 0, done.stderr
    assert "qemu-an547" in done.stdout
    assert "reference: boot, attestation" in done.stdout
    assert not (tmp_path / "nights").exists()


@needs_firmware
@pytest.mark.nightly
@pytest.mark.qemu
def test_the_shown_night_runs(tmp_path: Path) -> None:
    done = _night(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (tmp_path / "nights").iterdir()
    record = load_night(folder)
    assert record.verdict == "passed"
    assert [session.golden for session in record.sessions] == [True, False]
    assert "about " in _night(tmp_path, "--plan").stdout


def _night(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    assert EXAMPLE is not None
    (folder / "farm.yaml").write_text(EXAMPLE[1] + "state_dir: state\n")
    return subprocess.run(
        [sys.executable, "-m", "tfm_harness.cli.main", "night", str(folder / "farm.yaml"), *words],
        cwd=folder, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
