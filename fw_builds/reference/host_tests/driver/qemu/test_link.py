"""The link under load: pipelined requests, the largest messages, text in between, a client that does not read."""

from __future__ import annotations

import cbor2
import pytest
from board_types import Boot
from smp import packet

pytestmark = pytest.mark.qemu


@pytest.mark.parametrize("icount", [True, False])
def test_pipelined_requests_are_answered_in_order(boot: Boot, *, icount: bool) -> None:
    device = boot(icount=icount).device
    texts = [f"{n:04d}" + "x" * (n * 13 % 1500) for n in range(100)]
    device.send_raw(b"".join(b"".join(packet.encode(device.encode(2, 0, 0, {"d": text}))) for text in texts))
    for text in texts:
        assert cbor2.loads(device.receive()[8:]) == {"r": text}
    stats = device.stats()
    assert (stats["rx"], stats["tx"]) == (len(texts) + 2, len(texts) + 1)
    assert (stats["crc"], stats["bad"], stats["ovr"]) == (0, 0, 0)


def test_more_than_the_ring_holds_while_the_device_is_busy(boot: Boot) -> None:
    """While it runs a latency series, 40 kB arrive: nothing may be lost."""
    device = boot(icount=False).device
    device.write(13, {"name": "keyword"})
    busy = b"".join(packet.encode(device.encode(2, 64, 11, {"n": 3, "warm": 0})))
    text = "y" * 2900
    echoes = b"".join(b"".join(packet.encode(device.encode(2, 0, 0, {"d": text}))) for _ in range(10))
    device.send_raw(busy + echoes)
    assert len(cbor2.loads(device.receive()[8:])["t"]) == 12
    for _ in range(10):
        assert cbor2.loads(device.receive()[8:]) == {"r": text}
    assert device.stats()["ovr"] == 0


def test_the_largest_message_goes_through_and_one_byte_more_does_not(boot: Boot) -> None:
    device = boot().device
    room = 4096 - 8 - len(cbor2.dumps({"d": "x" * 4000})) + 4000
    assert device.echo("x" * room) == "x" * room
    before = device.stats()["big"]
    device.send_raw(b"".join(packet.encode(device.encode(2, 0, 0, {"d": "x" * (room + 1)}))))
    assert device.stats()["big"] == before + 1


def test_text_from_the_host_between_lines_is_ignored(boot: Boot) -> None:
    device = boot().device
    lines = list(packet.encode(device.encode(2, 0, 0, {"d": "z" * 400})))
    device.send_raw(b"some text\n\n" + b"\x00\xff noise\n".join(lines))
    assert cbor2.loads(device.receive()[8:]) == {"r": "z" * 400}
    assert device.stats()["bad"] == 0


def test_version_1_is_answered_in_version_1(boot: Boot) -> None:
    device = boot().device
    answer = device.exchange(device.encode(2, 0, 0, {"d": "old"}, version=0))
    assert answer[0] >> 3 & 3 == 0
    assert cbor2.loads(answer[8:]) == {"r": "old"}
    refusal = device.exchange(device.encode(0, 64, 5, {"key": 9}, version=0))
    assert cbor2.loads(refusal[8:]) == {"rc": 1}
