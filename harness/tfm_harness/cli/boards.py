"""``tfm-harness boards``: what is locked, by whom, and what was left behind."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfm_harness.safe_text import safe

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "boards",
        help="what is running, what is locked; clean up",
        description="Boards that sessions of this user have used. Locks are released by the kernel when a session"
        " ends, however it ends: a board that shows as busy is in use.",
        epilog="examples:\n  tfm-harness boards --json\n  tfm-harness boards --forget qemu-an547",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--state-dir", default="", metavar="DIR", help="where locks and identities live")
    parser.add_argument(
        "--forget", metavar="NAME", help="remove a virtual board's identity and memory: the next run makes a new board"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tfm_harness.boards.locks import BoardLock, list_boards, list_host
    from tfm_harness.config.state_folder import state_dir

    state = state_dir(args.state_dir)
    kept = sorted(path.name for path in (state / "boards").glob("*/"))
    if args.forget:
        if args.forget not in kept:
            others = f"; kept: {', '.join(kept)}" if kept else ""
            print(f"nothing is kept of {args.forget}{others}", file=sys.stderr)  # noqa: T201 - a command line tool prints
            return 0
        lock = BoardLock(args.forget, state, {"command": "boards --forget"})
        lock.acquire()
        try:
            shutil.rmtree(state / "boards" / args.forget)
        finally:
            lock.release()
        print(f"{args.forget}: identity and memory removed")  # noqa: T201 - same
        return 0
    rows = []
    for board in [*list_boards(state), *list_host()]:
        running = _children(board.holder.get("pid", "")) if board.locked else []
        # A free board of which nothing is kept is only a name somebody once used.
        if board.locked or board.name in kept:
            rows.append({**asdict(board), "running": running, "identity": board.name in kept})
    if args.json:
        print(json.dumps(rows, indent=1, default=str))  # noqa: T201 - same
        return 0
    for row in rows:
        print(safe("\n".join(_words(row))))  # noqa: T201 - same
    if not rows:
        print(f"no board is in use, and no identity is kept ({state})")  # noqa: T201 - same
    return 0


def _words(row: Mapping[str, Any]) -> list[str]:
    """A board in lines for people."""
    kept = "identity and memory kept" if row["identity"] else ""
    holder = row["holder"]
    if not row["locked"]:
        return [f"{row['name']:<24} free{', ' if kept else ''}{kept}"]
    lines = [f"{row['name']:<24} in use by process {holder.get('pid', '?')} since {holder.get('since', '?')}"]
    more = [holder.get("command", ""), f"transcripts in {holder['run_dir']}" if "run_dir" in holder else ""]
    more += [f"running: {', '.join(row['running'])}" if row["running"] else "", kept]
    return lines + [f"{'':<24} {part}" for part in more if part]


def _children(pid: str) -> list[str]:
    """Programs that a process has started and their own, each as ``name (pid)``."""
    from tfm_harness.processes import descendants

    found: list[str] = []
    for child in descendants(int(pid)) if pid.isdecimal() else ():
        with contextlib.suppress(OSError):  # it has just ended
            found.append(f"{Path(f'/proc/{child}/comm').read_text().strip()} ({child})")
    return found
