"""Frames: messages may come in any lines, and answers are whole frames, each the answer to its own request."""

from __future__ import annotations

import binascii
import time

import pytest
from tfm_harness import Check, Checks, Device, ProductError
from tfm_harness.protocol.smp import (
    GROUP_INFERENCE,
    GROUP_OS,
    HEADER,
    RAW_SEQUENCE,
    Command,
    Op,
    Packet,
    SmpDriver,
    decode_answer,
    encode_frame,
    field,
)
from tfm_harness.verify import cbor

pytestmark = pytest.mark.needs("stats")

LEAST = len(HEADER.pack(0, 0, 0, 0, 0, 0)) + len(cbor.encode({"d": ""})) + 4
"""Bytes of a frame without a text: header, map, length and CRC."""
LINE = 127
"""Bytes of a full line, its end included."""
LINES = Check(
    id="robustness.lines-taken",
    title="a frame is taken however it is cut into lines, with text between it and the next, and with CR LF",
    requirement="docs/protocol.md, transport; MCUmgr UART framing",
)
OWN_ANSWER = Check(
    id="robustness.answer-own",
    title="each request gets its own answer, also when its header is the one of an earlier request",
    requirement="MCUmgr SMP (a sequence number matches answers to requests); docs/protocol.md, Transport",
)
HEADER_ECHOED = Check(
    id="robustness.answer-header",
    title="an answer's header has its request's group, command and sequence number, operation, length, and no flags",
    requirement="MCUmgr SMP (header); docs/protocol.md, transport",
)
WHOLE_ANSWERS = Check(
    id="robustness.answer-frames",
    title="answers of every length are right frames, with no line too many, and each is counted as sent",
    requirement="MCUmgr UART framing; docs/protocol.md, transport and stats",
)


def message(text: str, *, sequence: int = 0) -> bytes:
    """An echo request."""
    payload = cbor.encode({"d": text})
    return HEADER.pack(Op.WRITE | 1 << 3, 0, len(payload), GROUP_OS, sequence, 0) + payload


def lines_of(data: bytes, *sizes: int, end: bytes = b"\n") -> bytes:
    """A frame whose lines hold so many bytes each; the last size goes on to the end."""
    body = (len(data) + 2).to_bytes(2, "big") + data + binascii.crc_hqx(data, 0).to_bytes(2, "big")
    found, at, number = [], 0, 0
    while at < len(body):
        size = sizes[min(number, len(sizes) - 1)]
        mark = b"\x06\x09" if number == 0 else b"\x04\x14"
        found.append(mark + binascii.b2a_base64(body[at : at + size], newline=False) + end)
        at += size
        number += 1
    return b"".join(found)


def dirty(padding: int, bit: int) -> bytes:
    """A frame that is right, but for one of the bits of its last letter that belong to no byte."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    data = next(message("x" * size, sequence=9) for size in range(3) if (size + LEAST) % 3 == -padding % 3)
    text, filled, end = lines_of(data, 93).decode().partition("=")
    return (text[:-1] + letters[letters.index(text[-1]) | 1 << bit] + filled + end).encode()


def answers(test_commands: SmpDriver, data: bytes) -> list[bytes]:
    """The answers to raw bytes, and to the question that is asked behind them."""
    test_commands.link.send_raw(data + encode_frame(message("end", sequence=RAW_SEQUENCE)))
    found: list[bytes] = []
    deadline = time.monotonic() + test_commands.timeout
    while not any(one[6] == RAW_SEQUENCE for one in found) and time.monotonic() < deadline:
        found += [item.data for item in test_commands.link.drain(quiet=0.01) if isinstance(item, Packet)]
    return [one for one in found if one[6] != RAW_SEQUENCE]


def test_lines_may_be_cut_anywhere(device: Device, checks: Checks) -> None:
    text = "x" * 150
    data = message(text, sequence=9)
    cases = {
        "lines of 93 bytes": lines_of(data, 93),
        "lines of 3 bytes": lines_of(data, 3),
        "lines of 1 byte": lines_of(data, 1),
        "lines of 2 bytes": lines_of(data, 2),
        "a first line of 1 byte": lines_of(data, 1, 93),
        "a first line of 2 bytes": lines_of(data, 2, 92),
        "lines of 91 bytes": lines_of(data, 91),
        "CR LF": lines_of(data, 90, end=b"\r\n"),
        "CR LF, short lines": lines_of(data, 30, end=b"\r\n"),
        "text before it": b"a line of text\n" + lines_of(data, 93),
        "empty lines before it": b"\n\n\r\n" + lines_of(data, 93),
        "a long line before it": b"y" * 500 + b"\n" + lines_of(data, 93),
        "text between its lines": lines_of(data, 93).replace(b"\n\x04", b"\n[NS] text\n\x04"),
        "a message that was given up before it": lines_of(data, 93)[:LINE] + lines_of(data, 93),
        "text that begins like a first line before it": b"\x06\x08AAAA\n" + lines_of(data, 93),
        "text that begins like a further line between its lines": lines_of(data, 93).replace(
            b"\n\x04", b"\n\x04\x15AAAA\n\x04"
        ),
        "text with a marker behind its beginning": b" \x06\x09AAAA\n" + lines_of(data, 93),
        "a lone marker's byte before it": b"\x06\n\x09\n" + lines_of(data, 93),
    }
    given_up = {"a message that was given up before it"}
    for subject, raw in cases.items():
        before = device.test_commands.device_stats()
        found = answers(device.test_commands, raw)
        bad = device.test_commands.device_stats().bad_frame - before.bad_frame
        checks.equal(LINES, bad, int(subject in given_up), subject=f"{subject}: counted as damaged")
        held = len(found) == 1 and cbor.decode(found[0][HEADER.size :]).value == {"r": text}
        checks(LINES, held, expected="the answer", seen=f"{len(found)} answers, or another one", subject=subject)
    broken = {
        "base64 with bits behind its end": b"\x06\x09" + b"AB==\n",
        "base64 with bits behind its end, two bytes": b"\x06\x09" + b"AAB=\n",
        **{
            f"a whole message with bit {bit} behind the end of its base64, {padding} of padding": dirty(padding, bit)
            for padding, bits in ((1, 2), (2, 4))
            for bit in range(bits)
        },
        "padding of three": b"\x06\x09" + b"A===\n",
        "padding alone": b"\x06\x09" + b"====\n",
        "padding before the end": b"\x06\x09" + b"AA==AAAA\n",
        "no text": b"\x06\x09\n",
        "five characters": b"\x06\x09AAAAA\n",
        "an empty second line": lines_of(data, 93)[:LINE] + b"\x04\x14\n",
        "a space": b"\x06\x09AA A\n",
        "a minus": b"\x06\x09AA-A\n",
        "an underscore": b"\x06\x09AA_A\n",
        "an at sign": b"\x06\x09AA@A\n",
        "a bracket": b"\x06\x09AA[A\n",
        "a backtick": b"\x06\x09AA`A\n",
        "a brace": b"\x06\x09AA{A\n",
        "a colon": b"\x06\x09AA:A\n",
        "a dot": b"\x06\x09AA.A\n",
        "a byte above ASCII": b"\x06\x09AA\xe9A\n",
        "NUL": b"\x06\x09AA\0A\n",
    }
    for subject, raw in broken.items():
        before = device.test_commands.device_stats()
        found = answers(device.test_commands, raw)
        after = device.test_commands.device_stats()
        checks.equal(
            LINES, (len(found), after.bad_frame - before.bad_frame), (0, 1), subject=f"{subject}: answers, counted"
        )


def test_answers_are_whole_frames_and_counted(device: Device, checks: Checks) -> None:
    """Around each full line, the longest and the shortest; what is refused is answered, and counted, too."""
    commands = device.test_commands
    # Twelve bytes and more stand around the text; a line holds 93.
    sizes = sorted({0, 1, *(93 * lines + more for lines in (1, 2, 3, 11) for more in range(-22, 1)), 4000})
    lost, bad = commands.stats.lost, sum(commands.stats.bad.values())
    before = commands.device_stats()
    for size in sizes:
        try:
            commands.echo("x" * size)
        except ProductError as error:
            checks(WHOLE_ANSWERS, False, expected="an answer", seen=error.message, subject=f"{size} bytes of text")
            raise
    refused = [answers(commands, encode_frame(message(text, sequence=5))) for text in ("\x00", "")]
    after = commands.device_stats()
    damaged, lost = sum(commands.stats.bad.values()) - bad, commands.stats.lost - lost
    if not lost:  # what a real line loses is not the device's
        checks.equal(WHOLE_ANSWERS, damaged, 0, subject="lines that belong to no frame")
    # Each of the raw requests has a question behind it; the first look at the counters was answered, too.
    wanted = len(sizes) + 2 * len(refused) + 1
    counted = {"requests received": after.received - before.received, "answers sent": after.sent - before.sent}
    for subject, number in counted.items():
        checks(WHOLE_ANSWERS, wanted <= number <= wanted + lost, expected=wanted, seen=number, subject=subject)


def test_every_answer_is_its_own_requests(device: Device, checks: Checks) -> None:
    """A client that starts again uses old sequence numbers again, and may ask the same question once more."""
    test_commands = device.test_commands
    texts = ("first", "other", "first", "other")
    for sequences, words in (((9,) * 4, "one sequence number"), ((9, 10, 9, 10), "two sequence numbers in turn")):
        frames = [encode_frame(message(text, sequence=n)) for text, n in zip(texts, sequences, strict=True)]
        for found, how in (
            (answers(test_commands, b"".join(frames)), "at once"),
            ([one for frame in frames for one in answers(test_commands, frame)], "one by one"),
        ):
            seen = [decode_answer(one[HEADER.size :], "echo").get("r") for one in found]
            checks.equal(OWN_ANSWER, seen, list(texts), subject=f"four texts under {words}, {how}")
    look = HEADER.pack(Op.READ | 1 << 3, 0, 1, GROUP_INFERENCE, 9, Command.STATS) + cbor.encode({})
    counts = [decode_answer(one[HEADER.size :], "stats") for one in answers(test_commands, encode_frame(look) * 3)]
    received = [field(each, "rx", int) for each in counts]
    grown = [number - received[0] for number in received]
    checks.equal(OWN_ANSWER, grown, [0, 1, 2], subject="requests counted, asked for three times alike")


def test_answers_carry_their_requests_header(device: Device, checks: Checks) -> None:
    test_commands = device.test_commands
    requests = [
        (op, group, command, sequence)
        for op, group, command, sequence in (
            (Op.WRITE, GROUP_OS, 0, 0),
            (Op.READ, GROUP_OS, 6, 1),
            (Op.READ, GROUP_INFERENCE, 0, 127),
            (Op.READ, GROUP_INFERENCE, 17, 128),
            (Op.WRITE, GROUP_INFERENCE, 99, 254),
            (Op.READ, 0x1234, 0xAB, 200),
            (Op.WRITE, 0xFFFF, 0xFF, 77),
            (Op.READ, GROUP_INFERENCE, 12, 3),
        )
    ]
    for op, group, command, sequence in requests:
        payload = cbor.encode({"d": "x"} if (group, command) == (GROUP_OS, 0) else {})
        head = HEADER.pack(op | 1 << 3, 0, len(payload), group, sequence, command)
        found = answers(test_commands, encode_frame(head + payload))
        subject = f"operation {op}, group {group:#x}, command {command:#x}, sequence number {sequence}"
        if checks.equal(HEADER_ECHOED, len(found), 1, subject=f"{subject}: answers"):
            answer = found[0]
            wanted = HEADER.pack((op + 1) | 1 << 3, 0, len(answer) - HEADER.size, group, sequence, command)
            checks.equal(HEADER_ECHOED, answer[: HEADER.size], wanted, subject=subject)
    # Flags are reserved: they change nothing, and an answer does not repeat those of its request.
    flagged = [HEADER.pack(Op.READ | 1 << 3, flags, 1, GROUP_OS, 9, 6) + cbor.encode({}) for flags in range(256)]
    plain = answers(test_commands, encode_frame(flagged[0]))
    for flags in (0xFF, *(1 << bit for bit in range(8))):
        found = answers(test_commands, encode_frame(flagged[flags]))
        checks.equal(HEADER_ECHOED, found, plain, subject=f"the answer to a request with flags {flags:#04x}")
    # Long and short ones, and refusals, of this test and of all that was asked before it.
    for size in (1, 100, 1000, 4000):
        test_commands.echo("x" * size)
    checks.equal(HEADER_ECHOED, test_commands.stats.flagged, 0, subject="answers of this session with flags")
