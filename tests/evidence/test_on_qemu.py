"""Evidence of a real run in QEMU: signed at its end, verified, and its token appraised by endorsements alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tfm_harness.evidence.appraise import appraise
from tfm_harness.evidence.corim import make_corim, read_corim
from tfm_harness.evidence.ear import status_of, trustworthiness
from tfm_harness.findings import Policy, Report
from tfm_harness.trust.expectations import build_components
from tfm_harness.trust.kept import read_kept

from tests.reference_firmware import FIRMWARE, ROOT, needs_firmware
from tests.warm import run_in

pytestmark = [pytest.mark.qemu, needs_firmware]

TESTS = """
def test_token_and_result(device, stimulus, verifier):
    verifier.token(*device.attest())
    stimulus.play("vibration.csv")
    verifier.result(device.infer_window())
"""


def test_a_run_signs_its_evidence_and_another_tool_appraises_it(tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(TESTS)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "150"}
    env.pop("PYTEST_ADDOPTS", None)

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    words = ["-p", "no:cacheprovider", "--tfm-target=qemu-an547", f"--tfm-build={FIRMWARE}",
             "--tfm-state-dir=state", "--tfm-run-dir=run", "--tfm-evidence=throwaway", "test_user.py"]  # fmt: skip
    run = run_in(tmp_path, words, env)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "signed with a throw-away key" in run.stdout
    command = next(line for line in run.stdout.splitlines() if line.startswith("verify it: tfm-harness "))
    verified = call("tfm_harness.cli.main", *command.removeprefix("verify it: tfm-harness ").split())
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "judged again: 1 token, 1 result, 4 signed images" in verified.stdout
    assert list((tmp_path / "run.evidence/documents").glob("ear-*.jwt"))

    # The build's endorsements, with this device's key as anchor, are all that is needed.
    from tfm_harness.config.loading import load_build

    token = next(item for item in read_kept(tmp_path / "run/evidence.jsonl") if item.kind == "token")
    expected = token.facts["expected"]
    build = load_build(str(FIRMWARE))
    corim = read_corim(
        make_corim("reference", expected.implementation_id, build_components(build, model="tamper"), keys=token.keys)
    )
    for challenge, status in ((token.facts["challenge"], "affirming"), (bytes(32), "contraindicated")):
        report = Report(policy=Policy.VALIDATION)
        found = appraise(token.data, corim, report, challenge=challenge)
        assert status_of(trustworthiness(found.token, report)) == status
        assert report.ok is (status == "affirming"), report.failed


def test_a_wrong_key_is_found_before_any_board_is_touched(tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(TESTS)
    words = ["-p", "no:cacheprovider", "--tfm-target=qemu-an547", f"--tfm-build={FIRMWARE}",
             "--tfm-run-dir=run", "--tfm-evidence=missing.pem", "--tfm-state-dir=state", "test_user.py"]  # fmt: skip
    run = run_in(tmp_path, words, os.environ)
    assert run.returncode == 4
    assert "evidence-key" in run.stdout + run.stderr
    assert not list(tmp_path.rglob("*.log"))
