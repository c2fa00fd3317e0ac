"""The commands that the comparison rests on: batches, timings and traces give what they are asked for."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from tfm_harness import Bench, Check, Checks, Device, Reference, Refused
from tfm_harness.protocol.smp import Command

pytestmark = pytest.mark.needs("infer", "batch", "models")

INVALID_ARGUMENT, BAD_STATE, BUFFER_TOO_SMALL = -135, -137, -138
TRACE_LIFECYCLE = 0x1000
LARGEST = 32768
"""Bytes of an input that is uploaded in parts (docs/protocol.md, input-upload)."""
LARGEST_ANSWER = 3800
"""Bytes of outputs that an answer holds."""
WIRE_BYTES = 64 * 1024
"""Of inputs in one comparison: more would only take time on the wire."""

BATCH = Check(
    id="parity.batch-sizes",
    title="a batch gives one output for each input, and is refused when it is no whole number of inputs",
    requirement="docs/protocol.md, batch",
)
FEW, TRIES = 3, 24
"""Runs to see one that nothing interrupts: more than so few, at most so many."""
TIMINGS = Check(
    id="parity.timings-asked",
    title="as many timings are given as were asked for, of the input that was given",
    requirement="docs/protocol.md, latency",
)
PARTS = Check(
    id="parity.input-parts",
    title="an input given in parts is computed as one given whole, and parts that do not fit are not taken",
    requirement="docs/protocol.md, input-upload; MCUmgr SMP image upload (`off`: the offset expected next)",
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
    most = max(4, min(60, WIRE_BYTES // size))
    for count in (1, 2, 3, most):
        outputs = device.test_commands.batch([one] * count, given)
        checks.equal(BATCH, outputs, alone * count, subject=f"{count} equal inputs")
    changing = [bytes([n & 0xFF]) * size for n in range(most + 4)]
    singly = [device.test_commands.batch([data], given)[0] for data in changing]
    checks.equal(
        BATCH, device.test_commands.batch(changing, given), singly, subject=f"{most + 4} inputs at once and one by one"
    )
    for data, subject in ((b"", "no input"), (one[:-1], "an input but for a byte"), (one + one[:-1], "one and a half")):
        if len(data) % size or not data:
            status = status_of(device, Command.BATCH, {"in": data})
            checks.equal(BATCH, status, INVALID_ARGUMENT, subject=subject)
            outputs = device.test_commands.batch([one] * 2, given)
            checks.equal(BATCH, outputs, alone * 2, subject=f"two equal inputs after {subject}")


@pytest.mark.needs("input-upload")
def test_the_largest_batch(device: Device, checks: Checks) -> None:
    """As many inputs as an upload holds, and as outputs fit into an answer."""
    commands, said = device.test_commands, device.describe().raw
    size, given = said["in"], said["out"]
    assert isinstance(size, int)
    assert isinstance(given, int)
    count = min(LARGEST // size, LARGEST_ANSWER // given)
    kinds = [bytes([(number * 37 + 5) & 0xFF]) * size for number in range(min(count, 13))]
    alone = [commands.batch([data], given)[0] for data in kinds]
    order = [number * number % len(kinds) for number in range(count)]
    inputs = b"".join(kinds[number] for number in order)
    try:
        seen = commands.ask(Command.BATCH, commands.input_argument(inputs))[0].get("out")
    except Refused as refused:
        seen = refused.message
    wanted = b"".join(alone[number] for number in order)
    words = f"{len(seen)} bytes, others" if isinstance(seen, bytes) else seen
    checks(
        BATCH, seen == wanted, expected=f"{len(wanted)} bytes, as one by one", seen=words,
        subject=f"{count} inputs of an upload",
    )  # fmt: skip


def inferences_beside(device: Device, warm: int) -> float:
    """The time that is spent beside the timed inferences, in inferences.

    An interruption only makes a time longer, of an inference as well as of the rest: the shortest of each in a few runs
    show what the device itself did.
    """
    one = rest = math.inf
    for number in range(TRIES):
        run = device.test_commands.latency(2, warm_up=warm)
        one, rest = min(one, *run.ticks), min(rest, run.end - run.start - sum(run.ticks))
        if number >= FEW and abs(rest / one - warm) < 0.5:
            break
    return rest / one


def test_timings_are_as_many_as_asked(bench: Bench, device: Device, checks: Checks) -> None:
    test_commands, size = device.test_commands, bench.description.input_bytes
    for count in (1, 2, 17, 64):
        run = test_commands.latency(count)
        checks.equal(TIMINGS, (len(run.ticks), len(run.empty)), (count, 16), subject=f"{count} asked: timed, empty")
        spent = run.end - run.start
        checks(
            TIMINGS, sum(run.ticks) <= spent, expected=f"at most {spent}", seen=sum(run.ticks), subject=f"{count} runs"
        )
    for warm in (0, 3):
        around = inferences_beside(device, warm)
        if abs(around - warm) >= 0.5:  # the host, or the device: where instructions can be counted, they tell
            with bench.exact_clock() as exact:
                around = inferences_beside(device, warm) if exact else around
        spent_for = f"time for {around:.1f} inferences beside those that were timed"
        checks(TIMINGS, abs(around - warm) < 0.5, expected=f"{warm}", seen=spent_for, subject=f"{warm} to warm up")
    for data, status in (
        (bytes(size), 0),
        (b"", 0),
        (bytes(size - 1), INVALID_ARGUMENT),
        (bytes(size + 1), INVALID_ARGUMENT),
    ):
        seen = status_of(device, Command.LATENCY, {"n": 1, "warm": 0, "in": data})
        checks.equal(TIMINGS, seen, status, subject=f"input of {len(data)} bytes")


@pytest.mark.needs("input-upload")
def test_an_input_in_parts_is_that_input(device: Device, checks: Checks) -> None:
    commands, said = device.test_commands, device.describe().raw
    size, given = said["in"], said["out"]
    assert isinstance(size, int)
    assert isinstance(given, int)
    data = bytes((n * 11 + 3) & 0xFF for n in range(size))
    other = bytes(size)
    whole = commands.batch([data, other], given)

    def part(offset: int, content: bytes, length: int | None = None) -> object:
        arguments: dict[str, object] = {"off": offset, "data": content} | ({} if length is None else {"len": length})
        try:
            return commands.ask(Command.INPUT_UPLOAD, arguments)[0].get("off")
        except Refused as refused:
            return refused.status or refused.rc

    def computed(count: int = 1) -> object:
        try:
            return commands.ask(Command.BATCH, {"up": count * size})[0].get("out")
        except Refused as refused:
            return refused.status or refused.rc

    if size < 4:
        pytest.skip(f"not covered: an input of {size} bytes is too small for parts")
    step = 3000  # bytes of a part
    have = min(size // 2, step)
    checks.equal(PARTS, part(0, data[:have], size), have, subject="the first part")
    checks.equal(PARTS, computed(), BAD_STATE, subject="no input before it is whole")
    for offset in (have - 1, have + 1, size, (1 << 32) + have):
        checks.equal(PARTS, part(offset, other[:1]), have, subject=f"a part at {offset}, where {have} is the next")
    checks.equal(PARTS, part(0, other[:1]), INVALID_ARGUMENT, subject="a first part without the length")
    checks.equal(PARTS, part(have, other[:1], size), INVALID_ARGUMENT, subject="a later part with a length")
    while have < size:
        content = data[have : have + step]
        checks.equal(PARTS, part(have, content), have + len(content), subject=f"the part at {have}")
        have += len(content)
    checks.equal(PARTS, part(size, b"\0"), INVALID_ARGUMENT, subject="a byte beyond the length")
    checks.equal(PARTS, computed(), whole[0], subject="what the parts give together")
    for offset in range(0, size, step):
        content = other[offset : offset + step]
        seen = part(offset, content, size if offset == 0 else None)
        checks.equal(PARTS, seen, offset + len(content), subject=f"the next input's part at {offset}")
    checks.equal(PARTS, computed(), whole[1], subject="the next input")
    for length in (0, LARGEST + 1, 1 << 32, (1 << 32) + size):
        checks.equal(PARTS, part(0, b"", length), INVALID_ARGUMENT, subject=f"an input of {length} bytes")
    checks.equal(PARTS, part(0, data[:2], 1), INVALID_ARGUMENT, subject="a first part that is longer than its input")
    checks.equal(PARTS, computed(), whole[1], subject="the input before, after first parts that are refused")
    names = [entry.name for entry in commands.models() if entry.status == 0 and not entry.active]

    def by_way_of_another() -> None:
        for name in (names[0], str(said["model"])):
            device.select_model(name)

    besides: dict[str, Callable[[], object]] = {
        "a result that is refused": lambda: status_of(device, Command.INFER, {"nonce": b"", "src": 1, "up": size}),
        "timings of it": lambda: status_of(device, Command.LATENCY, {"n": 1, "warm": 0, "up": size}),
    }
    if names:
        besides["another model"] = by_way_of_another
    for subject, ask in besides.items():
        seen = ask()
        if subject == "timings of it":
            checks.equal(PARTS, seen, 0, subject=subject)
        checks.equal(PARTS, computed(), whole[1], subject=f"the input is there after {subject}")
    keys: dict[str, object] = {"in": data, "up": size}
    for command, more in (
        (Command.BATCH, {}), (Command.LATENCY, {"n": 1, "warm": 0}), (Command.INFER, {"nonce": bytes(8), "src": 1}),
    ):  # fmt: skip
        if size <= step:  # a larger one would be uploaded by itself
            subject = f"{command.name.lower()}: an input beside one that was uploaded"
            checks.equal(PARTS, status_of(device, command, {**more, **keys}), INVALID_ARGUMENT, subject=subject)
        seen = status_of(device, command, {**more, "up": size - 1})
        checks.equal(PARTS, seen, BAD_STATE, subject=f"{command.name.lower()}: an input that was not uploaded")
    checks.equal(PARTS, part(0, b"", LARGEST), 0, subject=f"an input of {LARGEST} bytes is announced")
    if 2 * size <= step:
        checks.equal(PARTS, part(0, data, 2 * size), size, subject="one input of two that were announced")
        checks.equal(PARTS, computed(), BAD_STATE, subject="one input of two that were announced is none")
        checks.equal(PARTS, part(0, data + other, 2 * size), 2 * size, subject="two inputs in one upload")
        checks.equal(PARTS, computed(2), whole[0] + whole[1], subject="two inputs in one upload")


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


def activations(reference: Reference, name: str | None) -> tuple[bytes, list[int], list[bytes]]:
    """An input of a model; its operators' codes, and what the reference says that each of them gives."""
    import numpy as np

    model, info = reference.model(name)
    operators = graph_of(model)
    data = np.random.default_rng(4).integers(-128, 128, size=info.inputs[0].shape).astype(np.int8)
    tensors = reference.engine.tensors(model, [data[None]], [tensor for _, tensor in operators])
    return data.tobytes(), [code for code, _ in operators], [each.astype(np.int8).tobytes() for each in tensors]


@pytest.mark.needs("provision")
def test_the_trace_is_the_models(bench: Bench, device: Device, reference: Reference, checks: Checks) -> None:
    """Of every model the list; of one of them each output too, and parts of the first one."""
    name, models = bench.description.model, bench.combination.build.models
    if name is not None and name in models and models[name].compiled:
        pytest.skip(f"not covered: {name} runs on an NPU, whose operators are not those of the reference")
    others = [other for other, model in models.items() if other != name and not model.compiled]
    with bench.provisioned(TRACE_LIFECYCLE):
        held = {entry.name for entry in device.test_commands.models() if entry.status == 0}
        for each in (*(other for other in others if other in held), name):
            device.select_model(each or "")
            sent, codes, outputs = activations(reference, each)
            wanted = [
                (n, code, len(out), zlib.crc32(out)) for n, (code, out) in enumerate(zip(codes, outputs, strict=True))
            ]
            checks.equal(TRACE, list(device.test_commands.trace(sent)), wanted, subject=f"list of {each}")
        for number, output in enumerate(outputs):
            checks.equal(
                TRACE, device.test_commands.trace_output(sent, number), output, subject=f"output of operator {number}"
            )
        last = outputs[0]
        for offset in (1, len(last) // 2, len(last) - 1, len(last), len(last) + 1, 1 << 20, (1 << 32) - 1):
            answer, _ = device.test_commands.ask(Command.TRACE, {"in": sent, "op": 0, "off": offset})
            part = (answer.get("len"), answer.get("out"))
            checks.equal(TRACE, part, (len(last), last[offset : offset + 3832]), subject=f"operator 0 from {offset}")
        count = len(codes)
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
