"""QEMU 7.2 holds back the first byte after a boot until its main loop is woken; this module wakes it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from tfm_harness.boards.qemu.machine import Machine
from tfm_harness.console.stream import StreamConsole

__all__ = ["Waker"]

_FIRST_PAUSE: Final = 0.005
_SLOWER: Final = 1.15
_LONGEST_PAUSE: Final = 0.05
_LONGEST_BETWEEN_KNOCKS: Final = 0.5
_GIVE_UP: Final = 60.0


class Waker:
    """Wakes the emulator after the first write to a UART since a boot.

    QEMU asks a UART whether it can receive only when its main loop runs, and firmware that switches its receiver
    on does not make it run. Any monitor command does.

    Args:
        machine: the emulator.
        consoles: the board's consoles; may grow.
    """

    def __init__(self, machine: Machine, consoles: Mapping[str, StreamConsole]) -> None:
        self._machine = machine
        self._consoles = consoles
        # Consoles without a write since the boot, each with the number of its writes when the boot was reported.
        self._unheard: dict[str, int] = {}

    def booted(self, consoles: Iterable[str]) -> None:
        """Note that the board has been reset: nothing was written to these consoles since."""
        self._unheard.update({name: self._consoles[name].writes for name in consoles})

    def wrote(self, name: str) -> None:
        """Note a write to a console.

        A write that began before the boot was reported may have reached the earlier boot. Then QEMU holds back the next
        write, so that the console stays on the list.
        """
        before = self._unheard.get(name)
        if before is not None:
            if self._consoles[name].writes > before:
                self._unheard.pop(name, None)
            self.wake()

    def wake(self) -> None:
        """Wake the emulator until it has taken in everything that was written (returns at once).

        The firmware may print long before it listens, so its output does not show that it listens.
        """
        self._machine.repeat(self._pokes())

    def _pokes(self) -> Iterator[float]:
        """Wake the emulator once for each item; the item is the number of seconds until the next one."""
        pause = _FIRST_PAUSE
        end = time.monotonic() + _GIVE_UP
        while time.monotonic() < end:
            consoles = list(self._consoles.values())
            # The host cannot see which bytes a multiplexer holds, so it asks for delivery as long as a boot may take.
            knocked = [console.knock() for console in consoles]
            unread = any(console.unread_by_peer() for console in consoles)
            if unread:
                self._machine.wake()
            elif not any(knocked):
                break
            yield pause
            pause = min(pause * _SLOWER, _LONGEST_PAUSE if unread else _LONGEST_BETWEEN_KNOCKS)
