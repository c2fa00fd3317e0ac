"""Untrusted text does nothing where it is shown: not in a terminal, not in a CI system's log."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfm_harness.boards.locks import BoardLock
from tfm_harness.cli.main import main
from tfm_harness.console.text import last_lines, printable
from tfm_harness.errors import InfrastructureError
from tfm_harness.findings import Check, Finding
from tfm_harness.protocol.smp.text import log_tail
from tfm_harness.safe_text import safe
from tfm_harness.testing import MemoryConsole

PAYLOADS = {
    "clear screen": "\x1b[2J\x1b[H",
    "title": "\x1b]0;owned\x07",
    "cursor up": "ok\x1b[1A\x1b[2KPASSED",
    "C1 CSI": "\x9b2J",
    "C1 OSC": "\x9d0;owned\x9c",
    "backspaces": "FAILED\x08\x08\x08\x08\x08\x08PASSED",
    "carriage return": "FAILED\rPASSED",
    "right to left": "\u202edessap\u202c",
    "isolate": "\u2066evil\u2069",
    "line separator": "a\u2028::error::b",
    "zero width": "pass\u200bed",
    "GitHub command": "::error file=x::the product failed",
    "GitHub old command": "text ##[error]the product failed",
    "Azure command": "  ##vso[task.complete result=Succeeded;]",
    "TeamCity command": "##teamcity[testFinished name='x']",
    "second line": "first\n::set-output name=a::b",
    "indented command": "first\n   \t::add-mask::x",
    "NUL and DEL": "a\x00b\x7fc",
}
OBEYED = re.compile(r"^\s*::|##\w*\[", re.MULTILINE)


def harmless(text: str) -> bool:
    return OBEYED.search(text) is None and all(c.isprintable() or c in "\n\t" for c in text)


CHECK = Check(id="test.check", title="t", requirement="none s.1")


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_each_way_out(payload: str, tmp_path: Path) -> None:
    assert harmless(safe(payload))
    assert harmless(safe(payload.encode()))
    console = MemoryConsole(lambda _: b"", tmp_path / "ns.log")
    console.push(payload.encode() + b"\r\n")
    error = InfrastructureError(payload, kind="test", expected=payload, seen=payload, where=payload, hint=payload)
    finding = Finding(check=CHECK, passed=False, expected=payload, seen=payload, where=payload, subject=payload)
    for text in (
        str(error), error.message, error.seen, error.where, error.args[0],
        finding.seen, finding.expected, finding.where, finding.subject,
        last_lines(payload.encode(), 5), log_tail(console, 5),
    ):  # fmt: skip
        assert isinstance(text, str)
        assert harmless(text), repr(text)


PIECES = [
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"\x1b[0m",
    b"\x1b[",
    b"::",
    b"##a[",
    b" ",
    b"ab",
    b"\xc3\xa4",
    b"\xff",
    b"x" * 30,
]


@given(st.lists(st.sampled_from(PIECES), max_size=60), st.integers(1, 5), st.sampled_from([4, 12, 200]))
def test_the_last_lines_are_those_of_the_whole_text(pieces: list[bytes], lines: int, width: int) -> None:
    """They are made safe without all that came before."""
    data = b"".join(pieces)
    whole = printable(data).rstrip("\n").split("\n")[-lines:]
    shown = last_lines(data, lines, width).split("\n")
    assert shown == [line if len(line) <= width else line[: width - 3] + "..." for line in whole]


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_what_another_user_left_in_a_lock(payload: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = BoardLock("mine", tmp_path, {"run_dir": payload, "command": payload})
    lock.acquire()
    try:
        assert main(["boards", "--state-dir", str(tmp_path)]) == 0
    finally:
        lock.release()
    assert harmless(capsys.readouterr().out)


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_wrong_file_that_is_named_in_an_error(payload: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", payload.replace("\x00", "").replace("/", "")])
    assert harmless(capsys.readouterr().err)


def test_ordinary_text_stays() -> None:
    for text in (
        "",
        "plain",
        "tab\tand\nline",
        "µs, Ω, 日本",
        "std::vector a::b",
        "a # b ## c",
        "C:: not at the start",
    ):
        assert safe(text) == text
    assert safe("\x1b[32mPASSED\x1b[0m\r\n") == "PASSED\n"
    assert safe(b"\xff") == "\\xff"


@given(st.text())
def test_harmless_and_made_safe_once(text: str) -> None:
    once = safe(text)
    assert harmless(once)
    assert safe(once) == once


@given(st.binary())
def test_bytes_are_harmless(data: bytes) -> None:
    assert harmless(safe(data))
