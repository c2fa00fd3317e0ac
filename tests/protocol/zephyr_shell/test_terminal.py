"""The one-line terminal: compared with a full emulator on real traffic, and on every kind of rubbish."""

from __future__ import annotations

import itertools

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfm_harness.protocol.zephyr_shell.lines import SECURE_INSERT, LineKind, LineSorter
from tfm_harness.protocol.zephyr_shell.terminal import MAX_COLUMNS, Terminal

from tests.protocol.zephyr_shell.simulator import traffic


def render(data: bytes) -> tuple[list[str], str]:
    terminal = Terminal()
    return [line.text for line in terminal.feed(data)], terminal.current


@pytest.mark.parametrize("name", ["uart-an547.log", "uart-an547-nocolor.log", "uart-i2c.log", "uart-line-editing.log"])
def test_renders_recorded_traffic_as_a_full_emulator_does(name: str) -> None:
    data = b"".join(data for _, way, data in traffic(name) if way == "RX")
    data = data.replace(b"\x1b[H\x1b[2J", b"\r\n")  # a cleared screen keeps no history to compare
    lines, current = render(data)
    screen = pyte.HistoryScreen(1000, 200, history=100_000, ratio=1.0)
    screen.set_mode(pyte.modes.LNM)  # a line feed alone begins a new line
    pyte.ByteStream(screen).feed(data)
    history = ["".join(row[x].data for x in range(1000)).rstrip() for row in screen.history.top]
    shown = history + [line.rstrip() for line in screen.display]
    assert lines == shown[: len(lines)]
    assert shown[len(lines)] == current.rstrip()


@pytest.mark.parametrize(
    ("data", "lines", "current"),
    [
        (b"a\nb\r\nc\r\r\nd", ["a", "b", "c"], "d"),
        (b"abc\x1b[2Dx", [], "axc"),
        (b"abc\x1b[9D\x1b[Jz", [], "z"),
        (b"\x1b[3Cx", [], "   x"),
        (b"a\x00b\x1b[1;31mc\x1b[m", [], "abc"),
        (b"abc\x1b[H\x1b[2Jd", [], "d"),
        (b"abc\rxy\x1b[K", [], "xy"),
        (b"ab\x08c", [], "ac"),
        (b"a\tb", [], "a       b"),
        (b"a\x1b[?25lb\x1b=c\x1b(Bd", [], "abc" + "Bd"),
        (b"\x1b[" + b"9" * 40 + b"Dx", [], "[" + "9" * 40 + "Dx"),
        (b"\xff\xfe", [], "\xff\xfe"),
    ],
)
def test_forms(data: bytes, lines: list[str], current: str) -> None:
    assert render(data) == (lines, current)


@settings(max_examples=300)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=8),
            st.sampled_from(
                [b"\x1b[", b"\x1b[8D\x1b[J", b"uart:~$ ", b"\r\n", b"\n", b"\x1b[12;3", b"[TFLM SERVICE] x\n"]
            ),
        ),
        max_size=30,
    ),
    st.lists(st.integers(0, 240), max_size=40),
)
def test_any_bytes_in_any_chunks(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    whole = Terminal(inserted=SECURE_INSERT)
    expected = list(whole.feed(data))
    pieces, found = Terminal(inserted=SECURE_INSERT), []
    for start, end in itertools.pairwise([0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]):
        found += list(pieces.feed(data[start:end]))
    assert (found, pieces.current) == (expected, whole.current)


def test_a_line_without_end_is_bounded() -> None:
    terminal = Terminal()
    for _ in range(200):
        assert list(terminal.feed(b"x" * 4096)) == []
    assert len(terminal.current) == MAX_COLUMNS


def test_an_escape_without_end_costs_nothing() -> None:
    terminal = Terminal()
    for _ in range(2000):
        list(terminal.feed(b"\x1b[1;" * 100))
    assert len(terminal.current) <= MAX_COLUMNS


def test_prompts_without_vt100_commands() -> None:
    sorter = LineSorter("uart:~$ ")
    (line,) = Terminal().feed(b"uart:~$ uart:~$ infer m[00:00:01.000,000] <wrn> app: x\r\n")
    assert sorter.sort(line, "infer model").kind is LineKind.LOG
    assert sorter.sort(line, "keys").kind is LineKind.STRAY_ECHO
    (line,) = Terminal().feed(b"uart:~$ uart:~$ infer model\r\n")
    assert sorter.sort(line, "infer model").kind is LineKind.ECHO
    assert sorter.is_prompt("uart:~$ uart:~$ ")
    assert not sorter.is_prompt("uart:~$ x")
    assert not sorter.is_prompt("")
