"""``tfm-harness boards``: what is locked, by whom, and what was left behind; how healthy boards are."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfm_harness.cli.output import say, warn
from tfm_harness.errors import ConfigError
from tfm_harness.order import natural
from tfm_harness.safe_text import safe_json

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "boards",
        help="show what is running or locked, and clean up",
        description="Boards that sessions of this user have used. Locks are released by the kernel when a session"
        " ends, however it ends: a board that shows as busy is in use.",
        epilog="examples:\n  tfm-harness boards --json\n  tfm-harness boards --forget qemu-an547\n"
        "  tfm-harness boards health\n"
        "  tfm-harness boards set mps3-3 maintenance --reason 'new USB cable'",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--state-dir", default="", metavar="DIR", help="where locks and identities live")
    parser.add_argument(
        "--forget",
        metavar="NAME",
        help="remove a virtual board's identity and memory: the next run makes a new board; NAME@DIGITS, as the list"
        " has it, where boards of several target files have that name",
    )
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=False)
    change = actions.add_parser(
        "set",
        help="say how a board is: a night runs nothing on one that is Bad or in Maintenance",
        description="Say how a board is. A golden build's failure makes a board Bad; only this brings it back.",
    )
    change.add_argument("board", metavar="NAME", help="the board's name, as nights show it")
    change.add_argument(
        "state",
        metavar="STATE",
        help="good, unknown (to be proved), looping (only proved, again and again), bad, maintenance or retired",
    )
    change.add_argument("--reason", required=True, metavar="TEXT", help="why; nights and pages show it")
    change.set_defaults(run=_set)
    health = actions.add_parser(
        "health", help="how healthy boards are, and why", description="Boards' health, as the memory of nights has it."
    )
    health.add_argument("--json", action="store_true", dest="as_json", help="print JSON")
    health.set_defaults(run=_health)
    for one in (change, health):
        one.add_argument("--store", metavar="URL|PATH", help="another store")
        one.add_argument("--state-dir", metavar="DIR", default="", help="the state folder that the nights were given")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tfm_harness.boards.kept_place import described_by
    from tfm_harness.boards.locks import list_boards, list_host
    from tfm_harness.config.state_folder import state_dir

    state = state_dir(args.state_dir)
    folders = sorted((state / "boards").glob("*/"), key=lambda path: natural(path.name))
    kept = {path.name: described_by(path) for path in folders}
    if args.forget:
        return _forget(args.forget, kept, state)
    rows = []
    for board in [*list_boards(state), *list_host()]:
        running = _children(board.holder.get("pid", "")) if board.locked else []
        # A free board of which nothing is kept is only a name somebody once used.
        if board.locked or board.name in kept:
            file = kept.get(board.name, "") or board.holder.get("target", "")
            rows.append({**asdict(board), "running": running, "identity": board.name in kept, "file": file})
    if args.json:
        say(safe_json(rows, default=str))
        return 0
    for row in rows:
        say("\n".join(_words(row)))
    if not rows:
        say(f"no board is in use, and no identity is kept ({state})")
    return 0


def _forget(wanted: str, kept: Mapping[str, str], state: Path) -> int:
    """Forget a board by its key, or by its name where only one board has it."""
    from tfm_harness.boards.kept_place import name_of
    from tfm_harness.boards.locks import BoardLock

    found = [wanted] if wanted in kept else [key for key in kept if name_of(key) == wanted]
    if len(found) != 1:
        if found:
            raise ConfigError(
                f"{len(found)} boards are called {wanted}",
                kind="board-unknown",
                expected=f"one of {', '.join(found)}",
                seen=wanted,
                where="\n".join(f"{key}: {kept[key] or 'target not known'}" for key in found),
            )
        others = f"; kept: {', '.join(kept)}" if kept else ""
        warn(f"nothing is kept of {wanted}{others}")
        return 0
    key = found[0]
    lock = BoardLock(name_of(key), state, {"command": "boards --forget"}, key=key)
    lock.acquire()
    try:
        shutil.rmtree(state / "boards" / key)
    finally:
        lock.release()
    say(f"{key}: identity and memory removed")
    return 0


def _set(args: argparse.Namespace) -> int:
    """Run ``boards set``.

    Raises:
        ConfigError: kind ``board-health``: no such state, or no reason; ``store-url``.
        InfrastructureError: kind ``store-failed``.
    """
    from tfm_harness.boards.lock_files import user_name
    from tfm_harness.config.nearest import nearest
    from tfm_harness.history.database import Database
    from tfm_harness.history.health import set_health
    from tfm_harness.history.queries import Memory

    with Database(_store_url(args)) as database:
        known = [row.name for row in Memory(database).boards()]
        changed = set_health(database, args.board, args.state, reason=args.reason, by=user_name(os.getuid()))
        shown = f"{args.board}: {args.state.capitalize()}, {args.reason}"
        if args.board not in known:
            near = nearest(args.board, known)
            shown += "; no night has seen this board yet" + (f" (did you mean {near!r}?)" if near else "")
        say(shown if changed else f"{shown}; it was so before")
    return 0


def _health(args: argparse.Namespace) -> int:
    """Run ``boards health``.

    Raises:
        ConfigError: kind ``store-url``.
        InfrastructureError: kind ``store-failed``.
    """
    from tfm_harness.history.database import Database
    from tfm_harness.history.queries import Memory

    with Database(_store_url(args)) as database:
        rows = Memory(database).boards()
        shown = database.shown
    if args.as_json:
        plain = [
            {
                "board": row.name, "health": row.health, "reason": row.reason,
                "since": row.since.isoformat() if row.since else None,
                "checked": row.checked.isoformat() if row.checked else None,
            }
            for row in rows
        ]  # fmt: skip
        say(safe_json(plain))
        return 0
    for row in rows:
        since = f" since {row.since.astimezone():%Y-%m-%d %H:%M}" if row.since else ""
        say(f"{row.name:<24} {row.health}{since}" + (f": {row.reason}" if row.reason else ""))
    if not rows:
        say(f"no board is known ({shown})")
    return 0


def _store_url(args: argparse.Namespace) -> str:
    from tfm_harness.history import default_url

    store: str = args.store or ""
    return store or default_url(Path(args.state_dir) if args.state_dir else None)


def _words(row: Mapping[str, Any]) -> list[str]:
    """A board in lines for people."""
    kept = "identity and memory kept" if row["identity"] else ""
    of = f"of {row['file']}" if row["file"] else ""
    holder = row["holder"]
    if not row["locked"]:
        return [f"{row['name']:<24} free{', ' if kept else ''}{kept}", *([f"{'':<24} {of}"] if of else [])]
    lines = [f"{row['name']:<24} in use by process {holder.get('pid', '?')} since {holder.get('since', '?')}"]
    more = [of, holder.get("command", ""), f"transcripts in {holder['run_dir']}" if "run_dir" in holder else ""]
    more += [f"running: {', '.join(row['running'])}" if row["running"] else "", kept]
    return lines + [f"{'':<24} {part}" for part in more if part]


def _children(pid: str) -> list[str]:
    """Programs that a process has started and their own, each as ``name (pid)``."""
    from tfm_harness.encodings import whole_number
    from tfm_harness.processes import descendants

    found: list[str] = []
    number = whole_number(pid)  # from a lock file, which others may write
    for child in descendants(number) if number is not None else ():
        with contextlib.suppress(OSError):  # it has just ended
            found.append(f"{Path(f'/proc/{child}/comm').read_text().strip()} ({child})")
    return found
