"""Words on a command line that a command does not know, told with the nearest one there is."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from typing import NoReturn

from tfm_harness.config.nearest import nearest

__all__ = ["refuse_unknown"]


def refuse_unknown(command: argparse.ArgumentParser, unknown: Sequence[str]) -> NoReturn:
    """End with 2 and the command's own usage.

    Args:
        command: the parser of the command that was given, not the whole program's.
        unknown: what was left over, in the order of the line.
    """
    text = f"unrecognized arguments: {shlex.join(unknown)}"
    first = next((word.partition("=")[0] for word in unknown if word.startswith("-")), "")
    near = nearest(first, _options(command), cutoff=0.7) if first.startswith("--") else None
    if near:
        text += f"; did you mean {near}?"
    elif command.prog.endswith(" run") and first:
        text += f"\npytest's own options stand behind --: {command.prog} ... -- {shlex.join(unknown)}"
    command.error(text)


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The long options of a command and of the actions below it."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to them
        yield from (option for option in action.option_strings if option.startswith("--"))
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            for below in action.choices.values():
                yield from _options(below)
