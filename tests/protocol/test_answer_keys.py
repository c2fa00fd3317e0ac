from __future__ import annotations

import re
from pathlib import Path

import pytest
from tfm_harness.protocol.smp.answer_keys import ANSWER_KEYS, undocumented_keys
from tfm_harness.protocol.smp.header import DOCUMENTED, GROUP_INFERENCE, GROUP_OS, Command
from tfm_harness.verify import cbor

CDDL = (Path(__file__).parents[2] / "docs" / "protocol.cddl").read_text()


def test_every_command_has_its_keys() -> None:
    assert set(ANSWER_KEYS) == {(group, command) for _, group, command in DOCUMENTED}


def test_the_keys_are_those_of_the_document() -> None:
    documented = set(re.findall(r'"(\w+)":', CDDL))
    assert set().union(*ANSWER_KEYS.values()) <= documented


@pytest.mark.parametrize(
    ("command", "answer", "found"),
    [
        (Command.STATS, {"rx": 1, "tx": 2}, set()),
        (Command.STATS, {"rx": 1, "up": 2}, {"64/17: 'up'"}),
        (Command.STATS, {"rc": 3}, set()),
        (Command.STATS, {"err": {"group": 64, "rc": 135}}, set()),
        (Command.STATS, {"err": {"group": 64, "rc": 135, "why": "x"}}, {"64/17: 'why'"}),
        (Command.STATS, {"rc": 3, "rx": 1}, {"64/17: 'rx'"}),
        (Command.MODELS, {"models": [{"slot": 0, "name": "a"}, {"slot": 1, "key": b"x"}]}, {"64/12: 'key'"}),
        (Command.INFER, {"res": b"x", 7: 1}, {"64/2: 7"}),
        (Command.FAULTS, {"n": 1, "last": [{"t": "PPC", "ppc": 1, "r0": 7}]}, {"64/8: 'r0'"}),
        (99, {"x": 1}, {"64/99: 'x'"}),
    ],
)
def test_what_is_not_documented_is_told(command: int, answer: object, found: set[str]) -> None:
    assert undocumented_keys(GROUP_INFERENCE, command, cbor.encode(answer)) == found


@pytest.mark.parametrize("payload", [b"", b"\xff", b"\xa1\x61r", cbor.encode([1, 2]), cbor.encode({"r": "x"})])
def test_what_is_no_map_has_no_keys(payload: bytes) -> None:
    assert undocumented_keys(GROUP_OS, 0, payload) == set()


def test_a_long_key_is_cut() -> None:
    (key,) = undocumented_keys(GROUP_OS, 0, cbor.encode({"x" * 4000: 1}))
    assert len(key) < 60
