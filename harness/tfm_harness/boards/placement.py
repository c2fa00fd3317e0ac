"""Chooses the host's CPU for an emulator: all its threads run on one CPU, and emulators are spread over all CPUs.

A byte over an emulated UART passes between two threads of QEMU: the main loop reads it, the virtual CPU fetches it. If
these sleep and wake on different CPUs, each byte costs several times as much as on one CPU. On a virtual machine, where
waking another CPU goes through the hypervisor, one CPU made it four times as fast: 40 kB/s instead of 9 kB/s. The two
threads hardly ever work at the same time, so that one CPU is enough for them.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

__all__ = ["Placement", "choose_cpu"]

_PROC = Path("/proc")
_KEPT = 10.0


class Placement:
    """The CPU of one board's emulators. The choice is kept for some seconds, because reading all processes takes long.

    Args:
        clock: seconds that only grow.
        proc: as for `choose_cpu`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, proc: Path = _PROC) -> None:
        self._clock = clock
        self._proc = proc
        self._chosen: tuple[float, int | None] | None = None

    def choose(self, board: str) -> int | None:
        """As `choose_cpu`."""
        now = self._clock()
        if self._chosen is None or now - self._chosen[0] > _KEPT:
            self._chosen = now, choose_cpu(board, self._proc)
        return self._chosen[1]


def choose_cpu(board: str, proc: Path = _PROC) -> int | None:
    """The CPU with the fewest processes bound to it, out of those this process may use; None if there is only one.

    Args:
        board: boards of a pool start at the same moment and do not see each other yet, so the number at the end of
            their name decides between equal CPUs; for other boards, the process's number.
        proc: the folder in which the kernel shows processes.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return None
    bound = Counter(_bound(proc))
    least = min(bound[cpu] for cpu in allowed)
    equals = [cpu for cpu in allowed if bound[cpu] == least]
    number = board.rpartition(".")[2]
    return equals[(int(number) if number.isdecimal() else os.getpid()) % len(equals)]


def _bound(proc: Path) -> Iterable[int]:
    """The CPU of each user process that is bound to a single one."""
    for status in proc.glob("[0-9]*/status"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            lines = dict(line.split(":", 1) for line in status.read_text(errors="replace").splitlines() if ":" in line)
            cpus = lines.get("Cpus_allowed_list", "").strip()
            if cpus.isdecimal() and "VmSize" in lines:  # kernel threads are bound, too, and have no memory
                yield int(cpus)
