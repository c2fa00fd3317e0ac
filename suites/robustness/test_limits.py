"""Numbers in requests are taken up to their limits, and with all their bits."""

from __future__ import annotations

import pytest
from tfm_harness import Bench, Check, Checks, Device
from tfm_harness.protocol.smp import (
    DOCUMENTED,
    GROUP_INFERENCE,
    Command,
    Op,
    Request,
    SmpDriver,
)
from tfm_harness.verify import cbor

pytestmark = pytest.mark.needs("stats")

OBJECT = 0x4C494D54
"""Of the object in protected storage that these tests write."""
HOLDS_A_SECOND = 10
HOLD = Check(
    id="robustness.hold",
    title="a hold, with which full buffers are tried, lasts as long as it was asked to",
    requirement="docs/protocol.md, hold",
)
LIMITS = Check(
    id="robustness.limits",
    title="numbers are taken up to their documented limit, and refused beyond it",
    requirement="docs/protocol.md, group 64",
)


@pytest.mark.needs("hold", "latency")
def test_a_hold_lasts_as_long_as_it_is_asked_to(device: Device, checks: Checks) -> None:
    """Measured by the device's own counter.

    If holds were shorter, no buffer would fill, and full buffers would not be tried.
    """
    commands = device.test_commands
    before = commands.latency(1)
    asked = before.hz // HOLDS_A_SECOND
    commands.ask(Command.HOLD, {"t": asked})
    seen = commands.latency(1).start - before.end
    checks(HOLD, seen >= asked, expected=f"at least {asked} ticks", seen=seen)


@pytest.mark.needs("latency", "log")
def test_numbers_are_taken_up_to_their_limits(device: Device, checks: Checks) -> None:
    cases: tuple[tuple[Command, dict[str, object], bool], ...] = (
        (Command.LATENCY, {"n": 0, "warm": 0}, False),
        (Command.LATENCY, {"n": 1, "warm": 0}, True),
        (Command.LATENCY, {"n": 513, "warm": 0}, False),
        (Command.LATENCY, {"n": 1, "warm": 513}, False),
        (Command.LATENCY, {"n": 1 << 32, "warm": 0}, False),
        (Command.LATENCY, {"n": (1 << 32) + 1, "warm": 0}, False),
        (Command.LOG, {"n": 0, "len": 0}, True),
        (Command.LOG, {"n": 1, "len": 1000}, True),
        (Command.LOG, {"n": 1, "len": 1001}, False),
        (Command.LOG, {"n": 1001, "len": 1}, False),
        (Command.LOG, {"n": (1 << 32) + 1, "len": 1}, False),
        (Command.HOLD, {"t": 0}, False),
        (Command.HOLD, {"t": 1 << 32}, False),
        (Command.PROBE, {"op": 0, "addr": 1 << 32, "size": 4}, False),
        (Command.PROBE, {"op": 2, "addr": 0x2100_0000, "size": 4}, False),
        (Command.PROBE, {"op": 0, "addr": 0x2100_0000, "size": 3}, False),
        (Command.PROBE, {"op": 0, "addr": 0x2100_0000, "size": 8}, False),
        (Command.SAMPLE, {"mode": "free", "ms": 0}, False),
        (Command.SAMPLE, {"mode": "free", "ms": 60001}, False),
        (Command.SAMPLE, {"mode": "free", "ms": (1 << 32) + 10}, False),
        (Command.SAMPLE, {"mode": "free"}, False),
        (Command.SAMPLE, {"mode": "step", "ms": 1}, False),
        (Command.SAMPLE, {"mode": "steps"}, False),
    )
    for command, arguments, taken in cases:
        limit_kept(device.test_commands, checks, command, arguments, taken=taken)


def limit_kept(
    test_commands: SmpDriver, checks: Checks, command: Command, arguments: dict[str, object], *, taken: bool
) -> None:
    """A request with these numbers is taken, or refused."""
    request = Request(
        op=Op.WRITE if (Op.WRITE, GROUP_INFERENCE, command) in DOCUMENTED else Op.READ,
        group=GROUP_INFERENCE,
        command=command,
        payload=cbor.encode(arguments),
        name=command.name.lower(),
    )
    body = cbor.decode(test_commands.link.request(request, timeout=test_commands.timeout).payload).value
    refused = isinstance(body, dict) and ("err" in body or body.get("rc", 0) != 0)
    checks(
        LIMITS,
        refused != taken,
        expected="taken" if taken else "a refusal",
        seen="a refusal" if refused else "taken",
        subject=f"{command.name.lower()} {arguments}",
    )


@pytest.mark.needs("infer", "batch")
def test_numbers_are_taken_with_all_their_bits(bench: Bench, device: Device, checks: Checks) -> None:
    """A right request, and the same with 2^32 more, in one number after the other."""
    commands, size = device.test_commands, bench.description.input_bytes
    nonce, data = bytes(range(16)), bytes(size)
    right: dict[Command, tuple[dict[str, object], str, tuple[str, ...]]] = {
        Command.INFER: ({"nonce": nonce, "src": 1, "in": data, "enc": 0}, "encrypted-result", ("src", "enc")),
        Command.ATTEST: ({"ch": bytes(32), "buf": 2048}, "psa-token", ("buf",)),
        Command.ATTEST_SIZE: ({"len": 32}, "psa-token", ("len",)),
        Command.PUBLIC_KEY: ({"key": 2}, "public-keys", ("key",)),
        Command.CSR: ({"key": 2}, "csr", ("key",)),
        Command.PROBE: ({"op": 1, "addr": 0, "size": 4, "val": 0}, "probe", ("op", "addr", "size", "val")),
        Command.PSA_CALL: (
            {"h": 1, "type": 0, "in": [], "out": [], "ia": 0, "oa": 0, "tm": 1, "mv": 0}, "psa-call",
            ("h", "ia", "oa", "tm", "mv"),
        ),
        Command.LATENCY: ({"n": 1, "warm": 0}, "latency", ("n", "warm")),
        Command.INPUT_UPLOAD: ({"off": 0, "data": data, "len": size}, "input-upload", ("len",)),
        Command.BATCH: ({"up": size}, "input-upload", ("up",)),
        Command.PS_SET: ({"uid": OBJECT, "data": b"x", "fl": 0}, "protected-storage", ("fl",)),
        Command.PS_GET: ({"uid": OBJECT, "off": 0}, "protected-storage", ("off",)),
        Command.HOLD: ({"t": 1}, "hold", ("t",)),
        Command.LOG: ({"n": 0, "len": 0}, "log", ("n", "len")),
    }  # fmt: skip
    if bench.memory_map.scratch:
        right[Command.PROBE][0]["addr"] = bench.memory_map.scratch[0]
    else:
        del right[Command.PROBE]
    for command, (arguments, feature, keys) in right.items():
        if bench.missing([feature]):
            continue
        limit_kept(commands, checks, command, arguments, taken=True)
        for key in keys:
            number = arguments[key]
            assert isinstance(number, int)
            limit_kept(commands, checks, command, arguments | {key: number + (1 << 32)}, taken=False)
    if not bench.missing(["protected-storage"]):
        commands.ps_remove(OBJECT)
