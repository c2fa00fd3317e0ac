"""The monitor of MLPerf Tiny's protocol, compiled for this host and driven by the harness's own client."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from pathlib import Path

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfm_harness import ConfigError
from tfm_harness.parity.printed import PrintedForm, printed
from tfm_harness.protocol.mlperf_tiny import MlperfTinyDriver, MlperfTinyRefused
from tfm_harness.testing import FakeClock, ScriptedConsole

EACH = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_bool)
DESCRIBE = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.POINTER(ctypes.c_char), ctypes.POINTER(ctypes.c_size_t))
INFER = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.POINTER(ctypes.c_uint8), ctypes.c_size_t, ctypes.c_uint32)
RESULTS = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.POINTER(ctypes.c_uint8), ctypes.c_size_t, EACH)
MICROSECONDS = ctypes.CFUNCTYPE(ctypes.c_uint64)
PUT = ctypes.CFUNCTYPE(None, ctypes.c_char_p)


class Engine(ctypes.Structure):
    """``struct monitor_engine``."""

    _fields_ = (
        ("describe", DESCRIBE), ("infer", INFER), ("results", RESULTS), ("microseconds", MICROSECONDS), ("put", PUT)
    )  # fmt: skip


class Output(ctypes.Structure):
    """``struct signed_output``."""

    _fields_ = (
        ("data", ctypes.c_void_p), ("len", ctypes.c_size_t), ("scale_bits", ctypes.c_uint32),
        ("zero_point", ctypes.c_int32),
    )  # fmt: skip


@pytest.fixture(scope="module")
def library(build: Path) -> ctypes.CDLL:
    return ctypes.CDLL(str(build / "monitor.so"))


class Monitor:
    """The C monitor; its engine sums the input's bytes."""

    def __init__(self, library: ctypes.CDLL, size: int = 100) -> None:
        self.said = b""
        self.size = size
        self.works = True
        self.counts: list[int] = []
        self.now = 5
        self.library = library
        self.engine = Engine(
            DESCRIBE(self._describe),
            INFER(self._infer),
            RESULTS(self._results),
            MICROSECONDS(self._time),
            PUT(self._put),
        )
        library.monitor_init(ctypes.byref(self.engine))

    def _describe(self, name: ctypes.Array[ctypes.c_char], size: ctypes.Array[ctypes.c_size_t]) -> bool:
        ctypes.memmove(name, b"summing\0", 8)
        size[0] = self.size
        return True

    def _infer(self, _data: object, _length: int, count: int) -> bool:
        self.counts.append(count)
        self.now += 10 * count
        return self.works

    def _results(self, data: ctypes.Array[ctypes.c_uint8], length: int, each: Callable[[bytes, bool], None]) -> bool:
        each(f"{sum(data[:length])}.000".encode(), False)
        each(b"-0.125", True)
        return self.works

    def _time(self) -> int:
        return self.now

    def _put(self, text: bytes) -> None:
        self.said += text

    def __call__(self, data: bytes) -> bytes:
        """It hears `data`: what it says."""
        for byte in data:
            self.library.monitor_byte(ctypes.c_char(byte))
        said, self.said = self.said, b""
        return said


def opened(monitor: Monitor) -> tuple[MlperfTinyDriver, ScriptedConsole]:
    clock = FakeClock()
    console = ScriptedConsole(monitor, clock=clock)
    console.lossless = True
    console.say(monitor(b""))
    client = MlperfTinyDriver(console, timeout=1.0, clock=clock)
    client.wait_ready(timeout=5)
    return client, console


def test_it_boots_as_the_protocol_says(library: ctypes.CDLL) -> None:
    assert Monitor(library)(b"") == b"m-timestamp-mode-performance\r\nm-lap-us-5\r\nm-init-done\r\nm-ready\r\n"


def test_the_harnesss_client_takes_every_answer(library: ctypes.CDLL) -> None:
    monitor = Monitor(library)
    client, _ = opened(monitor)
    assert client.describe().model == "summing"
    assert client.any_input() == bytes(100)
    data = bytes(range(100))
    assert client.infer(data=data).message == f"{sum(data)}.000,-0.125".encode()
    done = client.run(7, 3)
    assert done.elapsed_us == 70
    assert monitor.counts[-2:] == [3, 7]
    assert client.results() == (f"{sum(data)}.000", "-0.125")
    assert client.timestamp() == monitor.now


@settings(max_examples=25, deadline=None)
@given(data=st.binary(min_size=1, max_size=400))
def test_every_input_is_read_back_as_it_was_sent(library: ctypes.CDLL, data: bytes) -> None:
    client, _ = opened(Monitor(library, len(data)))
    client.load(data)
    assert client.read_back(len(data)) == data


def test_the_largest_input_fits_and_no_larger_one(library: ctypes.CDLL) -> None:
    client, _ = opened(Monitor(library, 27_648))
    client.load(bytes(27_648))
    with pytest.raises(ConfigError, match="size that the firmware takes"):
        client.load(bytes(27_649))


def test_an_input_of_another_size_is_named_and_not_inferred(library: ctypes.CDLL) -> None:
    monitor = Monitor(library)
    client, _ = opened(monitor)
    with pytest.raises(ConfigError) as caught:
        client.infer(data=bytes(99))
    assert caught.value.expected == "100 elements"
    assert not monitor.counts


def test_a_failed_inference_is_an_error_line(library: ctypes.CDLL) -> None:
    monitor = Monitor(library)
    client, _ = opened(monitor)
    client.load(bytes(100))
    monitor.works = False
    with pytest.raises(MlperfTinyRefused, match="refused"):
        client.run(1, 0)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"infer 0%", b"e-[Inference iterations must be >0]"),
        (b"infer -1%", b"e-[Inference iterations must be >0]"),
        (b"infer 1 x%", b"e-[Inference warmup must be >=0]"),
        (b"infer 99999999999%", b"e-[Inference iterations must be >0]"),
        (b"db%", b"e-[Command 'db' requires a subcommand]"),
        (b"db load%", b"e-[Command 'db load' must be >0 bytes]"),
        (b"db load 0%", b"e-[Command 'db load' must be >0 bytes]"),
        (b"db load -5%", b"e-[Command 'db load' must be >0 bytes]"),
        (b"db 0%", b"e-[Insufficent number of hex digits]"),
        (b"db zz%", b"e-[Invalid hex digit]"),
        (b"db 00%", b"e-[More bytes than 'db load' announced]"),
        (b"%", b"e-[Unknown command: ]"),
        (b"   %", b"e-[Unknown command: ]"),
        (b"nonsense%", b"e-[Unknown command: nonsense]"),
        (b"n" * 500 + b"%", b"e-[Unknown command: " + b"n" * 80 + b"]"),
    ],
)
def test_wrong_commands_have_an_error_and_the_monitor_goes_on(
    library: ctypes.CDLL, command: bytes, answer: bytes
) -> None:
    monitor = Monitor(library)
    monitor(b"")
    assert monitor(command) == answer + b"\r\nm-ready\r\n"
    assert b"m-name-dut-[" in monitor(b"name%")


@settings(max_examples=200, deadline=None)
@given(noise=st.binary(max_size=300))
def test_no_bytes_stop_it(library: ctypes.CDLL, noise: bytes) -> None:
    monitor = Monitor(library)
    monitor(noise + b"%")
    assert monitor(b"name%").endswith(b"m-ready\r\n")


@settings(max_examples=400, deadline=None)
@given(
    scale=st.floats(min_value=2.0**-20, max_value=2.0**10, width=32, allow_subnormal=False),
    difference=st.integers(-255, 255),
)
def test_decimals_are_those_of_printf(library: ctypes.CDLL, scale: float, difference: int) -> None:
    room = ctypes.create_string_buffer(24)
    (bits,) = struct.unpack("<I", struct.pack("<f", scale))
    library.decimal_scaled.restype = ctypes.c_bool
    assert library.decimal_scaled(room, ctypes.c_uint32(bits), ctypes.c_int32(difference))
    wanted = printed(scale * difference, PrintedForm.ROUNDED)
    assert room.value.decode() == wanted


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan"), 1e-40])
def test_scales_that_no_model_has_are_refused(library: ctypes.CDLL, scale: float) -> None:
    (bits,) = struct.unpack("<I", struct.pack("<f", scale))
    library.decimal_scaled.restype = ctypes.c_bool
    assert not library.decimal_scaled(ctypes.create_string_buffer(24), ctypes.c_uint32(bits), ctypes.c_int32(1))


def find(library: ctypes.CDLL, data: bytes) -> Output | None:
    library.signed_output_find.restype = ctypes.c_bool
    found = Output()
    held = ctypes.create_string_buffer(data, len(data))
    if not library.signed_output_find(held, ctypes.c_size_t(len(data)), ctypes.byref(found)):
        return None
    assert ctypes.addressof(held) <= found.data
    assert found.data + found.len <= ctypes.addressof(held) + len(data)
    return found


def test_the_signed_output_is_found(library: ctypes.CDLL) -> None:
    data = cbor2.dumps(cbor2.CBORTag(18, [cbor2.dumps({1: -7}), {}, payload_of(-128), bytes(64)]))
    found = find(library, data)
    assert found is not None
    assert (found.len, found.zero_point) == (3, -128)
    assert struct.unpack("<f", struct.pack("<I", found.scale_bits)) == (0.00390625,)


def payload_of(zero: int) -> bytes:
    tensor = b"\x85" + cbor2.dumps(b"\x01\x02\xff") + cbor2.dumps("int8") + cbor2.dumps([1, 3])
    tensor += b"\xfa" + struct.pack(">f", 0.00390625) + cbor2.dumps(zero)
    pairs = cbor2.dumps(10) + cbor2.dumps(bytes(8)) + cbor2.dumps(-70004) + b"\x81" + tensor
    return b"\xa2" + pairs


@settings(max_examples=300, deadline=None)
@given(cut=st.integers(0, 120), at=st.integers(0, 120), value=st.integers(0, 255))
def test_damaged_results_are_refused_or_read_inside_their_bounds(
    library: ctypes.CDLL, cut: int, at: int, value: int
) -> None:
    data = bytearray(cbor2.dumps(cbor2.CBORTag(18, [cbor2.dumps({1: -7}), {}, payload_of(3), bytes(64)])))
    data[at % len(data)] = value
    find(library, bytes(data[: len(data) - cut % len(data)]))
