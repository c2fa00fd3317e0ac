"""Known limits of emulators, told by what the console shows: a hint instead of a riddle.

RunMetrics with QEMU 7.2 and stock TF-M images (v1.8.1 and v2.1.4). Pure: text in, hints out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfm_harness.config.build import Build

__all__ = ["hints_for", "is_tfm"]

_BOOT = re.compile(r"\[INF\] Starting bootloader|Booting TF-?M v?\d|\[Sec Thread\] Secure image initializing")
_OTP = re.compile(r"\[ERR\] OTP system initialization failed")
_TFM = re.compile(
    r"\[INF\] Starting bootloader|Booting TF-?M v?\d|\[Sec Thread\]|TF-M isolation level|Non-Secure system"
)
_NONSECURE = re.compile(r"Non-Secure system starting\.\.\.")

_QSPI = (
    "QEMU 7.2 models the QSPI flash of mps3-an547 as plain ROM and has no QSPI controller: stock TF-M images for AN547,"
    " which keep OTP and storage there, stop in the boot loader or hang. Run the AN521 build on the target qemu-an521"
    " (TF-M's AN521 images run as they are), use the Corstone-300 FVP, or build TF-M with OTP and storage in RAM"
)
_TRD = (
    "QEMU 7.2 raises a SecureFault (INVEP) at the first call from the non-secure to the secure side when the non-secure"
    " agent sets CCR.TRD, as stock TF-M does on mps3-an547; the fault is silent and resets the board. Run the AN521"
    " build on the target qemu-an521, use the Corstone-300 FVP, or patch that setting out of the TF-M build"
)


def hints_for(machine: str | None, console: str, *, resets: int = 0, tfm: bool = False) -> tuple[str, ...]:
    """What is known about an emulated machine that explains a boot which came to nothing.

    Args:
        machine: QEMU's machine name; None for real boards.
        console: what the consoles said since the start.
        resets: guest resets that the emulator told of.
        tfm: whether the build is known to be TF-M: a release build says nothing of itself.
    """
    if machine == "mps3-an547" and tfm and not console.strip("\0\r\n "):
        return (_TRD,) if resets else (_QSPI, _TRD)
    if machine != "mps3-an547" or not _TFM.search(console):
        return ()
    if _OTP.search(console):
        return (_QSPI,)
    starts = len(re.findall(r"\[INF\] Starting bootloader", console)) or len(re.findall(r"Booting TF-?M v?\d", console))
    if starts > 1 or resets:
        return (_TRD,)
    nonsecure = _NONSECURE.search(console)
    if nonsecure is not None and not console[nonsecure.end() :].strip():
        return (_TRD, _QSPI)
    last = console.strip().splitlines()[-1:]
    if last and _BOOT.search(last[0]):
        return (_QSPI,)
    return ()


def is_tfm(build: Build) -> bool:
    """Whether a build's description shows that its secure side is TF-M; what it prints does not count."""
    suites = {"tf-m", "psa-arch-tests"}
    return (
        (build.imported is not None and build.imported.source == "tf-m")
        or build.protocol == "zephyr-shell"
        or any(suite.suite in suites for suite in build.console_suites)
    )
