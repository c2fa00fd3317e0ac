"""Every request of every client against devices that chatter, drip, flood, answer wrong, or late.

The clock is the test's own: each look at the console takes fifty milliseconds, and in each of them the device may send.
A request must end within its time, with an answer or an error of the harness. New methods of a client fail here until
they stand in the tables.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cbor2
import pytest
from tfm_harness.console.base import Mark
from tfm_harness.errors import HarnessError
from tfm_harness.protocol.base import PseudoDriver, Source
from tfm_harness.protocol.mlperf_tiny.client import MlperfTinyDriver
from tfm_harness.protocol.smp.client import SmpDriver
from tfm_harness.protocol.smp.header import HEADER, Command
from tfm_harness.protocol.zephyr_shell.client import ZephyrShellDriver
from tfm_harness.testing import MemoryConsole, SmpFirmware, smp_frame

STEP = 0.05
TIMEOUT = 2.0  # what the clients are given for an answer


class Endless(BaseException):
    """Not an `Exception`: no code under test may take it for an error of the device."""


class HostileConsole(MemoryConsole):
    """`device` answers what is written; `noise` comes with each look. Time goes on with each look."""

    def __init__(self, device: Callable[[bytes], bytes], noise: bytes, *, lossless: bool = False) -> None:
        super().__init__(device)
        self.noise = noise
        self.lossless = lossless
        self.now = 0.0
        self.most = 120.0
        self.later: list[tuple[float, bytes]] = []

    def clock(self) -> float:
        return self.now

    def look(self, seconds: float) -> None:
        self.now += seconds
        if self.now > self.most:
            raise Endless(f"still waiting after {self.now:.0f} s")
        if self.noise:
            self.push(self.noise)
        due = [data for at, data in self.later if at <= self.now]
        self.later = [(at, data) for at, data in self.later if at > self.now]
        for data in due:
            self.push(data)

    def mark(self) -> Mark:
        self.look(STEP / 10)
        return super().mark()

    def wait_data(self, since: Mark, *, timeout: float) -> bool:
        self.look(min(STEP, max(timeout, 0.0)) or STEP / 10)
        return super().wait_data(since, timeout=0)

    def read_from(self, since: Mark, *, limit: int = 1 << 20) -> bytes:
        self.look(STEP / 10)
        return super().read_from(since, limit=limit)


# ---- devices: what is written gives what comes back


class SmpAnswers:
    """Answers each request with a well-formed packet whose CBOR `body` makes."""

    def __init__(self, body: Callable[[int, int, dict[str, Any]], object]) -> None:
        self.body = body
        self.hears = SmpFirmware()
        self.hears.answer = self.answer  # type: ignore[method-assign]

    def answer(self, request: bytes) -> bytes:
        op, _flags, _length, group, sequence, command = HEADER.unpack_from(request)
        made = self.body(group, command, cbor2.loads(request[HEADER.size :]))
        if made is None:
            return b""
        payload = made if isinstance(made, bytes) else cbor2.dumps(made)
        return smp_frame(HEADER.pack((op + 1) | 1 << 3, 0, len(payload), group, sequence, command) + payload)

    def __call__(self, data: bytes) -> bytes:
        return self.hears(data)


KEYS = (  # noqa: SIM905 - fifty short words
    "r res tok key csr ph seq st n in out fw ver speh nspe feat model mid boot seed life uuid hz fault val info last"
    " models t e t0 t1 ops len off size rx crc bad big cbor ovr tx buf_size buf_count prof win mtu"
).split()


def everywhere(value: object) -> Callable[[int, int, dict[str, Any]], object]:
    """An answer with the same value under every key that the protocol knows."""
    return lambda _group, _command, _arguments: dict.fromkeys(KEYS, value)


def plausible(_group: int, command: int, arguments: dict[str, Any]) -> object:
    """Right types, sizes that never come to their end."""
    if "d" in arguments:
        return {"r": arguments["d"]}
    described = {
        "fw": "x", "ver": "1", "speh": bytes(32), "nspe": bytes(32), "feat": [], "model": "m", "mid": bytes(32),
        "seed": b"", "life": 1, "uuid": "u", "hz": 1, "in": 1 << 62, "out": 1 << 62, "boot": 0,
    }  # fmt: skip
    by_command: dict[int, object] = {
        0: described,
        14: {"off": arguments.get("off", 0) + 1},  # one byte of an upload at a time
        16: {"out": b"x", "len": 1 << 62, "ops": [[1 << 62] * 4]},
        7: {"st": 0, "n": 1 << 62, "seq": 1 << 62},
    }
    return by_command.get(command, described | {"t": b"", "e": b"", "t0": 0, "t1": 0, "last": [], "models": []})


def drip_of_a_tensor(_group: int, _command: int, arguments: dict[str, Any]) -> object:
    """The length is possible; the pieces are of one byte."""
    return {"out": b"x", "len": 1 << 20, "off": arguments.get("off", 0) + 1, "ops": []}


def silent(_data: bytes) -> bytes:
    return b""


def smp(body: Callable[[int, int, dict[str, Any]], object]) -> Callable[[], Callable[[bytes], bytes]]:
    return lambda: SmpAnswers(body)


SMP_DEVICES: Mapping[str, Callable[[], Callable[[bytes], bytes]]] = {
    "silent": lambda: silent,
    "no CBOR": smp(lambda *_: b"\xff\xff\xff"),
    "endless CBOR": smp(lambda *_: b"\x9f" * 400),
    "long CBOR string": smp(lambda *_: b"\xa1\x61r\x7b" + b"\x7f" * 8),
    "empty map": smp(lambda *_: {}),
    "a list": smp(lambda *_: [1, 2]),
    "huge numbers": smp(everywhere((1 << 64) - 1)),
    "negative numbers": smp(everywhere(-(1 << 63))),
    "texts": smp(everywhere("\x1b[2J::error::")),
    "byte strings": smp(everywhere(b"\xff" * 33)),
    "lists": smp(everywhere([[1 << 62] * 4] * 4)),
    "floats": smp(everywhere(float("nan"))),
    "nulls": smp(everywhere(None)),
    "error without code": smp(lambda *_: {"err": {}}),
    "error with text": smp(lambda *_: {"err": {"group": "x", "rc": [1]}}),
    "plausible, without end": smp(plausible),
    "a tensor byte by byte": smp(drip_of_a_tensor),
    "echoes": lambda: lambda data: data,
}


def lines(*said: str, end: str = "\r\n") -> Callable[[], Callable[[bytes], bytes]]:
    return lambda: lambda _data: "".join(line + end for line in said).encode()


PROMPT = "uart:~$ "
SHELL_DEVICES: Mapping[str, Callable[[], Callable[[bytes], bytes]]] = {
    "silent": lambda: silent,
    "echoes": lambda: lambda data: data,
    "only prompts": lambda: lambda _data: b"\r\n" + PROMPT.encode(),
    "echo, then prompts": lambda: lambda data: data + b"\r\n" + PROMPT.encode(),
    "echo, then many lines": lambda: lambda data: data + b"\r\n" + b"x\r\n" * 300,
    "echo, then a long line": lambda: lambda data: data + b"\r\n" + b"A" * 20_000,
    "echo, then garbage and a prompt": lambda: (
        lambda data: data + b"\r\n" + bytes(range(128, 256)) * 20 + b"\r\n" + PROMPT.encode()
    ),
    "boots with each word": lambda: (
        lambda _data: b"*** Booting Zephyr OS build v3.7.0 ***\r\n" + PROMPT.encode() + b"\r\n" + PROMPT.encode()
    ),
    "hex without end": lambda: (
        lambda data: data + b"\r\nAAT token:\r\n" + b"00000000: 41 41 41 41 |AAAA|\r\n" * 500 + PROMPT.encode()
    ),
    "cursor movements": lambda: lambda data: data + b"\x1b[9999999999C\x1b[2J\x1b[" + b"9" * 5000,
}


class MonitorAnswers:
    """The ready message and the answer to a word that does not exist, and `said` in between."""

    def __init__(self, *said: str) -> None:
        self.said = said
        self.heard = b""

    def __call__(self, data: bytes) -> bytes:
        self.heard += data
        out = b""
        while b"%" in self.heard:
            word, _, self.heard = self.heard.partition(b"%")
            if word.startswith(b"sync-"):
                out += b"e-[Unknown command: " + word + b"]\r\nm-ready\r\n"
            else:
                out += "".join(line + "\r\n" for line in self.said).encode() + b"m-ready\r\n"
        return out


MONITOR_DEVICES: Mapping[str, Callable[[], Callable[[bytes], bytes]]] = {
    "silent": lambda: silent,
    "echoes": lambda: lambda data: data,
    "only ready": MonitorAnswers,
    "wrong lines": lambda: MonitorAnswers("m-lap-us-99999999999999999999999", "m-results-[nan,]"),
    "huge sizes": lambda: MonitorAnswers(
        "m-name-dut-[x]", "m-profile-[x]", "m-model-[x]", "Input db has 1 elemented, expected 999999999"
    ),
    "too large": lambda: MonitorAnswers("Supplied buffer size 1 exceeds maximum of 999999999999"),
    "many lines": lambda: MonitorAnswers(*["m-buffer-00-00-00-00-00-00-00-00"] * 4000),
    "no ready": lines("m-name-dut-[x]", "m-infer-done"),
    "boots": lines("m-init-done", "m-ready"),
    "never a line's end": lambda: lambda _data: b"m-" * 50_000,
}

NOISE = {
    "quiet": b"",
    "log lines": b"[00:00:01] still here\r\n",
    "drips": b".",
    "flood": b"flood " * 700 + b"\r\n",
    "prompts": b"uart:~$ \r\n",
    "ready": b"m-ready\r\n",
    "protocol lines": b"m-info-x\r\n",
    "half frames": b"\x06\x09AAAA\n",
    "no text": bytes(range(128, 160)),
}

# ---- requests


@dataclass(frozen=True)
class Client:
    """How a client is made, what is asked of it, and the devices that it is held against."""

    driver: type[PseudoDriver]
    requests: Mapping[str, Callable[[Any], object]]
    devices: Mapping[str, Callable[[], Callable[[bytes], bytes]]]


IMAGE = bytes(5000)
SMP = Client(
    SmpDriver,
    {
        "activate_model": lambda c: c.activate_model(bytes(32)),
        "any_input": lambda c: c.any_input(),
        "ask": lambda c: c.ask(Command.STATS, read=True),
        "attest": lambda c: c.attest(bytes(32)),
        "attest_size": lambda c: c.attest_size(32),
        "batch": lambda c: c.batch([bytes(8)] * 3, 4),
        "csr": lambda c: c.csr("client"),
        "describe": lambda c: c.describe(),
        "device_stats": lambda c: c.device_stats(),
        "echo": lambda c: c.echo("x"),
        "faults": lambda c: c.faults(),
        "infer": lambda c: c.infer(source=Source.HOST, data=bytes(8)),
        "input_argument": lambda c: c.input_argument(bytes(9000)),
        "is_silent": lambda c: c.is_silent(1.0),
        "latency": lambda c: c.latency(2),
        "models": lambda c: c.models(),
        "parameters": lambda c: c.parameters(),
        "peek": lambda c: c.peek(0x20000000, 16),
        "poke": lambda c: c.poke(0x20000000, bytes(16)),
        "print_log": lambda c: c.print_log(2, 10),
        "probe": lambda c: c.probe(0x20000000),
        "probe_many": lambda c: c.probe_many([0x20000000] * 4),
        "ps_get": lambda c: c.ps_get(1),
        "ps_remove": lambda c: c.ps_remove(1),
        "ps_set": lambda c: c.ps_set(1, b"x"),
        "psa_call": lambda c: c.psa_call(1, 2, [(3, 4)], []),
        "psa_call_at": lambda c: c.psa_call_at(1, 2, [(3, 4)], [], in_array=5),
        "psa_call_many": lambda c: c.psa_call_many([(1, 2, [(3, 4)], [])] * 3),
        "psa_call_timed": lambda c: c.psa_call_timed((1, 2, [(3, 4)], []), 3, step=8),
        "public_key": lambda c: c.public_key("iak"),
        "request_reset": lambda c: c.request_reset(),
        "sample": lambda c: c.sample("step"),
        "select_model": lambda c: c.select_model("m"),
        "trace": lambda c: c.trace(bytes(8)),
        "trace_output": lambda c: c.trace_output(bytes(8), 0),
        "upload_model": lambda c: c.upload_model(IMAGE),
        "wait_echo": lambda c: c.wait_echo(timeout=5.0),
        "wait_ready": lambda c: c.wait_ready(timeout=5.0),
    },
    SMP_DEVICES,
)
SHELL = Client(
    ZephyrShellDriver,
    {
        "any_input": lambda c: c.any_input(),
        "app_token": lambda c: c.app_token(),
        "attest": lambda c: c.attest(bytes(32)),
        "csr": lambda c: (c.csr("client"), c.csr("client", form="JSON")),
        "describe": lambda c: c.describe(),
        "infer": lambda c: c.infer(data=bytes(4)),
        "infer_values": lambda c: c.infer_values("tflm_sine", 0, 3, 1),
        "key_status": lambda c: c.key_status(),
        "notes": lambda c: c.notes(),
        "public_key": lambda c: c.public_key("result"),
        "reboot": lambda c: c.reboot(timeout=5.0),
        "run": lambda c: c.run("infer get"),
        "wait_ready": lambda c: c.wait_ready(timeout=5.0),
    },
    SHELL_DEVICES,
)
MONITOR = Client(
    MlperfTinyDriver,
    {
        "any_input": lambda c: c.any_input(),
        "attest": lambda c: c.attest(bytes(32)),
        "csr": lambda c: c.csr("client"),
        "describe": lambda c: c.describe(),
        "infer": lambda c: c.infer(data=bytes(64)),
        "load": lambda c: c.load(bytes(64)),
        "public_key": lambda c: c.public_key("iak"),
        "read_back": lambda c: c.read_back(64),
        "results": lambda c: c.results(),
        "run": lambda c: c.run(2, 1),
        "timestamp": lambda c: c.timestamp(),
        "wait_ready": lambda c: c.wait_ready(timeout=5.0),
    },
    MONITOR_DEVICES,
)
CLIENTS = {"smp": SMP, "zephyr-shell": SHELL, "mlperf-tiny": MONITOR}
NO_REQUESTS = {"expecting", "link", "session"}


def public_methods(driver: type) -> set[str]:
    return {
        name
        for name, member in inspect.getmembers(driver)
        if not name.startswith("_") and inspect.isfunction(member) and name not in NO_REQUESTS
    }


@pytest.mark.parametrize("name", CLIENTS)
def test_the_table_has_every_request(name: str) -> None:
    client = CLIENTS[name]
    assert set(client.requests) == public_methods(client.driver)


def held_against(client: Client, request: str, device: str, noise: str, *, lossless: bool = False) -> float:
    """Ask; the seconds on the test's clock until it ended."""
    console = HostileConsole(client.devices[device](), NOISE[noise], lossless=lossless)
    driver = client.driver(console, timeout=TIMEOUT, watch=None, clock=console.clock)  # type: ignore[call-arg]
    with contextlib.suppress(HarnessError):
        client.requests[request](driver)
    return console.now


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("name", "lossless"),
    [("smp", False), ("smp", True), ("zephyr-shell", False), ("mlperf-tiny", False), ("mlperf-tiny", True)],
)
def test_every_request_ends(name: str, lossless: bool) -> None:
    """The whole product; one test, for there are thousands of cases of a millisecond each."""
    client = CLIENTS[name]
    wrong = []
    for request in client.requests:
        for device in client.devices:
            for noise in NOISE if device == "silent" else ("quiet",):
                try:
                    held_against(client, request, device, noise, lossless=lossless)
                except (Exception, Endless) as error:  # noqa: BLE001 - every foreign one is what is looked for
                    wrong.append(f"{request}, device {device!r}, noise {noise!r}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_late_answer_is_never_taken_for_a_newer_one(name: str) -> None:
    """All answers come after the time for them is over."""
    client = CLIENTS[name]
    for request in client.requests:
        console = HostileConsole(silent, b"")
        answers = client.devices["echoes"]() if name != "smp" else SmpAnswers(everywhere(1))

        def late(data: bytes, console: HostileConsole = console, answers: Any = answers) -> bytes:
            console.later.append((console.now + 2.5 * TIMEOUT, answers(data)))
            return b""

        console.device = late
        driver = client.driver(console, timeout=TIMEOUT, watch=None, clock=console.clock)  # type: ignore[call-arg]
        with contextlib.suppress(HarnessError):
            client.requests[request](driver)


@pytest.mark.parametrize(("name", "device"), [("mlperf-tiny", "huge sizes"), ("smp", "plausible, without end")])
def test_a_size_that_a_device_says_is_not_allocated(name: str, device: str) -> None:
    client = CLIENTS[name]
    console = HostileConsole(client.devices[device](), b"")
    driver = client.driver(console, timeout=TIMEOUT, watch=None, clock=console.clock)  # type: ignore[call-arg]
    with pytest.raises(HarnessError):
        driver.any_input()


def test_the_test_sees_a_wait_without_end() -> None:
    console = HostileConsole(silent, b"x")

    def endless() -> None:
        at = console.mark()
        while console.wait_data(at, timeout=1.0):
            at = console.mark()

    with pytest.raises(Endless):
        endless()
