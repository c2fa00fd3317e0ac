"""images.txt in both dialects, address translation, 8.3 names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfm_harness.boards.mps3.images import (
    AN547_MAP,
    Dialect,
    ImageEntry,
    Update,
    mcc_address,
    parse_images_txt,
    render_images_txt,
    short_name,
)
from tfm_harness.errors import ConfigError

PUBLISHED = r"""TITLE: Arm MPS3 FPGA prototyping board Images Configuration File
[IMAGES]
TOTALIMAGES: 2               ;max 32
IMAGE0UPDATE: AUTO           ;AUTO | FORCE | NONE | RAM | FORCEQSPI
IMAGE0ADDRESS: 0x00000000
IMAGE0FILE: \SOFTWARE\bl2.bin     ;8.3 names only
IMAGE1UPDATE: FORCEQSPI
IMAGE1ADDRESS: 0x00000000
IMAGE1FILE: \SOFTWARE\tfm.bin
"""


def test_published_file_is_read() -> None:
    dialect, images = parse_images_txt(PUBLISHED)
    assert dialect is Dialect.ADDRESS
    assert images == (
        ImageEntry(0, r"\SOFTWARE\bl2.bin", Update.AUTO),
        ImageEntry(0, r"\SOFTWARE\tfm.bin", Update.FORCEQSPI),
    )


IMAGES = st.lists(
    st.builds(
        ImageEntry,
        address=st.integers(0, 0xFFFFFFFF),
        file=st.from_regex(r"\\SOFTWARE\\[a-z0-9_]{1,8}\.bin", fullmatch=True),
        update=st.sampled_from(Update),
        port=st.integers(0, 4),
    ),
    min_size=1,
    max_size=32,
)


@given(IMAGES)
def test_what_is_written_is_read_back_with_ports(images: list[ImageEntry]) -> None:
    assert parse_images_txt(render_images_txt(images, Dialect.PORT)) == (Dialect.PORT, tuple(images))


@given(IMAGES)
def test_what_is_written_is_read_back_without_ports(images: list[ImageEntry]) -> None:
    dialect, read = parse_images_txt(render_images_txt(images, Dialect.ADDRESS))
    assert dialect is Dialect.ADDRESS
    assert [(i.address, i.file, i.update) for i in read] == [(i.address, i.file, i.update) for i in images]


def test_port_dialect_groups_digits() -> None:
    text = render_images_txt([ImageEntry(0x11000000, r"\SOFTWARE\a.bin", port=1)], Dialect.PORT)
    assert "IMAGE0PORT: 1\r\nIMAGE0ADDRESS: 0x00_1100_0000\r\n" in text


@pytest.mark.parametrize(
    ("cpu", "mcc", "name"),
    [
        (0x10000000, 0x00000000, "ITCM"),
        (0x00000400, 0x00000400, "ITCM"),
        (0x01000000, 0x02000000, "BRAM"),
        (0x11060000, 0x02060000, "BRAM"),
        (0x60000000, 0x08000000, "DDR non-secure"),
        (0x70001000, 0x0C001000, "DDR secure"),
        (0x38000000, 0x00000000, "QSPI"),
        (0x28080000, 0x00080000, "QSPI"),
    ],
)
def test_cpu_addresses_become_mcc_addresses(cpu: int, mcc: int, name: str) -> None:
    window, address = mcc_address(cpu, 16, AN547_MAP)
    assert (window.name, address) == (name, mcc)
    assert window.qspi == (name == "QSPI")


@pytest.mark.parametrize(("cpu", "size"), [(0x1007FFF8, 16), (0x20000000, 4), (0x011FFFFF, 2)])
def test_images_outside_every_window_are_refused(cpu: int, size: int) -> None:
    with pytest.raises(ConfigError, match="cannot load") as caught:
        mcc_address(cpu, size, AN547_MAP)
    assert caught.value.kind == "mps3-address"
    assert "ITCM: 0x00000000" in str(caught.value)


def test_names_are_short_and_unique() -> None:
    taken: list[str] = []
    for _ in range(12):
        taken.append(short_name("tfm_s_ns_signed", taken))
    assert taken[:2] == ["tfm_s_ns.bin", "tfm_s_n1.bin"]
    assert taken[10:] == ["tfm_s_10.bin", "tfm_s_11.bin"]
    assert len({name.lower() for name in taken}) == 12
    assert short_name("...") == "image.bin"
    with pytest.raises(ConfigError, match="no free"):
        short_name("a", ["a.bin", *(f"a{n}.bin" for n in range(1, 100))])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[IMAGES]\nTOTALIMAGES: 1\nIMAGE0ADRESS: 0x0\n", ":3"),
        ("IMAGE0FILE: x\n", ":1"),
        ("[IMAGES]\nTOTALIMAGES: 2\nIMAGE0ADDRESS: 0\nIMAGE0FILE: x\n", ""),
        ("[IMAGES]\nIMAGE0ADDRESS: 0\nIMAGE0FILE: x\n", ""),
        ("[IMAGES]\nTOTALIMAGES: 1\nIMAGE0ADDRESS: zero\nIMAGE0FILE: x\n", ""),
        ("[IMAGES]\nTOTALIMAGES: 1\nIMAGE0ADDRESS: 0\nIMAGE0UPDATE: MAYBE\nIMAGE0FILE: x\n", ""),
        ("[IMAGES]\nTOTALIMAGES: 1\nIMAGE0FILE: x\n", ""),
        ("[IMAGES]\nTOTALIMAGES: 1000000000\nIMAGE0ADDRESS: 0\nIMAGE0FILE: x\n", ":2"),  # 4 GiB, once
        ("[IMAGES]\nTOTALIMAGES: \u00b2\nIMAGE0ADDRESS: 0\nIMAGE0FILE: x\n", ":2"),
        ("[IMAGES]\nTOTALIMAGES: 1\nIMAGE" + "9" * 5000 + "FILE: x\n", ":3"),
        ("", ""),
    ],
)
def test_what_the_mcc_would_misread_is_refused(text: str, line: str) -> None:
    with pytest.raises(ConfigError, match="not what the MCC reads") as caught:
        parse_images_txt(text, where="card/images.txt")
    assert caught.value.where == f"card/images.txt{line}"


@pytest.mark.parametrize("file", ["bl2.bin", r"\SOFTWARE\toolongname.bin", r"\SOFTWARE\a b.bin", r"\MB\config.txt"])
def test_names_the_mcc_cannot_read_are_refused(file: str) -> None:
    with pytest.raises(ConfigError, match="not a file name"):
        render_images_txt([ImageEntry(0, file)], Dialect.ADDRESS)


def test_number_of_images_is_limited() -> None:
    with pytest.raises(ConfigError, match="that many"):
        render_images_txt([], Dialect.ADDRESS)
    with pytest.raises(ConfigError, match="that many"):
        render_images_txt([ImageEntry(0, r"\SOFTWARE\a.bin")] * 33, Dialect.ADDRESS)
