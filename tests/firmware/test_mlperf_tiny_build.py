"""The reference firmware with MLPerf Tiny's protocol, in QEMU: the suites that apply pass, a faulty kernel is seen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tfm_harness.report.record import RunRecord
from tfm_harness.report.storage import load_run

from tests.reference_firmware import FIRMWARE, ROOT, needs_firmware

pytestmark = [pytest.mark.qemu, needs_firmware]


def run(folder: Path, *words: str, vectors: int) -> tuple[int, RunRecord]:
    """Build into a folder, run the two suites on it; the exit code and the record."""
    out = folder / "out"
    made = ["make", "-s", "-C", str(FIRMWARE), "PROTOCOL=mlperf-tiny", f"OUT={out}", f"PYTHON={sys.executable}", *words]
    subprocess.run(made, check=True, timeout=600, capture_output=True)
    described = yaml.safe_load((out / "build.yaml").read_text())
    described["parity"] = {"vectors": vectors, "min_distinct": 2}
    (out / "build.yaml").write_text(yaml.safe_dump(described))
    command = [sys.executable, "-m", "tfm_harness.cli.main", "run", "parity", "latency", "--quick"]
    command += ["--target", "qemu-an547", "--build", str(out / "build.yaml"), "--run-dir", str(folder / "run")]
    done = subprocess.run(
        [*command, "--", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, "TFM_HARNESS_STATE_DIR": str(folder / "state")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert (folder / "run" / "run.json").exists(), done.stdout + done.stderr
    return done.returncode, load_run(folder / "run")


def test_the_suites_that_apply_pass_and_the_others_are_not_covered_by_name(tmp_path: Path) -> None:
    code, record = run(tmp_path, vectors=6)
    assert code == 0, record.headline
    passed = {test.nodeid.partition("::")[2].partition("[")[0] for test in record.tests if test.outcome == "passed"}
    assert passed == {"test_printed_results_are_the_references", "test_the_firmwares_time_fits_into_the_hosts"}
    uncovered = [test.message for test in record.tests if test.outcome == "not covered"]
    for word in ("batch", "signed-result", "sensor", "update"):
        assert any(word in message for message in uncovered), word
    assert [entry.firmware for entry in record.boards] == [
        "tfm-harness-reference MLPerf Tiny protocol, inference in the secure world"
    ]


@pytest.mark.nightly
def test_a_kernel_that_rounds_otherwise_is_seen_in_three_decimals(tmp_path: Path) -> None:
    code, record = run(tmp_path, "MUTANT=REQUANT_ROUNDING", vectors=24)
    assert code == 1
    failed = {finding.id for test in record.tests for finding in test.findings if finding.status == "failed"}
    assert failed == {"parity.printed-exact"}
