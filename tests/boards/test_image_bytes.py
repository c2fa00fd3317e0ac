"""Images as bytes at addresses: what is loaded, and what is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from tfm_harness.boards.image_bytes import segments, whole_build
from tfm_harness.config.build import Build
from tfm_harness.config.image import Image
from tfm_harness.errors import ConfigError


def elf(*loads: tuple[int, int, bytes]) -> bytes:
    """A 32-bit little-endian ELF with PT_LOAD segments of (virtual, physical, content)."""
    head = 52 + 32 * len(loads)
    data = b"\x7fELF\x01\x01\x01" + bytes(9)
    data += struct.pack("<HHIIIIIHHHHHH", 2, 40, 1, 0, 52, 0, 0, 52, 32, len(loads), 40, 0, 0)
    offset = head
    for virtual, physical, content in loads:
        data += struct.pack("<8I", 1, offset, virtual, physical, len(content), len(content) + 64, 7, 4)
        offset += len(content)
    return data + b"".join(content for _, _, content in loads)


def test_elf_goes_to_physical_addresses_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.elf"
    path.write_bytes(elf((0x20000000, 0x1000, b"data"), (0x0, 0x0, b"code")))
    assert segments(path, "elf", None) == [(0x0, b"code"), (0x1000, b"data")]


def test_segments_without_bytes_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.elf"
    path.write_bytes(elf((0, 0, b"code"), (0x20000000, 0x20000000, b"")))
    assert segments(path, "elf", None) == [(0, b"code")]


def test_intel_hex(tmp_path: Path) -> None:
    path = tmp_path / "a.hex"
    path.write_text(":020000041000EA\n:04001000DEADBEEFB4\n:0200400012346C\n:00000001FF\n".replace("6C", "78"))
    assert segments(path, "ihex", None) == [(0x10000010, b"\xde\xad\xbe\xef"), (0x10000040, b"\x12\x34")]


def test_raw(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"raw")
    assert segments(path, "bin", 0x100) == [(0x100, b"raw")]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("elf", b""),
        ("elf", b"\x7fELF"),
        ("elf", elf((0, 0, b"x"))[:60]),
        ("elf", elf()),
        ("elf", b"MZ" + bytes(100)),
        ("ihex", b":02000004100000\n"),
        ("ihex", b"no hex at all"),
        ("ihex", b":00000001FF\n"),
        ("bin", None),
    ],
)
def test_what_cannot_be_loaded_is_a_clear_error(tmp_path: Path, kind: str, content: bytes | None) -> None:
    path = tmp_path / "bad"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        segments(path, kind, 0 if kind == "bin" else None)
    assert caught.value.kind == "image-invalid"
    assert str(path) in (caught.value.where or "")


def test_a_raw_image_needs_an_address(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"raw")
    with pytest.raises(ConfigError, match="without an address"):
        segments(path, "bin", None)


def build_of(folder: Path, *places: int) -> Build:
    images = []
    for number, at in enumerate(places):
        file = folder / f"i{number}.bin"
        file.write_bytes(b"x" * 16)
        images.append(Image(file=file, world="data", at=at))
    return Build(name="b", images=tuple(images))


def test_overlapping_images_are_refused_and_neighbours_are_not(tmp_path: Path) -> None:
    assert [address for _, address, _ in whole_build(build_of(tmp_path, 0x20, 0x10))] == [0x20, 0x10]
    with pytest.raises(ConfigError) as caught:
        whole_build(build_of(tmp_path, 0x10, 0x1F))
    assert caught.value.kind == "image-overlap"
    assert "0x0000001f" in (caught.value.seen or "")
