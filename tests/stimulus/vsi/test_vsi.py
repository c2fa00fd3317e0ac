"""The VSI script, called as the model's documentation says it is called."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.stimulus.base import Sample
from tfm_harness.stimulus.vsi.player import VsiFolder

from tests.scripts import load_script

A = Sample(1, -2, 3, 400)
B = Sample(-32768, 32767, 0, -1)
C = Sample(550, 640, 2047, 1600)


def load(folder: Path, instance: int = 0) -> ModuleType:
    module = load_script(folder / f"arm_vsi{instance}.py", f"vsi_under_test_{folder.name}")
    module.init()
    return module


def guest_sample(module: ModuleType) -> tuple[int, Sample]:
    module.wrRegs(0, 1)
    values = [module.rdRegs(1 + axis) for axis in range(4)]
    assert all(0 <= value < 1 << 32 for value in values)
    signed = [value - (1 << 32) if value & 0x80000000 else value for value in values]
    return module.rdRegs(5), Sample(*signed)


def test_registers_give_what_the_host_set(tmp_path: Path) -> None:
    folder = VsiFolder(tmp_path)
    folder.set(A)
    module = load(tmp_path)
    assert guest_sample(module) == (0, A)
    folder.set(B)
    assert guest_sample(module) == (0, B)
    assert module.rdRegs(0) == 2
    assert folder.served() == [A, B]


def test_trace_steps_once_a_sample_and_keeps_the_last(tmp_path: Path) -> None:
    folder = VsiFolder(tmp_path)
    folder.play([A, B, C])
    module = load(tmp_path)
    assert [guest_sample(module)[1] for _ in range(5)] == [A, B, C, C, C]
    assert folder.served(2) == [C, C]


def test_dma_block_holds_whole_samples(tmp_path: Path) -> None:
    folder = VsiFolder(tmp_path)
    folder.play([A, B, C])
    module = load(tmp_path)
    module.wrTimer(0, 1)
    module.wrDMA(0, 1)
    module.timerEvent()
    data = module.rdDataDMA(20)
    assert bytes(data) == A.record() + B.record() + bytes(4)
    assert folder.served() == [A, B]


def test_absent_sensor_is_a_status_not_old_data(tmp_path: Path) -> None:
    folder = VsiFolder(tmp_path)
    folder.set(A)
    module = load(tmp_path)
    assert guest_sample(module) == (0, A)
    folder.remove_sensor()
    status, sample = guest_sample(module)
    assert status == 1
    assert sample == Sample(0, 0, 0, 0)
    assert folder.served() == [A], "what was not served must not be expected"


def test_half_a_sample_is_not_served(tmp_path: Path) -> None:
    folder = VsiFolder(tmp_path)
    (tmp_path / "now.bin").write_bytes(b"\x01\x02\x03")
    assert guest_sample(load(tmp_path))[0] == 1
    assert folder.served() == []


def test_asking_for_more_than_was_served_is_the_benchs_fault(tmp_path: Path) -> None:
    folder = VsiFolder(tmp_path)
    folder.set(A)
    guest_sample(load(tmp_path))
    with pytest.raises(InfrastructureError, match="has not served") as caught:
        folder.served(2)
    assert caught.value.kind == "vsi-record"
    with (tmp_path / "served.bin").open("ab") as file:
        file.write(b"\x00")
    with pytest.raises(InfrastructureError, match="has not served"):
        folder.served()


def test_instances_outside_the_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no VSI instance 8"):
        VsiFolder(tmp_path, instance=8)


def test_interrupt_and_unknown_registers_behave(tmp_path: Path) -> None:
    VsiFolder(tmp_path)
    module = load(tmp_path)
    assert module.wrIRQ(5) == 5
    assert module.rdIRQ() == 5
    module.wrRegs(3, 99)
    assert module.rdRegs(3) == 0, "sample registers are read-only"
    module.wrRegs(10, 7)
    assert module.rdRegs(10) == 7
    module.wrDataDMA(b"\x00" * 8, 8)


def test_script_is_python_3_9_and_stdlib_only(tmp_path: Path) -> None:
    VsiFolder(tmp_path)
    tree = ast.parse((tmp_path / "arm_vsi0.py").read_text(), feature_version=(3, 9))
    imported = {
        alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom | ast.Match)]
    assert imported <= sys.stdlib_module_names
