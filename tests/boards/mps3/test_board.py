"""The MPS3 board, through the simulator: a folder, four ptys, QEMU as the FPGA."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError
from tfm_harness.boards.base import PowerState, ResetKind, RunContext
from tfm_harness.boards.mps3.board import Mps3Board
from tfm_harness.config.build import Build
from tfm_harness.config.loading import load_target
from tfm_harness.config.mps3 import Mps3Target
from tfm_harness.console.base import Mark
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.testing import ask_line, wait_until_ready
from tfm_harness.testing.simulators.mps3 import StandInMps3, make_card

pytestmark = pytest.mark.qemu
READY = re.compile(rb"ready ([0-9a-f]{8})\n")


@pytest.fixture
def board_folder(tmp_path: Path) -> Path:
    make_card(tmp_path / "V2M-MPS3")
    return tmp_path


@pytest.fixture
def fake(board_folder: Path) -> Iterator[StandInMps3]:
    with StandInMps3(board_folder / "V2M-MPS3", board_folder) as board:
        yield board


def target_for(fake: StandInMps3, **changes: object) -> Mps3Target:
    def port(number: int) -> dict[str, object]:
        return {"kind": "serial", "port": str(fake.ports[number]), "reconnect": 5}

    words: dict[str, object] = {
        "name": "mps3",
        "kind": "mps3",
        "disk": {"mount": str(fake.card)},
        "mcc": port(0),
        "consoles": {"ns": port(1), "secure": port(2)},
        "start_timeout": 60,
    }
    return Mps3Target.model_validate({**words, **changes})


@pytest.fixture
def make_board(fake: StandInMps3, tmp_path: Path) -> Iterator[Callable[..., Mps3Board]]:
    boards: list[Mps3Board] = []

    def make(**changes: object) -> Mps3Board:
        boards.append(Mps3Board(target_for(fake, **changes), RunContext(tmp_path / "run", tmp_path / "state")))
        return boards[-1]

    yield make
    for board in boards:
        board.release()


@pytest.mark.parametrize("reboot", ["mcc", "reboot.txt"])
def test_flash_writes_the_card_reboots_and_talks(
    make_board: Callable[..., Mps3Board], fake: StandInMps3, probe_build: Build, reboot: str
) -> None:
    with make_board(reboot=reboot) as board:
        board.flash(probe_build)
        wait_until_ready(board, READY)
        board.console("secure").wait_for(b"secure log\n", timeout=10, since=Mark(0))
        assert ask_line(board, "echo hello") == "hello"
        names = sorted(path.name for path in (fake.card / "SOFTWARE").iterdir())
        assert names == ["HARNESS.TXT", "probe.bin", "st.bin"]
        assert (fake.card / "config.txt").read_text().startswith("TITLE: Versatile")
        assert (fake.card / "MB/HBI0309C/mbb_v141.ebf").read_bytes() == b"mcc firmware"


def test_resets(make_board: Callable[..., Mps3Board], probe_build: Build) -> None:
    with make_board() as board:
        board.flash(probe_build)
        wait_until_ready(board, READY)
        assert ask_line(board, "poke 31000000 1234abcd") == "ok"
        mark = board.console("ns").mark()
        board.reset(ResetKind.WARM)
        wait_until_ready(board, READY, since=mark)
        assert ask_line(board, "word 31000000") == "1234abcd"
        mark = board.console("ns").mark()
        board.reset(ResetKind.COLD)
        wait_until_ready(board, READY, since=mark)
        assert ask_line(board, "word 31000000") == "00000000"
        assert [event.kind for event in board.events] == ["host-reset", "host-reset", "host-reset"]


def test_what_was_on_the_card_comes_back(
    make_board: Callable[..., Mps3Board], fake: StandInMps3, probe_build: Build
) -> None:
    images_txt = fake.card / "MB/HBI0309C/AN547/images.txt"
    before = images_txt.read_bytes()
    with make_board(restore=True) as board:
        board.flash(probe_build)
        assert images_txt.read_bytes() != before
    assert images_txt.read_bytes() == before
    assert (fake.card / "SOFTWARE" / "st.bin").read_bytes() == b"self test"


POWER = {"kind": "command", "on": ["true"], "off": ["true"], "off_seconds": 0}


@pytest.fixture
def switch(fake: StandInMps3, monkeypatch: pytest.MonkeyPatch) -> None:
    class Switch:
        def set(self, state: PowerState) -> None:
            fake.set_power(on=state is PowerState.ON)

        def state(self) -> PowerState:
            return PowerState.ON if fake.powered else PowerState.OFF

    monkeypatch.setattr("tfm_harness.boards.real.make_power", lambda _: Switch())


@pytest.mark.usefixtures("switch")
def test_power_cycle_as_reboot(make_board: Callable[..., Mps3Board], fake: StandInMps3, probe_build: Build) -> None:
    with make_board(reboot="power", power=POWER) as board:
        board.flash(probe_build)
        wait_until_ready(board, READY)
        assert "power-cycle" in [event.kind for event in board.events]
        board.power(PowerState.OFF)
        assert not fake.powered


def test_silent_mcc_is_named_and_the_board_usable_afterwards(
    make_board: Callable[..., Mps3Board], fake: StandInMps3, probe_build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfm_harness.boards.mps3.mcc.reboot.__kwdefaults__", {"timeout": 0.5})
    with make_board() as board:
        fake.silent = True
        with pytest.raises(InfrastructureError) as caught:
            board.flash(probe_build)
        assert caught.value.kind == "mcc-silent"
        fake.silent = False
        board.flash(probe_build)
        wait_until_ready(board, READY)


@pytest.mark.usefixtures("switch")
@pytest.mark.parametrize("reboot", ["mcc", "reboot.txt"])
def test_power_is_the_fallback_of_a_board_that_does_not_reboot(
    make_board: Callable[..., Mps3Board],
    fake: StandInMps3,
    probe_build: Build,
    monkeypatch: pytest.MonkeyPatch,
    reboot: str,
) -> None:
    monkeypatch.setattr("tfm_harness.boards.mps3.mcc.reboot.__kwdefaults__", {"timeout": 0.5})
    fake.silent = True
    with make_board(reboot=reboot, power=POWER, start_timeout=60 if reboot == "mcc" else 10) as board:
        board.flash(probe_build)
        wait_until_ready(board, READY)
        assert not (fake.card / "reboot.txt").exists()
        assert [event.kind for event in board.events] == ["host-reset", "power-fallback", "power-cycle"]


def test_a_card_that_was_half_written_is_restored(
    make_board: Callable[..., Mps3Board], fake: StandInMps3, probe_build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    images_txt = fake.card / "MB/HBI0309C/AN547/images.txt"
    before = images_txt.read_bytes()
    monkeypatch.setattr("tfm_harness.boards.mps3.mcc.reboot.__kwdefaults__", {"timeout": 0.5})
    with make_board(restore=True) as board:
        fake.silent = True
        with pytest.raises(InfrastructureError):
            board.flash(probe_build)
        assert images_txt.read_bytes() != before
    assert images_txt.read_bytes() == before
    assert sorted(path.name for path in (fake.card / "SOFTWARE").iterdir()) == ["st.bin"]


def test_files_of_others_keep_their_names(
    make_board: Callable[..., Mps3Board], fake: StandInMps3, probe_build: Build
) -> None:
    """Even a file that no images.txt names, and that has the name our image would get."""
    theirs = fake.card / "SOFTWARE" / "PROBE.BIN"
    theirs.write_bytes(b"somebody's")
    with make_board() as board:
        board.flash(probe_build)
        wait_until_ready(board, READY)
        board.flash(probe_build)
        wait_until_ready(board, READY, since=board.console("ns").mark())
    assert theirs.read_bytes() == b"somebody's"
    assert "probe1.bin" in (fake.card / "MB/HBI0309C/AN547/images.txt").read_text()


def test_the_card_is_restored_after_a_killed_session(
    make_board: Callable[..., Mps3Board], fake: StandInMps3, probe_build: Build, tmp_path: Path
) -> None:
    """SIGKILL in the middle of the copy; the next session restores although it flashes nothing itself."""
    before = {path: path.read_bytes() for path in fake.card.rglob("*") if path.is_file()}
    code = f"""
        import os, signal
        from pathlib import Path
        from tfm_harness.boards.mps3 import card as mps3_card
        from tfm_harness.boards.base import RunContext
        from tfm_harness.boards.mps3.board import Mps3Board
        from tfm_harness.config.loading import load_build
        from tfm_harness.config.mps3 import Mps3Target
        here = Path({str(tmp_path)!r})
        board = Mps3Board(Mps3Target.model_validate_json((here / "target.json").read_text()),
                          RunContext(here / "run", here / "state"))
        (here / "b.yaml").write_text("name: b\\nimages: [{{file: {probe_build.images[0].file}, world: secure}}]\\n")
        board.acquire()
        real = os.fsync
        def die(fd, left=[2]):
            real(fd)
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
        os.fsync = die
        board.flash(load_build(str(here / "b.yaml")))
    """
    (tmp_path / "target.json").write_text(target_for(fake).model_dump_json(exclude_none=True))
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], timeout=180, capture_output=True, check=False)
    assert done.returncode == -9, done.stderr.decode()
    assert (fake.card / "SOFTWARE" / "HARNESS.TMP").exists()
    with make_board(restore=True):
        pass
    left = {path: path.read_bytes() for path in fake.card.rglob("*") if path.is_file()}
    assert left == before


def test_files_that_vanish_from_the_card_are_reported(
    make_board: Callable[..., Mps3Board], fake: StandInMps3, probe_build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = StandInMps3._start

    def lose(self: StandInMps3) -> None:
        for file in (fake.card / "SOFTWARE").glob("probe*"):
            file.unlink()
        real(self)

    with make_board() as board:
        monkeypatch.setattr(StandInMps3, "_start", lose)
        with pytest.raises(InfrastructureError, match="MCC reported an error") as caught:
            board.flash(probe_build)
        assert caught.value.kind == "mcc-error"
        assert "not found" in (caught.value.seen or "")


def test_images_outside_the_mccs_windows(
    make_board: Callable[..., Mps3Board], tmp_path: Path, probe_build: Build
) -> None:
    raw = tmp_path / "raw.bin"
    raw.write_bytes(b"x" * 16)
    from tfm_harness.config.image import Image

    image = Image(file=raw, world="data", at=0x20000000)
    build = probe_build.model_copy(update={"images": (*probe_build.images, image)})
    with make_board() as board, pytest.raises(ConfigError, match="cannot load"):
        board.flash(build)


def test_two_sessions_do_not_share_a_board(make_board: Callable[..., Mps3Board]) -> None:
    make_board().acquire()
    with pytest.raises(InfrastructureError, match="in use"):
        make_board().acquire()


def test_two_targets_with_one_port_are_seen(make_board: Callable[..., Mps3Board]) -> None:
    make_board().acquire()
    with pytest.raises(InfrastructureError, match="in use"):
        make_board(name="other").acquire()


def test_missing_port(make_board: Callable[..., Mps3Board], tmp_path: Path) -> None:
    board = make_board(mcc={"kind": "serial", "port": str(tmp_path / "gone")})
    with pytest.raises(InfrastructureError, match="there is no port"):
        board.acquire()
    make_board().acquire()


def test_configuration_mistakes(fake: StandInMps3) -> None:
    with pytest.raises(ValidationError, match="used twice"):
        target_for(fake, consoles={"ns": {"kind": "serial", "port": str(fake.ports[0])}})
    with pytest.raises(ValidationError, match="either `label`"):
        target_for(fake, disk={})
    with pytest.raises(ValidationError, match="no console's name"):
        target_for(fake, consoles={"mcc": {"kind": "serial", "port": str(fake.ports[1])}})
    with pytest.raises(ValidationError, match="needs `power`"):
        target_for(fake, reboot="power")


def test_the_example_target_loads() -> None:
    target = load_target("mps3-an547")
    assert target.kind == "mps3"
    assert len(target.resources()) == 4
