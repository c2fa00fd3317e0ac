"""The recordings of real runs: judged right, under any chunking, noise and truncation."""

from __future__ import annotations

import random
import re

import pytest
from tfm_harness.console_suites import Outcome, Verdict, get_machine

from tests.console_suites.helpers import PASSING, judge, kinds, recording
from tests.examples import few

NOISE = [
    b"[INF][PS] Encryption alg: 0x5500200\r\n",
    b"\x00[WRN] something of the platform\r\n",
    b"[DBG] connect: handle \x000x40000101\x00\r\n",
    b"\x1b[1;33mvendor log\x1b[0m\n",
    b"\r\n",
]


@pytest.mark.parametrize("name", PASSING)
def test_passes_with_every_case(name: str) -> None:
    suite, number = PASSING[name]
    judgement = judge(recording(name), suite)
    assert judgement.problems == ()
    assert judgement.verdict is Verdict.PASSED
    assert len(judgement.cases) == judgement.count(Outcome.PASSED) == number


@pytest.mark.parametrize("name", PASSING)
def test_no_truncation_passes(name: str) -> None:
    """Cut at every byte: the run is never passed before its last byte."""
    suite, _ = PASSING[name]
    data = recording(name)
    machine = get_machine(suite)
    for index in range(len(data) - 1):
        machine.feed(data[index : index + 1])
        assert not machine.could_pass(), f"cut after {index + 1} of {len(data)} bytes passes"
        if index % 997 == 0:
            assert machine.judgement().verdict is not Verdict.PASSED
    machine.feed(data[-1:])
    assert machine.judgement().verdict is Verdict.PASSED


@pytest.mark.parametrize("name", PASSING)
def test_any_chunking_gives_the_same_judgement(name: str) -> None:
    suite, _ = PASSING[name]
    data = recording(name)
    whole = judge(data, suite)
    rng = random.Random(name)
    for _ in range(25):
        machine = get_machine(suite)
        position = 0
        while position < len(data):
            size = rng.choice((1, 2, 3, 7, 64, 1000))
            machine.feed(data[position : position + size])
            position += size
        assert machine.judgement() == whole


@pytest.mark.parametrize("name", PASSING)
def test_log_lines_between_lines_change_nothing(name: str) -> None:
    suite, number = PASSING[name]
    lines = recording(name).splitlines(keepends=True)
    rng = random.Random(name)
    for _ in range(10):
        noisy = b"".join(line + (rng.choice(NOISE) if rng.random() < 0.2 else b"") for line in lines[:-1]) + lines[-1]
        judgement = judge(noisy, suite)
        assert (judgement.verdict, len(judgement.cases)) == (Verdict.PASSED, number), judgement.problems


@pytest.mark.parametrize("name", PASSING)
def test_colours_do_not_matter(name: str) -> None:
    suite, number = PASSING[name]
    plain = re.sub(rb"\x1b\[[0-9;]*m|\x00", b"", recording(name))
    without_escape = recording(name).replace(b"\x1b", b"")
    for data in (plain, without_escape):
        judgement = judge(data, suite)
        assert (judgement.verdict, judgement.count(Outcome.PASSED)) == (Verdict.PASSED, number), judgement.problems


@pytest.mark.examples
@pytest.mark.parametrize("name", ["regression-v1.8.1-an547.uart", "regression-v2.1.4-an547.uart"])
def test_every_lost_line_that_matters_is_seen(name: str) -> None:
    """Drop one line at a time: only lines that say nothing about the tests may be missed.

    All lines of one recording at night, and a quarter of the other's. Of what each case says, and of lines that may be
    missed, a quarter by day.
    """
    lines = recording(name).splitlines(keepends=True)
    harmless = re.compile(
        rb"Description:|Iteration|REF\(|^\x00*\x1b?\[?[0-9;]*m?\s*$|\[INF\]|\[WRN\]|Booting|Creating|isolation"
        rb"|\[Sec Thread|Non-Secure system starting"
    )
    every = range(len(lines)) if "v2.1.4" in name else range(0, len(lines), 4)
    of_many = re.compile(rb"> Executing|TEST: |" + harmless.pattern)
    for count, index in enumerate(every):
        line = lines[index]
        if count % (4 // few(4)) and of_many.search(line):
            continue
        judgement = judge(b"".join(lines[:index] + lines[index + 1 :]), "tf-m")
        passed = judgement.verdict is Verdict.PASSED
        assert passed == bool(harmless.search(line)), f"without line {index + 1}: {line!r}: {judgement.verdict}"


@pytest.mark.parametrize("name", ["regression-v1.8.1-an547.uart", "regression-v2.1.4-an547.uart"])
def test_a_reset_at_any_line_never_passes(name: str) -> None:
    """Splice a restart behind each line: the run starts from the beginning again, and must not pass."""
    lines = recording(name).splitlines(keepends=True)
    first = next(index for index, line in enumerate(lines) if b"Execute test suites" in line)
    data = b"".join(lines)
    rng = random.Random(name)
    for index in sorted(rng.sample(range(first + 1, len(lines) - 1), 30)):
        for cut in (len(lines[index]), len(lines[index]) // 2):
            spliced = b"".join(lines[:index]) + lines[index][:cut] + data
            judgement = judge(spliced, "tf-m")
            assert judgement.verdict is not Verdict.PASSED
            assert kinds(judgement) & {"reset", "case-not-ended", "suite-not-ended", "summary-missing"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("boot-refused-ns-wrong-key.uart", "image-refused"),
        ("boot-refused-s-payload-flipped.uart", "image-refused"),
        ("boot-stuck-otp.uart", "boot-stuck"),
        ("secure-fault-halt-dump.uart", "fault"),
    ],
)
def test_boots_that_came_to_nothing(name: str, kind: str) -> None:
    judgement = judge(recording(name), "tf-m")
    assert judgement.verdict is not Verdict.PASSED
    assert {kind, "never-started"} <= kinds(judgement)
    assert judgement.cases == ()


def test_damaged_bytes_never_raise_and_a_run_passes_with_all_its_cases_only() -> None:
    name = "regression-v2.1.4-an547.uart"
    data, (_, number) = recording(name), PASSING[name]
    whole = [case.id for case in judge(data, "tf-m").cases]
    assert len(whole) == number
    rng, passed = random.Random(7), 0
    for damaged in [1] * 60 + [rng.randrange(2, 200) for _ in range(40)]:
        changed = bytearray(data)
        for _ in range(damaged):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        judgement = judge(bytes(changed), "tf-m")
        if judgement.verdict is Verdict.PASSED:
            passed += 1
            assert [case.id for case in judgement.cases] == whole
            assert judgement.count(Outcome.PASSED) == number
    assert 0 < passed < 60, "some single bytes do not matter (descriptions), many do"
