"""QEMU's monitor, played by a peer that may say anything."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfm_harness.boards.qemu import qmp
from tfm_harness.boards.qemu.qmp import Qmp, QmpRefusedError
from tfm_harness.errors import InfrastructureError

GREETING = (
    b'{"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": ""}, "capabilities": []}}\r\n'
)
PATIENCE = 30.0


class Peer:
    """The other end: hears commands, says lines."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.lines = sock.makefile("rb")

    def say(self, *messages: object) -> None:
        self.sock.sendall(b"".join(json.dumps(message).encode() + b"\r\n" for message in messages))

    def hear(self) -> dict[str, Any]:
        heard: dict[str, Any] = json.loads(self.lines.readline())
        return heard

    def hang_up(self) -> None:
        self.lines.close()
        self.sock.close()


@contextlib.contextmanager
def monitor(on_event: Callable[[Mapping[str, Any]], None] = lambda _event: None) -> Iterator[tuple[Qmp, Peer]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(PATIENCE)
    one, peer = Qmp(ours, on_event, "board"), Peer(theirs)
    try:
        yield one, peer
    finally:
        one.close()
        peer.hang_up()


def answer_of(one: Qmp, name: str, arguments: Mapping[str, object] | None = None, *, timeout: float = 5.0) -> object:
    """Send one command; its answer."""
    (answer,) = one.execute_all([(name, arguments or {})], timeout=timeout)
    return answer


def playing(play: Callable[[], object]) -> contextlib.AbstractContextManager[object]:
    """`play` runs beside the block; it must come to its end."""

    @contextlib.contextmanager
    def block() -> Iterator[None]:
        thread = threading.Thread(target=play, daemon=True)
        thread.start()
        yield
        thread.join(PATIENCE)
        assert not thread.is_alive()

    return block()


def test_greeting_and_version() -> None:
    with monitor() as (one, peer):

        def play() -> None:
            peer.sock.sendall(GREETING[:30])
            peer.sock.sendall(GREETING[30:])
            heard = peer.hear()
            assert heard["execute"] == "qmp_capabilities"
            assert "arguments" not in heard
            peer.say({"return": {}, "id": heard["id"]})

        with playing(play):
            one.connect(PATIENCE)
        assert one.version == "7.2.22"


REFUSED = {"error": {"class": "GenericError", "desc": "QMP input lacks member 'execute'"}}


def test_the_main_loop_is_woken_once_until_it_has_answered() -> None:
    with monitor() as (one, peer):
        one.wake()
        one.wake()
        assert peer.hear() == {}
        peer.say(REFUSED)

        def play() -> None:
            heard = peer.hear()
            assert heard["execute"] == "a"  # no second message lay before it
            one.wake()  # the command itself wakes QEMU
            peer.say({"return": 1, "id": heard["id"]})

        with playing(play):
            assert answer_of(one, "a", timeout=PATIENCE) == 1
        one.wake()
        assert peer.hear() == {}


def test_a_monitor_that_is_gone_is_not_woken() -> None:
    with monitor() as (one, peer):
        peer.hang_up()
        one.wake()
        one.close()
        one.wake()


@pytest.mark.parametrize("version", [{}, {"qemu": 7}, "7.2", None])
def test_a_greeting_without_a_version_is_one_without_a_version(version: object) -> None:
    with monitor() as (one, peer):

        def play() -> None:
            peer.say({"QMP": {"version": version}})
            peer.say({"return": {}, "id": peer.hear()["id"]})

        with playing(play):
            one.connect(PATIENCE)
        assert not one.version


def test_answers_belong_to_their_commands_in_whatever_order_they_come() -> None:
    with monitor() as (one, peer):

        def play() -> None:
            heard = [peer.hear() for _ in range(3)]
            assert [(each["execute"], each.get("arguments")) for each in heard] == [
                ("a", {"x": 1}), ("b", None), ("c", {"y": [2]})
            ]  # fmt: skip
            for each in reversed(heard):
                peer.say({"return": each["execute"], "id": each["id"]}, {"event": "NOISE"})

        with playing(play):
            assert one.execute_all([("a", {"x": 1}), ("b", {}), ("c", {"y": [2]})]) == ["a", "b", "c"]
        assert one.execute_all([]) == []


def test_many_threads_ask_at_once() -> None:
    with monitor() as (one, peer):

        def play() -> None:
            for _ in range(200):
                heard = peer.hear()
                peer.say({"return": heard["arguments"]["number"], "id": heard["id"]})

        seen: list[object] = []

        def ask(first: int) -> None:
            seen.extend(answer_of(one, "echo", {"number": number}) == number for number in range(first, first + 50))

        askers = [threading.Thread(target=ask, args=(100 * first,)) for first in range(4)]
        with playing(play):
            for asker in askers:
                asker.start()
            for asker in askers:
                asker.join(PATIENCE)
        assert seen == [True] * 200


def test_a_refusal_says_the_first_that_was_refused_and_the_others_are_carried_out() -> None:
    with monitor() as (one, peer):

        def play() -> None:
            for error in (None, {"class": "GenericError", "desc": "no such device"}, {"desc": "later"}, None):
                number = peer.hear()["id"]
                peer.say({"return": {}, "id": number} if error is None else {"error": error, "id": number})

        with playing(play), pytest.raises(QmpRefusedError) as caught:
            one.execute_all([("a", {})] * 4)
        assert caught.value.kind == "qmp-refused"
        assert caught.value.seen == "no such device"


def test_no_answer_in_time_and_the_late_one_is_nobodys() -> None:
    with monitor() as (one, peer):
        with pytest.raises(InfrastructureError, match=r"board: .* did not answer in 0\.01 s") as caught:
            answer_of(one, "a", timeout=0.01)
        assert caught.value.kind == "qmp-timeout"
        assert not one._pending

        def play() -> None:
            first, second = peer.hear(), peer.hear()
            peer.say({"return": "late", "id": first["id"]}, {"return": "in time", "id": second["id"]})

        with playing(play):
            assert answer_of(one, "b") == "in time"


def test_no_greeting_in_time() -> None:
    with monitor() as (one, _), pytest.raises(InfrastructureError) as caught:
        one.connect(0.01)
    assert caught.value.kind == "qmp-timeout"


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        (b"", "hung up"),
        (b"qemu-system-arm: usage\n", "no JSON object: b'qemu-system-arm: usage'"),
        (b"[1]\n", "no JSON object"),
        (b"\xff\xfe\n", "no JSON object"),
        (b"[" * 100_000 + b"\n", "no JSON object"),
        (b"x" * 5000, "a line of more than 4096 bytes"),
    ],
)
def test_what_is_no_monitor_loses_the_connection_for_all_who_wait(
    said: bytes, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qmp, "_LONGEST_LINE", 4096 if seen.startswith("a line") else 1 << 24)
    with monitor() as (one, peer):

        def play() -> None:
            peer.hear()
            peer.sock.sendall(said)
            if not said:
                peer.sock.shutdown(socket.SHUT_WR)

        with playing(play), pytest.raises(InfrastructureError) as caught:
            answer_of(one, "a", timeout=PATIENCE)
        assert caught.value.kind == "qmp-lost"
        assert seen in (caught.value.seen or "")
        with pytest.raises(InfrastructureError) as caught:
            one.connect(PATIENCE)
        assert caught.value.kind == "qmp-lost"
        with pytest.raises(InfrastructureError) as caught:
            answer_of(one, "b")
        assert caught.value.kind == "qmp-lost"
        one.tell([("c", {})])  # nobody hears of it


OBJECTS = st.dictionaries(
    st.sampled_from(["event", "QMP", "return", "error", "id", "x"]),
    st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
)


@given(st.lists(OBJECTS, max_size=5))
def test_whatever_object_is_said_a_command_ends(messages: list[dict[str, object]]) -> None:
    with monitor() as (one, peer):

        def play() -> None:
            number = peer.hear()["id"]
            peer.say(*messages)
            peer.say({"return": "the answer", "id": number})

        with playing(play):
            try:
                assert answer_of(one, "a", timeout=PATIENCE) in ("the answer", *(m.get("return") for m in messages))
            except QmpRefusedError:
                assert any("error" in message for message in messages)


def test_events_come_in_order_and_may_tell() -> None:
    seen: list[str] = []
    over = threading.Event()

    def on_event(event: Mapping[str, Any]) -> None:
        seen.append(event["event"])
        one.tell([("set", {"value": event["event"]})])
        if len(seen) == 3:
            over.set()

    with monitor(on_event) as (one, peer):
        peer.say({"event": "RESET", "data": {"guest": True}}, {"event": "STOP"}, {"event": "RESUME"})
        assert over.wait(PATIENCE)
        assert seen == ["RESET", "STOP", "RESUME"]
        assert [peer.hear()["arguments"]["value"] for _ in range(3)] == seen
        assert one._pending  # nobody waits, yet they are unanswered


def test_a_handler_that_fails_is_told_to_those_who_wait() -> None:
    def on_event(event: Mapping[str, Any]) -> None:
        raise KeyError(event["event"])

    with monitor(on_event) as (one, peer):
        peer.say({"event": "RESET"})
        with pytest.raises(InfrastructureError) as caught:
            one.connect(PATIENCE)
        assert caught.value.seen == "'RESET'"


def test_a_flood_of_events_does_not_keep_it_from_closing() -> None:
    with monitor() as (one, peer):
        peer.sock.settimeout(PATIENCE)

        def flood() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer.sock.sendall(b'{"event": "RTC_CHANGE"}\r\n' * 100)

        with playing(flood):
            one.close()
        with pytest.raises(InfrastructureError) as caught:
            answer_of(one, "a")
        assert caught.value.kind == "qmp-lost"
        one.close()


def test_steps_are_taken_until_they_end_and_newer_ones_take_their_place() -> None:
    taken: list[str] = []
    first, over = threading.Event(), threading.Event()

    def steps(name: str, reached: threading.Event, count: int) -> Iterator[float]:
        for number in range(count):
            taken.append(name)
            if number == 2:
                reached.set()
            yield 0.0001

    with monitor() as (one, _):
        one.repeat(steps("old", first, 1 << 30))
        assert first.wait(PATIENCE)
        one.repeat(steps("new", over, 3))
        assert over.wait(PATIENCE)
    assert taken[-3:] == ["new"] * 3
    assert taken.count("new") == 3


def test_a_far_step_does_not_hold_up_answers_nor_a_newer_one() -> None:
    stepped = threading.Event()

    def near() -> Iterator[float]:
        stepped.set()
        yield 1e6

    with monitor() as (one, peer):
        one.repeat(iter([1e6]))
        with playing(lambda: peer.say({"return": 1, "id": peer.hear()["id"]})):
            assert answer_of(one, "a", timeout=PATIENCE) == 1
        one.repeat(near())
        assert stepped.wait(PATIENCE)
