"""Windows in streams: found wherever they stand, however long the stream is."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tfm_harness.verify.leaks import matching
from tfm_harness.verify.leaks.matching import Index, Window

SECRET = random.Random(1).randbytes(16)
CHUNK = 16


@pytest.mark.parametrize("size", [8, 9, 16])
def test_a_window_is_found_at_every_place(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the stream is nothing else, and over each border of what is looked at in one go."""
    monkeypatch.setattr(matching, "_CHUNK", CHUNK)
    index = Index([Window(0, "as it is", SECRET, 0, size)])
    other = random.Random(2).randbytes(3 * CHUNK)
    for length in (size, size + 1, CHUNK + 4, CHUNK + 5, CHUNK + 6, CHUNK + 7, CHUNK + 8, 3 * CHUNK):
        for at in range(length - size + 1):
            stream = other[:at] + SECRET[:size] + other[at + size : length]
            found = [(where, constant) for _, where, constant in index.find(np.frombuffer(stream, np.uint8))]
            assert found == [(at, 0)], (length, at)
        assert not list(index.find(np.frombuffer(other[:length], np.uint8)))


def test_pieces_of_a_window_are_none() -> None:
    index = Index([Window(0, "as it is", SECRET, 0, 16)])
    for size in range(16):
        for stream in (SECRET[:size], SECRET[16 - size :], SECRET[:size] + bytes(40)):
            assert not list(index.find(np.frombuffer(stream, np.uint8)))


def test_the_most_varied_part_of_a_window_is_looked_for() -> None:
    """The other parts stand in many places that are none of the secret's."""
    steps = np.array([[1, 1, 1, 2, 3, 4], [9, 8, 7, 7, 7, 7], [0, 0, 0, 0, 0, 0], [1, 2, 1, 3, 2, 2]], np.uint8)
    places, found = matching._most_varied(steps, range(4), 3)
    assert places.tolist() == [2, 0, 0, 1]
    assert found.tolist() == [[1, 2, 3], [9, 8, 7], [0, 0, 0], [2, 1, 3]]
