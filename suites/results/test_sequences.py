"""The answer to a request does not depend on the request before it: every kind of request after every other kind."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from tfm_harness import Bench, Check, Checks, Device, Reference, Refused, Sample, Stimulus, Verifier
from tfm_harness.protocol.smp import Command

pytestmark = pytest.mark.needs("infer", "signed-result", "nonce", "trusted-results", "describe", "stats")

SEQUENCE = Check(
    id="result.any-sequence",
    title="each kind of request is answered rightly after each other kind, refused ones included",
    requirement="PSA Firmware Framework 1.0 s.4.3 (calls of a service are independent of each other)",
)
UID = 0x53455155
"""Of the object in protected storage that this test writes and removes."""
Step = Callable[[], None]


def every_pair(count: int) -> Iterator[int]:
    """The numbers below `count`, in an order in which each stands behind each (and itself) once, the last before 0."""
    for first in range(count):
        yield first
        for second in range(first + 1, count):
            yield first
            yield second


class Kinds:
    """The kinds of requests that this device can answer, each with how its answer is judged."""

    def __init__(
        self, bench: Bench, device: Device, checks: Checks, verifier: Verifier, reference: Reference, seed: int
    ) -> None:
        self.bench, self.device, self.checks = bench, device, checks
        self.verifier, self.reference = verifier, reference
        self.random = random.Random(seed)  # noqa: S311 - the same in each run
        self.samples: tuple[Sample, ...] = ()
        self.same: dict[str, object] = {}
        self.before = "nothing"

    def steps(self) -> dict[str, Step]:
        """By name; those that need what the board has not are left out."""
        device = self.device
        found: dict[str, tuple[tuple[str, ...], Step]] = {
            "result of the host's input": ((), self.host),
            "result of the sensor": (("sensor", "stimulus", "sensor-model"), self.sensor),
            "encrypted result": (("encrypted-result",), self.encrypted),
            "token": (("psa-token", "trusted-iak"), self.token),
            "public key": (("public-keys",), lambda: self.as_ever("key", lambda: device.public_key("result"))),
            "certification request": (("csr",), lambda: void(self.verifier.csr("client", device.csr("client")))),
            "batch": (("batch",), lambda: self.as_ever("batch", self.batch)),
            "times": (("latency",), lambda: void(device.test_commands.latency(2))),
            "list of models": (("models",), lambda: self.as_ever("models", device.test_commands.models)),
            "another model": (("models",), self.another_model),
            "stored object": (("protected-storage",), self.stored),
            "result refused": ((), partial(self.refused, Command.INFER, {"nonce": b"", "src": 1})),
            "token refused": (("psa-token",), partial(self.refused, Command.ATTEST, {"ch": bytes(5)})),
            "selection refused": (("models",), partial(self.refused, Command.MODEL_SELECT, {"name": "none such"})),
        }
        return {name: step for name, (needs, step) in found.items() if not self.bench.missing(list(needs))}

    def subject(self, what: str) -> str:
        return f"{what} after {self.before}"

    def host(self) -> None:
        inference = self.device.infer_input(self.random.randbytes(self.bench.description.input_bytes))
        self.verifier.result(inference, subject=self.subject("a result"))
        self.reference.matches(inference, subject=self.subject("a result"))

    def sensor(self) -> None:
        """Of the window that was filled at first: nothing but samples changes it."""
        inference = self.device.infer_again(self.samples)
        self.verifier.result(inference, subject=self.subject("a result of the sensor"))
        self.reference.matches(inference, subject=self.subject("a result of the sensor"))

    def encrypted(self) -> None:
        data = self.random.randbytes(self.bench.description.input_bytes)
        self.verifier.encrypted_result(
            self.device.infer_input(data, encrypted=True), subject=self.subject("an encrypted result")
        )

    def token(self) -> None:
        self.verifier.token(*self.device.attest(), subject=self.subject("a token"))

    def batch(self) -> object:
        size, given = (self.bench.description.raw[key] for key in ("in", "out"))
        assert isinstance(size, int)
        assert isinstance(given, int)
        return self.device.test_commands.batch([bytes(n & 0xFF for n in range(size)), bytes(size)], given)

    def as_ever(self, what: str, ask: Callable[[], object]) -> None:
        """The same answer each time."""
        said = ask()
        self.checks.equal(SEQUENCE, said, self.same.setdefault(what, said), subject=self.subject(what))

    def another_model(self) -> None:
        active = self.bench.description.model
        other = next(
            (entry.name for entry in self.device.test_commands.models() if entry.id and entry.name != active), None
        )
        if other is None or active is None:
            return
        self.device.select_model(other)
        self.device.select_model(active)

    def stored(self) -> None:
        commands, data = self.device.test_commands, self.random.randbytes(48)
        commands.ps_set(UID, data)
        self.checks.equal(SEQUENCE, commands.ps_get(UID).data, data, subject=self.subject("an object in storage"))
        commands.ps_remove(UID)

    def refused(self, command: Command, arguments: dict[str, object]) -> None:
        try:
            self.device.test_commands.ask(command, arguments)
        except Refused:
            return
        name = command.name.lower().replace("_", "-")
        self.checks(SEQUENCE, False, expected="a refusal", seen="an answer", subject=self.subject(f"a wrong {name}"))


def void(_answer: object) -> None:
    """The answer was judged where it was asked for, or it only has to come."""


@pytest.mark.thorough
def test_every_kind_of_request_after_every_other(
    bench: Bench,
    device: Device,
    checks: Checks,
    verifier: Verifier,
    reference: Reference,
    request: pytest.FixtureRequest,
) -> None:
    kinds = Kinds(bench, device, checks, verifier, reference, seed=5)
    steps = kinds.steps()
    if "result of the sensor" in steps:
        stimulus: Stimulus = request.getfixturevalue("stimulus")
        stimulus.set("mag.x", 30.0)
        kinds.samples = device.fill_window()
    names = list(steps)
    for number in [*every_pair(len(names)), 0]:
        name = names[number]
        try:
            steps[name]()
        except Refused as refused:
            checks(SEQUENCE, False, expected="an answer", seen=str(refused), subject=kinds.subject(name))
            raise
        kinds.before = name
    checks(SEQUENCE, True, expected="right answers", seen="right answers", subject=f"{len(names) ** 2} requests")
