"""What a campaign makes of its skips: lockups, instructions that were not reached, campaigns that reach too little."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from tfm_harness.bench.not_covered import NotCovered
from tfm_harness.bench.skips import Came
from tfm_harness.errors import InfrastructureError, ProductError
from tfm_harness.findings import Check
from tfm_harness.plugin import skips
from tfm_harness.verify.instruction_skips import Skip
from tfm_harness.verify.marked_code import Instruction, MarkedCode

SKIP = Skip(0x100, 1)
CHECK = Check(id="skip.result-refused", title="-", requirement="-")
PLACES = range(0x100, 0x108, 2)  # four instructions: eight skips of one and of two


def fails(_: Skip) -> NoReturn:
    raise InfrastructureError("the gdbstub hung up", kind="gdbstub")


def campaign_on(board: Any) -> tuple[skips.SkipCampaign, Any, list[str]]:
    """A campaign on a board alone: whoever asked its bench to wait for the firmware would fail."""
    done: list[str] = []
    campaign = object.__new__(skips.SkipCampaign)
    campaign._bench = SimpleNamespace(board=board)  # type: ignore[assignment]
    debugger = SimpleNamespace(**{name: lambda name=name: done.append(name) for name in ("open", "close", "go")})
    return campaign, debugger, done


def test_a_lockup_is_a_stop_and_the_board_starts_anew() -> None:
    def locked_up() -> None:
        raise ProductError("the CPU has locked up", kind="lockup")

    campaign, debugger, done = campaign_on(SimpleNamespace(check_alive=locked_up))
    survive = campaign._surviving(debugger, fails, lambda: done.append("start"))
    assert survive(SKIP) is Came.STOPPED
    assert done == ["close", "start", "open", "go"]


def test_another_error_ends_the_campaign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skips, "_ENDING", 0.02)
    campaign, debugger, done = campaign_on(SimpleNamespace(check_alive=lambda: None))
    with pytest.raises(InfrastructureError, match="hung up"):
        campaign._surviving(debugger, fails, lambda: done.append("start"))(SKIP)
    assert done == []


class Campaign(skips.SkipCampaign):
    """On a board and with checks that are made up; `said` is what these were told: passed or not, and what was seen."""

    def __init__(self, *, everything: bool = True, only: frozenset[str] = frozenset()) -> None:
        instructions = {at: Instruction(at, 2, 0, "decide") for at in PLACES}
        self.code = MarkedCode(("decide", "other"), instructions, {}, (), b"")
        self.said: list[tuple[bool, str]] = []
        self._bench: Any = SimpleNamespace(
            progress=lambda _: lambda *_: None,
            reset_monitor=SimpleNamespace(begin=lambda: None),
            device=SimpleNamespace(client=SimpleNamespace(timeout=30.0)),
        )
        self._everything, self._only, self._sample, self._first_only = everything, only, 4, False
        self._checks: Any = self._told

    def _told(self, check: Check, passed: bool, *, seen: object, **_: object) -> bool:
        assert check is CHECK
        self.said.append((passed, str(seen)))
        return passed

    @property
    def _board(self) -> Any:
        debugger = SimpleNamespace(go=lambda: None, work_done=lambda: 0.0)
        return SimpleNamespace(debugger=lambda: contextlib.nullcontext(debugger))


@pytest.fixture(autouse=True)
def _lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no image with a table of lines."""
    monkeypatch.setattr(MarkedCode, "line", lambda *_: "decide.c:1")


ALL_VISITS = dict.fromkeys(PLACES, 1)


@pytest.mark.parametrize(("unreached", "sound"), [(0, True), (3, True), (4, True), (5, False), (8, False)])  # of eight
def test_a_campaign_that_reaches_less_than_half_fails(unreached: int, sound: bool) -> None:
    """Its figures pass all the same: what it has tried was no bypass."""
    left = iter([Came.UNREACHED] * unreached + [Came.REFUSED] * (8 - unreached))
    campaign = Campaign()
    campaign._run(CHECK, "a case", ALL_VISITS, lambda _: next(left))
    assert [passed for passed, _ in campaign.said] == ([True] if sound else [False, True])
    assert campaign.said[0][1].startswith("8 skips at 4 addresses")
    if unreached:
        assert f"{unreached} unreached" in campaign.said[0][1]


def test_a_bypass_counts_in_a_campaign_that_reaches_little() -> None:
    left = iter([Came.UNREACHED] * 7 + [Came.BYPASSED])
    campaign = Campaign()
    campaign._run(CHECK, "a case", ALL_VISITS, lambda _: next(left))
    assert [passed for passed, _ in campaign.said] == [False, False, False]
    assert "accepted" in campaign.said[0][1]


def test_a_campaign_without_a_skip_fails() -> None:
    """The refusal reached no marked instruction: that nothing was bypassed proves nothing."""
    campaign = Campaign()
    campaign._run(CHECK, "a case", {}, lambda _: Came.REFUSED)
    assert [passed for passed, _ in campaign.said] == [False, True]


def test_functions_that_a_case_does_not_reach_are_not_covered() -> None:
    campaign = Campaign(only=frozenset({"other"}))
    with pytest.raises(NotCovered, match="reaches none of other"):
        campaign._run(CHECK, "a case", ALL_VISITS, lambda _: Came.REFUSED)
    assert campaign.said == []


class Firmware:
    """Reaches the instruction in the tries that `reaches` names, and signs in those of `signs`; both count from 1."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, reaches: set[int], signs: set[int] = frozenset()) -> None:  # type: ignore[assignment]
        self.tries, self.prepared_before = 0, [0]
        self.reaches, self.signs = reaches, signs
        monkeypatch.setattr(skips, "counting", lambda *_: contextlib.nullcontext({0x100: 1}))
        monkeypatch.setattr(skips, "skipping", self.skipping)
        monkeypatch.setattr(skips, "plan", lambda *_: [SKIP])

    @contextlib.contextmanager
    def skipping(self, *_: object) -> Iterator[threading.Event]:
        self.tries += 1
        self.prepared_before.append(0)
        done = threading.Event()
        if self.tries in self.reaches:
            done.set()
        yield done

    def prepare(self) -> None:
        self.prepared_before[-1] += 1


@pytest.mark.parametrize(
    ("reaches", "signs", "tries", "seen"),
    [
        ({1}, set(), 1, "1 refused"),
        ({2}, set(), 2, "1 refused"),  # what a refusal before it had left was in the way
        (set(), set(), 2, "1 unreached"),
        ({2}, {2}, 2, "1 bypassed"),
        ({3}, set(), 2, "1 unreached"),  # no third try: the campaign would not end
    ],
)
def test_a_skip_that_was_not_reached_is_tried_once_more(
    monkeypatch: pytest.MonkeyPatch, reaches: set[int], signs: set[int], tries: int, seen: str
) -> None:
    firmware, campaign = Firmware(monkeypatch, reaches, signs), Campaign()
    monkeypatch.setattr(campaign, "_asks", lambda *_: True)
    campaign.requests(
        CHECK, "a case", request=lambda: None, accepted=lambda: firmware.tries in signs, prepare=firmware.prepare
    )
    assert firmware.tries == tries
    assert campaign.said[-1][1] == f"1 skips at 1 addresses: {seen}"
    if tries == 2:
        assert firmware.prepared_before[1] == 1, "the state is put right before the second try"


def test_a_firmware_that_answers_once_more_and_then_no_longer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That is a stop, told after a second of silence and not after the client's whole patience."""
    firmware, campaign = Firmware(monkeypatch, {1}), Campaign()
    client, waited, done = campaign._bench.device.client, [], []
    monkeypatch.setattr(campaign, "_asks", lambda *_: True)
    monkeypatch.setattr(campaign, "_revive", lambda _: done.append("revived"))
    monkeypatch.setattr(skips, "spent", lambda *_: done.append("had its share of the CPU"))

    def accepted() -> bool:
        waited.append(client.timeout)
        if len(waited) == 2:  # the first look is before any skip
            raise InfrastructureError("no answer", kind="smp-timeout")
        return False

    campaign.requests(CHECK, "a case", request=lambda: None, accepted=accepted, prepare=firmware.prepare)
    assert campaign.said[-1][1] == "1 skips at 1 addresses: 1 stopped"
    assert done == ["had its share of the CPU", "revived"]
    assert waited == [30.0, 1.0, 30.0]
    assert client.timeout == 30.0


def test_the_boot_with_the_last_skip_does_not_go_on_behind_the_campaign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the debugger lets go of a CPU that has just met its fault handler, that one prints a panic afterwards."""
    order: list[str] = []

    class Boot:
        def __init__(self, *_: object, **__: object) -> None: ...

        def begin(self) -> None:
            order.append("stands anew")

        def plain(self) -> Came:
            return Came.REFUSED

        def visits(self) -> dict[int, int]:
            return {0x100: 1}

        def attempt(self, _: Skip) -> Came:
            order.append("stopped")
            return Came.STOPPED

    @contextlib.contextmanager
    def debugger() -> Iterator[None]:
        yield
        order.append("goes on")

    monkeypatch.setattr(skips, "SkippedBoot", Boot)
    monkeypatch.setattr(skips, "plan", lambda *_: [SKIP])
    monkeypatch.setattr(Campaign, "_board", SimpleNamespace(debugger=debugger))
    campaign = Campaign()
    campaign._bench.board = SimpleNamespace(reset=lambda _: None)
    campaign._bench.reset_monitor = SimpleNamespace(
        begin=lambda: order.append("watched"), expected_reset=contextlib.nullcontext
    )
    campaign.boots(
        CHECK, "a case", prepare=lambda _: None, forbidden=0x200, foreign=range(0x200, 0x300), refused=(), stopped=()
    )
    assert order == ["stopped", "stands anew", "goes on", "watched"]
