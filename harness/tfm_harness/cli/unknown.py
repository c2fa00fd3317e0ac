"""Words on a command line that a command does not know, told with the nearest one there is."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from tfm_harness.config.nearest import nearest

__all__ = ["CommandParser", "unknown_command"]


def unknown_command(word: str, known: Iterable[str]) -> str:
    """What is said of a word that stands in a command's place: the nearest command, else all of them."""
    near = nearest(word, known)
    return f"no command is called {word!r}; " + (
        f"did you mean {near!r}?" if near else f"there are: {', '.join(known)}"
    )


class CommandParser(argparse.ArgumentParser):
    """Reads a command's words, and ends with 2 and this command's usage where it does not know one.

    argparse alone hands such words up, and the whole program's parser tells of them with its own usage.
    """

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:  # noqa: ANN401 - as argparse
        """As argparse's, but nothing is left over."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(self._told(unknown))
        return found, unknown

    def _told(self, unknown: Sequence[str]) -> str:
        text = f"unrecognized arguments: {shlex.join(unknown)}"
        first = next((word.partition("=")[0] for word in unknown if word.startswith("-")), "")
        near = nearest(first, self._option_string_actions, cutoff=0.7) if first.startswith("--") else None
        if near:
            return f"{text}; did you mean {near}?"
        if first and self.prog.endswith(" run"):
            return f"{text}\npytest's own options stand behind --: {self.prog} ... -- {shlex.join(unknown)}"
        return text
