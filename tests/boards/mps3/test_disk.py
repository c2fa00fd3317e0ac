"""Finding and mounting the MPS3's disk: a made-up /dev/disk and mount table, a scripted udisksctl."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tfm_harness.boards.mps3 import disk as mps3_disk
from tfm_harness.boards.mps3.disk import Disk
from tfm_harness.config.mps3 import DiskConfig
from tfm_harness.errors import InfrastructureError

LABEL = DiskConfig(label="V2M-MPS3")


class Bench:
    """/dev/disk with links, a table of mounts, and a udisksctl that does as it is told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dev = folder / "disk"
        self.mounts = folder / "mountinfo"
        self.mounts.write_text("22 1 8:1 / / rw - ext4 /dev/root rw\n")
        self.tools = folder / "tools"
        for name in (self.dev / "by-label", self.dev / "by-id", self.tools, folder / "media dir"):
            name.mkdir(parents=True)
        self.log = folder / "udisks.log"
        self._folder = folder
        monkeypatch.setenv("PATH", f"{self.tools}{os.pathsep}/usr/bin{os.pathsep}/bin")

    def plug(self, device: str, *links: str) -> Path:
        path = self._folder / device
        path.touch()
        for link in links:
            (self.dev / link).symlink_to(path)
        return path

    def table_line(self, device: Path) -> str:
        point = str(self._folder / "media dir").replace(" ", "\\040")
        return f"40 22 8:16 / {point} rw,nosuid shared:1 - vfat {device} rw"

    def table_file(self, device: Path) -> Path:
        path = self._folder / "line"
        path.write_text(self.table_line(device) + "\n")
        return path

    def udisksctl(self, script: str) -> None:
        tool = self.tools / "udisksctl"
        tool.write_text(f'#!/bin/sh\necho "$1 $3" >> {self.log}\n{script}\n')
        tool.chmod(0o755)

    def disk(self, config: DiskConfig = LABEL) -> Disk:
        return Disk(config, dev=self.dev, mounts=self.mounts)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_found_by_label_also_on_a_partition(bench: Bench) -> None:
    bench.plug("sdb", "by-id/usb-ARM_V2M-MPS3_123-0:0")
    partition = bench.plug("sdb1", "by-label/V2M-MPS3", "by-id/usb-ARM_V2M-MPS3_123-0:0-part1")
    assert bench.disk().device == partition
    assert bench.disk(DiskConfig(label="V2M-MPS3", usb_serial="123")).device == partition


def test_two_boards_need_a_serial_number(bench: Bench) -> None:
    bench.plug("sdb", "by-label/V2M-MPS3", "by-id/usb-ARM_V2M-MPS3_111-0:0")
    second = bench.plug("sdc", "by-id/usb-ARM_V2M-MPS3_222-0:0")
    with pytest.raises(InfrastructureError) as caught:
        _ = bench.disk().device
    assert caught.value.kind == "mps3-ambiguous"
    assert "222" in (caught.value.seen or "")
    assert bench.disk(DiskConfig(label="V2M-MPS3", usb_serial="222")).device == second


def test_no_disk_names_those_that_are_there(bench: Bench) -> None:
    bench.plug("sdz", "by-label/STICK")
    for config in (LABEL, DiskConfig(label="V2M-MPS3", usb_serial="1")):
        with pytest.raises(InfrastructureError) as caught:
            _ = bench.disk(config).device
        assert caught.value.kind == "mps3-no-disk"
        assert "STICK" in (caught.value.seen or "")
    assert not bench.disk().wait(present=True, timeout=0)
    assert bench.disk().wait(present=False, timeout=0)


def test_mounted_and_unmounted_again(bench: Bench, tmp_path: Path) -> None:
    device = bench.plug("sdb", "by-label/V2M-MPS3")
    bench.udisksctl(f"case $1 in mount) cat {bench.table_file(device)} >> {bench.mounts};; esac")
    disk = bench.disk()
    assert disk.mount_point() is None
    with disk.mounted() as point:
        assert point == tmp_path / "media dir"
    assert bench.log.read_text().split() == ["mount", str(device), "unmount", str(device)]


def test_what_was_mounted_before_is_mounted_afresh(bench: Bench, tmp_path: Path) -> None:
    """An automounter's mount would answer from memory, and would still be there when the board reboots."""
    device = bench.plug("sdb", "by-label/V2M-MPS3")
    line = bench.table_file(device)
    bench.mounts.write_text(line.read_text())
    bench.udisksctl(f"case $1 in mount) cat {line} >> {bench.mounts};; *) : > {bench.mounts};; esac")
    with bench.disk().mounted() as point:
        assert point == tmp_path / "media dir"
    assert bench.log.read_text().split()[::2] == ["unmount", "mount", "unmount"]


def test_a_mount_in_use_is_told(bench: Bench) -> None:
    device = bench.plug("sdb", "by-label/V2M-MPS3")
    bench.mounts.write_text(bench.table_line(device) + "\n")
    bench.udisksctl("echo target is busy >&2; exit 1")
    with pytest.raises(InfrastructureError, match="cannot be unmounted") as caught, bench.disk().mounted():
        pytest.fail("somebody else has it")
    assert caught.value.kind == "mps3-unmount"
    assert "busy" in (caught.value.seen or "")


def test_a_dirty_fat_is_refused_before_it_is_mounted(bench: Bench) -> None:
    """Linux sets the bit of what it mounts: afterwards it says nothing."""
    device = bench.plug("sdb", "by-label/V2M-MPS3")
    sector = bytearray(512)
    sector[510:512] = b"\x55\xaa"
    line = bench.table_file(device)
    dirty = "printf '\\001' | dd bs=1 seek=65 conv=notrunc status=none"
    clean = dirty.replace("\\001", "\\000")
    bench.udisksctl(
        f"case $1 in mount) {dirty} of={device}; cat {line} >> {bench.mounts};; "
        f"*) {clean} of={device}; : > {bench.mounts};; esac"
    )
    device.write_bytes(sector)
    with bench.disk().mounted():
        assert device.read_bytes()[65] == 1
    with bench.disk().mounted():
        pass
    sector[65] = 1
    device.write_bytes(sector)
    bench.log.unlink()
    with pytest.raises(InfrastructureError, match="not unmounted cleanly") as caught, bench.disk().mounted():
        pytest.fail("it is damaged")
    assert caught.value.kind == "mps3-dirty"
    assert not bench.log.exists()
    device.unlink()
    device.mkdir()
    with pytest.raises(InfrastructureError, match="cannot be read"), bench.disk().mounted():
        pytest.fail("no rights")


def test_unmounted_also_when_writing_failed(bench: Bench) -> None:
    device = bench.plug("sdb", "by-label/V2M-MPS3")
    bench.udisksctl(f"case $1 in mount) cat {bench.table_file(device)} >> {bench.mounts};; esac")
    with pytest.raises(OSError, match="full"), bench.disk().mounted():
        raise OSError("disk full")
    assert bench.log.read_text().split()[2] == "unmount"


@pytest.mark.parametrize(
    ("script", "kind"), [("echo not authorised >&2; exit 4", "mps3-mount"), ("exit 0", "mps3-mount")]
)
def test_mounting_that_fails(bench: Bench, script: str, kind: str) -> None:
    bench.plug("sdb", "by-label/V2M-MPS3")
    bench.udisksctl(script)
    with pytest.raises(InfrastructureError) as caught, bench.disk().mounted():
        pytest.fail("nothing is mounted")
    assert caught.value.kind == kind


def test_udisks_missing_and_hung(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.plug("sdb", "by-label/V2M-MPS3")
    setpriv = shutil.which("setpriv")  # what starts every tool
    assert setpriv is not None
    (bench.tools / "setpriv").symlink_to(setpriv)
    monkeypatch.setenv("PATH", str(bench.tools))
    with pytest.raises(InfrastructureError) as missing, bench.disk().mounted():
        pytest.fail("nothing is mounted")
    assert missing.value.kind == "tool-missing"
    bench.udisksctl("exec /bin/sleep 60")
    monkeypatch.setattr(mps3_disk, "_TIMEOUT", 0.2)
    with pytest.raises(InfrastructureError) as hung, bench.disk().mounted():
        pytest.fail("nothing is mounted")
    assert hung.value.kind == "tool-hung"


def test_a_folder_stands_in(tmp_path: Path) -> None:
    disk = Disk(DiskConfig(mount=tmp_path))
    assert disk.device is None
    assert disk.wait(present=False, timeout=0)
    with disk.mounted() as point:
        assert point == tmp_path
