"""The Pico's device files under CPython, read by a simulated I2C controller, driven over a pty."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

import pytest
from tfm_harness.errors import InfrastructureError
from tfm_harness.stimulus.base import Sample
from tfm_harness.stimulus.pico.link import PicoLink, PicoRefusedError, seal, unseal
from tfm_harness.stimulus.pico.simulator import SimulatedPico, load_device_module

MAG, TEMP = 0x1E, 0x48
A = Sample(1, -2, 3, 400)
B = Sample(550, 640, 2047, -1)


class FdTransport:
    """Lines over a file descriptor; can damage what it carries."""

    def __init__(self, port: str) -> None:
        self.name = port
        self._fd = os.open(port, os.O_RDWR | os.O_NOCTTY)
        self._pending = b""
        self.damage_next_request = False
        self.damage_next_answer = False

    def send(self, line: bytes) -> None:
        if self.damage_next_request:
            self.damage_next_request = False
            line = line.replace(b" ", b"_", 1)
        os.write(self._fd, line)

    def receive(self, timeout: float) -> bytes | None:
        while b"\n" not in self._pending:
            if not select.select([self._fd], [], [], timeout)[0]:
                return None
            self._pending += os.read(self._fd, 4096)
        line, _, self._pending = self._pending.partition(b"\n")
        if self.damage_next_answer:
            self.damage_next_answer = False
            line = line[:-1] + b"x"
        return line

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture
def pico() -> Iterator[SimulatedPico]:
    with SimulatedPico() as simulated:
        yield simulated


@pytest.fixture
def transport(pico: SimulatedPico) -> Iterator[FdTransport]:
    made = FdTransport(pico.port)
    yield made
    made.close()


@pytest.fixture
def link(transport: FdTransport) -> PicoLink:
    return PicoLink(transport)


def read_sample(pico: SimulatedPico) -> Sample:
    """What a board's driver does: six magnetometer bytes, then two of temperature."""
    data = pico.read_register(MAG, 0x03, 6)
    pico.write(TEMP, b"\x01\x60")
    raw = int.from_bytes(pico.read_register(TEMP, 0x00, 2), "big", signed=True)
    x, z, y = (int.from_bytes(data[i : i + 2], "big", signed=True) for i in (0, 2, 4))
    return Sample(x, y, z, raw >> 4)


def test_hello_names_the_board(link: PicoLink) -> None:
    assert link.hello() == "e6614103e7000000"


def test_set_is_what_the_controller_reads_and_the_record_proves_it(pico: SimulatedPico, link: PicoLink) -> None:
    link.set(A)
    assert read_sample(pico) == A
    link.set(B)
    assert read_sample(pico) == B
    assert link.served(2) == [A, B]


def test_trace_steps_once_a_complete_sample(pico: SimulatedPico, link: PicoLink) -> None:
    trace = [Sample(i, -i, 2 * i, i - 5) for i in range(20)]
    link.load(trace)
    link.play(len(trace))
    assert [read_sample(pico) for _ in range(20)] == trace
    assert read_sample(pico) == trace[-1], "the last sample stays"
    assert link.served(21) == [*trace, trace[-1]]


def test_half_a_sample_does_not_step(pico: SimulatedPico, link: PicoLink) -> None:
    link.load([A, B])
    link.play(2)
    pico.read_register(MAG, 0x03, 4)
    pico.read_register(TEMP, 0x00, 2)
    assert link.served_count() == 0
    assert read_sample(pico) == A


def test_outputs_are_latched_when_the_read_begins(pico: SimulatedPico) -> None:
    pico.player.set(0x0102, 0x0304, 0x0506, 0)
    pico.write(MAG, b"\x03")
    pico.mag.begin_read()
    first = pico.mag.read()
    pico.player.set(-1, -1, -1, 0)
    rest = bytes(pico.mag.read() for _ in range(5))
    assert bytes([first]) + rest == bytes.fromhex("010205060304")


def test_magnetometer_identity_and_pointer_wrap(pico: SimulatedPico) -> None:
    assert pico.read_register(MAG, 0x0A, 3) == b"H43"
    pico.player.set(0x0102, 0x0304, 0x0506, 0)
    assert pico.read_register(MAG, 0x03, 8) == bytes.fromhex("0102050603040102"), "8 wraps to 3"
    assert pico.read_register(MAG, 0x0C, 2) == b"\x33\x10", "12 wraps to 0"
    assert pico.read_register(MAG, 0x80, 1) == b"\x00"
    pico.write(MAG, b"\x02\x00")
    assert pico.read_register(MAG, 0x02, 1) == b"\x00"
    pico.write(MAG, b"\x0a\x00")
    assert pico.read_register(MAG, 0x0A, 1) == b"H", "identity is read-only"


@pytest.mark.parametrize(("config", "expected"), [(0x00, 0x1980), (0x20, 0x19C0), (0x40, 0x19E0), (0x60, 0x19F0)])
def test_thermometer_resolution(pico: SimulatedPico, config: int, expected: int) -> None:
    pico.player.set(0, 0, 0, 0x19F)
    pico.write(TEMP, bytes([1, config]))
    assert pico.read_register(TEMP, 0, 2) == expected.to_bytes(2, "big")
    assert pico.read_register(TEMP, 1, 1) == bytes([config])


def test_thermometer_limits_and_overread(pico: SimulatedPico) -> None:
    assert pico.read_register(TEMP, 2, 2) == b"\x4b\x00"
    pico.write(TEMP, b"\x03\x12\x30")
    assert pico.read_register(TEMP, 3, 3) == b"\x12\x30\xff"


def test_faults_make_the_address_disappear(pico: SimulatedPico, link: PicoLink) -> None:
    link.set(A)
    link.fault("mag", "absent")
    with pytest.raises(OSError, match="0x1e not acknowledged"):
        read_sample(pico)
    link.fault("mag", "none")
    assert read_sample(pico) == A


def test_damaged_lines_are_asked_again_and_counted(pico: SimulatedPico, link: PicoLink, transport: FdTransport) -> None:
    transport.damage_next_request = True
    link.set(A)
    assert link.retries == 1
    assert pico.link.broken == 1
    transport.damage_next_answer = True
    link.set(B)
    assert link.retries == 2
    assert read_sample(pico) == B


def test_late_answers_are_skipped(pico: SimulatedPico, link: PicoLink, transport: FdTransport) -> None:
    transport.send(seal(">999 hello"))
    link.set(A)
    assert link.stale == 1
    assert read_sample(pico) == A


@pytest.mark.parametrize("sample", [Sample(40000, 0, 0, 0), Sample(0, 0, -32769, 0), Sample(0, 0, 0, 2048)])
def test_values_outside_the_registers_are_refused(link: PicoLink, sample: Sample) -> None:
    with pytest.raises(PicoRefusedError, match="refused") as caught:
        link.set(sample)
    assert caught.value.seen == "err range"


def test_record_older_than_the_ring_is_refused(pico: SimulatedPico, link: PicoLink) -> None:
    for _ in range(1025):
        read_sample(pico)
    assert len(link.served(1024)) == 1024
    with pytest.raises(PicoRefusedError, match="refused"):
        link.served(1025)


def test_silent_pico_is_the_benchs_fault(transport: FdTransport) -> None:
    class Deaf(FdTransport):
        def receive(self, timeout: float) -> bytes | None:
            return None

    deaf = Deaf(transport.name)
    try:
        with pytest.raises(InfrastructureError, match="did not answer") as caught:
            PicoLink(deaf).hello()
        assert caught.value.kind == "pico-silent"
    finally:
        deaf.close()


@pytest.mark.parametrize(
    "line", [b"", b"*", b">1 hello*ZZZZ", b">1*0000", b"\xff\xfe*1234", b">1 set 1 2 3*" + b"0" * 300, b">1 hello"]
)
def test_device_answers_garbage_without_stopping(line: bytes) -> None:
    pico = SimulatedPico()
    answer = unseal(pico.link.handle(line).rstrip(b"\n"))
    assert answer in {"<- err crc", "<- err syntax"}
    after = unseal(pico.link.handle(seal(">2 stats").rstrip(b"\n")).rstrip(b"\n"))
    assert after is not None
    assert after.startswith("<2 ok")


@pytest.mark.parametrize(
    "text", [">1 set 1 2", ">1 load x 1 2 3 4", ">1 play 0", ">1 served 0 9", ">1 fault mag", ">1 x"]
)
def test_device_refuses_wrong_requests(text: str) -> None:
    answer = unseal(SimulatedPico().link.handle(seal(text).rstrip(b"\n")).rstrip(b"\n"))
    assert answer is not None
    assert answer.startswith("<1 err")


def test_both_crcs_are_the_same() -> None:
    device = load_device_module("link")
    for data in (b"", b"123456789", bytes(range(256))):
        text = data.decode("latin-1")
        assert device.crc16(data) == int(seal_crc(data), 16), text
    assert device.crc16(b"123456789") == 0x31C3


def seal_crc(data: bytes) -> bytes:
    import binascii

    return b"%04X" % binascii.crc_hqx(data, 0)
