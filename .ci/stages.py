"""Runs targets of the Makefile and says what took longest: ``stages.py firmware -- unit -- firmware-check mutants``.

The targets before the first ``--`` run one after the other. Each group after it is a lane: its targets run one after
the other, the lanes side by side, because few of them keep two CPUs busy alone. Where a target fails, no
further one begins, and what runs is run to its end, so that all it finds is shown; where this is ended (Ctrl-C,
SIGTERM, a terminal that closes), all are. What a target prints is shown as a whole
at its end, as long as lanes run side by side. ``NAME=VALUE`` in a group is given to each make of the group.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

LOGS = Path("build/logs")
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 30  # seconds for a lane that is ended


@dataclass
class Stage:
    """A target that ran: wall-clock seconds, and seconds of CPU time of all its processes."""

    name: str
    seconds: float
    cpu: float
    status: int


@dataclass
class Runner:
    """Runs targets, until one fails."""

    done: list[Stage] = field(default_factory=list)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def one(self, name: str, variables: list[str], *, shown: bool) -> None:
        """Run a target; nothing where another one has failed before."""
        LOGS.mkdir(parents=True, exist_ok=True)
        log = LOGS / f"{name}.log"
        began = time.monotonic()
        with self.lock:
            if self.failed:
                return
            out = None if shown else log.open("wb")
            command = [os.environ.get("MAKE", "make"), "--no-print-directory", name, *variables]
            process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT if out else None, start_new_session=True
            )
            self.running[name] = process
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        with self.lock:
            del self.running[name]
            spent = usage.ru_utime + usage.ru_stime
            self.done.append(Stage(name, time.monotonic() - began, spent, process.returncode))
            if out:
                out.close()
                sys.stdout.write(f"--- {name}\n{log.read_text(errors='replace')}")
                sys.stdout.flush()
            if process.returncode:
                self.failed.append(name)

    def end_all(self) -> None:
        """End what runs and wait until it has ended; nothing begins any more."""
        with self.lock:
            self.failed.append("interrupted")
            running = list(self.running.values())
            self._signal(running, signal.SIGTERM)
        ended = time.monotonic() + GRACE
        while time.monotonic() < ended and any(_runs(process.pid) for process in running):
            time.sleep(0.05)
        self._signal(running, signal.SIGKILL)

    @staticmethod
    def _signal(processes: list[subprocess.Popen[bytes]], number: int) -> None:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def lane(self, names: list[str], *, shown: bool) -> None:
        """Run targets one after the other."""
        variables = [name for name in names if "=" in name]
        for name in names:
            if "=" not in name:
                self.one(name, variables, shown=shown)


def groups(words: list[str]) -> list[list[str]]:
    """The words between the ``--``."""
    found: list[list[str]] = [[]]
    for word in words:
        if word == "--":
            found.append([])
        else:
            found[-1].append(word)
    return found


def _runs(group: int) -> bool:
    """Whether anything of a process group still runs (what has ended and was not asked after yet does not)."""
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, pgrp = place.read_text().rpartition(")")[2].split()[:3]
            if int(pgrp) == group and state != "Z":
                return True
    return False


def end(number: int, _frame: object) -> None:
    """As Ctrl-C does: what runs is ended first. A second signal disturbs that no more."""
    for signal_number in ENDS:
        signal.signal(signal_number, disturb_no_more)
    raise SystemExit(128 + number)


def disturb_no_more(_number: int, _frame: object) -> None:
    """Not SIG_IGN: what a lane starts at this moment would inherit that, and could not be ended."""


def main(words: list[str]) -> int:
    """Run; 0 when every target passed."""
    for signal_number in ENDS:
        signal.signal(signal_number, end)
    first, *lanes = groups(words)
    runner = Runner()
    began = time.monotonic()
    try:
        # This thread only waits: what a signal interrupts must not be the start of a target.
        for group, shown in (([first], True), (lanes, False)):
            threads = [threading.Thread(target=runner.lane, args=(lane,), kwargs={"shown": shown}) for lane in group]
            for thread in threads:
                thread.start()
            for thread in threads:
                # A signal that comes just before a wait begins does not wake it, so no wait is long.
                while thread.is_alive():
                    thread.join(0.2)
    except BaseException:
        runner.end_all()
        raise
    wall = time.monotonic() - began
    print(f"{wall:.0f} seconds in all, {sum(stage.cpu for stage in runner.done):.0f} of CPU time; longest first:")
    for stage in sorted(runner.done, key=lambda stage: -stage.seconds):
        print(f"  {stage.seconds:.0f} {stage.name} (CPU {stage.cpu:.0f})")
    print("\n".join(f"make {name} failed" for name in runner.failed) or "everything passed")
    return 1 if runner.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
