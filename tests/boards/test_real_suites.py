"""The suites on the reference firmware, on each kind of real board, through its simulator: as users run them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from tfm_harness.config.loading import load_build, load_target
from tfm_harness.testing.simulators.mps3 import StandInMps3, make_card
from tfm_harness.testing.simulators.probe_board import StandInProbeBoard, entry_point_folder

from tests.boards.labgrid.kit import Farm, QemuBehindTcp, labgrid_python
from tests.boards.real_build import run_suites, write_build
from tests.reference_firmware import ROOT, needs_firmware

pytestmark = [pytest.mark.qemu, needs_firmware]

# The firmware and the suites are those of the runs on QEMU. `make test` runs here what shows a kind of board: how it is
# flashed, reset and heard. Every night all suites run that the kind can run.
EVERY_NIGHT = pytest.mark.nightly

COMMON = """\
sensors:
  mag: {model: lsm303dlhc, address: 0x1e}
  temp: {model: tmp105, address: 0x48}
clock: {source: sse-counter, hz: 32000000}
""" + yaml.safe_dump(
    {
        key: value
        for key, value in yaml.safe_load((ROOT / "targets" / "mps3-an547.yaml").read_text()).items()
        if key in {"memory_map", "services"}
    }
)


def judge(done: subprocess.CompletedProcess[str], folder: Path, least: int) -> dict[str, object]:
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = int(done.stdout.rstrip().splitlines()[-1].split(" passed")[0].split()[-1])
    assert passed >= least, done.stdout[-3000:]
    (board,) = json.loads((folder / "run" / "run.json").read_text())["boards"]
    assert isinstance(board, dict)
    return board


@pytest.mark.parametrize(
    ("suites", "least"),
    [
        (("boot", "provisioning"), 10),
        pytest.param(("attestation", "boot", "provisioning", "results", "isolation"), 40, marks=EVERY_NIGHT),
    ],
    ids=["short", "all"],
)
def test_on_an_mps3(tmp_path: Path, suites: tuple[str, ...], least: int) -> None:
    card = make_card(tmp_path / "V2M-MPS3")
    before = {path: path.read_bytes() for path in card.rglob("*") if path.is_file()}
    with StandInMps3(card, tmp_path, entropy_at=0x38001000, flash=True) as fake:
        target = tmp_path / "mps3.yaml"
        target.write_text(
            f"""\
kind: mps3
disk: {{mount: {card}}}
mcc: {{kind: serial, port: {fake.ports[0]}, reconnect: 5}}
consoles:
  ns: {{kind: serial, port: {fake.ports[1]}, reconnect: 5}}
  secure: {{kind: serial, port: {fake.ports[2]}, reconnect: 5}}
restore: true
{COMMON}"""
        )
        build = write_build(tmp_path / "build")
        done = run_suites(tmp_path, target, build, *suites)
    board = judge(done, tmp_path, least)
    assert "has no cold-reset" not in done.stdout
    assert "MPS3 AN547" in json.dumps(board)
    assert {path: path.read_bytes() for path in card.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("suites", "least"),
    [(("results/test_results.py",), 5), pytest.param(("attestation", "boot", "results"), 25, marks=EVERY_NIGHT)],
    ids=["short", "all"],
)
def test_behind_a_debug_probe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suites: tuple[str, ...], least: int
) -> None:
    site = entry_point_folder(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(ROOT)]))
    with StandInProbeBoard("TESTPROBE1", tmp_path / "p") as fake:
        monkeypatch.setenv(*fake.environment)
        target = tmp_path / "probe.yaml"
        target.write_text(
            f"""\
kind: probe
probe: TESTPROBE1
start: 0x10000000
regions:
  itcm: {{start: 0x10000000, size: 512K}}
  dtcm: {{start: 0x30000000, size: 512K}}
  sram: {{start: 0x01000000, size: 2M}}
  qspi: {{start: 0x38000000, size: 8M}}
consoles:
  ns: {{kind: tcp, host: 127.0.0.1, port: {fake.ports[0]}}}
  secure: {{kind: tcp, host: 127.0.0.1, port: {fake.ports[1]}}}
{COMMON}"""
        )
        build = write_build(tmp_path / "build", entropy=True)
        done = run_suites(tmp_path, target, build, *suites)
    board = judge(done, tmp_path, least)
    assert "simulator: QEMU gdbstub" in json.dumps(board)
    # Without a switch there are no cold resets: that is not covered, and not the bench's fault.
    assert "has no cold-reset" in done.stdout


@pytest.mark.parametrize(
    ("suites", "least"),
    [(("attestation",), 5), pytest.param(("attestation", "provisioning", "isolation"), 20, marks=EVERY_NIGHT)],
    ids=["short", "all"],
)
def test_in_a_labgrid_farm(tmp_path: Path, probe_elf: Path, suites: tuple[str, ...], least: int) -> None:
    python = labgrid_python()
    if isinstance(python, str):
        pytest.skip(python)
    fake = QemuBehindTcp(tmp_path, probe_elf)
    with Farm(python, tmp_path / "farm", fake) as farm:
        target = tmp_path / "farm.yaml"
        target.write_text(
            f"""\
kind: labgrid
coordinator: {farm.coordinator}
tags: {{board: mps3-an547}}
python: {python}
consoles:
  ns: {{resource: uart-ns}}
  secure: {{resource: uart-s}}
flash: {{kind: command, command: {json.dumps(fake.flash_command)}}}
timeouts: {{acquire: 60}}
{COMMON}"""
        )
        build = write_build(tmp_path / "build")
        done = run_suites(tmp_path, target, build, *suites)
        assert farm.holder() == ""
    board = judge(done, tmp_path, least)
    assert "an547-0" in json.dumps(board)
    assert "has no warm-reset" in done.stdout


@pytest.mark.parametrize("name", ["mps3-an547", "probe-example", "labgrid-example"])
def test_models_in_slots_would_never_reach_a_real_board(name: str) -> None:
    problems = load_target(name).check_build(load_build("reference"))
    assert any("needs it among `images`" in problem for problem in problems)
