"""Runs command line tools of others with a time limit, and ends everything that they started."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tfm_harness.errors import InfrastructureError
from tfm_harness.processes import DEVNULL, PIPE, end_group, start

__all__ = ["Said", "run_tool", "run_words"]


_BY_HAND: Final = "run it by hand"


class Said(NamedTuple):
    """What a tool printed, and its exit code (minus the signal's number when it was killed)."""

    code: int
    out: str
    err: str


def run_tool(
    words: Sequence[str],
    timeout: float,
    *,
    what: str = "",
    hint: str = "",
    extra: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    given: bytes | None = None,
) -> Said:
    """Run a tool to its end; if it hangs, kill it and its children.

    Args:
        words: program and arguments, no shell.
        timeout: limit in seconds.
        what: what for, in words.
        hint: what to do when it is missing, cannot be run or hangs; empty for the usual advice.
        extra: additional environment variables.
        env: its whole environment instead of ours.
        given: what it reads on its standard input: other users cannot see that, but they can see arguments.

    Raises:
        InfrastructureError: kind ``tool-missing``, ``tool-start`` or ``tool-hung``.
    """
    if shutil.which(words[0]) is None:
        raise InfrastructureError(
            f"{words[0]} is not installed",
            kind="tool-missing",
            expected=f"{words[0]} on PATH" + (f", {what}" if what else ""),
            seen="nothing of that name",
            hint=hint or "install it, or correct the command in the target's YAML",
        )
    try:
        environment = {**(os.environ if env is None else env), **(extra or {})}
        process = start(words, stdin=DEVNULL if given is None else PIPE, stdout=PIPE, stderr=PIPE, env=environment)
    except OSError as error:
        raise InfrastructureError(
            f"{words[0]} cannot be run",
            kind="tool-start",
            expected="a program for this machine",
            seen=str(error),
            where=" ".join(words),
            hint=hint or _BY_HAND,
        ) from error
    with process:
        try:
            out, err = process.communicate(given, timeout=timeout)
        except BaseException as error:  # Ctrl-C included
            end_group(process)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise InfrastructureError(
                f"{words[0]} hangs",
                kind="tool-hung",
                expected=f"an end within {timeout:g} s",
                seen="still running: ended",
                where=" ".join(words),
                hint=hint or _BY_HAND,
            ) from error
    end_group(process)
    return Said(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def run_words(
    command: Sequence[str],
    timeout: float,
    what: str,
    *,
    kind: str = "power-failed",
    extra: Mapping[str, str] | None = None,
) -> str:
    """Run the user's own command; returns what it printed.

    Args:
        command: program and arguments, no shell.
        timeout: limit in seconds.
        what: what for, in words.
        kind: of the error when it fails.
        extra: additional environment variables.

    Raises:
        InfrastructureError: kind ``tool-missing``, ``tool-start``, ``tool-hung`` or `kind`.
    """
    said = run_tool(command, timeout, what=what, extra=extra)
    if said.code:
        raise InfrastructureError(
            f"{command[0]} failed",
            kind=kind,
            expected="exit code 0",
            seen=str(said.code),
            where=f"{' '.join(command)}\n{(said.err or said.out)[-500:].strip()}",
            hint=_BY_HAND,
        )
    return said.out
