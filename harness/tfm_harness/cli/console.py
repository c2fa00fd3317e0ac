"""``tfm-harness console``: talk to a board's console, with a transcript."""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import sys
import termios
import tty
from collections.abc import Iterator

from tfm_harness.cli.output import warn
from tfm_harness.console.base import Console, Mark
from tfm_harness.console.deadline import Deadline
from tfm_harness.errors import ConfigError, InfrastructureError

__all__ = ["add_parser", "run"]

ESCAPE = b"\x1d"  # Ctrl-], as telnet has it
_SLICE = 0.05
_MOST_SHOWN = 64 << 10  # bytes written at once


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "console",
        help="talk to a console of a board, with a transcript",
        description="Flash the build, start the board and connect to the console; Ctrl-] leaves. When the input is no"
        " terminal it is sent as it is, and the console is shown until --for has passed.",
        epilog="examples:\n"
        "  tfm-harness console --target qemu-an547 --build reference secure\n"
        "  echo help | tfm-harness console --target my-board --build mine --for 2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("console", nargs="?", help="its name (default: the one the build's protocol uses)")
    parser.add_argument("--target", required=True, metavar="NAME|FILE")
    parser.add_argument("--build", required=True, metavar="NAME|FILE")
    parser.add_argument("--run-dir", default="", metavar="DIR", help="where the transcript goes")
    parser.add_argument("--state-dir", default="", metavar="DIR", help="where locks and identities live")
    parser.add_argument(
        "--for", dest="seconds", type=float, default=1.0, metavar="SECONDS", help="without a terminal: stay this long"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tfm_harness.bench.combination import load_combination
    from tfm_harness.bench.context import make_context
    from tfm_harness.bench.live import LiveCombination

    combination = load_combination(args.target, args.build, require_keys=False)
    name = args.console or combination.build.console
    if name not in combination.target.consoles:
        raise ConfigError(
            f"target {combination.target.name!r} has no console {name!r}",
            kind="console-unknown",
            expected=", ".join(combination.target.consoles),
        )
    # What runs is not proved here: people look at a console because the firmware does not answer.
    with LiveCombination(combination, make_context(args.run_dir, args.state_dir)).flashed() as board:
        console = board.console(name)
        warn(f"{board.name}, console {console.name}; transcript {console.transcript}")
        if sys.stdin.isatty():
            warn("Ctrl-] leaves")
            with _raw():
                _join(console)
        else:
            _feed(console, args.seconds)
    return 0


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _join(console: Console) -> None:
    shown = _show(console, 0)
    while True:
        console.wait_data(Mark(shown), timeout=_SLICE)
        shown = _show(console, shown)
        if select.select([sys.stdin], [], [], 0)[0]:
            typed = os.read(sys.stdin.fileno(), 1024)
            if not typed or ESCAPE in typed:
                return
            console.write(typed)


def _feed(console: Console, seconds: float) -> None:
    end = Deadline.after(seconds)
    shown = _show(console, 0)
    open_input = True
    while not end.passed:
        try:
            console.wait_data(Mark(shown), timeout=_SLICE)
        except InfrastructureError:
            _show(console, shown)
            raise
        shown = _show(console, shown)
        if open_input and select.select([sys.stdin], [], [], 0)[0]:
            data = os.read(sys.stdin.fileno(), 4096)
            open_input = bool(data)
            if data:
                console.write(data)

    behind = console.received - shown
    if behind > 0:
        warn(f"the console is flooded: {behind} more bytes had come after {seconds:g} s; see {console.transcript}")


def _show(console: Console, shown: int) -> int:
    """Show what has come by now, from offset `shown` on; what comes meanwhile is for the next call."""
    end = console.mark().offset
    while shown < end:
        data = console.read_from(Mark(shown), limit=min(end - shown, _MOST_SHOWN))
        if not data:
            break
        os.write(sys.stdout.fileno(), data)
        shown += len(data)
    return shown
