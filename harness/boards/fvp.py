"""``kind: fvp``: a board simulated by one of Arm's Fixed Virtual Platforms.

Built against the FVP's documented behaviour; run here only through the stand-in in
`harness.boards.standins.fvp` (see docs/targets.md).
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from harness.boards import fvp_model, provision
from harness.boards.base import Board, BoardEvent, ClockQuality, Identity, PowerState, ResetKind, RunContext
from harness.boards.locks import BoardLock, acquire_all
from harness.boards.qemu_command import older
from harness.boards.supervisor import Child, spawn, wait_until
from harness.boards.virtual import BoardStore, identity_of, make_entropy
from harness.config.fvp import FvpTarget
from harness.console.base import Console
from harness.console.stream import StreamConsole
from harness.console.transport import SocketTransport
from harness.errors import BenchError, ConfigError, HarnessBug, HarnessError

if TYPE_CHECKING:
    from harness.config.build import Build
    from harness.stimulus.base import Stimulus
    from harness.stimulus.vsi.stimulus import VsiStimulus

__all__ = ["FvpBoard"]

_START_TIMEOUT: Final = 60.0  # an FVP with a licence server takes its time
_ASK_TIMEOUT: Final = 60.0

# Runs in this interpreter with the FVP's Iris package on its path.
_IRIS_RESET: Final = (
    "import sys, iris.debug as d; m = d.NetworkModel('localhost', int(sys.argv[1])); m.reset(allow_partial_reset=True)"
)


class FvpBoard(Board):
    """A simulated board. `acquire` asks the binary what it is; `flash` starts it."""

    kind: ClassVar[str] = "fvp"
    config_model: ClassVar[type[Any]] = FvpTarget

    def __init__(self, target: FvpTarget, context: RunContext) -> None:
        super().__init__(target, context)
        self._target = target
        self._began = time.monotonic()
        self._events: list[BoardEvent] = []
        self._consoles: dict[str, StreamConsole] = {}
        self._drains: dict[str, StreamConsole] = {}
        self._child: Child | None = None
        self._build: Build | None = None
        self._digests: dict[Path, bytes] = {}
        self._known: dict[str, str] = {}
        self._version = ""
        self._stand_in = False
        self._huk: bytes | None = None
        self._iris_port = 0
        self._stimulus: VsiStimulus | None = None
        base = context.run_dir if context.fresh_identity else context.state_dir
        self._store = BoardStore(base / "boards" / target.name)
        self._folder = context.run_dir / f"{target.name}.fvp"
        about = {"target": target.name, "kind": "fvp", "run_dir": str(context.run_dir)}
        self._lock = BoardLock(target.name, context.state_dir, about)

    # --- life ------------------------------------------------------------------------------

    def acquire(self) -> None:
        """See `Board`. Also asks the binary for its version and parameters.

        Raises:
            BenchError: kind ``board-busy``, ``tool-missing``, ``tool-hung``, ``fvp-version``, ``fvp-licence``, ...
            ConfigError: kind ``fvp-parameter``.
        """
        acquire_all([self._lock], self.target.timeouts.acquire)
        try:
            self._ask()
            self._store.open()
            if self._target.virtual.otp is not None:
                self._huk = self._store.huk()
            if self._target.vsi is not None:
                from harness.stimulus.vsi.stimulus import VsiStimulus

                folder, instance = self._folder / "vsi", self._target.vsi.instance
                self._stimulus = VsiStimulus(folder, self._target.sensors, instance=instance)
        except BaseException:
            self.release()
            raise

    def _ask(self) -> None:
        binary = self._target.binary
        if shutil.which(binary) is None:
            raise BenchError(
                f"{binary} was not found",
                kind="tool-missing",
                expected="the FVP on the PATH, or `binary` with its path",
                hint="download it from Arm (Ecosystem FVPs need no licence)",
            )
        banner = self._run("--version")
        self._version = fvp_model.parse_banner(banner) or ""
        self._stand_in = "stand-in" in banner
        if self._version and older(self._version, self._target.minimum_version):
            raise BenchError(
                f"FVP {self._version} is too old",
                kind="fvp-version",
                expected=f"{self._target.minimum_version} or newer",
                seen=self._version,
                where=binary,
                hint="install a newer FVP, or lower `minimum_version` if you know what you miss",
            )
        self._known = fvp_model.parse_parameters(self._run("--list-params"))
        fvp_model.check_parameters(self._parameters(), self._known)

    def _run(self, option: str) -> str:
        try:
            done = subprocess.run(
                [self._target.binary, option],
                capture_output=True,
                text=True,
                timeout=_ASK_TIMEOUT,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired as error:
            raise BenchError(
                f"the FVP hangs at {option}",
                kind="tool-hung",
                expected=f"an answer within {_ASK_TIMEOUT:g} s",
                where=self._target.binary,
                hint="a licence server that does not answer is the usual cause",
            ) from error
        if done.returncode:
            raise fvp_model.explain_failure(done.stdout + done.stderr, done.returncode, self._target.binary)
        return done.stdout

    def _parameters(self) -> dict[str, str]:
        return {
            name: str(int(value)) if isinstance(value, bool) else str(value)
            for name, value in self._target.parameters.items()
        }

    def flash(self, build: Build) -> None:
        """See `Board`: a new simulation with `build`'s images."""
        if not self._lock.held:
            raise HarnessBug(f"board {self.name!r} used before acquire", kind="board-state")
        self._build = build
        self._digests = provision.digest_images(build)
        self._cold()

    def reset(self, kind: ResetKind = ResetKind.WARM) -> None:
        """See `Board`. Cold: a new simulation. Warm: a reset through Iris, where the target has it.

        Raises:
            BenchError: kind ``no-warm-reset``, ``iris-failed``.
        """
        if self._build is None:
            raise HarnessBug("reset before flash", kind="board-state")
        if kind is ResetKind.COLD:
            self._cold()
        else:
            self._warm()

    def power(self, state: PowerState) -> None:
        """See `Board`. Off ends the simulation; on starts it cold."""
        if state is PowerState.OFF:
            self._note("power-off", "power switched off by the harness")
            self._stop()
        elif state is PowerState.ON and self._child is None and self._build is not None:
            self._cold()

    def release(self) -> None:
        """See `Board`."""
        try:
            self._stop()
            for console in (*self._consoles.values(), *self._drains.values()):
                console.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            if self.context.fresh_identity:
                self._store.remove()
        finally:
            self._lock.release()

    def check_alive(self) -> None:
        """See `Board`."""
        if self._child is None:
            raise BenchError(f"board {self.name!r} is off", kind="board-off", hint="flash it, or switch power on")
        if self._child.poll() is not None:
            raise self._exit_error()

    def stimulus(self) -> Stimulus | None:
        """See `Board`: a Virtual Streaming Interface, where the target has `vsi`."""
        return self._stimulus

    # --- what it is -------------------------------------------------------------------------

    def console(self, name: str) -> Console:
        """See `Board`."""
        if name not in self._target.consoles:
            known = ", ".join(self._target.consoles)
            raise ConfigError(f"target {self.name!r} has no console {name!r}", kind="console-unknown", expected=known)
        if name not in self._consoles:
            raise HarnessBug(f"console {name!r} before the first flash", kind="board-state")
        return self._consoles[name]

    @property
    def consoles(self) -> Mapping[str, Console]:
        """See `Board`; terminals that the target does not name are drained too, into files of their own."""
        return dict(self._consoles)

    @property
    def identity(self) -> Identity:
        """See `Board`."""
        otp = self._target.virtual.otp
        if otp is None or self._huk is None:
            return Identity(board_id=self.name)
        return identity_of(self.name, self._huk, otp, Path(self._target.binary).name, otp.lifecycle)

    @property
    def clock_quality(self) -> ClockQuality:
        """An FVP's cycle counts repeat but are not time (Arm: not meaningful as performance)."""
        return ClockQuality.MEANINGLESS

    @property
    def events(self) -> tuple[BoardEvent, ...]:
        """See `Board`."""
        return tuple(self._events)

    @property
    def description(self) -> Mapping[str, str]:
        """See `Board`."""
        label = {"stand-in": "QEMU behind the FVP's command line"} if self._stand_in else {}
        return {"emulator": f"{Path(self._target.binary).name} {self._version}".strip(), **label}

    # --- starting and stopping ---------------------------------------------------------------

    def _cold(self) -> None:
        if self._child is not None:
            self._stop()
            self._note("host-reset", "cold reset by the harness: new simulation")
        build = self._build
        if build is None:
            raise HarnessBug("start before flash", kind="board-state")
        provision.check_unchanged(build, self._digests)
        try:
            words = self._command(build)
            self._child = spawn(words, stderr_path=self.context.run_dir / f"{self.name}.fvp.log")
            self._connect(self._wait_for_terminals())
        except BaseException:
            self._stop()
            raise

    def _command(self, build: Build) -> list[str]:
        virtual = self._target.virtual
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        data = [fvp_model.Data(file, address, self._target.core) for file, address in self._loads(build)]
        if virtual.otp is not None and self._huk is not None:
            otp = provision.otp_for(build, virtual.otp, self._huk, self.identity)
            data.append(self._area("otp.bin", otp, virtual.otp.at))
        if virtual.entropy is not None:
            data.append(self._area("entropy.bin", make_entropy(), virtual.entropy.at))
        extra: list[str] = []
        if self._target.iris is not None:
            self._iris_port = _free_port()
            extra = ["--iris-server", "--iris-port", str(self._iris_port)]
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
            v_path=self._folder / "vsi" if self._target.vsi is not None else None,
            extra=extra,
        )
        return fvp_model.build_command(command, self._known)

    def _loads(self, build: Build) -> list[tuple[Path, int]]:
        return provision.loads(build, self._target.virtual.model_slots)

    def _area(self, name: str, content: bytes, address: int) -> fvp_model.Data:
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        return fvp_model.Data(path, address, self._target.core)

    def _wait_for_terminals(self) -> dict[int, fvp_model.Terminal]:
        child = self._child
        if child is None:
            raise HarnessBug("no simulation", kind="board-state")
        wanted = {int(name.removeprefix("telnetterminal")) for name in self._target.consoles.values()}

        def announced() -> dict[int, fvp_model.Terminal]:
            return fvp_model.find_terminals(child.stderr_path.read_bytes())

        # The FVP gives no other sign than these lines in its output.
        wait_until(lambda: wanted <= announced().keys() or child.poll() is not None, _START_TIMEOUT)
        if child.poll() is not None:
            raise self._exit_error()
        found = announced()
        if not wanted <= found.keys():
            raise BenchError(
                "the FVP did not announce its terminals",
                kind="fvp-terminals",
                expected=", ".join(sorted(self._target.consoles.values())),
                seen=", ".join(f"telnetterminal{number}" for number in sorted(found)) or "none",
                where=f"{child.stderr_path}\n{child.last_words()}",
                hint="remove parameters that silence terminals (telnetterminalN.quiet, start_telnet)",
            )
        return found

    def _connect(self, terminals: Mapping[int, fvp_model.Terminal]) -> None:
        """Every announced terminal is read: one that nobody reads can stall the model."""
        names = {int(value.removeprefix("telnetterminal")): name for name, value in self._target.consoles.items()}
        for number, terminal in sorted(terminals.items()):
            try:
                connection = socket.create_connection(("127.0.0.1", terminal.port), timeout=10)
            except OSError as error:
                raise BenchError(
                    f"no connection to telnetterminal{number}",
                    kind="fvp-terminals",
                    expected=f"a listener at 127.0.0.1:{terminal.port}, as announced",
                    seen=str(error),
                    hint="did the FVP end? see its log",
                    where=str(self.context.run_dir / f"{self.name}.fvp.log"),
                ) from error
            known = self._consoles if number in names else self._drains
            name = names.get(number, f"terminal{number}")
            transport = SocketTransport(connection)
            if name in known:
                known[name].replace(transport, "new simulation")
            else:
                path = self.context.run_dir / f"{self.name}-{name}.log"
                known[name] = StreamConsole(name, transport, path, diagnose=self._why_closed)

    def _warm(self) -> None:
        iris = self._target.iris
        self.check_alive()
        if iris is None:
            raise BenchError(
                f"target {self.name!r} has no warm reset",
                kind="no-warm-reset",
                expected="`iris: {python_path: ...}` in the target",
                hint="use a cold reset, or the firmware's own reset command",
            )
        self._note("host-reset", "warm reset by the harness, through Iris")
        done = subprocess.run(
            [sys.executable, "-c", _IRIS_RESET, str(self._iris_port)],
            env={"PYTHONPATH": str(iris.python_path), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise BenchError(
                "the reset through Iris failed",
                kind="iris-failed",
                expected="iris.debug to reset the model",
                seen=(done.stderr.strip().splitlines() or ["no words"])[-1],
                where=f"{iris.python_path}, port {self._iris_port}",
                hint="is python_path the folder Iris/Python of this FVP's installation?",
            )

    def _stop(self) -> None:
        """End the simulation; SIGTERM first, so that the model can print its statistics."""
        if self._child is not None:
            self._child.terminate()
            self._child = None

    # --- what happens to it -------------------------------------------------------------------

    def _note(self, kind: str, detail: str) -> None:
        offsets = {name: console.received for name, console in self._consoles.items()}
        for console in self._consoles.values():
            console.note(detail)
        self._events.append(BoardEvent(kind, detail, time.monotonic() - self._began, offsets))

    def _why_closed(self) -> HarnessError | None:
        child = self._child
        if child is None:
            return BenchError(f"board {self.name!r} is off", kind="board-off")
        return self._exit_error() if child.wait(2.0) is not None else None

    def _exit_error(self) -> BenchError:
        child = self._child
        if child is None:
            return BenchError(f"board {self.name!r} is off", kind="board-off")
        words = child.last_words(60)
        if not any(event.kind == "emulator-exit" for event in self._events):
            self._note("emulator-exit", child.ended())
        if "Simulation stopped" in words:
            return BenchError(
                "the simulation ended at a limit",
                kind="fvp-limit",
                expected="a limit longer than the tests",
                seen=f"{child.ended()}; limits: {self._target.simulated_limit:g} s simulated, "
                f"{self._target.wall_limit:g} s host time",
                where=str(child.stderr_path),
                hint="raise simulated_limit or wall_limit in the target, or look for firmware in an endless loop",
            )
        return fvp_model.explain_failure(words, child.poll(), str(child.stderr_path))


def _free_port() -> int:
    """A port nobody listens on now; the FVP says so if somebody was faster."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
