"""Thousands of damaged messages against the running firmware: an answer, an error or silence, and it lives on."""

from __future__ import annotations

import random

import cbor2
import pytest
from board_types import Boot
from shown_figures import ShowFigure
from smp import packet
from smp_device import Device

pytestmark = pytest.mark.qemu

BATCH = 50

SEEDS: list[tuple[int, int, int, object]] = [
    (2, 0, 0, {"d": "hello"}),
    (0, 0, 6, {}),
    (0, 64, 0, {}),
    (2, 64, 1, {"mode": "step"}),
    (2, 64, 1, {"mode": "clear"}),
    (2, 64, 2, {"nonce": bytes(16), "src": 1, "in": bytes(7)}),
    (2, 64, 2, {"nonce": bytes(16), "src": 0, "mid": bytes(32)}),
    (2, 64, 3, {"ch": bytes(31), "buf": 100}),
    (0, 64, 4, {"len": 32}),
    (0, 64, 5, {"key": 1}),
    (0, 64, 6, {"key": 9}),
    (0, 64, 8, {}),
    (2, 64, 10, {"in": bytes(128)}),
    (2, 64, 11, {"n": 1, "warm": 0}),
    (0, 64, 12, {}),
    (2, 64, 13, {"name": "sinus"}),
    (2, 64, 14, {"off": 0, "data": bytes(40), "len": 4000, "sha": bytes(32)}),
    (2, 64, 14, {"off": 40, "data": bytes(40)}),
    (2, 64, 15, {"sha": bytes(32)}),
    (2, 64, 16, {"in": b"\x01"}),
    (0, 64, 17, {}),
    (2, 64, 18, {"n": 1, "len": 20}),
]
OBEYED = {(0, 5), (64, 7), (64, 9)}
"""Reset, probe, psa-call: what these do to a device is their job, not an accident."""


def damage(rng: random.Random, data: bytes) -> bytes:
    """Flip, replace, cut, insert, repeat."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8])):
        at = rng.randrange(len(out)) if out else 0
        match rng.randrange(5):
            case 0 if out:
                out[at] ^= 1 << rng.randrange(8)
            case 1 if out:
                out[at] = rng.randrange(256)
            case 2:
                del out[at : at + rng.choice([1, 1, 4, 50])]
            case 3:
                out[at:at] = rng.randbytes(rng.choice([1, 1, 4, 50]))
            case _:
                out += out[at : at + 8]
    return bytes(out)


def is_obeyed(message: bytes) -> bool:
    """Whether this is one of the commands that may stop a device rightly."""
    return len(message) > 7 and (int.from_bytes(message[4:6], "big"), message[7]) in OBEYED


def mutated(rng: random.Random, device: Device) -> bytes:
    """Bytes for the wire: damaged below the framing, in the message with a true CRC, or in the CBOR alone."""
    op, group, command, body = rng.choice(SEEDS)
    message = device.encode(op, group, command, body)
    where = rng.randrange(3)
    if where == 0:
        return damage(rng, b"".join(packet.encode(message)))
    in_cbor = device.encode(op, group, command, damage(rng, cbor2.dumps(body)))
    message = damage(rng, message) if where == 1 else in_cbor
    return b"" if is_obeyed(message) else b"".join(packet.encode(message))


def answers_until(device: Device, marker: str) -> int:
    """Take answers until the echo of `marker`; returns how many came before it."""
    count = 0
    while True:
        answer = device.receive()
        assert len(answer) >= 8
        assert int.from_bytes(answer[2:4], "big") == len(answer) - 8
        body = cbor2.loads(answer[8:])
        assert isinstance(body, dict)
        if body == {"r": marker}:
            return count
        count += 1


@pytest.mark.parametrize("rounds", [500, pytest.param(10_000, marks=pytest.mark.nightly)])
def test_damaged_messages_never_stop_the_device(boot: Boot, show_figure: ShowFigure, rounds: int) -> None:
    board = boot(icount=False)
    device = board.device
    rng = random.Random(20261123)  # noqa: S311 - the same damage in each run
    answered = 0
    for batch in range(rounds // BATCH):
        for _ in range(BATCH):
            device.send_raw(mutated(rng, device))
        marker = f"still here {batch}"
        # an unfinished line swallows what follows it: end it first
        device.send_raw(b"\n" + b"".join(packet.encode(device.encode(2, 0, 0, {"d": marker}))))
        answered += answers_until(device, marker)
    stats = device.stats()
    assert answered > rounds / 10  # many were understood well enough to be answered
    assert stats["bad"] + stats["crc"] + stats["big"] > rounds / 10
    assert stats["cbor"] > rounds / 20
    assert stats["ovr"] == 0
    assert device.describe()["boot"] == 0, "it was reset"
    assert "PANIC" not in board.secure_log()
    assert device.read(8) == {"n": 0, "last": []}, "something faulted"
    show_figure(f"{rounds} damaged messages, {answered} answers, {stats}")
