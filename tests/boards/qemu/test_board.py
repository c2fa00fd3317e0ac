"""The QEMU board, on firmware that misbehaves on request."""

from __future__ import annotations

import os
import random
import re
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tfm_harness.boards.base import ClockQuality, PowerState, ResetKind
from tfm_harness.boards.emulated_cpu import Registers
from tfm_harness.boards.kept_place import board_key
from tfm_harness.boards.locks import list_boards
from tfm_harness.boards.qemu.board import QemuBoard
from tfm_harness.boards.supervisor import wait_until
from tfm_harness.boards.virtual import Burned
from tfm_harness.config.build import Build
from tfm_harness.config.loading import load_target
from tfm_harness.config.target import TargetTimeouts
from tfm_harness.console.base import Mark
from tfm_harness.errors import ConfigError, HarnessBug, InfrastructureError, ProductError
from tfm_harness.stimulus.player import PlayedStimulus
from tfm_harness.stimulus.sensors import LSM303DLHC, TMP105
from tfm_harness.testing import ask_line, wait_until_ready

pytestmark = pytest.mark.qemu

START = Mark(0)
READY = re.compile(rb"ready ([0-9a-f]{8})\n")


def wait_event(board: QemuBoard, kind: str) -> None:
    assert wait_until(lambda: any(event.kind == kind for event in board.events), 5.0), board.events


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_boots_and_talks_on_both_consoles(probe_board: QemuBoard) -> None:
    wait_until_ready(probe_board, READY)
    probe_board.console("secure").wait_for(b"secure log\n", timeout=5, since=START)
    assert ask_line(probe_board, "echo hello") == "hello"
    assert re.fullmatch(r"QEMU \d+\.\d+\.\d+", probe_board.description["emulator"])
    assert probe_board.console("ns").transcript.read_bytes().endswith(b"hello\n")
    with pytest.raises(ConfigError, match="console-unknown"):
        probe_board.console("uart7")


@pytest.mark.parametrize("quick", [True, False])
def test_only_the_emulated_cpu_waits_for_the_main_loop(
    probe_board: QemuBoard, monkeypatch: pytest.MonkeyPatch, quick: bool
) -> None:
    """The other way round firmware that spins until the main loop has done something would take a turn each time."""
    monkeypatch.setattr("tfm_harness.boards.qemu.machine.is_quick", lambda *_: quick)
    probe_board.reset(ResetKind.COLD)
    policies = {task.name: os.sched_getscheduler(int(task.name)) for task in tasks_of(probe_board)}
    assert list(policies.values()).count(os.SCHED_BATCH) == quick
    assert probe_board.child is not None
    assert policies[str(probe_board.child.pid)] == os.SCHED_OTHER
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def tasks_of(board: QemuBoard) -> list[Path]:
    assert board.child is not None
    return list(Path(f"/proc/{board.child.pid}/task").iterdir())


def test_otp_and_entropy_are_where_the_protocol_says(probe_board: QemuBoard) -> None:
    wait_until_ready(probe_board, READY)
    assert ask_line(probe_board, "word 38000000") == "4f4d4654"
    assert ask_line(probe_board, "word 38000008") == "00003000"
    huk = probe_board.identity.huk
    assert huk is not None
    assert ask_line(probe_board, "word 38000010") == f"{int.from_bytes(huk[:4], 'little'):08x}"
    assert ask_line(probe_board, "word 38001000") == "454d4654"


def test_lifecycle_can_be_chosen(probe_board: QemuBoard) -> None:
    wait_until_ready(probe_board, READY)
    mark = probe_board.console("ns").mark()
    probe_board.provision(Burned(lifecycle=0x1000))
    probe_board.reset(ResetKind.COLD)
    wait_until_ready(probe_board, READY, since=mark)
    assert ask_line(probe_board, "word 38000008") == "00001000"
    assert probe_board.identity.lifecycle == 0x1000


def test_cold_reset_draws_new_entropy_warm_does_not(probe_board: QemuBoard) -> None:
    console = probe_board.console("ns")
    wait_until_ready(probe_board, READY)
    first = ask_line(probe_board, "word 38001008")
    mark = console.mark()
    probe_board.reset(ResetKind.WARM)
    wait_until_ready(probe_board, READY, since=mark)
    assert ask_line(probe_board, "word 38001008") == first
    mark = console.mark()
    probe_board.reset(ResetKind.COLD)
    wait_until_ready(probe_board, READY, since=mark)
    assert ask_line(probe_board, "word 38001008") != first
    assert [event.kind for event in probe_board.events] == ["host-reset", "host-reset"]


def test_nv_memory_outlives_resets_until_erased(probe_board: QemuBoard) -> None:
    console = probe_board.console("ns")
    wait_until_ready(probe_board, READY)
    for kind in ResetKind:
        assert ask_line(probe_board, "poke 70000000 1234abcd") == "ok"
        mark = console.mark()
        probe_board.reset(kind)
        wait_until_ready(probe_board, READY, since=mark)
        assert ask_line(probe_board, "word 70000000") == "1234abcd"
    with pytest.raises(HarnessBug, match="while the board is off"):
        probe_board.erase()
    probe_board.power(PowerState.OFF)
    probe_board.erase()
    mark = console.mark() if console.received else START
    probe_board.power(PowerState.ON)
    wait_until_ready(probe_board, READY, since=mark)
    assert ask_line(probe_board, "word 70000000") == "00000000"


def test_guest_reset_is_seen_where_it_happened(probe_board: QemuBoard) -> None:
    console = probe_board.console("ns")
    wait_until_ready(probe_board, READY)
    assert not probe_board.events
    mark = console.mark()
    console.write(b"reset\n")
    wait_until_ready(probe_board, READY, since=mark)
    wait_event(probe_board, "guest-reset")
    event = probe_board.events[-1]
    assert mark.offset <= event.console_offsets["ns"] <= console.mark().offset
    assert "guest-reset" in event.detail


def test_lockup_is_the_products_fault(probe_board: QemuBoard) -> None:
    wait_until_ready(probe_board, READY)
    with pytest.raises(ProductError, match="lockup") as caught:
        ask_line(probe_board, "lockup")
    assert "Lockup" in (caught.value.seen or "")
    with pytest.raises(ProductError, match="lockup"):
        probe_board.check_alive()
    wait_event(probe_board, "emulator-exit")


def test_killed_emulator_is_the_benchs_fault_at_once(probe_board: QemuBoard) -> None:
    wait_until_ready(probe_board, READY)
    child = probe_board.child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(InfrastructureError, match="killed by SIGKILL") as caught:
        probe_board.console("ns").wait_for(b"never", timeout=60)
    assert caught.value.kind == "emulator-exit"
    with pytest.raises(InfrastructureError, match="emulator-exit"):
        probe_board.set_properties({("/machine/peripheral/sensor-temp", "temperature"): 1})
    mark = probe_board.console("ns").received
    probe_board.reset(ResetKind.COLD)  # usable afterwards
    wait_until_ready(probe_board, READY, since=Mark(mark))


def test_hung_emulator_is_named_and_can_be_released(probe_board: QemuBoard, tmp_path: Path) -> None:
    wait_until_ready(probe_board, READY)
    child = probe_board.child
    assert child is not None
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(InfrastructureError, match=r"monitor did not answer in 0\.3 s") as caught:
        probe_board._machine._require().execute_all([("query-status", {})], timeout=0.3)
    assert caught.value.kind == "qmp-timeout"
    assert wait_until(child.frozen, 5)
    with pytest.raises(InfrastructureError, match=f"process {child.pid} is held") as caught:
        probe_board.check_alive()
    assert caught.value.kind == "emulator-frozen"
    with pytest.raises(InfrastructureError, match="emulator-frozen"):
        probe_board.set_properties({("/machine/peripheral/sensor-temp", "temperature"): 1})
    os.kill(child.pid, signal.SIGCONT)
    assert wait_until(lambda: not child.frozen(), 5)
    probe_board.check_alive()
    os.kill(child.pid, signal.SIGSTOP)
    mark = probe_board.console("ns").mark()
    probe_board.reset(ResetKind.COLD)  # usable afterwards
    assert gone(child.pid)
    wait_until_ready(probe_board, READY, since=mark)
    hung = probe_board.child
    assert hung is not None
    os.kill(hung.pid, signal.SIGSTOP)
    probe_board.release()
    assert gone(hung.pid)
    assert not [use for use in list_boards(tmp_path / "state") if use.locked]


def test_full_disk_for_the_transcript_is_the_benchs_fault(
    make_qemu: Callable[..., QemuBoard], probe_build: Build, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "board-ns.log").symlink_to("/dev/full")
    board = make_qemu()
    board.acquire()
    board.flash(probe_build)
    with pytest.raises(InfrastructureError, match="No space left on device") as caught:
        wait_until_ready(board, READY)
    assert caught.value.kind == "transcript-write"
    board.release()
    assert not [use for use in list_boards(tmp_path / "state") if use.locked]


def test_run_folder_that_cannot_be_made(
    make_qemu: Callable[..., QemuBoard], probe_build: Build, tmp_path: Path
) -> None:
    (tmp_path / "run").write_text("a file")
    board = make_qemu()
    board.acquire()
    with pytest.raises(InfrastructureError) as caught:
        board.flash(probe_build)
    assert str(tmp_path / "run") in (caught.value.where or "")
    assert board.child is None


def test_exit_status_zero_is_no_pass(probe_board: QemuBoard) -> None:
    wait_until_ready(probe_board, READY)
    child = probe_board.child
    assert child is not None
    os.kill(child.pid, signal.SIGTERM)  # QEMU then ends with status 0
    with pytest.raises(InfrastructureError, match="exit status 0"):
        probe_board.console("ns").wait_for(b"never", timeout=60)


def test_silent_firmware_times_out_with_the_last_lines(probe_board: QemuBoard) -> None:
    wait_until_ready(probe_board, READY)
    with pytest.raises(InfrastructureError, match="console-timeout") as caught:
        ask_line(probe_board, "silence", timeout=0.3)
    assert "not one byte" in (caught.value.seen or "")
    assert "ready" in (caught.value.where or "")


def test_sensors_read_what_was_set_to_the_bit(probe_board: QemuBoard) -> None:
    wait_until_ready(probe_board, READY)
    stimulus = probe_board.stimulus()
    assert isinstance(stimulus, PlayedStimulus)
    draw = random.Random(7)
    field = [0.0, 186.181, 0.001, 0.090, 0.091] + [draw.uniform(0, 186.18) for _ in range(20)]
    degrees = [-128.0, 127.999, -0.001, -0.0625, -0.07, 0.0, 0.0625] + [draw.uniform(-128, 127.9) for _ in range(20)]
    for index, value in enumerate(field + degrees):
        if index < len(field):
            stimulus.set("mag.x", value)
            stimulus.set("mag.y", field[-1 - index])
            stimulus.set("mag.z", value)
        else:
            stimulus.set("temp", value)
        want = stimulus.sample()
        mag = bytes.fromhex(ask_line(probe_board, "mag"))
        x, z, y = (int.from_bytes(mag[at : at + 2], "big", signed=True) for at in (0, 2, 4))
        temp = int.from_bytes(bytes.fromhex(ask_line(probe_board, "temp")), "big", signed=True)
        assert (x, y, z, temp / 16) == (want.x, want.y, want.z, want.t)


def test_sensor_values_outlive_every_reset(probe_board: QemuBoard) -> None:
    console = probe_board.console("ns")
    wait_until_ready(probe_board, READY)
    stimulus = probe_board.stimulus()
    assert stimulus is not None
    stimulus.set("mag.x", 100.0)
    expected = f"{LSM303DLHC.counts('x', 100_000):04x}"
    for way in ("warm", "cold", "guest"):
        mark = console.mark()
        if way == "guest":
            console.write(b"reset\n")
        else:
            probe_board.reset(ResetKind(way))
        wait_until_ready(probe_board, READY, since=mark)
        wait_event(probe_board, "guest-reset" if way == "guest" else "host-reset")
        assert wait_until(lambda: ask_line(probe_board, "mag")[:4] == expected, 2.0 if way == "guest" else 0.0), way


def test_refused_property_says_what_qemu_said(probe_board: QemuBoard) -> None:
    with pytest.raises(InfrastructureError, match="out of register's range"):
        probe_board.set_properties({("/machine/peripheral/sensor-mag", "mag-x"): 999_999})


def test_deterministic_mode_repeats_ticks(make_qemu: Callable[..., QemuBoard], probe_build: Build) -> None:
    ticks = []
    for _ in range(3):
        board = make_qemu(deterministic=True)
        board.acquire()
        board.flash(probe_build)
        ticks.append(int(wait_until_ready(board, READY).groups[0] or b"", 16))
        assert board.clock_quality is ClockQuality.DETERMINISTIC
        board.release()
    assert max(ticks) - min(ticks) <= 2, ticks


def test_two_boards_are_two_identities_kept_between_runs(
    make_qemu: Callable[..., QemuBoard], probe_build: Build, tmp_path: Path
) -> None:
    huks = []
    for name in ("one", "two", "one"):
        board = make_qemu(name=name)
        board.acquire()
        board.flash(probe_build)
        huks.append(board.identity.huk)
        board.release()
    assert huks[0] == huks[2] != huks[1]
    (folder,) = (tmp_path / "state" / "boards").glob("one@*")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_fresh_identity_is_never_on_disk(
    make_qemu: Callable[..., QemuBoard], probe_build: Build, tmp_path: Path
) -> None:
    huks = set()
    for _ in range(2):
        board = make_qemu(fresh=True)
        board.acquire()
        board.flash(probe_build)
        huks.add(board.identity.huk)
        wait_until_ready(board, READY)
        assert ask_line(board, "word 70000000") == "00000000"
        assert ask_line(board, "poke 70000000 77") == "ok"
        mark = board.console("ns").mark()
        board.reset(ResetKind.COLD)
        wait_until_ready(board, READY, since=mark)
        assert ask_line(board, "word 70000000") == "00000077"
        board.release()
    assert len(huks) == 2
    assert not [path for path in tmp_path.rglob("*") if path.name in {"huk.TEST_ONLY.bin", "nv.img", "boards"}]


def test_boards_of_fresh_identity_do_not_wait_for_each_other(
    make_qemu: Callable[..., QemuBoard], probe_build: Build, tmp_path: Path
) -> None:
    boards = [make_qemu(fresh=fresh) for fresh in (False, True, True)]
    for board in boards:
        board.acquire()
    key = board_key(boards[0].target)
    assert [use.name for use in list_boards(tmp_path / "state") if use.locked] == [key, f"{key}~0", f"{key}~1"]
    boards[1].flash(probe_build)
    boards[2].flash(probe_build)
    assert boards[1].identity.huk != boards[2].identity.huk


def test_release_leaves_no_process_thread_descriptor_or_lock(
    make_qemu: Callable[..., QemuBoard], probe_build: Build, tmp_path: Path
) -> None:
    import threading

    warm_up = make_qemu()
    warm_up.acquire()
    warm_up.flash(probe_build)
    warm_up.release()
    threads = {thread.name for thread in threading.enumerate()}
    descriptors = sorted(Path("/proc/self/fd").iterdir())
    board = make_qemu()
    board.acquire()
    board.flash(probe_build)
    assert board.child is not None
    pid = board.child.pid
    board.release()
    board.release()
    assert gone(pid)
    assert {thread.name for thread in threading.enumerate()} == threads
    assert sorted(Path("/proc/self/fd").iterdir()) == descriptors
    assert not [use for use in list_boards(tmp_path / "state") if use.locked]


def test_changed_image_is_refused_at_the_next_cold_start(
    make_qemu: Callable[..., QemuBoard], probe_build: Build, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.elf"
    copy.write_bytes(probe_build.images[0].file.read_bytes())
    build = probe_build.model_copy(update={"images": (probe_build.images[0].model_copy(update={"file": copy}),)})
    board = make_qemu()
    board.acquire()
    board.flash(build)
    copy.write_bytes(copy.read_bytes() + b"\0")
    with pytest.raises(InfrastructureError, match="image-changed"):
        board.reset(ResetKind.COLD)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"binary": "qemu-system-nowhere"}, "tool-missing", "apt-get install qemu-system-arm"),
        ({"minimum_version": "99.0"}, "emulator-version", "99.0 or newer"),
        ({"machine": "mps3-an574"}, "machine-unknown", "did you mean 'mps3-an547'?"),
        ({"args": ("-device", "no-such-device")}, "emulator-start", "no-such-device"),
        ({"binary": "/bin/true"}, "emulator-start", "QEMU refused to start"),
    ],
)
def test_emulator_that_cannot_be_used(
    make_qemu: Callable[..., QemuBoard], probe_build: Build, changes: dict[str, object], kind: str, words: str
) -> None:
    board = make_qemu(**changes)
    board.acquire()
    with pytest.raises(ConfigError if kind == "machine-unknown" else InfrastructureError) as caught:
        board.flash(probe_build)
    assert caught.value.kind == kind
    assert words in str(caught.value)
    assert board.child is None


def test_old_emulator_that_does_not_know_our_options(
    make_qemu: Callable[..., QemuBoard], probe_build: Build, tmp_path: Path
) -> None:
    old = tmp_path / "old-qemu"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "QEMU emulator version 4.2.1" && exit\n'
                   'echo "-chardev: Property fd not found" >&2\nexit 1\n')  # fmt: skip
    old.chmod(0o755)
    board = make_qemu(binary=str(old))
    board.acquire()
    with pytest.raises(InfrastructureError, match=r"QEMU 4\.2\.1 is too old"):
        board.flash(probe_build)


def test_a_program_that_is_no_emulator_and_never_answers_is_named(
    make_qemu: Callable[..., QemuBoard], probe_build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute = tmp_path / "mute"
    mute.write_text("#!/bin/sh\necho thinking\nexec sleep 60\n")
    mute.chmod(0o755)
    monkeypatch.setattr("tfm_harness.boards.qemu.machine._START_TIMEOUT", 0.5)
    board = make_qemu(binary=str(mute))
    board.acquire()
    with pytest.raises(InfrastructureError) as caught:
        board.flash(probe_build)
    assert caught.value.kind == "qmp-timeout"
    assert str(mute) in (caught.value.where or "")
    assert "`binary` is qemu-system-arm" in (caught.value.hint or "")
    assert board.child is None


def test_second_session_is_told_who_has_the_board(make_qemu: Callable[..., QemuBoard], tmp_path: Path) -> None:
    first = make_qemu()
    first.acquire()
    second = make_qemu()
    with pytest.raises(InfrastructureError, match="board-busy") as caught:
        second.acquire()
    assert str(os.getpid()) in (caught.value.seen or "")
    uses = list_boards(tmp_path / "state")
    assert [(use.name, use.locked, use.holder["pid"]) for use in uses] == [
        (board_key(first.target), True, str(os.getpid()))
    ]
    first.release()
    second.acquire()


SESSION = """
    import sys, os, time, threading
    from pathlib import Path
    from tfm_harness.boards.base import RunContext
    from tfm_harness.boards.qemu.board import QemuBoard
    from tfm_harness.config.loading import load_build, load_target

    def main():
        target = load_target(sys.argv[1]).model_copy(update={"name": "board"})
        board = QemuBoard(target, RunContext(Path(sys.argv[3]), Path(sys.argv[4])))
        board.acquire()
        board.flash(load_build(sys.argv[2]))
        print(board.child.pid, flush=True)

    if sys.argv[5] == "thread":   # the thread that asked for the board ends; the board must live on
        thread = threading.Thread(target=main)
        thread.start()
        thread.join()
    else:
        main()
    time.sleep(600)
"""


@pytest.mark.parametrize("where", ["main", "thread"])
def test_nothing_survives_sigkill_of_the_harness(
    where: str, probe_build: Build, tmp_path: Path, make_qemu: Callable[..., QemuBoard]
) -> None:
    root = Path(__file__).resolve().parents[3]
    script = tmp_path / "session.py"
    script.write_text(textwrap.dedent(SESSION))
    assert probe_build.path is not None
    target = load_target("qemu-an547").path
    words = [script, target, probe_build.path, tmp_path / "run", tmp_path / "state", where]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen(
        [sys.executable, *map(str, words)], stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path
    ) as session:
        assert session.stdout is not None
        pid = int(session.stdout.readline())
        assert not gone(pid)
        with pytest.raises(InfrastructureError, match="board-busy"):
            make_qemu().acquire()
        session.kill()
    assert wait_until(lambda: gone(pid), 5.0)
    # The lock is free as soon as the last program of the session has ended; then the board is usable.
    board = make_qemu(timeouts=TargetTimeouts(acquire=10))
    board.acquire()
    board.flash(probe_build)
    wait_until_ready(board, READY)


def test_chatter_is_kept_whole(probe_board: QemuBoard) -> None:
    """Some 64 kB through the emulated UART; the console's own tests have fifty."""
    console = probe_board.console("ns")
    wait_until_ready(probe_board, READY)
    mark = console.mark()
    console.write(b"flood 400\n")
    found = console.wait_for(b"flood end\n", timeout=60, since=mark)
    assert found.start - mark.offset == 0x400 * 64
    assert console.transcript.stat().st_size == console.received


def test_reset_before_flash_and_flash_before_acquire_are_bugs(
    make_qemu: Callable[..., QemuBoard], probe_build: Build
) -> None:
    board = make_qemu()
    with pytest.raises(HarnessBug, match="before acquire"):
        board.flash(probe_build)
    board.acquire()
    with pytest.raises(HarnessBug, match="before flash"):
        board.reset()
    with pytest.raises(InfrastructureError, match="board-off"):
        board.check_alive()


def test_temperature_model_agrees_with_its_inverse() -> None:
    for count in range(-2048, 2048):
        assert TMP105.counts(TMP105.millidegrees(count)) == count


def test_nv_memory_is_read_written_and_stopped_at(probe_board: QemuBoard) -> None:
    wait_until_ready(probe_board, READY)
    nv = probe_board.nv
    assert nv is not None
    assert (nv.address, nv.size) == (0x7000_0000, 4 << 20)
    assert ask_line(probe_board, "poke 70000100 11223344") == "ok"
    assert nv.read(0x100, 4).hex() == "44332211"
    nv.write(0x104, b"\1\2\3\4")  # flash that changes under a running firmware
    assert ask_line(probe_board, "word 70000104") == "04030201"
    seen: list[bytes] = []
    looked: list[bytes] = []

    def look(_: int) -> None:
        seen.append(nv.read(0x108, 8))
        looked.append(stops.read(0x7000_0108, 8))
        stops.write(0x7000_0110, looked[-1][:4])

    with probe_board.write_stops([0x7000_0108], look) as stops:
        assert ask_line(probe_board, "poke 70000108 00000001") == "ok"
        assert ask_line(probe_board, "poke 7000010c 00000002") == "ok"  # not watched
        assert ask_line(probe_board, "poke 70000108 00000003") == "ok"
    assert stops.stops == 2
    assert [value.hex() for value in seen] == ["0100000000000000", "0300000002000000"]
    assert looked == seen
    assert nv.read(0x110, 4).hex() == "03000000"
    assert ask_line(probe_board, "poke 70000108 00000004") == "ok"
    assert len(seen) == 2
    with pytest.raises(ValueError, match="not inside"):
        nv.read(nv.size, 1)


def test_the_stopped_cpu_itself_writes_system_registers(probe_board: QemuBoard) -> None:
    """A debugger's write to the selector of the attribution unit's regions is dropped (QEMU 7), a store never is."""
    selector = 0xE000_EDD8
    wait_until_ready(probe_board, READY)
    seen: list[bytes] = []

    def look(_: int) -> None:
        before = [stops.remote.read_register(number) for number in (*range(16), 25)]
        stops.write(selector, b"\5\0\0\0")
        seen.append(stops.read(selector, 4))
        for number in (7, 2):
            assert stops.store(selector, number)
            seen.append(stops.read(selector, 4))
        assert [stops.remote.read_register(number) for number in (*range(16), 25)] == before

    with probe_board.write_stops([0x7000_0108], look) as stops:
        assert ask_line(probe_board, "poke 70000108 00000001") == "ok"
    debugger, *stored = (int.from_bytes(value, "little") for value in seen)
    assert debugger in {0, 5}  # QEMU 10 takes it
    assert stored == [7, 2]
    assert ask_line(probe_board, "word 70000108") == "00000001", "the firmware goes on as if nothing had been"


def test_registers_are_seen_at_a_call_and_on_its_return(probe_board: QemuBoard, probe_elf: Path) -> None:
    wait_until_ready(probe_board, READY)
    named = subprocess.run(["arm-none-eabi-nm", str(probe_elf)], capture_output=True, text=True, check=True).stdout
    hexadecimal = next(int(line.split()[0], 16) for line in named.splitlines() if line.endswith(" t hex"))
    seen: list[tuple[Registers, Registers]] = []
    with probe_board.call_stops([hexadecimal | 1], lambda before, after: seen.append((before, after))) as stops:
        assert ask_line(probe_board, "word 38000008") == "00003000"
        assert ask_line(probe_board, "word 38000000") == "4f4d4654"
    assert stops.stops == len(seen) == 2
    assert [before.general[:2] for before, _ in seen] == [(0x3000, 8), (0x4F4D4654, 8)]
    for before, after in seen:
        assert (len(before.general), len(before.floats)) == (13, 32)
        assert before.general[4:12] == after.general[4:12], "a callee keeps them"
    assert ask_line(probe_board, "word 38000008") == "00003000"
    assert len(seen) == 2, "nothing is stopped behind the block"


def test_power_can_be_cut_in_the_middle_of_a_write(probe_board: QemuBoard) -> None:
    wait_until_ready(probe_board, READY)
    with probe_board.write_stops([0x7000_0108], lambda _: None):
        probe_board.power(PowerState.OFF)
    mark = probe_board.console("ns").mark()
    probe_board.power(PowerState.ON)
    wait_until_ready(probe_board, READY, since=mark)


def test_what_a_test_burns_is_in_otp_and_in_the_identity(probe_board: QemuBoard) -> None:
    wait_until_ready(probe_board, READY)
    own = probe_board.identity
    for burned, word in (
        (Burned(huk=bytes(range(32)), verification_service="x"), "54464d4f"),
        (Burned(otp=bytes(256)), "00000000"),
    ):
        mark = probe_board.console("ns").mark()
        probe_board.provision(burned)
        probe_board.reset(ResetKind.COLD)
        wait_until_ready(probe_board, READY, since=mark)
        assert bytes.fromhex(ask_line(probe_board, "word 38000000"))[::-1].hex() == word
        assert probe_board.identity.huk == (burned.huk or own.huk)
        assert probe_board.identity.verification_service == burned.verification_service
    probe_board.provision(None)
    assert probe_board.identity == own


def test_the_seed_source_counts_resets_since_the_cold_start(probe_board: QemuBoard) -> None:
    wait_until_ready(probe_board, READY)
    first = probe_board.seed_source
    assert first is not None
    assert first[1] == 0
    mark = probe_board.console("ns").mark()
    probe_board.reset(ResetKind.WARM)
    wait_until_ready(probe_board, READY, since=mark)
    assert probe_board.seed_source == (first[0], 1)
    probe_board.reset(ResetKind.COLD)
    assert probe_board.seed_source is not None
    assert probe_board.seed_source[0] != first[0]
    assert probe_board.seed_source[1] == 0


def test_a_debugger_moves_the_cpu_on(
    probe_board: QemuBoard, probe_elf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_until_ready(probe_board, READY)
    named = subprocess.run(["arm-none-eabi-nm", str(probe_elf)], capture_output=True, text=True, check=True).stdout
    symbols = {line.split()[2]: int(line.split()[0], 16) & ~1 for line in named.splitlines() if len(line.split()) == 3}
    in_block = 0x08 << 8  # an IT block of one more instruction
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with probe_board.debugger() as debugger, ThreadPoolExecutor(1) as asking:
        assert not list(tmp_path.glob("tfm-harness-gdb*"))  # nothing that a kill could leave
        debugger.break_at(symbols["hex"])
        debugger.go()
        answer = asking.submit(ask_line, probe_board, "word 38000008")
        assert debugger.wait(30)
        assert debugger.pc == symbols["hex"]
        flags = debugger.xpsr
        debugger.jump(symbols["hex"] + 2, flags | in_block)
        assert (debugger.pc, debugger.xpsr) == (symbols["hex"] + 2, flags | in_block)
        debugger.jump(symbols["hex"], flags)
        debugger.go()
        assert debugger.wait(0.05) is False
        assert answer.result(30) == "00003000"
        used = debugger.work_done()
        mark = probe_board.console("ns").mark()
        debugger.restart()
        started = debugger.pc
        debugger.step()
        assert debugger.pc != started
        assert debugger.work_done() >= used > 0
    wait_until_ready(probe_board, READY, since=mark)
    assert ask_line(probe_board, "word 38000008") == "00003000", "no breakpoint is left, and the firmware boots"
