"""A night on a place of a labgrid farm: a real coordinator and exporter on loopback, QEMU behind them as the board."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tfm_harness.farm.storage import load_night

from tests.boards.labgrid.kit import Farm, QemuBehindTcp, labgrid_python
from tests.boards.real_build import write_build
from tests.boards.test_real_suites import COMMON
from tests.farm.farms import write
from tests.reference_firmware import needs_firmware

pytestmark = [pytest.mark.qemu, pytest.mark.nightly, needs_firmware]

PROVE = "def test_it_serves(device):\n    assert device.describe()\n"


def test_a_night_takes_its_board_from_labgrid_and_gives_it_back(tmp_path: Path, probe_elf: Path) -> None:
    python = labgrid_python()
    if isinstance(python, str):
        pytest.skip(python)
    fake = QemuBehindTcp(tmp_path, probe_elf)
    with Farm(python, tmp_path / "labgrid", fake) as farm:
        write(
            tmp_path / "targets" / "shelf.yaml",
            f"""\
kind: labgrid
coordinator: {farm.coordinator}
place: an547-0
python: {python}
consoles:
  ns: {{resource: uart-ns}}
  secure: {{resource: uart-s}}
flash: {{kind: command, command: {json.dumps(fake.flash_command)}}}
timeouts: {{acquire: 10}}
{COMMON}""",
        )
        for name in ("golden", "product"):
            build = write_build(tmp_path / "fw_builds" / name)
            build.write_text(build.read_text().replace("name: bench", f"name: {name}"))
        write(tmp_path / "suites" / "prove" / "test_prove.py", PROVE)
        write(tmp_path / "suites" / "prove" / "README.md", "# prove\n\nThe board serves.\n")
        write(
            tmp_path / "farm.yaml",
            "builds: [product]\npools: {shelf: {targets: [shelf]}}\nsuites: [prove]\nstate_dir: state\n"
            "golden: {build: golden, suites: [prove]}\n",
        )

        done = subprocess.run(
            [sys.executable, "-m", "tfm_harness.cli.main", "night", "farm.yaml"], cwd=tmp_path,
            env={**os.environ, "TFM_HARNESS_LOCK_DIR": str(tmp_path / "locks")}, capture_output=True, text=True,
            timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        record = load_night(max((tmp_path / "nights").iterdir()))
        assert [(one.board, one.build, one.golden, one.verdict) for one in record.sessions] == [
            ("shelf", "golden", True, "passed"), ("shelf", "product", False, "passed"),
        ]  # fmt: skip
        (board,) = record.boards
        assert (board.state, board.away) == ("Good", "")
        assert farm.holder() == ""
