"""The MPS3's card: a folder stands in for the mount."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.boards.mps3_card import Card, fat_is_dirty
from harness.errors import BenchError


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    folder = tmp_path / "V2M-MPS3"
    note = folder / "MB" / "HBI0309C" / "AN547"
    note.mkdir(parents=True)
    (note / "images.txt").write_text("[IMAGES]\nTOTALIMAGES: 1\nIMAGE0ADDRESS: 0\nIMAGE0FILE: \\SOFTWARE\\old.bin\n")
    (note / "an547_v2.txt").write_text("fpga")
    (folder / "MB" / "HBI0309C" / "board.ebf").write_bytes(b"fpga")
    (folder / "config.txt").write_text("AUTORUN: TRUE")
    (folder / "SOFTWARE").mkdir()
    (folder / "SOFTWARE" / "old.bin").write_bytes(b"what was there")
    (folder / "SOFTWARE" / "other.bin").write_bytes(b"somebody's")
    return folder


@pytest.fixture
def card(mount: Path) -> Card:
    return Card(mount, "AN547", sync=lambda: None)


IMAGES = {"secure.bin": b"\x01" * 5000, "ns.bin": b"\x02" * 100}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_written_images_verify_and_nothing_else_changes(card: Card, mount: Path) -> None:
    before = tree(mount)
    card.verify(card.write(IMAGES, "new text"))
    after = tree(mount)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"MB/HBI0309C/AN547/images.txt", "SOFTWARE/HARNESS.TXT", "SOFTWARE/ns.bin", "SOFTWARE/secure.bin"}
    assert set(before) <= set(after)


def test_images_of_the_run_before_are_removed(card: Card, mount: Path) -> None:
    card.write(IMAGES, "one")
    card.write({"only.bin": b"x"}, "two")
    names = sorted(p.name for p in (mount / "SOFTWARE").iterdir())
    assert names == ["HARNESS.TXT", "old.bin", "only.bin", "other.bin"]


def test_a_manifest_cannot_name_files_elsewhere(card: Card, mount: Path) -> None:
    (mount / "SOFTWARE" / "HARNESS.TXT").write_text('["../config.txt", "..\\\\config.txt", 7, "other.ebf"]')
    card.write(IMAGES, "one")
    assert (mount / "config.txt").read_text() == "AUTORUN: TRUE"
    (mount / "SOFTWARE" / "HARNESS.TXT").write_text("not json")
    card.write(IMAGES, "one")


def test_backup_is_made_once_and_restores(card: Card, mount: Path, tmp_path: Path) -> None:
    before = tree(mount)
    card.backup(tmp_path / "backup")
    card.write({**IMAGES, "old.bin": b"ours"}, "new")
    card.backup(tmp_path / "backup")
    card.restore(tmp_path / "backup")
    after = tree(mount)
    assert after["MB/HBI0309C/AN547/images.txt"] == before["MB/HBI0309C/AN547/images.txt"]
    assert after["SOFTWARE/old.bin"] == b"what was there"


def test_restoring_without_a_backup_is_refused(card: Card, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no backup"):
        card.restore(tmp_path / "none")


def test_damage_after_writing_is_found(card: Card, mount: Path) -> None:
    written = card.write(IMAGES, "text")
    path = mount / "SOFTWARE" / "secure.bin"
    path.write_bytes(b"\x01" * 4999 + b"\x03")
    with pytest.raises(BenchError, match=r"secure\.bin on the card is not what was written"):
        card.verify(written)
    path.unlink()
    with pytest.raises(BenchError, match="not what was written"):
        card.verify(written)


def fake_statvfs(**changes: int) -> Callable[[object], os.statvfs_result]:
    real = os.statvfs("/")

    def statvfs(_: object) -> os.statvfs_result:
        names = ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_favail", "f_flag")
        return os.statvfs_result([changes.get(name, getattr(real, name)) for name in names] + [255])

    return statvfs


def test_full_card_is_refused_before_anything_is_written(
    card: Card, mount: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(mount)
    monkeypatch.setattr(os, "statvfs", fake_statvfs(f_bavail=10, f_frsize=512))
    with pytest.raises(BenchError, match="too full") as caught:
        card.write(IMAGES, "text")
    assert caught.value.kind == "mps3-full"
    assert tree(mount) == before


def test_read_only_card_is_refused(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", fake_statvfs(f_flag=os.ST_RDONLY))
    with pytest.raises(BenchError, match="read-only"):
        card.write(IMAGES, "text")


def test_error_in_the_middle_leaves_no_half_file(card: Card, mount: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(BenchError, match="No space left") as caught:
        card.write(IMAGES, "text")
    assert caught.value.kind == "mps3-write"
    assert not list(mount.rglob("*.tmp"))
    assert "TOTALIMAGES: 1" in card.layout.images_txt.read_text()


def boot_sector(*, fat32: bool, dirty: bool) -> bytes:
    sector = bytearray(512)
    sector[510:512] = b"\x55\xaa"
    if not fat32:
        sector[0x16:0x18] = (200).to_bytes(2, "little")
    if dirty:
        sector[0x41 if fat32 else 0x25] = 1
    return bytes(sector)


@pytest.mark.parametrize("fat32", [False, True])
def test_dirty_fat_is_refused(mount: Path, tmp_path: Path, fat32: bool) -> None:
    device = tmp_path / "disk"
    device.write_bytes(boot_sector(fat32=fat32, dirty=False))
    card = Card(mount, "an547", device=device, sync=lambda: None)
    card.check(100)
    device.write_bytes(boot_sector(fat32=fat32, dirty=True))
    with pytest.raises(BenchError, match="not unmounted cleanly"):
        card.check(100)
    device.unlink()
    with pytest.raises(BenchError, match="cannot be read"):
        card.check(100)


def test_a_sector_that_is_no_fat_is_not_called_dirty() -> None:
    assert not fat_is_dirty(b"")
    assert not fat_is_dirty(b"\xff" * 512)


@pytest.mark.parametrize("note", ["AN552", "AN5"])
def test_another_boards_card_is_refused(mount: Path, note: str) -> None:
    with pytest.raises(BenchError, match=f"no {note} board files") as caught:
        Card(mount, note)
    assert "AN547" in (caught.value.seen or "")


def test_missing_mount_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no AN547 board files"):
        Card(tmp_path / "gone", "AN547")


def test_reboot_request(card: Card, mount: Path) -> None:
    card.request_reboot()
    assert (mount / "reboot.txt").read_bytes() == b"hsyxhj"
