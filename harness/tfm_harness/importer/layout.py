"""The addresses of images in TF-M's flash layouts, for the platforms that the harness runs on.

Sources: each platform's ``flash_layout.h`` as observed in the images of its builds, and TF-M's
platform documentation (Corstone-300 for AN547, AN552 and the FVP; AN521).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Layout", "layout_of", "platform_names"]


@dataclass(frozen=True, slots=True)
class Layout:
    """A platform's load addresses, as the secure side sees them.

    Attributes:
        name: the short name (``an547``, ...).
        secure: address of the secure image's slot (also that of the combined file).
        slot: size of that slot in bytes, if known; the non-secure slot follows it.
        machine: QEMU's machine, if there is one.
        source: the source of these facts, for comments.
    """

    name: str
    secure: int
    slot: int | None
    machine: str | None
    source: str


_CORSTONE300 = "Corstone-300 flash layout of TF-M v2: QSPI, secure alias"
_CORSTONE300_V1 = "SSE-300 flash layout of TF-M v1: code SRAM, secure alias"
_LAYOUTS = {
    ("an547", True): Layout("an547", 0x3800_0000, 0x8_0000, "mps3-an547", _CORSTONE300),
    ("an552", True): Layout("an552", 0x3800_0000, 0x8_0000, None, _CORSTONE300),
    ("fvp", True): Layout("fvp", 0x3800_0000, 0x8_0000, None, _CORSTONE300),
    ("an547", False): Layout("an547", 0x1100_0000, 0x6_0000, "mps3-an547", _CORSTONE300_V1),
    ("an552", False): Layout("an552", 0x1100_0000, None, None, _CORSTONE300_V1),
    ("fvp", False): Layout("fvp", 0x1100_0000, None, None, _CORSTONE300_V1),
}
_AN521 = Layout("an521", 0x1008_0000, 0x8_0000, "mps2-an521", "AN521 flash layout: code SRAM behind BL2")


def platform_names() -> tuple[str, ...]:
    """Short names of the platforms with a known layout."""
    return ("an547", "an552", "fvp", "an521")


def layout_of(platform: str, version: tuple[int, int, int] | None) -> Layout | None:
    """The layout of a ``TFM_PLATFORM`` (or a short name); None for a platform that is not in the table.

    Args:
        platform: for instance ``arm/mps3/corstone300/an547`` or ``an547``.
        version: TF-M's version, which decides if the platform's path does not.
    """
    path = platform.replace("\\", "/").rstrip("/")
    last = path.rsplit("/", 1)[-1].lower()
    if last == "an521":
        return _AN521
    name = {"fvp_sse300": "fvp"}.get(last, last)
    modern = "corstone300" in path or (version is not None and version >= (2, 0, 0))
    return _LAYOUTS.get((name, modern))
