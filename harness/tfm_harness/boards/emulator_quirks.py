"""Known limits of emulators, recognised by what the console shows, so that the report can give a hint.

Measured with QEMU 7.2 and stock TF-M images (v1.8.1 and v2.1.4). Pure: text in, hints out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfm_harness.config.build import Build

__all__ = ["hints_for", "is_tfm", "limit_reached"]

_BOOT = re.compile(r"\[INF\] Starting bootloader|Booting TF-?M v?\d|\[Sec Thread\] Secure image initializing")
_OTP = re.compile(r"\[ERR\] OTP system initialization failed")
_TFM = re.compile(
    r"\[INF\] Starting bootloader|Booting TF-?M v?\d|\[Sec Thread\]|TF-M isolation level|Non-Secure system"
)
_NONSECURE = re.compile(r"Non-Secure system starting\.\.\.")

_BOOT_LINES = re.compile(
    r"\[(?!ERR)[A-Z][A-Za-z ]*\].*"  # boot loader, secure services; never an error
    r"|Booting TF-?M v?\d.*|TF-M isolation level is.*|TF-M FP mode.*|Lazy stacking .*"
    r"|Creating an empty \w+ flash layout\."
    r"|Non-Secure system starting\.\.\.|\*\*\* Booting .*"
)
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\0")

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
    """Known facts about an emulated machine that explain a failed boot.

    Args:
        machine: QEMU's machine name; None for real boards.
        console: the consoles' output since the start.
        resets: guest resets that the emulator reported.
        tfm: whether the build is known to be TF-M: a release build does not print it.
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


def limit_reached(machine: str | None, console: str, *, resets: int = 0, tfm: bool = False) -> str | None:
    """The limit that ended this boot, in words, if only that limit explains the output.

    This holds for a boot that repeats, if only the boot loader and the secure side's start printed anything, and for
    one that stopped because the flash controller is missing. Any other output (of a test, an application, an error, a
    fault) means that the firmware got past the limit: the firmware is responsible for what happens then.

    Args:
        machine, console, resets, tfm: see `hints_for`.
    """
    if machine != "mps3-an547":
        return None
    said = [line.strip() for line in _ESCAPES.sub("", console).splitlines() if line.strip()]
    if not said:
        return _TRD if tfm and resets else None
    if not _TFM.search(console):
        return None
    if _OTP.search(said[-1]) and all(_OTP.search(line) or _BOOT_LINES.fullmatch(line) for line in said):
        return _QSPI
    starts = sum(line.startswith("[INF] Starting bootloader") for line in said)
    starts = starts or sum(bool(re.match(r"Booting TF-?M v?\d", line)) for line in said)
    if starts < 2 and not resets:
        return None
    # The last line may be incomplete: the board may still be printing it.
    return _TRD if all(_BOOT_LINES.fullmatch(line) for line in said[:-1]) else None


def is_tfm(build: Build) -> bool:
    """Whether a build's description shows that its secure side is TF-M; its console output does not count."""
    suites = {"tf-m", "psa-arch-tests"}
    return (
        (build.imported is not None and build.imported.source == "tf-m")
        or build.protocol == "zephyr-shell"
        or any(suite.suite in suites for suite in build.console_suites)
    )
