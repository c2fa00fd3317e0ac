"""Python's garbage collector while a session begins: what is imported and collected then lives until its end.

Looking through all of it again and again is a sixth of the CPU time that a session needs before its first test. Nor is
it looked through once more when the process ends, which takes a sixth of a short one.
"""

from __future__ import annotations

import atexit
import gc

import pytest

__all__ = ["pause", "resume"]

_PAUSED = pytest.StashKey[bool]()


def pause(config: pytest.Config) -> None:
    """No collections until `resume`, or until the session ends before it; a collector that is off stays off."""
    atexit.register(gc.freeze)
    if gc.isenabled():
        gc.disable()
        config.stash[_PAUSED] = True
        config.add_cleanup(gc.unfreeze)  # for who runs several sessions in one process
        config.add_cleanup(lambda: resume(config))


def resume(config: pytest.Config) -> None:
    """Collect again, but not what is there now. Once for each `pause`."""
    if config.stash.get(_PAUSED, False):
        config.stash[_PAUSED] = False
        gc.freeze()
        gc.enable()
