"""FVP command lines, announcements, parameters, last words."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest
from tfm_harness.boards.fvp.model import (
    Application,
    Data,
    FvpCommand,
    Terminal,
    base_parameters,
    build_command,
    check_parameters,
    explain_failure,
    find_iris,
    find_terminals,
    is_raw,
    parse_banner,
    parse_parameters,
    terminals_of,
)
from tfm_harness.errors import ConfigError

COMMAND = FvpCommand(
    binary=Path("FVP_Corstone_SSE-300_Ethos-U55"),
    applications=[Application(Path("bl2.axf"))],
    data=[Data(Path("tfm_s_ns_signed.bin"), 0x38000000)],
    parameters={"ethosu.num_macs": "256"},
    simulated_limit=120,
    wall_limit=60.5,
    v_path=Path("vsi"),
)
LISTING = """# Parameters:
# instance.parameter=value       #(type, mode) default = 'def value' : description
cpu0.semihosting-enable=1        # (bool  , init-time) default = '1'      : Enable semihosting SVC traps
ethosu.num_macs=128              # (int   , init-time) default = '128'
mps3_board.visualisation.disable-visualisation=0   # (bool, init-time)
mps3_board.uart0.out_file=""     # (string, init-time) default = ''
mps3_board.telnetterminal0.mode="telnet"
mps3_board.telnetterminal0.start_telnet=1
"""


def values(arguments: list[str], option: str) -> list[str]:
    return [arguments[i + 1] for i, word in enumerate(arguments) if word == option]


def test_command_line_has_images_limits_and_raw_terminals() -> None:
    arguments = build_command(COMMAND)
    assert arguments[0] == "FVP_Corstone_SSE-300_Ethos-U55"
    assert values(arguments, "-a") == ["cpu0=bl2.axf"]
    assert values(arguments, "--data") == ["cpu0=tfm_s_ns_signed.bin@0x38000000"]
    assert values(arguments, "--simlimit") == ["120"]
    assert values(arguments, "--timelimit") == ["60.5"]
    assert "--stat" in arguments
    parameters = values(arguments, "-C")
    assert "mps3_board.v_path=vsi" in parameters
    for number in (0, 1, 2, 5):
        assert f"mps3_board.telnetterminal{number}.mode=raw" in parameters
        assert f"mps3_board.telnetterminal{number}.start_telnet=0" in parameters
    assert "cpu0.semihosting-enable=0" in parameters


def test_the_users_parameter_wins_and_stands_once() -> None:
    command = FvpCommand(binary=Path("fvp"), parameters={"cpu0.semihosting-enable": "1"})
    mentions = [word for word in values(build_command(command), "-C") if word.startswith("cpu0.semihosting-enable")]
    assert mentions == ["cpu0.semihosting-enable=1"]


def test_parameters_are_checked_against_the_binary() -> None:
    known = parse_parameters(LISTING)
    assert known["ethosu.num_macs"] == "128"
    assert known["mps3_board.uart0.out_file"] == ""
    assert len(known) == 6
    arguments = build_command(COMMAND, known)
    assert "ethosu.num_macs=256" in values(arguments, "-C")
    assert not [word for word in values(arguments, "-C") if "telnetterminal5" in word], "this binary has none"
    with pytest.raises(ConfigError, match=r"no parameter 'ethosu\.num_mac'") as caught:
        check_parameters({"ethosu.num_mac": "1"}, known)
    assert caught.value.hint == "did you mean 'ethosu.num_macs'?"


def test_our_own_parameters_are_not_wasted_on_other_boards() -> None:
    names = base_parameters(FvpCommand(binary=Path("fvp"), board="mps4_board"))
    assert any(name.startswith("mps4_board.telnetterminal0") for name in names)
    assert not any(name.startswith("mps3_board") for name in names)


LINES = (
    b"telnetterminal0: Listening for serial connection on port 5000\n",
    b"telnetterminal2: Listening for serial connection on port 5001\r\n",
    b"telnetterminal5: Listening for serial connection on port 5002\n",
    b"telnetterminal1: Listening for serial connection on port 5003\n",
)


@pytest.mark.parametrize("order", list(permutations(LINES)))
def test_terminals_are_found_in_any_order(order: tuple[bytes, ...]) -> None:
    found = find_terminals(b"Fast Models [11.22.39]\n" + b"".join(order))
    assert found == {0: Terminal(0, 5000), 1: Terminal(1, 5003), 2: Terminal(2, 5001), 5: Terminal(5, 5002)}


def test_half_an_announcement_is_none() -> None:
    whole = b"telnetterminal0: Listening for serial connection on port 5003\n"
    for end in range(len(whole)):
        assert find_terminals(whole[:end]) == {}
    assert find_terminals(whole) == {0: Terminal(0, 5003)}


def test_the_debug_server_is_where_it_says() -> None:
    assert find_iris(b"telnetterminal0: Listening for serial connection on port 5000\n") is None
    assert find_iris(b"x\nIris server started listening to port 710") is None
    assert find_iris(b"x\nIris server started listening to port 7101\n") == 7101
    assert build_command(FvpCommand(binary=Path("fvp"), iris=True))[-3:] == ["-I", "-R", "-p"]


def test_semihosting_is_off_whatever_its_parameter_is_called() -> None:
    known = {"mps4_board.subsystem.cpu0.semihosting-enable": "1", "mps4_board.subsystem.cpu1.semihosting-enable": "1"}
    words = values(build_command(FvpCommand(binary=Path("fvp"), board="mps4_board"), known), "-C")
    assert words == [f"{name}=0" for name in known]


def test_terminals_of_a_binary_and_their_mode() -> None:
    known = parse_parameters(LISTING)
    assert terminals_of(known, "mps3_board", {}) == {0}
    assert terminals_of(known, "mps3_board", {"mps3_board.telnetterminal0.quiet": "1"}) == set()
    mode = "mps3_board.telnetterminal0.mode"
    assert is_raw(known, "mps3_board", 0, {})
    assert not is_raw(known, "mps3_board", 0, {mode: "telnet"})
    assert not is_raw({}, "mps3_board", 0, {}), "a binary without the parameter speaks telnet"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Fast Models [11.16.24 (Nov  4 2021)]\nCopyright 2000-2021 ARM Limited.", "11.16.24"),
        ("\nFast Models [11.22.39 (May 10 2023)]", "11.22.39"),
        ("no banner", None),
    ],
)
def test_version_from_the_banner(text: str, version: str | None) -> None:
    assert parse_banner(text) == version


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ("Error: license error: License not found for feature FM_Simulator", "fvp-licence"),
        ("Failed to check out licence: -97,121", "fvp-licence"),
        (
            "fvp: libarmctmodel.so: cannot enable executable stack as shared object requires: Invalid argument",
            "fvp-host",
        ),
        ("fvp: error while loading shared libraries: libatomic.so.1: cannot open shared object file", "fvp-host"),
        ("Error: Unknown parameter mps3_board.foo", "fvp-parameter"),
        ("ERROR: could not open file bl2.axf", "fvp-image"),
        ("", "fvp-exit"),
        ("something else", "fvp-exit"),
    ],
)
def test_last_words_are_explained(output: str, kind: str) -> None:
    error = explain_failure(output, 1, "FVP")
    assert error.kind == kind
    assert error.hint
    assert "FVP" in (error.where or "")
