"""A campaign goes on where a skip locks the CPU up, which ends the emulator; other errors end the campaign."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from tfm_harness.bench.skips import Came
from tfm_harness.errors import InfrastructureError, ProductError
from tfm_harness.plugin import skips
from tfm_harness.verify.instruction_skips import Skip

SKIP = Skip(0x100, 1)


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
