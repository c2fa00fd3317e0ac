"""``tfm-harness boards``: what is locked, by whom, and what was left behind."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

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
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.add_argument("--state-dir", default="", metavar="DIR", help="where locks and identities live")
    parser.add_argument(
        "--forget", metavar="NAME", help="remove a virtual board's identity and memory: the next run makes a new board"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from harness.boards.locks import BoardLock, list_boards
    from harness.plugin.pairs import state_dir

    state = state_dir(args.state_dir)
    if args.forget:
        lock = BoardLock(args.forget, state, {"command": "boards --forget"})
        lock.acquire()
        try:
            return _forget(state / "boards" / args.forget)
        finally:
            lock.release()
    boards = list_boards(state)
    if args.json:
        print(json.dumps([asdict(board) for board in boards], indent=1, default=str))  # noqa: T201 - a command line tool prints
        return 0
    for board in boards:
        facts = ", ".join(f"{key} {value}" for key, value in asdict(board).items() if key != "name" and value)
        print(f"{board.name:<24} {facts or 'free'}")  # noqa: T201 - same
    if not boards:
        print(f"no board has been used yet ({state})")  # noqa: T201 - same
    return 0


def _forget(folder: Path) -> int:
    if not folder.is_dir():
        print(f"nothing is kept of {folder.name}", file=sys.stderr)  # noqa: T201 - a command line tool prints
        return 0
    shutil.rmtree(folder)
    print(f"{folder.name}: identity and memory removed")  # noqa: T201 - same
    return 0
