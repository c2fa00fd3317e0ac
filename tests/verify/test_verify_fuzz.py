"""A short, repeatable run of the fuzzer; the long one is a command (docs/verification.md)."""

from __future__ import annotations

import random

import pytest

from tests.campaigns.parsers import more_targets
from tests.verify.fuzz_parsers import mutate, run_one, targets

TARGETS = targets()
MORE = more_targets().keys()  # slower: most of them read files


@pytest.mark.parametrize("name", TARGETS)
def test_no_foreign_exception_leaves_a_parser(name: str) -> None:
    target, seeds = TARGETS[name]
    rng = random.Random(name)
    for data in seeds:
        assert run_one(name, target, data)
    for _ in range(40 if name in MORE else 300):
        assert run_one(name, target, mutate(rng, rng.choice(seeds), seeds))


def test_the_fuzzer_finds_a_parser_that_crashes(capsys: pytest.CaptureFixture[str]) -> None:
    def crashes(data: bytes) -> None:
        data[400]

    assert not run_one("crashing", crashes, b"short")
    assert "IndexError" in capsys.readouterr().err
