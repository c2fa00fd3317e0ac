"""Riddles of emulators get a hint, and only where the hint is right."""

from __future__ import annotations

import pytest
from tfm_harness.boards.emulator_quirks import hints_for, is_tfm
from tfm_harness.config.build import Build

from tests.console_suites.helpers import GOOD, recording

BOOT = "[INF] Starting bootloader\r\n[INF] Jumping to the first image slot\r\nBooting TF-M v2.1.4\r\n"


def test_otp_stop_is_the_missing_flash_controller() -> None:
    said = recording("boot-stuck-otp.uart").decode("latin-1")
    (hint,) = hints_for("mps3-an547", said)
    assert "QSPI" in hint
    assert hints_for("mps2-an521", said) == ()
    assert hints_for(None, said) == ()


@pytest.mark.parametrize(
    ("said", "resets", "word"),
    [
        (BOOT + "Non-Secure system starting...\r\n" + BOOT, 0, "CCR.TRD"),
        (BOOT + "Non-Secure system starting...\r\n", 1, "CCR.TRD"),
        (BOOT + "Non-Secure system starting...\r\n", 0, "CCR.TRD"),
        (BOOT, 0, "QSPI"),
    ],
)
def test_reset_loops_and_silent_hangs(said: str, resets: int, word: str) -> None:
    assert any(word in hint for hint in hints_for("mps3-an547", said, resets=resets))


def test_a_release_build_says_nothing_at_all() -> None:
    """Only the description tells that it is TF-M; resets tell the loop from the hang."""
    (loop,) = hints_for("mps3-an547", "\0\r\n", resets=7, tfm=True)
    assert "CCR.TRD" in loop
    hang = hints_for("mps3-an547", "", tfm=True)
    assert "QSPI" in hang[0]
    assert hints_for("mps2-an521", "", tfm=True) == ()
    assert hints_for("mps3-an547", "some other text", tfm=True) == ()


@pytest.mark.parametrize(
    ("described", "known"),
    [
        ({"protocol": "smp"}, False),
        ({"protocol": "zephyr-shell"}, True),
        ({"console_suites": [{"suite": "psa-arch-tests"}]}, True),
        ({"console_suites": [{"suite": "ztest"}]}, False),
        ({"imported": {"source": "tf-m"}}, True),
    ],
)
def test_which_builds_are_known_to_be_tfm(described: dict[str, object], known: bool) -> None:
    assert is_tfm(Build.model_validate({"name": "b", **described})) is known


def test_no_hint_without_a_reason() -> None:
    assert hints_for("mps3-an547", "") == ()
    assert hints_for("mps3-an547", "[SPE] something of another firmware\r\n", resets=3) == ()
    assert hints_for("mps3-an547", GOOD) == ()
