"""Every board kind keeps the contract; a board that breaks a promise fails the test that states it."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, cast

import pytest
from pydantic import ConfigDict
from tfm_harness import (
    Board,
    Build,
    Console,
    HarnessBug,
    InfrastructureError,
    Mark,
    PowerState,
    ProductError,
    ResetKind,
    RunContext,
    Sample,
    Stimulus,
    TargetBase,
)
from tfm_harness.boards.attach.board import AttachBoard
from tfm_harness.boards.fvp.board import FvpBoard
from tfm_harness.boards.labgrid.board import LabgridBoard
from tfm_harness.boards.mps3.board import Mps3Board
from tfm_harness.boards.probe.board import ProbeBoard
from tfm_harness.boards.qemu.board import QemuBoard
from tfm_harness.boards.supervisor import spawn, wait_until
from tfm_harness.config.attach import AttachTarget
from tfm_harness.config.fvp import FvpTarget
from tfm_harness.config.image import Image
from tfm_harness.config.labgrid import LabgridTarget
from tfm_harness.config.loading import load_target
from tfm_harness.config.mps3 import Mps3Target
from tfm_harness.config.probe import ProbeTarget
from tfm_harness.config.qemu import QemuTarget
from tfm_harness.testing import BoardConformance, ConformanceError, FakeBoard, FakeTarget
from tfm_harness.testing.simulators import fvp as fvp_simulator
from tfm_harness.testing.simulators.mps3 import StandInMps3, make_card
from tfm_harness.testing.simulators.probe_board import StandInProbeBoard, entry_point_folder

from tests.boards.labgrid.kit import Farm, QemuBehindTcp, labgrid_python
from tests.boards.labgrid.warm import warm_python
from tests.boards.warm_probe import probe_server, warm_probe

__all__ = ["probe_server", "warm_probe"]


def context_in(folder: Path) -> RunContext:
    return RunContext(folder / "run", folder / "state")


class FakeConformance(BoardConformance):
    board_class: ClassVar[type[FakeBoard]] = FakeBoard
    memory = (0x2000_0000, 16)
    standalone = True

    def make_board(self, folder: Path) -> Board:
        target = FakeTarget(name="fake", kind="fake", consoles={"ns": 0, "secure": 1})
        return self.board_class(target, context_in(folder))

    def make_build(self, folder: Path) -> Build:
        image = folder / "image.bin"
        image.write_bytes(b"firmware")
        return Build(name="b", images=(Image(file=image, world="secure", at=0),))

    def kill_transport(self, board: Board) -> bool:
        board.consoles[self.console].close()
        return True


class TestFake(FakeConformance):
    pass


# --- every built-in kind, on its simulator


@pytest.mark.qemu
class TestQemu(BoardConformance):
    memory = (0x2100_0000, 64)

    @pytest.fixture(autouse=True)
    def _given(self, probe_build: Build, qemu_target: QemuTarget) -> None:
        self.build, self.target = probe_build, qemu_target

    def make_board(self, folder: Path) -> Board:
        return QemuBoard(self.target, context_in(folder))

    def make_build(self, folder: Path) -> Build:
        return self.build

    def kill_transport(self, board: Board) -> bool:
        assert isinstance(board, QemuBoard)
        return kill(board.child if isinstance(board, QemuBoard) else board._child)


def kill(child: Any) -> bool:
    assert child is not None
    child.kill()
    return True


@pytest.mark.qemu
class TestFvp(BoardConformance):
    @pytest.fixture(scope="class")
    @staticmethod
    def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
        return fvp_simulator.install(tmp_path_factory.mktemp("fvp"))

    @pytest.fixture(autouse=True)
    def _given(self, probe_build: Build, binary: Path) -> None:
        loaded = load_target("fvp-corstone300")
        assert isinstance(loaded, FvpTarget)
        self.build, self.target = probe_build, loaded.model_copy(update={"binary": str(binary)})

    def make_board(self, folder: Path) -> Board:
        return FvpBoard(self.target, context_in(folder))

    def make_build(self, folder: Path) -> Build:
        return self.build

    def kill_transport(self, board: Board) -> bool:
        assert isinstance(board, FvpBoard)
        return kill(board.child if isinstance(board, QemuBoard) else board._child)


@pytest.mark.qemu
class TestMps3(BoardConformance):
    @pytest.fixture(autouse=True)
    def _given(self, probe_build: Build, tmp_path: Path) -> Iterator[None]:
        make_card(tmp_path / "V2M-MPS3")
        with StandInMps3(tmp_path / "V2M-MPS3", tmp_path) as simulated:
            self.build, self.simulated = probe_build, simulated
            yield

    def make_board(self, folder: Path) -> Board:
        def port(number: int) -> dict[str, object]:
            return {"kind": "serial", "port": str(self.simulated.ports[number]), "reconnect": 5}

        words = {
            "name": "mps3",
            "kind": "mps3",
            "disk": {"mount": str(self.simulated.card)},
            "mcc": port(0),
            "consoles": {"ns": port(1), "secure": port(2)},
            "start_timeout": 60,
        }
        return Mps3Board(Mps3Target.model_validate(words), context_in(folder))

    def is_of_the_test(self, command: str) -> bool:
        return "qemu-system-arm" in command  # the simulated board's

    def make_build(self, folder: Path) -> Build:
        return self.build


@pytest.mark.qemu
class TestProbe(BoardConformance):
    @pytest.fixture(autouse=True)
    def _given(
        self, probe_build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm_probe: None
    ) -> Iterator[None]:
        site = entry_point_folder(tmp_path / "site")
        monkeypatch.setenv("PYTHONPATH", f"{site}:{Path(__file__).parents[2]}")
        with StandInProbeBoard("CONFORMANCE1", tmp_path / "p") as simulated:
            monkeypatch.setenv(*simulated.environment)
            self.build, self.ports = probe_build, simulated.ports
            yield

    def make_board(self, folder: Path) -> Board:
        ports = {"ns": self.ports[0], "secure": self.ports[1]}
        words = {
            "name": "probed",
            "kind": "probe",
            "probe": "CONFORMANCE1",
            "start": 0x10000000,
            "regions": {"itcm": {"start": 0x10000000, "size": "512K"}, "dtcm": {"start": 0x30000000, "size": "512K"}},
            "consoles": {name: {"kind": "tcp", "host": "127.0.0.1", "port": port} for name, port in ports.items()},
            "operation_timeout": 60,
        }
        return ProbeBoard(ProbeTarget.model_validate(words), context_in(folder))

    def make_build(self, folder: Path) -> Build:
        return self.build


@pytest.mark.qemu
class TestAttach(BoardConformance):
    flashes = False

    @pytest.fixture(autouse=True)
    def _given(self, probe_elf: Path, probe_build: Build, tmp_path: Path) -> Iterator[None]:
        self.running = QemuBehindTcp(tmp_path, probe_elf)
        self.build = probe_build
        self.running.switch(on=True)
        yield
        self.running.switch(on=False)

    def make_board(self, folder: Path) -> Board:
        ports = dict(zip(("ns", "secure"), self.running.ports, strict=True))
        words = {
            "name": "attached",
            "kind": "attach",
            "consoles": {name: {"kind": "tcp", "host": "127.0.0.1", "port": port} for name, port in ports.items()},
        }
        return AttachBoard(AttachTarget.model_validate(words), context_in(folder))

    def make_build(self, folder: Path) -> Build:
        return self.build

    def kill_transport(self, board: Board) -> bool:
        self.running.switch(on=False)
        return True


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory, probe_elf: Path) -> Iterator[Farm]:
    python = labgrid_python()
    if isinstance(python, str):
        pytest.skip(python)
    folder = tmp_path_factory.mktemp("farm")
    with Farm(python, folder / "farm", QemuBehindTcp(folder, probe_elf)) as running:
        yield running


@pytest.fixture(scope="module")
def forked(farm: Farm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with warm_python(farm.python, tmp_path_factory.mktemp("forked") / "labgrid") as found:
        yield found


def at_night(test: Callable[..., None]) -> Callable[..., None]:
    """The same test, left out of `make test` for this class only."""

    @functools.wraps(test)
    def same(*given: Any, **named: Any) -> None:
        test(*given, **named)

    return cast("Callable[..., None]", pytest.mark.nightly(same))


@pytest.mark.qemu
class TestLabgrid(BoardConformance):
    """Every test starts a labgrid session of its own.

    What is left to the night is seen of all other kinds here, and of places in tests/boards/labgrid/test_board.py.
    """

    test_a_stimulus_rests = at_night(BoardConformance.test_a_stimulus_rests)
    test_what_it_says_of_itself_can_be_recorded = at_night(BoardConformance.test_what_it_says_of_itself_can_be_recorded)
    test_memory_can_be_read_where_it_says_so = at_night(BoardConformance.test_memory_can_be_read_where_it_says_so)
    test_an_unknown_console_is_named = at_night(BoardConformance.test_an_unknown_console_is_named)
    test_a_factory_reset_starts_again = at_night(BoardConformance.test_a_factory_reset_starts_again)
    test_release_comes_also_after_an_error = at_night(BoardConformance.test_release_comes_also_after_an_error)
    test_power_off_silences_and_power_on_starts = at_night(BoardConformance.test_power_off_silences_and_power_on_starts)
    test_a_board_belongs_to_one_session = at_night(BoardConformance.test_a_board_belongs_to_one_session)

    flashes = False  # the board's power switch starts it: see tests/boards/test_labgrid_board.py

    @pytest.fixture(autouse=True)
    def _given(self, farm: Farm, forked: Path, probe_build: Build) -> None:
        farm.board.switch(on=False)
        farm.board.switch(on=True)
        self.farm, self.python, self.build = farm, forked, probe_build

    def make_board(self, folder: Path) -> Board:
        words = {
            "name": "lab",
            "kind": "labgrid",
            "coordinator": self.farm.coordinator,
            "place": "an547-0",
            "python": str(self.python),
            "consoles": {"ns": {"resource": "uart-ns"}, "secure": {"resource": "uart-s"}},
        }
        return LabgridBoard(LabgridTarget.model_validate(words), context_in(folder))

    def is_of_the_test(self, command: str) -> bool:
        return "qemu-system-arm" in command  # the farm's board

    def wait_ready(self, board: Board, since: Mark) -> None:
        """What a board prints while its port is away is lost: it is asked until it answers."""

        def answers() -> bool:
            console = board.console("ns")
            mark = console.mark()
            try:
                console.write(b"echo again\n")
                console.wait_for(b"again\n", timeout=1, since=mark)
            except InfrastructureError:
                return False
            return True

        assert wait_until(answers, 30)

    def make_build(self, folder: Path) -> Build:
        return self.build


# --- broken boards, each with the test that must fail it


class OtherKind(FakeBoard):
    kind = "other"


class LooseTarget(TargetBase):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow", frozen=True)
    kind: Literal["fake"]


class LooseModel(FakeBoard):
    config_model = LooseTarget


class RaisingRelease(FakeBoard):
    def release(self) -> None:
        if not self._lock.held:
            raise InfrastructureError("it is not held", kind="board-busy")
        super().release()


class ForeignBeforeAcquire(FakeBoard):
    def _require_acquired(self) -> None:
        if not self._lock.held:
            raise AttributeError("'NoneType' object has no attribute 'write'")


class NotStarted(FakeBoard):
    def flash(self, build: Build) -> None:
        self._require_acquired()
        self._flashed = True


class OneConsole(FakeBoard):
    @property
    def consoles(self) -> Mapping[str, Console]:
        return {"ns": self.main_console}


class HarnessesConsole(FakeBoard):
    def console(self, name: str) -> Console:
        if name not in self.target.consoles:
            raise HarnessBug("no such console", kind="console-unknown")
        return super().console(name)


class KeepsConsoleOpen(FakeBoard):
    def release(self) -> None:
        self._lock.release()


class KeepsProcess(FakeBoard):
    left: ClassVar[list[Any]] = []

    def flash(self, build: Build) -> None:
        child = spawn(["sleep", "60"], stderr_path=self.context.run_dir / "sleep")
        self.left.append(child)
        command = Path(f"/proc/{child.pid}/cmdline")
        assert wait_until(lambda: b"sleep" in command.read_bytes(), 10)  # a fork bears its parent's name at first
        super().flash(build)


class KeepsLock(FakeBoard):
    held: ClassVar[list[Any]] = []

    def release(self) -> None:
        for console in self._consoles.values():
            console.close()
        self.held.append(self._lock)


class NoExit(FakeBoard):
    held: ClassVar[list[Any]] = []

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if exc is None:
            self.release()
        else:
            self.held.append(self)


class Shared(FakeBoard):
    def acquire(self) -> None:
        self._lock = type(self._lock)(f"fake-{id(self)}", self.context.state_dir, {})
        super().acquire()


class NoReset(FakeBoard):
    def reset(self, kind: ResetKind = ResetKind.WARM) -> None:
        self._require_acquired()
        self._note("host-reset", "said, not done")
        self.main_console.push(b"still running\n")


class SilentReset(FakeBoard):
    def reset(self, kind: ResetKind = ResetKind.WARM) -> None:
        self._require_acquired()
        self._start()


class OnlyCold(FakeBoard):
    @property
    def resets(self) -> frozenset[ResetKind]:
        return frozenset({ResetKind.COLD})


class OtherPowerError(FakeBoard):
    def power(self, state: PowerState) -> None:
        raise InfrastructureError("the switch is away", kind="power-failed")


class PowerDoesNothing(FakeBoard):
    def power(self, state: PowerState) -> None:
        pass


class OldImage(FakeBoard):
    """When flashing fails, it starts what was there before."""

    def flash(self, build: Build) -> None:
        try:
            super().flash(build)
        except InfrastructureError:
            self._flashed = True
            self._start()
            raise


class QuietFlash(FakeBoard):
    """When flashing fails, it says nothing."""

    def flash(self, build: Build) -> None:
        try:
            super().flash(build)
        except InfrastructureError:
            self._flashed = False


class OddWord(FakeBoard):
    @property
    def capabilities(self) -> frozenset[str]:
        return super().capabilities | {"warp-drive"}


class NothingSaid(FakeBoard):
    def erase(self) -> None:
        """Nothing to erase, and it says that it is done."""

    @property
    def capabilities(self) -> frozenset[str]:
        return super().capabilities - {"factory-reset"}


class HalfMemory(FakeBoard):
    def read_memory(self, address: int, size: int) -> bytes:
        return bytes(size // 2)


class EraseBreaks(FakeBoard):
    def erase(self) -> None:
        self._flashed = False


class AlwaysAlive(FakeBoard):
    def check_alive(self) -> None:
        pass


class OddDescription(FakeBoard):
    @property
    def description(self) -> Mapping[str, str]:
        return {"version": 7}  # type: ignore[dict-item] # that is the fault


class Unrested(Stimulus):
    def __init__(self) -> None:
        self.read = 0

    def set(self, channel: str, value: float) -> None: ...
    def sample(self) -> Sample:
        self.read += 1
        return Sample(self.read, 0, 0, 0)

    def taken(self) -> None: ...
    def expected_samples(self, count: int | None = None) -> list[Sample]:
        return []

    def play(self, trace: str | Path) -> None: ...
    def rest(self) -> None: ...


class Restless(FakeBoard):
    def stimulus(self) -> Stimulus:
        return Unrested()


class Survivor(FakeBoard):
    """Its helper is a process that nothing ends."""

    def flash(self, build: Build) -> None:
        log = self.context.run_dir / "survivor"
        with log.open("wb") as file:
            self.helper = subprocess.Popen(["sleep", "15"], stdout=file, stderr=file, start_new_session=True)
        super().flash(build)

    def release(self) -> None:
        super().release()
        if hasattr(self, "helper"):
            self.helper.kill()
            self.helper.wait()


BROKEN: list[tuple[type[FakeBoard], str]] = [
    (OtherKind, "test_the_class_names_its_kind_and_its_model"),
    (LooseModel, "test_the_class_names_its_kind_and_its_model"),
    (RaisingRelease, "test_making_a_board_touches_nothing"),
    (ForeignBeforeAcquire, "test_use_before_acquire_is_a_bug_of_the_caller"),
    (NotStarted, "test_flash_starts_the_build"),
    (OneConsole, "test_flash_starts_the_build"),
    (HarnessesConsole, "test_an_unknown_console_is_named"),
    (KeepsConsoleOpen, "test_release_gives_everything_back"),
    (KeepsProcess, "test_release_gives_everything_back"),
    (KeepsLock, "test_release_gives_everything_back"),
    (NoExit, "test_release_comes_also_after_an_error"),
    (Shared, "test_a_board_belongs_to_one_session"),
    (NoReset, "test_each_reset_that_it_offers_starts_the_firmware_again"),
    (SilentReset, "test_each_reset_that_it_offers_starts_the_firmware_again"),
    (OnlyCold, "test_each_reset_that_it_offers_starts_the_firmware_again"),
    (OtherPowerError, "test_power_off_silences_and_power_on_starts"),
    (PowerDoesNothing, "test_power_off_silences_and_power_on_starts"),
    (OldImage, "test_a_build_that_cannot_be_read_is_refused"),
    (QuietFlash, "test_a_build_that_cannot_be_read_is_refused"),
    (OddWord, "test_what_it_cannot_do_is_an_infrastructure_error"),
    (NothingSaid, "test_what_it_cannot_do_is_an_infrastructure_error"),
    (HalfMemory, "test_memory_can_be_read_where_it_says_so"),
    (EraseBreaks, "test_a_factory_reset_starts_again"),
    (AlwaysAlive, "test_a_dead_transport_is_infrastructure"),
    (OddDescription, "test_what_it_says_of_itself_can_be_recorded"),
    (Restless, "test_a_stimulus_rests"),
    (Survivor, "test_a_killed_session_leaves_nothing"),
]


def brief(board: type[FakeBoard]) -> FakeConformance:
    class Case(FakeConformance):
        board_class = board
        boot_timeout = 1.0
        patience = 1.0

    return Case()


class SurvivorCase(FakeConformance):
    """At module level: the session that is killed makes it again."""

    board_class = Survivor
    patience = 1.0


@pytest.mark.parametrize(("board", "name"), BROKEN, ids=lambda value: getattr(value, "__name__", value))
def test_a_broken_board_fails_the_test_that_states_the_promise(
    board: type[FakeBoard], name: str, tmp_path: Path
) -> None:
    case = SurvivorCase() if board is Survivor else brief(board)
    try:
        # A start that does not come is the console's own error: it says what was waited for.
        with pytest.raises((ConformanceError, InfrastructureError, ProductError)) as caught:
            getattr(case, name)(tmp_path)
        assert getattr(caught.value, "kind", "console-timeout") in {"console-timeout", "board-busy"}
    finally:
        for lock in KeepsLock.held:
            lock.release()
        for held in NoExit.held:
            held.release()
        for child in KeepsProcess.left:
            child.kill()


def test_every_test_of_the_suite_has_a_board_that_fails_it() -> None:
    tests = {name for name in dir(BoardConformance) if name.startswith("test_")}
    assert tests == {name for _, name in BROKEN}
