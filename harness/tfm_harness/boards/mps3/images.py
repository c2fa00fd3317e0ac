"""The ``images.txt`` of an MPS3 board: which file the MCC loads where.

Pure: text in, text out. Sources: Arm MPS3 technical reference manual (100765), "Motherboard
Configuration Controller" and "images.txt"; the ``images.txt`` files shipped with AN547, AN552
and the Corstone-1000 board files (the newer dialect with ports).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tfm_harness.encodings import whole_number
from tfm_harness.errors import ConfigError

__all__ = [
    "AN547_MAP",
    "AN552_MAP",
    "Dialect",
    "ImageEntry",
    "MccWindow",
    "Update",
    "mcc_address",
    "parse_images_txt",
    "render_images_txt",
    "short_name",
]

MAX_IMAGES = 32  # "Number of Images (Max: 32)"


class Dialect(enum.StrEnum):
    """How a board's MCC firmware wants addresses."""

    ADDRESS = "address"  # IMAGE0ADDRESS: 0x02000000
    PORT = "port"  # IMAGE0PORT: 0 / IMAGE0ADDRESS: 0x00_0200_0000


class Update(enum.StrEnum):
    """What the MCC does with an image at power-on."""

    AUTO = "AUTO"
    FORCE = "FORCE"
    NONE = "NONE"
    RAM = "RAM"
    AUTOQSPI = "AUTOQSPI"
    FORCEQSPI = "FORCEQSPI"


@dataclass(frozen=True, slots=True)
class MccWindow:
    """One range of the MCC's address map and the CPU addresses it stands for.

    Attributes:
        mcc: first address as the MCC counts.
        cpu: every CPU address (aliases included) of the range's first byte.
        size: bytes.
        port: for the dialect with ports.
        qspi: True when the range is the QSPI flash, which is written with ``FORCEQSPI``.
        name: for messages.
    """

    mcc: int
    cpu: tuple[int, ...]
    size: int
    name: str
    port: int = 0
    qspi: bool = False


# CPU addresses: non-secure and secure alias of each memory (SSE-300 memory map of AN547/AN552).
AN547_MAP = (
    MccWindow(mcc=0x0000_0000, cpu=(0x0000_0000, 0x1000_0000), size=0x8_0000, name="ITCM"),
    MccWindow(mcc=0x0200_0000, cpu=(0x0100_0000, 0x1100_0000), size=0x20_0000, name="BRAM"),
    MccWindow(mcc=0x0800_0000, cpu=(0x6000_0000,), size=0x400_0000, name="DDR non-secure"),
    MccWindow(mcc=0x0C00_0000, cpu=(0x7000_0000,), size=0x400_0000, name="DDR secure"),
    MccWindow(mcc=0x0000_0000, cpu=(0x2800_0000, 0x3800_0000), size=0x80_0000, name="QSPI", qspi=True),
)
AN552_MAP = AN547_MAP  # the same memories; its board files speak the dialect with ports


@dataclass(frozen=True, slots=True)
class ImageEntry:
    r"""One image: its load address (as the MCC counts) and its file on the card (``\SOFTWARE\NAME.BIN``)."""

    address: int
    file: str
    update: Update = Update.AUTO
    port: int | None = None


def short_name(stem: str, taken: Sequence[str] = ()) -> str:
    """An 8.3 file name for `stem`, unique among `taken` (compared without case).

    Raises:
        ConfigError: kind ``mps3-name`` when a hundred names with the same beginning are taken.
    """
    base = re.sub(r"[^a-z0-9_]", "", stem.lower()) or "image"
    used = {name.lower() for name in taken}
    for number in range(100):
        suffix = "" if number == 0 else str(number)
        name = f"{base[: 8 - len(suffix)]}{suffix}.bin"
        if name not in used:
            return name
    raise ConfigError(
        f"no free 8.3 file name for {stem!r}",
        kind="mps3-name",
        expected="fewer images whose names begin alike",
        seen=", ".join(taken[:5]),
        hint="rename the image files",
    )


def mcc_address(cpu: int, size: int, windows: Sequence[MccWindow]) -> tuple[MccWindow, int]:
    """The window and MCC address for `size` bytes at CPU address `cpu`.

    Raises:
        ConfigError: kind ``mps3-address`` when no window holds the whole image.
    """
    for window in windows:
        for base in window.cpu:
            if base <= cpu and cpu + size <= base + window.size:
                return window, window.mcc + (cpu - base)
    raise ConfigError(
        f"the board's MCC cannot load {size} bytes at 0x{cpu:08x}",
        kind="mps3-address",
        expected="; ".join(
            f"{w.name}: " + " or ".join(f"0x{base:08x}..0x{base + w.size - 1:08x}" for base in w.cpu) for w in windows
        ),
        seen=f"0x{cpu:08x}..0x{cpu + size - 1:08x}",
        hint="correct the image's `at` in build.yaml, or the target's `mcc_map`",
    )


def render_images_txt(images: Sequence[ImageEntry], dialect: Dialect) -> str:
    r"""The text of ``images.txt`` (CRLF line ends, as the MCC's own files have).

    Raises:
        ConfigError: kind ``mps3-images``: none, more than 32, or a file name that is not 8.3.
    """
    if not 1 <= len(images) <= MAX_IMAGES:
        raise ConfigError(
            "images.txt cannot hold that many images",
            kind="mps3-images",
            expected=f"1..{MAX_IMAGES}",
            seen=str(len(images)),
            hint="merge images",
        )
    lines = ["TITLE: Arm MPS3 FPGA prototyping board Images Configuration File", "", "[IMAGES]"]
    lines.append(f"TOTALIMAGES: {len(images)}")
    for number, image in enumerate(images):
        if not re.fullmatch(r"\\SOFTWARE\\[A-Za-z0-9_]{1,8}\.[A-Za-z0-9]{1,3}", image.file):
            raise ConfigError(
                f"{image.file!r} is not a file name the MCC can read",
                kind="mps3-images",
                expected=r"\SOFTWARE\ and an 8.3 name",
                seen=image.file,
                hint="this is a harness bug when the harness chose the name",
            )
        lines.append("")
        if dialect is Dialect.PORT:
            lines.append(f"IMAGE{number}PORT: {image.port or 0}")
            address = f"0x00_{image.address >> 16:04X}_{image.address & 0xFFFF:04X}"
        else:
            address = f"0x{image.address:08X}"
        lines += [
            f"IMAGE{number}ADDRESS: {address}",
            f"IMAGE{number}UPDATE: {image.update.value}",
            f"IMAGE{number}FILE: {image.file}",
        ]
    return "\r\n".join(lines) + "\r\n"


def parse_images_txt(text: str, *, where: str = "images.txt") -> tuple[Dialect, tuple[ImageEntry, ...]]:
    """Read an ``images.txt`` of either dialect.

    Raises:
        ConfigError: kind ``mps3-images``, with the line of what the MCC would misread: a missing or wrong TOTALIMAGES,
            an unknown key or update word, an image without address or file.
    """
    entries: dict[int, dict[str, str]] = {}
    total: int | None = None
    in_images = False
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition(";")[0].strip()
        if not line:
            continue
        if line.startswith("["):
            in_images = line.upper() == "[IMAGES]"
            continue
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not in_images:
            if key.upper() == "TITLE":
                continue
            raise _bad(where, number, "a key before [IMAGES]", raw)
        if key.upper() == "TOTALIMAGES" and (given := whole_number(value, 4)) is not None:
            total = given
            continue
        match = re.fullmatch(r"IMAGE([0-9]{1,4})(ADDRESS|UPDATE|FILE|PORT)", key.upper())
        if not match or not colon:
            raise _bad(where, number, "TOTALIMAGES or IMAGEn{ADDRESS,UPDATE,FILE,PORT}", raw)
        entries.setdefault(int(match[1]), {})[match[2]] = value
    if total is None or sorted(entries) != list(range(total)):
        raise _bad(where, 0, f"TOTALIMAGES: {len(entries)} with images 0..{len(entries) - 1}", f"{total}")
    dialect = Dialect.PORT if any("PORT" in entry for entry in entries.values()) else Dialect.ADDRESS
    return dialect, tuple(_entry(where, number, entries[number]) for number in sorted(entries))


def _entry(where: str, number: int, keys: dict[str, str]) -> ImageEntry:
    try:
        return ImageEntry(
            address=int(keys["ADDRESS"].replace("_", ""), 16),
            file=keys["FILE"],
            update=Update(keys.get("UPDATE", "AUTO").upper()),
            port=int(keys["PORT"]) if "PORT" in keys else None,
        )
    except (KeyError, ValueError) as error:
        raise _bad(where, 0, f"IMAGE{number} with ADDRESS, FILE and a known UPDATE", str(error)) from error


def _bad(where: str, line: int, expected: str, seen: str) -> ConfigError:
    return ConfigError(
        "the board's images.txt is not what the MCC reads",
        kind="mps3-images",
        expected=expected,
        seen=seen,
        where=f"{where}:{line}" if line else where,
        hint="restore it from Arm's file set, or from boards/NAME/card-backup in the state folder",
    )
