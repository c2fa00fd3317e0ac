"""How the suite boot knows that a boot loader refused an image: by what real ones printed."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = ROOT.parent / "shared" / "recordings" / "tf-m"


@pytest.fixture(scope="module")
def refusal() -> re.Pattern[bytes]:
    found: re.Pattern[bytes] = runpy.run_path(str(ROOT / "suites" / "boot" / "test_images.py"))["REFUSAL"]
    return found


@pytest.mark.parametrize(
    "text",
    [
        b"[SPE] NSPE refused: signature\n",
        b"[ERR] Image in the primary slot is not valid!\r\n",
        b"[ERR] Unable to find bootable image\r\n",
        b"E: Image in the primary slot is not valid!\r\n",
        b"E: Unable to find bootable image\r\n",
    ],
)
def test_words_of_a_refusal(refusal: re.Pattern[bytes], text: bytes) -> None:
    assert refusal.search(text)


@pytest.mark.parametrize(
    "text", [b"[INF] Starting bootloader\r\n", b"[INF] Jumping to the first image slot\r\n", b"[NS] ready\n"]
)
def test_other_words_are_none(refusal: re.Pattern[bytes], text: bytes) -> None:
    assert not refusal.search(text)


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("port-v2.1.4-sfn-boot-tampered.uart0", True),
        ("boot-refused-s-payload-flipped.uart", True),
        ("boot-refused-ns-wrong-key.uart", True),
        ("an547-ns-wrong-key-refused.uart0", True),
        ("regression-v2.1.4-an547.uart", False),
        ("tfm-v2.2.2-an521-regression.uart0", False),
        ("port/port-v2.1.4-sfn.uart0", False),
    ],
)
def test_recordings_of_real_boot_loaders(refusal: re.Pattern[bytes], name: str, refused: bool) -> None:
    path = RECORDINGS / name
    if not path.is_file():
        pytest.skip(f"the recording {name} is not present beside the checkout")
    assert bool(refusal.search(path.read_bytes().replace(b"\0", b""))) is refused
