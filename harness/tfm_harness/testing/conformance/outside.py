"""The conformance suite's view of a board from outside: processes, a second holder, a console's output."""

from __future__ import annotations

import os
from pathlib import Path

from tfm_harness.boards.base import Board
from tfm_harness.boards.supervisor import wait_until
from tfm_harness.console.base import Mark
from tfm_harness.errors import HarnessError
from tfm_harness.processes import descendants

__all__ = ["HOLDER", "children", "command_line", "heard_on", "still_running"]

HOLDER = """
import sys
sys.path[:] = {path!r}
import importlib.util, pathlib, time
spec = importlib.util.spec_from_file_location("held_module", {file!r})
module = importlib.util.module_from_spec(spec)
sys.modules["held_module"] = module
spec.loader.exec_module(module)
case = getattr(module, {name!r})()
folder = pathlib.Path(sys.argv[1])
with case.make_board(folder) as board:
    case._flashed(board, folder)
    print("held", flush=True)
    time.sleep(600)
"""


def children() -> frozenset[int]:
    """This process's running descendants, except the watcher of the whole session (`tfm_harness.orphans`)."""
    running = still_running(frozenset(descendants(os.getpid())))
    return frozenset(pid for pid in running if "groups=" not in command_line(pid))


def command_line(pid: int) -> str:
    """A process's command line; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def still_running(pids: frozenset[int]) -> frozenset[int]:
    """Those of these processes that run; a process that ended and was not waited for does not count."""
    alive = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            alive.add(pid)
    return frozenset(alive)


def heard_on(board: Board, name: str, since: Mark) -> bytes:
    """The bytes that came on a console within a second, also if it is closed."""
    try:
        console = board.console(name)
        wait_until(lambda: console.received > since.offset + 64, 1.0, 0.05)
        return console.read_from(since)
    except HarnessError:
        return b""
