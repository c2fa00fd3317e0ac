"""Riddles of emulators get a hint, and only where the hint is right."""

from __future__ import annotations

import pytest
from tfm_harness.boards.emulator_quirks import hints_for, is_tfm, limit_reached
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


SECURE = (
    "\x1b[1;34mBooting TF-M v2.1.4\x1b[0m\r\n\0[INF] Beginning TF-M provisioning\r\n"
    "[WRN]\x1b[1;31m TFM_DUMMY\x1b[0m\r\n"
    "[Sec Thread] Secure image initializing!\r\nTF-M isolation level is: 0x00000001\r\n"
    "Creating an empty ITS flash layout.\r\n[INF][Crypto] Provision entropy seed... complete.\r\n"
)


@pytest.mark.parametrize(
    ("said", "resets", "tfm"),
    [
        ((BOOT + SECURE + "Non-Secure system starting...\r\n") * 3, 0, False),
        (BOOT + SECURE + "Non-Secure system starting...\r\n" + BOOT[:30], 1, False),
        ((SECURE + "*** Booting Zephyr OS build v3.4.0 ***\r\n") * 2, 2, True),
        (BOOT * 4, 4, False),  # the panic in the TGU's set-up says nothing
        ("\0\r\n", 3, True),
        ("[INF] Starting bootloader\r\n[ERR] OTP system initialization failed\r\n", 0, False),
    ],
)
def test_a_boot_that_only_the_emulator_explains(said: str, resets: int, tfm: bool) -> None:
    assert limit_reached("mps3-an547", said, resets=resets, tfm=tfm)
    assert limit_reached("mps2-an521", said, resets=resets, tfm=tfm) is None
    assert limit_reached(None, said, resets=resets, tfm=tfm) is None


@pytest.mark.parametrize(
    ("said", "resets", "tfm"),
    [
        (BOOT + SECURE + "Non-Secure system starting...\r\n", 0, False),  # it hangs: the product's, with a hint
        ((BOOT + SECURE + "Non-Secure system starting...\r\nRunning Test Suite X\r\n") * 2, 1, False),
        ((BOOT + SECURE + "uart:~$ \r\n") * 2, 1, True),
        ((BOOT + SECURE + "FATAL ERROR: SecureFault\r\n") * 2, 1, False),
        ((BOOT + "[ERR] Image in the secondary slot is not valid!\r\n") * 2, 1, False),
        (BOOT + "[ERR] OTP system initialization failed\r\n" + BOOT + "Running Test Suite X\r\n", 1, False),
        ("\0\r\n", 3, False),
        ("\0\r\n", 0, True),
        ("[SPE] another firmware\r\n" * 3, 3, True),
        (GOOD, 1, True),
    ],
)
def test_a_boot_that_got_further_is_the_products(said: str, resets: int, tfm: bool) -> None:
    assert limit_reached("mps3-an547", said, resets=resets, tfm=tfm) is None
