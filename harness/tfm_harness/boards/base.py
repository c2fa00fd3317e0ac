"""What a board is to the rest of the harness.

A `Board` is a live target: acquired, flashed, powered. Kinds register themselves in the
entry-point group ``tfm_harness.boards`` (``name = "package.module:Class"``); the class names
the strict configuration model of its ``targets/*.yaml``.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tfm_harness.errors import ConfigError, HarnessBug, InfrastructureError
from tfm_harness.latency.clock import ClockQuality

if TYPE_CHECKING:
    from tfm_harness.config.build import Build
    from tfm_harness.config.target import TargetBase
    from tfm_harness.console.base import Console
    from tfm_harness.stimulus.base import Stimulus
    from tfm_harness.verify.debug_port import DebugPort

__all__ = ["Board", "BoardEvent", "ClockQuality", "Identity", "PowerState", "ResetKind", "RunContext"]


class ResetKind(enum.StrEnum):
    """How a board is reset."""

    COLD = "cold"  # like a power cycle: RAM lost, new entropy
    WARM = "warm"  # reset line or SYSRESETREQ: RAM may survive


class PowerState(enum.StrEnum):
    """Whether a board has power, as far as the bench knows."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class BoardEvent:
    """Something that happened to a board while tests ran.

    Attributes:
        kind: ``guest-reset``, ``host-reset``, ``emulator-exit``, ``reconnect``, ``power-cycle``, ...
        detail: what happened, in words.
        at: seconds since the run began (monotonic clock).
        console_offsets: for each console, how many bytes it had received by then.
    """

    kind: str
    detail: str
    at: float
    console_offsets: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Identity:
    """What the host knows about a board's secrets, so that it need not ask the device whom to trust.

    Only virtual boards have a known `huk`; for real boards the build names public keys.
    """

    board_id: str
    huk: bytes | None = None
    implementation_id: bytes | None = None
    lifecycle: int | None = None
    certification_reference: str | None = None
    verification_service: str | None = None
    public_keys: Mapping[str, bytes] = field(default_factory=dict)  # name ("iak", "result", ...) -> PEM
    huk_of_test: bool = False  # a test burned `huk`, so another board may have the same one


@dataclass(frozen=True, slots=True)
class RunContext:
    """Folders and settings of a run."""

    run_dir: Path  # transcripts, reports: kept
    state_dir: Path  # virtual boards' identities, ledgers, locks: shared by all runs of this user
    fresh_identity: bool = False
    deterministic: bool = False  # deterministic counter mode, if the kind has one
    shared_dir: Path | None = None  # the run's folder, if `run_dir` belongs to one test process of it
    store: str = ""  # the store of all runs, a path or URL; if empty, runs are not kept


class Board(abc.ABC):
    """A live target. A context manager that leaves nothing running and nothing locked.

    Errors: `InfrastructureError` for infrastructure, `ProductError` when the product misbehaves while
    booting. `ConfigError` only from `console`, for a name that the target lacks, and from `flash`, for a file of the
    build that is not what it should be, or a machine that this host's emulator lacks: everything else is validated
    before a board is touched.
    """

    kind: ClassVar[str]
    may_be_fresh: ClassVar[bool] = False  # whether `RunContext.fresh_identity` gives a board that nobody else can hold
    config_model: ClassVar[type[Any]]  # subclass of tfm_harness.config.target.TargetBase
    erasures: int = 0  # how often `erase` was called: each time the device's counters started again

    def __init__(self, target: TargetBase, context: RunContext) -> None:
        self.target = target
        self.context = context

    @property
    def name(self) -> str:
        """The target's name, with the pool index for ``count: N`` boards."""
        return self.target.name

    @abc.abstractmethod
    def acquire(self) -> None:
        """Take the board for this session (kernel-released lock, reservation, ...)."""

    @abc.abstractmethod
    def flash(self, build: Build) -> None:
        """Put `build` on the board and start it. A failed flash raises, so that no old image runs unnoticed."""

    def erase(self) -> None:
        """Forget what the device keeps over power cycles, as a factory reset would; the board must be off.

        Raises:
            InfrastructureError: ``no-erase``: this kind of board cannot.
        """
        raise InfrastructureError(f"{self.kind} boards cannot be reset to their factory state", kind="no-erase")

    def read_memory(self, address: int, size: int) -> bytes:
        """Read memory as a debugger of the non-secure side sees it, while the CPU is stopped.

        Raises:
            InfrastructureError: ``no-memory-access``: this kind of board cannot.
        """
        raise InfrastructureError(
            f"{self.kind} boards cannot give {size} bytes at {address:#x}", kind="no-memory-access"
        )

    def debug_port(self, secure: Sequence[int], nonsecure: int) -> DebugPort:
        """What a debug probe can read: DAUTHSTATUS, DHCSR, a word at each secure address, one at a non-secure address.

        The core is not halted.

        Raises:
            InfrastructureError: ``no-debug-port``: this kind of board cannot.
        """
        raise InfrastructureError(
            f"{self.kind} boards show no debug port ({len(secure)} addresses, {nonsecure:#x})", kind="no-debug-port"
        )

    def without_sensors(self, names: frozenset[str]) -> None:
        """From the next cold start on, these sensors of the target are not on the bus (empty: all are there).

        Raises:
            InfrastructureError: ``no-sensor-control``: this kind of board cannot.
        """
        raise InfrastructureError(
            f"{self.kind} boards cannot remove {', '.join(names)} from the bus", kind="no-sensor-control"
        )

    def count_instructions(self, on: bool) -> None:
        """From the next cold start on, time follows the instructions executed, not the host's clock.

        Raises:
            InfrastructureError: ``no-clock-control``: this kind of board cannot.
        """
        counted = "instructions" if on else "time"
        raise InfrastructureError(f"{self.kind} boards cannot count {counted}", kind="no-clock-control")

    @abc.abstractmethod
    def reset(self, kind: ResetKind = ResetKind.WARM) -> None:
        """Reset; returns when the reset has been given (booting is watched on the consoles)."""

    def console(self, name: str) -> Console:
        """The console of that name (``ns``, ``secure``, ...).

        Raises:
            ConfigError: ``console-unknown``: the target has no such console.
            HarnessBug: ``board-state``: the consoles are not open yet.
        """
        found = self.consoles.get(name)
        if found is not None:
            return found
        if name in self.target.consoles:
            raise HarnessBug(f"console {name!r} used before the board opened it", kind="board-state")
        from tfm_harness.config.nearest import did_you_mean

        raise ConfigError(
            f"target {self.name!r} has no console {name!r}" + did_you_mean(str(name), self.target.consoles),
            kind="console-unknown",
            expected=", ".join(self.target.consoles),
        )

    @property
    @abc.abstractmethod
    def consoles(self) -> Mapping[str, Console]:
        """The consoles that are open, by name."""

    @abc.abstractmethod
    def power(self, state: PowerState) -> None:
        """Switch power. Raises `InfrastructureError` kind ``no-power-control`` if the board has no switch."""

    @abc.abstractmethod
    def release(self) -> None:
        """Release everything. It never raises for something that has already gone. Safe to call twice."""

    @abc.abstractmethod
    def check_alive(self) -> None:
        """Raise `InfrastructureError` naming the cause when the transport or emulator is dead."""

    def stimulus(self) -> Stimulus | None:
        """The stimulus that plays this board's sensors, once the board is acquired; None if there is none."""
        return None

    @property
    def resets(self) -> frozenset[ResetKind]:
        """The kinds of reset that the harness can give this board; its runs do not cover the others."""
        return frozenset(ResetKind)

    @property
    def keeps_memory(self) -> bool:
        """Whether what firmware writes to its flash is still there after a cold start."""
        return True

    @property
    def identity(self) -> Identity:
        """What is known about the board's keys."""
        return Identity(board_id=self.name)

    @property
    def capabilities(self) -> frozenset[str]:
        """What tests may ask of this board with ``needs(...)``. No other place says this for the board's kind.

        Kinds add their own words to these. Words of the firmware and of the build are not among them.
        """
        said = {
            "factory-reset": type(self).erase is not Board.erase,
            "memory-dump": type(self).read_memory is not Board.read_memory,
            "debug-port": type(self).debug_port is not Board.debug_port,
            "sensor-removal": type(self).without_sensors is not Board.without_sensors,
            "clock-control": type(self).count_instructions is not Board.count_instructions,
            "nonvolatile": self.keeps_memory,
            "known-secrets": self.identity.huk is not None,
        }
        words = {word for word, true in said.items() if true}
        return frozenset({f"target-{self.kind}", *words, *(f"{kind}-reset" for kind in self.resets)})

    @property
    def clock_quality(self) -> ClockQuality:
        """What the ticks of this board's clock mean."""
        return ClockQuality.CYCLE_EXACT

    @property
    def worked(self) -> float:
        """Seconds for which the harness waited for the board, except for starts and answers.

        Examples are a debugger that drives the CPU, and setting sensors. They count as the device's time.
        """
        return 0.0

    @property
    def events(self) -> tuple[BoardEvent, ...]:
        """Everything noteworthy so far, in order."""
        return ()

    @property
    def guest_resets(self) -> Sequence[BoardEvent]:
        """The events of kind ``guest-reset``, in order; asked for often, while the events of a long run are many."""
        return [event for event in self.events if event.kind == "guest-reset"]

    @property
    def description(self) -> Mapping[str, str]:
        """Facts for headers and reports (emulator version, probe id, flags)."""
        return {}

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.release()
