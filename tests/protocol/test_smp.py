from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from tfm_harness.errors import InfrastructureError, ProductError
from tfm_harness.protocol.base import Feature, Source
from tfm_harness.protocol.smp.answers import Refused, show
from tfm_harness.protocol.smp.client import PHASES, SmpDriver
from tfm_harness.protocol.smp.header import Command
from tfm_harness.testing import MemoryConsole, SmpFirmware

DESCRIBE = {
    "proto": 1, "fw": "tfm-harness-reference", "ver": "1.0.0", "spe": "1.0.0", "nspe": bytes(32), "speh": bytes(32),
    "boot": 0, "seed": b"", "life": 0x3000, "otp": "ok", "uuid": "u", "hz": 32_000_000, "win": 32, "mtu": 4096,
    "prof": "p", "model": "", "mid": b"", "in": 0, "out": 0, "feat": ["infer", "psa-token", "time-travel"],
}  # fmt: skip


@pytest.fixture
def firmware() -> SmpFirmware:
    return SmpFirmware()


@pytest.fixture
def driver(firmware: SmpFirmware, tmp_path: Path) -> SmpDriver:
    return SmpDriver(MemoryConsole(firmware, tmp_path / "ns.log"), timeout=0.5)


def answers(firmware: SmpFirmware, command: int, answer: dict[str, object]) -> None:
    firmware.commands[64, command] = lambda _: answer


def test_describe_takes_empty_for_unknown_and_ignores_unknown_features(
    driver: SmpDriver, firmware: SmpFirmware
) -> None:
    answers(firmware, 0, dict(DESCRIBE))
    said = driver.describe()
    assert said.model is None
    assert said.model_id is None
    assert said.boot_seed is None
    assert said.features == {Feature.INFER, Feature.PSA_TOKEN}
    assert firmware.requests[-1][3] == {}


@pytest.mark.parametrize(
    "changes",
    [{"boot": "0"}, {"boot": -1}, {"boot": True}, {"nspe": "00"}, {"feat": "infer"}, {"fw": None}, {"drop": "hz"}],
)
def test_an_answer_of_another_form_is_the_products_fault(
    driver: SmpDriver, firmware: SmpFirmware, changes: dict[str, object]
) -> None:
    answer = {key: value for key, value in {**DESCRIBE, **changes}.items() if key != changes.get("drop")}
    answers(firmware, 0, answer)
    with pytest.raises(ProductError) as caught:
        driver.describe()
    assert caught.value.kind == "smp-answer"
    assert str(changes.get("drop") or next(iter(changes))) in str(caught.value)


@pytest.mark.parametrize("payload", [b"", b"\xa1", b"\x80", b"\xa1\x01\x02", b"\xbf\xff", b"\xa2\x61a\x00\x61a\x00"])
def test_an_answer_that_is_no_strict_map_is_the_products_fault(
    driver: SmpDriver, firmware: SmpFirmware, payload: bytes
) -> None:
    firmware.commands[64, 0] = lambda _: payload  # type: ignore[assignment,return-value] # raw on purpose
    with pytest.raises(ProductError) as caught:
        driver.describe()
    assert caught.value.kind == "smp-answer"


def test_a_refusal_carries_the_psa_status_by_name(driver: SmpDriver, firmware: SmpFirmware) -> None:
    answers(firmware, 3, {"err": {"group": 64, "rc": 135}})
    with pytest.raises(Refused, match=r"PSA_ERROR_INVALID_ARGUMENT \(-135\)") as caught:
        driver.attest(bytes(31))
    assert caught.value.status == -135


def test_a_plain_smp_error_has_no_psa_status(driver: SmpDriver, firmware: SmpFirmware) -> None:
    with pytest.raises(Refused, match="ENOTSUP") as caught:
        driver.device_stats()
    assert (caught.value.status, caught.value.rc) == (None, 8)


def test_infer_keeps_message_nonce_and_phases(driver: SmpDriver, firmware: SmpFirmware) -> None:
    answers(firmware, 2, {"res": b"\xd2\x80", "ph": list(range(8))})
    result = driver.infer(nonce=b"12345678", source=Source.HOST, data=b"\x01\x02")
    assert firmware.requests[-1][3] == {"nonce": b"12345678", "src": 1, "in": b"\x01\x02"}
    assert result.message == b"\xd2\x80"
    assert result.ticks == dict(zip(PHASES, range(8), strict=True))
    assert result.host_seconds > 0


def test_infer_without_a_nonce_makes_a_fresh_one(driver: SmpDriver, firmware: SmpFirmware) -> None:
    answers(firmware, 2, {"res": b"", "ph": [0] * 8})
    nonces = {driver.infer().nonce for _ in range(3)}
    assert len(nonces) == 3
    assert all(nonce is not None and len(nonce) == 32 for nonce in nonces)


@pytest.mark.parametrize("phases", [[], [0] * 7, [0] * 7 + [-1], ["0"] * 8])
def test_phases_must_be_eight_counters(driver: SmpDriver, firmware: SmpFirmware, phases: list[object]) -> None:
    answers(firmware, 2, {"res": b"", "ph": phases})
    with pytest.raises(ProductError, match="eight unsigned"):
        driver.infer(nonce=bytes(8))


def test_a_batch_is_cut_into_messages_and_put_together(driver: SmpDriver, firmware: SmpFirmware) -> None:
    firmware.commands[64, 10] = lambda a: {"out": bytes(a["in"])[::2]}
    inputs = [bytes([n % 251]) * 200 for n in range(50)]
    assert driver.batch(inputs, 100) == [value[:100] for value in inputs]
    assert len(firmware.requests) > 1
    assert all(len(request[3]["in"]) <= 3072 for request in firmware.requests)


def test_a_batch_of_another_length_is_the_products_fault(driver: SmpDriver, firmware: SmpFirmware) -> None:
    answers(firmware, 10, {"out": b"123"})
    with pytest.raises(ProductError, match="batch of 2"):
        driver.batch([b"a", b"b"], 2)


def test_an_upload_follows_the_offsets_the_firmware_asks_for(driver: SmpDriver, firmware: SmpFirmware) -> None:
    image = bytes(range(256)) * 20
    bank = bytearray()

    def take(arguments: dict[str, object]) -> dict[str, object]:
        assert arguments["off"] == len(bank)
        if arguments["off"] == 0:
            assert arguments["len"] == len(image)
            assert arguments["sha"] == hashlib.sha256(image).digest()
        data = arguments["data"]
        assert isinstance(data, bytes)
        bank.extend(data[:1000])  # takes less than it is given
        return {"off": len(bank)}

    firmware.commands[64, 14] = take
    seen: list[tuple[int, int]] = []
    assert (
        driver.upload_model(image, progress=lambda at, whole: seen.append((at, whole)))
        == hashlib.sha256(image).digest()
    )
    assert bytes(bank) == image
    assert seen[-1] == (len(image), len(image))


@pytest.mark.parametrize("offset", [0, 10**6])
def test_an_upload_that_makes_no_progress_ends(driver: SmpDriver, firmware: SmpFirmware, offset: int) -> None:
    answers(firmware, 14, {"off": offset})
    with pytest.raises(ProductError) as caught:
        driver.upload_model(bytes(100))
    assert caught.value.kind == "upload-offset"


def test_many_probes_ask_again_for_what_was_lost(driver: SmpDriver, firmware: SmpFirmware) -> None:
    firmware.commands[64, 7] = lambda a: {"fault": False, "val": a["addr"], "n": 0}
    firmware.faults = [lambda a: a, lambda _: b""]
    assert [probe.value for probe in driver.probe_many(range(0, 160, 4))] == list(range(0, 160, 4))


def test_a_silent_boot_and_a_hung_one_are_told_apart(tmp_path: Path) -> None:
    silent = SmpDriver(MemoryConsole(lambda _: b"", tmp_path / "a.log"))
    with pytest.raises(InfrastructureError) as bench:
        silent.wait_ready(timeout=0.05)
    assert bench.value.kind == "silent"
    speaks = MemoryConsole(lambda _: b"", tmp_path / "b.log")
    speaks.push(b"[NS] ready\n")
    with pytest.raises(ProductError, match=r"ready") as product:
        SmpDriver(speaks).wait_ready(timeout=0.05)
    assert product.value.kind == "boot-hung"


def test_meant_silence_is_no_loss(tmp_path: Path, driver: SmpDriver) -> None:
    silent = SmpDriver(MemoryConsole(lambda _: b"", tmp_path / "a.log"))
    assert silent.is_silent(0.02)
    assert silent.stats.clean
    assert not driver.is_silent(0.5)


def test_exchanges_are_kept_decoded_and_bounded(driver: SmpDriver, firmware: SmpFirmware) -> None:
    for number in range(100):
        driver.echo(str(number))
    answers(firmware, 3, {"err": {"group": 64, "rc": 137}})
    with pytest.raises(Refused):
        driver.attest(bytes(32))
    assert len(driver.exchanges) == 64
    assert driver.exchanges[-2].response == '{"r": "99"}'
    assert "BAD_STATE" in driver.exchanges[-1].response
    assert driver.exchanges[-1].request.startswith("attest {")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, True, None]}, '{"a": [1, true, null]}'),
        (b"\x01\x02", "h'0102'"),
        (bytes(100), "h'000000000000000000000000...' (100 bytes)"),
        ("x" * 400, '"' + "x" * 299 + "... (402 characters)"),
        (list(range(12)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]"),
        ({"s": [0] * 500}, '{"s": [' + "0, " * 12 + "... (500 items)]}"),
    ],
)
def test_values_are_shown_in_diagnostic_notation(value: object, text: str) -> None:
    assert show(value) == text


def test_the_watch_is_asked_while_waiting(tmp_path: Path) -> None:
    def gone() -> None:
        raise ProductError("the board reset", kind="unexpected-reset")

    watch: Callable[[], None] = gone
    with pytest.raises(ProductError, match="the board reset"):
        SmpDriver(MemoryConsole(lambda _: b"", tmp_path / "a.log"), watch=watch).describe()


def test_what_other_protocols_do_is_no_feature_of_this_one() -> None:
    """A client that claims printed results makes texts of signed messages, and blames the device for them."""
    assert not SmpDriver.features & {Feature.PRINTED_RESULT, Feature.TIMED_RUN, Feature.APP_TOKEN}
    assert {Feature.BATCH, Feature.SIGNED_RESULT} <= SmpDriver.features


def test_an_input_larger_than_a_message_is_uploaded_whatever_asks_for_it(
    driver: SmpDriver, firmware: SmpFirmware
) -> None:
    parts: list[bytes] = []
    asked: list[dict[str, object]] = []

    def upload(arguments: dict[str, object]) -> dict[str, object]:
        data = arguments["data"]
        assert isinstance(data, bytes)
        if arguments["off"] == 0:
            parts.clear()
        parts.append(data)
        return {"off": sum(map(len, parts))}

    def trace(arguments: dict[str, object]) -> dict[str, object]:
        asked.append(arguments)
        return {"len": 5, "out": b"whole", "ops": []}

    firmware.commands |= {(64, 20): upload, (64, 16): trace}
    large, small = bytes(range(256)) * 36 + b"end", bytes(8)
    driver.ask(Command.TRACE, {"in": large, "op": 0, "off": 1})
    assert asked == [{"up": len(large), "op": 0, "off": 1}]
    assert b"".join(parts) == large
    asked.clear()
    assert driver.trace_output(large, 0) == b"whole"
    driver.trace(large)
    driver.ask(Command.TRACE, {"in": small})
    assert [arguments.get("up") for arguments in asked] == [len(large), len(large), None]
    assert asked[-1] == {"in": small}
