"""The contract of a board kind: what the harness relies on in a `Board`."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from tfm_harness.boards.base import Board, BoardEvent, ClockQuality, Identity, PowerState, ResetKind
from tfm_harness.boards.supervisor import wait_until
from tfm_harness.config.build import Build
from tfm_harness.config.target import TargetBase
from tfm_harness.console.base import Console, Mark
from tfm_harness.errors import ConfigError, HarnessBug, HarnessError, InfrastructureError, ProductError
from tfm_harness.processes import descendants
from tfm_harness.testing.conformance.outside import HOLDER, children, command_line, heard_on, still_running
from tfm_harness.testing.conformance.requirement import not_applicable, our_error, require

__all__ = ["BoardConformance"]


class BoardConformance:
    """Derive a test class from this one and define `make_board` and `make_build`.

    Attributes:
        console: the console on which the firmware shows that it has booted.
        ready: the bytes that it prints there at each start, literally.
        boot_timeout: seconds from a start to `ready`.
        patience: seconds within which a dead transport must be noticed, and a killed session's helpers must have ended.
        flashes: False for a kind that attaches to a running board: such a board prints nothing when it is flashed.
        exclusive: False if two boards of one target may run at the same time.
        memory: address and size of memory that `read_memory` may read; None if the kind cannot read memory.
        standalone: True if `make_board` and `make_build` need no fixtures: then a test kills a session that holds the
            board, and checks that nothing is left.
    """

    console: ClassVar[str] = "ns"
    ready: ClassVar[bytes] = b"ready"
    boot_timeout: ClassVar[float] = 30.0
    patience: ClassVar[float] = 10.0
    flashes: ClassVar[bool] = True
    exclusive: ClassVar[bool] = True
    memory: ClassVar[tuple[int, int] | None] = None
    standalone: ClassVar[bool] = False

    # --- what a kind's author gives

    def make_board(self, folder: Path) -> Board:
        """Make a board, always of the same target, not acquired yet; its run and state folders are inside `folder`."""
        raise NotImplementedError("make_board gives the board under test")

    def make_build(self, folder: Path) -> Build:
        """Make a build whose firmware prints `ready` on `console` at each start; `folder` may be used for files."""
        raise NotImplementedError("make_build gives the build that is flashed")

    def wait_ready(self, board: Board, since: Mark) -> None:
        """Wait until the firmware has started after `since`; by default until it has printed `ready`."""
        board.console(self.console).wait_for(self.ready, timeout=self.boot_timeout, since=since)

    def kill_transport(self, board: Board) -> bool:  # noqa: ARG002 - for whoever can
        """Make the board's transport or emulator die. Returns False if a test cannot do this."""
        return False

    def is_of_the_test(self, command: str) -> bool:  # noqa: ARG002 - for whoever has such processes
        """Whether a process with this command line belongs to the test's own simulator, not to the board."""
        return False

    # --- helpers

    def _left(self, before: frozenset[int]) -> list[str]:
        """Command lines of processes that run now and did not run before."""
        commands = (command_line(pid) for pid in children() - before)
        return [command for command in commands if command and not self.is_of_the_test(command)]

    def _flashed(self, board: Board, folder: Path) -> Board:
        board.flash(self.make_build(folder))
        if self.flashes:
            self.wait_ready(board, Mark(0))
        return board

    # --- the contract

    def test_the_class_names_its_kind_and_its_model(self, tmp_path: Path) -> None:
        """`kind` is a word, `config_model` the strict model of its target files, and both agree."""
        board = self.make_board(tmp_path)
        require("`kind` is a word", isinstance(board.kind, str) and bool(board.kind), board.kind)
        model = board.config_model
        require("`config_model` extends TargetBase", isinstance(model, type) and issubclass(model, TargetBase), model)
        require("the model refuses unknown keys", model.model_config.get("extra") == "forbid", model.model_config)
        said = typing.get_args(model.model_fields["kind"].annotation)
        require(f"the model's `kind` is Literal[{board.kind!r}]", said == (board.kind,), said)
        require("the board's target is of that model", isinstance(board.target, model), type(board.target))

    def test_making_a_board_touches_nothing(self, tmp_path: Path) -> None:
        """A board that was only made can be released, twice; it has a name and a description."""
        board = self.make_board(tmp_path)
        require("`name` is the target's", board.name.startswith(board.target.name), board.name)
        board.release()
        board.release()

    def test_use_before_acquire_is_a_bug_of_the_caller(self, tmp_path: Path) -> None:
        """`flash` and `reset` before `acquire` raise an error of the harness."""
        board = self.make_board(tmp_path)
        build = self.make_build(tmp_path)
        try:
            with our_error("`flash` before `acquire`", HarnessBug, InfrastructureError):
                board.flash(build)
            with our_error("`reset` before `acquire`", HarnessBug, InfrastructureError):
                board.reset(ResetKind.WARM)
        finally:
            board.release()

    def test_flash_starts_the_build(self, tmp_path: Path) -> None:
        """After `flash` the build runs, and the consoles are open and keep every byte."""
        with self.make_board(tmp_path) as board:
            self._flashed(board, tmp_path)
            consoles = board.consoles
            require("`consoles` is a mapping of consoles", isinstance(consoles, Mapping) and all(
                isinstance(each, Console) for each in consoles.values()), consoles)  # fmt: skip
            require("its names are the target's", set(consoles) == set(board.target.consoles), set(consoles))
            console = board.console(self.console)
            if self.flashes:
                require("the transcript has what came", self.ready in console.transcript.read_bytes())
            files = [each.transcript for each in consoles.values()]
            require("each console has a transcript of its own", len(set(files)) == len(files), files)
            require("transcripts lie in the run's folder", all(
                file.is_relative_to(board.context.run_dir) for file in files), files)  # fmt: skip
            board.check_alive()

    def test_an_unknown_console_is_named(self, tmp_path: Path) -> None:
        """A console name that the target does not have is a configuration error."""
        with self.make_board(tmp_path) as board, our_error("an unknown console", ConfigError):
            board.console("no-such-console")

    def test_release_gives_everything_back(self, tmp_path: Path) -> None:
        """After `release` nothing runs, nothing is locked, the consoles are closed; a second release does nothing."""
        before = children()
        with self.make_board(tmp_path) as board:
            self._flashed(board, tmp_path)
            console = board.console(self.console)
        board.release()
        require("no process is left", wait_until(lambda: not self._left(before), 5.0), self._left(before))
        with our_error("a console of a released board is closed", InfrastructureError):
            console.write(b"\n")
        with self.make_board(tmp_path):
            pass  # it can be acquired again

    def test_release_comes_also_after_an_error(self, tmp_path: Path) -> None:
        """A session that ends with an error releases the board."""
        try:
            with self.make_board(tmp_path):
                raise KeyboardInterrupt  # noqa: TRY301 - what a user does
        except KeyboardInterrupt:
            pass
        with self.make_board(tmp_path):
            pass

    def test_a_board_belongs_to_one_session(self, tmp_path: Path) -> None:
        """A second session is refused while the first holds the board, with an infrastructure error."""
        if not self.exclusive:
            not_applicable("boards of this target run side by side")
        with self.make_board(tmp_path):
            second = self.make_board(tmp_path)
            try:
                with our_error("a second session is refused", InfrastructureError):
                    second.acquire()
            finally:
                second.release()

    def test_each_reset_that_it_offers_starts_the_firmware_again(self, tmp_path: Path) -> None:
        """`reset` of each kind in `resets` leads to a new start; another kind is an infrastructure error."""
        with self.make_board(tmp_path) as board:
            self._flashed(board, tmp_path)
            require("`resets` is a set of ResetKind", all(isinstance(each, ResetKind) for each in board.resets))
            for kind in ResetKind:
                mark = board.console(self.console).mark()
                if kind in board.resets:
                    events = len(board.events)
                    board.reset(kind)
                    self.wait_ready(board, mark)
                    require(f"a {kind} reset is among the events", len(board.events) > events, board.events)
                else:
                    with our_error(f"a {kind} reset is not offered", InfrastructureError):
                        board.reset(kind)

    def test_power_off_silences_and_power_on_starts(self, tmp_path: Path) -> None:
        """Without power nothing answers; with power again the firmware starts. A board may have no power control."""
        with self.make_board(tmp_path) as board:
            self._flashed(board, tmp_path)
            try:
                board.power(PowerState.OFF)
            except InfrastructureError as error:
                require("no power control is kind no-power-control", "no-power-control" in error.kind, error.kind)
                not_applicable("this board has no power control")
            mark = board.console(self.console).mark()
            board.power(PowerState.ON)
            self.wait_ready(board, mark)

    def test_a_build_that_cannot_be_read_is_refused(self, tmp_path: Path) -> None:
        """A failed flash raises an error of the harness; the old image must not start."""
        build = self.make_build(tmp_path)
        if not self.flashes or not build.images:
            not_applicable("this kind flashes nothing")
        gone = build.images[0].model_copy(update={"file": tmp_path / "gone.elf"})
        with self.make_board(tmp_path) as board:
            self._flashed(board, tmp_path)
            mark = board.console(self.console).mark()
            with our_error("a missing image", InfrastructureError, ProductError, ConfigError):
                board.flash(build.model_copy(update={"images": (gone, *build.images[1:])}))
            heard = heard_on(board, self.console, mark)
            require("the old image does not start after a failed flash", self.ready not in heard, heard)

    def test_what_it_cannot_do_is_an_infrastructure_error(self, tmp_path: Path) -> None:
        """Methods that `capabilities` does not declare raise infrastructure errors; all its words are known."""
        from tfm_harness.bench.capabilities import is_known_word

        with self.make_board(tmp_path) as board:
            words = board.capabilities
            unknown = [word for word in words if not is_known_word(word)]
            require("words of `capabilities` are known, or have a dot", not unknown, unknown)
            require(f"target-{board.kind} is among them", f"target-{board.kind}" in words, words)
            calls: dict[str, Callable[[], object]] = {
                "factory-reset": board.erase,
                "memory-dump": lambda: board.read_memory(0, 4),
                "sensor-removal": lambda: board.without_sensors(frozenset()),
                "clock-control": lambda: board.count_instructions(on=False),
            }
            for word, call in calls.items():
                if word not in words:
                    with our_error(f"`{word}` is not offered", InfrastructureError):
                        call()

    def test_memory_can_be_read_where_it_says_so(self, tmp_path: Path) -> None:
        """`read_memory` returns the requested number of bytes."""
        with self.make_board(tmp_path) as board:
            if self.memory is None or "memory-dump" not in board.capabilities:
                not_applicable("no memory to read is named")
            self._flashed(board, tmp_path)
            address, size = self.memory
            found = board.read_memory(address, size)
            require("it gives as many bytes as asked for", isinstance(found, bytes) and len(found) == size, len(found))

    def test_a_factory_reset_starts_again(self, tmp_path: Path) -> None:
        """After `erase` with the power off, the firmware starts again."""
        with self.make_board(tmp_path) as board:
            if "factory-reset" not in board.capabilities:
                not_applicable("this kind has no factory reset")
            self._flashed(board, tmp_path)
            board.power(PowerState.OFF)
            board.erase()
            mark = board.console(self.console).mark()
            board.power(PowerState.ON)
            self.wait_ready(board, mark)

    def test_a_dead_transport_is_infrastructure(self, tmp_path: Path) -> None:
        """When the port or the emulator dies, `check_alive` says so."""
        with self.make_board(tmp_path) as board:
            self._flashed(board, tmp_path)
            if not self.kill_transport(board):
                not_applicable("kill_transport cannot kill it")

            def noticed() -> bool:
                try:
                    board.check_alive()
                except InfrastructureError:
                    return True
                return False

            require("`check_alive` raises InfrastructureError for a dead transport", wait_until(noticed, self.patience))

    def test_what_it_says_of_itself_can_be_recorded(self, tmp_path: Path) -> None:
        """`description`, `identity`, `events`, `clock_quality`, `resources` have the forms that the record takes."""
        with self.make_board(tmp_path) as board:
            self._flashed(board, tmp_path)
            said = board.description
            require("`description` maps text to text", all(
                isinstance(key, str) and isinstance(value, str) for key, value in said.items()), said)  # fmt: skip
            require("`identity` is an Identity with an id", isinstance(board.identity, Identity) and bool(
                board.identity.board_id), board.identity)  # fmt: skip
            require("`clock_quality` is a ClockQuality", isinstance(board.clock_quality, ClockQuality))
            require("`events` is a tuple of BoardEvent in order", isinstance(board.events, tuple) and all(
                isinstance(each, BoardEvent) for each in board.events) and [each.at for each in board.events] == sorted(
                each.at for each in board.events), board.events)  # fmt: skip
            resources = board.target.resources()
            require("`resources` is a tuple of names without repeats", isinstance(resources, tuple) and len(
                set(resources)) == len(resources), resources)  # fmt: skip

    def test_a_stimulus_rests(self, tmp_path: Path) -> None:
        """The stimulus can be set to rest, and knows the sample that a device reads then."""
        with self.make_board(tmp_path) as board:
            self._flashed(board, tmp_path)
            stimulus = board.stimulus()
            if stimulus is None:
                not_applicable("nothing plays this board's sensors")
            stimulus.rest()
            require("no samples are recorded at rest", len(stimulus.expected_samples()) == 0)
            require("a sample at rest is always the same", stimulus.sample() == stimulus.sample())

    def test_a_killed_session_leaves_nothing(self, tmp_path: Path) -> None:
        """SIGKILL of the process that holds the board: its helpers end, and the board is free."""
        if not self.standalone:
            not_applicable("standalone is False: make_board needs fixtures")
        code = HOLDER.format(path=sys.path, file=inspect.getfile(type(self)), name=type(self).__qualname__)
        words = [sys.executable, "-c", code, str(tmp_path)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as holder:
            assert holder.stdout is not None  # noqa: S101 - a pipe was asked for
            assert holder.stderr is not None  # noqa: S101 - same
            said = holder.stdout.readline()
            if said != b"held\n":
                holder.kill()
                require("the session holds the board", held=False, seen=holder.stderr.read()[-2000:])
            helpers = frozenset(descendants(holder.pid))
            os.kill(holder.pid, signal.SIGKILL)
            holder.wait()
        ended = wait_until(lambda: not still_running(helpers), self.patience)
        require("the helpers end with the session", ended, still_running(helpers))

        def free() -> bool:
            board = self.make_board(tmp_path)
            try:
                board.acquire()
            except HarnessError:
                return False
            finally:
                board.release()
            return True

        require("the board is free again", wait_until(free, self.patience))
