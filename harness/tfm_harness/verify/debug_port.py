"""What a debug probe may do on a device, from the port's registers and from reads that were really tried. Pure.

Source: Arm DDI 0553 (Armv8-M), DAUTHSTATUS (0xE000EFB8) and DHCSR (0xE000EDF0): DAUTHSTATUS has two bits each for
non-secure invasive (1:0), non-secure non-invasive (3:2), secure invasive (5:4) and secure non-invasive debug (7:6);
0 not implemented, 2 implemented and disabled, 3 enabled. DHCSR.S_SDE (bit 20): secure invasive debug is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tfm_harness.findings import Report
from tfm_harness.verify.checks import debug as check
from tfm_harness.verify.judge import Judge

__all__ = [
    "DAUTHSTATUS",
    "DHCSR",
    "Authentication",
    "DebugPort",
    "check_debug_port",
    "is_closed_lifecycle",
    "places_to_read",
]

DAUTHSTATUS: Final = 0xE000EFB8
DHCSR: Final = 0xE000EDF0
_S_SDE: Final = 1 << 20
_NAMES: Final = ("non-secure invasive", "non-secure non-invasive", "secure invasive", "secure non-invasive")
_STATES: Final = {0: "not implemented", 1: "reserved", 2: "disabled", 3: "enabled"}
_KNOWN: Final = 8  # words of each part of the build that are read
_SPREAD: Final = 8  # words of each region that are read
_OPEN_LIFECYCLES: Final = frozenset({0x00, 0x10, 0x20, 0x50, 0x60})
"""High bytes in which secure debug may be open: unknown, assembly and test, PSA RoT provisioning, recoverable PSA RoT
debug, decommissioned (RFC 9783 s.4.3.1). In 0x30, secured, and 0x40, non-PSA RoT debug, it may not."""


@dataclass(frozen=True, slots=True)
class Authentication:
    """The fields of DAUTHSTATUS, each from 0 to 3."""

    nonsecure_invasive: int
    nonsecure_noninvasive: int
    secure_invasive: int
    secure_noninvasive: int

    @classmethod
    def parse(cls, value: int) -> Authentication:
        """The four fields of the register's value."""
        return cls(*(value >> shift & 3 for shift in (0, 2, 4, 6)))

    @property
    def secure_open(self) -> bool:
        """Whether any kind of secure debug is enabled."""
        return 3 in (self.secure_invasive, self.secure_noninvasive)

    def __str__(self) -> str:
        fields = self.nonsecure_invasive, self.nonsecure_noninvasive, self.secure_invasive, self.secure_noninvasive
        return ", ".join(f"{name} {_STATES[value]}" for name, value in zip(_NAMES, fields, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugPort:
    """What a probe saw.

    Attributes:
        dauthstatus, dhcsr: the two registers' values; None where the probe could not read them.
        reads: the word that was read at each secure address that was tried; None where the read was refused.
        readable: whether a non-secure address could be read, which shows that the probe works.
        disabled: the part's access port answers, and says that it makes no transfers at all (CSW.DeviceEn is 0).
        not_zero: those of the addresses at which the word is known not to be zero.
    """

    dauthstatus: int | None
    dhcsr: int | None
    reads: Mapping[int, int | None] = field(default_factory=dict)
    readable: bool = False
    disabled: bool = False
    not_zero: frozenset[int] = frozenset()

    @property
    def shown(self) -> dict[int, int]:
        """The words that were read of secure memory, without zeros: hardware that blocks a debugger may answer zero."""
        return {at: word for at, word in self.reads.items() if word}

    @property
    def tells(self) -> bool:
        """Whether the reads show that the port is open or closed. Zeros where memory may hold zeros show nothing."""
        refused = any(word is None or (word == 0 and at in self.not_zero) for at, word in self.reads.items())
        return refused or bool(self.shown)

    @property
    def authentication(self) -> Authentication | None:
        """The fields of DAUTHSTATUS; None when it could not be read."""
        return None if self.dauthstatus is None else Authentication.parse(self.dauthstatus)

    @property
    def secure_debug(self) -> bool | None:
        """Whether DHCSR.S_SDE is set; None when the register could not be read."""
        return None if self.dhcsr is None else bool(self.dhcsr & _S_SDE)


def is_closed_lifecycle(lifecycle: int) -> bool:
    """Whether secure debug must be closed: in every lifecycle that is not known to allow it."""
    return lifecycle >> 8 not in _OPEN_LIFECYCLES


def check_debug_port(port: DebugPort, lifecycle: int, report: Report, *, subject: str = "") -> None:
    """Judge what a probe saw against the lifecycle that the device attests.

    Args:
        port: the registers and reads of the probe.
        lifecycle: of the verified token, 16 bits.
        report: gets the findings.
        subject: named in findings.
    """
    judge, closed = Judge(report, subject), is_closed_lifecycle(lifecycle)
    said = f"lifecycle {lifecycle:#06x}"
    judge.judge(
        check.PROBE_WORKS,
        port.disabled or (port.readable and port.dauthstatus is not None and port.dhcsr is not None),
        expected="non-secure memory, DAUTHSTATUS and DHCSR read, or an access port that is switched off",
        seen=_seen(port),
    )  # fmt: skip
    authentication, secure = port.authentication, port.secure_debug
    if authentication is not None and closed:
        judge.judge(
            check.AUTHENTICATION, not authentication.secure_open,
            expected=f"secure debug disabled in {said}", seen=str(authentication),
        )  # fmt: skip
    if secure is not None and closed:
        judge.judge(check.SECURE_STATE, not secure, expected=f"S_SDE 0 in {said}", seen=f"DHCSR {port.dhcsr:#010x}")
    open_reads = port.shown
    if port.tells and closed:
        shown = ", ".join(f"{at:#010x}: {word:#010x}" for at, word in list(open_reads.items())[:4])
        judge.judge(
            check.SECURE_READ, not open_reads, expected=f"{len(port.reads)} refusals in {said}", seen=shown,
        )  # fmt: skip
    if authentication is not None and secure is not None:
        invasive = authentication.secure_invasive == 3
        agree = invasive == secure and (invasive or not open_reads)
        judge.judge(
            check.CONSISTENT, agree, expected="DAUTHSTATUS, DHCSR.S_SDE and what can be read say the same",
            seen=f"{authentication}; S_SDE {int(secure)}; {len(open_reads)} of {len(port.reads)} secure reads succeed",
        )  # fmt: skip


def places_to_read(
    regions: Sequence[tuple[int, int]], loaded: Sequence[tuple[int, bytes]]
) -> tuple[tuple[int, ...], frozenset[int]]:
    """The addresses to read in secure memory, which tell memory that is hidden (reads as zeros) from memory of zeros.

    Args:
        regions: begin and size of each region.
        loaded: address and content of each part that the build loads into secure memory.

    Returns:
        Addresses of words, in order: a few of each region, and words of the build that are not zero; and the latter.
    """
    known: set[int] = set()
    for at, content in loaded:
        words = [at + offset for offset in range(-at % 4, len(content) - 3, 4) if any(content[offset : offset + 4])]
        known.update(words[:: max(1, len(words) // _KNOWN)][:_KNOWN])
    spread = {begin + size * number // _SPREAD // 4 * 4 for begin, size in regions for number in range(_SPREAD)}
    return tuple(sorted(spread | known)), frozenset(known)


def _seen(port: DebugPort) -> str:
    missing = [name for name, value in (("DAUTHSTATUS", port.dauthstatus), ("DHCSR", port.dhcsr)) if value is None]
    missing += [] if port.readable else ["non-secure memory"]
    return f"not read: {', '.join(missing)}"
