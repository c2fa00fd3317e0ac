"""Campaigns of skipped instructions for suites: a bounded sample, or every skip, with progress and figures."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from tfm_harness.bench.not_covered import NotCovered
from tfm_harness.bench.skips import Came, SkippedBoot, Tally, counting, reached, skipping, spent
from tfm_harness.boards.base import ResetKind
from tfm_harness.boards.emulated_cpu import Debugger
from tfm_harness.boards.virtual import VirtualControl
from tfm_harness.errors import ConfigError, HarnessError, ProductError
from tfm_harness.files import IMAGE_LIMIT, read_file
from tfm_harness.findings import Check
from tfm_harness.verify.instruction_skips import Skip, evenly, plan
from tfm_harness.verify.marked_code import MarkedCode, read_marked_code

if TYPE_CHECKING:
    from tfm_harness.plugin.bench import Bench
    from tfm_harness.plugin.checks import Checks

__all__ = ["QUICK_SAMPLE", "SAMPLE", "SkipCampaign"]

SAMPLE: Final = 8
"""Skips of one campaign that a run tries which is not asked for all."""
QUICK_SAMPLE: Final = 3
"""The same of a quick run."""
_SHOWN: Final = 20  # bypasses that become a finding each
_ANSWER: Final = 1.0  # seconds
_ENDING: Final = 5.0  # seconds that an emulator may take to end
_TRACED: Final = 120.0  # seconds that an answer may take while each instruction that it takes is counted


class SkipCampaign:
    """Leaves out one and two instructions at every address of the functions that decide; needs ``debugger``.

    Each bypass is a finding with its address and source line; the figures are in the finding that ends a campaign.

    Args:
        bench: the board; what a campaign breaks in the firmware's state is gone after a cold start.
        checks: gets the findings.
        everything: try every skip instead of a sample.
        only: names of marked functions; skips in others are not tried. Empty: in all.
        sample: how many skips are a sample.
        first_only: a campaign ends with its first bypass, as a run does with its first failure (``-x``).

    Raises:
        ConfigError: a name in `only` is that of no marked function.
    """

    def __init__(
        self,
        bench: Bench,
        checks: Checks,
        *,
        everything: bool,
        only: Sequence[str] = (),
        sample: int = SAMPLE,
        first_only: bool = False,
    ) -> None:
        self._bench, self._checks, self._everything, self._first_only = bench, checks, everything, first_only
        self._sample = sample
        image = next((image for image in bench.combination.build.images if image.world == "secure"), None)
        if image is None or image.kind != "elf":
            raise NotCovered(f"{bench.combination.build.name} has no secure image with symbols")
        self.code: MarkedCode = read_marked_code(read_file(image.file, IMAGE_LIMIT))
        if not self.code.functions:
            raise NotCovered("no function of the secure image is marked as one that decides (section .decisions)")
        self._only = frozenset(only)
        if unknown := self._only - set(self.code.functions):
            raise ConfigError(
                f"no function that decides is called {', '.join(sorted(unknown))}",
                kind="bad-option",
                expected=f"sample, all, or some of {', '.join(self.code.functions)}",
                seen=",".join(only),
            )

    @property
    def _board(self) -> VirtualControl:
        board = self._bench.board
        if not isinstance(board, VirtualControl):
            raise NotCovered(f"{self._bench.board.kind} boards have no debugger that can skip instructions")
        return board

    def boots(
        self,
        check: Check,
        subject: str,
        *,
        prepare: Callable[[Debugger], None],
        forbidden: int,
        foreign: range,
        refused: Sequence[str],
        stopped: Sequence[str],
    ) -> None:
        """Boots with something that must be refused, one for each skip.

        Args:
            check: what a bypass fails.
            subject: which boot, in words.
            prepare: makes what must be refused, after each reset, while the CPU stands before its first instruction.
            forbidden: address of code that must not be reached.
            foreign: addresses of all code that must not run.
            refused, stopped: functions in which a boot ends without having accepted anything; those that the
                image does not have are left out.
        """
        symbols = self.code.symbols
        ends = {symbols[name]: Came.STOPPED for name in stopped if name in symbols}
        ends |= {symbols[name]: Came.REFUSED for name in refused if name in symbols}
        ends[forbidden] = Came.BYPASSED
        with self._unblamed(), self._bench.reset_monitor.expected_reset(), self._board.debugger() as debugger:
            boot = SkippedBoot(debugger, self.code, ends=ends, foreign=foreign, prepare=lambda: prepare(debugger))
            if self._sound(check, subject, boot.plain()):
                # What the board has kept may refuse a good image as well: nobody waits for an answer.
                start = partial(self._bench.board.reset, ResetKind.COLD)
                self._run(check, subject, boot.visits(), self._surviving(debugger, boot.attempt, start))
            boot.begin()  # the CPU goes on behind this block: the boot with the last skip would panic there

    def requests(
        self,
        check: Check,
        subject: str,
        *,
        request: Callable[[], object],
        accepted: Callable[[], bool],
        prepare: Callable[[], None],
    ) -> None:
        """One request that must be refused, again for each skip.

        Args:
            check: what a bypass fails.
            subject: which request, in words.
            request: sends it and takes the answer, whatever it is.
            accepted: whether the firmware did what it must refuse, by traces that stay behind; may ask the firmware.
            prepare: puts the firmware into the state that the request needs, and removes such traces.
        """
        with self._unblamed(), self._board.debugger() as debugger:
            debugger.go()
            prepare()
            with counting(debugger, self.code) as visits:
                answered = self._asks(request, _TRACED)
            came = Came.BYPASSED if accepted() else Came.REFUSED if answered else Came.STOPPED

            def once(skip: Skip) -> Came:
                began = debugger.work_done()
                with skipping(debugger, self.code, skip) as done:
                    answered = self._asks(request, _ANSWER)
                    if not answered:  # on a busy host the request may not have come to the instruction yet
                        reached(debugger, began, done)
                if not answered:
                    spent(debugger, began)  # silence counts only when the emulator has worked for long enough
                    self._revive(debugger)
                try:
                    with _patience(self._bench.device.client, _ANSWER):
                        bypassed = accepted()
                except HarnessError:  # it answered once more, and then no longer
                    answered = False
                    spent(debugger, debugger.work_done())
                    self._revive(debugger)
                    bypassed = accepted()
                if bypassed or not answered:
                    prepare()
                if bypassed:
                    return Came.BYPASSED
                if not done.is_set():
                    return Came.UNREACHED
                return Came.REFUSED if answered else Came.STOPPED

            def attempt(skip: Skip) -> Came:
                came = once(skip)
                if came is Came.UNREACHED:  # a refusal of another kind may have changed the state before it
                    prepare()
                    came = once(skip)
                return came

            if self._sound(check, subject, came):

                def start() -> None:
                    self._bench.reset(ResetKind.COLD)
                    prepare()

                self._run(check, subject, visits, self._surviving(debugger, attempt, start))

    @contextlib.contextmanager
    def _unblamed(self) -> Iterator[None]:
        """A panic in the block, which a skip has caused, is no panic of the product."""
        try:
            yield
        finally:
            self._bench.reset_monitor.begin()

    def _surviving(
        self, debugger: Debugger, attempt: Callable[[Skip], Came], start: Callable[[], None]
    ) -> Callable[[Skip], Came]:
        """An attempt after which the board goes on, also where the CPU locks up: that ends the emulator.

        `start` then starts it anew.
        """

        def survive(skip: Skip) -> Came:
            try:
                return attempt(skip)
            except HarnessError as error:
                if not self._locked_up():
                    raise error from None
                debugger.close()
                start()
                debugger.open()
                debugger.go()
                return Came.STOPPED

        return survive

    def _locked_up(self) -> bool:
        """Whether the emulator has ended because the CPU locked up. It hangs up before it ends."""
        end = time.monotonic() + _ENDING
        while time.monotonic() < end:
            try:
                self._bench.board.check_alive()
            except ProductError as error:
                return error.kind == "lockup"
            time.sleep(0.01)
        return False

    def _asks(self, request: Callable[[], object], patience: float) -> bool:
        """Whether an answer came within `patience` seconds."""
        try:
            with _patience(self._bench.device.client, patience):
                request()
        except HarnessError:
            return False
        return True

    def _revive(self, debugger: Debugger) -> None:
        """Bring the firmware back, which has reset, or hangs."""
        debugger.restart()
        debugger.go()
        self._bench.await_return()

    def _sound(self, check: Check, subject: str, came: Came) -> bool:
        """Without a skip it is refused; otherwise there is nothing to try."""
        if came is Came.REFUSED:
            return True
        return self._checks(
            check, False, expected="a refusal", seen=f"{came}, without any skip", subject=f"{subject}: no skip"
        )

    def _run(self, check: Check, subject: str, visits: Mapping[int, int], attempt: Callable[[Skip], Came]) -> None:
        every = plan(self.code, visits)
        if self._only:
            every = [skip for skip in every if self.code.instructions[skip.address].function in self._only]
            if not every:
                raise NotCovered(f"{subject}: the run reaches none of {', '.join(sorted(self._only))}")
        chosen = every if self._everything else evenly(every, self.code, self._sample)
        chosen = sorted(chosen, key=lambda skip: not self.code.instructions[skip.address].decides)
        tally = Tally()
        show = self._bench.progress(f"skips, {subject}")
        bypasses = []
        for number, skip in enumerate(chosen):
            show(number, len(chosen))
            came = attempt(skip)
            tally.add(skip, came)
            if came is Came.BYPASSED:
                bypasses.append(skip)
                if self._first_only:
                    break
        show(len(chosen), len(chosen))
        for skip in bypasses[:_SHOWN]:
            one = self.code.instructions[skip.address]
            self._checks(
                check,
                False,
                expected="a refusal, or a stop",
                seen=f"accepted, with {skip.count} instruction{'s' * (skip.count > 1)} skipped at"
                f" {skip.address:#010x} (visit {skip.visit})",
                where=f"{self.code.line(skip.address)} in {one.function}",
                subject=subject,
            )
        tried, missed = tally.outcomes.total(), tally.outcomes[Came.UNREACHED]
        if missed * 2 > tried or not tried:  # that nothing was bypassed would prove nothing
            self._checks(
                check, False, expected="skips of instructions that the run reaches", seen=str(tally), subject=subject
            )
        left = f", of {len(every)} in all" if tried < len(every) else ""
        self._checks(check, not bypasses, expected="no bypass", seen=f"{tally}{left}", subject=f"{subject}: figures")


@contextlib.contextmanager
def _patience(client: object, seconds: float) -> Iterator[None]:
    """Wait no longer than this for an answer: a firmware that hangs is the ordinary case here."""
    before = getattr(client, "timeout", None)
    if before is None:
        yield
        return
    client.timeout = seconds  # type: ignore[attr-defined] # only clients that have one
    try:
        yield
    finally:
        client.timeout = before  # type: ignore[attr-defined] # as above
