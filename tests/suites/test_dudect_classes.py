"""The classes of wrong tags and digests that the suite latency times show every comparison that is not constant."""

from __future__ import annotations

import random
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
from tfm_harness.findings import Report
from tfm_harness.latency import LEAST_MEASUREMENTS, catalogue, check_dudect

ROOT = Path(__file__).resolve().parents[2]
HALF = LEAST_MEASUREMENTS // 2
RIGHT = random.Random(5).randbytes(16)
Compare = Callable[[bytes], int]


def from_front(tag: bytes) -> int:
    return 100 + next(at for at in range(16) if tag[at] != RIGHT[at])


def from_end(tag: bytes) -> int:
    return 100 + next(at for at in range(16) if tag[15 - at] != RIGHT[15 - at])


def in_words(tag: bytes) -> int:
    return 100 + next(at for at in range(0, 16, 4) if tag[at : at + 4] != RIGHT[at : at + 4])


def counting(tag: bytes) -> int:
    return 100 + sum(one != other for one, other in zip(tag, RIGHT, strict=True))


def constant(_: bytes) -> int:
    return 116


@pytest.mark.parametrize(
    ("compare", "ok"), [(from_front, False), (from_end, False), (in_words, False), (counting, False), (constant, True)]
)
def test_each_comparison_that_is_not_constant_is_found(compare: Compare, ok: bool) -> None:
    nearly = runpy.run_path(str(ROOT / "suites" / "latency" / "test_dudect.py"))["nearly"]
    rng, report = random.Random(3), Report()
    fixed = [compare(rng.choice(nearly(RIGHT))) for _ in range(HALF)]
    drawn = [compare(rng.randbytes(16)) for _ in range(HALF)]
    check_dudect(fixed, drawn, catalogue.DUDECT_TAG, report, subject="tag")
    assert report.ok is ok
