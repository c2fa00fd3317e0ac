"""A hostile non-secure image, rightly signed: it may do what it likes to itself, and nothing to the secure side."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from lab import REFERENCE, Lab, resign, wait_for_log
from qemu_board import QemuBoard

PLATFORM = REFERENCE / "platform" / "an547"
FLAGS = ["-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard", "-O1", "-ffreestanding", "-Wall", "-Wextra", "-Werror"]
INCLUDES = ["spe/include", "spe/interface", "pseudo_driver", "platform/an547"]


@pytest.fixture(scope="module")
def hostile(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    sources = [Path(__file__).parent / "hostile" / "main.c", PLATFORM / "startup_nonsecure.c"]
    sources += [REFERENCE / "spe/interface" / name for name in ("tfm_psa_ns_api.c", "device_ioctl.c")]
    elf, binary = folder / "hostile.elf", folder / "hostile.bin"
    command = ["arm-none-eabi-gcc", *FLAGS, *(f"-I{REFERENCE / path}" for path in INCLUDES)]
    command += ["-nostartfiles", "--specs=nano.specs", "--specs=nosys.specs", "-Wl,--no-warn-rwx-segments"]
    command += ["-T", str(PLATFORM / "nonsecure.ld"), *map(str, sources), str(images / "veneers.o"), "-o", str(elf)]
    subprocess.run(command, check=True, timeout=300)
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", str(elf), str(binary)], check=True, timeout=300)
    return resign(binary, folder / "hostile.signed.bin")


def lines_until(board: QemuBoard, last: str) -> list[str]:
    lines: list[str] = []
    while not lines or lines[-1] != last:
        lines.append(board.device.line(60).decode())
    return lines


def test_hostile_image(lab: Lab, hostile: Path) -> None:
    with lab.boot(nspe=hostile) as board:
        lines = lines_until(board, "end 0")
        assert lines == [
            "start 0",
            "handler -133",  # services are for thread mode
            "garbage -129",
            "version 1",
            "no service 0",
            "framework 257",
            "undefined 1",
            "null 1",
            "it block 11",
            *["branch 1"] * 6,
            "unprivileged, own 0",
            "unprivileged, private input -129",
            "unprivileged, private output -129",
            "end 0",
        ]
        log = wait_for_log(board, "PANIC")
        assert "[SPE] PANIC: the non-secure side cannot go on after its fault" in log
        assert lines_until(board, "end 0")[0] == "start 0"  # the reset gave it another chance
