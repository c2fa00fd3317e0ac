from __future__ import annotations

import binascii
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smp import packet as oracle
from tfm_harness.protocol.smp.frame import MAX_PACKET, BadFrame, FrameDecoder, Item, LogLine, Packet, encode_frame

packets = st.binary(min_size=1, max_size=700)


def decode(data: bytes, chunk: int = 1 << 20) -> list[Item]:
    decoder = FrameDecoder()
    return [item for at in range(0, len(data), chunk) for item in decoder.feed(data[at : at + chunk])]


def body(packet: bytes, *, crc: int | None = None, length: int | None = None) -> bytes:
    checksum = binascii.crc_hqx(packet, 0) if crc is None else crc
    total = len(packet) + 2 if length is None else length
    return b"\x06\x09" + binascii.b2a_base64(total.to_bytes(2, "big") + packet + checksum.to_bytes(2, "big"))


@given(packets)
def test_encodes_as_the_public_client_does(packet: bytes) -> None:
    ours = encode_frame(packet)
    assert ours == b"".join(oracle.encode(packet))
    assert all(len(line) <= 127 for line in ours.splitlines(keepends=True))


@given(st.lists(st.one_of(packets, st.text("abc é[]:", max_size=40).map(str.encode)), max_size=6), st.integers(1, 50))
def test_any_chunking_gives_the_same_items(parts: list[bytes], chunk: int) -> None:
    stream = b"".join(encode_frame(p) + b"[log] a line\r\n" for p in parts if p)
    whole = decode(stream)
    assert decode(stream, chunk) == whole
    assert [item.data for item in whole if isinstance(item, Packet)] == [p for p in parts if p]
    assert all(item.data == b"[log] a line" for item in whole if isinstance(item, LogLine))


@given(packets, st.data())
def test_a_flipped_bit_never_gives_another_packet(packet: bytes, data: st.DataObject) -> None:
    stream = bytearray(encode_frame(packet))
    at = data.draw(st.integers(0, len(stream) - 1))
    stream[at] ^= 1 << data.draw(st.integers(0, 7))
    assert all(item.data == packet for item in decode(bytes(stream)) if isinstance(item, Packet))


@given(st.binary(max_size=3000))
def test_noise_raises_nothing(noise: bytes) -> None:
    decode(noise + b"\n", 7)


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (body(b"hello", crc=0), "crc"),
        (b"\x06\x09AA@=\n", "base64"),
        (b"\x06\x09AAAA AAA\n", "base64"),
        (b"\x06\x09A\n", "base64"),
        (b"\x06\x09\n", "length"),
        (body(b"", length=2), "length"),
        (body(b"hello", length=4), "length"),
        (body(b"x", length=MAX_PACKET + 3), "oversized"),
        (b"\x04\x14AAAA\n", "orphan"),
        (b"\x06\x09" + b"A" * 200 + b"\n", "base64"),
        (encode_frame(bytes(200))[:127] + encode_frame(b"next"), "unfinished"),
        (encode_frame(bytes(200))[:127] + b"\x04\x14!!!!\n", "base64"),
    ],
)
def test_bad_frames_are_named(stream: bytes, kind: str) -> None:
    bad = [item for item in decode(stream) if isinstance(item, BadFrame)]
    assert [item.kind for item in bad] == [kind]
    assert 0 <= bad[0].start < bad[0].end <= len(stream)


def test_after_a_bad_frame_the_next_good_one_is_read() -> None:
    items = decode(body(b"hello", crc=0) + encode_frame(b"good"))
    assert [item.data for item in items if isinstance(item, Packet)] == [b"good"]


def test_text_cut_off_by_a_frame_is_kept_and_the_frame_is_read() -> None:
    assert decode(b"half a lin" + encode_frame(b"x")) == [LogLine(b"half a lin", 0), Packet(b"x", 10, 21)]


def test_a_log_line_between_the_lines_of_a_frame_does_not_destroy_it() -> None:
    first, second = encode_frame(bytes(150)).splitlines(keepends=True)
    items = decode(first + b"[log] in between\n" + second)
    assert [type(item) for item in items] == [LogLine, Packet]


def test_endless_text_without_a_line_end_stays_within_bounded_memory() -> None:
    decoder = FrameDecoder()
    tracemalloc.start()
    for _ in range(200):
        for _item in decoder.feed(bytes(65536)):
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("size", [0, MAX_PACKET + 1])
def test_encoding_refuses_what_no_packet_may_be(size: int) -> None:
    with pytest.raises(ValueError, match="4096"):
        encode_frame(bytes(size))


def test_the_largest_packet_passes() -> None:
    packet = bytes(range(256)) * 16
    assert [item.data for item in decode(encode_frame(packet)) if isinstance(item, Packet)] == [packet]
