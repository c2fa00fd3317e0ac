"""The labgrid board: a real coordinator and exporter of labgrid 26 on loopback, QEMU boards behind them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError
from tfm_harness.boards.base import PowerState, ResetKind, RunContext
from tfm_harness.boards.labgrid.board import LabgridBoard
from tfm_harness.boards.supervisor import wait_until
from tfm_harness.config.build import Build
from tfm_harness.config.labgrid import LabgridTarget
from tfm_harness.config.loading import load_target
from tfm_harness.errors import InfrastructureError

from tests.boards.labgrid.kit import Farm, QemuBehindTcp, free_port, labgrid_python
from tests.boards.labgrid.warm import warm_python

CONSOLES = {"ns": {"resource": "uart-ns"}, "secure": {"resource": "uart-s"}}


@pytest.fixture(scope="session")
def python() -> Path:
    found = labgrid_python()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture(scope="module")
def shared_farm(python: Path, tmp_path_factory: pytest.TempPathFactory, probe_elf: Path) -> Iterator[Farm]:
    folder = tmp_path_factory.mktemp("farm")
    with Farm(python, folder / "farm", QemuBehindTcp(folder, probe_elf)) as running:
        yield running


@pytest.fixture
def farm(shared_farm: Farm) -> Farm:
    """The farm as a test expects it: nobody holds the board, and nobody's connection is left in its ports."""
    assert shared_farm.holder() == ""
    shared_farm.board.switch(on=False)
    shared_farm.board.switch(on=True)
    return shared_farm


@pytest.fixture
def own_farm(python: Path, tmp_path: Path, probe_elf: Path) -> Iterator[Farm]:
    """For tests that take it apart."""
    with Farm(python, tmp_path / "farm", QemuBehindTcp(tmp_path, probe_elf)) as running:
        yield running


@pytest.fixture(scope="module")
def forked(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with warm_python(python, tmp_path_factory.mktemp("forked") / "labgrid") as found:
        yield found


@pytest.fixture
def make_board(
    shared_farm: Farm, forked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., LabgridBoard]]:
    boards: list[LabgridBoard] = []

    def make(**changes: object) -> LabgridBoard:
        target = LabgridTarget.model_validate(
            {
                "name": "lab",
                "kind": "labgrid",
                "coordinator": shared_farm.coordinator,
                "place": "an547-0",
                "python": str(forked),
                "consoles": CONSOLES,
                **changes,
            }
        )
        # Folders for each: another host's session has other locks.
        monkeypatch.setenv("TFM_HARNESS_LOCK_DIR", str(tmp_path / f"locks{len(boards)}"))
        state = tmp_path / f"state{len(boards)}"
        boards.append(LabgridBoard(target, RunContext(tmp_path / f"run{len(boards)}", state)))
        return boards[-1]

    yield make
    for board in boards:
        board.release()


def wait_until_it_answers(board: LabgridBoard) -> None:
    """What a board prints or hears while its port is away is lost: it is asked until it has come back."""
    console = board.console("ns")
    for attempt in range(20):
        mark = console.mark()
        try:
            console.write(b"echo again\n")
            console.wait_for(b"again\n", timeout=1, since=mark)
        except InfrastructureError:
            assert attempt < 19
        else:
            return


@pytest.mark.qemu
def test_place_consoles_power_and_giving_it_back(
    farm: Farm, make_board: Callable[..., LabgridBoard], probe_build: Build
) -> None:
    with make_board(python=str(farm.python)) as board:
        assert "/tfm-harness-" in farm.holder()
        assert board.description["place"] == "an547-0"
        console = board.console("ns")
        mark = console.mark()
        console.write(b"echo hello\n")
        console.wait_for(b"hello\n", timeout=10, since=mark)
        board.check_alive()
        board.power(PowerState.OFF)
        assert not farm.board.on
        board.power(PowerState.ON)
        assert farm.board.on
        # The power took the board's TCP ports with it: how often they come back is the host's business.
        assert [event.kind for event in board.events if event.kind != "reconnect"] == ["power-off", "power-on"]
    assert farm.holder() == ""


@pytest.mark.qemu
def test_a_forked_worker_says_what_one_of_a_new_interpreter_says(
    farm: Farm, make_board: Callable[..., LabgridBoard]
) -> None:
    """Tests of what boards do have forked ones."""
    said = []
    for words in ({"python": str(farm.python)}, {}):
        with make_board(**words) as board:
            board.check_alive()
            seen = {key: value for key, value in board.description.items() if key != "held as"}
        errors = []
        for wrong in ({"place": "nope"}, {"consoles": {"ns": {"resource": "uart9"}}}):
            with pytest.raises(InfrastructureError) as caught:
                make_board(**words, **wrong).acquire()
            errors.append((caught.value.kind, caught.value.message, caught.value.expected, caught.value.seen))
        said.append((seen, errors))
    assert said[0] == said[1]


@pytest.mark.qemu
def test_reservation_by_tags(farm: Farm, make_board: Callable[..., LabgridBoard]) -> None:
    with make_board(place=None, tags={"board": "mps3-an547"}) as board:
        assert board.description["place"] == "an547-0"
        assert "acquired" in farm.client("reservations")
    assert farm.holder() == ""
    assert "acquired" not in farm.client("reservations")
    with pytest.raises(InfrastructureError) as caught:
        make_board(place=None, tags={"board": "other"}).acquire()
    assert caught.value.kind == "labgrid-busy"


@pytest.mark.qemu
def test_a_second_user_a_wrong_place_a_wrong_resource(farm: Farm, make_board: Callable[..., LabgridBoard]) -> None:
    first = make_board()
    first.acquire()
    with pytest.raises(InfrastructureError) as busy:
        make_board().acquire()
    assert busy.value.kind == "labgrid-busy"
    assert "is held by" in busy.value.message
    first.release()
    with pytest.raises(InfrastructureError) as unknown:
        make_board(place="nope").acquire()
    assert unknown.value.kind == "labgrid-unknown-place"
    assert "an547-0" in unknown.value.message
    with pytest.raises(InfrastructureError) as resource:
        make_board(consoles={"ns": {"resource": "uart9"}}).acquire()
    assert resource.value.kind == "labgrid-resource"
    assert "uart-ns (NetworkSerialPort)" in (resource.value.seen or "")
    # Every failure gave the place back.
    assert farm.holder() == ""


@pytest.mark.qemu
def test_lost_exporter_coordinator_and_place(own_farm: Farm, make_board: Callable[..., LabgridBoard]) -> None:
    board = make_board(coordinator=own_farm.coordinator)
    board.acquire()
    own_farm.client("-p", "an547-0", "release", "--kick")
    with pytest.raises(InfrastructureError) as kicked:
        board.check_alive()
    assert kicked.value.kind == "labgrid-lost"
    board.release()

    board = make_board(coordinator=own_farm.coordinator)
    board.acquire()
    own_farm.stop("labgrid-exporter")

    def still_there() -> bool:
        board.check_alive()
        return False

    with pytest.raises(InfrastructureError) as orphaned:
        wait_until(still_there, 120.0)  # labgrid's own connections notice a dead peer when they next look
    assert orphaned.value.kind in {"labgrid-orphaned", "labgrid-unavailable"}
    own_farm.stop("labgrid-coordinator")
    with pytest.raises(InfrastructureError) as gone:
        board.check_alive()
    assert gone.value.kind == "labgrid-coordinator"
    board.release()
    with pytest.raises(InfrastructureError) as nobody:
        make_board(coordinator=own_farm.coordinator).acquire()
    assert nobody.value.kind == "labgrid-coordinator"


@pytest.mark.qemu
def test_the_place_is_free_after_sigkill(farm: Farm, tmp_path: Path) -> None:
    script = tmp_path / "session.py"
    script.write_text(
        textwrap.dedent(f"""
        import signal
        from pathlib import Path
        from tfm_harness.boards.base import RunContext
        from tfm_harness.boards.labgrid.board import LabgridBoard
        from tfm_harness.config.labgrid import LabgridTarget

        words = dict(
            name="lab", kind="labgrid", coordinator={farm.coordinator!r}, place="an547-0",
            python={str(farm.python)!r}, consoles={CONSOLES!r},
        )
        board = LabgridBoard(LabgridTarget.model_validate(words), RunContext(Path("run"), Path("state")))
        board.acquire()
        print("held", flush=True)
        signal.pause()
        """)
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, cwd=tmp_path, env=environment
    ) as session:
        assert session.stdout is not None
        assert session.stdout.readline() == b"held\n"
        assert farm.holder()
        session.send_signal(signal.SIGKILL)
        session.wait()
    assert wait_until(lambda: farm.holder() == "", 20.0, step=0.2)


@pytest.mark.qemu
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_holder_that_is_killed_keeps_no_place(
    farm: Farm, make_board: Callable[..., LabgridBoard], number: signal.Signals
) -> None:
    board = make_board(python=str(farm.python))
    board.acquire()
    assert farm.holder()
    assert board._client is not None
    board._client._process.send_signal(number)
    with pytest.raises(InfrastructureError) as caught:
        board.check_alive()
    assert caught.value.kind == "labgrid-lost"
    board.release()
    assert farm.holder() == ""


@pytest.mark.qemu
def test_a_coordinator_that_is_restarted_has_forgotten_us(
    own_farm: Farm, make_board: Callable[..., LabgridBoard]
) -> None:
    board = make_board(coordinator=own_farm.coordinator)
    board.acquire()
    own_farm.stop("labgrid-coordinator")
    own_farm.stop("labgrid-exporter")  # it ends by itself, a little later
    own_farm.start_coordinator()
    own_farm.start_exporter()
    own_farm.create_place()  # it was ended before it had stored anything
    with pytest.raises(InfrastructureError) as caught:
        board.check_alive()
    assert caught.value.kind in {"labgrid-coordinator", "labgrid-lost"}
    board.release()
    with make_board(coordinator=own_farm.coordinator) as again:
        again.check_alive()


@pytest.mark.qemu
def test_flashing_by_command_and_what_is_not_proven(
    farm: Farm, make_board: Callable[..., LabgridBoard], probe_build: Build, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    script = f'echo "$LG_PLACE $0 $1" >> {told}'
    flash = {"kind": "command", "command": ["sh", "-c", script, "{image}", "{address}"]}
    board = make_board(flash=flash, reset=["true"])
    board.acquire()
    board.flash(probe_build)
    assert told.read_text().startswith("an547-0 ")
    assert told.read_text().strip().endswith("probe.elf")
    # The power cycle took the board's TCP ports with it; they come back when they do.
    assert [event.kind for event in board.events if event.kind != "reconnect"] == ["flashed", "power-cycle"]
    wait_until_it_answers(board)
    board.reset(ResetKind.WARM)
    board.release()

    failing = make_board(flash={"kind": "command", "command": ["false", "{image}"]})
    with failing as board, pytest.raises(InfrastructureError) as caught:
        board.flash(probe_build)
    assert caught.value.kind == "flash-failed"

    with make_board() as board:
        board.flash(probe_build)
        assert board.events[0].kind == "not-proven"
        with pytest.raises(InfrastructureError) as warm:
            board.reset(ResetKind.WARM)
        assert warm.value.kind == "no-reset-control"


def test_interpreters_without_labgrid(tmp_path: Path) -> None:
    words = {"name": "lab", "kind": "labgrid", "place": "p", "consoles": CONSOLES}
    context = RunContext(tmp_path / "run", tmp_path / "state")
    for python, expected in (("/nonexistent/python", "cannot be run"), ("/usr/bin/python3", "not installed")):
        target = LabgridTarget.model_validate({**words, "python": python})
        board = LabgridBoard(target, context)
        with pytest.raises(InfrastructureError, match=expected) as caught:
            board.acquire()
        assert caught.value.kind == "tool-missing"


def test_a_hung_worker_is_told_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tfm_harness.boards.labgrid import client as labgrid_client

    worker = tmp_path / "worker.py"
    worker.write_text("import signal\nsignal.pause()\n")
    monkeypatch.setattr(labgrid_client, "_WORKER", worker)
    monkeypatch.setattr(labgrid_client, "_START_TIMEOUT", 0.2)
    monkeypatch.setattr(labgrid_client, "_RELEASE_TIMEOUT", 0.2)
    with pytest.raises(InfrastructureError) as caught:
        labgrid_client.LabgridClient(sys.executable, tmp_path / "log")
    assert caught.value.kind == "tool-hung"


def test_configuration_mistakes() -> None:
    words = {"name": "lab", "kind": "labgrid", "consoles": CONSOLES}
    with pytest.raises(ValidationError, match="either `place` or `tags`"):
        LabgridTarget.model_validate(words)
    with pytest.raises(ValidationError, match="either `place` or `tags`"):
        LabgridTarget.model_validate({**words, "place": "p", "tags": {"a": "b"}})
    same = {"ns": {"resource": "u"}, "secure": {"resource": "u"}}
    with pytest.raises(ValidationError, match="the same resource"):
        LabgridTarget.model_validate({**words, "place": "p", "consoles": same})


def test_the_example_target_loads() -> None:
    assert load_target("labgrid-example").kind == "labgrid"
    assert free_port() > 0
