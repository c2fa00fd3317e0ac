"""Work in a thread while a block goes on."""

from __future__ import annotations

import threading

import pytest
from tfm_harness.beside import beside


def test_the_work_goes_on_while_the_block_does_and_has_ended_with_it() -> None:
    go = threading.Event()
    with beside(lambda: go.wait(20)) as found:
        assert not found.done()
        go.set()
    assert found.done()
    assert found.result()


def test_what_the_work_raises_is_the_results() -> None:
    with beside(lambda: 1 // 0) as found:
        pass
    assert isinstance(found.exception(), ZeroDivisionError)


def test_a_block_that_fails_waits_for_the_work() -> None:
    go, ended = threading.Event(), []

    def block() -> None:
        with beside(lambda: ended.append(go.wait(20))):
            go.set()
            raise KeyError("the block's")

    with pytest.raises(KeyError, match="the block's"):
        block()
    assert ended == [True]
