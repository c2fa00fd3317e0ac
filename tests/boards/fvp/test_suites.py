"""The suites on the reference firmware, on an FVP target, through the simulator: as users run them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tfm_harness.testing.simulators import fvp as simulator

from tests.boards.real_build import run_suites
from tests.reference_firmware import ROOT, needs_firmware

pytestmark = [pytest.mark.qemu, needs_firmware]


@pytest.mark.parametrize(
    "suites",
    [
        ("results",),
        pytest.param(("attestation", "boot", "provisioning", "results"), marks=pytest.mark.nightly),
    ],
    ids=["short", "all"],
)
def test_suites_pass(tmp_path: Path, suites: tuple[str, ...]) -> None:
    binary = simulator.install(tmp_path)
    iris = Path(simulator.__file__).parent / "iris_python"
    text = (ROOT / "targets" / "fvp-corstone300.yaml").read_text()
    text = text.replace("binary: FVP_Corstone_SSE-300_Ethos-U55", f"binary: {binary}")
    target = tmp_path / "fvp.yaml"
    # The build has a model that reads sensors; an FVP without `vsi` has nothing that plays them.
    sensors = "sensors:\n  mag: {model: lsm303dlhc, address: 0x1e}\n  temp: {model: tmp105, address: 0x48}\n"
    target.write_text(f"{text}iris: {{python_path: {iris}}}\n{sensors}")
    done = run_suites(tmp_path, target, "reference", *suites, timeout=300)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert "simulator" in json.dumps(record["boards"])
    assert " passed" in done.stdout
    # An FVP keeps nothing between processes: counters that start anew after a cold start are not the product's fault.
    assert "has no nonvolatile" in done.stdout
