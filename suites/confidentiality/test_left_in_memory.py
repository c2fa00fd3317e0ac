"""No key, no sample and no piece of a model is left in non-secure memory, or in registers."""

from __future__ import annotations

from pathlib import Path

import pytest
from tfm_harness import (
    Bench,
    Check,
    Checks,
    Device,
    ResetKind,
    SecretSearch,
    SecretWork,
    Stimulus,
    VirtualBoard,
)
from tfm_harness.verify import Scanner, gateways

pytestmark = pytest.mark.needs("infer", "describe")

REGISTERS = Check(
    id="confidentiality.registers-on-return",
    title="registers hold nothing of the secure side when a call returns to the non-secure side",
    requirement="Armv8-M Security Extension (Arm 100720 s.4: registers are cleared before BXNS); AAPCS32 s.6.1",
)


@pytest.mark.needs("known-secrets", "memory-dump", "memory-map")
def test_no_key_is_left_in_memory(bench: Bench, device: Device, work: SecretWork, search: SecretSearch) -> None:
    work.keys()
    with search.beside():
        search.memory([(SecretSearch.SECRET_LEFT, work.secrets())])
        if not bench.missing(["warm-reset"]):
            device.reset(ResetKind.WARM)
            search.memory([(SecretSearch.SECRET_LEFT, work.secrets())])


@pytest.mark.thorough
@pytest.mark.needs("sensor", "stimulus", "sensor-model", "memory-dump", "memory-map")
def test_no_sample_is_left_in_memory(work: SecretWork, stimulus: Stimulus, search: SecretSearch) -> None:
    work.sensor(stimulus)
    search.memory([(SecretSearch.SENSOR_LEFT, work.sensor_secrets())])


@pytest.mark.thorough
@pytest.mark.needs("models", "memory-dump", "memory-map")
def test_no_piece_of_a_model_is_left_in_memory(work: SecretWork, search: SecretSearch) -> None:
    work.keys()
    search.memory([(SecretSearch.MODEL_LEFT, work.models())])


@pytest.mark.needs("known-secrets", "call-stops")
def test_registers_hold_nothing_secret_on_return(
    bench: Bench, work: SecretWork, virtual: VirtualBoard, checks: Checks
) -> None:
    """Looks at the registers on return from each call while keys are used.

    Those that the callee may change are cleared, the others are the caller's own.
    """
    entries = [at for image in bench.combination.build.images for at in gateways_of(image.file)]
    if not entries:
        pytest.skip("not covered: the build names no secure ELF image with gateways")
    calls = virtual.calls(work.keys, entries)
    scanner = Scanner(work.secrets())
    checks(REGISTERS, bool(calls), expected="calls of the secure side", seen="none", subject="gateways")
    for number, (before, after) in enumerate(calls):
        left: list[str] = []
        for name, old, new in (
            *((f"r{n}", before.general[n], after.general[n]) for n in range(1, 13)),
            *((f"s{n}", before.floats[n], after.floats[n]) for n in range(32)),
        ):
            scratch = name in {"r1", "r2", "r3", "r12"} or (name[0] == "s" and int(name[1:]) < 16)
            own = {old, 0, before.lr, after.lr} if scratch else {old}
            if new not in own:
                left.append(f"{name} = {new:#010x}")
        names = [*(f"r{n}" for n in range(13)), *(f"s{n}" for n in range(32))]
        leaks = [
            f"{leak.length} bytes of {leak.secret} in {names[leak.at]}"
            for leak in scanner.in_words((*after.general, *after.floats))
        ]
        seen = "; ".join([*leaks[:2], *left[:6]])
        checks(
            REGISTERS, not left and not leaks,
            expected="r1-r3, r12, s0-s15 cleared, r4-r11, s16-s31 unchanged", seen=seen, subject=f"call {number}",
        )  # fmt: skip


def gateways_of(image: Path) -> list[int]:
    """Where a secure image is entered; none where it is no ELF file."""
    data = image.read_bytes()
    return gateways(data) if data.startswith(b"\x7fELF") else []
