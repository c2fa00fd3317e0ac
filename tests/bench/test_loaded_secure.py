"""What a build loads into secure memory, in any format: where the suite isolation reads through the debug port."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace

import pytest
from intelhex import IntelHex
from tfm_harness.bench.opened import OpenCombination
from tfm_harness.config.build import Build
from tfm_harness.config.memory_map import MemoryMap

CODE = bytes(range(1, 101))
MAP = MemoryMap.model_validate(
    {
        "memory": [
            {"name": "secure", "at": 0x38000000, "size": "4K", "owner": "secure", "holds": ["secrets"]},
            {"name": "non-secure", "at": 0x38001000, "size": "4K", "owner": "nonsecure"},
        ],
        "peripherals": [],
    }
)


def elf(at: int, content: bytes) -> bytes:
    header = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1" + bytes(9), 2, 40, 1, at, 52, 0, 0, 52, 32, 1, 40, 0, 0)
    return header + struct.pack("<8I", 1, 84, at, at, len(content), len(content), 5, 4) + content


@pytest.mark.parametrize("suffix", [".hex", ".elf", ".bin"])
@pytest.mark.parametrize("world", ["secure", "nonsecure"])
@pytest.mark.parametrize(
    ("at", "found"),
    [
        (0x38000100, [(0x38000100, CODE)]),
        (0x38000FF0, [(0x38000FF0, CODE[:16])]),  # secure and non-secure image in one file
        (0x37FFFFF0, [(0x38000000, CODE[16:])]),
        (0x38001000, []),
    ],
)
def test_what_is_loaded_into_secure_memory(
    suffix: str, world: str, at: int, found: list[tuple[int, bytes]], tmp_path: Path
) -> None:
    file = tmp_path / f"image{suffix}"
    if suffix == ".hex":
        image = IntelHex()
        image.puts(at, CODE)
        image.write_hex_file(str(file))
    else:
        file.write_bytes(elf(at, CODE) if suffix == ".elf" else CODE)
    entry = {"file": str(file), "world": world} | ({"at": at} if suffix == ".bin" else {})
    build = Build.model_validate({"name": "b", "images": [entry], "protocol": "smp"})
    bench = SimpleNamespace(combination=SimpleNamespace(build=build), memory_map=MAP)
    read = OpenCombination.__dict__["loaded_secure"].fget
    loaded = [(begin, content) for begin, content in read(bench) if content]
    assert loaded == (found if world == "secure" else [])
