"""Parses the replies of Linaro's zephyr_secure_inference. Pure: reply lines in, values out.

Replies carry no return code and no checksum, so every line must match a known form as a whole, and hexdump rows are
checked against their own text column. Anything else is reported as a damaged reply.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tfm_harness.errors import InfrastructureError, ProductError
from tfm_harness.protocol.psa_status import status_name

__all__ = [
    "Inference",
    "ModelEntry",
    "ShellRefused",
    "csr_from_json",
    "csr_from_pem",
    "hexdumps",
    "inferences",
    "is_refused",
    "models",
    "public_keys",
    "raise_if_refused",
    "single_line",
    "table",
]

MAX_MESSAGE = 16_384
"""Longest message a hexdump may carry, in bytes."""

_ROW = re.compile(r"([0-9A-F]{8}): ([0-9a-f ]{49})\|(.*)")
_ERROR = re.compile(r"Error: (?P<text>.*?)(?::? ?\"(?P<value>.*)\")?")
_NOT_FOUND = re.compile(r"(?P<value>.+): command not found")
_COUNT = re.compile(r"(?P<value>\S+): wrong parameter count")
_HELP = re.compile(r"\S+ - .+")
_ENCODED = re.compile(r"(?P<form>CBOR|SIGN1|ENCRYPT0) encoded inference value:")
_MODEL = re.compile(r"Model: Sine of (?P<degrees>-?\d+\.\d+) deg is: (?P<value>-?\d+\.\d+)")
_DEVIATION = re.compile(r"Deviation: \S+")
_KEY_ID = re.compile(r"Key ID: 0x(?P<id>[0-9A-Fa-f]{1,8})")
_PEM_MARK = re.compile(r"-----(BEGIN|END) ([A-Z ]+)-----")


class ShellRefused(ProductError):
    """The firmware refused a command. `status` is the PSA status that it named, None if it named none."""

    def __init__(self, message: str, *, status: int | None, seen: str) -> None:
        super().__init__(message, kind="refused", seen=seen)
        self.status = status


@dataclass(frozen=True, slots=True)
class Inference:
    """One inference of a reply.

    Attributes:
        form: ``CBOR`` or ``SIGN1``.
        message: the CBOR map or COSE_Sign1 message, byte for byte.
        degrees: the input the firmware says it used.
        value: the output as printed (6 decimals); the message is authoritative.
    """

    form: str
    message: bytes
    degrees: float
    value: float


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One row of ``infer model``."""

    label: str
    id: int
    status: str


def raise_if_refused(command: str, lines: Sequence[str]) -> None:
    """Raise an error if the reply reports one.

    Raises:
        ShellRefused: an error text, an unknown command, or help instead of an answer.
    """
    for index, line in enumerate(lines):
        error = _ERROR.fullmatch(line)
        if error is not None:
            value = error["value"] or ""
            # "invalid argument" repeats the typed argument: its value is not a status, even if it is a negative number.
            echoed = error["text"].startswith(("invalid argument", "missing argument"))
            status = int(value) if not echoed and re.fullmatch(r"-\d{1,9}", value) and int(value) < 0 else None
            told = f": {status_name(status)}" if status is not None else f": {value}" if value else ""
            raise ShellRefused(f"{command!r}: {error['text']}{told}", status=status, seen="\n".join(lines[:10]))
        if _NOT_FOUND.fullmatch(line):
            raise ShellRefused(f"the shell knows no command {command!r}", status=None, seen=line)
        if _COUNT.fullmatch(line):
            raise ShellRefused(f"{command!r}: wrong number of parameters", status=None, seen=line)
        if line == "Subcommands:" and index and _HELP.fullmatch(lines[index - 1]):
            raise ShellRefused(
                f"the shell knows no such subcommand: {command!r}", status=None, seen="\n".join(lines[:10])
            )


def is_refused(lines: Sequence[str]) -> bool:
    """Whether a reply reports an error (see `raise_if_refused`)."""
    try:
        raise_if_refused("", lines)
    except ShellRefused:
        return True
    return False


def hexdumps(lines: Sequence[str]) -> list[bytes]:
    """All messages in these lines, in order; every line must be a hexdump row.

    Offset 0 begins a message. Offsets continue without a gap, only a message's last row is short, and each row's text
    column agrees with its numbers.

    Raises:
        InfrastructureError: kind ``reply-damaged``: bytes were lost or changed on the way; ``reply-too-long``: more
            than `MAX_MESSAGE` bytes, which is a limit of the harness.
    """
    messages: list[bytearray] = []
    for line in lines:
        row = _ROW.fullmatch(line)
        if row is None:
            raise _damaged("a hexdump row", line)
        offset, data = int(row[1], 16), _row_bytes(row[2], row[3], line)
        if offset == 0:
            messages.append(bytearray())
        if not messages or len(messages[-1]) != offset:
            expected = f"offset {len(messages[-1]):08X}" if messages else "offset 00000000"
            raise _damaged(expected, line)
        messages[-1] += data
        if len(messages[-1]) > MAX_MESSAGE:
            raise InfrastructureError(
                "a hexdump is longer than the harness's limit",
                kind="reply-too-long",
                expected=f"at most {MAX_MESSAGE} bytes",
                seen=line,
                hint="the limit is the harness's own and says nothing about the firmware",
            )
    return [bytes(message) for message in messages]


def _row_bytes(columns: str, text: str, line: str) -> bytes:
    digits = [columns[3 * i + (i > 7) : 3 * i + (i > 7) + 2] for i in range(16)]
    used = [pair for pair in digits if pair.strip()]
    layout = "".join(f"{pair:2} " + (" " if i == 7 else "") for i, pair in enumerate(digits))
    if layout != columns or digits[: len(used)] != used or not used or any(len(p.strip()) != 2 for p in used):
        raise _damaged("hexdump columns", line)
    data = bytes.fromhex("".join(used))
    shown = "".join((chr(b) if 0x20 <= b < 0x7F else ".") + (" " if i == 7 else "") for i, b in enumerate(data))
    if not text.endswith("|") or text[:-1].rstrip() != shown.rstrip():
        raise _damaged("a text column that agrees with the numbers", line)
    return data


def _damaged(expected: str, seen: str) -> InfrastructureError:
    return InfrastructureError(
        "the reply came damaged",
        kind="reply-damaged",
        expected=expected,
        seen=seen,
        hint="bytes were lost or changed on the UART: check cable, baud rate and whether anything else reads the port",
    )


def inferences(lines: Sequence[str]) -> list[Inference]:
    """The inferences of an ``infer get`` reply, in order.

    Raises:
        InfrastructureError: ``reply-damaged``: a part is missing.
    """
    found: list[Inference] = []
    form, begin = "", 0
    for index, line in enumerate(lines):
        encoded = _ENCODED.fullmatch(line)
        if encoded is not None:
            form, begin = encoded["form"], index + 1
            continue
        model = _MODEL.fullmatch(line)
        if model is None:
            continue
        dumped = hexdumps(lines[begin:index]) if form else []
        if len(dumped) != 1:
            raise _damaged("one hexdump before the value", line)
        found.append(Inference(form, dumped[0], float(model["degrees"]), float(model["value"])))
        form = ""
    if form or not found:
        raise _damaged("'Model: Sine of ... deg is: ...' behind the hexdump", lines[-1] if lines else "nothing")
    return found


def inference_ends(lines: Sequence[str]) -> int:
    """How many inferences of a reply are complete (the deviation and the empty line after it were printed)."""
    return sum(_DEVIATION.fullmatch(a) is not None and not b for a, b in itertools.pairwise(lines))


def table(lines: Sequence[str]) -> list[list[str]]:
    """Rows of a reply's table, without its heading."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.fullmatch(r"\|.*\|", line)]
    return rows[1:]


def models(lines: Sequence[str]) -> list[ModelEntry]:
    """``infer model``. Raises `InfrastructureError` ``reply-damaged``."""
    found = []
    for row in table(lines):
        if len(row) != 3 or not re.fullmatch(r"0x[0-9a-fA-F]{1,8}", row[1]):
            raise _damaged("| label | 0x... | status |", " | ".join(row))
        found.append(ModelEntry(row[0], int(row[1], 16), row[2]))
    return found


def public_keys(lines: Sequence[str]) -> dict[int, bytes]:
    """``keys public``: PEM by key id. Raises `InfrastructureError` ``reply-damaged``."""
    found: dict[int, bytes] = {}
    current: int | None = None
    for index, line in enumerate(lines):
        key = _KEY_ID.fullmatch(line)
        if key is not None:
            current = int(key["id"], 16)
        elif line == "-----BEGIN PUBLIC KEY-----":
            if current is None:
                raise _damaged("'Key ID: 0x...' before a key", line)
            found[current], current = _pem(lines[index:], "PUBLIC KEY"), None
    if current is not None:
        raise _damaged("a PEM block behind 'Key ID:'", f"Key ID: {current:#x}")
    return found


def csr_from_pem(lines: Sequence[str]) -> bytes:
    """``keys csr PEM``: the PKCS#10 request, DER. Raises `InfrastructureError` ``reply-damaged``."""
    for index, line in enumerate(lines):
        if line == "-----BEGIN CERTIFICATE REQUEST-----":
            return _der(_pem(lines[index:], "CERTIFICATE REQUEST"))
    raise _damaged("-----BEGIN CERTIFICATE REQUEST-----", lines[-1] if lines else "nothing")


def csr_from_json(lines: Sequence[str]) -> bytes:
    """``keys csr JSON``: the PKCS#10 request, DER. Raises `InfrastructureError` ``reply-damaged``."""
    for line in lines:
        if line.startswith("{"):
            try:
                pem = json.loads(line)["CSR"]
                return _der(_pem(pem.split("\n"), "CERTIFICATE REQUEST"))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise _damaged('{"CSR": "<PEM>"}', line) from error
    raise _damaged('{"CSR": ...}', lines[-1] if lines else "nothing")


def single_line(lines: Sequence[str], form: str) -> str:
    """The reply's only non-empty line, which must match `form`. Raises `InfrastructureError` ``reply-damaged``."""
    used = [line for line in lines if line]
    if len(used) != 1 or not re.fullmatch(form, used[0]):
        raise _damaged(f"one line of the form {form}", "\n".join(lines[:5]) or "nothing")
    return used[0]


def _pem(lines: Sequence[str], label: str) -> bytes:
    body: list[str] = []
    for line in lines[1:]:
        mark = _PEM_MARK.fullmatch(line)
        if mark is not None:
            if mark.groups() != ("END", label):
                break
            try:
                base64.b64decode("".join(body), validate=True)
            except ValueError:  # not base64, or not ASCII
                break
            return "\n".join((f"-----BEGIN {label}-----", *body, f"-----END {label}-----", "")).encode()
        body.append(line)
    raise _damaged(f"a whole PEM block {label!r}", body[-1] if body else "nothing")


def _der(pem: bytes) -> bytes:
    return base64.b64decode(b"".join(pem.split(b"\n")[1:-2]))
