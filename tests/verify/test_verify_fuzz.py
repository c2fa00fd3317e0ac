"""A short, repeatable run of the fuzzer; the long one is a command (docs/verification.md)."""

from __future__ import annotations

import random

import pytest

from tests.campaigns.parsers import more_targets
from tests.examples import few
from tests.verify.fuzz_parsers import Findings, fuzz_random, mutate, targets

TARGETS = targets()
MORE = more_targets().keys()  # slower: most of them read files


@pytest.mark.examples
@pytest.mark.parametrize("name", TARGETS)
def test_no_foreign_exception_leaves_a_parser(name: str) -> None:
    target, seeds = TARGETS[name]
    rng = random.Random(name)
    findings = Findings()
    for data in seeds:
        findings.run(name, target, data)
    for _ in range(few(40 if name in MORE else 300)):
        findings.run(name, target, mutate(rng, rng.choice(seeds), seeds))
    assert not findings.count


def test_the_fuzzer_finds_a_parser_that_crashes(capsys: pytest.CaptureFixture[str]) -> None:
    def crashes(data: bytes) -> None:
        data[400]

    assert fuzz_random({"crashing": (crashes, [b"short"])}, 0.01, 1) == 1
    said = capsys.readouterr()
    assert said.err.count("IndexError: index out of range") == 1  # each place once, however often it is met
    assert "findings; " in said.out
    assert ": 0 findings" not in said.out


def test_the_fuzzer_goes_on_until_its_time_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz_random({"deaf": (len, [b"short"])}, 0.01, 7) == 0
    assert "inputs for 1 parsers, seed 7: 0 findings; " in capsys.readouterr().out


def test_an_input_that_takes_long_is_a_finding(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.verify.fuzz_parsers.SLOW", -1.0)
    assert fuzz_random({"slow": (len, [b"short"])}, 0.01, 1) == 1
    assert "slow slow, input" in capsys.readouterr().err
