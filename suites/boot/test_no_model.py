"""A device that holds no model it may run: it boots, says so, and gives no result and no evidence of a model."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from tfm_harness import Bench, Burned, Check, Checks, Device, Source, Verifier, VirtualBoard
from tfm_harness.protocol.smp import Command, status_of

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.needs(
        "describe", "provision", "cold-reset", "known-secrets", "models", "infer", "batch", "latency", "psa-token",
        "trusted-iak",
    ),
]  # fmt: skip

REFERENCE = "tfm-harness-reference"
DOES_NOT_EXIST = -140

NO_MODEL = Check(
    id="boot.no-model",
    title="a device without a model that it may run boots, says so, and gives no result and no evidence of a model",
    requirement="docs/protocol.md, Identity (no active model: no MODEL component), describe, infer; RFC 9783 s.4.4.1",
)


def test_a_device_without_a_model_says_so(
    bench: Bench, device: Device, virtual: VirtualBoard, verifier: Verifier, checks: Checks
) -> None:
    """Its fuses name another key than the one that has signed its models."""
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: what this firmware does without a model is documented elsewhere")
    size = bench.description.input_bytes
    own = bench.combination.build.console
    secure = next((console for name, console in bench.board.consoles.items() if name != own), None)
    mark = secure.mark() if secure is not None else None
    with virtual.burned(Burned(model_key_hash=bytes(range(100, 132))), answers=False):
        if not checks(NO_MODEL, bench.answers(), expected="an answer", seen="none", subject="boot"):
            return
        if secure is not None and mark is not None:
            secure.wait_for(re.compile(rb"starting the non-secure image at tick [0-9]+\n"), timeout=30, since=mark)
            log = secure.read_from(mark)
            for line in (b"MODEL image in factory slot 0 refused: ", b"no model is active"):
                checks(
                    NO_MODEL, line in log, expected=line.decode(), seen=log[-400:], subject="said on the secure console"
                )
        raw = device.describe().raw
        for key, value in {"model": "", "mid": b"", "in": 0, "out": 0}.items():
            checks.equal(NO_MODEL, raw.get(key), value, subject=f"described: {key}")
        entries = device.test_commands.models()
        checks.equal(NO_MODEL, [entry.slot for entry in entries if entry.active], [], subject="active slots")
        checks.equal(NO_MODEL, [entry.slot for entry in entries if entry.status == 0], [], subject="valid slots")
        checks.equal(NO_MODEL, [entry.id for entry in entries if entry.id], [], subject="ids of refused images")
        filled = sorted(model.slot for model in bench.combination.build.models.values() if model.slot is not None)
        listed = sorted(entry.slot for entry in entries)
        checks.equal(NO_MODEL, listed, filled, subject="slots listed, each with the reason why it is refused")

        def select(name: str) -> Callable[[], object]:
            return lambda: device.test_commands.select_model(name)

        requests: dict[str, Callable[[], object]] = {
            "a result of the host's input": lambda: device.infer_input(bytes(size)),
            "a result of the sensor's window": lambda: device.infer_expecting(bytes(32), Source.SENSOR),
            "a batch": lambda: device.test_commands.ask(Command.BATCH, {"in": bytes(size)}),
            "timings": lambda: device.test_commands.latency(1),
        }
        requests |= {f"model {name} selected": select(name) for name in bench.combination.build.models}
        for subject, ask in requests.items():
            status = status_of(ask)
            checks.equal(NO_MODEL, status, DOES_NOT_EXIST, subject=subject)
        challenge, token = device.attest()
        announced = device.test_commands.attest_size(len(challenge))
        parsed = verifier.token(challenge, token, announced_size=announced, subject="no model")
        types = [component.type for component in parsed.software_components]
        checks.equal(NO_MODEL, types, ["SPE", "NSPE"], subject="components of the token")
