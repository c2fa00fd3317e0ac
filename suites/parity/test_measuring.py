"""The commands that the comparison rests on: batches, timings and traces give what they are asked for."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from tfm_harness import Bench, Check, Checks, Device, Reference, Refused
from tfm_harness.protocol.smp import Command

pytestmark = pytest.mark.needs("infer", "batch", "models")

INVALID_ARGUMENT, BUFFER_TOO_SMALL = -135, -138
TRACE_LIFECYCLE = 0x1000

BATCH = Check(
    id="parity.batch-sizes",
    title="a batch gives one output for each input, and is refused when it is no whole number of inputs",
    requirement="docs/protocol.md, batch",
)
TIMINGS = Check(
    id="parity.timings-asked",
    title="as many timings are given as were asked for, of the input that was given",
    requirement="docs/protocol.md, latency",
)
TRACE = Check(
    id="parity.trace-true",
    title="a trace names the model's operators in their order, and gives each one's output from any offset",
    requirement="docs/protocol.md, trace",
)


def status_of(device: Device, command: Command, arguments: dict[str, object]) -> int:
    """0, or the status or error code of the refusal."""
    try:
        device.test_commands.ask(command, arguments)
    except Refused as refused:
        return refused.status or refused.rc
    return 0


def test_batches_of_every_size(device: Device, checks: Checks) -> None:
    said = device.describe().raw
    size, given = said["in"], said["out"]
    assert isinstance(size, int)
    assert isinstance(given, int)
    one = bytes((n * 7) & 0xFF for n in range(size))
    alone = device.test_commands.batch([one], given)
    for count in (1, 2, 3, 60):
        outputs = device.test_commands.batch([one] * count, given)
        checks.equal(BATCH, outputs, alone * count, subject=f"{count} equal inputs")
    changing = [bytes([n & 0xFF]) * size for n in range(64)]
    singly = [device.test_commands.batch([data], given)[0] for data in changing]
    checks.equal(BATCH, device.test_commands.batch(changing, given), singly, subject="64 inputs at once and one by one")
    for data, subject in ((b"", "no input"), (one[:-1], "an input but for a byte"), (one + one[:-1], "one and a half")):
        if len(data) % size or not data:
            status = status_of(device, Command.BATCH, {"in": data})
            checks.equal(BATCH, status, INVALID_ARGUMENT, subject=subject)


def test_timings_are_as_many_as_asked(bench: Bench, device: Device, checks: Checks) -> None:
    test_commands, size = device.test_commands, bench.description.input_bytes
    for count in (1, 2, 17, 64):
        run = test_commands.latency(count)
        checks.equal(TIMINGS, (len(run.ticks), len(run.empty)), (count, 16), subject=f"{count} asked: timed, empty")
        spent = run.end - run.start
        checks(
            TIMINGS, sum(run.ticks) <= spent, expected=f"at most {spent}", seen=sum(run.ticks), subject=f"{count} runs"
        )
    for data, status in (
        (bytes(size), 0),
        (b"", 0),
        (bytes(size - 1), INVALID_ARGUMENT),
        (bytes(size + 1), INVALID_ARGUMENT),
    ):
        seen = status_of(device, Command.LATENCY, {"n": 1, "warm": 0, "in": data})
        checks.equal(TIMINGS, seen, status, subject=f"input of {len(data)} bytes")


def graph_of(model: bytes) -> list[tuple[int, int]]:
    """Each operator's TFLite code and the tensor that it makes."""
    import tflite

    root = tflite.Model.GetRootAs(model, 0)
    graph = root.Subgraphs(0)

    def code(operator: Any) -> int:  # noqa: ANN401 - FlatBuffers are not typed
        entry = root.OperatorCodes(operator.OpcodeIndex())
        return max(int(entry.BuiltinCode()), int(entry.DeprecatedBuiltinCode()))

    operators = [graph.Operators(number) for number in range(graph.OperatorsLength())]
    return [(code(operator), int(operator.Outputs(0))) for operator in operators]


@pytest.mark.needs("provision")
def test_the_trace_is_the_models(bench: Bench, device: Device, reference: Reference, checks: Checks) -> None:
    import numpy as np

    name = bench.description.model
    if name is not None and name in bench.combination.build.models and bench.combination.build.models[name].compiled:
        pytest.skip(f"not covered: {name} runs on an NPU, whose operators are not those of the reference")
    model, info = reference.model(name)
    operators = graph_of(model)
    data = np.random.default_rng(4).integers(-128, 128, size=info.inputs[0].shape).astype(np.int8)
    tensors = reference.engine.tensors(model, [data[None]], [tensor for _, tensor in operators])
    outputs = [tensor.astype(np.int8).tobytes() for tensor in tensors]
    sent = data.tobytes()
    with bench.provisioned(TRACE_LIFECYCLE):
        device.select_model(name or "")
        rows = device.test_commands.trace(sent)
        wanted = [
            (n, code, len(out), zlib.crc32(out))
            for n, ((code, _), out) in enumerate(zip(operators, outputs, strict=True))
        ]
        checks.equal(TRACE, list(rows), wanted, subject="list")
        for number, output in enumerate(outputs):
            checks.equal(
                TRACE, device.test_commands.trace_output(sent, number), output, subject=f"output of operator {number}"
            )
        last = outputs[0]
        for offset in (1, len(last) // 2, len(last) - 1, len(last), len(last) + 1, 1 << 20, (1 << 32) - 1):
            answer, _ = device.test_commands.ask(Command.TRACE, {"in": sent, "op": 0, "off": offset})
            part = (answer.get("len"), answer.get("out"))
            checks.equal(TRACE, part, (len(last), last[offset : offset + 3832]), subject=f"operator 0 from {offset}")
        count = len(operators)
        refused: dict[str, dict[str, object]] = {
            "no input": {"in": b""},
            "an input one byte short": {"in": sent[:-1]},
            "an input one byte long, one operator": {"in": sent + b"\0", "op": 0},
            "an offset without an operator": {"in": sent, "off": 0},
            "an operator behind the last": {"in": sent, "op": count},
            "operator 2^31": {"in": sent, "op": 1 << 31},
            "operator 2^32 - 1": {"in": sent, "op": (1 << 32) - 1},
            "operator 2^32": {"in": sent, "op": 1 << 32},
            "an offset of 2^32": {"in": sent, "op": 0, "off": 1 << 32},
        }
        for subject, arguments in refused.items():
            status = status_of(device, Command.TRACE, arguments)
            checks.equal(TRACE, status, INVALID_ARGUMENT, subject=subject)
        checks.equal(
            TRACE, device.test_commands.batch([sent], len(outputs[-1])), [outputs[-1]], subject="a batch after traces"
        )
