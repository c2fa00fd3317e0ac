from __future__ import annotations

import binascii
import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from tfm_harness.console.base import Mark
from tfm_harness.errors import InfrastructureError, ProductError
from tfm_harness.protocol.smp.frame import FrameDecoder, Packet, encode_frame
from tfm_harness.protocol.smp.header import GROUP_OS, RAW_SEQUENCE, Header, Op
from tfm_harness.protocol.smp.link import SmpLink
from tfm_harness.protocol.smp.link_records import Recent, Request
from tfm_harness.testing import MemoryConsole, SmpFirmware, smp_frame
from tfm_harness.verify import cbor

ECHO = b"\xa1\x61d\x61x"
SAFE = Request(op=Op.WRITE, group=GROUP_OS, command=0, payload=ECHO, safe=True, name="echo")
UNSAFE = Request(op=Op.WRITE, group=GROUP_OS, command=0, payload=ECHO, safe=False, name="echo")
SHORT = 0.02  # an attempt that is meant to time out


@pytest.fixture
def firmware() -> SmpFirmware:
    return SmpFirmware()


@pytest.fixture
def link(firmware: SmpFirmware, tmp_path: Path) -> SmpLink:
    return SmpLink(MemoryConsole(firmware, tmp_path / "ns.log"))


def corrupt(answer: bytes) -> bytes:
    at = len(answer) // 2
    return answer[:at] + (b"A" if answer[at : at + 1] != b"A" else b"B") + answer[at + 1 :]


def swallow(_answer: bytes) -> bytes:
    return b""


def twice(answer: bytes) -> bytes:
    return answer * 2


def test_an_answer_is_taken_and_counted(link: SmpLink) -> None:
    answer = link.request(SAFE, timeout=1)
    assert answer.payload == b"\xa1\x61r\x61x"
    assert answer.retries == 0
    assert link.stats.clean
    assert (link.stats.sent, link.stats.answered) == (1, 1)


def test_log_lines_around_and_inside_the_answer_are_kept_apart(link: SmpLink, firmware: SmpFirmware) -> None:
    firmware.faults = [lambda a: b"[NS] before\n" + a + b"[NS] after\r\n"]
    assert link.request(SAFE, timeout=1).payload == b"\xa1\x61r\x61x"
    link.settle()
    assert list(link.log) == [b"[NS] before", b"[NS] after"]


@pytest.mark.parametrize(("fault", "counted"), [(swallow, "lost"), (corrupt, "bad")])
def test_a_safe_request_is_repeated_and_the_repetition_counted(
    link: SmpLink, firmware: SmpFirmware, fault: Callable[[bytes], bytes], counted: str
) -> None:
    firmware.faults = [fault]
    answer = link.request(SAFE, timeout=SHORT if fault is swallow else 1)
    assert answer.retries == 1
    assert link.stats.retries == 1
    assert not link.stats.clean
    assert getattr(link.stats, counted)
    assert "1 retried" in link.stats.summary()


def test_only_the_last_sequence_numbers_are_remembered() -> None:
    recent = Recent()
    recent.add(*range(200), 100)
    assert [number for number in range(256) if number in recent] == [*range(72, 200)]
    recent.add(7)
    assert 7 in recent
    assert sum(number in recent for number in range(256)) == 128
    recent.discard(7)
    recent.discard(8)
    assert 7 not in recent
    recent.clear()
    assert 199 not in recent


@pytest.mark.parametrize(
    "wait",
    [
        lambda link: link.request(SAFE, timeout=SHORT, attempts=1),
        lambda link: link.burst([SAFE], timeout=SHORT),
        lambda link: link.drain(quiet=SHORT),
        lambda link: link.answers_to(b"", SAFE, timeout=SHORT),
    ],
    ids=["request", "burst", "drain", "answers_to"],
)
def test_waiting_in_vain_counts_as_the_devices_time(
    link: SmpLink, firmware: SmpFirmware, wait: Callable[[SmpLink], object]
) -> None:
    firmware.faults = [swallow]
    with contextlib.suppress(InfrastructureError):
        wait(link)
    assert link.stats.busy >= SHORT


@pytest.mark.parametrize(("fault", "kind"), [(swallow, "smp-timeout"), (corrupt, "smp-corrupt")])
def test_an_unsafe_request_is_never_repeated(
    link: SmpLink, firmware: SmpFirmware, fault: Callable[[bytes], bytes], kind: str
) -> None:
    firmware.faults = [fault]
    with pytest.raises(InfrastructureError) as caught:
        link.request(UNSAFE, timeout=SHORT)
    assert caught.value.kind == kind
    assert len(firmware.requests) == 1
    assert "ns.log" in str(caught.value) or "console 'ns'" in str(caught.value)


def test_repetition_ends(link: SmpLink, firmware: SmpFirmware) -> None:
    firmware.faults = [corrupt] * 10
    with pytest.raises(InfrastructureError, match="damaged") as caught:
        link.request(SAFE, timeout=1)
    assert caught.value.kind == "smp-corrupt"
    assert len(firmware.requests) == 3


def test_a_late_answer_is_never_taken_for_the_next(link: SmpLink, firmware: SmpFirmware) -> None:
    held: list[bytes] = []

    def hold(answer: bytes) -> bytes:
        held.append(answer)
        return b""

    firmware.faults = [hold, lambda a: held[0] + a]
    answers: Iterator[dict[str, object]] = iter([{"r": "old"}, {"r": "new"}])
    firmware.commands[0, 0] = lambda _: next(answers)
    with pytest.raises(InfrastructureError):
        link.request(UNSAFE, timeout=SHORT)
    assert link.request(UNSAFE, timeout=1).payload == b"\xa1\x61r\x63new"
    assert link.stats.late == 1


def test_a_doubled_answer_is_the_products_fault(link: SmpLink, firmware: SmpFirmware) -> None:
    firmware.faults = [twice]
    link.request(UNSAFE, timeout=1)
    with pytest.raises(ProductError) as caught:
        link.settle()
    assert caught.value.kind == "smp-duplicate"


def test_a_doubled_answer_is_seen_by_the_next_request_too(link: SmpLink, firmware: SmpFirmware) -> None:
    firmware.faults = [twice]
    link.request(UNSAFE, timeout=1)
    with pytest.raises(ProductError, match="twice"):
        link.request(UNSAFE, timeout=1)


def test_an_answer_to_nothing_is_the_products_fault(link: SmpLink, firmware: SmpFirmware) -> None:
    firmware.faults = [lambda _: smp_frame(SmpFirmware.packet(2, 0, 200, 0, {"r": "x"}))]
    with pytest.raises(ProductError) as caught:
        link.request(SAFE, timeout=1)
    assert caught.value.kind == "smp-unsolicited"
    assert "sequence 200" in str(caught.value)


@pytest.mark.parametrize(
    "packet",
    [
        SmpFirmware.packet(0, 0, 1, 0, {"r": "x"}),  # read response to a write
        SmpFirmware.packet(2, 64, 1, 0, {"r": "x"}),  # another group
        SmpFirmware.packet(2, 0, 1, 5, {"r": "x"}),  # another command
        SmpFirmware.packet(2, 0, 1, 0, {"r": "x"}) + b"\0",  # length in the header is not the packet's
        b"\x0b\0\0",  # too short for a header
    ],
)
def test_an_answer_that_contradicts_its_request(link: SmpLink, firmware: SmpFirmware, packet: bytes) -> None:
    firmware.faults = [lambda _: smp_frame(packet)]
    with pytest.raises(ProductError) as caught:
        link.request(SAFE, timeout=1)
    assert caught.value.kind == "smp-mismatch"


def test_an_oversized_answer_is_refused_before_it_is_read(link: SmpLink, firmware: SmpFirmware) -> None:
    firmware.faults = [lambda _: b"\x06\x09" + binascii.b2a_base64((60000).to_bytes(2, "big") + bytes(60))]
    with pytest.raises(ProductError) as caught:
        link.request(SAFE, timeout=1)
    assert caught.value.kind == "smp-oversized"


def test_half_a_frame_is_said(link: SmpLink, firmware: SmpFirmware) -> None:
    firmware.faults = [lambda a: a[:9]]
    with pytest.raises(InfrastructureError, match="half a frame"):
        link.request(UNSAFE, timeout=SHORT)


def test_chatter_without_end_does_not_hold_a_request_for_ever(tmp_path: Path) -> None:
    class Chatter(MemoryConsole):
        def read_from(self, since: object, *, limit: int = 1 << 20) -> bytes:
            return b"chatter\n" * 100

        def wait_data(self, since: object, *, timeout: float) -> bool:
            return True

    link = SmpLink(Chatter(lambda _: b"", tmp_path / "ns.log"))
    with pytest.raises(InfrastructureError) as caught:
        link.request(UNSAFE, timeout=SHORT)
    assert caught.value.kind == "smp-timeout"
    assert len(link.log) == 500


def test_a_dead_board_ends_the_wait_at_once(firmware: SmpFirmware, tmp_path: Path) -> None:
    def dead() -> None:
        raise InfrastructureError("the emulator has gone", kind="emulator-exit")

    link = SmpLink(MemoryConsole(lambda _: b"", tmp_path / "ns.log"), watch=dead)
    with pytest.raises(InfrastructureError, match="emulator has gone"):
        link.request(SAFE, timeout=60)


def test_a_closed_console_is_said(link: SmpLink) -> None:
    link.console.close()
    with pytest.raises(InfrastructureError) as caught:
        link.request(SAFE, timeout=60)
    assert caught.value.kind == "console-closed"


def test_the_sequence_number_may_come_round(link: SmpLink) -> None:
    for _ in range(600):
        link.request(UNSAFE, timeout=1)
    assert link.stats.clean


def test_a_burst_gives_each_answer_its_place_and_none_where_none_came(link: SmpLink, firmware: SmpFirmware) -> None:
    firmware.commands[0, 0] = lambda a: {"r": a["d"]}
    firmware.faults = [lambda a: a, swallow, corrupt, lambda a: a]
    requests = [Request(op=Op.WRITE, group=0, command=0, payload=b"\xa1\x61d\x61" + bytes([97 + n])) for n in range(4)]
    answers = link.burst(requests, timeout=SHORT)
    assert answers == [b"\xa1\x61r\x61a", None, None, b"\xa1\x61r\x61d"]
    assert link.stats.lost == 2


def test_requests_of_an_iterator_are_sent_in_growing_groups(
    link: SmpLink, firmware: SmpFirmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    firmware.commands[0, 0] = lambda a: {"r": a["d"]}
    steps: list[str] = []
    write = link.console.write

    def told(data: bytes) -> None:
        steps.append(f"sent {data.count(bytes([6, 9]))}")
        write(data)

    def make(number: int) -> Request:
        steps.append(f"made {number}")
        return Request(op=Op.WRITE, group=0, command=0, payload=b"\xa1\x61d\x61" + bytes([97 + number]))

    monkeypatch.setattr(link.console, "write", told)
    answers = link.burst(map(make, range(6)), timeout=1)
    assert answers == [b"\xa1\x61r\x61" + bytes([97 + number]) for number in range(6)]
    assert steps == [
        "made 0", "sent 1", "made 1", "made 2", "sent 2", "made 3", "made 4", "made 5", "sent 3",
    ]  # fmt: skip
    steps.clear()
    link.burst([make(0), make(1)], timeout=1)
    assert steps == ["made 0", "made 1", "sent 2"]
    link.settle()
    assert link.stats.clean


@pytest.mark.parametrize("many", [[SAFE] * 65, iter([SAFE] * 65)], ids=["list", "iterator"])
def test_a_burst_whose_sequence_numbers_would_repeat_is_refused(link: SmpLink, many: Iterable[Request]) -> None:
    with pytest.raises(ValueError, match="at most 64"):
        link.burst(many, timeout=1)


def test_a_restart_forgets_half_a_frame(link: SmpLink, firmware: SmpFirmware) -> None:
    firmware.faults = [lambda a: a[:9]]
    with pytest.raises(InfrastructureError):
        link.request(UNSAFE, timeout=SHORT)
    link.restart()
    assert link.request(UNSAFE, timeout=1).payload


def test_what_was_asked_before_a_reset_is_passed_over_by_the_first_request_only(
    link: SmpLink, firmware: SmpFirmware
) -> None:
    """The line still held frames when the board was reset: their answers come first, whatever their numbers."""
    other = smp_frame(SmpFirmware.packet(Op.WRITE, 64, 2, 14, {"rc": 3}))  # the number of the request that is made next
    stranger = smp_frame(SmpFirmware.packet(Op.WRITE, 64, 143, 1, {"rc": 3}))
    link.request(SAFE, timeout=1)
    firmware.faults = [lambda answer: other + stranger + answer]
    with link.forgiving():
        assert link.request(SAFE, timeout=1).payload == b"\xa1\x61r\x61x"
    assert link.stats.stale == 2
    assert link.stats.clean
    firmware.faults = [lambda answer: stranger + answer]
    with pytest.raises(ProductError, match="smp-unsolicited"):
        link.request(SAFE, timeout=1)


def test_a_second_answer_to_the_forgiving_request_itself_is_no_stale_one(link: SmpLink, firmware: SmpFirmware) -> None:
    firmware.faults = [twice]
    with link.forgiving():
        link.request(SAFE, timeout=1)
    with pytest.raises(ProductError, match="smp-duplicate"):
        link.request(SAFE, timeout=1)


@pytest.mark.parametrize(("fault", "kind"), [(swallow, "smp-timeout"), (corrupt, "smp-corrupt")])
@pytest.mark.parametrize("request_", [SAFE, UNSAFE], ids=["safe", "unsafe"])
def test_on_an_emulated_uart_nothing_is_asked_again(
    link: SmpLink, firmware: SmpFirmware, fault: Callable[[bytes], bytes], kind: str, request_: Request
) -> None:
    link.console.lossless = True
    firmware.faults = [fault]
    with pytest.raises(ProductError) as caught:
        link.request(request_, timeout=SHORT if fault is swallow else 1)
    assert caught.value.kind == kind
    assert len(firmware.requests) == 1
    assert "cable" not in str(caught.value)
    assert "wrong console" not in str(caught.value)


def test_on_an_emulated_uart_a_torn_frame_between_answers_is_found_too(link: SmpLink, firmware: SmpFirmware) -> None:
    link.console.lossless = True
    firmware.faults = [lambda answer: corrupt(answer) + answer]
    with pytest.raises(ProductError, match="changes no byte"):
        link.burst([SAFE], timeout=1)


def test_a_boot_may_begin_with_half_a_frame(link: SmpLink, firmware: SmpFirmware) -> None:
    link.console.lossless = True
    firmware.faults = [lambda answer: corrupt(answer) + answer]
    with link.forgiving():
        assert link.request(SAFE, timeout=1).payload == b"\xa1\x61r\x61x"


def test_raw_bytes_are_answered_before_the_request_behind_them(link: SmpLink, firmware: SmpFirmware) -> None:
    """Whatever comes late: the end is the answer to what was sent last, no silence."""
    raw = encode_frame(Header.pack(Op.WRITE, GROUP_OS, 0, RAW_SEQUENCE, 4) + b"\xa1\x61d\x60")
    for _ in range(300):  # the link's own numbers come round, and never are the raw message's
        found = link.answers_to(raw, SAFE, timeout=60)
        assert [Header.unpack(item.data).sequence for item in found if isinstance(item, Packet)] == [RAW_SEQUENCE]
    assert link.answers_to(b"", SAFE, timeout=60) == []
    assert link.request(SAFE, timeout=60).payload == b"\xa1\x61r\x61x"


def test_a_device_that_is_deaf_behind_raw_bytes_is_said(link: SmpLink, firmware: SmpFirmware) -> None:
    firmware.faults = [swallow]
    with pytest.raises(InfrastructureError, match="smp-timeout"):
        link.answers_to(b"", SAFE, timeout=SHORT)


class Slow(MemoryConsole):
    """Gives one answer for each waiting, `seconds` later; `most` in all."""

    def __init__(self, firmware: SmpFirmware, path: Path, seconds: float, most: int = 64) -> None:
        super().__init__(self.hold, path)
        self.most = most
        self.firmware, self.seconds, self.now = firmware, seconds, 0.0
        self.held: list[bytes] = []

    def hold(self, data: bytes) -> bytes:
        def keep(answer: bytes) -> bytes:
            if self.most > 0:
                self.held.append(answer)
            self.most -= 1
            return b""

        self.firmware.faults = [keep] * 64
        self.firmware(data)
        return b""

    def wait_data(self, since: Mark, *, timeout: float) -> bool:
        self.now += self.seconds
        if self.held:
            self.push(self.held.pop(0))
        return super().wait_data(since, timeout=0)


def test_a_burst_that_goes_on_is_waited_for(firmware: SmpFirmware, tmp_path: Path) -> None:
    """Each answer in time, all together longer than one may take: a slow host, no stuck device."""
    console = Slow(firmware, tmp_path / "ns.log", 0.9)
    link = SmpLink(console, clock=lambda: console.now)
    assert None not in link.burst([SAFE] * 8, timeout=1.0)
    assert console.now > 5.0


def test_a_burst_whose_answers_stay_away_ends(firmware: SmpFirmware, tmp_path: Path) -> None:
    console = Slow(firmware, tmp_path / "ns.log", 0.4, most=2)
    link = SmpLink(console, clock=lambda: console.now)
    assert link.burst([SAFE] * 8, timeout=1.0).count(None) == 6
    assert console.now < 3.0


def test_keys_that_no_document_names_are_told_and_are_not_kept_without_end(
    link: SmpLink, firmware: SmpFirmware
) -> None:
    """A device that makes up keys does not fill the harness's memory."""
    numbers = iter(range(300))

    def with_another_key(answer: bytes) -> bytes:
        (packet,) = (item for item in FrameDecoder().feed(answer) if isinstance(item, Packet))
        payload = cbor.encode({"r": "x", f"made up {next(numbers)}": 1})
        return smp_frame(packet.data[:2] + len(payload).to_bytes(2, "big") + packet.data[4:8] + payload)

    link.request(SAFE, timeout=1)
    assert link.stats.undocumented == set()
    firmware.faults = [with_another_key] * 300
    for _ in range(300):
        link.request(SAFE, timeout=1)
    assert {"0/0: 'made up 0'", "0/0: 'made up 40'"} <= link.stats.undocumented
    assert len(link.stats.undocumented) == 64
