"""The kernel's list of mounts."""

from __future__ import annotations

from pathlib import Path

from tfm_harness.mounts import Mount, read_mounts


def test_names_are_as_they_were_mounted(tmp_path: Path) -> None:
    """Blanks stand as octal numbers, other letters as they are; a line of another form says nothing."""
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 8:1 / / rw - ext4 /dev/root rw\n"
        "23 22 8:17 / /media/V2M\\040MPS3\\134é rw shared:1 - vfat /dev/disk\\040b rw\n"
        "24 22 8:18 / /media/cut rw\n"
        "25 22 8:19 / /media/a\u2028b rw - ext4 /dev/c rw\n",
        encoding="utf-8",
    )
    assert read_mounts(table) == [
        Mount(Path("/"), "ext4", "/dev/root"),
        Mount(Path("/media/V2M MPS3\\é"), "vfat", "/dev/disk b"),
        Mount(Path("/media/a\u2028b"), "ext4", "/dev/c"),
    ]


def test_this_hosts_own_list_has_a_root() -> None:
    assert any(mount.point == Path("/") for mount in read_mounts())
