"""TF-M's advisories on a device: each affected firmware fails by the check that is about it, the mended one passes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tfm_harness.protocol.smp import CRYPTO_FORMS
from tfm_harness.testing import CRYPTO_HANDLE, UPDATE_HANDLE

from tests.plugin.conftest import Project
from tests.plugin.tfm_board import BASE, SIZE

SUITE = Path(__file__).resolve().parents[2] / "suites" / "abuse" / "test_advisories.py"
CRYPTO = f"  crypto: {{handle: {CRYPTO_HANDLE:#x}, types: [0]}}\n"
UPDATE = (
    f"  firmware-update: {{handle: {UPDATE_HANDLE:#x}, types: [1001, 1002, 1003, 1004, 1005, 1006, 1007, 1010],"
    ' calls: [{type: 1010, inputs: ["00"], outputs: [60]}]}\n'
)
CHECKS = {
    "TFMV-3": "advisory.abort-frees",
    "TFMV-4": "advisory.keys-of-others",
    "TFMV-5": "advisory.update-block",
    "TFMV-6": "advisory.whole-tag",
    "TFMV-9": "advisory.dependency-length",
}


def run(project: Project, fault: str, *args: str, services: str = CRYPTO + UPDATE) -> pytest.RunResult:
    memory = f"{{name: ns, at: {BASE:#x}, size: {SIZE:#x}, owner: nonsecure, scratch: {BASE:#x}}}"
    (project.path / "targets" / "tfm.yaml").write_text(
        f"kind: tfm\nconsoles: {{ns: 0, secure: 1}}\nfault: '{fault}'\n"
        f"memory_map:\n  memory: [{memory}]\nservices:\n{services}"
    )
    return project.run(str(SUITE), "--tfm-answer-timeout", "0.5", "-p", "tests.plugin.few_rounds", *args, target="tfm")


@pytest.mark.parametrize("advisory", CHECKS)
def test_each_affected_firmware_is_caught_by_its_check(project: Project, advisory: str) -> None:
    """Those of the update service end the firmware, so nothing else is tried behind them."""
    update = advisory in {"TFMV-5", "TFMV-9"}
    result = run(project, advisory, *(("-k", "update or dependency") if update else ()))
    assert result.ret == 1
    failed = {line.split()[0] for line in result.outlines if line.startswith("  advisory.")}
    assert failed == {CHECKS[advisory]}, result.stdout.str()


def test_a_mended_firmware_passes(project: Project) -> None:
    result = run(project, "")
    result.assert_outcomes(passed=9)


@pytest.mark.parametrize("number", range(1, len(CRYPTO_FORMS)))
def test_every_form_of_calls_is_found(project: Project, number: int) -> None:
    result = run(project, f"form-{number}", "-k", "tag or keys_of_others")
    result.assert_outcomes(passed=4, deselected=5)
    result = run(project, f"form-{number} TFMV-4 TFMV-6", "-k", "tag or keys_of_others")
    result.assert_outcomes(passed=2, failed=2, deselected=5)


def test_without_the_services_nothing_is_claimed(project: Project) -> None:
    result = run(project, "", services=CRYPTO.replace("crypto", "another"))
    result.assert_outcomes(skipped=9)
    why = "the firmware names no service `{}` for non-secure clients"
    result.stdout.fnmatch_lines([f"  7: {why.format('crypto')}", f"  2: {why.format('firmware-update')}"])
