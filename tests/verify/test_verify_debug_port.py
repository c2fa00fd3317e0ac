"""The debug port against the lifecycle: every value of the register's fields, right and wrong boards."""

from __future__ import annotations

import itertools

import pytest
from tfm_harness.findings import Report
from tfm_harness.verify import DebugPort, check_debug_port
from tfm_harness.verify.debug_port import Authentication, is_closed_lifecycle, places_to_read

from tests.verify.verify_kit import broken, held

SECURED, ASSEMBLY = 0x3000, 0x1000
REFUSED: dict[int, int | None] = {0x10000000: None, 0x30000000: None}
READ: dict[int, int | None] = {0x10000000: None, 0x30000000: 0x12345678}
SDE = 1 << 20


def judged(dauthstatus: int | None, dhcsr: int | None, reads: dict[int, int | None], lifecycle: int) -> Report:
    report = Report()
    port = DebugPort(dauthstatus=dauthstatus, dhcsr=dhcsr, reads=reads, readable=True)
    check_debug_port(port, lifecycle, report)
    return report


@pytest.mark.parametrize(
    ("at", "content", "known"),
    [
        (0x100, bytes(4) + b"\1\2\3\4" + b"\5", {0x104}),
        (0x100, b"\1" + bytes(10), {0x100}),
        (0x102, b"\xff\xff\1\0\0\0\2", {0x104}),
        (0x100, b"\1\2\3", set()),
    ],
)
def test_whole_words_of_the_build_are_read_beside_places_of_the_region(
    at: int, content: bytes, known: set[int]
) -> None:
    places, of_build = places_to_read([(0x2000, 0x100)], [(at, content)])
    assert of_build == known
    spread = set(places) - known
    assert known <= set(places)
    assert len(spread) > 1
    assert all(0x2000 <= place < 0x2100 and place % 4 == 0 for place in spread)
    assert list(places) == sorted(places)


def test_a_closed_port_passes() -> None:
    for lifecycle in (SECURED, 0x30FF, 0x4000, ASSEMBLY, 0):
        report = judged(0xAF, 0x10001, REFUSED, lifecycle)
        assert report.ok
        assert "debug.consistent" in held(report)
    assert "debug.secure-read" in held(judged(0xAF, 0x10001, REFUSED, SECURED))


@pytest.mark.parametrize("lifecycle", [ASSEMBLY, 0x2000, 0x5000, 0x6000, 0])
def test_an_open_port_passes_where_the_lifecycle_allows_it(lifecycle: int) -> None:
    assert judged(0xFF, SDE, READ, lifecycle).ok


@pytest.mark.parametrize(
    ("dauthstatus", "dhcsr", "reads", "checks"),
    [
        (0xFF, SDE, READ, {"debug.authentication", "debug.secure-state", "debug.secure-read"}),
        (0xEF, 0, REFUSED, {"debug.authentication"}),
        (0xBF, SDE, REFUSED, {"debug.authentication", "debug.secure-state"}),
        (0xAF, SDE, REFUSED, {"debug.secure-state", "debug.consistent"}),
        (0xAF, 0, READ, {"debug.secure-read", "debug.consistent"}),
        (0xBF, 0, REFUSED, {"debug.authentication", "debug.consistent"}),
        (None, 0, REFUSED, {"debug.probe-works"}),
        (0xAF, None, REFUSED, {"debug.probe-works"}),
    ],
)
def test_a_wrong_port_fails_when_secured(
    dauthstatus: int | None, dhcsr: int | None, reads: dict[int, int | None], checks: set[str]
) -> None:
    assert broken(judged(dauthstatus, dhcsr, reads, SECURED)) == checks


def test_a_probe_that_reads_nothing_proves_nothing() -> None:
    report = Report()
    check_debug_port(DebugPort(dauthstatus=0xAF, dhcsr=0, reads=REFUSED), SECURED, report)
    assert broken(report) == {"debug.probe-works"}


def test_every_field_and_lifecycle() -> None:
    for fields in itertools.product(range(4), repeat=4):
        value = sum(field << 2 * at for at, field in enumerate(fields))
        found = Authentication.parse(value | 0xFFFFFF00)
        assert (found.nonsecure_invasive, found.nonsecure_noninvasive) == fields[:2]
        assert (found.secure_invasive, found.secure_noninvasive) == fields[2:]
        assert found.secure_open == (3 in fields[2:])
    closed = {high for high in range(256) if is_closed_lifecycle(high << 8 | 0x5A)}
    assert {0x30, 0x40} <= closed
    assert not closed & {0x00, 0x10, 0x20, 0x50, 0x60}
    assert len(closed) == 251  # what is not known allows nothing
