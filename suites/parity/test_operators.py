"""Every operator over options, shapes and quantisations, in models that are put on the device as updates."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tfm_harness import Check, Checks, Device, ModelUpdates, Reference, Refused, Verifier
from tfm_harness.protocol.smp import Command
from tfm_harness.testing import (
    CORNERS,
    GENERATORS,
    NEWEST_VERSIONS,
    RIGHT_MODELS,
    WIDE,
    WRONG_MODELS,
    Graph,
    Op,
    Tensor,
    at_the_edges,
    damaged_models,
    full_memory,
    of_size,
    of_work,
    wrong_model,
)

if TYPE_CHECKING:
    import numpy.typing as npt

pytestmark = pytest.mark.needs("update", "models", "batch", "file-model-signing-key", "factory-reset")

INVALID_ARGUMENT = -135
INPUTS = 24
FEW_INPUTS = 8
ENOUGH_VALUES = 24_000
"""Of all inputs and outputs of a model together: wide models show more with each input, and are given fewer."""
MOST_REFUSED = 0.25
"""Of models with quantisation parameters that no training gives: how many a device may refuse."""

TAKEN = Check(
    id="parity.operator-taken",
    title="a well-formed model of one operator is taken",
    requirement="docs/parity.md, numpy-reference (the operators of the reference firmware); TFLite schema",
)
EXACT = Check(
    id="parity.operator-exact",
    title="each operator gives the reference's numbers for every option, shape and quantisation",
    requirement="TFLM practice: equality with BUILTIN_REF",
)
SIGNED = Check(
    id="parity.signed-sizes",
    title="tensors of every size up to the largest are digested, signed and given whole",
    requirement="docs/protocol.md, Signed result",
)
LARGEST_SIGNED = 2048
"""Bytes of an output in a result of the reference firmware."""
SIZES = (1, 23, 24, 55, 56, 64, 255, 256, 1023, 1024, 1025, 2047, LARGEST_SIGNED, LARGEST_SIGNED + 1, 3000)
"""Bytes of a tensor: where a head of CBOR takes another byte, and around the last block of SHA-256."""
LARGEST_INPUT = 32768
"""Bytes of an input that is uploaded in parts (docs/protocol.md, input-upload)."""
WRONG = Check(
    id="parity.wrong-model-refused",
    title="a signed model that contradicts itself, asks for what is not done or exceeds a limit is refused",
    requirement="RFC 9019 s.3.4; CWE-20 (what is parsed is checked)",
)


def inputs_for(graph: Graph, seed: int) -> npt.NDArray[Any]:
    """Random inputs, and all lowest, all highest, all zero."""
    import numpy as np

    rng = np.random.default_rng(seed)
    source = graph.tensors[graph.inputs[0]]
    values = sum(int(np.prod(graph.tensors[number].shape)) for number in (*graph.inputs, *graph.outputs))
    count = min(max(ENOUGH_VALUES // values, FEW_INPUTS), INPUTS)
    found = rng.integers(-128, 128, size=(count, *source.shape)).astype(np.int8)
    found[0], found[1], found[2] = -128, 127, source.zero_point
    return found


def of_largest_input() -> Graph:
    """A model whose input is as large as an upload may be."""
    options = {"padding": 1, "stride_h": 4, "stride_w": 4, "filter_h": 4, "filter_w": 4, "activation": 0}
    tensors = [Tensor([1, 128, LARGEST_INPUT // 128, 1], 0.05, 3), Tensor([1, 32, LARGEST_INPUT // 512, 1], 0.05, 3)]
    return Graph(tensors, [Op("MAX_POOL_2D", [0], [1], options)])


class Trial:
    """Puts models on the device and compares their numbers with the reference's."""

    def __init__(self, updates: ModelUpdates, reference: Reference, device: Device) -> None:
        self.updates, self.reference, self.device = updates, reference, device

    def put(self, model: bytes) -> int:
        """Upload and activate: 0, or the status of the refusal."""
        return self.updates.attempt(self.updates.image(ahead=1, payload=model)) or 0

    def put_right(self, graph: Graph, subject: str) -> bool:
        """The device must take it."""
        return self.updates.checks.equal(TAKEN, self.put(graph.build()), 0, subject=subject)

    def compare(self, graph: Graph, subject: str, *, seed: int) -> int:
        """Put a model, and see that the device gives what the reference gives, which computes meanwhile.

        Returns:
            0, or the status of the refusal. A model with a large input is only put.
        """
        model, inputs = graph.build(), inputs_for(graph, seed)
        if inputs[0].nbytes > MOST_BYTES:
            return self.put(model)
        with self.reference.engine.computing(model, [inputs], name=subject) as computed:
            status = self.put(model)
            if status == 0:
                self._judge(inputs, computed.result()[0].reshape(len(inputs), -1), graph, subject)
        return status

    def exact(self, graph: Graph, subject: str, *, seed: int) -> bool:
        """As `compare`; the device must take it."""
        return self.updates.checks.equal(TAKEN, self.compare(graph, subject, seed=seed), 0, subject=subject)

    def _judge(self, inputs: npt.NDArray[Any], expected: npt.NDArray[Any], graph: Graph, subject: str) -> None:
        import numpy as np

        outputs = self.device.test_commands.batch([row.tobytes() for row in inputs], expected.shape[1])
        seen = np.frombuffer(b"".join(outputs), np.int8).reshape(expected.shape)
        rows = np.flatnonzero((seen != expected).any(axis=1))
        first = f"input {rows[0]}: {seen[rows[0]][:8].tolist()}" if len(rows) else ""
        self.updates.checks(
            EXACT,
            not len(rows),
            expected=f"{expected[rows[0]][:8].tolist()}" if len(rows) else "",
            seen=f"{len(rows)} of {len(inputs)} inputs differ; {first}",
            where=", ".join(f"op {number} {op.name}" for number, op in enumerate(graph.ops)),
            subject=subject,
        )


@pytest.fixture
def trial(updates: ModelUpdates, reference: Reference, device: Device) -> Trial:
    """Puts models on the device."""
    return Trial(updates, reference, device)


SOME = pytest.param(range(1), id="some")
MORE = pytest.param(range(1, 6), id="more", marks=pytest.mark.thorough)
MOST_BYTES = 3000
"""Of an input: more does not fit into a message of the protocol."""
QUICK_WIDE = 5
"""So many of the wide models are tried by the quick selection."""
EVERY = 12
"""One of so many corners and wrong models is tried by the quick selection."""


def share(number: int) -> range:
    """The part of a long list that a test takes: part 0 is in the quick selection."""
    return range(number, 1 << 16, EVERY)


PARTS = [pytest.param(n, marks=() if n == 0 else pytest.mark.thorough, id=f"part-{n}") for n in range(EVERY)]


@pytest.mark.parametrize("numbers", [SOME, MORE])
def test_an_operator_gives_the_references_numbers(
    trial: Trial, verifier: Verifier, reference: Reference, numbers: range
) -> None:
    import numpy as np

    for name, generate in GENERATORS.items():
        for number in numbers:
            graph = generate(np.random.default_rng([number, len(name), ord(name[0])]))
            graph.op_version = 1 if number % 2 else NEWEST_VERSIONS[name]
            subject = f"{name}, model {number}, version {graph.op_version}"
            if not trial.exact(graph, subject, seed=number):
                continue
            if number == 0:  # what is signed: its shape and its quantisation, too
                inference = trial.device.infer_input(inputs_for(graph, 0)[5].tobytes())
                verifier.result(inference, subject=subject)
                reference.matches(inference, subject=subject)


@pytest.mark.thorough
@pytest.mark.needs("signed-result", "trusted-results")
def test_signed_tensors_of_every_size(trial: Trial, verifier: Verifier, reference: Reference) -> None:
    """Sizes at which lengths take another byte or a hash another block, up to the largest that a result holds.

    A larger tensor is refused or signed as a whole. Each result is asked for encrypted, too.
    """
    import numpy as np

    encrypted = not trial.updates.bench.missing(["encrypted-result", "known-secrets"])
    for size in SIZES:
        graph, subject = of_size(size), f"{size} bytes"
        if not trial.put_right(graph, subject):
            continue
        data = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8).tobytes()
        try:
            inference = trial.device.infer_input(data)
        except Refused as refused:
            trial.updates.checks(
                SIGNED, size > LARGEST_SIGNED, expected="a result", seen=refused.message, subject=subject
            )
            continue
        verifier.result(inference, subject=subject)
        reference.matches(inference, subject=subject)
        if encrypted:
            try:
                hidden = trial.device.infer_input(data, encrypted=True)
            except Refused as refused:
                words = f"{subject}, encrypted"
                trial.updates.checks(SIGNED, False, expected="a result", seen=refused.message, subject=words)
            else:
                verifier.encrypted_result(hidden, subject=subject)


@pytest.mark.thorough
@pytest.mark.needs("signed-result", "trusted-results", "input-upload")
def test_the_largest_input(trial: Trial, verifier: Verifier, reference: Reference) -> None:
    """As many bytes as may be uploaded: for a signed result, and for a batch."""
    import numpy as np

    graph, subject = of_largest_input(), f"an input of {LARGEST_INPUT} bytes"
    if not trial.put_right(graph, subject):
        return
    data = np.random.default_rng(7).integers(0, 256, LARGEST_INPUT, dtype=np.uint8).tobytes()
    commands = trial.device.test_commands
    try:
        inference = trial.device.infer_input(data)
        seen = commands.ask(Command.BATCH, commands.input_argument(data))[0].get("out")
    except Refused as refused:
        trial.updates.checks(SIGNED, False, expected="a result", seen=refused.message, subject=subject)
        return
    result = verifier.result(inference, subject=subject)
    reference.matches(inference, subject=subject)
    signed = [output.data for output in result.outputs]
    trial.updates.checks(
        SIGNED, [seen] == signed, expected="the signed outputs", seen="others", subject="a batch of it"
    )


@pytest.mark.thorough
@pytest.mark.parametrize("numbers", [SOME, MORE])
def test_an_operator_at_the_edges_of_quantisation(trial: Trial, numbers: range) -> None:
    """Multipliers from far below 2^-31 to 2^30, biases of 31 bits, ranges of no value."""
    import numpy as np

    for name in GENERATORS:
        refused = 0
        for number in numbers:
            graph = at_the_edges(np.random.default_rng([number, len(name), 31]), name)
            subject = f"{name}, edge {number}"
            status = trial.compare(graph, subject, seed=number)
            if status != 0:
                refused += 1
                trial.updates.checks.equal(TAKEN, status, INVALID_ARGUMENT, subject=subject)
        most = max(1, round(len(numbers) * MOST_REFUSED))
        trial.updates.checks(TAKEN, refused <= most, expected=f"at most {most} refused", seen=refused, subject=name)


@pytest.mark.parametrize("part", PARTS)
def test_corners_give_the_references_numbers(trial: Trial, part: int) -> None:
    """Limits, defaults that are left out, numbers that are close to a tie, results that are used late or twice."""
    right = {f"the right {make.__name__}": make for make in RIGHT_MODELS}
    cases = list({**CORNERS, **right}.items())
    for number in share(part):
        if number >= len(cases):
            break
        name, make = cases[number]
        trial.exact(make(), name, seed=number)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(list(WIDE)[:QUICK_WIDE], id="some"),
        pytest.param(list(WIDE)[QUICK_WIDE:], id="more", marks=pytest.mark.thorough),
    ],
)
def test_wide_operators_give_the_references_numbers(trial: Trial, names: list[str]) -> None:
    """Operators as wide as in real networks; kernels that take several values at once have a rest.

    Many sums are ties.
    """
    for number, name in enumerate(names):
        trial.exact(WIDE[name](), name, seed=number)


@pytest.mark.thorough
def test_work_and_memory_are_taken_up_to_their_limits(trial: Trial) -> None:
    """For each operator: a model whose work is just within the limit, and one whose work is just beyond it."""
    names = [name for name in GENERATORS if name != "MAX_POOL_2D"]  # that one fills the rest of all the others
    for name in names:
        trial.put_right(of_work(name), f"{name} at the limit of work")
        status = trial.put(of_work(name, more=1).build())
        trial.updates.checks.equal(WRONG, status, INVALID_ARGUMENT, subject=f"{name} beyond the limit of work")
    trial.put_right(full_memory(), "all of the work memory")


@pytest.mark.parametrize("part", PARTS)
def test_models_that_contradict_themselves_are_refused(updates: ModelUpdates, checks: Checks, part: int) -> None:
    """The vendor has signed them: a mistake of the vendor's tools must not run."""
    before = updates.active()
    wrong = [(subject, partial(wrong_model, base, change)) for subject, base, change, _ in WRONG_MODELS]
    damaged = [(f"damaged {subject}", partial(bytes, data)) for subject, data in damaged_models()]
    for subject, make in [*wrong, *damaged][part::EVERY]:
        status = updates.attempt(updates.image(ahead=1, payload=make()))
        checks.equal(WRONG, status, INVALID_ARGUMENT, subject=subject)
    updates.unchanged(before)
    updates.old_model_works()
