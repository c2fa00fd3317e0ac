"""Telnet commands out of the stream, in any chunks."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tfm_harness.console.telnet import TelnetFilter, escape


@given(st.binary(max_size=300), st.lists(st.integers(0, 600), max_size=20))
def test_escaped_data_comes_back_whole(data: bytes, cuts: list[int]) -> None:
    wire = escape(data)
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    filtered = TelnetFilter()
    assert b"".join(filtered.feed(wire[a:b]) for a, b in pairwise(edges)) == data
    assert not filtered.replies


NOISE = b"\xff\xfb\x01\xff\xfd\x03\xff\xfa\x18\x01\xff\xff\xff\xf0\xff\xf1"


@given(st.binary(max_size=40), st.binary(max_size=40), st.lists(st.integers(0, 200), max_size=12))
def test_commands_are_taken_out_in_any_chunks(before: bytes, after: bytes, cuts: list[int]) -> None:
    wire = escape(before) + NOISE + escape(after)
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    filtered = TelnetFilter()
    assert b"".join(filtered.feed(wire[a:b]) for a, b in pairwise(edges)) == before + after
    assert bytes(filtered.replies) == b"\xff\xfe\x01\xff\xfb\x03", "ECHO refused, SUPPRESS-GO-AHEAD agreed"


def test_an_option_is_answered_once() -> None:
    filtered = TelnetFilter()
    filtered.feed(b"\xff\xfb\x01" * 50)
    assert bytes(filtered.replies) == b"\xff\xfe\x01"


def test_endless_subnegotiation_does_not_grow() -> None:
    filtered = TelnetFilter()
    filtered.feed(b"\xff\xfa")
    for _ in range(100):
        filtered.feed(b"x" * 1000)
    assert len(filtered._pending) < 4096
