"""After a reset only the new boot counts, also where the reset takes a moment and the boot before answers meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tfm_harness.bench import firmware
from tfm_harness.bench.combination import load_combination
from tfm_harness.bench.context import make_context
from tfm_harness.bench.live import LiveCombination, open_bench
from tfm_harness.bench.reset_monitor import ResetMonitor
from tfm_harness.boards.base import ResetKind
from tfm_harness.config import kinds
from tfm_harness.config.build import Build
from tfm_harness.errors import ProductError
from tfm_harness.testing.boards import FakeBoard
from tfm_harness.testing.smp_firmware import ReferenceFirmware


class SlowReset(FakeBoard):
    """The boot before answers `LEFT` more times after a reset was asked for; then it is reset."""

    LEFT = 0
    LOSES_ONE = False
    KEEPS = False
    SILENT = False
    _answers: int | None = None

    def reset(self, kind: ResetKind = ResetKind.WARM) -> None:
        self._note("host-reset", f"{kind} reset by the harness")
        self._answers = self.LEFT

    def _hear(self, data: bytes) -> bytes:
        if self.SILENT:
            return b""
        if self._answers is None:
            return super()._hear(data)
        if self._answers:
            self._answers -= 1
            return super()._hear(data)
        self._answers = None
        if not self.KEEPS:
            self._start()
        return b"" if self.LOSES_ONE else super()._hear(data)


class TellsNoBoot(ReferenceFirmware):
    """Neither its counter nor its seed."""

    def __init__(self) -> None:
        super().__init__()
        describe = self.commands[64, 0]
        self.commands[64, 0] = lambda arguments: {
            key: value for key, value in {**describe(arguments), "seed": b""}.items() if key != "boot"
        }


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], LiveCombination]]:
    monkeypatch.setitem(kinds.BUILT_IN, "fake", "tests.bench.test_new_boot:SlowReset")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench.yaml").write_text("kind: fake\nconsoles: {ns: 0}\n")
    (tmp_path / "build.yaml").write_text("name: fw\nprotocol: smp\nimages: []\ntrust: {iak: provisioned}\n")
    contexts = []

    def make() -> LiveCombination:
        context = open_bench(
            load_combination("bench.yaml", "build.yaml"),
            make_context(str(tmp_path / "run"), str(tmp_path / "state")),
            answer_timeout=0.2,
            boot_timeout=1.0,
        )
        bench = context.__enter__()
        contexts.append(context)
        return bench

    yield make
    for context in contexts:
        context.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("left", "loses_one"), [(0, False), (1, False), (2, False), (3, False), (7, False), (0, True), (2, True), (3, True)]
)
def test_the_boot_before_is_not_taken_for_the_new_one(
    opened: Callable[[], LiveCombination], monkeypatch: pytest.MonkeyPatch, left: int, loses_one: bool
) -> None:
    monkeypatch.setattr(SlowReset, "LEFT", left)
    monkeypatch.setattr(SlowReset, "LOSES_ONE", loses_one)
    bench = opened()
    before = bench.description
    for number in (1, 2):
        now = bench.reset(ResetKind.WARM)
        assert now.boot == (before.boot or 0) + number
        assert bench.description == now
        assert bench.device.describe().boot_seed == now.boot_seed != before.boot_seed


def test_firmware_that_keeps_counter_and_seed_is_for_the_tests_to_judge(
    opened: Callable[[], LiveCombination], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firmware, "_LINGERING", 0.1)
    monkeypatch.setattr(SlowReset, "KEEPS", True)
    bench = opened()
    before = bench.description
    now = bench.reset(ResetKind.COLD)
    assert (now.boot, now.boot_seed) == (before.boot, before.boot_seed)


def test_firmware_that_tells_no_boot_is_believed(
    opened: Callable[[], LiveCombination], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firmware, "_LINGERING", 1e6)
    monkeypatch.setattr(SlowReset, "make_firmware", lambda _: TellsNoBoot())
    bench = opened()
    assert bench.reset(ResetKind.COLD).boot is None


def test_one_that_does_not_come_back_is_told_as_before(
    opened: Callable[[], LiveCombination], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firmware, "_LINGERING", 0.1)
    bench = opened()
    monkeypatch.setattr(SlowReset, "SILENT", True)
    with pytest.raises(ProductError) as caught:
        bench.reset(ResetKind.COLD)
    assert caught.value.kind == "boot-hung"


class TellsResets(FakeBoard):
    """Its firmware resets itself when it is asked to, and the board tells so, as an emulator does."""

    def make_firmware(self) -> ReferenceFirmware:
        firmware = ReferenceFirmware()
        firmware.commands[0, 5] = self._reset_itself  # OS group, reset
        return firmware

    def _reset_itself(self, _arguments: object) -> dict[str, object]:
        self._note("guest-reset", "the firmware reset itself")
        return {}


def test_a_reset_that_the_board_tells_needs_no_other_sign(
    opened: Callable[[], LiveCombination], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test that puts older memory back gets the same counter again: nothing is waited for then."""
    monkeypatch.setattr(firmware, "_LINGERING", 1e6)
    monkeypatch.setattr(ResetMonitor, "_tells_resets", lambda _: True)
    monkeypatch.setitem(kinds.BUILT_IN, "fake", "tests.bench.test_new_boot:TellsResets")
    bench = opened()
    before = bench.description
    now = bench.reset_by_request()
    assert (now.boot, now.boot_seed) == (before.boot, before.boot_seed)


def test_time_of_the_device_is_counted_once(opened: Callable[[], LiveCombination]) -> None:
    bench = opened()
    first, began = bench.device_seconds, time.perf_counter()
    with bench.booting():
        assert not bench.device.test_commands.is_silent(0.2)
        bench.let_run(0.05)
    bench.device.describe()
    assert 0.05 <= bench.device_seconds - first <= time.perf_counter() - began


class SlowStart(FakeBoard):
    """After it was flashed again it loses so many requests before it listens, as in an emulator on a busy host."""

    LOSES = 0
    lost = 0

    def flash(self, build: Build) -> None:
        self.lost = self.LOSES if self._flashed else 0
        super().flash(build)

    def _hear(self, data: bytes) -> bytes:
        self.lost -= 1
        return b"" if self.lost >= 0 else super()._hear(data)


@pytest.mark.parametrize(("loses", "answers"), [(0, True), (1, True), (4, True), (1 << 30, False)])
def test_an_image_that_must_run_is_waited_for(
    opened: Callable[[], LiveCombination], monkeypatch: pytest.MonkeyPatch, loses: int, answers: bool
) -> None:
    """Longer than the silence of one that must not run, which is three times as long as a boot."""
    monkeypatch.setitem(kinds.BUILT_IN, "fake", "tests.bench.test_new_boot:SlowStart")
    bench = opened()
    monkeypatch.setattr(SlowStart, "LOSES", loses)
    bench.flash_variant(bench.combination.build)
    assert bench.stays_silent() == (loses > 0)
    assert bench.answers() == answers
