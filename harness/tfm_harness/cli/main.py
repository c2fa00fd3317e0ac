"""The command ``tfm-harness``."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence

from tfm_harness.cli.completion import add_completers
from tfm_harness.cli.output import warn
from tfm_harness.cli.unknown import CommandParser, unknown_command
from tfm_harness.config.environment import check_environment
from tfm_harness.errors import ConfigError, HarnessBug, HarnessError, Responsibility
from tfm_harness.foreign import frames_of, host_refusal
from tfm_harness.installation import missing_package
from tfm_harness.plugin.options import OPTIONS
from tfm_harness.version import __version__

__all__ = ["EXIT_CODES", "main", "make_parser"]

COMMANDS = {
    "run": "run",
    "check": "check",
    "targets": "check",
    "builds": "check",
    "boards": "boards",
    "console": "console",
    "verify": "verify",
    "console-suite": "console_suite",
    "import-build": "import_build",
    "advisories": "advisories",
    "coverage": "coverage",
    "check-requirements": "check_requirements",
    "compare": "compare",
    "replay": "replay",
    "keys": "keys",
    "trace": "trace",
    "baseline": "baseline",
    "evidence": "evidence",
    "night": "night",
    "history": "history",
    "bisect": "bisect",
    "dashboard": "dashboard",
    "export": "export",
    "init": "init",
    "docs": "docs",
    "schema": "docs",
    "extensions": "extensions",
    "completion": "completion",
}
"""Each command, and its module in `tfm_harness.cli`, with ``add_parser(subparsers)`` and ``run(args) -> int``.

A module may have several commands. All are light to import.
"""

EXIT_CODES = {
    Responsibility.PRODUCT: 1,
    Responsibility.HARNESS: 3,
    Responsibility.CONFIGURATION: 4,
    Responsibility.TEST: 4,
    Responsibility.INFRASTRUCTURE: 10,
}
"""Exit code by responsibility; 0 everything passed, 2 wrong usage or interrupted, 5 nothing was judged."""

EPILOG = """exit codes:
  0   all well                         4   configuration, options or a test are wrong
  1   the product failed               5   nothing was judged
  2   wrong usage, or interrupted      10  only the bench failed: says nothing about the product
  3   a bug of the harness

examples:
  tfm-harness init my-project                                      begin one that runs on QEMU
  tfm-harness run --target qemu-an547 --build reference            all suites
  tfm-harness run boot attestation --target my-board --build mine  two of them
  tfm-harness night farm.yaml                                      a whole farm, bench first
  tfm-harness check targets/my-board.yaml fw_builds/mine/build.yaml
  tfm-harness boards                                               what is running or locked
  tfm-harness console --target qemu-an547 --build reference        talk to a console
"""


def make_parser(only: str = "") -> argparse.ArgumentParser:
    """The whole command line; with the name of a command: what reads that command's lines, made without the others."""
    parser = argparse.ArgumentParser(
        prog="tfm-harness",
        description="Hardware-in-the-loop tests for confidential AI on Arm Cortex-M under TF-M.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tfm-harness {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=CommandParser)
    for name in [COMMANDS[only]] if only else dict.fromkeys(COMMANDS.values()):
        module = importlib.import_module(f"tfm_harness.cli.{name}")
        before = set(subparsers.choices)
        module.add_parser(subparsers)
        for added in set(subparsers.choices) - before:
            command = subparsers.choices[added]
            if command.get_default("run") is None:
                command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code says who is responsible for a failure."""
    if argv is None:
        _say_everything()
        atexit.register(gc.freeze)  # the process ends: what is left is not searched for garbage, which takes long
    try:
        words = list(sys.argv[1:] if argv is None else argv)
        _check_words(words)
        # argparse gives what stands behind -- to positional arguments only where those come last.
        end = words.index("--") if words[:1] == ["run"] and "--" in words else len(words)
        completes = "_ARGCOMPLETE" in os.environ  # a shell asks what could come next
        parser = make_parser(words[0] if words and words[0] in COMMANDS and not completes else "")
        if completes:
            import argcomplete

            add_completers(parser)
            argcomplete.autocomplete(parser)
        if words and not words[0].startswith("-") and words[0] not in COMMANDS:
            parser.error(unknown_command(words[0], COMMANDS))
        args = parser.parse_args(words[:end])
        args.rest = words[end + 1 :]
        check_environment(option.env for option in OPTIONS)
        code: int = args.run(args)
        _flush()
    except HarnessError as error:
        return _tell(str(error), EXIT_CODES[error.responsibility])
    except KeyboardInterrupt:
        return 2
    except BrokenPipeError:
        # The reader has gone (`| head`): not an error; nothing more can be written either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the outermost net: nothing foreign may look like a verdict
        shown = _foreign(error)
        return _tell(str(shown), EXIT_CODES[shown.responsibility])
    return code


def _say_everything() -> None:
    """What the terminal's encoding does not have (a C or Latin-1 locale, a name that is no text) is printed escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _check_words(words: Sequence[str]) -> None:
    """No path and no name holds a NUL."""
    wrong = next((word for word in words if "\0" in word), None)
    if wrong is not None:
        raise ConfigError("an argument holds a NUL character", kind="bad-argument", seen=repr(wrong[:80]))


def _flush() -> None:
    """What was printed is written now: a full disk is told, and not left to the interpreter's end."""
    if sys.stdout is not None:  # None when it was closed before the start
        sys.stdout.flush()


def _tell(text: str, code: int) -> int:
    """Say it where it can be said; the exit code is right in any case."""
    with contextlib.suppress(OSError, ValueError):
        warn(text)
    return code


def _foreign(error: Exception) -> HarnessError:
    """An unexpected exception, as an error of ours: the host's (a package, a file, a disk, a port), else a bug."""
    missing = missing_package(error)
    if missing is not None:
        return missing
    where = frames_of(error)
    seen = f"{type(error).__name__}: {error}"[:500]
    if isinstance(error, UnicodeEncodeError) and any("\ud800" <= c <= "\udfff" for c in str(error.object)):
        return ConfigError("a name is no text (its bytes are not UTF-8)", kind="bad-argument", seen=seen, where=where)
    if (refusal := host_refusal(error)) is not None:
        if sys.stdout is not None:  # what could not be written is not tried again at the interpreter's end
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return refusal
    return HarnessBug(
        "an error that the harness did not expect",
        kind="unexpected",
        seen=seen,
        where=f"{where}\ntfm-harness {__version__}, Python {sys.version.split()[0]}",
        hint="please report this text, with the file that caused it where it is not secret",
    )


if __name__ == "__main__":
    sys.exit(main())
