"""A combination that runs: the board with the build on it, the client, the stimulus, and what is known about them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from tfm_harness.bench.capabilities import capabilities
from tfm_harness.bench.combination import TargetBuild
from tfm_harness.bench.device import Device
from tfm_harness.bench.instruments import Instruments
from tfm_harness.bench.metrics import Metrics, Unkept
from tfm_harness.bench.not_covered import NotCovered
from tfm_harness.bench.proof import prove_flash, spoke_elsewhere
from tfm_harness.bench.reset_monitor import ResetMonitor
from tfm_harness.bench.virtual import VirtualBoard
from tfm_harness.boards.base import Board, BoardEvent, ClockQuality, PowerState, ResetKind, RunContext
from tfm_harness.boards.emulator_quirks import hints_for, is_tfm
from tfm_harness.boards.pool import Pool
from tfm_harness.boards.recovery import recover
from tfm_harness.boards.virtual import Burned, VirtualControl
from tfm_harness.console.base import Console, Mark
from tfm_harness.errors import HarnessError, InfrastructureError, ProductError
from tfm_harness.protocol.base import Description, PseudoDriver
from tfm_harness.protocol.clients import open_client
from tfm_harness.stimulus.base import Stimulus
from tfm_harness.trust.anchors import Trust
from tfm_harness.verify.derive import boot_seed

if TYPE_CHECKING:
    from tfm_harness.config.build import Build
    from tfm_harness.config.memory_map import MemoryMap, ServiceConfig

__all__ = ["ANSWER_TIMEOUT", "Listener", "LiveCombination", "open_bench", "pool_for"]

ANSWER_TIMEOUT: Final = 10.0  # seconds
_SHORTEST_SILENCE = 0.1  # seconds
_REFUSED_BOOT = 10.0  # seconds after which a firmware that does not answer is taken to have refused to boot
_LOOK_AGAIN = 0.2  # seconds between two looks at what it says meanwhile


class Listener:
    """Is told what happens to a board; these methods do nothing."""

    def ready(self, bench: LiveCombination) -> None:
        """The board is flashed, has booted, and runs the build: proved."""

    def lost(self, bench: LiveCombination, error: HarnessError) -> None:
        """The board does not answer any more and could not be brought back."""

    def progress(self, bench: LiveCombination, what: str, done: int, total: int) -> None:
        """Long work goes on."""


def pool_for(combination: TargetBuild, context: RunContext) -> Pool:
    """The boards that may serve. The quarantine is the run's: test processes' folders lie in one."""
    return Pool(combination.members, context, (context.shared_dir or context.run_dir) / "quarantine")


@contextlib.contextmanager
def open_bench(
    combination: TargetBuild,
    context: RunContext,
    *,
    answer_timeout: float = ANSWER_TIMEOUT,
    boot_timeout: float | None = None,
) -> Iterator[LiveCombination]:
    """A combination, flashed, booted and proved to run its build, for the block; released after it.

    Raises:
        InfrastructureError, ProductError: as boards and clients; ``wrong-firmware`` when another image answers.
    """
    bench = LiveCombination(combination, context, answer_timeout=answer_timeout, boot_timeout=boot_timeout)
    try:
        bench.open()
        yield bench
    finally:
        bench.close()


class LiveCombination:
    """A combination that runs: board, client, stimulus. Closes whatever it opened, whatever happened.

    Args:
        combination: what to open.
        context: the run's folders.
        answer_timeout: seconds that the firmware may take for an answer that needs no long work.
        boot_timeout: seconds from a reset to the first answer (default: the build's, else the target's).
        listener: is told what happens.
        measured: keeps what tests measure; by default nothing does.
    """

    def __init__(
        self,
        combination: TargetBuild,
        context: RunContext,
        *,
        answer_timeout: float = ANSWER_TIMEOUT,
        boot_timeout: float | None = None,
        listener: Listener | None = None,
        measured: Metrics | None = None,
    ) -> None:
        self.combination = combination
        self.context = context
        self.answer_timeout = answer_timeout
        self.boot_timeout = boot_timeout or combination.build.boot.timeout or combination.target.timeouts.boot
        self._listener = listener or Listener()
        self.measured: Metrics = measured or Unkept()
        self._pool = pool_for(combination, context)
        self.board: Board = self._pool.first()
        self.boots = 0
        self._booting = 0.0
        self._longest_boot = 0.0
        self.asked_results = 0
        self.stimulus: Stimulus | None = None
        self.instruments = Instruments(combination.build, context.state_dir)
        self._client: PseudoDriver | None = None
        self._device: Device | None = None
        self._trust: Trust | None = None
        self._description: Description | None = None
        self._watcher: ResetMonitor | None = None
        self._suspect = False
        self.lost: HarnessError | None = None
        self.recoveries: list[BoardEvent] = []
        self._active: str | None = None
        self._since_cut: dict[str, Mark] = {}

    # -- life

    def open(self) -> None:
        """Acquire, flash, wait until the firmware answers, prove that it is the build just flashed.

        Raises:
            InfrastructureError, ProductError: as boards and clients; ``wrong-firmware`` when another image runs.
        """
        self._open_on(self._pool.take())

    @contextlib.contextmanager
    def flashed(self) -> Iterator[Board]:
        """The board with the build on it, started, for the block; nothing is said to run.

        Raises:
            InfrastructureError, ProductError: as boards.
        """
        try:
            self.board = self._pool.take()
            with self.booting():
                self.board.flash(self.combination.build)
            yield self.board
        finally:
            self.close()

    def move(self, why: HarnessError, *, wait: float) -> None:
        """Leave a lost board for another one of the pool.

        Raises:
            InfrastructureError, ProductError: as `open`; then the bench stays lost.
        """
        self._pool.quarantine(self.board.name, why)
        self.board.release()
        board = self._pool.take(wait=wait)
        self.boots = 0
        self.lost, self._suspect = None, False
        try:
            self._open_on(board)
        except HarnessError as error:
            self.lost = error
            raise

    @property
    def pooled(self) -> bool:
        """Whether other boards could have served."""
        return len(self._pool.members) > 1

    def _open_on(self, board: Board) -> None:
        self.board = board
        try:
            with self.booting():
                self.board.flash(self.combination.build)
            self._watcher = ResetMonitor(self.board)
            self._trust = Trust(self.combination.build, self.board.identity)
            self.stimulus = self.board.stimulus()
            if self.combination.build.protocol != "none":
                console = self.board.console(self.combination.build.console)
                self._client = open_client(
                    self.combination.build.protocol,
                    console,
                    timeout=self.answer_timeout,
                    watch=self._watcher.raise_if_down,
                )
                self._device = Device(self, self._client)
                self._description = self._wait_ready()
                # A kept board remembers what an interrupted run selected: tests begin with the factory's model.
                models = self.combination.build.models
                factory = next((name for name, model in models.items() if model.slot == 0), None)
                # (A model that the firmware cannot run has no name in its description.)
                forgotten = self._description.model in models or not self.missing(["models"])
                self._active = factory if forgotten and factory else self._description.model
                prove_flash(self._description, self._trust, self.combination)
        except BaseException:
            self.close()
            raise
        self._listener.ready(self)

    def close(self) -> None:
        """End the instruments and release the board. Safe to call twice."""
        self.instruments.close()
        self.board.release()

    # -- what tests use

    @property
    def device(self) -> Device:
        """The device; skips as not covered when the build speaks no protocol."""
        if self._device is None:
            raise NotCovered(f"{self.combination.name} speaks no protocol")
        return self._device

    @property
    def client(self) -> PseudoDriver:
        """The protocol's client."""
        return self.device.client

    @property
    def trust(self) -> Trust:
        """Keys and measurements known beforehand."""
        assert self._trust is not None, "the bench is open"  # noqa: S101
        return self._trust

    @property
    def description(self) -> Description:
        """Who the firmware said it is, last time it was asked."""
        assert self._description is not None, "the bench is open"  # noqa: S101
        return self._description

    @property
    def memory_map(self) -> MemoryMap:
        """What lies where, and to whom it belongs; skips as not covered where neither build nor target says so."""
        found = self.combination.build.memory_map or self.combination.target.memory_map
        if found is None:
            raise NotCovered(f"{self.combination.name} has no memory map")
        return found

    @property
    def services(self) -> Mapping[str, ServiceConfig]:
        """Services for non-secure clients, as the build declares them, else the target."""
        return self.combination.build.services or self.combination.target.services

    @property
    def window(self) -> int:
        """Samples in a window."""
        size = self.description.raw.get("win")
        return size if isinstance(size, int) and 0 < size <= 4096 else 32

    def describe(self) -> Description:
        """Ask the firmware who it is."""
        self._description = self.client.describe()
        return self._description

    def missing(self, wanted: Iterable[str]) -> list[str]:
        """Which of the features a test names neither firmware nor bench has."""
        have = set(capabilities(self.board, self.combination.build, stimulus=self.stimulus is not None))
        if self._client is not None and self._description is not None:
            said = self._description.features
            have |= {str(feature) for feature in self._client.features if not said or feature in said}
        return [feature for feature in dict.fromkeys(wanted) if feature not in have]

    def rested_stimulus(self) -> Stimulus:
        """The stimulus at rest."""
        if self.stimulus is None:
            raise NotCovered(f"{self.combination.name} has no stimulus")
        self.stimulus.rest()
        return self.stimulus

    def ensure_ready(self) -> None:
        """Before a test: what the one before may have left broken is brought back, or the board is lost.

        Raises:
            InfrastructureError: ``board-lost``, naming the first cause; from then on at once.
        """
        if self.lost is not None:
            raise InfrastructureError(
                f"{self.combination.name} was lost in an earlier test and could not be brought back",
                kind="board-lost",
                seen=f"{self.lost.kind}: {self.lost.message}",
                hint="see the first test that failed",
            )
        if self._suspect:
            self._suspect = False
            self._recover()
        if self._active is not None and self._description is not None and self._description.model != self._active:
            self.select_model(self._active)

    def reset(self, kind: ResetKind) -> Description:
        """Reset on purpose and wait until the firmware answers."""
        with self.watcher.expected_reset():
            with self.booting():
                self.board.reset(kind)
            self.boots += 1
            self._trust_board()
            self._restart_link()
            self._description = self._wait_ready()
        self._restate()
        return self._description

    def reset_by_request(self) -> Description:
        """Let the firmware reset itself (OS group reset) and wait until it answers again."""
        with self.watcher.expected_reset():
            self.device.lab.request_reset()
            self.watcher.await_reset(self.boot_timeout)
            self.boots += 1
            self._restart_link()
            self._description = self._wait_ready()
        self._restate()
        return self._description

    @contextlib.contextmanager
    def booting(self) -> Iterator[None]:
        """The device is being flashed or started, or may be: time that is the device's, not the harness's."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._booting += time.perf_counter() - began

    def stays_silent(self) -> bool:
        """Whether the firmware does not answer in three times what its longest good boot took."""
        with self.booting():
            return self.device.lab.is_silent(max(_SHORTEST_SILENCE, 3 * self._longest_boot))

    def select_model(self, name: str) -> None:
        """Make a model active."""
        self.device.lab.select_model(name)
        self.describe()

    @contextlib.contextmanager
    def provisioned(self, lifecycle: int) -> Iterator[None]:
        """Start the (virtual) board cold in another PSA lifecycle, and in its own again afterwards.

        Raises:
            InfrastructureError, ProductError: as `reset`.
        """
        active = self.description.model
        with VirtualBoard(self).burned(Burned(lifecycle=lifecycle)):
            self.select_again(active)
            yield

    def select_again(self, model: str | None) -> None:
        """Make the model active that was active before a start, where it is not."""
        if model and self.description.model != model:
            self.select_model(model)

    @contextlib.contextmanager
    def power_cut(self, *, answers: bool = True) -> Iterator[None]:
        """The board is off for the block and starts cold after it; without `answers` it may refuse to boot."""
        with self.watcher.expected_reset():
            self.board.power(PowerState.OFF)
            self._since_cut = {name: console.mark() for name, console in self._consoles().items()}
            try:
                yield
            finally:
                with self.booting():
                    self.board.power(PowerState.ON)
                self.boots += 1
                self._trust_board()
                self._restart_link()
                if answers:
                    self._description = self._wait_ready()
        self._restate()

    def answers(self) -> bool:
        """Whether the firmware answers after a power cut that it may not have survived.

        Waits as long as for a boot, ten seconds at most; a console on which it says that it halted ends the wait.
        """
        deadline = time.monotonic() + min(_REFUSED_BOOT, self.boot_timeout)
        with self.watcher.expected_reset():
            while True:
                try:
                    self._description = self.client.wait_ready(timeout=_LOOK_AGAIN)
                except HarnessError as error:
                    if error.kind not in {"silent", "boot-hung"}:
                        raise
                    if self._says_halted() or time.monotonic() > deadline:
                        return False
                else:
                    break
        self._restate()
        return True

    def _says_halted(self) -> bool:
        consoles = self._consoles()
        said = (consoles[name].read_from(mark) for name, mark in self._since_cut.items() if name in consoles)
        return any(b"halted" in text for text in said)

    def _trust_board(self) -> None:
        """Trust follows the board's fuses, which a test may have burned anew."""
        if self.trust.identity != self.board.identity:
            self._trust = Trust(self.combination.build, self.board.identity)

    @property
    def boot_seed(self) -> bytes | None:
        """This boot's seed: computed from the entropy that the board was given, else what the device describes."""
        source = self.board.seed_source if isinstance(self.board, VirtualControl) else None
        if source is not None and self.trust.provisioned is not None:
            return boot_seed(*source)
        return self.description.boot_seed

    @contextlib.contextmanager
    def without_sensors(self, *names: str) -> Iterator[None]:
        """Start the board cold without some of its sensors, and with all of them again afterwards.

        Raises:
            InfrastructureError, ProductError: as `reset`.
        """
        remove = self.board.without_sensors
        with self._started_with(lambda: remove(frozenset(names)), lambda: remove(frozenset())):
            yield

    @contextlib.contextmanager
    def exact_clock(self) -> Iterator[bool]:
        """Measure with a clock that repeats: as it is on silicon, by counting instructions on an emulator.

        Gives whether there is such a clock; without one, time on this board carries no verdict.

        Raises:
            InfrastructureError, ProductError: as `reset`.
        """
        count = self.board.count_instructions
        if self.board.clock_quality is not ClockQuality.MEANINGLESS:
            yield True
        elif type(self.board).count_instructions is Board.count_instructions:
            yield False
        else:
            with self._started_with(lambda: count(True), lambda: count(False)):
                yield True

    @contextlib.contextmanager
    def _started_with(self, change: Callable[[], None], back: Callable[[], None]) -> Iterator[None]:
        """A cold start with something changed, and another one with it changed back."""
        active = self.description.model
        change()
        try:
            self.reset(ResetKind.COLD)
            self.select_again(active)
            yield
        finally:
            back()
            self.reset(ResetKind.COLD)
            self.select_again(active)

    def progress(self, what: str) -> Callable[[int, int], None]:
        """What to call with pieces done and pieces in all, so that long work is seen to go on."""

        def show(done: int, total: int) -> None:
            self._listener.progress(self, what, done, total)

        return show

    def factory_reset(self) -> Description:
        """Forget what the device keeps (counters, updates) and start it cold."""
        with self.watcher.expected_reset():
            self.board.power(PowerState.OFF)
            self.board.erase()
            with self.booting():
                self.board.power(PowerState.ON)
            self.boots += 1
            self._restart_link()
            self._description = self._wait_ready()
        self._active = self._description.model
        self._trust = Trust(self.combination.build, self.board.identity)  # and with it what had been installed
        self._restate()
        return self._description

    def flash_variant(self, build: Build) -> None:
        """Put a changed build on the board, which may well refuse to boot; undone by `flash_again`."""
        with self.watcher.expected_reset():
            with self.booting():
                self.board.flash(build)
            self.boots += 1
            self._restart_link()

    def flash_again(self) -> None:
        """The build under test, as when the bench was opened."""
        self.flash_variant(self.combination.build)
        self._description = self._wait_ready()
        prove_flash(self._description, self.trust, self.combination)
        self._restate()

    # -- judging a test

    @property
    def watcher(self) -> ResetMonitor:
        """Looks for resets and panics nobody asked for."""
        assert self._watcher is not None, "the bench is open"  # noqa: S101
        return self._watcher

    def begin_test(self) -> None:
        """What happened before belongs to the test before."""
        self.watcher.begin()

    # -- inside

    def _consoles(self) -> Mapping[str, Console]:
        with contextlib.suppress(HarnessError):
            return self.board.consoles
        return {}

    def _wait_ready(self) -> Description:
        began = time.perf_counter()
        try:
            description = self.client.wait_ready(timeout=self.boot_timeout)
        except InfrastructureError as error:
            talking = {name: console.received for name, console in self._consoles().items() if console.received}
            if error.kind == "silent" and talking:
                raise spoke_elsewhere(error, self._consoles(), talking) from None
            error.hint = "\n".join(self._emulator_quirks()) or error.hint
            raise
        except ProductError as fault:
            fault.hint = "\n".join(self._emulator_quirks()) or fault.hint
            raise
        self._longest_boot = max(self._longest_boot, time.perf_counter() - began)
        return description

    def _emulator_quirks(self) -> tuple[str, ...]:
        """What is known about this emulator that explains a boot that came to nothing."""
        said = ""
        with contextlib.suppress(HarnessError):
            said = "".join(c.read_from(Mark(0)).decode("utf-8", "replace") for c in self._consoles().values())
        resets = sum(event.kind == "guest-reset" for event in self.board.events)
        machine = getattr(self.combination.target, "machine", None)
        return hints_for(machine, said, resets=resets, tfm=is_tfm(self.combination.build))

    def _restart_link(self) -> None:
        link = getattr(self._client, "link", None)
        if link is not None:
            link.restart()

    def _restate(self) -> None:
        if self.stimulus is not None:
            self.stimulus.restate()

    def _answers_again(self) -> None:
        self.boots += 1
        self._restart_link()
        self._description = self._wait_ready()

    def _recover(self) -> None:
        try:
            self.board.check_alive()
            self._restart_link()
            self._description = self.client.wait_ready(timeout=min(5.0, self.boot_timeout))
        except HarnessError as first:
            try:
                with self.watcher.expected_reset():
                    recover(self.board, self._answers_again, note=self.recoveries.append)
                self._restate()
            except HarnessError as error:
                self.lost = first
                self._listener.lost(self, first)
                error.add_note(f"before that: {first}")
                raise
