"""MLPerf Tiny's protocol: what a right firmware says is read, what a sick one says is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tfm_harness import ConfigError, InfrastructureError, ProductError, PseudoDriver, Source
from tfm_harness.protocol.mlperf_tiny import MlperfTinyDriver, MlperfTinyRefused, TimedRun
from tfm_harness.testing import (
    FakeClock,
    FaultyWire,
    MemoryConsole,
    MlperfTinyFault,
    MlperfTinyFirmware,
    ProtocolConformance,
    ScriptedConsole,
    delete,
    flip,
)

INPUT = bytes(n * 7 & 0xFF for n in range(490))


class TestConformance(ProtocolConformance):
    log_line = b"[NS] a line of the log\r\n"

    def make_device(self) -> Callable[[bytes], bytes]:
        return MlperfTinyFirmware()

    def make_client(self, console: MemoryConsole, *, timeout: float, watch: Callable[[], None]) -> PseudoDriver:
        return MlperfTinyDriver(console, timeout=timeout, watch=watch)

    def boot_text(self) -> bytes:
        return MlperfTinyFirmware().boot()


def opened(
    firmware: MlperfTinyFirmware, *, lossless: bool = False
) -> tuple[MlperfTinyDriver, ScriptedConsole, FaultyWire]:
    """A client of a booted firmware, on a clock that stands still while nobody waits."""
    clock = FakeClock()
    wire = FaultyWire(firmware)
    console = ScriptedConsole(wire, clock=clock)
    console.lossless = lossless
    console.say(firmware.boot())
    client = MlperfTinyDriver(console, timeout=2.0, clock=clock)
    client.wait_ready(timeout=10)
    return client, console, wire


def test_it_says_who_it_is() -> None:
    client, _, _ = opened(MlperfTinyFirmware())
    found = client.describe()
    assert (found.firmware, found.version) == ("simulated", "ULPMark for tinyML Firmware V0.0.1")
    assert found.model == "kws01"
    assert found.input_bytes == 490
    assert found.raw["timestamps"] == "performance"


def test_an_input_is_loaded_read_back_and_inferred() -> None:
    firmware = MlperfTinyFirmware()
    client, _, _ = opened(firmware)
    answer = client.infer(source=Source.HOST, data=INPUT)
    assert answer.message.decode().split(",") == [f"{value:.3f}" for value in firmware.infer(INPUT)]
    sent = [command for command in firmware.commands if command.startswith("db ")]
    assert sent[0] == "db load 490"
    assert sent[-1] == "db print"
    assert all(len(command) <= 80 for command in firmware.commands)
    assert bytes.fromhex("".join(command.removeprefix("db ") for command in sent[1:-1])) == INPUT
    assert "infer 1 0" in firmware.commands  # the firmware's default is ten warm-ups
    assert client.results() == tuple(answer.message.decode().split(","))


@pytest.mark.parametrize("count", [1, 640, 4096])
def test_results_of_many_outputs_are_one_long_line(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The autoencoder of the benchmark has 640; they come in pieces, as a UART hands them out."""
    values = [-1234.5 - number for number in range(count)]
    client, console, _ = opened(MlperfTinyFirmware(infer=lambda _: values))
    whole = console.read_from
    monkeypatch.setattr(console, "read_from", lambda mark, limit: whole(mark, limit=min(limit, 100)))
    answer = client.infer(source=Source.HOST, data=INPUT)
    assert answer.message.decode().split(",") == [f"{value:.3f}" for value in values]


def test_the_same_input_is_loaded_once() -> None:
    firmware = MlperfTinyFirmware()
    client, _, _ = opened(firmware)
    client.infer(data=INPUT)
    client.infer(data=INPUT)
    assert firmware.commands.count("db load 490") == 1


def test_a_run_is_timed_on_the_devices_clock() -> None:
    client, _, _ = opened(MlperfTinyFirmware(microseconds=250))
    client.load(INPUT)
    done = client.run(70, 10)
    assert (done.iterations, done.warmups, done.elapsed_us) == (70, 10, 70 * 250)
    before = client.timestamp()
    assert before == done.end_us


def test_a_counter_of_32_bits_may_wrap_once() -> None:
    def run(start: int, end: int, host: float) -> TimedRun:
        return TimedRun(iterations=1, warmups=0, start_us=start, end_us=end, results=(), texts=(), host_seconds=host)

    assert run((1 << 32) - 10, 20, host=1.0).elapsed_us == 30
    with pytest.raises(ProductError, match="run backwards"):
        _ = run(500_000_000, 20, host=1.0).elapsed_us


def test_a_log_between_the_lines_changes_nothing() -> None:
    firmware = MlperfTinyFirmware()
    client, _, wire = opened(firmware)
    client.load(INPUT)
    wire.always = lambda data: data.replace(b"m-infer-start", b"[NS] something\r\nm-infer-start")
    assert len(client.run(1, 0).results) == 12
    assert "[NS] something" in client.link.notes


def test_a_comma_behind_the_last_result_is_no_result() -> None:
    """The reference submission for visual wake words prints one."""
    client, _, wire = opened(MlperfTinyFirmware())
    client.load(INPUT)
    wire.always = lambda data: data.replace(b"]\r\nm-ready", b",]\r\nm-ready")
    assert len(client.run(1, 0).results) == 12


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (MlperfTinyFault.WRONG_ECHO, "answer-form"),
        (MlperfTinyFault.WRONG_ITERATIONS, "answer-form"),
        (MlperfTinyFault.TRUNCATED, "input-truncated"),
        (MlperfTinyFault.LOAD_DONE_EARLY, "answer-form"),
        (MlperfTinyFault.REPEATED_LINE, "answer-form"),
        (MlperfTinyFault.MISSING_LAP, "answer-form"),
        (MlperfTinyFault.NOT_A_NUMBER, "results-form"),
        (MlperfTinyFault.EMPTY_RESULTS, "results-form"),
        (MlperfTinyFault.ERROR_LINE, "refused"),
        (MlperfTinyFault.RESET, "device-reset"),
    ],
)
def test_a_sick_firmware_is_the_products_fault(fault: MlperfTinyFault, kind: str) -> None:
    client, _, _ = opened(MlperfTinyFirmware(fault=fault))
    with pytest.raises(ProductError) as caught:
        client.infer(data=INPUT)
    assert caught.value.kind == kind
    assert caught.value.expected
    assert caught.value.seen


def test_a_changed_byte_is_the_lines_fault_or_the_firmwares() -> None:
    client, _, _ = opened(MlperfTinyFirmware(fault=MlperfTinyFault.BYTE_CHANGED))
    with pytest.raises(InfrastructureError, match="not the one that was sent") as caught:
        client.infer(data=INPUT)
    assert "byte 245" in (caught.value.expected or "")
    client, _, _ = opened(MlperfTinyFirmware(fault=MlperfTinyFault.BYTE_CHANGED), lossless=True)
    with pytest.raises(ProductError, match="not the one that was sent"):
        client.infer(data=INPUT)


def test_an_input_damaged_once_is_sent_again() -> None:
    client, _, wire = opened(MlperfTinyFirmware())
    damaged = False

    def noise(data: bytes) -> bytes:
        nonlocal damaged
        if damaged or b"db " not in data or len(data) < 60:
            return data
        damaged = True
        return flip(10)(data)

    wire.deaf = noise
    client.load(INPUT)
    assert damaged
    assert client.read_back(490) == INPUT


def test_a_late_ready_message_is_taken_for_no_other_answer() -> None:
    firmware = MlperfTinyFirmware(fault=MlperfTinyFault.LATE_READY)
    client, _, _ = opened(firmware)
    client.load(INPUT)
    with pytest.raises(InfrastructureError) as caught:
        client.run(1, 0)
    assert caught.value.kind == "answer-lost"
    assert client.describe().model == "kws01"  # the late message came before it
    assert any(command.startswith("sync-") for command in firmware.commands[-4:])


def test_no_ready_message_is_a_lost_answer() -> None:
    client, _, _ = opened(MlperfTinyFirmware(fault=MlperfTinyFault.NO_READY))
    client.load(INPUT)
    with pytest.raises(InfrastructureError) as caught:
        client.run(1, 0)
    assert caught.value.kind == "answer-lost"


def test_without_timestamps_there_are_results_and_no_time() -> None:
    client, _, _ = opened(MlperfTinyFirmware(fault=MlperfTinyFault.NO_LAPS))
    client.load(INPUT)
    done = client.run(3, 0)
    assert len(done.results) == 12
    with pytest.raises(ProductError, match="energy mode"):
        _ = done.elapsed_us


def test_time_that_runs_backwards_is_refused() -> None:
    client, _, _ = opened(MlperfTinyFirmware(fault=MlperfTinyFault.LAPS_BACKWARDS))
    client.load(INPUT)
    with pytest.raises(ProductError, match="backwards"):
        _ = client.run(5, 0).elapsed_us


def test_an_input_of_another_size_is_not_inferred_with_the_one_before() -> None:
    """The reference firmware says so in a line without the error's mark, and infers the input before."""
    client, _, _ = opened(MlperfTinyFirmware())
    with pytest.raises(ConfigError) as caught:
        client.infer(data=INPUT[:100])
    assert caught.value.kind == "input-size"
    assert caught.value.expected == "490 elements"


def test_an_input_larger_than_the_buffer_is_named() -> None:
    client, _, _ = opened(MlperfTinyFirmware(buffer_bytes=256))
    with pytest.raises(ConfigError, match="size that the firmware takes") as caught:
        client.infer(data=INPUT)
    assert caught.value.expected == "at most 256 bytes"


def test_any_input_of_an_unknown_model_has_the_size_that_it_asks_for() -> None:
    client, _, _ = opened(MlperfTinyFirmware("mine", input_bytes=37))
    assert client.any_input() == bytes(37)


def test_a_reset_between_two_commands_is_named() -> None:
    firmware = MlperfTinyFirmware()
    client, console, _ = opened(firmware)
    console.say(firmware.boot())
    console.wait_for(b"m-init-done\r\nm-ready\r\n", timeout=1)
    with pytest.raises(ProductError) as caught:
        client.describe()
    assert caught.value.kind == "device-reset"
    assert client.describe().model == "kws01"


def test_what_is_left_of_a_command_does_not_stop_the_handshake() -> None:
    """Bytes that the firmware heard before: the first word that is asked for is no longer the one sent."""
    firmware = MlperfTinyFirmware()
    clock = FakeClock()
    console = ScriptedConsole(firmware, clock=clock)
    firmware(b"db 00")
    client = MlperfTinyDriver(console, timeout=1.0, clock=clock)
    assert client.wait_ready(timeout=10).model == "kws01"


def test_a_device_that_answers_no_unknown_word_is_not_ready() -> None:
    clock = FakeClock()
    console = ScriptedConsole(lambda _: b"m-ready\r\n", clock=clock)
    with pytest.raises(ProductError) as caught:
        MlperfTinyDriver(console, timeout=1.0, clock=clock).wait_ready(timeout=5)
    assert caught.value.kind == "boot-hung"


def test_another_model_than_asked_for_is_refused() -> None:
    client, _, _ = opened(MlperfTinyFirmware())
    with pytest.raises(ConfigError) as caught:
        client.infer(data=INPUT, model="ic01")
    assert caught.value.kind == "no-model"


def test_lost_bytes_of_an_answer_are_no_results() -> None:
    client, _, wire = opened(MlperfTinyFirmware())
    client.load(INPUT)
    wire.next(delete(3, 9))
    with pytest.raises(ProductError) as caught:
        client.run(1, 0)
    assert caught.value.kind == "answer-form"


@pytest.mark.parametrize(("iterations", "warmups"), [(0, 0), (-1, 0), (1, -1), (2_000_000, 0)])
def test_impossible_numbers_are_not_sent(iterations: int, warmups: int) -> None:
    firmware = MlperfTinyFirmware()
    client, _, _ = opened(firmware)
    before = len(firmware.commands)
    with pytest.raises(ConfigError):
        client.run(iterations, warmups)
    assert len(firmware.commands) == before


def test_a_refusal_carries_its_text() -> None:
    client, _, _ = opened(MlperfTinyFirmware(fault=MlperfTinyFault.ERROR_LINE))
    client.load(INPUT)
    with pytest.raises(MlperfTinyRefused) as caught:
        client.run(1, 0)
    assert caught.value.text == "out of memory"
