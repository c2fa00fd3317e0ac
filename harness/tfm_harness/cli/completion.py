"""``tfm-harness completion``: names and options at the Tab key."""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

from tfm_harness.cli.output import write_exactly

__all__ = ["add_completers", "add_parser", "run"]

SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "completion",
        help="shell completion",
        description="Print what makes a shell complete commands, options, suites, targets and builds.",
        epilog='bash and zsh, in ~/.bashrc or ~/.zshrc:\n  eval "$(tfm-harness completion bash)"\n'
        "fish:\n  tfm-harness completion fish > ~/.config/fish/completions/tfm-harness.fish",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the shell's code."""
    from argcomplete.shell_integration import shellcode

    write_exactly(shellcode(["tfm-harness"], shell=args.shell) + "\n")
    return 0


def add_completers(parser: argparse.ArgumentParser) -> None:
    """Tell argcomplete which arguments are names of targets, builds and suites."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to walk a parser
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - same
            for command in set(action.choices.values()):
                add_completers(command)
        completer = {"target": _targets, "build": _builds, "suite": _suites, "page": _pages}.get(action.dest)
        if completer is not None:
            action.completer = completer  # type: ignore[attr-defined] # argcomplete's own way


def _targets(**_: Any) -> list[str]:  # noqa: ANN401 - argcomplete's keywords
    from tfm_harness.config.loading import target_names

    return sorted(target_names())


def _builds(**_: Any) -> list[str]:  # noqa: ANN401 - same
    from tfm_harness.config.loading import build_names

    return sorted(build_names())


def _suites(**_: Any) -> list[str]:  # noqa: ANN401 - same
    from tfm_harness.cli.run import suites
    from tfm_harness.errors import HarnessError

    with contextlib.suppress(HarnessError):  # a broken package: the run itself will say so
        return sorted(suites())
    return []


def _pages(**_: Any) -> list[str]:  # noqa: ANN401 - same
    from tfm_harness.cli.docs import pages

    return sorted(pages())
