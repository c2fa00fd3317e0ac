"""Console suites as a user sees them in pytest: one item a case, whatever the device prints."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.console_suites.helpers import GOOD, ZTEST, recording
from tests.warm import run_pytest

ROOT = Path(__file__).resolve().parents[2]
pytest_plugins = ["pytester"]

TARGET = "kind: attach\nconsoles:\n  ns: {{kind: tcp, host: 127.0.0.1, port: {port}}}\n"
BUILD = "console_suites:\n  - {{suite: {suite}, timeout: {timeout}, silence: {silence}{more}}}\n"


class Printer:
    """A device behind a TCP port that prints a transcript to whoever connects, then hangs or closes."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.data = b""
        self.close_at_end = False
        self.peers: list[socket.socket] = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                self.peers.append(peer)
                peer.sendall(self.data)
                if self.close_at_end:
                    peer.close()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for peer in self.peers:
            peer.close()
        self.thread.join(10)


@pytest.fixture
def printer() -> Iterator[Printer]:
    made = Printer()
    yield made
    made.stop()


Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, printer: Printer) -> Run:
    monkeypatch.setenv("TFM_HARNESS_STATE_DIR", str(pytester.path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "160")
    shutil.copytree(ROOT / "suites" / "console", pytester.path / "console")
    (pytester.path / "targets").mkdir()
    (pytester.path / "targets" / "bench.yaml").write_text(TARGET.format(port=printer.port))
    (pytester.path / "fw_builds").mkdir()

    def go(data: bytes, *args: str, suite: str = "tf-m", timeout: float = 200, silence: float = 3, more: str = "",
           build: str | None = None) -> pytest.RunResult:  # fmt: skip
        printer.data = data
        text = BUILD.format(suite=suite, timeout=timeout, silence=silence, more=more) if build is None else build
        (pytester.path / "fw_builds" / "fw.yaml").write_text(text)
        words = ("--tfm-target", "bench", "--tfm-build", "fw", "-p", "no:cacheprovider", *args, "console")
        return run_pytest(pytester, *words, timeout=300)

    return go


def text(data: str) -> bytes:
    return data.encode("latin-1")


def test_one_item_a_case(run: Run) -> None:
    result = run(text(GOOD), "-v")
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(
        [
            "*test_console_suite[[]*tf-m*[]] PASSED*",
            "*test_console_suite[[]*tf-m*[]]::Secure::T_1001 PASSED*",
            "*::Secure::T_2001 PASSED*",
            "*::Non-secure::T_3001 PASSED*",
        ]
    )
    assert result.ret == 0


def test_recorded_regression(run: Run, pytester: pytest.Pytester) -> None:
    result = run(recording("regression-v2.1.4-an547.uart"), "-q", "--junitxml=junit.xml")
    result.assert_outcomes(passed=180)
    cases = ET.parse(pytester.path / "junit.xml").getroot().findall(".//testcase")
    assert len(cases) == 180
    assert any((case.get("name") or "").endswith("]::Non-secure::TFM_NS_CRYPTO_TEST_1054") for case in cases)


def test_failed_and_skipped_cases(run: Run) -> None:
    data = GOOD.replace("  TEST: T_1002 - PASSED!", "  forced (Failed at its.c:92)\r\n  TEST: T_1002 - FAILED!")
    data = data.replace("TESTSUITE PASSED!", "Number of failed tests: 1 of 2\r\nTESTSUITE FAILED!", 1)
    data = data.replace("'One (T_1XXX)' has\x1b[32m PASSED", "'One (T_1XXX)' has\x1b[31m FAILED")
    data = data.replace("T_2001 - PASSED", "T_2001 - SKIPPED")
    result = run(text(data), "-rs", more=", allow_skipped: true")
    result.assert_outcomes(passed=3, failed=1, skipped=1)
    result.stdout.fnmatch_lines(["*T_1002 failed: about T_1002*", "*forced (Failed at its.c:92)*"])
    result.stdout.fnmatch_lines(["*console, from *", "*TEST: T_1002 - FAILED!*"])
    assert result.ret == 1


def test_truncated_run_fails_and_its_open_case_too(run: Run) -> None:
    cut = GOOD[: GOOD.index("  TEST: T_2001")]
    result = run(text(cut), "-rf")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*not a byte for 3 s; the run stopped in case T_2001*", "*T_2001 incomplete*"])


def test_nothing_at_all(run: Run) -> None:
    result = run(b"")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*infrastructure:silent*not one byte came*"])
    assert result.ret == 10


def test_reset_in_the_middle(run: Run) -> None:
    data = GOOD.replace("  TEST: T_2001", "[INF] Starting bootloader\r\n  TEST: T_2001")
    result = run(text(data))
    result.stdout.fnmatch_lines(["*the device started again in case T_2001*"])
    assert result.ret == 1


def test_refused_image_ends_soon_and_says_so(run: Run) -> None:
    result = run(recording("boot-refused-ns-wrong-key.uart"), silence=250, timeout=280)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*image-refused*Image in the primary slot is not valid*"])


def test_expected_suite_never_seen(run: Run) -> None:
    result = run(text(GOOD), more=", expect: [T_9XXX]")
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*suite 'T_9XXX' was expected and never seen*"])


def test_lost_console_is_the_benchs_fault_and_keeps_the_cases(run: Run, printer: Printer) -> None:
    printer.close_at_end = True
    result = run(text(GOOD[: GOOD.index("  TEST: T_3001")]))
    out = re.sub(r"\s+", " ", result.stdout.str())
    assert "infrastructure:console-closed" in out
    assert "3 passed" in out
    assert result.ret == 1  # the case that was cut is not proven to be the bench's fault


def test_ztest_and_builds_without_suites(run: Run) -> None:
    run(text(ZTEST), suite="ztest").assert_outcomes(passed=3)
    result = run(b"", "-rs", build="description: nothing to print\n")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*not covered: bench+fw has no console-suites*"])


def test_maxfail_stops_after_the_first_case(run: Run) -> None:
    data = GOOD.replace(" - PASSED!", " - FAILED!").replace("TESTSUITE PASSED", "TESTSUITE FAILED")
    data = data.replace("has\x1b[32m PASSED", "has FAILED")
    result = run(text(data), "-x")
    result.assert_outcomes(passed=1, failed=1)


def test_under_xdist(run: Run) -> None:
    result = run(text(GOOD), "-n", "1")
    result.assert_outcomes(passed=5)


def test_durations_are_the_devices(run: Run, pytester: pytest.Pytester) -> None:
    run(text(GOOD), "--junitxml=junit.xml")
    document = ET.parse(pytester.path / "junit.xml")
    properties = document.findall(".//testcase/properties/property")
    assert {"name": "harness.console-suite", "value": "One (T_1XXX)"} in [p.attrib for p in properties]
    assert json.dumps([p.attrib for p in properties])
