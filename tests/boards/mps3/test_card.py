"""The MPS3's card: a folder stands in for the mount."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tfm_harness.boards.mps3.backup import CardBackup
from tfm_harness.boards.mps3.card import Card, fat_is_dirty
from tfm_harness.errors import InfrastructureError


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


@pytest.fixture
def backup(tmp_path: Path) -> CardBackup:
    return CardBackup(tmp_path / "state" / "backup")


def write(card: Card, backup: CardBackup, images: dict[str, bytes], text: str) -> None:
    backup.note(text)
    card.write(images, text)


def test_backup_is_made_once_and_restores_everything(card: Card, mount: Path, backup: CardBackup) -> None:
    before = tree(mount)
    backup.take(card)
    assert not backup.unrestored
    write(card, backup, {**IMAGES, "old.bin": b"ours"}, "new")
    backup.take(card)
    assert backup.unrestored
    backup.restore(card)
    assert tree(mount) == before
    assert not backup.unrestored


def test_a_killed_session_does_not_spoil_the_backup(card: Card, mount: Path, backup: CardBackup) -> None:
    """Killed before, between and after the files: the next session keeps the first one's backup."""
    before = tree(mount)
    backup.take(card)
    backup.note("new")
    backup.take(card)
    card.put(mount / "SOFTWARE" / "HARNESS.TXT", b'["ns.bin"]')
    card.put(mount / "SOFTWARE" / "ns.bin", b"half of it")
    (mount / "SOFTWARE" / "HARNESS.TMP").write_bytes(b"torn")
    backup.take(card)
    write(card, backup, IMAGES, "newer")
    backup.take(card)
    backup.restore(card)
    assert tree(mount) == before


def test_restoring_can_be_interrupted(
    card: Card, mount: Path, backup: CardBackup, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(mount)
    backup.take(card)
    write(card, backup, IMAGES, "new")
    with monkeypatch.context() as patch:
        patch.setattr(card, "remove_ours", lambda keep: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            backup.restore(card)
    assert backup.unrestored
    backup.take(card)
    backup.restore(card)
    assert tree(mount) == before


def test_somebody_elses_new_files_make_the_backup_outdated(card: Card, mount: Path, backup: CardBackup) -> None:
    backup.take(card)
    write(card, backup, IMAGES, "ours")
    card.layout.images_txt.write_text("[IMAGES]\nTOTALIMAGES: 1\nIMAGE0ADDRESS: 0\nIMAGE0FILE: \\SOFTWARE\\mine.bin\n")
    (mount / "SOFTWARE" / "mine.bin").write_bytes(b"mine")
    backup.take(card)
    write(card, backup, IMAGES, "ours")
    backup.restore(card)
    assert "mine.bin" in card.layout.images_txt.read_text()
    old = backup.folder.with_name("backup.old")
    assert (old / "SOFTWARE" / "old.bin").read_bytes() == b"what was there"


def test_restoring_without_a_backup_is_refused(card: Card, backup: CardBackup) -> None:
    with pytest.raises(InfrastructureError, match="no backup"):
        backup.restore(card)


def test_no_room_for_the_backup(card: Card, mount: Path, tmp_path: Path) -> None:
    before = tree(mount)
    (tmp_path / "file").touch()
    with pytest.raises(InfrastructureError) as caught:
        CardBackup(tmp_path / "file" / "backup").take(card)
    assert caught.value.kind == "mps3-backup"
    assert "--state-dir" in (caught.value.hint or "")
    assert tree(mount) == before


def test_names_on_the_card_are_taken(card: Card) -> None:
    card.write(IMAGES, "text")
    assert sorted(card.foreign()) == ["HARNESS.TXT", "old.bin", "other.bin"]


def test_a_card_that_goes_away_is_the_benchs_fault(card: Card, mount: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    card.write(IMAGES, "text")
    for name in ("statvfs", "unlink"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, gone)
            with pytest.raises(InfrastructureError, match="cannot be") as caught:
                card.write({}, "text")
            assert caught.value.kind.startswith("mps3-")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", gone)
        with pytest.raises(InfrastructureError, match="cannot be read"):
            card.foreign()


def test_damage_after_writing_is_found(card: Card, mount: Path) -> None:
    written = card.write(IMAGES, "text")
    path = mount / "SOFTWARE" / "secure.bin"
    path.write_bytes(b"\x01" * 4999 + b"\x03")
    with pytest.raises(InfrastructureError, match=r"secure\.bin on the card is not what was written"):
        card.verify(written)
    path.unlink()
    with pytest.raises(InfrastructureError, match="not what was written"):
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
    with pytest.raises(InfrastructureError, match="too full") as caught:
        card.write(IMAGES, "text")
    assert caught.value.kind == "mps3-full"
    assert tree(mount) == before


def test_read_only_card_is_refused(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", fake_statvfs(f_flag=os.ST_RDONLY))
    with pytest.raises(InfrastructureError, match="read-only"):
        card.write(IMAGES, "text")


def test_error_in_the_middle_leaves_no_half_file(card: Card, mount: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(InfrastructureError, match="No space left") as caught:
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
def test_the_dirty_bit_of_a_fat(fat32: bool) -> None:
    assert fat_is_dirty(boot_sector(fat32=fat32, dirty=True))
    assert not fat_is_dirty(boot_sector(fat32=fat32, dirty=False))


def test_a_sector_that_is_no_fat_is_not_called_dirty() -> None:
    assert not fat_is_dirty(b"")
    assert not fat_is_dirty(b"\xff" * 512)


@pytest.mark.parametrize("note", ["AN552", "AN5"])
def test_another_boards_card_is_refused(mount: Path, note: str) -> None:
    with pytest.raises(InfrastructureError, match=f"no {note} board files") as caught:
        Card(mount, note)
    assert "AN547" in (caught.value.seen or "")


def test_missing_mount_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="no AN547 board files"):
        Card(tmp_path / "gone", "AN547")


def test_reboot_request(card: Card, mount: Path) -> None:
    card.request_reboot()
    assert (mount / "reboot.txt").read_bytes() == b"hsyxhj"
