"""Parses the lines of an MLPerf Tiny firmware. Pure: lines in, values out.

Source: mlcommons/tiny, benchmark/api/internally_implemented.cpp and the reference submissions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tfm_harness.errors import ConfigError, HarnessError, InfrastructureError, ProductError

__all__ = [
    "ERROR_MARK",
    "MARK",
    "READY",
    "MlperfTinyRefused",
    "TimedRun",
    "bracketed",
    "of_the_line",
    "printed_bytes",
    "raise_if_refused",
    "results",
    "timed_run",
    "wrong_form",
    "wrong_size",
]

READY: Final = "m-ready"
MARK: Final = "m-"
"""The prefix of every line of the protocol; any other line is log text."""
ERROR_MARK: Final = "e-["

_NUMBER = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,9})?")
_BYTES_IN_A_LINE = 8
_MOST_RESULTS = 4096
_WRAP = 1 << 32  # the reference firmware's microseconds are an unsigned long of 32 bits

# Two messages of the reference firmware that report an error without the error's prefix.
_INPUT_SIZE = re.compile(r"Input db has ([0-9]{1,9}) elemented?, expected ([0-9]{1,9})")
_TOO_LARGE = re.compile(r"Supplied buffer size ([0-9]{1,12}) exceeds maximum of ([0-9]{1,12})")


class MlperfTinyRefused(ProductError):
    """The firmware answered with an error line (``e-[...]``).

    Attributes:
        text: the text in the brackets.
    """

    def __init__(self, command: str, text: str, *, where: str = "") -> None:
        super().__init__(
            f"the firmware refused {command!r}",
            kind="refused",
            expected="an answer",
            seen=f"e-[{text}]",
            where=where or None,
            hint="look the message up in the firmware's sources (MLPerf Tiny: internally_implemented.cpp)",
        )
        self.text = text


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedRun:
    """The answer to one ``infer N W``.

    Attributes:
        iterations: inferences between the two timestamps (N).
        warmups: inferences before the first one (W).
        start_us, end_us: the device's microseconds before and after; None if the firmware prints no time (energy mode,
            whose timestamps are edges on a pin).
        results: the printed numbers, at most three decimals each.
        texts: the same, as printed.
        host_seconds: from the command's first byte to the ready message.
    """

    iterations: int
    warmups: int
    start_us: int | None
    end_us: int | None
    results: tuple[float, ...]
    texts: tuple[str, ...]
    host_seconds: float = 0.0

    @property
    def elapsed_us(self) -> int:
        """Microseconds of all iterations together, on the device's clock; a counter of 32 bits may have wrapped once.

        Raises:
            ProductError: ``laps-missing``; ``laps-backwards``: the second timestamp is before the first one.
        """
        if self.start_us is None or self.end_us is None:
            raise ProductError(
                "the firmware printed no timestamps around its inferences",
                kind="laps-missing",
                expected="two lines m-lap-us-T",
                seen="none",
                hint="build the firmware for performance mode (EE_CFG_ENERGY_MODE 0); energy mode measures no time",
            )
        elapsed = self.end_us - self.start_us
        if elapsed >= 0:
            return elapsed
        wrapped = elapsed + _WRAP
        if 0 <= wrapped <= self.host_seconds * 1e6:
            return wrapped
        raise ProductError(
            "the device's timestamps run backwards",
            kind="laps-backwards",
            expected="the second one at or after the first one",
            seen=f"m-lap-us-{self.start_us}, m-lap-us-{self.end_us}",
        )


def raise_if_refused(command: str, lines: Sequence[str], *, where: str = "") -> None:
    """Raise an error if the answer has an error line.

    Raises:
        MlperfTinyRefused: an error line (``e-[...]``).
        ConfigError: ``input-size``: the firmware's model takes another input, or its buffer is smaller.
    """
    for line in lines:
        if line.startswith(ERROR_MARK):
            raise MlperfTinyRefused(command, line.removeprefix(ERROR_MARK).removesuffix("]"), where=where)
        if found := _INPUT_SIZE.fullmatch(line):
            raise wrong_size(f"{found[2]} elements", f"{found[1]} elements", line)
        if found := _TOO_LARGE.fullmatch(line):
            raise wrong_size(f"at most {found[2]} bytes", f"{found[1]} bytes", line)


def wrong_size(expected: str, given: str, line: str) -> ConfigError:
    """The error for an input of another size than the firmware takes."""
    return ConfigError(
        "the input does not have the size that the firmware takes",
        kind="input-size",
        expected=expected,
        seen=f"{given}; the firmware says: {line}",
        hint="check that the build's model is the one in this firmware, "
        "and that its data set's `holds` is what the firmware converts",
    )


def bracketed(lines: Sequence[str], prefix: str, command: str, *, where: str = "") -> str:
    """The text in the brackets of the one line that begins with `prefix`.

    Raises:
        ProductError: ``answer-form``: no such line, or several.
    """
    found = [line for line in lines if line.startswith(prefix)]
    if len(found) == 1 and found[0].startswith(f"{prefix}[") and found[0].endswith("]"):
        return found[0][len(prefix) + 1 : -1]
    raise wrong_form(command, f"one line {prefix}[...]", lines, where)


def printed_bytes(lines: Sequence[str], size: int, *, where: str = "") -> bytes:
    """What ``db print`` shows of the input buffer: eight bytes in a line, ``m-buffer-00-01-...``.

    Raises:
        ProductError: ``answer-form``: a line of another form; ``input-truncated``: another number of bytes.
    """
    made = bytearray()
    for number, line in enumerate(lines):
        words = line.removeprefix("m-buffer-").split("-") if line.startswith("m-buffer-") else []
        if not 1 <= len(words) <= _BYTES_IN_A_LINE or not all(
            len(word) == 2 and all(c in "0123456789abcdefABCDEF" for c in word) for word in words
        ):
            raise wrong_form("db print", "lines m-buffer-HH-HH-..., at most eight bytes each", lines[number:], where)
        if number + 1 < len(lines) and len(words) < _BYTES_IN_A_LINE:
            raise wrong_form("db print", "eight bytes in each line but the last one", lines[number:], where)
        made += bytes(int(word, 16) for word in words)
    if len(made) != size:
        raise ProductError(
            "the firmware holds an input of another length than was loaded",
            kind="input-truncated",
            expected=f"{size} bytes",
            seen=f"{len(made)} bytes",
            where=where or None,
            hint="bytes or lines were lost on the UART, or the firmware's buffer is smaller",
        )
    return bytes(made)


def results(text: str, *, where: str = "") -> tuple[str, ...]:
    """The numbers of ``m-results-[...]``, as printed.

    A comma after the last number is allowed: the reference submission for visual wake words prints one.

    Raises:
        ProductError: ``results-form``: no number, or something else than decimal numbers (NaN and infinity are
            refused).
    """
    words = [word.strip() for word in text.split(",")]
    if len(words) > 1 and not words[-1]:
        del words[-1]
    wrong = [word for word in words if not _NUMBER.fullmatch(word)]
    if wrong or len(words) > _MOST_RESULTS:
        raise ProductError(
            "the firmware's results are not a list of decimal numbers",
            kind="results-form",
            expected=f"m-results-[0.123,...], 1 to {_MOST_RESULTS} finite numbers",
            seen=f"{wrong[0] or 'nothing'!r} in m-results-[{text[:200]}]" if wrong else f"{len(words)} numbers",
            where=where or None,
        )
    return tuple(words)


def timed_run(lines: Sequence[str], iterations: int, warmups: int, host_seconds: float, *, where: str = "") -> TimedRun:
    """Parse the answer to ``infer N W``: each line must come once, in order, with the numbers of the request.

    Raises:
        ProductError: ``answer-form``: a line that is missing, repeated, misplaced, or says another number;
            ``results-form``: see `results`.
    """
    head = [f"m-warmup-start-{warmups}", "m-warmup-done", f"m-infer-start-{iterations}"]
    laps = [line for line in lines if line.startswith("m-lap-us-")]
    count = len(laps)
    shape = [*head, *(["m-lap-us-T"] * 2 if count else []), "m-infer-done", "m-results-[...]"]
    good = count in (0, 2) and len(lines) == len(shape)
    for wanted, line in zip(shape, lines, strict=False):
        if wanted == "m-lap-us-T":
            good &= re.fullmatch(r"m-lap-us-[0-9]{1,20}", line) is not None
        elif wanted == "m-results-[...]":
            good &= line.startswith("m-results-[") and line.endswith("]")
        else:
            good &= line == wanted
    if not good:
        raise wrong_form(f"infer {iterations} {warmups}", ", ".join(shape), lines, where)
    texts = results(lines[-1].removeprefix("m-results-[").removesuffix("]"), where=where)
    start, end = (int(lap.removeprefix("m-lap-us-")) for lap in laps) if count else (None, None)
    return TimedRun(
        iterations=iterations,
        warmups=warmups,
        start_us=start,
        end_us=end,
        results=tuple(float(text) for text in texts),
        texts=texts,
        host_seconds=host_seconds,
    )


def of_the_line(
    message: str, *, kind: str, lossless: bool, expected: str, seen: str, where: str, hint: str
) -> HarnessError:
    """The error for lost or changed bytes: infrastructure on a real UART, product on a UART that loses none."""
    if lossless:
        return ProductError(message, kind=kind, expected=expected, seen=seen, where=where, hint=hint)
    return InfrastructureError(message, kind=kind, expected=expected, seen=seen, where=where, hint=hint)


def wrong_form(command: str, expected: str, lines: Sequence[str], where: str) -> ProductError:
    """The error ``answer-form`` for an answer whose lines are not those of the protocol."""
    return ProductError(
        f"the firmware's answer to {command!r} has another form",
        kind="answer-form",
        expected=expected,
        seen=", ".join(lines[:12]) or "nothing but the ready message",
        where=where or None,
        hint="lines are lost or repeated on a bad UART as well: look at the console's transcript",
    )
