"""The search for secrets in what comes out of a board, without a board."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from tfm_harness import Checks, SecretSearch
from tfm_harness.findings import Check, Report
from tfm_harness.verify import Scanner, Secret

KEY = bytes.fromhex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")  # RFC 6979 A.2.5, public
CLEAN = b"[NS] nothing of interest\n"
CHECK = Check(id="test.secret-in-files", title="no secret stands in a file", requirement="test")


class Work:
    """A board that has said this, oldest first."""

    def __init__(self, *said: bytes) -> None:
        self.said = list(said)

    def outputs(self, *, begun: bool = False) -> Iterator[tuple[str, bytes, bool]]:
        for number, data in enumerate(self.said):
            if not begun or number:
                yield f"console {number}", data, True

    def memories(self) -> Iterator[tuple[str, bytes]]:
        for number, data in enumerate(self.said):
            yield f"memory {number}", data


@pytest.fixture
def report() -> Report:
    return Report()


def search_of(work: Work, report: Report) -> SecretSearch:
    return SecretSearch(cast("Any", work), Checks(report))


def failed(report: Report) -> list[str]:
    return [finding.subject for finding in report.findings if not finding.passed]


SOUGHT = [(SecretSearch.SECRET_OUT, [Secret(name="key", data=KEY)])]


def test_a_secret_is_found_in_each_place_where_it_stands(report: Report) -> None:
    shown = b"[NS] key " + KEY.hex().encode() + b"\n"
    search = search_of(Work(shown, CLEAN, shown), report)
    search.outputs(SOUGHT)
    assert failed(report) == ["console 0", "console 2"]
    report.findings.clear()
    search.outputs(SOUGHT, newest=True)
    assert failed(report) == ["console 2"]
    report.findings.clear()
    search_of(Work(bytes(99) + KEY, bytes(2000)), report).memory([(SecretSearch.SECRET_LEFT, SOUGHT[0][1])])
    assert failed(report) == ["memory 0"]
    assert {finding.check.id for finding in report.findings} == {SecretSearch.SECRET_LEFT.id}


def test_single_words_and_fingerprints_are_found_in_what_came_since_the_start(report: Report) -> None:
    word = b"[NS] id " + KEY[:4].hex().encode() + b"\n"
    digest = b"[NS] md5 " + b"22fbcd86ec01b06e8aef95c1a29a0a04" + b"\n"
    search_of(Work(word, word, digest), report).outputs(SOUGHT, marked=SOUGHT[0][1])
    assert failed(report) == ["single words, console 1"]  # the digest is another key's
    found = Scanner([Secret(name="key", data=KEY)])
    assert found.scan(word) == []


def test_findings_are_judged_when_the_block_ends_and_in_the_order_of_the_calls(report: Report) -> None:
    work = Work(CLEAN, KEY.hex().encode())
    search = search_of(work, report)
    with search.beside():
        search.outputs(SOUGHT)
        work.said[1] = CLEAN  # what was read is searched, whatever the board does meanwhile
        with search.beside():
            search.memory([(SecretSearch.SECRET_LEFT, SOUGHT[0][1])])
        assert report.findings == []
    assert failed(report) == ["console 1"]
    subjects = [finding.subject for finding in report.findings]
    assert subjects == [
        "console 0", "console 1", "single words, console 1", "memory 0", "memory 1",
    ]  # fmt: skip
    report.findings.clear()
    search.outputs(SOUGHT)
    assert failed(report) == []


def test_the_search_runs_while_the_block_does(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, scan = threading.Event(), Scanner.scan

    def told(scanner: Scanner, data: bytes, *, text: bool = True) -> object:
        begun.set()
        return scan(scanner, data, text=text)

    monkeypatch.setattr(Scanner, "scan", told)
    search = search_of(Work(CLEAN), report)
    with search.beside():
        search.outputs(SOUGHT)
        assert begun.wait(20)


def test_what_was_found_counts_although_the_block_fails(report: Report) -> None:
    search = search_of(Work(KEY.hex().encode()), report)

    def block() -> None:
        with search.beside():
            search.outputs(SOUGHT)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()
    assert failed(report) == ["console 0"]


def test_a_search_that_fails_fails_the_block(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = Scanner.scan

    def broken(scanner: Scanner, data: bytes, *, text: bool = True) -> object:
        if data == CLEAN:
            raise ZeroDivisionError
        return scan(scanner, data, text=text)

    monkeypatch.setattr(Scanner, "scan", broken)
    search = search_of(Work(CLEAN, KEY.hex().encode()), report)
    with pytest.raises(ZeroDivisionError):
        search.outputs(SOUGHT)
    assert failed(report) == ["console 1"]  # what the other searches found is told
    monkeypatch.undo()
    search.memory([])
    assert failed(report) == ["console 1"]


def test_the_newest_bytes_of_every_file_are_searched(report: Report, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, content in (
        ("a.log", CLEAN), ("in/b.log", CLEAN * 9 + KEY.hex().encode()), ("old.log", KEY.hex().encode() + CLEAN * 9),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
    (tmp_path / "link.log").symlink_to(tmp_path / "in" / "b.log")
    search = search_of(Work(), report)
    assert search.files(CHECK, SOUGHT[0][1], tmp_path, newest=100) == 3
    assert failed(report) == ["in/b.log"]
    assert sorted(finding.subject for finding in report.findings) == ["a.log", "in/b.log", "old.log"]


def test_a_search_that_is_blind_to_a_notation_is_told(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    search = search_of(Work(), report)
    places = [("a log", CLEAN * 40), ("nothing", b"")]
    search.canaries(places, text=True)
    search.canaries(places, text=False)
    assert len(report.findings) == 4
    assert failed(report) == []
    scan = Scanner.scan

    def blind(scanner: Scanner, data: bytes, *, text: bool = True) -> object:
        return [leak for leak in scan(scanner, data, text=text) if leak.secret != "base32"]

    monkeypatch.setattr(Scanner, "scan", blind)
    search.canaries(places, text=True)
    assert [finding.seen for finding in report.findings[4:]] == ["missed: base32"] * 2
