"""Every key of every request: needed ones, types, keys that come twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from tfm_harness import Bench, Check, Checks, Device
from tfm_harness.protocol.smp import GROUP_INFERENCE, GROUP_OS, Command, Op, Request, answer_code
from tfm_harness.verify import cbor

pytestmark = [pytest.mark.thorough, pytest.mark.needs("stats")]

REFERENCE = "tfm-harness-reference"
OK, EINVAL = 0, 3
ECHO, RESET, PARAMETERS = 0, 5, 6
"""Commands of MCUmgr's group of the operating system."""
AT_A_TIME = 16
UINT, INT, BYTES, TEXT, PAIRS = "number", "signed number", "bytes", "text", "pairs"
VALUES = {
    "a number": b"\x00", "a negative number": b"\x20", "bytes": b"\x41x", "no bytes": b"\x40", "a text": b"\x61x",
    "an empty text": b"\x60", "an array": b"\x80", "a map": b"\xa0", "a tag": b"\xc0\x00", "false": b"\xf4",
    "null": b"\xf6", "a float": b"\xf9\x3c\x00",
}  # fmt: skip
TAKEN = {
    UINT: ("a number",), INT: ("a number", "a negative number"), BYTES: ("bytes", "no bytes"),
    TEXT: ("a text", "an empty text"), PAIRS: ("an array",),
}  # fmt: skip
Keys = dict[str, tuple[str, bool, bytes]]
"""By name: type, whether a request must have it, a value that does no harm."""
NONCE = b"\x50" + bytes(16)
DIGEST = b"\x58\x20" + bytes(32)
REQUESTS: dict[tuple[Op, int, int], Keys] = {
    (Op.WRITE, GROUP_OS, ECHO): {"d": (TEXT, True, b"\x61x")},
    (Op.WRITE, GROUP_OS, RESET): {"force": (UINT, False, b"\x00"), "boot_mode": (UINT, False, b"\x00")},
    (Op.WRITE, GROUP_INFERENCE, Command.SAMPLE): {"mode": (TEXT, True, b"\x64stop"), "ms": (UINT, False, b"\x05")},
    (Op.WRITE, GROUP_INFERENCE, Command.INFER): {
        "nonce": (BYTES, True, NONCE), "src": (UINT, True, b"\x02"), "in": (BYTES, False, b"\x40"),
        "mid": (BYTES, False, DIGEST), "up": (UINT, False, b"\x01"), "enc": (UINT, False, b"\x02"),
    },
    (Op.WRITE, GROUP_INFERENCE, Command.ATTEST): {"ch": (BYTES, True, DIGEST), "buf": (UINT, False, b"\x00")},
    (Op.READ, GROUP_INFERENCE, Command.ATTEST_SIZE): {"len": (UINT, True, b"\x18\x20")},
    (Op.READ, GROUP_INFERENCE, Command.PUBLIC_KEY): {"key": (UINT, True, b"\x02")},
    (Op.READ, GROUP_INFERENCE, Command.CSR): {"key": (UINT, True, b"\x09")},
    (Op.WRITE, GROUP_INFERENCE, Command.PROBE): {
        "op": (UINT, True, b"\x09"), "addr": (UINT, True, b"\x00"), "size": (UINT, True, b"\x04"),
        "val": (UINT, False, b"\x00"),
    },
    (Op.WRITE, GROUP_INFERENCE, Command.PSA_CALL): {
        "h": (UINT, True, b"\x01"), "type": (INT, True, b"\x00"), "in": (PAIRS, True, b"\x80"),
        "out": (PAIRS, True, b"\x80"), "ia": (UINT, False, b"\x00"), "oa": (UINT, False, b"\x00"),
    },
    (Op.WRITE, GROUP_INFERENCE, Command.BATCH): {"in": (BYTES, False, b"\x40"), "up": (UINT, False, b"\x01")},
    (Op.WRITE, GROUP_INFERENCE, Command.LATENCY): {
        "n": (UINT, True, b"\x00"), "warm": (UINT, True, b"\x00"), "in": (BYTES, False, b"\x40"),
        "up": (UINT, False, b"\x01"),
    },
    (Op.WRITE, GROUP_INFERENCE, Command.MODEL_SELECT): {"name": (TEXT, True, b"\x60")},
    (Op.WRITE, GROUP_INFERENCE, Command.MODEL_UPLOAD): {
        "off": (UINT, True, b"\x01"), "data": (BYTES, True, b"\x40"), "len": (UINT, False, b"\x00"),
        "sha": (BYTES, False, DIGEST),
    },
    (Op.WRITE, GROUP_INFERENCE, Command.MODEL_ACTIVATE): {"sha": (BYTES, True, b"\x40")},
    (Op.WRITE, GROUP_INFERENCE, Command.TRACE): {
        "in": (BYTES, False, b"\x40"), "op": (UINT, False, b"\x00"), "off": (UINT, False, b"\x00"),
        "up": (UINT, False, b"\x01"),
    },
    (Op.WRITE, GROUP_INFERENCE, Command.INPUT_UPLOAD): {
        "off": (UINT, True, b"\x01"), "data": (BYTES, True, b"\x40"), "len": (UINT, False, b"\x01"),
    },
    (Op.WRITE, GROUP_INFERENCE, Command.PS_SET): {
        "uid": (UINT, True, b"\x00"), "data": (BYTES, True, b"\x40"), "fl": (UINT, False, b"\x00"),
    },
    (Op.READ, GROUP_INFERENCE, Command.PS_GET): {"uid": (UINT, True, b"\x00"), "off": (UINT, False, b"\x00")},
    (Op.WRITE, GROUP_INFERENCE, Command.PS_REMOVE): {"uid": (UINT, True, b"\x00")},
    (Op.WRITE, GROUP_INFERENCE, Command.LOG): {"n": (UINT, True, b"\x00"), "len": (UINT, True, b"\x00")},
    (Op.WRITE, GROUP_INFERENCE, Command.HOLD): {"t": (UINT, True, b"\x00")},
    **{(Op.READ, GROUP_INFERENCE, command): {}
       for command in (Command.DESCRIBE, Command.FAULTS, Command.MODELS, Command.STATS)},
    (Op.READ, GROUP_OS, PARAMETERS): {},
}  # fmt: skip
"""docs/protocol.cddl; the values are right in their type, and most of them refused by the service."""

KEYS = Check(
    id="robustness.every-key",
    title="a request that lacks a key, has one twice, or has a value of another type is refused with EINVAL",
    requirement="docs/protocol.md, Transport; RFC 8949 s.5.6 (duplicate keys)",
)
BUFFERS = Check(
    id="robustness.parameters-true",
    title="the buffers that a client is told of exist",
    requirement="docs/protocol.md, Transport; MCUmgr SMP, OS group (MCUmgr parameters)",
)
RESET_KEYS = Check(
    id="robustness.reset-keys-taken",
    title="a reset is taken with the keys that MCUmgr's clients may send",
    requirement="docs/protocol.cddl, reset-request; MCUmgr SMP, OS group (reset)",
)


def encoded(pairs: Sequence[tuple[str, bytes]]) -> bytes:
    """A map of at most 23 pairs whose values are encoded already."""
    return bytes([0xA0 + len(pairs)]) + b"".join(cbor.encode(key) + value for key, value in pairs)


def wrong_requests(keys: Keys) -> Iterator[tuple[str, bytes]]:
    """Each thing that can be wrong with one key, the others right."""
    right = [(key, value) for key, (_, _, value) in keys.items()]
    for key, (kind, required, value) in keys.items():
        others = [pair for pair in right if pair[0] != key]
        if required:
            yield f"without {key!r}", encoded(others)
            needed = [pair for pair in others if keys[pair[0]][1]]
            if needed != others:
                yield f"without {key!r} and all that may be left out", encoded(needed)
        yield f"{key!r} twice", encoded([*right, (key, value)])
        for near in {key[:-1], key + "x", key + "\0", key.upper()} - {*keys, ""}:
            yield f"{near!r} in place of {key!r}", encoded([*others, (near, value)])
        few = [pair for pair in right if keys[pair[0]][1] or pair[0] == key]
        if len(few) < len(right):  # no more keys than there may be
            yield f"{key!r} twice, and others left out", encoded([*few, (key, value)])
        for words, other in VALUES.items():
            if words not in TAKEN[kind]:
                yield f"{words} for {key!r}", encoded([*others, (key, other)])
                yield f"{words} for {key!r}, which comes first", encoded([(key, other), *others])
    yield "an empty key", encoded([*right, ("", b"\x00")])
    yield "a key that nobody knows", encoded([*right, ("x", b"\x00")])


@pytest.mark.parametrize("request_of", REQUESTS, ids=lambda key: f"{key[1]}-{key[2]}")
def test_every_key_of_every_request(
    bench: Bench, device: Device, checks: Checks, request_of: tuple[Op, int, int]
) -> None:
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: the requests that this firmware takes are documented elsewhere")
    operation, group, command = request_of
    keys = REQUESTS[request_of]
    cases = list(wrong_requests(keys))
    if (group, command) == (GROUP_OS, RESET):
        resets_nothing(bench, device, checks, cases)
        return
    cases.append(("all keys", encoded([(key, value) for key, (_, _, value) in keys.items()])))
    for at in range(0, len(cases), AT_A_TIME):
        part = cases[at : at + AT_A_TIME]
        requests = [
            Request(op=operation, group=group, command=command, payload=payload, name=f"{group}/{command}")
            for _, payload in part
        ]
        answers = device.test_commands.link.burst(requests, timeout=5.0)
        for (subject, payload), answer in zip(part, answers, strict=True):
            seen = answer_code(answer)
            words = f"group {group}, command {command}: {subject} ({payload.hex()})"
            if subject == "all keys":
                checks(KEYS, seen != EINVAL, expected="no EINVAL", seen=seen, subject=words)
            else:
                checks.equal(KEYS, seen, EINVAL, subject=words)


def resets_nothing(bench: Bench, device: Device, checks: Checks, cases: Sequence[tuple[str, bytes]]) -> None:
    """One request after the other, as one that is taken resets the device."""
    for subject, payload in cases:
        request = Request(op=Op.WRITE, group=GROUP_OS, command=RESET, payload=payload, name="reset")
        with bench.reset_monitor.expected_reset():
            seen = answer_code(device.test_commands.link.request(request, timeout=5.0).payload)
            right = checks.equal(KEYS, seen, EINVAL, subject=f"a reset: {subject} ({payload.hex()})")
            if not right and seen == OK:
                bench.reset_monitor.await_reset(30.0)
        if not right and seen == OK:
            bench.await_return()


def test_the_buffers_are_those_told(bench: Bench, device: Device, checks: Checks) -> None:
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: the buffers of this firmware are documented elsewhere")
    checks.equal(BUFFERS, device.test_commands.parameters(), (4096, 2), subject="size and number")


@pytest.mark.needs("describe", "reset")
def test_a_reset_is_taken_with_every_key(bench: Bench, device: Device, checks: Checks) -> None:
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: the requests that this firmware takes are documented elsewhere")
    for pairs in ([("force", b"\x01")], [("boot_mode", b"\x00"), ("force", b"\x00")]):
        subject = ", ".join(key for key, _ in pairs)
        before = device.describe().boot
        request = Request(op=Op.WRITE, group=GROUP_OS, command=RESET, payload=encoded(pairs), name="reset")
        with bench.reset_monitor.expected_reset():
            seen = answer_code(device.test_commands.link.request(request, timeout=5.0).payload)
            if not checks.equal(RESET_KEYS, seen, OK, subject=subject):
                continue
            bench.reset_monitor.await_reset(30.0)
        bench.await_return()
        if before is not None:
            checks.equal(RESET_KEYS, device.describe().boot, before + 1, subject=f"{subject}: boots")
