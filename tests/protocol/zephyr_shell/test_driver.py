"""The client against the recorded firmware: the same answers for any chunking and any interleaving."""

from __future__ import annotations

import json
import random
import re
import struct
from collections import deque
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from tfm_harness.errors import ConfigError, HarnessError, InfrastructureError, ProductError
from tfm_harness.protocol.base import Feature, Source
from tfm_harness.protocol.zephyr_shell.client import ZephyrShellDriver
from tfm_harness.protocol.zephyr_shell.lines import LineKind
from tfm_harness.protocol.zephyr_shell.parse import ShellRefused
from tfm_harness.testing import ScriptedConsole

from tests.protocol.zephyr_shell.simulator import PROMPTS, Chunker, Device, path_of, turns

STYLES = ["colour", "plain"]
UUID = "d5668f22-64b7-4efd-b4cb-0b6d940434b0"


def connect(
    device: Device, chunker: Chunker = lambda data: [data], *, boot: bool = True
) -> tuple[ZephyrShellDriver, ScriptedConsole]:
    console = ScriptedConsole(device, chunker)
    driver = ZephyrShellDriver(console, timeout=5.0, clock=console.clock)
    if boot:
        console.say(device.boot)
    return driver, console


def random_chunks(seed: int) -> Chunker:
    rng = random.Random(seed)

    def chunk(data: bytes) -> list[bytes]:
        out = []
        while data:
            size = rng.choice((1, 1, 2, 3, 5, 8, 64, 500))
            out.append(data[:size])
            data = data[size:]
        return out

    return chunk


def angle(degrees: float) -> bytes:
    return struct.pack("<f", degrees)


def all_answers(driver: ZephyrShellDriver) -> dict[str, Any]:
    """Every answer the client can get out of the recorded session."""

    def refused(line: str) -> object:
        try:
            driver._ask(line)
        except ShellRefused as error:
            return (error.message, error.status)
        raise AssertionError(f"{line} was not refused")

    description = driver.describe()
    return {
        "describe": (description.version, description.uuid, description.model, description.raw),
        "sign1": [driver.infer(data=angle(45)).message for _ in range(2)],
        "utvm": driver.infer(data=angle(45), model="utvm_sine").message,
        "last": driver.infer(data=angle(359)).message,
        "range": driver.infer_values("tflm_sine", 0, 90, 15),
        "cbor": driver.infer_values("utvm_sine", 45),
        "token": driver.app_token(),
        "status": driver.key_status(),
        "key": driver.public_key("result"),
        "csr": [driver.csr("client"), driver.csr("result"), driver.csr("client", form="JSON")],
        "refused": [
            refused(line)
            for line in (
                "infer get tflm_sine ENCRYPT0 45",
                "keys pubkey 5002",
                "keys public 9999",
                "keys cert 5001",
                "keys csr PEM",
                "keys csr XML 5001",
                "infer get tflm_sine FOO 45",
                "infer get tflm_sine SIGN1",
                "infer get tflm_sine SIGN1 360",
                "infer get tflm_sine SIGN1 0 10 20",
                "infer get tflm_sine SIGN1 0 1 2 3 4 5",
                "nosuch",
                "keys ca 5001",
                "infer model extra",
            )
        ],
    }


@pytest.mark.parametrize("style", STYLES)
def test_every_answer(style: str) -> None:
    driver, _ = connect(Device(style))
    description = driver.wait_ready(timeout=5)
    assert (description.version, description.uuid, description.model) == ("1.0.0", UUID, "tflm_sine")
    answers = all_answers(driver)
    first, second = answers["sign1"]
    assert len(first) == len(second) == 106
    assert first[:9] == second[:9] == bytes.fromhex("d28443a10126a0581f")
    assert first != second
    assert len(answers["token"]) == 219
    values = answers["range"]
    assert [entry.degrees for entry in values] == [0, 15, 30, 45, 60, 75, 90]
    for entry in values:
        (carried,) = struct.unpack("<f", entry.message[-4:])
        assert abs(carried - entry.value) < 1e-6
    load_pem_public_key(answers["key"])
    pem, _, as_json = answers["csr"]
    assert pem[:40] == as_json[:40]
    assert answers["refused"][0] == (
        "'infer get tflm_sine ENCRYPT0 45': Failed to get encoded inference output: PSA_ERROR_NOT_SUPPORTED (-134)",
        -134,
    )
    assert driver.features == {
        Feature.DESCRIBE, Feature.INFER, Feature.SIGNED_RESULT, Feature.APP_TOKEN, Feature.PUBLIC_KEYS, Feature.CSR,
    }  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_same_answers_one_byte_at_a_time_and_in_random_chunks(style: str) -> None:
    driver, _ = connect(Device(style))
    driver.wait_ready(timeout=5)
    expected = all_answers(driver)
    for chunker in (lambda data: [data[i : i + 1] for i in range(len(data))], *map(random_chunks, range(12))):
        driver, _ = connect(Device(style), chunker)
        driver.wait_ready(timeout=5)
        assert all_answers(driver) == expected


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("command", ["infer get tflm_sine SIGN1 359", "keys public 5002", "infer model", "info uuid"])
def test_same_reply_for_a_cut_at_every_boundary(style: str, command: str) -> None:
    """Two reads, split at each byte of the whole exchange, with a pause between them."""
    device = Device(style)
    whole = device.reply(command)
    driver, console = connect(device, boot=False)
    expected = driver.run(command)
    for cut in range(1, len(whole)):

        def halves(data: bytes, cut: int = cut) -> list[bytes]:
            return [data[:cut], data[cut:]]

        console.chunker = halves
        assert driver.run(command) == expected, f"cut at {cut}"


def log_line(style: str, typed: bytes = b"", *, vt100: bool = True) -> bytes:
    """A deferred log line as the shell prints it over a half-typed command."""
    colour = style == "colour"
    erase = b"\x1b[%dD\x1b[J" % (8 + len(typed)) if vt100 else b""
    text = b"<inf> app: something happened"
    body = b"\x1b[0m" + text + b"\x1b[0m" if colour else text
    return erase + b"[00:01:02.345,000] " + body + b"\r\n" + PROMPTS[style] + typed


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("vt100", [True, False])
def test_a_log_line_inside_the_echo_at_every_place(style: str, vt100: bool) -> None:
    command = "infer get tflm_sine SIGN1 359"
    device = Device(style)
    driver, _ = connect(device, boot=False)
    expected = driver.infer(data=angle(359)).message
    for typed in range(len(command) + 1):

        def mangle(line: str, reply: bytes, typed: int = typed) -> bytes:
            return reply[:typed] + log_line(style, line[:typed].encode(), vt100=vt100) + reply[typed:]

        device.mangle = mangle
        driver.notes()
        assert driver.infer(data=angle(359)).message == expected
        (note,) = [line for line in driver.notes() if line.kind is LineKind.LOG]
        assert (note.level, note.source) == ("inf", "app")


@pytest.mark.parametrize("style", STYLES)
def test_late_log_lines_before_and_after_the_prompt(style: str) -> None:
    device = Device(style, lambda _, reply: reply + log_line(style) * 3)
    driver, console = connect(device, boot=False)
    first = driver.infer(data=angle(45))
    console.say(log_line(style))  # arrives while nothing is asked
    assert driver.infer(data=angle(359)).message != first.message
    assert sum(line.kind is LineKind.LOG for line in driver.notes()) >= 4


@pytest.mark.parametrize("style", STYLES)
def test_a_secure_line_at_every_place_of_a_reply(style: str) -> None:
    """The secure side prints whole lines, ending in a bare LF, wherever the other side happens to be."""
    secure = b"[HUK DERIV SERV] Verified ASN.1 tag and length of the payload\n"
    device = Device(style)
    driver, _ = connect(device, boot=False)
    whole = device.reply("infer get tflm_sine SIGN1 359")
    expected = driver.infer(data=angle(359)).message
    escapes = re.finditer(rb"\x1b\[[0-9;]*[A-Za-z]", whole)
    inside_escape = {i for found in escapes for i in range(found.start() + 1, found.end())}
    for place in range(len(whole) + 1):
        if place in inside_escape:
            continue

        def mangle(_: str, reply: bytes, place: int = place) -> bytes:
            return reply[:place] + secure + reply[place:]

        device.mangle = mangle
        driver.notes()
        assert driver.infer(data=angle(359)).message == expected, f"at {place}: {whole[max(0, place - 20) : place]!r}"
        notes = [line.text for line in driver.notes() if line.kind is LineKind.SECURE]
        assert secure.decode().strip() in notes, f"at {place}: {notes}"


@pytest.mark.parametrize("style", STYLES)
def test_boot_lines_anywhere_are_a_reset(style: str) -> None:
    device = Device(style)
    driver, _ = connect(device, boot=False)
    whole = device.reply("infer get tflm_sine SIGN1 359")
    for place in range(len("infer get tflm_sine SIGN1 359") + 2, len(whole), 37):

        def mangle(line: str, reply: bytes, place: int = place) -> bytes:
            return reply[:place] + b"\r\n" + device.boot if line.endswith("359") else reply

        device.mangle = mangle
        with pytest.raises(ProductError) as caught:
            driver.infer(data=angle(359))
        assert caught.value.kind == "device-reset"
        device.mangle = lambda _, reply: reply
        assert driver.describe().uuid == UUID  # and the client finds its way back


def test_a_reset_while_idle_is_reported_by_the_next_command() -> None:
    device = Device()
    driver, console = connect(device)
    driver.wait_ready(timeout=5)
    console.say(b"\r\n" + device.boot)
    with pytest.raises(ProductError) as caught:
        driver.describe()
    assert caught.value.kind == "device-reset"


def test_every_truncated_reply_is_an_error_and_never_an_answer() -> None:
    device = Device("plain")
    driver, _ = connect(device, boot=False)
    whole = device.reply("infer get tflm_sine SIGN1 359")
    for cut in range(0, len(whole) - 1, 3):

        def mangle(line: str, reply: bytes, cut: int = cut) -> bytes:
            return reply[:cut] if line.endswith("359") else reply

        device.mangle = mangle
        with pytest.raises((InfrastructureError, ProductError)):
            driver.infer(data=angle(359))


def test_every_lost_or_changed_byte_of_the_dump_is_seen() -> None:
    device = Device("plain")
    driver, _ = connect(device, boot=False)
    whole = device.reply("infer get tflm_sine SIGN1 359")
    good = driver.infer(data=angle(359)).message
    begin, end = whole.index(b"00000000: "), whole.index(b"Model:")
    rng = random.Random(5)
    for place in range(begin, end):
        for change in (b"", bytes([whole[place] ^ 1]), bytes([rng.randrange(0x20, 0x7F)])):
            if change == whole[place : place + 1]:
                continue

            def mangle(line: str, reply: bytes, place: int = place, change: bytes = change) -> bytes:
                return reply[:place] + change + reply[place + 1 :] if line.endswith("359") else reply

            device.mangle = mangle
            try:
                answer = driver.infer(data=angle(359)).message
            except (InfrastructureError, ProductError):
                continue
            # The text column shows '.' for every unprintable byte: what it cannot show, the signature must.
            assert len(answer) == len(good)
            for now, before in zip(answer, good, strict=True):
                hidden = all(not 0x20 <= byte < 0x7F or byte == 0x2E for byte in (now, before))
                assert now == before or hidden, f"byte {place} {whole[place : place + 1]!r} -> {change!r}"


def test_boot_that_goes_silent_is_the_products_fault() -> None:
    console = ScriptedConsole(lambda _: b"")
    driver = ZephyrShellDriver(console, clock=console.clock)
    console.say(path_of("uart-boot-then-silent.log").read_bytes())
    with pytest.raises(ProductError) as caught:
        driver.wait_ready(timeout=5)
    assert caught.value.kind == "boot-hung"


def test_not_one_byte_is_the_benchs_fault() -> None:
    console = ScriptedConsole(lambda _: b"")
    driver = ZephyrShellDriver(console, clock=console.clock)
    with pytest.raises(InfrastructureError) as caught:
        driver.wait_ready(timeout=5)
    assert caught.value.kind == "silent"


def test_a_dead_board_ends_the_wait_at_once() -> None:
    console = ScriptedConsole(lambda _: b"")

    def dead() -> None:
        raise InfrastructureError("the emulator is gone", kind="emulator-exit")

    driver = ZephyrShellDriver(console, clock=console.clock, watch=dead)
    with pytest.raises(InfrastructureError) as caught:
        driver.wait_ready(timeout=60)
    assert caught.value.kind == "emulator-exit"
    assert console.clock.now < 2


@pytest.mark.parametrize(
    ("mangle", "kind"),
    [
        (lambda _, reply: b"", "echo-missing"),
        (lambda _, reply: reply.replace(b"info version", b"info versin", 1), "echo-damaged"),
        (lambda _, reply: reply[: -len(PROMPTS["plain"])], "reply-unfinished"),
    ],
)
def test_echo_and_prompt_faults(mangle: object, kind: str) -> None:
    device = Device("plain")
    driver, _ = connect(device)
    driver.wait_ready(timeout=5)
    device.mangle = mangle  # type: ignore[assignment]
    with pytest.raises(HarnessError) as caught:
        driver.run("info version")
    assert caught.value.kind == kind
    device.mangle = lambda _, reply: reply
    assert driver.run("info version") == ("1.0.0",)


def test_what_the_firmware_does_not_offer() -> None:
    driver, console = connect(Device())
    for call in (
        lambda: driver.infer(nonce=b"12345678", data=angle(1)),
        lambda: driver.infer(source=Source.SENSOR),
        lambda: driver.attest(b"x" * 32),
        lambda: driver.infer(data=b"123"),
        lambda: driver.public_key("iak"),
        lambda: driver.infer_values("tflm_sine", 0, 400),
        lambda: driver.run("x" * 64),
        lambda: driver.run("info version\rkernel reboot"),
    ):
        with pytest.raises(ConfigError):
            call()
    assert console.writes == []


def test_reboot_needs_a_boot() -> None:
    device = Device("plain")
    device.replies["kernel reboot cold"] = deque([b"kernel reboot cold\r\n" + device.boot])
    driver, _ = connect(device)
    driver.wait_ready(timeout=5)
    assert driver.reboot().uuid == UUID
    device.mangle = lambda line, reply: line.encode() + b"\r\n" + PROMPTS["plain"] if "reboot" in line else reply
    with pytest.raises(ProductError) as caught:
        driver.reboot()
    assert caught.value.kind == "no-reset"


def test_messages_are_those_of_the_recorded_collection() -> None:
    collected = json.loads(path_of("cose.json").read_text())
    driver, _ = connect(Device("plain"))
    driver.wait_ready(timeout=5)
    for line in driver.public_key("result").decode().splitlines():
        assert line in collected["public"]
    kinds = {len(bytes.fromhex(entry["raw"])) for entry in collected["cose"] if "SIGN1" in entry["cmd"]}
    assert len(driver.infer(data=angle(45)).message) in kinds


def test_exchanges_are_kept_with_their_raw_bytes() -> None:
    driver, _ = connect(Device("colour"))
    driver.wait_ready(timeout=5)
    driver.app_token()
    last = driver.exchanges[-1]
    assert last.request == "infer token"
    assert last.raw_response.startswith(b"infer token\r\nAAT token:")
    assert last.response.startswith("AAT token:")


def test_a_prompt_long_before_the_boots_last_line() -> None:
    """The boot shows its prompt several times; a pause behind one of them is no readiness."""
    device = Device("plain")
    head, tail = device.boot.split(b"\x1b[8D\x1b[J***", 1)
    driver, console = connect(device, boot=False)
    console.say(head)
    late = [b"\x1b[8D\x1b[J***" + tail]
    answer = device.__call__

    def with_late_boot(data: bytes) -> bytes:
        out = answer(data)
        return (late.pop() + out) if late and b"\r" in data else out

    console.device = with_late_boot
    assert driver.wait_ready(timeout=20).uuid == UUID


def test_a_device_that_boots_for_ever_is_given_up() -> None:
    device = Device("plain")
    driver, console = connect(device)
    console.device = lambda data: device.boot if b"\r" in data else device(data)
    with pytest.raises(ProductError) as caught:
        driver.wait_ready(timeout=20)
    assert caught.value.kind == "device-reset"


def test_vt100_commands_off() -> None:
    """No escape at all: prompts are never erased, log lines stand behind them."""
    device = Device("plain")
    bare = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")
    device.boot = bare.sub(b"", device.boot)
    driver, _ = connect(Device("plain"))
    driver.wait_ready(timeout=5)
    expected = all_answers(driver)
    for chunker in (lambda data: [data], random_chunks(3)):
        device.mangle = lambda _, reply: bare.sub(b"", reply)
        driver, _ = connect(device, chunker)
        driver.wait_ready(timeout=5)
        assert all_answers(driver) == expected
        assert any(line.kind is LineKind.LOG and line.level == "err" for line in driver.notes())


def test_line_ends_of_the_log_command_and_other_replies() -> None:
    """Replies of another recorded session: CR CR LF, tabs, wide tables."""
    _, recorded = turns("uart-line-editing.log")
    device = Device("colour")
    for command, reply in recorded:
        if command.isprintable() and command:
            device.replies[command] = deque([reply])
    driver, _ = connect(device, random_chunks(1), boot=False)
    assert driver.run("log list_backends") == (
        "shell_uart_backend", "        - Status: enabled", "        - ID: 1", "",
    )  # fmt: skip
    assert driver.run("kernel version") == ("Zephyr version 3.4.99",)
    assert driver.run("kernel threads")[1] == "Threads:"


def test_sensor_replies_of_a_recorded_session() -> None:
    _, recorded = turns("uart-i2c.log")
    device = Device("colour")
    for command, reply in recorded:
        device.replies.setdefault(command, deque()).append(reply)
    driver, _ = connect(device, random_chunks(2), boot=False)
    assert driver.run("sensor get LSM303DLHC-MAGN magn_x")[-1] == "channel idx=8 magn_x value=1.860000"
    assert driver.run("sensor get nosuch") == ("Device unknown (nosuch)",)
