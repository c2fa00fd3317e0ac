"""What the secure console says is what its documentation lists: nothing else is worth a line, least of all a secret."""

from __future__ import annotations

import contextlib
import re
from typing import Final

import pytest
from tfm_harness import Bench, Check, Checks, Device, HarnessError, ResetKind

pytestmark = pytest.mark.needs("infer", "describe", "cold-reset")

REFERENCE: Final = "tfm-harness-reference"
NUMBER, WORD, VERSION, NAME = r"\d{1,10}", "[0-9a-f]{8}", r"\d+\.\d+\.\d+", r"[!-~]{1,15}"
WHY = r"(?!.*[0-9A-Fa-f]{8})[\w ,()'/-]{1,80}"
"""A reason in words: no numbers that could be data."""
IMAGE = r"(?:NSPE image|MODEL image in (?:factory slot \d|the update slot)|update)"
LINES: Final = (
    rf"\[SPE\] tfm-harness reference SPE {VERSION}",
    rf"\[SPE\] OTP ok, lifecycle {WORD}",
    r"\[SPE\] OTP (?:empty|corrupt): no identity, signing refused",
    rf"\[SPE\] boot {NUMBER} of this board since power on",
    r"\[SPE\] measurement [0-9a-f]{64}",
    r"\[SPE\] NV area blank: a new board",
    r"\[SPE\] no entropy: no boot seed, signing refused",
    r"\[SPE\] reset requested",
    rf"\[SPE\] inference partition did not start: -?{NUMBER}",
    rf"\[SPE\] exception {NUMBER} has no handler",
    rf"\[SPE\] PANIC: {WHY}",
    rf"\[BOOT\] NSPE image {VERSION} verified, security counter {NUMBER}",
    rf"\[BOOT\] MODEL image {NAME} {VERSION} verified, security counter {NUMBER}",
    rf"\[BOOT\] starting the non-secure image at tick {NUMBER}",
    r"\[BOOT\] no model is active",
    rf"\[BOOT\] halted: {WHY}",
    rf"\[(?:BOOT|MODEL)\] {IMAGE} refused: {WHY}",
    rf"\[(?:BOOT|MODEL)\] {IMAGE}: security counter {NUMBER}, this device has seen {NUMBER}",
    rf"\[(?:BOOT|MODEL)\] {IMAGE}: key hash {WORD}\.\.\., trusted {WORD}\.\.\.",
    rf"\[MODEL\] {NAME} {VERSION} is active, security counter {NUMBER}",
    rf"\[MODEL\] {NAME} is signed, but no model for this device: {WHY}",
    rf"\[MODEL\] not made active: {WHY}",
    rf"\[FAULT\] (?:non-)?secure \w+ pc={WORD} cfsr={WORD} sfsr={WORD} (?:address|ppc)={WORD}",
    r"\[FAULT\] no more lines until the next boot; faults are still counted",
)
"""docs/reference-firmware.md, "Boot"."""

DOCUMENTED = Check(
    id="confidentiality.log-lines",
    title="the secure console shows the lines that its documentation lists, and no other",
    requirement="docs/reference-firmware.md, Boot; PSA Security Model 1.1 s.4.5 (confidentiality of assets)",
)


def test_the_secure_console_shows_documented_lines_only(bench: Bench, device: Device, checks: Checks) -> None:
    """From a cold start on, while everything that touches a secret is done, and some of it refused."""
    console = bench.board.consoles.get("secure")
    if bench.description.firmware != REFERENCE or console is None:
        pytest.skip("not covered: the lines of this firmware's secure console are not known, or there is none")
    begun = console.mark()
    device.reset(ResetKind.COLD)
    data = device.any_input()
    device.infer_input(data)
    with contextlib.suppress(HarnessError):
        device.infer_input(data + b"\0")
    for feature, ask in (("psa-token", device.attest), ("csr", lambda: device.csr("result"))):
        if not bench.missing([feature]):
            ask()
    if not bench.missing(["sensor"]):
        for mode in ("step", "clear"):
            device.test_commands.sample(mode)
    if not bench.missing(["models"]):
        device.select_model(bench.description.model or "")
    if not bench.missing(["probe", "memory-map"]):
        bench.probes.read_many([region.at for region in bench.memory_map.owned_by("secure")][:4])
    said = console.read_from(begun, limit=1 << 20).decode("ascii", "backslashreplace").replace("\r", "").split("\n")
    known = re.compile("|".join(LINES))
    others = [line for line in said[:-1] if line and not known.fullmatch(line)]
    checks(
        DOCUMENTED, not others, expected="documented lines", seen="; ".join(others[:4]), subject=f"{len(said)} lines"
    )
    checks(
        DOCUMENTED, len(said) > len(LINES) // 4, expected="the lines of a boot", seen=said[:4], subject="a cold start"
    )
