"""The list of lines that the secure console may show: every line that the firmware's sources can print is on it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.scripts import load_script

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "fw_builds" / "reference"
LINES = load_script(ROOT / "suites" / "confidentiality" / "test_log_lines.py").LINES
KNOWN = re.compile("|".join(LINES))
CALLS = re.compile(r'spe_log(_bytes)?\(\s*("\w+"|tag),\s*"((?:[^"\\]|\\.)*)"')
PRINTED = [
    (tag.strip('"'), text + ("%b" if bytes_ else ""))
    for path in sorted(FIRMWARE.glob("spe/**/*.c"))
    for bytes_, tag, text in CALLS.findall(path.read_text())
]
WHY = re.compile(r'(?:return|\] =|halt\(|panic\(|refuse\(|[?:]) *"([A-Za-z][^"\n%]+)"')
REASONS = sorted(
    {
        reason
        for name in ("spe/boot", "spe/core", "spe/services", "partition/nn")
        for path in (FIRMWARE / name).glob("*.c")
        for reason in WHY.findall(path.read_text())
    }
)
NAMES = {"MODEL image %s %s": "MODEL image tamper 1.0.0", "%s %s is active": "sine 1.0.0 is active",
         "NSPE image %s v": "NSPE image 1.0.0 v", "SPE %s": "SPE 1.0.0", "%s is signed": "wave is signed",
         "OTP %s": "OTP empty", "%s %s pc": "non-secure BusFault pc"}  # fmt: skip


def examples(tag: str, text: str) -> list[str]:
    """The line with values in the places of its format."""
    for form, name in NAMES.items():
        text = text.replace(form, name)
    for form, value in (("%u", "17"), ("%d", "-135"), ("%x", "0012abcd"), ("%b", "ab" * 32)):
        text = text.replace(form, value)
    if text.startswith("%s"):
        places = ("NSPE image", "MODEL image in factory slot 0", "MODEL image in the update slot", "update")
        return [f"[{tag}] {place}{text[2:]}".replace("%s", "not so") for place in places for tag in ("BOOT", "MODEL")]
    return [f"[{tag}] {text}".replace("%s", "rolled back (security counter too low)")]


def test_the_sources_print_something() -> None:
    assert len(PRINTED) >= 24
    assert {"no SHA-256", "NV area corrupt: security counters lost", "no input or no output"} <= set(REASONS)


@pytest.mark.parametrize(("tag", "text"), PRINTED, ids=[text for _, text in PRINTED])
def test_every_line_of_the_sources_is_known(tag: str, text: str) -> None:
    for line in examples(tag, text):
        assert KNOWN.fullmatch(line), line


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_the_sources_is_known(reason: str) -> None:
    for line in ("[BOOT] halted", "[MODEL] wave is signed, but no model for this device", "[MODEL] not made active"):
        assert KNOWN.fullmatch(f"{line}: {reason}")


@pytest.mark.parametrize(
    "line",
    [
        "[SPE] result key 0012abcd",
        "[SPE] key " + "ab" * 32,
        "[SPE] OTP ok, lifecycle 00003000, key 0012abcd",
        "[BOOT] halted: 0123456789abcdef",
        "[MODEL] tamper 1.0.0 is active, security counter 12345678901234567890",
        "[SPE] HUK 0012abcd...",
        "[TEMP] 25",
        "hello",
    ],
)
def test_other_lines_are_not_known(line: str) -> None:
    assert not KNOWN.fullmatch(line)
