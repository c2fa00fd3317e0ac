"""A result that is asked for during free running: its digest and its numbers belong to one and the same window."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import pytest
from tfm_harness import Bench, Check, Checks, Device, Reference, Sample, Stimulus, Verifier

pytestmark = pytest.mark.needs(
    "infer", "signed-result", "sensor", "stimulus", "sensor-model", "free-running", "latency"
)

PERIOD = 1
"""Milliseconds: samples are due during an inference, and right behind it."""
STEPS = tuple(range(58, 186, 8))
"""Fields between which x may jump, microteslas."""
LOOKS = 3000
ENOUGH, TRIES = 4, 60
"""Results that would show another window, and how often one is asked for."""

ONE_WINDOW = Check(
    id="sensor.one-window",
    title="digest and outputs of a result belong to one window, also during free running",
    requirement="docs/protocol.md, Signed result (-70003, -70004); RFC 9334 s.8.1",
)


@dataclasses.dataclass(frozen=True)
class Jump:
    """The windows that a jump of the field runs through, oldest first: all of `old`, one of `new`, two, all."""

    old: Sample
    new: Sample
    outputs: tuple[bytes, ...]
    """The model's, for each."""

    def samples(self, number: int) -> tuple[Sample, ...]:
        """Window `number`."""
        whole = len(self.outputs) - 1
        return (self.old,) * (whole - number) + (self.new,) * number

    def telling(self, number: int) -> bool:
        """Whether one sample more or less would have changed the outputs."""
        return 0 < number < len(self.outputs) - 1 and (
            self.outputs[number - 1] != self.outputs[number] != self.outputs[number + 1]
        )

    @property
    def worth(self) -> int:
        """How many windows tell."""
        return sum(self.telling(number) for number in range(len(self.outputs)))


def best_jump(stimulus: Stimulus, reference: Reference, name: str, length: int) -> tuple[Jump, float, float]:
    """Of some jumps the one with the most windows that tell; and the fields in microteslas."""
    import numpy as np
    from tfm_harness.parity import window_records, window_tensor

    model, info = reference.model(name)
    played: dict[float, Sample] = {}
    for field in STEPS:
        stimulus.set("mag.x", field)
        played[field] = stimulus.sample()
    pairs = [(low, high) for low in STEPS[:2] for high in STEPS if high != low]
    jumps = [Jump(played[low], played[high], (b"",) * (length + 1)) for low, high in pairs]
    tensors = np.concatenate(
        [window_tensor(window_records(jump.samples(number)))[None] for jump in jumps for number in range(length + 1)]
    )
    found = reference.engine.run(model, [tensors.reshape(-1, *info.inputs[0].shape)], name=info.name)[0]
    rows = found.reshape(len(jumps), length + 1, -1)
    whole = [
        dataclasses.replace(jump, outputs=tuple(row.tobytes() for row in outputs))
        for jump, outputs in zip(jumps, rows, strict=True)
    ]
    best = max(range(len(whole)), key=lambda index: whole[index].worth)
    return whole[best], *pairs[best]


def shown(message: bytes, jump: Jump, length: int) -> int | None:
    """The window whose digest a result holds; None: another one, such as one with a sample read during the jump."""
    for number in range(length + 1):
        if digest(jump.samples(number)) in message:
            return number
    return None


def digest(samples: Sequence[Sample]) -> bytes:
    """What a result holds of them."""
    return hashlib.sha256(b"".join(sample.record() for sample in samples)).digest()


def test_a_result_amid_samples_is_of_one_window(
    bench: Bench, device: Device, stimulus: Stimulus, verifier: Verifier, reference: Reference, checks: Checks
) -> None:
    """The field jumps, and a result is asked for at once: its digest tells how many samples of the new one it saw."""
    name, length, test_commands = bench.description.model, bench.window, device.test_commands
    if name is None or bench.combination.build.models[name].frontend != "reference":
        pytest.skip("not covered: the active model has another front-end than the reference firmware's")
    jump, low, high = best_jump(stimulus, reference, name, length)
    judged = 0
    try:
        for _ in range(TRIES):
            stimulus.set("mag.x", low)
            begun = test_commands.sample("free", ms=PERIOD).taken
            if not any(test_commands.sample("free", ms=PERIOD).taken > begun + length for _ in range(LOOKS)):
                pytest.skip("not covered: no samples come, which other tests of this suite judge")
            stimulus.set("mag.x", high)
            inference = device.infer_again(jump.samples(length))
            number = shown(inference.answer.message, jump, length)
            if number is None or not jump.telling(number):
                continue
            inference = dataclasses.replace(inference, samples=jump.samples(number))
            subject = f"{number} samples behind a jump"
            verifier.result(inference, subject=subject)
            exact = reference.matches(inference, subject=subject).exact
            checks(
                ONE_WINDOW, exact, subject=subject, expected="the outputs of the window that is digested",
                seen="those of another one",
            )  # fmt: skip
            judged += 1
            if judged == ENOUGH:
                return
    finally:
        test_commands.sample("stop")
        test_commands.sample("clear")
    if not judged:
        pytest.skip("not covered: no result was of a window that tells")
