"""On which CPU of the host an emulator runs: all its threads on one, and emulators spread over all.

A byte over an emulated UART passes between two threads of QEMU: the main loop reads it, the virtual CPU fetches it.
When these sleep and wake on different CPUs, each byte costs several times as much as on one (on a virtual machine,
where waking another CPU goes through the hypervisor, four times: 9 kB/s became 40 kB/s). The two hardly ever work at
the same time, so that one CPU is enough for them.
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
    """The CPU of one board's emulators, chosen anew after some seconds: to look at all processes takes long.

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
    """The CPU with the fewest processes bound to it, out of those this process may use; None when there is one only.

    Args:
        board: boards of a pool, which start at the same moment and do not see each other yet, are told apart by the
            number their name ends in; all others by their processes' numbers.
        proc: where the kernel tells of processes.
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
