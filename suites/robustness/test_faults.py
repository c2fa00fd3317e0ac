"""Every fault of the link, many times and at every length: dropped, counted, and the device still serves."""

from __future__ import annotations

import binascii
import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import pytest
from tfm_harness import Check, Checks, Device, InfrastructureError, NotCovered, ProductError
from tfm_harness.protocol.smp import (
    GROUP_INFERENCE,
    GROUP_OS,
    HEADER,
    MAX_PACKET,
    RAW_SEQUENCE,
    Command,
    DeviceStats,
    Op,
    Packet,
    Request,
    SmpDriver,
    decode_answer,
    encode_frame,
    field,
)
from tfm_harness.verify import cbor

pytestmark = pytest.mark.needs("stats")

OVERHEAD = 12
"""Bytes of an echo beside its text, at most: header and CBOR heads."""
EINVAL, ENOTSUP, TOO_NEW, UNKNOWN = 3, 8, 13, 1
HOLD_SECONDS = 30
"""Most time for a receive buffer to fill: 16 KiB take 1.5 s at 115200 baud, and a busy host slows an emulator."""

SERVES = Check(
    id="robustness.serves-after-faults",
    title="after many faults of one kind the device serves as before, and nothing was lost of what is right",
    requirement="PSA Security Model 1.1 s.4.9 (availability)",
)
COUNTED = Check(
    id="robustness.faults-counted",
    title="each damaged frame is dropped without an answer, and counted under its own name",
    requirement="docs/protocol.md, transport, stats",
)
CRC = Check(
    id="robustness.crc-every-length",
    title="a wrong CRC is seen in messages of every length",
    requirement="docs/protocol.md, transport (CRC-16/XMODEM)",
)
LENGTH = Check(
    id="robustness.every-length-taken",
    title="messages of every length up to the largest are answered, and longer ones dropped",
    requirement="docs/protocol.md, transport (4096 bytes either way)",
)
OVERRUN = Check(
    id="robustness.receives-after-overrun",
    title="after more was sent than the device can hold, it receives again",
    requirement="PSA Security Model 1.1 s.4.9 (availability)",
)
VERSIONS = Check(
    id="robustness.version-field",
    title="each SMP version is answered in the form of that version, and a newer one refused",
    requirement="MCUmgr SMP (version field); docs/protocol.md, transport",
)
TRAILING = Check(
    id="robustness.trailing-bytes-refused",
    title="bytes behind a request's map, and a length that is not the message's, are not taken",
    requirement="docs/protocol.md, transport",
)


def packet(payload: bytes, *, op: int = Op.WRITE, version: int = 1, group: int = GROUP_OS, command: int = 0) -> bytes:
    """A message with any version field; no other request can take its answer."""
    return HEADER.pack(op | version << 3, 0, len(payload), group, RAW_SEQUENCE, command) + payload


def echo(size: int) -> bytes:
    """An echo request whose message has about `size` bytes."""
    return packet(cbor.encode({"d": "e" * max(0, size - OVERHEAD)}))


def with_crc(message: bytes, crc: int) -> bytes:
    """A frame whose CRC is `crc`, right or wrong."""
    good = encode_frame(message)
    right = binascii.crc_hqx(message, 0)
    if crc == right:
        return good
    lines = good.split(b"\n")[:-1]
    body = b"".join(binascii.a2b_base64(line[2:]) for line in lines)[:-2] + crc.to_bytes(2, "big")
    return b"".join(
        (b"\x06\x09" if at == 0 else b"\x04\x14") + binascii.b2a_base64(body[at : at + 93])
        for at in range(0, len(body), 93)
    )


LINE = 127
"""Bytes of a full line, its end included."""
GOOD = encode_frame(echo(16))
CHANGED = packet(cbor.encode({"d": "e"}))
ORPHAN = "continuation without a beginning"
FAULTS: dict[str, tuple[bytes, str]] = {
    # what is sent, and the counter of `stats` under which it must appear
    "wrong CRC": (with_crc(CHANGED, binascii.crc_hqx(CHANGED, 0) ^ 1), "bad_crc"),
    "CRC of zero": (with_crc(CHANGED, 0), "bad_crc"),
    "no base64": (GOOD[:8] + b"!" + GOOD[9:], "bad_frame"),
    "cut short": (GOOD[:10] + b"\n", "bad_frame"),
    "padding in the middle": (GOOD[:6] + b"=" + GOOD[7:], "bad_frame"),
    ORPHAN: (b"\x04\x14" + GOOD[2:], "bad_frame"),
    "announced too long": (b"\x06\x09/////w==\n", "too_big"),
    "announced one byte too long": (
        b"\x06\x09" + binascii.b2a_base64((MAX_PACKET + 3).to_bytes(2, "big") + bytes(4)),
        "too_big",
    ),
    "announced too short": (b"\x06\x09" + binascii.b2a_base64(b"\0\2\0\0"), "bad_frame"),
    "longer than announced": (b"\x06\x09" + binascii.b2a_base64(b"\0\4" + bytes(9)), "bad_frame"),
    "a line too long": (b"\x06\x09" + b"A" * 130 + b"\n", "bad_frame"),
    "no request": (encode_frame(packet(b"\xa0", op=Op.READ_RSP)), "bad_frame"),
    "an operation that there is not": (encode_frame(packet(b"\xa0", op=7)), "bad_frame"),
    **{
        f"operation {op}, which is none": (encode_frame(packet(b"\xa0", op=op, command=6)), "bad_frame")
        for op in (3, 4, 5, 6)
    },
    "cut short by the next": (encode_frame(echo(200))[:LINE], "bad_frame"),
    "header cut": (encode_frame(packet(b"")[:7]), "bad_frame"),
    "another length in the header": (encode_frame(packet(b"\xa0") + b"\0"), "bad_frame"),
}


_PORTION = 60
"""Faults in a row: all of the largest number at once are 130 kB, and a busy host's emulator may need longer for them
than the device has for an answer."""


def counters(before: DeviceStats, after: DeviceStats) -> dict[str, int]:
    """How much each counter of damaged frames has grown."""
    return {
        name: getattr(after, name) - getattr(before, name) for name in ("bad_crc", "bad_frame", "too_big", "overruns")
    }


@contextlib.contextmanager
def serving(checks: Checks, subject: str) -> Iterator[None]:
    """A device that no longer answers in this block does not serve."""
    try:
        yield
    except (ProductError, InfrastructureError) as error:
        checks(SERVES, False, expected="answers as before", seen=error.message, subject=subject)
        raise


def serves(test_commands: SmpDriver, checks: Checks, subject: str, *, thorough: bool) -> None:
    """Short and longest requests are answered, in bursts."""
    with serving(checks, subject):
        for text in ("short", "x" * (MAX_PACKET - 8 - 32 if thorough else 300)):
            checks.equal(SERVES, test_commands.echo(text) == text, True, subject=f"{subject}: {len(text)} bytes")
        requests = [
            Request(op=Op.WRITE, group=GROUP_OS, command=0, payload=cbor.encode({"d": f"{n}"}), name="echo")
            for n in range(32)
        ]
        answered = sum(
            answer is not None for answer in test_commands.link.burst(requests, timeout=test_commands.timeout)
        )
        checks.equal(SERVES, answered, 32, subject=f"{subject}: a burst of 32")


@pytest.mark.parametrize("times", [60, pytest.param(1000, marks=pytest.mark.thorough(times=60))])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_many_times(device: Device, checks: Checks, fault: str, times: int) -> None:
    """If the device lost a buffer with each fault, it would stop after a few of them."""
    test_commands = device.test_commands
    frame, counter = FAULTS[fault]
    before, stale = test_commands.device_stats(), test_commands.stats.stale
    retries = test_commands.stats.retries
    portions = [min(_PORTION, times - sent) for sent in range(0, times, _PORTION)]
    with serving(checks, f"after {times} times {fault}"), test_commands.link.forgiving():
        for count in portions:
            test_commands.link.send_raw(frame * count)
            test_commands.parameters()
    answered = test_commands.stats.stale - stale + len(test_commands.link.drain(quiet=0.01))
    after = test_commands.device_stats()
    grown = counters(before, after)
    if test_commands.stats.retries == retries:  # else a real line lost an answer, and it was sent again
        wanted = len(portions) + 1  # the first look at the counters was answered, too
        checks.equal(COUNTED, after.sent - before.sent, wanted, subject=f"{fault}: answers counted as sent")
    # Continuations behind one that was dropped belong to the same message.
    expected = len(portions) if fault == ORPHAN else times
    checks.equal(COUNTED, grown[counter], expected, subject=f"{fault}: counted as {counter.replace('_', ' ')}")
    checks.equal(COUNTED, answered, 0, subject=f"{fault}: answers")
    looked_at(test_commands, checks, after, f"{times} times {fault}")
    serves(test_commands, checks, f"after {times} times {fault}", thorough=times > 100)


def looked_at(test_commands: SmpDriver, checks: Checks, before: DeviceStats, subject: str) -> None:
    """Reading the counters changes nothing for the next reader."""
    retries = test_commands.stats.retries
    after = test_commands.device_stats()
    if test_commands.stats.retries == retries:
        wanted = dataclasses.replace(before, received=before.received + 1, sent=before.sent + 1)
        checks.equal(COUNTED, after, wanted, subject=f"{subject}: the next look at the counters")


@pytest.mark.parametrize("times", [60, pytest.param(1000, marks=pytest.mark.thorough(times=60))])
def test_refused_requests_many_times(device: Device, checks: Checks, times: int) -> None:
    """A refusal gives back what the request took: malformed requests, unknown ones, and those a service refuses."""
    test_commands = device.test_commands
    refused = (
        ("malformed", GROUP_OS, 0, b"\xa1\x61d\x01", Op.WRITE),
        ("unknown", 65, 0, b"\xa0", Op.WRITE),
        ("refused by a service", GROUP_INFERENCE, Command.ATTEST, cbor.encode({"ch": bytes(5)}), Op.WRITE),
        ("a nonce that is too short", GROUP_INFERENCE, Command.INFER, cbor.encode({"nonce": b"", "src": 1}), Op.WRITE),
    )
    for words, group, command, payload, op in refused:
        missing, before = 0, test_commands.device_stats()
        for at in range(0, times, 50):
            count = min(50, times - at)
            requests = [Request(op=op, group=group, command=command, payload=payload, name=words)] * count
            missing += sum(
                answer is None for answer in test_commands.link.burst(requests, timeout=test_commands.timeout)
            )
        after = test_commands.device_stats()
        grown = counters(before, after) | {"bad_cbor": after.bad_cbor - before.bad_cbor}
        checks.equal(SERVES, missing, 0, subject=f"{times} times {words}: requests without an answer")
        if not missing:  # a frame that a line damaged is counted as such
            wanted = dict.fromkeys(grown, 0) | {"bad_cbor": times if words == "malformed" else 0}
            checks.equal(COUNTED, grown, wanted, subject=f"{times} times {words}: counted as faults")
            looked_at(test_commands, checks, after, f"{times} times {words}")
        serves(test_commands, checks, f"after {times} times {words}", thorough=times > 100)


def lengths(*, every: bool) -> Iterator[int]:
    """Message lengths: around each line of base64, powers of two and the largest."""
    corners = {20, 23, *(93 * n + step for n in (1, 2) for step in (-5, -4, -3, -2, -1, 0, 1))}
    corners |= {(1 << bit) + step for bit in (5, 6, 7, 8, 9) for step in (-2, -1, 0, 1)} | {300, 1000, MAX_PACKET}
    if every:
        corners |= set(range(20, 400, 5)) | set(range(400, MAX_PACKET, 401))
        corners |= {1022, 1023, 1024, 1025, 2047, 2048, 2049, MAX_PACKET - 2, MAX_PACKET - 1}
    yield from sorted(size for size in corners if 20 <= size <= MAX_PACKET)


def exact(size: int) -> bytes:
    """An echo message of exactly `size` bytes, where CBOR's heads allow it."""
    for text in range(max(0, size - 16), size):
        message = packet(cbor.encode({"d": "e" * text}))
        if len(message) >= size:
            return message
    raise AssertionError("no text is that long")


@pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.thorough(every=False))], ids=["corners", "many"]
)
def test_the_crc_is_checked_at_every_length(device: Device, checks: Checks, every: bool) -> None:
    """The same message right, with a bit changed in its text, and with a bit changed in its CRC."""
    test_commands = device.test_commands
    for size in lengths(every=every):
        message = exact(size)
        if len(message) > MAX_PACKET:
            continue
        crc = binascii.crc_hqx(message, 0)
        changed = message[:-1] + bytes([message[-1] ^ 1])
        wrong = [with_crc(changed, crc), with_crc(message, crc ^ 0x0100), with_crc(message, crc ^ 0x0001)]
        wrong = wrong[: 3 if size < 400 else 1]
        before, stale = test_commands.device_stats(), test_commands.stats.stale
        test_commands.link.send_raw(b"".join([*wrong, with_crc(message, crc)]))
        with test_commands.link.forgiving():
            test_commands.parameters()
        answers = test_commands.stats.stale - stale + len(test_commands.link.drain(quiet=0))
        after = test_commands.device_stats()
        subject = f"message of {len(message)} bytes"
        # Received: the right message, the question behind it, and this second question about statistics.
        checks.equal(LENGTH, after.received - before.received, 3, subject=subject)
        checks.equal(CRC, after.bad_crc - before.bad_crc, len(wrong), subject=subject)
        checks.equal(CRC, answers, 1, subject=f"{subject}: answers to the right one and those with a wrong CRC")


def test_a_message_one_byte_too_long_is_dropped(device: Device, checks: Checks) -> None:
    test_commands = device.test_commands
    for more in (1, 2, 100, 60000 - MAX_PACKET):
        before = test_commands.device_stats()
        body = (MAX_PACKET + more + 2).to_bytes(2, "big") + bytes(min(600, MAX_PACKET))
        test_commands.link.send_raw(
            b"".join(
                (b"\x06\x09" if at == 0 else b"\x04\x14") + binascii.b2a_base64(body[at : at + 93])
                for at in range(0, len(body), 93)
            )
        )
        test_commands.echo("behind it")
        grown = counters(before, test_commands.device_stats())
        checks.equal(LENGTH, grown["too_big"], 1, subject=f"announced {MAX_PACKET + more} bytes")


@pytest.mark.needs("hold")
@pytest.mark.parametrize("rounds", [1, pytest.param(3, marks=pytest.mark.thorough(rounds=1))])
def test_the_device_receives_again_after_it_was_full(device: Device, checks: Checks, rounds: int) -> None:
    """It takes nothing out of its receive buffer until that is full; then the longest messages, one after the other."""
    test_commands = device.test_commands
    text = "y" * (MAX_PACKET - 8 - 32)
    longest = Request(op=Op.WRITE, group=GROUP_OS, command=0, payload=cbor.encode({"d": text}), name="echo")
    hertz = device.describe().clock_hz
    if not hertz:
        raise NotCovered("the device does not say how fast its counter is", what="hz")
    room = buffer_room(test_commands)
    # More than the buffer holds by one of the longest messages, at least.
    messages = room // len(encode_frame(packet(longest.payload))) + 2
    for number in range(rounds):
        before = test_commands.device_stats()
        with overrun(checks, f"round {number}"):
            late = test_commands.stats.late
            answers = test_commands.link.burst(
                [hold_for(HOLD_SECONDS, hertz)] + [longest] * messages, timeout=HOLD_SECONDS + test_commands.timeout
            )
            overruns = test_commands.device_stats().overruns - before.overruns
            # Answers come in order: those that were late for the burst are there when this one is.
            came = sum(answer is not None for answer in answers) + test_commands.stats.late - late
            checks(
                OVERRUN,
                came == len(answers) or overruns > 0,
                expected=f"{len(answers)} answers, or bytes counted as overrun by the UART",
                seen=f"{came} answers, {overruns} overruns",
                subject=f"round {number}",
            )
            for _ in range(3):
                checks.equal(
                    OVERRUN, test_commands.echo(text) == text, True, subject=f"round {number}: longest one afterwards"
                )
        waited = filled(answers[0], room)
        if waited < room:
            # Bytes that only come too slowly are more, or fewer, when there is another time for them.
            again = [hold_for(HOLD_SECONDS // 3, hertz)] + [longest] * messages
            least = filled(test_commands.link.burst(again, timeout=HOLD_SECONDS + test_commands.timeout)[0], room)
            if checks(
                OVERRUN, waited != least, expected=f"the {room} bytes of which it tells",
                seen=f"{waited} bytes, however long it waits", subject=f"round {number}: what the buffer holds",
            ):  # fmt: skip
                raise_slow(room, waited, messages)
            return


def hold_for(seconds: int, hertz: int) -> Request:
    """Nothing is taken out of the receive buffer until it is full, or the time is over."""
    return Request(
        op=Op.WRITE,
        group=GROUP_INFERENCE,
        command=Command.HOLD,
        payload=cbor.encode({"t": min(seconds * hertz, (1 << 32) - 1)}),
        name="hold",
    )


def filled(answer: bytes | None, room: int) -> int:
    """How many bytes waited when a hold ended; all there is room for where no answer came, as that is judged."""
    return room if answer is None else field(decode_answer(answer, "hold"), "n", int)


def raise_slow(room: int, waited: int, messages: int) -> None:
    """The host did not bring the bytes.

    Raises:
        InfrastructureError: ``slow-host``, always.
    """
    raise InfrastructureError(
        f"the device's receive buffer did not fill within {HOLD_SECONDS} s, so nothing is shown",
        kind="slow-host",
        expected=f"{room} bytes, of {messages} long messages sent at once",
        seen=f"{waited} bytes",
        hint="the host or the line is too slow for this test: look at the load",
    )


def buffer_room(test_commands: SmpDriver) -> int:
    """How many bytes the device's receive buffer holds: a hold of one tick tells."""
    return field(test_commands.ask(Command.HOLD, {"t": 1})[0], "room", int)


@contextlib.contextmanager
def overrun(checks: Checks, subject: str) -> Iterator[None]:
    """A device that no longer answers in this block has not begun to receive again."""
    try:
        yield
    except (ProductError, InfrastructureError) as error:
        checks(OVERRUN, False, expected="it receives again", seen=error.message, subject=subject)
        raise


def answer_to(test_commands: SmpDriver, message: bytes) -> Packet | None:
    """The one answer to a raw message."""
    behind = Request(op=Op.WRITE, group=GROUP_OS, command=0, payload=cbor.encode({"d": "behind it"}), name="echo")
    found = test_commands.link.answers_to(encode_frame(message), behind, timeout=test_commands.timeout)
    return found[0] if len(found) == 1 and isinstance(found[0], Packet) else None


REQUESTS: dict[str, tuple[bytes, Callable[[object], bool], Callable[[object], bool]]] = {
    # request with version field 0, what version 1 must answer, what version 2 must answer
    "a request that works": (
        packet(cbor.encode({"d": "v"}), version=0),
        lambda body: body == {"r": "v"},
        lambda body: body == {"r": "v"},
    ),
    "an unknown command": (
        packet(b"\xa0", version=0, command=99),
        lambda body: body == {"rc": ENOTSUP},
        lambda body: body == {"rc": ENOTSUP},
    ),
    "a malformed request": (
        packet(b"\x80", version=0),
        lambda body: body == {"rc": EINVAL},
        lambda body: body == {"rc": EINVAL},
    ),
    "a service's refusal": (
        packet(cbor.encode({"ch": bytes(5)}), version=0, group=GROUP_INFERENCE, command=Command.ATTEST),
        lambda body: body == {"rc": UNKNOWN},
        lambda body: body == {"err": {"group": GROUP_INFERENCE, "rc": 135}},
    ),
}


@pytest.mark.parametrize("version", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", REQUESTS)
def test_every_version_is_answered_in_its_own_form(device: Device, checks: Checks, kind: str, version: int) -> None:
    request, old, new = REQUESTS[kind]
    message = bytes([request[0] | version << 3]) + request[1:]
    answer = answer_to(device.test_commands, message)
    subject = f"version field {version}, {kind}"
    if not checks(VERSIONS, answer is not None, expected="one answer", seen="none, or several", subject=subject):
        return
    assert answer is not None
    body = cbor.decode(answer.data[HEADER.size :]).value
    if version > 1:
        held, expected = body == {"rc": TOO_NEW}, f"rc {TOO_NEW} (unsupported: too new)"
    else:
        held, expected = (new if version else old)(body), f"the form of version {version + 1}"
    checks(VERSIONS, held, expected=expected, seen=body, subject=subject)
    checks.equal(VERSIONS, answer.data[0] >> 3 & 3, min(version, 1), subject=f"{subject}: version of the answer")
    checks.equal(VERSIONS, answer.data[6], RAW_SEQUENCE, subject=f"{subject}: sequence number")


@pytest.mark.parametrize("more", [b"\0", b"\xa0", b"\xf6", b"\xff", bytes(64)], ids=lambda more: more[:4].hex())
def test_bytes_behind_a_request_are_refused(device: Device, checks: Checks, more: bytes) -> None:
    payload = cbor.encode({"d": "t"}) + more
    answer = answer_to(device.test_commands, packet(payload))
    body = cbor.decode(answer.data[HEADER.size :]).value if answer is not None else None
    checks.equal(TRAILING, body, {"rc": EINVAL}, subject=f"{len(more)} bytes behind the map")
    for step in (-1, 1, 0x100, 0x1000, 0x8000):
        before = device.test_commands.device_stats()
        message = packet(cbor.encode({"d": "t"}))
        wrong = message[:2] + (len(message) - HEADER.size + step).to_bytes(2, "big") + message[4:]
        came = answer_to(device.test_commands, wrong)
        after = device.test_commands.device_stats()
        checks.equal(TRAILING, came is None, True, subject=f"length in the header wrong by {step}: no answer")
        checks.equal(TRAILING, after.bad_frame - before.bad_frame, 1, subject=f"wrong by {step}: counted")
