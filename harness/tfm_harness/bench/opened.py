"""A combination on a live board, which is acquired, flashed, proved to run its build, and closed again."""

from __future__ import annotations

import abc
import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from tfm_harness.bench.capabilities import capabilities
from tfm_harness.bench.combination import TargetBuild
from tfm_harness.bench.device import Device
from tfm_harness.bench.firmware import Firmware
from tfm_harness.bench.instruments import Instruments
from tfm_harness.bench.not_covered import NotCovered
from tfm_harness.bench.proof import prove_flash
from tfm_harness.bench.reset_monitor import ResetMonitor
from tfm_harness.boards.base import Board, ResetKind, RunContext
from tfm_harness.boards.image_bytes import whole_build
from tfm_harness.boards.pool import Pool
from tfm_harness.boards.virtual import VirtualControl
from tfm_harness.errors import HarnessBug
from tfm_harness.protocol.base import Description, PseudoDriver
from tfm_harness.stimulus.base import Stimulus
from tfm_harness.trust.anchors import Trust
from tfm_harness.verify.derive import boot_seed

if TYPE_CHECKING:
    from tfm_harness.config.memory_map import MemoryMap, ServiceConfig

__all__ = ["ANSWER_TIMEOUT", "OpenCombination", "pool_for"]

ANSWER_TIMEOUT: Final = 10.0  # seconds


def pool_for(combination: TargetBuild, context: RunContext) -> Pool:
    """The boards that may be used. All test processes of a run share its quarantine."""
    quarantine = (context.shared_dir or context.run_dir) / "quarantine"
    return Pool(combination.members, context, quarantine, replaceable=combination.build.trust.takes_any_board)


class OpenCombination(abc.ABC):
    """A board with the build on it, the client, the stimulus, and the known facts about them.

    It closes everything that it opened, whatever happens.

    Args:
        combination: what to open.
        context: the run's folders.
        answer_timeout: seconds that the firmware may take for an answer that needs no long work.
        boot_timeout: seconds from a reset to the first answer (default: the build's, else the target's).
    """

    def __init__(
        self,
        combination: TargetBuild,
        context: RunContext,
        *,
        answer_timeout: float = ANSWER_TIMEOUT,
        boot_timeout: float | None = None,
    ) -> None:
        self.combination = combination
        self.context = context
        self.answer_timeout = answer_timeout
        self.boot_timeout = boot_timeout or combination.build.boot.timeout or combination.target.timeouts.boot
        self._pool = pool_for(combination, context)
        self.board: Board = self._pool.first()
        self.boots = 0
        self.asked_results = 0
        self.stimulus: Stimulus | None = None
        self.instruments = Instruments(combination.build, context.state_dir, context.shared_dir or context.run_dir)
        self._booting = 0.0
        self._firmware: Firmware | None = None
        self._device: Device | None = None
        self._trust: Trust | None = None
        self._monitor: ResetMonitor | None = None
        self._active: str | None = None
        self._virtual: tuple[Board | None, VirtualControl | None] = None, None

    # -- life

    def open(self) -> None:
        """Acquire, flash, wait until the firmware answers, prove that it is the build just flashed.

        Raises:
            InfrastructureError, ProductError: as boards and clients; ``wrong-firmware`` when another image runs.
        """
        self._open_on(self._pool.take())

    @contextlib.contextmanager
    def flashed(self) -> Iterator[Board]:
        """The started board with the build on it, for the block; whether the build runs is not checked.

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

    def _open_on(self, board: Board) -> None:
        self.board = board
        self._firmware = self._device = None
        try:
            with self.booting():
                self.board.flash(self.combination.build)
            self._monitor = ResetMonitor(self.board)
            self._trust = Trust(self.combination.build, self.board.identity)
            self.stimulus = self.board.stimulus()
            if self.combination.build.protocol != "none":
                self._firmware = Firmware(
                    self.board,
                    self.combination,
                    self._monitor,
                    answer_timeout=self.answer_timeout,
                    boot_timeout=self.boot_timeout,
                )
                self._device = Device(self, self._firmware.client)
                with self.booting():
                    description = self._firmware.wait_ready()
                self._begin_with(description)
        except BaseException:
            self.close()
            raise

    def _begin_with(self, description: Description) -> None:
        """Note the model with which tests begin, and prove that the build runs."""
        # A board that stays powered keeps the selection of an interrupted run: tests begin with the factory's model.
        models = self.combination.build.models
        factory = next((name for name, model in models.items() if model.slot == 0), None)
        # (A model that the firmware cannot run has no name in its description.)
        forgotten = description.model in models or not self.missing(["models"])
        self._active = factory if forgotten and factory else description.model
        prove_flash(description, self.trust, self.combination)

    def close(self) -> None:
        """End the instruments and release the board. Safe to call twice."""
        self.instruments.close()
        self.board.release()

    @contextlib.contextmanager
    def booting(self) -> Iterator[None]:
        """Measure the time in which the device is flashed, started or left to itself: it is the device's time."""
        began, before = time.perf_counter(), self.device_seconds
        try:
            yield
        finally:
            counted = self.device_seconds - before  # in the block, by answers, debuggers and blocks like this one
            self._booting += time.perf_counter() - began - counted

    def let_run(self, seconds: float) -> None:
        """Let the device go on with what it was told to do, and ask nothing meanwhile."""
        with self.booting():
            time.sleep(seconds)

    @property
    def device_seconds(self) -> float:
        """Seconds for which the harness waited for this device: starts, answers, debuggers, `let_run`."""
        return self._booting + self._answering + self.board.worked

    @property
    def _answering(self) -> float:
        """Seconds of waiting for answers, where the protocol's client counts them."""
        stats = getattr(self._firmware.client, "stats", None) if self._firmware is not None else None
        return getattr(stats, "busy", 0.0)

    # -- known facts

    @property
    def pooled(self) -> bool:
        """Whether other boards could have been used."""
        return len(self._pool.members) > 1

    @property
    def device(self) -> Device:
        """The device; skips as not covered when the build speaks no protocol."""
        if self._device is None:
            raise NotCovered(f"{self.combination.name} speaks no protocol")
        return self._device

    @property
    def firmware(self) -> Firmware:
        """The running firmware; skips as not covered when the build speaks no protocol."""
        if self._firmware is None:
            raise NotCovered(f"{self.combination.name} speaks no protocol")
        return self._firmware

    @property
    def client(self) -> PseudoDriver:
        """The protocol's client."""
        return self.device.client

    @property
    def trust(self) -> Trust:
        """Keys and measurements known beforehand."""
        if self._trust is None:
            raise HarnessBug("the bench is not open", kind="board-state")
        return self._trust

    @property
    def reset_monitor(self) -> ResetMonitor:
        """Looks for unexpected resets and panics."""
        if self._monitor is None:
            raise HarnessBug("the bench is not open", kind="board-state")
        return self._monitor

    @property
    def description(self) -> Description:
        """The firmware's last description of itself."""
        return self.firmware.description

    def describe(self) -> Description:
        """Ask the firmware for its description."""
        return self.firmware.describe()

    @property
    def boot_seed(self) -> bytes | None:
        """This boot's seed: computed from the entropy that the board was given, else what the device describes."""
        source = self.seed_source
        if source is not None and self.trust.provisioned is not None:
            return boot_seed(*source)
        return self.description.boot_seed

    @property
    def seed_source(self) -> tuple[bytes, int] | None:
        """The entropy (32 bytes) that the board was given at its last cold start, and the resets since then.

        None when the harness did not give it.
        """
        board, virtual = self._virtual
        if board is not self.board:
            # Cached, because each judgement needs it, and `isinstance` with a protocol checks each of its members.
            virtual = self.board if isinstance(self.board, VirtualControl) else None
            self._virtual = self.board, virtual
        return None if virtual is None else virtual.seed_source

    @property
    def memory_map(self) -> MemoryMap:
        """The map of memory and its owners; skips as not covered when neither build nor target has one."""
        found = self.combination.build.memory_map or self.combination.target.memory_map
        if found is None:
            raise NotCovered(f"{self.combination.name} has no memory map")
        return found

    @property
    def loaded_secure(self) -> list[tuple[int, bytes]]:
        """The content that the build loads into secure memory only: addresses and bytes.

        Raises:
            ConfigError: kind ``image-invalid``, or ``image-overlap`` when two images load to the same address.
        """
        loaded = [
            (at, content) for image, at, content in whole_build(self.combination.build) if image.world == "secure"
        ]
        return [
            (max(at, region.at), content[max(0, region.at - at) : max(0, region.end - at)])
            for at, content in loaded
            for region in self.memory_map.owned_by("secure")
        ]

    @property
    def services(self) -> Mapping[str, ServiceConfig]:
        """Services for non-secure clients, as declared by the build, else by the target."""
        return self.combination.build.services or self.combination.target.services

    @property
    def window(self) -> int:
        """The number of samples in a window."""
        size = self.description.raw.get("win")
        return size if isinstance(size, int) and 0 < size <= 4096 else 32

    def missing(self, wanted: Iterable[str]) -> list[str]:
        """The wanted features that neither the firmware nor the bench has."""
        have = set(capabilities(self.board, self.combination.build, stimulus=self.stimulus is not None))
        if self._firmware is not None and self._firmware.answered:
            said = self.description.features
            have |= {str(feature) for feature in self.client.features if not said or feature in said}
        return [feature for feature in dict.fromkeys(wanted) if feature not in have]

    def rested_stimulus(self) -> Stimulus:
        """The stimulus, after it was set to rest."""
        if self.stimulus is None:
            raise NotCovered(f"{self.combination.name} has no stimulus")
        self.stimulus.rest()
        return self.stimulus

    def select_model(self, name: str) -> None:
        """Make a model active."""
        self.device.test_commands.select_model(name)
        self.describe()

    def select_again(self, model: str | None) -> None:
        """Select the model that was active before a start, unless it is active."""
        if model and self.description.model != model:
            self.select_model(model)

    @abc.abstractmethod
    def reset(self, kind: ResetKind) -> Description:
        """Reset on purpose and wait until the firmware answers."""
