"""Classifies the lines on a Zephyr shell's UART: echo, reply, log, secure side, boot.

UART0 of that firmware is shared: the shell's replies, its deferred logs and the secure side's own lines are mixed.
Pure: rendered lines in, classified lines out.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from tfm_harness.protocol.zephyr_shell.terminal import Rendered

__all__ = ["SECURE_INSERT", "LineKind", "LineSorter", "ShellLine"]

_SERVICES = r"(?:TFLM SERVICE|UTVM SERVICE|HUK DERIV SERV|NV PS COUNTERS)"

SECURE_INSERT = re.compile(rf"\[{_SERVICES}\] ")
"""The beginning of a secure line that was printed into the middle of another line (it ends in a bare LF)."""

_LOG = re.compile(
    r"\[(?P<stamp>\d\d:\d\d:\d\d\.\d{3},\d{3})\] <(?P<level>err|wrn|inf|dbg)> (?P<source>[^\s:]+): (?P<text>.*)"
)
_DROPPED = re.compile(r"--- \d+ messages? dropped ---")
_SECURE = re.compile(rf"\[(?P<source>{_SERVICES})\] (?P<level><err> )?(?P<text>.*)")
_SPM = re.compile(r"\[(?P<level>INF|WRN|ERR|DBG|VRB)\].*")

# Any of these means that the device has started; a fault at that point prints no other line.
_BOOT = tuple(
    re.compile(pattern)
    for pattern in (
        r"\[INF\] Starting bootloader.*",
        r"\[INF\] Beginning (?:BL2|TF-M) provisioning.*",
        r"\[WRN\].*DUMMY_PROVISIONING.*",
        r"\[WRN\].*provisioned with dummy keys.*",
        r"\[Sec Thread\] Secure image initializing!",
        r"Booting TF-?M v?\d.*",
        r"\[(?:UTVM|TFLM) SERVICE\] (?:UTVM|TFLM) initali[sz]ation completed",
        r"Creating an empty (?:ITS|PS) flash layout\.",
        r"\*\*\* Booting Zephyr OS.*",
        r"Non-Secure system starting\.\.\.",
    )
)


class LineKind(enum.StrEnum):
    """Kinds of lines."""

    ECHO = "echo"  # the shell's echo of the command that was sent
    REPLY = "reply"
    LOG = "log"  # the non-secure side's log
    SECURE = "secure"  # the secure side's log
    BOOT = "boot"
    BLANK_PROMPT = "prompt"  # a prompt with nothing after it
    STRAY_ECHO = "stray-echo"  # a prompt followed by text that was not sent


@dataclass(frozen=True, slots=True)
class ShellLine:
    """One classified line. `level` is ``err``, ``wrn``, ``inf`` or ``dbg`` if the line has one."""

    kind: LineKind
    text: str
    level: str = ""
    source: str = ""


class LineSorter:
    """Classifies rendered lines.

    Args:
        prompt: the shell's prompt, with its trailing blank.
    """

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt
        self._bare = prompt.rstrip()

    def without_prompts(self, text: str) -> tuple[str, bool]:
        """`text` without the prompts it begins with (there may be several), and whether there was any."""
        found = False
        while text.startswith(self.prompt):
            text, found = text[len(self.prompt) :], True
        if text == self._bare:
            return "", True
        return text, found

    def is_prompt(self, current: str) -> bool:
        """Whether an unfinished line is a prompt and nothing else."""
        text, found = self.without_prompts(current)
        return found and not text.strip()

    def sort(self, line: Rendered, sent: str | None) -> ShellLine:
        """Classify a finished line.

        Args:
            line: the line.
            sent: the command whose echo or reply is awaited; None when none is.
        """
        text, prompted = self.without_prompts(line.text)
        log = _LOG.search(text)
        if log is not None and self._may_precede(text[: log.start()], sent, prompted=prompted):
            return ShellLine(LineKind.LOG, text[log.start() :], log["level"], log["source"])
        if any(form.fullmatch(text) for form in _BOOT):
            return ShellLine(LineKind.BOOT, text)
        if _DROPPED.fullmatch(text):
            return ShellLine(LineKind.LOG, text, "wrn")
        secure = _SECURE.fullmatch(text)
        if secure is not None:
            return ShellLine(LineKind.SECURE, text, "err" if secure["level"] else "", secure["source"])
        spm = _SPM.fullmatch(text)
        if spm is not None:
            return ShellLine(LineKind.SECURE, text, spm["level"].lower(), "SPM")
        if prompted:
            if not text:
                return ShellLine(LineKind.BLANK_PROMPT, "")
            return ShellLine(LineKind.ECHO if text == sent else LineKind.STRAY_ECHO, text)
        return ShellLine(LineKind.REPLY, text)

    def _may_precede(self, before: str, sent: str | None, *, prompted: bool) -> bool:
        """Whether `before` may come before a log line: nothing, or a half-typed command if VT100 commands are off."""
        return not before or (prompted and sent is not None and sent.startswith(before))
