"""What a board does while nobody looks: resets, panics; and whether it runs what was flashed."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tfm_harness.boards.base import Board, BoardEvent
from tfm_harness.boards.virtual import VirtualControl
from tfm_harness.console.base import Console, Mark
from tfm_harness.errors import InfrastructureError, ProductError
from tfm_harness.findings import Check, Report
from tfm_harness.plugin.pairs import Pair
from tfm_harness.plugin.trust import Trust
from tfm_harness.protocol.base import Description
from tfm_harness.protocol.text import log_tail
from tfm_harness.stimulus.base import Stimulus

__all__ = ["UNASKED_RESET", "ResetMonitor", "bench_features", "prove_flash", "spoke_elsewhere"]

UNASKED_RESET = Check(
    id="board.unasked-reset",
    title="the board does not reset unless it is asked to",
    requirement="PSA Security Model 1.1 s.4 (a fault of the secure side shows as a reset)",
)
SECURE_PANIC = Check(
    id="board.secure-panic",
    title="no secure side panics",
    requirement="PSA Firmware Framework 1.0 s.3.5.4",
)
_PANIC = re.compile(rb"^.{0,40}(?:PANIC|Panic|psa_panic|FATAL ERROR).*$", re.MULTILINE)
_PANIC_WINDOW = 1 << 18  # bytes of each console that are searched for one test


class ResetMonitor:
    """Counts resets that were asked for, and finds those that were not."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._excused = self._resets()
        self._asked = 0
        self._expecting = False
        self._marks: dict[str, Mark] = {}
        self._expected_spans: list[tuple[int, int]] = []

    @contextlib.contextmanager
    def expected_reset(self) -> Iterator[None]:
        """Resets in this block were asked for."""
        before, self._expecting = self._expecting, True
        try:
            yield
        finally:
            self._expecting = before
            self._excused = self._resets()

    def await_reset(self, timeout: float) -> None:
        """Wait until the board tells of a reset since the block of `expected_reset` began.

        Boards that cannot tell (real ones) are not waited for.

        Raises:
            ProductError: it could tell, and did not reset.
        """
        if not self._tells_resets():
            return
        deadline = time.monotonic() + timeout
        console = next(iter(self._board.consoles.values()))
        while self._resets() == self._excused:
            if time.monotonic() > deadline:
                raise ProductError(
                    "the firmware agreed to reset and did not",
                    kind="no-reset",
                    expected=f"a reset within {timeout:g} s",
                )
            console.wait_data(console.mark(), timeout=0.005)

    def raise_if_down(self) -> None:
        """For clients that wait: the emulator is gone, or the board has reset under them.

        Raises:
            InfrastructureError: the transport or emulator is dead.
            ProductError: ``unasked-reset``.
        """
        self._board.check_alive()
        if not self._expecting and self._resets() > self._excused:
            raise ProductError(
                "the board reset while an answer was awaited",
                kind="unasked-reset",
                expected="an answer",
                seen=self._last_reset(),
                where="\n".join(f"console {c.name!r}:\n{log_tail(c, 6)}" for c in self._board.consoles.values()),
            )

    def begin(self) -> None:
        """A test begins."""
        self._marks = {name: console.mark() for name, console in self._board.consoles.items()}

    def judge(self, report: Report) -> None:
        """Findings about what happened since `begin`; only what did not hold is added."""
        resets = self._resets()
        if resets > self._excused:
            report.add(UNASKED_RESET, passed=False, expected="no reset", seen=self._last_reset(), where=self._offsets())
            self._excused = resets
        for name, console in self._board.consoles.items():
            mark = self._marks.get(name, console.mark())
            found = _PANIC.search(console.read_from(mark, limit=_PANIC_WINDOW))
            if found:
                report.add(
                    SECURE_PANIC,
                    passed=False,
                    expected="no panic",
                    seen=found[0].decode("ascii", "backslashreplace").strip(),
                    where=f"console {name!r}, byte {mark.offset + found.start()} of {console.transcript}",
                )

    def _events(self) -> list[BoardEvent]:
        return [event for event in self._board.events if event.kind == "guest-reset"]

    def _resets(self) -> int:
        return len(self._events())

    def _tells_resets(self) -> bool:
        return self._board.kind == "qemu"

    def _last_reset(self) -> str:
        events = self._events()
        return f"{events[-1].detail}, {events[-1].at:.3f} s into the run" if events else "a reset"

    def _offsets(self) -> str:
        events = self._events()
        offsets = events[-1].console_offsets if events else {}
        return ", ".join(f"console {name!r} at byte {offset}" for name, offset in offsets.items())


@dataclass(frozen=True, slots=True)
class _Measured:
    component: str
    expected: bytes
    said: bytes


def prove_flash(description: Description, trust: Trust, pair: Pair) -> None:
    """The firmware that answers is the build that was just flashed.

    Raises:
        InfrastructureError: ``wrong-firmware``: another image answers; its results must not count for this build.
    """
    expected = {c.type: c.measurement for c in trust.components(None) if c.type}
    pairs = [
        _Measured(name, expected[name], said) for name, said in description.measurements.items() if name in expected
    ]
    wrong = [m for m in pairs if m.expected != m.said]
    if wrong:
        raise InfrastructureError(
            f"the firmware that answers on {pair.target.name} is not the build {pair.build.name!r} just flashed",
            kind="wrong-firmware",
            expected="; ".join(f"{m.component} {m.expected.hex()}" for m in wrong),
            seen="; ".join(f"{m.component} {m.said.hex() or 'nothing'}" for m in wrong),
            where=str(pair.build.path or pair.build.name),
            hint="did flashing fail, is another board wired to this console, or are the build's images stale?",
        )


def bench_features(pair: Pair, board: Board, stimulus: Stimulus | None) -> set[str]:
    """What a bench offers beyond the firmware's features, for ``needs(...)``."""
    features = {f"target-{pair.target.kind}"}
    if type(board).erase is not Board.erase:
        features.add("factory-reset")
    if isinstance(board, VirtualControl):
        if board.identity.lifecycle is not None:
            features.add("provision")
        if board.nv is not None:
            features |= {"nv-access", "write-stops"}
    for name, method in (
        ("memory-dump", "read_memory"),
        ("sensor-removal", "without_sensors"),
        ("clock-control", "count_instructions"),
    ):
        if getattr(type(board), method) is not getattr(Board, method):
            features.add(name)
    if (pair.build.memory_map or pair.target.memory_map) is not None:
        features.add("memory-map")
    if pair.build.services or pair.target.services:
        features.add("services")
    if pair.target.kind in {"qemu", "fvp"}:
        features.add("fast-flash")
    if board.keeps_memory:
        features.add("nonvolatile")
    features |= {f"{kind}-reset" for kind in board.resets}
    if stimulus is not None:
        features.add("stimulus")
    if board.identity.huk is not None:
        features.add("known-secrets")
    if pair.build.trust.iak is not None:
        features.add("trusted-iak")
    if pair.build.trust.results is not None:
        features.add("trusted-results")
    if any(model.input == "sensor" for model in pair.build.models.values()):
        features.add("sensor-model")
    if pair.build.console_suites:
        features.add("console-suites")
    features |= {f"file-{name}" for name in pair.build.files}
    return features


def spoke_elsewhere(
    error: InfrastructureError, consoles: Mapping[str, Console], talking: Mapping[str, int]
) -> ProductError:
    """The protocol's console is silent, another one is not: power and flash are fine, the firmware is not."""
    tails = "\n".join(f"console {name!r}:\n{log_tail(consoles[name], 8)}" for name in talking)
    return ProductError(
        "the firmware booted and spoke, but its protocol's console stayed silent",
        kind="boot-hung",
        expected=error.expected,
        seen=", ".join(f"{count} bytes on {name!r}" for name, count in talking.items()),
        where=tails,
    )
