"""P-256 in Arm's instructions: against the same arithmetic in C, on the emulated Cortex-M55."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
REFERENCE = HERE.parents[1]
CRYPTO = REFERENCE / "spe" / "crypto"
COMPILER = os.environ.get("CROSS_COMPILE", "arm-none-eabi-") + "gcc"
FLAGS = ["-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]
LINK = ["-nostartfiles", "--specs=nano.specs", "--specs=nosys.specs", "-Wl,--no-warn-rwx-segments"]
PLACES = ["-Wl,--section-start=.vectors=0x10000000", "-Ttext=0x10000100", "-Tdata=0x30000000", "-Tbss=0x30001000"]


def run(folder: Path, crypto: Path) -> int:
    """The status that the program ends with in QEMU."""
    program = folder / "p256.elf"
    sources = [str(HERE / "p256" / "main.c"), str(crypto / "p256_field.c")]
    subprocess.run(
        [COMPILER, *FLAGS, f"-I{crypto}", *LINK, *PLACES, "-Wl,-e,reset", *sources, "-o", str(program)],
        check=True,
        capture_output=True,
    )
    emulator = ["qemu-system-arm", "-M", "mps3-an547", "-nodefaults", "-nic", "none", "-display", "none"]
    emulator += ["-monitor", "none", "-semihosting-config", "enable=on,target=native", "-kernel", str(program)]
    return subprocess.run(emulator, timeout=120, check=False, stdin=subprocess.DEVNULL).returncode


def test_arms_instructions_compute_what_c_does(tmp_path: Path) -> None:
    assert run(tmp_path, CRYPTO) == 0


@pytest.mark.parametrize(
    ("right", "wrong", "status"),
    [
        ('"adds r3, r3, r12\\n adcs r4, r4, r12', '"adds r3, r3, r12\\n adds r4, r4, r12', 1),
        ('"ldr r0, " AT(r2, 32)', '"ldr r0, " AT(r2, 28)', 4),
        ('"adds " #t8 ", " #t8 ", r12\\n" CARRY_TO(t0)', '"adds " #t8 ", " #t8 ", r12\\n"', 3),
        ('"sbc r12, r12, r12\\n"', '"mov r12, #0\\n"', 1),
    ],
)
def test_a_wrong_instruction_is_seen(tmp_path: Path, right: str, wrong: str, status: int) -> None:
    for file in CRYPTO.glob("p256_*"):
        text = file.read_text()
        if file.name == "p256_words.c":
            assert text.count(right) >= 1
            text = text.replace(right, wrong)
        (tmp_path / file.name).write_text(text)
    assert run(tmp_path, tmp_path) == status


def test_the_table_is_what_its_tool_makes() -> None:
    made = subprocess.run(
        [sys.executable, str(REFERENCE / "tools" / "comb_table.py")], check=True, capture_output=True, text=True
    )
    assert made.stdout == (CRYPTO / "p256_comb.h").read_text()
