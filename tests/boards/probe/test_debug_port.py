"""The debug port through pyOCD's own code, on made-up parts: judged right on right parts, and wrong on wrong ones."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tfm_harness.boards.base import RunContext
from tfm_harness.boards.probe import worker
from tfm_harness.boards.probe.board import ProbeBoard
from tfm_harness.config.probe import ProbeTarget
from tfm_harness.errors import InfrastructureError
from tfm_harness.findings import Report
from tfm_harness.testing.simulators.probe_board import entry_point_folder
from tfm_harness.testing.simulators.pyocd_adi import ADI_ENVIRONMENT, NONSECURE, PARTS, SECURE, AdiProbe, Part
from tfm_harness.verify import DebugPort, check_debug_port, places_to_read

from tests.verify.verify_kit import broken, held

SECURED, ASSEMBLY = 0x3000, 0x1000
KNOWN = frozenset(SECURE[:1])


def asked(part: Part, monkeypatch: pytest.MonkeyPatch, folder: Path) -> DebugPort:
    """What the worker says of a part, in this process."""
    probe = AdiProbe("X", part)
    monkeypatch.setattr(worker, "_probe", lambda _: probe)
    request = {
        "probe": "X", "part": "cortex_m", "pack": None, "frequency": None, "erase": "sector", "folder": str(folder),
        "secure": list(SECURE), "nonsecure": NONSECURE,
    }  # fmt: skip
    found = worker.do_debug_port(request)
    assert not probe.is_open
    return DebugPort(
        dauthstatus=found["dauthstatus"], dhcsr=found["dhcsr"], reads=dict(zip(SECURE, found["secure"], strict=True)),
        readable=found["nonsecure"] is not None, disabled=found["disabled"], not_zero=KNOWN,
    )  # fmt: skip


def judged(part: Part, lifecycle: int, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Report:
    report = Report()
    check_debug_port(asked(part, monkeypatch, folder), lifecycle, report)
    return report


@pytest.mark.parametrize("name", ["closed", "closed-adi6", "closed-zeros", "locked"])
def test_a_closed_part_passes(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    report = judged(PARTS[name], SECURED, monkeypatch, tmp_path)
    assert report.ok
    assert "debug.secure-read" in held(report)


@pytest.mark.parametrize("name", ["open", "open-adi6"])
def test_an_open_part_passes_where_the_lifecycle_allows_it(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert judged(PARTS[name], ASSEMBLY, monkeypatch, tmp_path).ok
    assert broken(judged(PARTS[name], SECURED, monkeypatch, tmp_path)) == {
        "debug.authentication", "debug.secure-state", "debug.secure-read",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "checks"),
    [
        ("noninvasive-open", {"debug.authentication"}),
        ("reads-secure", {"debug.secure-read", "debug.consistent"}),
        ("reads-secure-zeros-elsewhere", {"debug.secure-read", "debug.consistent"}),
        ("says-closed", {"debug.secure-read", "debug.consistent"}),
        ("says-closed-by-one-register", {"debug.secure-state", "debug.secure-read", "debug.consistent"}),
        ("says-open", {"debug.authentication", "debug.secure-state"}),
    ],
)
def test_a_wrong_part_fails_when_secured(
    name: str, checks: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert broken(judged(PARTS[name], SECURED, monkeypatch, tmp_path)) == checks


@pytest.mark.parametrize("adi", [5, 6])
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("leak", SECURE[:2])
def test_one_open_word_is_found_wherever_it_is(
    adi: int, zeros: bool, leak: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    part = Part(adi=adi, answers_zero=zeros, leaks=frozenset({leak}))
    assert "debug.secure-read" in broken(judged(part, SECURED, monkeypatch, tmp_path))


def test_zeros_alone_are_no_proof(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They may be all that there is; then nothing is claimed."""
    report = Report()
    port = replace(asked(PARTS["closed-zeros"], monkeypatch, tmp_path), not_zero=frozenset())
    check_debug_port(port, SECURED, report)
    assert report.ok
    assert not port.tells
    assert "debug.secure-read" not in held(report)


def test_a_cable_that_falls_off_is_no_refusal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """At every transfer: an error of the bench, or the whole answer."""
    from pyocd.core import exceptions

    whole = asked(PARTS["closed"], monkeypatch, tmp_path)
    seen = set()
    for after in range(0, 400, 7):
        try:
            found = asked(Part(stops_after=after), monkeypatch, tmp_path)
        except exceptions.Error as error:
            seen.add(worker._explain(error)["error"])
        else:
            seen.add("whole" if found == whole else "another answer")
    assert seen == {"probe-transfer", "whole"}


def test_where_to_read() -> None:
    addresses, known = places_to_read([(0x1000, 0x100)], [(0x1002, bytes(6) + b"\1\0\0\0" + bytes(40) + b"\2\0\0\0")])
    assert known == {0x1008, 0x1034}
    assert known < set(addresses)
    assert {0x1000, 0x10E0} <= set(addresses)
    assert all(address % 4 == 0 for address in addresses)
    many = places_to_read([], [(0x1000, b"\1" * 0x1000)])[1]
    assert 8 <= len(many) <= 16
    assert places_to_read([], [(0x1000, b"")]) == ((), frozenset())


@contextmanager
def board_with(part: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProbeBoard]:
    """A board whose consoles are silent, behind a probe."""
    monkeypatch.setenv("PYTHONPATH", str(entry_point_folder(folder / "site")))
    monkeypatch.setenv(ADI_ENVIRONMENT, f"PART1={part}")
    with socket.create_server(("127.0.0.1", 0)) as console:
        target = ProbeTarget.model_validate(
            {
                "name": "part", "kind": "probe", "probe": "PART1", "operation_timeout": 60,
                "consoles": {"ns": {"kind": "tcp", "host": "127.0.0.1", "port": console.getsockname()[1]}},
            }
        )  # fmt: skip
        with ProbeBoard(target, RunContext(folder / "run", folder / "state")) as board:
            yield board


def test_as_a_board_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Through the process that the harness starts for each operation."""
    with board_with("closed", tmp_path, monkeypatch) as board:
        port = board.debug_port(SECURE, NONSECURE)
        assert "simulator: debug port registers" in board.description["probe"]
    assert port == DebugPort(dauthstatus=0xAF, dhcsr=0x10001, reads=dict.fromkeys(SECURE), readable=True)
    assert not (tmp_path / "run" / "part.probe").exists()


def test_a_probe_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with board_with("closed", tmp_path, monkeypatch) as board:
        monkeypatch.setenv(ADI_ENVIRONMENT, "OTHER=closed")
        with pytest.raises(InfrastructureError, match="no debug probe PART1"):
            board.debug_port(SECURE, NONSECURE)
    assert os.environ[ADI_ENVIRONMENT] == "OTHER=closed"
