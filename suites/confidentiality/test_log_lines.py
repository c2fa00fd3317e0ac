"""The secure console prints only the lines that the documentation lists, so no line holds a secret."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Final

import pytest
from tfm_harness import Bench, Check, Checks, Device, HarnessError, ResetKind, Source
from tfm_harness.protocol.smp import Command, FrameDecoder, Packet

pytestmark = pytest.mark.needs("infer", "describe", "cold-reset")

REFERENCE: Final = "tfm-harness-reference"
NUMBER, WORD, VERSION, NAME = r"\d{1,10}", "[0-9a-f]{8}", r"\d+\.\d+\.\d+", r"[!-~]{1,15}"
WHY = r"(?!.*[0-9A-Fa-f]{8})[\w .:,()'/-]{1,80}"
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

BEGUN = "[SPE] tfm-harness reference SPE "
"""How the first line of a boot begins."""
MOST = 4 << 20
"""Bytes of a console that are looked at."""
FAULTS = 64
"""Lines about faults in one boot (docs/reference-firmware.md, Boot)."""
TYPED = (b"help\n", b"?\r\n", b"\x03\n", b"\x1b[A\r\n", b"dump 0x30000000 64\n", b"version\n", b"root\n")

TAKES_NOTHING = Check(
    id="confidentiality.console-takes-nothing",
    title="what is typed at a console is neither answered nor echoed: there is no monitor, and no shell",
    requirement="docs/protocol.md, Transport; PSA Security Model 1.1 s.4.5 (least privilege)",
)
DOCUMENTED = Check(
    id="confidentiality.log-lines",
    title="the secure console shows the lines that its documentation lists, and no other",
    requirement="docs/reference-firmware.md, Boot; PSA Security Model 1.1 s.4.5 (confidentiality of assets)",
)


def test_the_secure_console_shows_documented_lines_only(bench: Bench, device: Device, checks: Checks) -> None:
    """From a cold start on, while the device does everything that uses a secret, and refuses some of it."""
    console = bench.board.consoles.get("secure")
    if bench.description.firmware != REFERENCE or console is None:
        pytest.skip("not covered: the lines of this firmware's secure console are not known, or there is none")
    begun = console.mark()
    device.reset(ResetKind.COLD)
    commands, data = device.test_commands, device.any_input()
    for ask in device.requests(data).values():
        ask()
    refused: dict[str, list[Callable[[], object]]] = {
        "infer": [lambda: device.infer_input(data + b"\0")],
        "sensor": [  # without a window
            lambda: commands.sample("clear"),
            lambda: commands.ask(Command.INFER, {"nonce": bytes(16), "src": int(Source.SENSOR)}),
        ],
        "update": [lambda: commands.activate_model(commands.upload_model(bytes(range(1, 200))))],
    }
    for feature, asks in refused.items():
        for ask in asks if not bench.missing([feature]) else ():
            with contextlib.suppress(HarnessError):
                ask()
    if not bench.missing(["models"]):
        device.select_model(bench.description.model or "")
    if not bench.missing(["probe", "memory-map"]):
        place = next(iter(bench.memory_map.owned_by("secure"))).at
        bench.probes.read_many([place] * (1 if bench.probes.resets else 2 * FAULTS))
    said = console.read_from(begun, limit=1 << 20).decode("ascii", "backslashreplace").replace("\r", "").split("\n")
    known = re.compile("|".join(LINES))
    strange = [line for line in said[:-1] if line and not known.fullmatch(line)]
    checks(
        DOCUMENTED, not strange, expected="documented lines", seen="; ".join(strange[:4]), subject=f"{len(said)} lines"
    )
    checks(
        DOCUMENTED, len(said) > len(LINES) // 4, expected="the lines of a boot", seen=said[:4], subject="a cold start"
    )
    faults = sum(line.startswith("[FAULT] ") for line in said)
    most = f"at most {FAULTS}, and that there are no more"
    checks(DOCUMENTED, faults <= FAULTS + 1, expected=most, seen=faults, subject="lines about faults in one boot")


def test_the_secure_console_has_shown_documented_lines_only(bench: Bench, device: Device, checks: Checks) -> None:
    """Looks at earlier suites, too: they bring about states, refusals and failures that this suite does not."""
    console = bench.board.consoles.get("secure")
    if bench.description.firmware != REFERENCE or console is None:
        pytest.skip("not covered: the lines of this firmware's secure console are not known, or there is none")
    said = console.transcript.read_bytes()[-MOST:].decode("ascii", "backslashreplace").replace("\r", "")
    # A power cut ends a line anywhere; what stands behind it is the first line of the next boot.
    lines = [BEGUN + line.rpartition(BEGUN)[2] if BEGUN in line else line for line in said.split("\n")[1:-1]]
    known = re.compile("|".join(LINES))
    strange = sorted({line for line in lines if line and not known.fullmatch(line)})
    checks(
        DOCUMENTED, not strange, expected="documented lines", seen="; ".join(strange[:4]),
        subject=f"{len(lines)} lines of this session",
    )  # fmt: skip


@pytest.mark.needs("target-qemu")
@pytest.mark.parametrize("name", ["secure", "ns"])
def test_consoles_take_no_commands(bench: Bench, device: Device, checks: Checks, name: str) -> None:
    """Types what a technician would type, and every byte value, in pauses between requests."""
    console = bench.board.consoles.get(name)
    if bench.description.firmware != REFERENCE or console is None:
        pytest.skip("not covered: what this firmware's consoles take is documented elsewhere, or there is none")
    begun = console.mark()
    for typed in (*TYPED, bytes(range(256)) + b"\n"):
        console.write(typed)
        device.describe()
    raw = console.read_from(begun, limit=1 << 20)
    if name == bench.combination.build.console:
        text = bytearray()
        for item in FrameDecoder().feed(raw):
            if not isinstance(item, Packet) and not hasattr(item, "kind"):
                text += item.data + b"\n"
        raw = bytes(text)
    checks(TAKES_NOTHING, not raw.strip(), expected="nothing but answers to requests", seen=raw[:200], subject=name)
