"""What a caller that does not use the client library must not decide: the source of the input, the nonce's length."""

from __future__ import annotations

import pytest
from tfm_harness import Bench, Check, Checks, Device, Source
from tfm_harness.protocol.smp import run_request
from tfm_harness.testing import flip

pytestmark = pytest.mark.needs("infer", "signed-result", "nonce", "trusted-results")

INVALID_ARGUMENT, DOES_NOT_EXIST = -135, -140
RUN, RUN_ENCRYPTED = 3, 9
"""Message types of a signed inference (tfm_inference_defs.h)."""
SENSOR, HOST = int(Source.SENSOR), int(Source.HOST)
RECORD_BYTES = 8

CALL_WORKS = Check(
    id="result.raw-call-works",
    title="the raw call whose variants must be refused works as documented",
    requirement="tfm-harness: a call that always fails proves nothing",
    waivable=False,
)
SOURCE = Check(
    id="result.raw-source-refused",
    title="a raw call that hands in data gets no result that names the sensor as source, nor an unknown source",
    requirement="docs/protocol.md, infer (`src`, `in`); RFC 9334 s.10 (evidence is of what the attester saw itself)",
)
RAW_NONCE = Check(
    id="result.raw-nonce-refused",
    title="a raw call whose nonce length is outside 8 to 64 is refused",
    requirement="RFC 9711 s.4.1; PSA Firmware Framework 1.0 s.4.3 (services validate their input vectors)",
)

RAW_MODEL = Check(
    id="result.raw-expected-model",
    title="a raw call that asks for another model than the active one gets no result, by whichever number it asks",
    requirement="docs/protocol.md, infer (`mid`) and Services (values outside of their range); CWE-697",
)


class RawCaller:
    """Calls the inference service with vectors of its own, past the client library and its checks."""

    def __init__(self, bench: Bench, device: Device) -> None:
        scratch = bench.memory_map.scratch
        service = bench.services.get("inference")
        if scratch is None or service is None or RUN not in service.types:
            pytest.skip("not covered: no non-secure RAM for tests, or no inference service with the documented call")
        self._bench = bench
        self._test_commands, self._handle, self._base = device.test_commands, service.handle, scratch[0]
        self.types = service.types
        self._written: dict[int, bytes] = {}

    def _write(self, address: int, data: bytes) -> None:
        """Let the caller's memory hold `data`; only words that it does not hold already go over the wire."""
        padded = data + bytes(-len(data) % 4)
        words = {address + at: padded[at : at + 4] for at in range(0, len(padded), 4)}
        changed = [at for at, word in words.items() if self._written.get(at) != word]
        if changed:
            first, end = changed[0] - address, changed[-1] - address + 4
            self._test_commands.poke(address + first, padded[first:end])
        self._written |= words

    def run(
        self,
        source: int,
        lengths: list[int],
        *,
        nonce_length: int = 16,
        data: bytes = b"",
        kind: int = RUN,
        expects: int = 0,
        model: bytes = bytes(32),
    ) -> list[int]:
        """The status for each length of the caller's data (0: none)."""
        request = run_request(source, nonce=bytes(range(64)), nonce_length=nonce_length, expects=expects, model=model)
        self._write(self._base, request)
        self._write(self._base + 0x1000, data)
        outputs = [(self._base + 0x4000, 3072), (self._base + 0x6000, 48)]
        statuses = self._test_commands.psa_call_many(
            [
                (self._handle, kind, [(self._base, len(request)), (self._base + 0x1000, length)], outputs)
                for length in lengths
            ]
        )
        self._bench.asked_results += sum(status >= 0 for status in statuses)
        return statuses


@pytest.fixture
def caller(bench: Bench, device: Device) -> RawCaller:
    """Someone on the non-secure side."""
    return RawCaller(bench, device)


@pytest.mark.needs("sensor", "stimulus", "sensor-model", "psa-call", "probe", "memory-map", "services")
@pytest.mark.parametrize(
    "step", [pytest.param(31, id="some"), pytest.param(1, id="all", marks=pytest.mark.thorough(step=31))]
)
def test_a_raw_call_does_not_forge_the_source(
    bench: Bench, device: Device, caller: RawCaller, checks: Checks, step: int
) -> None:
    """With a full window and with none, data of every length up to two windows, and the longest that there can be."""
    size = bench.description.input_bytes
    window = bench.window * RECORD_BYTES
    data = bytes((n * 29 + 3) & 0xFF for n in range(2 * window))
    near = {1, 8, size - 1, size, size + 1, window - 1, window, window + 1, 2 * window}
    lengths = sorted({*range(1, 2 * window + 1, step), *near, 1024, 4095, 4096})

    def refused(words: str, source: int, tried: list[int]) -> None:
        statuses = caller.run(source, tried, data=data)
        taken = [length for length, status in zip(tried, statuses, strict=True) if status >= 0]
        seen = f"success with data of {', '.join(map(str, taken[:8]))} bytes"
        checks(SOURCE, not taken, expected=f"{len(tried)} errors", seen=seen, subject=words)

    device.test_commands.sample("clear")
    refused("source sensor, window empty", SENSOR, [0, *lengths])
    device.fill_window()
    for words, source, length in (("sensor, no data", SENSOR, 0), ("host, one tensor", HOST, size)):
        status = caller.run(source, [length], data=data)[0]
        checks(CALL_WORKS, status >= 0, expected="PSA_SUCCESS", seen=status, subject=words)
    refused("source sensor, window full", SENSOR, lengths)
    for source in (2, 3, 0x80, 0x100, 0x101, 0x10000, 0x10001, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFF):
        refused(f"source {source:#x}", source, [0, size, window])


@pytest.mark.needs("psa-call", "probe", "memory-map", "services")
def test_nonce_lengths_of_raw_calls_are_checked(
    bench: Bench, device: Device, caller: RawCaller, checks: Checks
) -> None:
    """Every length for an input of the host; some for the sensor and encrypted results, which have the same limit."""
    size = bench.description.input_bytes
    for length in (8, 64):
        status = caller.run(HOST, [size], nonce_length=length, data=bytes(size))[0]
        checks(CALL_WORKS, status >= 0, expected="PSA_SUCCESS", seen=status, subject=f"nonce of {length} bytes")
    around = [*range(8), *range(65, 80), 0x100, 0x108, 0x110, 0x10008, 0x10010, 0x80000010, 0xFFFFFFF8, 0xFFFFFFFF]
    for length in around:
        status = caller.run(HOST, [size], nonce_length=length, data=bytes(size))[0]
        checks.equal(RAW_NONCE, status, INVALID_ARGUMENT, subject=f"nonce length {length:#x}")
    kinds = [("", RUN)] + [("encrypted, ", RUN_ENCRYPTED)] * (RUN_ENCRYPTED in caller.types)
    others = [(f"{words}input of the host", kind, HOST, size) for words, kind in kinds[1:]]
    if not bench.missing(["sensor", "stimulus", "sensor-model"]):
        device.fill_window()
        others += [(f"{words}window of the sensor", kind, SENSOR, 0) for words, kind in kinds]
    for words, kind, source, given in others:
        for length in (0, 7, 65, 0x108):
            status = caller.run(source, [given], nonce_length=length, data=bytes(given), kind=kind)[0]
            checks.equal(RAW_NONCE, status, INVALID_ARGUMENT, subject=f"nonce length {length:#x}, {words}")


@pytest.mark.needs("psa-call", "probe", "memory-map", "services")
def test_the_model_that_a_raw_call_expects_is_honoured(
    bench: Bench, device: Device, caller: RawCaller, checks: Checks
) -> None:
    """1 says that a model is expected.

    A caller that writes another number is refused; the number is not taken for 0.
    """
    size = bench.description.input_bytes
    active = bench.description.model_id
    if active is None:
        pytest.skip("not covered: the device does not say which model is active")
    cases = [("an input of the host", HOST, size, RUN)]
    if RUN_ENCRYPTED in caller.types:
        cases.append(("an input of the host, to be encrypted", HOST, size, RUN_ENCRYPTED))
    if not bench.missing(["sensor", "stimulus", "sensor-model"]):
        device.fill_window()
        cases.append(("a window of the sensor", SENSOR, 0, RUN))
    for words, source, given, kind in cases:
        status = caller.run(source, [given], data=bytes(given), kind=kind, expects=1, model=active)[0]
        checks(CALL_WORKS, status >= 0, expected="PSA_SUCCESS", seen=status, subject=f"the active model, {words}")
        other = flip(31)(active)
        for number in (1, 2, 3, 0x80, 0x100, 0x10000, 0x80000000, 0xFFFFFFFF):
            status = caller.run(source, [given], data=bytes(given), kind=kind, expects=number, model=other)[0]
            checks(
                RAW_MODEL, status in {DOES_NOT_EXIST, INVALID_ARGUMENT}, expected="-140, or -135", seen=status,
                subject=f"expected by {number:#x}, {words}",
            )  # fmt: skip
