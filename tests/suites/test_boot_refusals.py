"""How the suite boot knows that a boot loader refused an image: by what real ones printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tfm_harness.plugin.image_trials import REFUSAL

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = ROOT.parent / "shared" / "recordings" / "tf-m"


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
def test_words_of_a_refusal(text: bytes) -> None:
    assert REFUSAL.search(text)


@pytest.mark.parametrize(
    "text", [b"[INF] Starting bootloader\r\n", b"[INF] Jumping to the first image slot\r\n", b"[NS] ready\n"]
)
def test_other_words_are_none(text: bytes) -> None:
    assert not REFUSAL.search(text)


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
def test_recordings_of_real_boot_loaders(name: str, refused: bool) -> None:
    path = RECORDINGS / name
    if not path.is_file():
        pytest.skip(f"the recording {name} is not present beside the checkout")
    assert bool(REFUSAL.search(path.read_bytes().replace(b"\0", b""))) is refused
