"""What a request may look like: every right head, text and number is taken, and no wrong one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from tfm_harness import Check, Checks, Device
from tfm_harness.protocol.smp import (
    GROUP_INFERENCE,
    GROUP_OS,
    Command,
    Op,
    Request,
    SmpDriver,
    answer_code,
)
from tfm_harness.verify import cbor

pytestmark = pytest.mark.needs("stats")

OK, EINVAL, INVALID = 0, 3, -135
AT_A_TIME = 32

TEXT = Check(
    id="robustness.text-well-formed",
    title="a text is taken when it is well-formed UTF-8 without NUL, and refused when it is not",
    requirement="docs/protocol.md, transport; RFC 3629; Unicode table 3-7",
)
HEADS = Check(
    id="robustness.cbor-heads",
    title="heads are taken in their shortest form and with a definite length only, keys once and with their type",
    requirement="docs/protocol.md, transport; RFC 8949 s.4.2.1",
)
NUMBERS = Check(
    id="robustness.cbor-numbers",
    title="numbers of every width are taken as what they are: right ones, those without sense, those that are none",
    requirement="docs/protocol.md, transport; RFC 8949 s.3",
)


RIGHT_TEXTS = [
    "\x01",
    "\x7f",
    "\x80",
    "\xbf",
    "\xc0",
    "\xff",
    "\u0100",
    "\u07ff",
    "\u0800",
    "\u0fff",
    "\u1000",
    "\ucfff",
    "\ud000",
    "\ud7ff",
    "\ue000",
    "\ufffd",
    "\uffff",
    "\U00010000",
    "\U0003ffff",
    "\U00040000",
    "\U000fffff",
    "\U00100000",
    "\U0010ffff",
    "",
    "x" * 23,
    "x" * 24,
    "x" * 255,
    "x" * 256,
    "a\u07ffb\uffffc\U0010ffffd",
]
WRONG_TEXTS = [
    bytes.fromhex(text)
    for text in (
        "00",
        "80",
        "bf",
        "c080",
        "c0af",
        "c1bf",
        "c2",
        "c27f",
        "c2c0",
        "dfff",
        "df",
        "e0",
        "e080",
        "e09fbf",
        "e0a0",
        "e0a07f",
        "e0a0c0",
        "e1807f",
        "e180c0",
        "ed9f",
        "eda080",
        "edbfbf",
        "edc080",
        "efbf",
        "efbfc0",
        "ef7fbf",
        "f0",
        "f08080",
        "f08fbfbf",
        "f09080",
        "f09080c0",
        "f0907f80",
        "f17f8080",
        "f1c08080",
        "f4908080",
        "f48fbf",
        "f48fbfc0",
        "f5808080",
        "f7bfbfbf",
        "f8888080",
        "fc8080808080",
        "fe",
        "ff",
    )
]


def echo_of(text: bytes) -> bytes:
    """An echo request's payload with these bytes as its text."""
    return b"\xa1\x61d" + cbor.encode("x" * len(text))[: -len(text) or None] + text


def codes(
    test_commands: SmpDriver, payloads: Sequence[bytes], *, group: int = GROUP_OS, command: int = 0
) -> list[int | str]:
    """Each one's outcome: 0, a psa_status_t, an SMP error code, or what is wrong with the answer."""
    found: list[int | str] = []
    for at in range(0, len(payloads), AT_A_TIME):
        requests = [
            Request(op=Op.WRITE, group=group, command=command, payload=payload, name=f"{group}/{command}")
            for payload in payloads[at : at + AT_A_TIME]
        ]
        found += [answer_code(answer) for answer in test_commands.link.burst(requests, timeout=5.0)]
    return found


def test_texts_are_well_formed(device: Device, checks: Checks) -> None:
    """Both ends of every range of Unicode's table of well-formed sequences, alone and inside of other text."""
    test_commands = device.test_commands
    for text in RIGHT_TEXTS:
        checks.equal(
            TEXT, test_commands.echo(text) == text, True, subject=f"{text[:4].encode().hex()}, {len(text)} characters"
        )
    before = test_commands.device_stats().bad_cbor
    wrong = [around[0] + text + around[1] for text in WRONG_TEXTS for around in ((b"", b""), (b"a", b""), (b"a", b"b"))]
    # Cut at the text's end and followed by something, a sequence may be cut in another way; it is never right.
    for data, code in zip(wrong, codes(test_commands, [echo_of(data) for data in wrong]), strict=True):
        checks.equal(TEXT, code, EINVAL, subject=data.hex())
    checks.equal(TEXT, test_commands.device_stats().bad_cbor - before, len(wrong), subject="counted as malformed")


def wrong_heads() -> Iterator[tuple[str, bytes]]:
    """Echo requests whose CBOR is not what the protocol allows."""
    text = b"\x65hello"
    for words, head in {
        "one byte": b"\xb8\x01",
        "two": b"\xb9\0\1",
        "four": b"\xba\0\0\0\1",
        "eight": b"\xbb" + bytes(7) + b"\1",
    }.items():
        yield f"a map's length in {words}", head + b"\x61d" + text
    for words, head in {
        "one byte": b"\x78\x01",
        "two": b"\x79\0\1",
        "four": b"\x7a\0\0\0\1",
        "eight": b"\x7b" + bytes(7) + b"\1",
    }.items():
        yield f"a key's length in {words}", b"\xa1" + head + b"d" + text
    for words, head in {
        "one byte": b"\x78\x05",
        "two": b"\x79\0\5",
        "four": b"\x7a\0\0\0\5",
        "eight": b"\x7b" + bytes(7) + b"\5",
    }.items():
        yield f"a text's length in {words}", b"\xa1\x61d" + head + b"hello"
    yield "a text's length of 255 in two bytes", b"\xa1\x61d\x79\x00\xff" + b"x" * 255
    yield "a text's length of 23 in one byte", b"\xa1\x61d\x78\x17" + b"x" * 23
    yield "a text longer than the message", b"\xa1\x61d\x66hello"
    yield "a text of 2^64 - 1 bytes", b"\xa1\x61d\x7b" + b"\xff" * 8 + b"hello"
    yield "a text of 2^32 - 1 bytes", b"\xa1\x61d\x7a" + b"\xff" * 4 + b"hello"
    yield "a text of 2^32 + 5 bytes", b"\xa1\x61d\x7b\0\0\0\1\0\0\0\5hello"
    yield "a head without its length", b"\xa1\x61d\x79\x01"
    yield "an indefinite map", b"\xbf\x61d" + text + b"\xff"
    yield "an indefinite text", b"\xa1\x61d\x7f" + text + b"\xff"
    for info in (0x1C, 0x1D, 0x1E):
        yield f"a map with the reserved length {info}", bytes([0xA0 | info]) + b"\x61d" + text
        yield f"a text with the reserved length {info}", b"\xa1\x61d" + bytes([0x60 | info]) + b"hello"
    for words, value in {
        "a byte string": b"\x45hello",
        "a number": b"\x05",
        "a negative number": b"\x24",
        "an array": b"\x81" + text,
        "a map": b"\xa1" + text + text,
        "a tagged text": b"\xc0" + text,
        "true": b"\xf5",
        "null": b"\xf6",
        "a float": b"\xfa\x3f\x80\0\0",
        "nothing": b"",
    }.items():
        yield f"{words} for a text", b"\xa1\x61d" + value
    for words, key in {
        "a byte string": b"\x41d",
        "a number": b"\x04",
        "an array": b"\x81\x61d",
        "null": b"\xf6",
        "a longer one": b"\x62dd",
        "an empty one": b"\x60",
        "another one": b"\x61e",
    }.items():
        yield f"{words} for a key", b"\xa1" + key + text
    yield "a key twice", b"\xa2\x61d" + text + b"\x61d" + text
    yield "one pair of two", b"\xa2\x61d" + text
    yield "no pair of one", b"\xa0"
    yield "2^64 - 1 pairs", b"\xbb" + b"\xff" * 8 + b"\x61d" + text
    yield "2^32 + 1 pairs", b"\xbb\0\0\0\1\0\0\0\1\x61d" + text
    yield "an array for the map", b"\x82\x61d" + text
    yield "a tagged map", b"\xc0\xa1\x61d" + text


def test_heads_have_one_form(device: Device, checks: Checks) -> None:
    cases = dict(wrong_heads())
    before = device.test_commands.device_stats().bad_cbor
    for (subject, _), code in zip(cases.items(), codes(device.test_commands, list(cases.values())), strict=True):
        checks.equal(HEADS, code, EINVAL, subject=subject)
    checks.equal(
        HEADS, device.test_commands.device_stats().bad_cbor - before, len(cases), subject="counted as malformed"
    )


def log_request(n: bytes, length: bytes = b"\x00") -> bytes:
    """A request for log lines: their number and length as CBOR."""
    return b"\xa2\x61n" + n + b"\x63len" + length


@pytest.mark.needs("log")
def test_numbers_of_every_width(device: Device, checks: Checks) -> None:
    cases: dict[str, tuple[bytes, int]] = {
        "0": (b"\x00", OK),
        "1": (b"\x01", OK),
        "23": (b"\x17", OK),
        "24": (b"\x18\x18", OK),
        "255": (b"\x18\xff", OK),
        "256": (b"\x19\x01\x00", OK),
        "1000": (b"\x19\x03\xe8", OK),
        "1001": (b"\x19\x03\xe9", INVALID),
        "65535": (b"\x19\xff\xff", INVALID),
        "65536": (b"\x1a\0\1\0\0", INVALID),
        "2^32 - 1": (b"\x1a" + b"\xff" * 4, INVALID),
        "2^32": (b"\x1b\0\0\0\1\0\0\0\0", INVALID),
        "2^64 - 1": (b"\x1b" + b"\xff" * 8, INVALID),
        "0 in one byte": (b"\x18\x00", EINVAL),
        "23 in one byte": (b"\x18\x17", EINVAL),
        "24 in two": (b"\x19\x00\x18", EINVAL),
        "255 in two": (b"\x19\x00\xff", EINVAL),
        "256 in four": (b"\x1a\0\0\1\0", EINVAL),
        "65535 in four": (b"\x1a\0\0\xff\xff", EINVAL),
        "65536 in eight": (b"\x1b\0\0\0\0\0\1\0\0", EINVAL),
        "2^32 - 1 in eight": (b"\x1b\0\0\0\0" + b"\xff" * 4, EINVAL),
        "-1": (b"\x20", EINVAL),
        "-24": (b"\x37", EINVAL),
        "a reserved head": (b"\x1c", EINVAL),
        "a text": (b"\x611", EINVAL),
        "a byte string": (b"\x411", EINVAL),
        "a float": (b"\xf9\x3c\x00", EINVAL),
        "false": (b"\xf4", EINVAL),
        "an array": (b"\x80", EINVAL),
        "a tagged number": (b"\xc1\x01", EINVAL),
        "1.0": (b"\xfb\x3f\xf0" + bytes(6), EINVAL),
    }
    found = codes(
        device.test_commands,
        [log_request(data) for data, _ in cases.values()],
        group=GROUP_INFERENCE,
        command=Command.LOG,
    )
    for (subject, (_, wanted)), code in zip(cases.items(), found, strict=True):
        checks.equal(NUMBERS, code, wanted, subject=f"unsigned: {subject}")


@pytest.mark.needs("psa-call")
def test_signed_numbers_and_pairs(device: Device, checks: Checks) -> None:
    """The raw call is the one command that takes negative numbers and lists of pairs; here its handle is unknown."""

    def call(
        kind: bytes = b"\x00", inputs: bytes = b"\x80", outputs: bytes = b"\x80", handle: bytes = b"\x01"
    ) -> bytes:
        return b"\xa4\x61h" + handle + b"\x64type" + kind + b"\x62in" + inputs + b"\x63out" + outputs

    pair = b"\x82\x00\x00"
    cases: dict[str, tuple[bytes, int]] = {
        "type 0": (call(), OK),
        "type -1": (call(b"\x20"), OK),
        "type 32767": (call(b"\x19\x7f\xff"), OK),
        "type 32768": (call(b"\x19\x80\x00"), INVALID),
        "type -32768": (call(b"\x39\x7f\xff"), OK),
        "type -32769": (call(b"\x39\x80\x00"), INVALID),
        "type 65536": (call(b"\x1a\0\1\0\0"), INVALID),
        "type 2^63 - 1": (call(b"\x1b\x7f" + b"\xff" * 7), INVALID),
        "type -2^63": (call(b"\x3b\x7f" + b"\xff" * 7), INVALID),
        "type 2^63": (call(b"\x1b\x80" + bytes(7)), EINVAL),
        "type -2^63 - 1": (call(b"\x3b\x80" + bytes(7)), EINVAL),
        "type -1 in one byte": (call(b"\x38\x00"), EINVAL),
        "type as a text": (call(b"\x60"), EINVAL),
        "handle -1": (call(handle=b"\x20"), EINVAL),
        "handle 2^32": (call(handle=b"\x1b\0\0\0\1\0\0\0\0"), INVALID),
        "7 vectors": (call(inputs=b"\x87" + pair * 7), OK),
        "7 outputs": (call(outputs=b"\x87" + pair * 7), OK),
        "8 vectors": (call(inputs=b"\x88" + pair * 8), INVALID),
        "8 outputs": (call(outputs=b"\x88" + pair * 8), INVALID),
        "9 vectors": (call(inputs=b"\x89" + pair * 9), EINVAL),
        "9 outputs": (call(outputs=b"\x89" + pair * 9), EINVAL),
        "2^32 vectors": (call(inputs=b"\x9b\0\0\0\1\0\0\0\0"), EINVAL),
        "one vector of two": (call(inputs=b"\x82" + pair), EINVAL),
        "a vector of one": (call(inputs=b"\x81\x81\x00"), EINVAL),
        "a vector of three": (call(inputs=b"\x81\x83\0\0\0"), EINVAL),
        "a vector in a map": (call(inputs=b"\x81\xa1\0\0"), EINVAL),
        "an address as text": (call(inputs=b"\x81\x82\x60\0"), EINVAL),
        "a negative address": (call(inputs=b"\x81\x82\x20\0"), EINVAL),
        "a negative length": (call(inputs=b"\x81\x82\0\x20"), EINVAL),
        "an address of 2^32": (call(inputs=b"\x81\x82\x1b\0\0\0\1\0\0\0\0\0"), EINVAL),
        "a length of 2^32": (call(inputs=b"\x81\x82\0\x1b\0\0\0\1\0\0\0\0"), EINVAL),
        "an address of 2^32 - 1": (call(inputs=b"\x81\x82\x1a" + b"\xff" * 4 + b"\0"), OK),
        "vectors as a map": (call(inputs=b"\xa0"), EINVAL),
        "vectors as bytes": (call(inputs=b"\x40"), EINVAL),
    }
    found = codes(
        device.test_commands, [data for data, _ in cases.values()], group=GROUP_INFERENCE, command=Command.PSA_CALL
    )
    for (subject, (_, wanted)), code in zip(cases.items(), found, strict=True):
        checks.equal(NUMBERS, code, wanted, subject=f"raw call: {subject}")
