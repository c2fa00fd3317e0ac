"""The MCC's console (first channel of the MPS3's debug USB): its commands, and its log while it loads images.

Sources: Arm MPS3 technical reference manual (100765), "MCC command-line interface": prompt ``Cmd>``,
commands ``reboot``, ``usb_on``; start-up log lines ``Reading images file``, ``Writing File``.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from tfm_harness.console.base import Console, Mark
from tfm_harness.errors import InfrastructureError

__all__ = ["MccLog", "command", "reboot", "watch_start"]

PROMPT = b"Cmd>"
_LONGEST_TALK = 10
_ERROR = re.compile(
    rb"(?i)\b(error|failed|failure|invalid|cannot|can't|could not|not found|no space|timed? ?out)\b", re.ASCII
)
# Lines that contain such words but report no error.
_HARMLESS = re.compile(rb"(?i)no errors?|0 errors?|error ?: ?0\b|errors? found: ?0\b")
_WRITING = re.compile(rb"(?i)writing file\s+\\?(?:[\w~]+\\)*(?P<name>[\w~]+\.\w+)")
_IMAGES = re.compile(rb"(?i)reading images file\s+(?P<path>\S+)")


@dataclass(slots=True)
class MccLog:
    """Reads the MCC's lines as they come, in any chunks.

    Attributes:
        images_file: the ``images.txt`` the MCC says it reads.
        written: files it says it writes, in order.
        errors: lines that report a failure.
        ready: whether the prompt has come after the images were read.
    """

    images_file: str | None = None
    written: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    ready: bool = False
    _pending: bytes = b""

    def feed(self, data: bytes) -> None:
        """Take bytes from the console."""
        *lines, self._pending = (self._pending + data).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._pending) > 4096:  # the MCC has no lines of this length: do not collect without limit
            self._pending = self._pending[-256:]
        if self._pending.lstrip().startswith(PROMPT) and self.images_file is not None:
            self.ready = True

    def _line(self, line: bytes) -> None:
        if image := _IMAGES.search(line):
            self.images_file = image["path"].decode("ascii", "replace")
        if writing := _WRITING.search(line):
            self.written.append(writing["name"].decode("ascii").lower())
        if _ERROR.search(line) and not _HARMLESS.search(line):
            self.errors.append(line.decode("ascii", "replace").strip())
        if line.lstrip().startswith(PROMPT) and self.images_file is not None:
            self.ready = True


def command(console: Console, words: str, *, timeout: float = 10.0) -> Mark:
    """Get a prompt and give a command; returns the mark from which its output counts.

    Raises:
        InfrastructureError: kind ``mcc-silent`` when no prompt comes.
    """
    mark = console.mark()
    console.write(b"\r")
    _await_prompt(console, mark, timeout)
    start = console.mark()
    console.write(words.encode("ascii") + b"\r")
    return start


def _await_prompt(console: Console, since: Mark, timeout: float) -> None:
    try:
        console.wait_for(PROMPT, timeout=timeout, since=since)
    except InfrastructureError as error:
        if error.kind != "console-timeout":
            raise
        raise InfrastructureError(
            "the board's MCC does not answer",
            kind="mcc-silent",
            expected="the prompt Cmd>",
            seen=console.tail(5) or "nothing",
            where=console.name,
            hint="power-cycle the board; check that this is the first of its four serial ports (115200 8N1)",
        ) from error


def reset(console: Console, *, timeout: float = 10.0) -> None:
    """Reset the CPU, and wait for the prompt after it: until then the earlier boot may still answer.

    Raises:
        InfrastructureError: kind ``mcc-silent`` when no prompt comes, before the command or after it.
    """
    start = command(console, "reset", timeout=timeout)
    _await_prompt(console, start, timeout)


def reboot(console: Console, *, timeout: float = 10.0) -> Mark:
    """`command` with ``reboot``: the MCC starts again and loads all images."""
    return command(console, "reboot", timeout=timeout)


def watch_start(console: Console, since: Mark, files: list[str], *, timeout: float) -> MccLog:
    """Follow the MCC's start-up log until its prompt; check that it wrote every file.

    Args:
        console: the MCC's console.
        since: the mark that `reboot` returned.
        files: 8.3 names that must be written.
        timeout: seconds without a single byte after which the MCC counts as hung. Even if it prints, it has at most ten
            times as long.

    Raises:
        InfrastructureError: kind ``mcc-error`` (it reported one), ``mcc-hung``, ``mcc-skipped`` (a file not written).
    """
    log = MccLog()
    mark = since
    end = time.monotonic() + _LONGEST_TALK * timeout
    while not log.ready:
        # An MCC that starts again and again is never silent, and never ready.
        endless = time.monotonic() > end
        if endless or not console.wait_data(mark, timeout=timeout):
            raise InfrastructureError(
                f"the board's MCC {'never ends its start' if endless else 'stopped in the middle of its start'}",
                kind="mcc-hung",
                expected=f"its prompt within {_LONGEST_TALK * timeout:g} s"
                if endless
                else f"its prompt, at most {timeout:g} s after its last byte",
                seen=console.tail(8) or "nothing",
                where=console.name,
                hint="power-cycle the board",
            )
        data = console.read_from(mark)
        mark = Mark(mark.offset + len(data))
        log.feed(data)
    if log.errors:
        raise InfrastructureError(
            "the board's MCC reported an error",
            kind="mcc-error",
            expected="a start without errors",
            seen="\n".join(log.errors[:5]),
            where=f"{console.name}\n{console.tail(12)}",
            hint="look at images.txt and at the files on the card",
        )
    missing = [name for name in files if name.lower() not in log.written]
    if missing:
        raise InfrastructureError(
            "the board's MCC did not load every image",
            kind="mcc-skipped",
            expected=", ".join(files),
            seen=", ".join(log.written) or "no file written",
            where=console.name,
            hint="another images.txt is in use: check MB/HBI0309*/board.txt for the selected application note",
        )
    return log
