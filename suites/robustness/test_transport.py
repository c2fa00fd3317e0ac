"""The transport under load and under attack: it loses nothing, believes nothing damaged, and never gets stuck."""

from __future__ import annotations

import random

import pytest
from tfm_harness import Check, Checks, Device, InfrastructureError, Refused, SmpDriver
from tfm_harness.protocol.smp import (
    GROUP_INFERENCE,
    GROUP_OS,
    MAX_PACKET,
    RAW_SEQUENCE,
    Command,
    Header,
    Op,
    Request,
    decode_answer,
    encode_frame,
    field,
)
from tfm_harness.verify import cbor

pytestmark = pytest.mark.needs("stats")

EINVAL, ENOTSUP = 3, 8
LINES = 20
"""Log lines at a time."""
LONG_LINES = ((2, 255), (2, 256), (2, 1000), (300, 8))
"""Their number and length: to the longest, and more than a byte counts."""

ALL_ANSWERED = Check(
    id="robustness.answers-under-load",
    title="every request that the firmware received under load is answered",
    requirement="MCUmgr SMP (each request has one response)",
)
LOGS_BETWEEN = Check(
    id="robustness.logs-between-frames",
    title="log lines stand between frames, never inside: each whole, once and in its order",
    requirement="docs/protocol.md, transport",
)
STILL_ALIVE = Check(
    id="robustness.alive-after-garbage",
    title="after damaged input the firmware still answers",
    requirement="PSA Security Model 1.1 s.4.9 (availability)",
)
SILENT_ON_GARBAGE = Check(
    id="robustness.damaged-frames-dropped",
    title="a frame whose CRC, base64 or length is wrong is dropped without an answer, and counted",
    requirement="docs/protocol.md, transport",
)
MALFORMED = Check(
    id="robustness.malformed-refused",
    title="malformed CBOR and wrong types are refused with EINVAL",
    requirement="docs/protocol.md, transport",
)
UNKNOWN = Check(
    id="robustness.unknown-refused",
    title="unknown groups and commands are refused with ENOTSUP",
    requirement="docs/protocol.md, transport",
)


def echo(text: str) -> Request:
    """An OS group echo."""
    return Request(op=Op.WRITE, group=GROUP_OS, command=0, payload=cbor.encode({"d": text}), safe=True, name="echo")


def test_every_request_under_load_is_answered(device: Device, checks: Checks) -> None:
    """Bursts without waiting, of short and long requests; the product is not responsible for what the line loses."""
    test_commands = device.test_commands
    rounds, size = 6, 32
    before = test_commands.device_stats()
    missing = 0
    for number in range(rounds):
        requests = [echo(f"{number}.{n}" * (1 + n % 9)) for n in range(size)]
        answers = test_commands.link.burst(requests, timeout=test_commands.timeout)
        for request, answer in zip(requests, answers, strict=True):
            if answer is None:
                missing += 1
            else:
                assert field(decode_answer(answer, "echo"), "r", str) == cbor.decode(request.payload).value["d"]  # type: ignore[call-overload,index] # made above
    after = test_commands.device_stats()
    lost = rounds * size - (after.received - before.received) + 1  # one more: the second question about statistics
    if missing and lost > 0:
        raise InfrastructureError(
            f"{lost} of {rounds * size} requests never reached the firmware intact",
            kind="line-noise",
            seen=f"CRC {after.bad_crc - before.bad_crc}, overruns {after.overruns - before.overruns}",
            hint="the line or the UART loses bytes: lower the speed or use flow control",
        )
    checks(ALL_ANSWERED, missing == 0, expected=f"{rounds * size} answers", seen=f"{rounds * size - missing}")


@pytest.mark.needs("log")
def test_log_lines_do_not_disturb_frames(device: Device, checks: Checks) -> None:
    test_commands = device.test_commands
    lines = test_commands.stats.log_lines
    for number in range(8):
        test_commands.link.log.clear()
        test_commands.print_log(LINES, 40 + number)
        test_commands.echo("between" * 20)
        printed = [(line[:8], len(line)) for line in map(bytes.strip, test_commands.link.log) if line[:1] != b"["]
        wanted = [(b"%08x" % line, 40 + number) for line in range(LINES)]
        checks.equal(LOGS_BETWEEN, printed, wanted, subject=f"lines of {40 + number} characters")
    for count, length in LONG_LINES:
        test_commands.link.log.clear()
        test_commands.print_log(count, length)
        test_commands.echo("behind them")
        printed = [(line[:8], len(line)) for line in map(bytes.strip, test_commands.link.log) if line[:1] != b"["]
        wanted = [(b"%08x" % line, length) for line in range(count)]
        checks.equal(LOGS_BETWEEN, printed, wanted, subject=f"{count} lines of {length} characters")
    test_commands.echo("last")
    bad = sum(test_commands.stats.bad.values())
    seen = test_commands.stats.log_lines - lines
    checks(
        LOGS_BETWEEN,
        bad == 0 and seen >= 8 * LINES,
        expected=f"{8 * LINES} lines, no damaged frame",
        seen=f"{seen}, {bad}",
    )


def damaged(kind: str) -> bytes:
    """A frame that must be dropped."""
    good = encode_frame(Header.pack(Op.WRITE, GROUP_OS, 0, RAW_SEQUENCE, 4) + cbor.encode({"d": ""}))
    match kind:
        case "crc":
            return good[:12] + (b"A" if good[12:13] != b"A" else b"B") + good[13:]
        case "base64":
            return good[:8] + b"!" + good[9:]
        case "short":
            return good[:10] + b"\n"
        case "oversized":
            return b"\x06\x09/////w==\n"
        case "orphan":
            return b"\x04\x14" + good[2:]
        case _:
            return b"\x06\x09" + b"A" * 500 + b"\n"


@pytest.mark.parametrize("kind", ["crc", "base64", "short", "oversized", "orphan", "long-line"])
def test_damaged_frames_are_dropped_and_counted(device: Device, checks: Checks, kind: str) -> None:
    test_commands = device.test_commands
    before = test_commands.device_stats()
    answered = test_commands.link.answers_to(damaged(kind), echo("behind it"), timeout=test_commands.timeout)
    after = test_commands.device_stats()
    counted = sum(
        getattr(after, name) - getattr(before, name) for name in ("bad_crc", "bad_frame", "too_big", "overruns")
    )
    checks(
        SILENT_ON_GARBAGE,
        not answered and counted > 0,
        expected="no answer, counted",
        seen=f"{len(answered)} answers, {counted} counted",
        subject=kind,
    )


def test_mutated_messages_leave_the_firmware_alive(device: Device, checks: Checks) -> None:
    """Valid frames around mutated messages: every parser of the firmware is reached."""
    test_commands = device.test_commands
    rng = random.Random(1)  # noqa: S311 - the same mutations every time
    seeds = [
        (Command.INFER, {"nonce": bytes(16), "src": 1, "in": bytes(8)}),
        (Command.SAMPLE, {"mode": "step"}),
        (Command.ATTEST, {"ch": bytes(32)}),
        (Command.PROBE, {"op": 0, "addr": 0x2100_0000, "size": 4}),
        (Command.PUBLIC_KEY, {"key": 1}),
        (Command.MODEL_UPLOAD, {"off": 4096, "data": bytes(64)}),
    ]
    for number in range(150):
        command, arguments = seeds[number % len(seeds)]
        message = bytearray(cbor.encode(arguments))
        for _ in range(rng.randint(1, 4)):
            message[rng.randrange(len(message))] = rng.randrange(256)
        payload = bytes(message[: rng.randint(1, len(message))])
        header = Header.pack(Op.WRITE, GROUP_INFERENCE, command, number & 0xFF, len(payload))
        test_commands.link.send_raw(encode_frame(header + payload))
        if number % 15 == 14:
            test_commands.link.drain(quiet=0.02)
    with test_commands.link.forgiving():  # on a slow line the last answers are still to come, before this one
        checks.equal(STILL_ALIVE, test_commands.echo("alive"), "alive")
    device.describe()


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xa1", b"\xff", b"\xbf\xff", b"\x80", b"\xa1\x61d\x01", b"\xa1\x01\x02", b"\xa2\x61d\x60\x61d\x60"],
    ids=["empty", "cut", "break", "indefinite", "array", "wrong-type", "integer-key", "double-key"],
)
def test_malformed_messages_are_refused(device: Device, checks: Checks, payload: bytes) -> None:
    checks.equal(
        MALFORMED, refusal(device.test_commands, GROUP_OS, 0, payload), EINVAL, subject=payload.hex() or "empty"
    )


@pytest.mark.parametrize(("group", "command"), [(1, 0), (63, 0), (65, 0), (GROUP_INFERENCE, 200), (GROUP_OS, 99)])
def test_unknown_requests_are_refused(device: Device, checks: Checks, group: int, command: int) -> None:
    checks.equal(
        UNKNOWN, refusal(device.test_commands, group, command, cbor.encode({})), ENOTSUP, subject=f"{group}/{command}"
    )


def test_the_largest_message_is_taken(device: Device, checks: Checks) -> None:
    text = "x" * (MAX_PACKET - 8 - 32)
    checks.equal(STILL_ALIVE, device.test_commands.echo(text), text)


def refusal(test_commands: SmpDriver, group: int, command: int, payload: bytes) -> int | None:
    """The SMP error code that a request gets; None when it is accepted."""
    request = Request(op=Op.WRITE, group=group, command=command, payload=payload, name=f"{group}/{command}")
    answer = test_commands.link.request(request, timeout=test_commands.timeout)
    try:
        decode_answer(answer.payload, request.name)
    except Refused as refused:
        return refused.rc
    return None
