"""The console over socket pairs: waiting, marks, transcripts, bounds, faults."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tfm_harness.boards.supervisor import wait_until
from tfm_harness.console.base import Mark
from tfm_harness.console.stream import StreamConsole
from tfm_harness.console.transport import FdTransport, SocketTransport
from tfm_harness.errors import HarnessBug, HarnessError, InfrastructureError, ProductError

START = Mark(0)
Make = Callable[..., tuple[StreamConsole, socket.socket]]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    opened: list[tuple[StreamConsole, socket.socket]] = []

    def build(**options: object) -> tuple[StreamConsole, socket.socket]:
        ours, theirs = socket.socketpair()
        path = tmp_path / f"console-{len(opened)}.log"
        console = StreamConsole("ns", SocketTransport(ours), path, **options)  # type: ignore[arg-type]
        opened.append((console, theirs))
        return console, theirs

    yield build
    for console, theirs in opened:
        console.close()
        theirs.close()


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_round_trip_and_transcript(make: Make) -> None:
    console, device = make()
    mark = console.mark()
    console.write(b"ping\n")
    assert device.recv(100) == b"ping\n"
    device.sendall(b"log\npong 7\n")
    found = console.wait_for(re.compile(rb"pong (\d)\n"), timeout=5, since=mark)
    assert (found.data, found.groups, found.start, found.after.offset) == (b"pong 7\n", (b"7",), 4, 11)
    assert console.transcript.read_bytes() == b"log\npong 7\n"
    events = [
        json.loads(line) for line in (console.transcript.parent / "console-0.log.events").read_text().splitlines()
    ]
    assert [bytes.fromhex(event["sent"]) for event in events if "sent" in event] == [b"ping\n"]
    assert all(event["t"] >= 0 and 0 <= event["at"] <= 11 for event in events)


def test_who_only_asks_sees_what_has_arrived(make: Make) -> None:
    """Asking keeps the background reader away; a board's `check_alive` asks so."""
    console, device = make()
    for _ in range(50):
        assert not console.wait_data(START, timeout=0)
    device.sendall(b"x")
    assert console.wait_data(START, timeout=0)
    for _ in range(50):
        assert not console.wait_data(Mark(console.received), timeout=0)
    device.close()
    with pytest.raises(InfrastructureError, match="console-closed"):
        console.wait_data(Mark(console.received), timeout=0)


def test_what_came_before_the_mark_is_not_found(make: Make) -> None:
    console, device = make()
    device.sendall(b"ready\n")
    mark = console.mark()  # the bytes have arrived at this host, so they lie before the mark
    assert mark.offset == 6
    with pytest.raises(InfrastructureError, match="not one byte"):
        console.wait_for(b"ready", timeout=0.05, since=mark)
    with pytest.raises(InfrastructureError, match="console-timeout"):
        console.wait_for(b"ready", timeout=0.05)
    assert console.wait_for(b"ready", timeout=0.05, since=START).start == 0


def test_the_same_answer_is_found_once_for_each_question(make: Make) -> None:
    console, device = make()
    device.sendall(b"ok\nok\n")
    first = console.wait_for(b"ok\n", timeout=5, since=START)
    second = console.wait_for(b"ok\n", timeout=5, since=first.after)
    assert second.start == 3
    with pytest.raises(InfrastructureError):
        console.wait_for(b"ok\n", timeout=0.02, since=second.after)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_found_in_whatever_pieces_it_comes(tmp_path: Path, data: st.DataObject) -> None:
    before = data.draw(st.binary(max_size=300))
    after = data.draw(st.binary(max_size=50))
    stream = before.replace(b"<", b"_") + b"<<MARK-42>>" + after
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    ours, theirs = socket.socketpair()
    console = StreamConsole("ns", SocketTransport(ours), tmp_path / "pieces.log")
    try:
        waiting: list[int] = []
        patterns: list[bytes | re.Pattern[bytes]] = [b"<<MARK-42>>", re.compile(rb"<<MARK-(\d+)>>")]
        pattern = data.draw(st.sampled_from(patterns))
        thread = in_thread(lambda: waiting.append(console.wait_for(pattern, timeout=10, since=START).start))
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            theirs.sendall(stream[start:end])
        thread.join(10)
        assert waiting == [len(before)]
        assert wait_until(lambda: console.received == len(stream), 5)
        assert console.transcript.read_bytes() == stream
    finally:
        console.close()
        theirs.close()


def test_marks_older_than_memory_are_served_from_the_transcript(make: Make) -> None:
    console, device = make(window=4096)
    draw = random.Random(3)
    stream = b"early needle\n" + bytes(draw.choices(b"abcdef\n", k=1_000_000)) + b"late needle\n"
    sender = in_thread(lambda: device.sendall(stream))
    late = console.wait_for(b"late needle\n", timeout=20, since=START)
    sender.join()
    assert late.end == len(stream)
    assert console.wait_for(re.compile(rb"(\w+) needle"), timeout=1, since=START).groups == (b"early",)
    assert console.wait_for(b"late needle\n", timeout=1, since=Mark(5)).end == len(stream)
    assert console.read_from(START, limit=12) == b"early needle"
    assert console.read_from(Mark(500_000), limit=1000) == stream[500_000:501_000]
    assert console.read_from(Mark(len(stream) - 5)) == stream[-5:]
    console.close()
    assert console.read_from(START, limit=12) == b"early needle"  # for reports made after the board was released
    assert console.wait_for(b"early", timeout=0.01, since=START).start == 0
    assert console.tail(1).endswith("late needle")


def test_nothing_is_left_unread_while_nobody_waits(make: Make) -> None:
    console, device = make()
    block = os.urandom(65536)
    device.settimeout(20)
    for _ in range(32):  # far more than a socket buffer holds: would block if nobody read
        device.sendall(block)
    assert wait_until(lambda: console.received == 32 * 65536, 10)
    assert console.transcript.read_bytes() == block * 32


def test_background_reading_and_waiting_take_turns(make: Make) -> None:
    console, device = make()
    for turn in range(5):
        device.sendall(b"unasked\n")
        assert wait_until(lambda want=8 * (turn + 1) + 5 * turn: console.received >= want, 5)  # type: ignore[misc]
        mark = console.mark()
        console.write(b"q")
        device.recv(10)
        device.sendall(b"ans%d\n" % turn)
        assert console.wait_for(b"\n", timeout=5, since=mark).end == mark.offset + 5


def test_several_threads_wait_at_once(make: Make) -> None:
    console, device = make()
    found: dict[int, int] = {}
    threads = [
        in_thread(lambda n=n: found.update({n: console.wait_for(b"<%d>" % n, timeout=20, since=START).start}))  # type: ignore[misc]
        for n in range(8)
    ]
    for n in reversed(range(8)):
        device.sendall(b"<%d>" % n)
    for thread in threads:
        thread.join(20)
    assert found == {n: 3 * (7 - n) for n in range(8)}


def test_a_follower_goes_on_when_the_leader_gives_up(make: Make) -> None:
    console, device = make()
    outcome: list[object] = []

    def leader() -> None:
        try:
            console.wait_for(b"never", timeout=0.2, since=START)
        except InfrastructureError as error:
            outcome.append(error.kind)

    def follower() -> None:
        outcome.append(console.wait_for(b"late", timeout=20, since=START).start)

    threads = [in_thread(leader), in_thread(follower)]
    threads[0].join(10)
    device.sendall(b"late")
    threads[1].join(10)
    assert outcome == ["console-timeout", 0]


def test_mark_does_not_wait_for_a_thread_that_waits(make: Make) -> None:
    console, device = make()
    thread = in_thread(lambda: console.wait_for(b"end", timeout=60, since=START))
    assert wait_until(lambda: console.mark().offset == 0, 5)
    device.sendall(b"abc")
    assert wait_until(lambda: console.mark().offset == 3, 5)
    device.sendall(b"end")
    thread.join(10)
    assert not thread.is_alive()


def test_writing_to_a_device_that_prints_before_it_listens(make: Make) -> None:
    """Both socket buffers full in both directions: a writer that did not read would wait for ever."""
    console, device = make()
    question, chatter = b"q" * (4 << 20), b"c" * (4 << 20)
    heard = bytearray()

    def behave() -> None:
        device.sendall(chatter)
        while len(heard) < len(question):
            heard.extend(device.recv(1 << 20))

    thread = in_thread(behave)
    console.write(question)
    thread.join(20)
    assert bytes(heard) == question
    assert wait_until(lambda: console.received == len(chatter), 5)


def test_whether_the_other_side_has_read(make: Make) -> None:
    console, device = make()
    assert not console.unread_by_peer()
    console.write(b"abc")
    assert console.unread_by_peer()
    assert device.recv(2) == b"ab"
    assert console.unread_by_peer()
    assert device.recv(2) == b"c"
    assert not console.unread_by_peer()


def test_a_device_that_never_listens(make: Make) -> None:
    console, _device = make(write_timeout=0.3)
    with pytest.raises(InfrastructureError, match="takes no more bytes") as caught:
        console.write(b"x" * (8 << 20))
    assert caught.value.kind == "console-write-timeout"


@pytest.fixture
def piped(tmp_path: Path) -> Iterator[tuple[StreamConsole, int, int]]:
    """A console over two pipes, and the device's ends: what it reads, and what it writes."""
    heard, to_device = os.pipe()
    from_device, said = os.pipe()
    console = StreamConsole("ns", FdTransport(from_device, to_device), tmp_path / "piped.log", write_timeout=20)
    yield console, heard, said
    console.close()
    for fd in (heard, said):
        with contextlib.suppress(OSError):
            os.close(fd)


def test_two_pipes_are_a_console(piped: tuple[StreamConsole, int, int]) -> None:
    console, heard, said = piped
    assert not console.unread_by_peer()
    console.write(b"hello")
    assert console.unread_by_peer()
    assert os.read(heard, 10) == b"hello"
    assert not console.unread_by_peer()
    os.write(said, b"hi\n")
    assert console.wait_for(b"hi\n", timeout=5, since=START).end == 3
    os.close(said)
    with pytest.raises(InfrastructureError, match="console-closed"):
        console.wait_for(b"never", timeout=60)


def test_more_than_a_pipe_holds_waits_for_the_end_that_is_written(
    piped: tuple[StreamConsole, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll of the end that is read alone would sleep until its time is over."""
    console, heard, _said = piped
    question = b"q" * (1 << 20)
    writable: list[int] = []
    stuck = threading.Event()
    real = select.poll

    class Poll:
        def __init__(self) -> None:
            self._poll = real()

        def register(self, fd: int, events: int) -> None:
            self._poll.register(fd, events)
            if events & select.POLLOUT:
                stuck.set()

        def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
            ready = self._poll.poll(timeout)
            writable.extend(fd for fd, events in ready if events & select.POLLOUT)
            return ready

    monkeypatch.setattr(select, "poll", Poll)
    got = bytearray()

    def listen() -> None:
        stuck.wait(20)
        while len(got) < len(question):
            got.extend(os.read(heard, 1 << 16))

    thread = in_thread(listen)
    console.write(question)
    thread.join(20)
    assert bytes(got) == question
    assert writable
    assert console.fileno() not in writable


def test_the_other_side_closes_while_we_wait(make: Make) -> None:
    console, device = make()
    device.sendall(b"last words\n")
    thread = in_thread(device.close)
    with pytest.raises(InfrastructureError, match="last words") as caught:
        console.wait_for(b"never", timeout=60)
    thread.join()
    assert caught.value.kind == "console-closed"
    assert console.wait_for(b"last", timeout=1, since=START).start == 0  # what had come is still there
    assert console.read_from(START) == b"last words\n"
    with pytest.raises(InfrastructureError, match="console-closed"):
        console.write(b"hello")
    with pytest.raises(InfrastructureError, match="console-closed"):
        console.wait_data(Mark(11), timeout=60)


def test_the_owner_knows_why_it_closed(make: Make) -> None:
    console, device = make(diagnose=lambda: ProductError("it locked up", kind="lockup"))
    device.close()
    with pytest.raises(ProductError, match="it locked up"):
        console.wait_for(b"never", timeout=60)


def test_closing_wakes_who_waits(make: Make) -> None:
    console, _device = make()
    kinds: list[str] = []

    def wait() -> None:
        try:
            console.wait_for(b"never", timeout=60)
        except HarnessError as error:
            kinds.append(error.kind)

    threads = [in_thread(wait), in_thread(wait)]
    assert wait_until(lambda: console._pump.waiting == 2, 5)
    console.close()
    for thread in threads:
        thread.join(10)
    assert kinds == ["console-closed", "console-closed"]
    console.close()
    with pytest.raises(InfrastructureError, match="console-closed"):
        console.write(b"x")


def test_another_transport_continues_the_same_transcript(make: Make) -> None:
    console, device = make()
    device.sendall(b"first life\n")
    device.close()
    ours, theirs = socket.socketpair()
    console.replace(SocketTransport(ours), "new emulator process")
    theirs.sendall(b"second life\n")
    assert console.wait_for(b"second life\n", timeout=5, since=START).start == 11
    console.write(b"hi")
    assert theirs.recv(10) == b"hi"
    assert console.transcript.read_bytes() == b"first life\nsecond life\n"
    assert '"new emulator process"' in console.transcript.with_name("console-0.log.events").read_text()
    theirs.close()


def test_disk_full_is_the_benchs_fault(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    (tmp_path / "full.log").symlink_to("/dev/full")
    console = StreamConsole("ns", SocketTransport(ours), tmp_path / "full.log")
    theirs.sendall(b"some bytes\n")
    with pytest.raises(InfrastructureError, match="No space left on device") as caught:
        console.wait_for(b"never", timeout=60)
    assert caught.value.kind == "transcript-write"
    console.close()
    theirs.close()


def test_transcript_that_cannot_be_made(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    (tmp_path / "file").write_text("")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(InfrastructureError, match="transcript-write"):
        StreamConsole("ns", SocketTransport(ours), tmp_path / "file" / "ns.log")
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 1  # the transport was closed, nothing else is open
    theirs.close()


def test_firmware_that_never_stops_printing(make: Make) -> None:
    console, device = make(limit=1 << 20)

    def flood() -> None:
        try:
            while True:
                device.sendall(b"x" * 65536)
        except OSError:
            pass

    thread = in_thread(flood)
    with pytest.raises(ProductError, match="console-flood"):
        console.wait_for(b"never", timeout=60)
    console.close()
    thread.join(10)


def test_subscribers_get_every_byte_in_order(make: Make) -> None:
    console, device = make()
    got = bytearray()
    end = console.subscribe(got.extend)
    stream = os.urandom(300_000)
    thread = in_thread(lambda: device.sendall(stream))
    console._pump.read_until(lambda: console.received == len(stream), float("inf"))
    thread.join()
    assert bytes(got) == stream
    end()
    device.sendall(b"more")
    assert console.wait_data(Mark(len(stream)), timeout=5)
    assert len(got) == len(stream)


def test_a_subscriber_that_fails_is_a_bug_that_shows(make: Make) -> None:
    console, device = make()

    def fail(_chunk: bytes) -> None:
        raise ValueError("oops")

    console.subscribe(fail)
    device.sendall(b"x")
    with pytest.raises(HarnessBug, match="oops"):
        console.wait_for(b"y", timeout=60)


def test_wait_data_and_tail(make: Make) -> None:
    console, device = make()
    assert not console.wait_data(START, timeout=0.02)
    device.sendall(b"one\r\n\x1b[1;32mtwo\x1b[0m\nthr\xffee\x00\n")
    assert console.wait_data(START, timeout=5)
    assert console.tail() == "one\ntwo\nthr\\xffee"
    assert console.tail(1) == "thr\\xffee"


def test_waiting_for_nothing_is_a_bug(make: Make) -> None:
    console, _device = make()
    with pytest.raises(HarnessBug, match="empty-pattern"):
        console.wait_for(b"", timeout=1)


def test_a_pty_is_a_transport(tmp_path: Path) -> None:
    import tty

    controller, device = os.openpty()
    tty.setraw(device)
    console = StreamConsole("tty", FdTransport(controller), tmp_path / "tty.log")
    os.write(device, b"hello\n")
    console.wait_for(b"hello\n", timeout=5, since=START)
    console.write(b"hi\n")
    assert os.read(device, 10) == b"hi\n"
    os.close(device)
    with pytest.raises(InfrastructureError, match="console-closed"):
        console.wait_for(b"never", timeout=60)
    console.close()


FIFTY_MEGABYTES = """
    import os, re, socket, sys
    from pathlib import Path
    from tfm_harness.console.base import Mark
    from tfm_harness.console.stream import StreamConsole
    from tfm_harness.console.transport import SocketTransport

    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        block = (b"I/TC: a line of log that nobody will ever read again %08d\\n" % 7) * 1000
        for _ in range(50 * (1 << 20) // len(block)):
            theirs.sendall(block)
        theirs.sendall(b"MARKER-1\\n")
        os._exit(0)
    theirs.close()
    console = StreamConsole("ns", SocketTransport(ours), Path(sys.argv[1]))
    pattern = re.compile(rb"MARKER-(\\d)\\n") if sys.argv[2] == "regex" else b"MARKER-1\\n"
    found = console.wait_for(pattern, timeout=60, since=Mark(0))
    console.close()
    os.wait()
    peak = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]
    print(found.end, os.path.getsize(sys.argv[1]), peak)
"""


@pytest.mark.parametrize("how", ["literal", "regex"])
def test_fifty_megabytes_in_bounded_memory(tmp_path: Path, how: str) -> None:
    import textwrap

    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FIFTY_MEGABYTES), str(tmp_path / "big.log"), how],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    end, size, peak_kb = map(int, done.stdout.split())
    assert end == size > 50_000_000
    assert peak_kb < 80 << 10
