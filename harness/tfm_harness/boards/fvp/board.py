"""``kind: fvp``: a board simulated by one of Arm's Fixed Virtual Platforms.

Built against the FVP's documented behaviour; run here only through the simulator in
`tfm_harness.testing.simulators.fvp` (see docs/targets.md).
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tfm_harness.boards import provision
from tfm_harness.boards.base import ClockQuality, ResetKind, RunContext
from tfm_harness.boards.board_store import sweep
from tfm_harness.boards.emulated import EmulatedBoard
from tfm_harness.boards.fvp import model as fvp_model
from tfm_harness.boards.fvp.binary import FvpBinary, await_terminals, reset_through_iris
from tfm_harness.boards.otp_layout import make_entropy
from tfm_harness.boards.supervisor import Child, spawn
from tfm_harness.config.fvp import FvpTarget
from tfm_harness.console.endpoints import TelnetTransport
from tfm_harness.console.stream import StreamConsole
from tfm_harness.console.transport import SocketTransport
from tfm_harness.errors import HarnessBug, HarnessError, InfrastructureError

if TYPE_CHECKING:
    from tfm_harness.config.build import Build
    from tfm_harness.stimulus.base import Stimulus
    from tfm_harness.stimulus.vsi.stimulus import VsiStimulus

__all__ = ["FvpBoard"]

_KILL_GRACE: Final = 30.0


class FvpBoard(EmulatedBoard):
    """A simulated board. `acquire` asks the binary what it is; `flash` starts it."""

    kind: ClassVar[str] = "fvp"
    config_model: ClassVar[type[Any]] = FvpTarget

    def __init__(self, target: FvpTarget, context: RunContext) -> None:
        super().__init__(target, context)
        self._target = target
        self._drains: dict[str, StreamConsole] = {}
        self._child: Child | None = None
        self._fvp: FvpBinary | None = None
        self._clock: threading.Timer | None = None
        self._overdue = False
        self._stimulus: VsiStimulus | None = None
        self._folder = context.run_dir / f"{target.name}.fvp"
        self._burns = context.state_dir / "burned"
        self._secrets = self._burns / f"{target.name}.{os.getpid()}"

    # --- life ------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Ask the binary for its version and parameters, too.

        Raises:
            InfrastructureError: kind ``tool-missing``, ``tool-hung``, ``fvp-version``, ...
            ConfigError: kind ``fvp-parameter``.
        """
        self._fvp = FvpBinary.ask(self._target.binary, self._target.minimum_version)
        fvp_model.check_parameters(self._parameters(), self._fvp.parameters)
        super()._prepare()
        sweep(self._burns)
        if self._target.vsi is not None:
            from tfm_harness.stimulus.vsi.stimulus import VsiStimulus

            folder, instance = self._folder / "vsi", self._target.vsi.instance
            self._stimulus = VsiStimulus(folder, self._target.sensors, instance=instance)

    def _parameters(self) -> dict[str, str]:
        return {
            name: str(int(value)) if isinstance(value, bool) else str(value)
            for name, value in self._target.all_parameters.items()
        }

    def release(self) -> None:
        """See `Board`."""
        try:
            super().release()
        finally:
            for console in self._drains.values():
                console.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            shutil.rmtree(self._secrets, ignore_errors=True)

    def check_alive(self) -> None:
        """See `Board`."""
        if self._child is None:
            raise InfrastructureError(
                f"board {self.name!r} is off", kind="board-off", hint="flash it, or switch power on"
            )
        if self._child.poll() is not None:
            raise self._exit_error()
        self._child.raise_if_frozen(self.name)

    def stimulus(self) -> Stimulus | None:
        """See `Board`: a Virtual Streaming Interface, if the target has `vsi`."""
        return self._stimulus

    # --- what it is -------------------------------------------------------------------------

    @property
    def resets(self) -> frozenset[ResetKind]:
        """See `Board`."""
        return frozenset(ResetKind) if self._target.iris is not None else frozenset({ResetKind.COLD})

    @property
    def clock_quality(self) -> ClockQuality:
        """An FVP's cycle counts repeat but are not time (Arm: not meaningful as performance)."""
        return ClockQuality.MEANINGLESS

    @property
    def description(self) -> Mapping[str, str]:
        """See `Board`."""
        fvp, name = self._fvp, Path(self._target.binary).name
        if fvp is None:
            return {"emulator": name}
        label = {"simulator": "QEMU behind the FVP's command line"} if fvp.simulator else {}
        return {"emulator": f"{name} {fvp.version}", **label}

    # --- starting and stopping ---------------------------------------------------------------

    @property
    def _powered(self) -> bool:
        return self._child is not None

    @property
    def _machine_name(self) -> str:
        return Path(self._target.binary).name

    def _start(self, build: Build) -> None:
        try:
            words = self._command(build)
            self._child = spawn(words, stderr_path=self.context.run_dir / f"{self.name}.fvp.log")
            self._watch_clock(self._child)
            self._connect(self._wait_for_terminals())
        except BaseException:
            self._stop()
            raise

    def _command(self, build: Build) -> list[str]:
        virtual = self._target.virtual
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        data = [fvp_model.Data(file, address, self._target.core) for file, address in self._loads(build)]
        otp = provision.otp_for(build, self.identity, self._burned)
        if virtual.otp is not None and otp is not None:
            data.append(self._area("otp.bin", otp, virtual.otp.at))
        if virtual.entropy is not None:
            data.append(self._area("entropy.bin", self._burned.entropy or make_entropy(), virtual.entropy.at))
        command = fvp_model.FvpCommand(
            binary=Path(shutil.which(self._target.binary) or self._target.binary),
            applications=[
                fvp_model.Application(image.file, self._target.core) for image in build.images if image.kind != "bin"
            ],
            data=data,
            parameters=self._parameters(),
            simulated_limit=self._target.simulated_limit,
            wall_limit=self._target.wall_limit,
            board=self._target.board,
            core=self._target.core,
            v_path=self._folder / "vsi" if self._target.vsi is not None else None,
            iris=self._target.iris is not None,
        )
        return fvp_model.build_command(command, self._known.parameters)

    @property
    def _known(self) -> FvpBinary:
        if self._fvp is None:
            raise HarnessBug(f"board {self.name!r} used before acquire", kind="board-state")
        return self._fvp

    def _loads(self, build: Build) -> list[tuple[Path, int]]:
        return provision.loads(build, self._target.virtual.model_slots)

    def _area(self, name: str, content: bytes, address: int) -> fvp_model.Data:
        # Secrets: never in the run's folder, which is archived. After a killed run, the next run removes them.
        self._secrets.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._secrets / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        return fvp_model.Data(path, address, self._target.core)

    def _wait_for_terminals(self) -> dict[int, fvp_model.Terminal]:
        child = self._child
        if child is None:
            raise HarnessBug("no simulation", kind="board-state")
        wanted = {int(name.removeprefix("telnetterminal")) for name in self._target.consoles.values()}

        # A terminal that the target does not name can stall the model as well if nobody reads it.
        everything = wanted | fvp_model.terminals_of(self._known.parameters, self._target.board, self._parameters())
        found = await_terminals(child, wanted, everything)
        if child.poll() is not None:
            raise self._exit_error()
        if not wanted <= found.keys():
            raise InfrastructureError(
                "the FVP did not announce its terminals",
                kind="fvp-terminals",
                expected=", ".join(sorted(self._target.consoles.values())),
                seen=", ".join(f"telnetterminal{number}" for number in sorted(found)) or "none",
                where=f"{child.stderr_path}\n{child.last_words()}",
                hint="remove parameters that silence terminals (telnetterminalN.quiet, start_telnet)",
            )
        if missing := everything - found.keys():
            names = ", ".join(f"telnetterminal{number}" for number in sorted(missing))
            self._note("terminals-missing", f"not announced, so not read: {names}")
        return found

    def _watch_clock(self, child: Child) -> None:
        """End a model that exceeds its time limit: a model that hangs does not obey its own ``--timelimit``."""
        if self._clock is not None:
            self._clock.cancel()
        self._overdue = False
        self._clock = threading.Timer(self._target.wall_limit + _KILL_GRACE, self._end_overdue, [child])
        self._clock.daemon = True
        self._clock.start()

    def _end_overdue(self, child: Child) -> None:
        self._overdue = True  # noted before the model ends, because its end is noticed at once
        child.kill()

    def _connect(self, terminals: Mapping[int, fvp_model.Terminal]) -> None:
        """Connect to every announced terminal: one that nobody reads can stall the model."""
        names = {int(value.removeprefix("telnetterminal")): name for name, value in self._target.consoles.items()}
        for number, terminal in sorted(terminals.items()):
            try:
                connection = socket.create_connection(("127.0.0.1", terminal.port), timeout=10)
            except OSError as error:
                if self._child is not None and self._child.wait(1.0) is not None:
                    raise self._exit_error() from error
                raise InfrastructureError(
                    f"no connection to telnetterminal{number}",
                    kind="fvp-terminals",
                    expected=f"a listener at 127.0.0.1:{terminal.port}, as announced",
                    seen=str(error),
                    hint="check in the FVP's log whether it ended",
                    where=str(self.context.run_dir / f"{self.name}.fvp.log"),
                ) from error
            raw = fvp_model.is_raw(self._known.parameters, self._target.board, number, self._parameters())
            transport = SocketTransport(connection) if raw else TelnetTransport(connection)
            if number in names:
                self._attach(names[number], transport)
            elif (name := f"terminal{number}") in self._drains:
                self._drains[name].replace(transport, "new emulator process")
            else:
                self._drains[name] = self._open_console(name, transport)

    def _warm(self) -> None:
        iris = self._target.iris
        self.check_alive()
        if iris is None:
            raise InfrastructureError(
                f"target {self.name!r} has no warm reset",
                kind="no-warm-reset",
                expected="`iris: {python_path: ...}` in the target",
                hint="use a cold reset, or the firmware's own reset command",
            )
        child = self._child
        if child is not None:
            self._note("host-reset", "warm reset by the harness, through Iris")
            reset_through_iris(child, iris.python_path)

    def _stop(self) -> None:
        """End the simulation; SIGTERM first, so that the model can print its statistics."""
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        if self._child is not None:
            self._child.terminate()
            self._child = None

    # --- what happens to it -------------------------------------------------------------------

    def _why_closed(self) -> HarnessError | None:
        child = self._child
        if child is None:
            return InfrastructureError(f"board {self.name!r} is off", kind="board-off")
        return self._exit_error() if child.wait(2.0) is not None else None

    def _exit_error(self) -> InfrastructureError:
        child = self._child
        if child is None:
            return InfrastructureError(f"board {self.name!r} is off", kind="board-off")
        words = child.last_words(60)
        self._note_exit(child, child.ended())
        overdue = self._overdue
        if "Simulation stopped" in words or overdue:
            marks = [name for name in self._target.parameters if ".shutdown_" in name]
            return InfrastructureError(
                "the simulation outlived its own limit and was killed"
                if overdue
                else "the simulation ended at a limit",
                kind="fvp-limit",
                expected="a limit longer than the tests" + (f"; no end mark ({', '.join(marks)})" if marks else ""),
                seen=f"{child.ended()}; limits: {self._target.simulated_limit:g} s simulated, "
                f"{self._target.wall_limit:g} s host time",
                where=str(child.stderr_path),
                hint="raise simulated_limit or wall_limit in the target, or look for firmware in an endless loop",
            )
        return fvp_model.explain_failure(words, child.poll(), str(child.stderr_path))
