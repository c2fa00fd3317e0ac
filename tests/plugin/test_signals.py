"""Signals of a session, with a clock of the test's own."""

from __future__ import annotations

import os
import signal

import pytest
from tfm_harness.plugin.signals import Signals


def test_the_first_ends_the_run_later_ones_only_speak_and_a_late_one_ends_at_once() -> None:
    noted: list[str] = []
    said: list[str] = []
    now = [0.0]
    signals = Signals(noted.append, said.append, lambda: now[0])
    before = signal.getsignal(signal.SIGTERM)
    signals.install()
    try:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert (noted, len(said)) == (["SIGTERM"], 1)
        now[0] = 60.0
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signals.remove()
    assert signal.getsignal(signal.SIGTERM) == before


def test_when_all_is_judged_a_signal_changes_nothing() -> None:
    noted: list[str] = []
    said: list[str] = []
    seen: list[int] = []
    now = [0.0]
    signals = Signals(noted.append, said.append, lambda: now[0])
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signals.install()
    try:
        signals.ending()
        os.kill(os.getpid(), signal.SIGTERM)
        assert (noted, len(said)) == ([], 1)
        signals.remove()  # the session is over, its process not yet
        os.kill(os.getpid(), signal.SIGTERM)
        assert (noted, len(said)) == ([], 1)
        signals._before[signal.SIGTERM] = lambda number, _: seen.append(number)
        now[0] = 6.0  # the process goes on
        os.kill(os.getpid(), signal.SIGTERM)
        assert seen == [signal.SIGTERM]
    finally:
        signals._give_back()
        signal.signal(signal.SIGTERM, before)


def test_a_users_own_handler_stays() -> None:
    def own(*_: object) -> None:
        """The user's."""

    before = signal.signal(signal.SIGHUP, own)
    signals = Signals(lambda _: None, lambda _: None)
    try:
        signals.install()
        assert signal.getsignal(signal.SIGHUP) is own
    finally:
        signals.remove()
        signal.signal(signal.SIGHUP, before)
