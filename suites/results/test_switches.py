"""However many models were selected since the last inference, the one selected last runs and is named."""

from __future__ import annotations

import random

import pytest
from tfm_harness import Bench, Check, Checks, Device, Reference, Verifier

pytestmark = pytest.mark.needs("infer", "signed-result", "trusted-results", "models")

LAST = Check(
    id="result.model-selected-last",
    title="after any number of selections without an inference in between, the model selected last runs",
    requirement="docs/protocol.md, model-select; PSA Security Model 1.1 s.5.4 (what runs is what is attested)",
)
FEW = (1, 2, 3, 4, 8)
MANY = (16, 256)
"""Selections in a row: a mark of what is loaded that is kept in a few bits comes round."""


def some_input(bench: Bench, seed: int) -> bytes:
    """One input tensor's bytes."""
    return random.Random(seed).randbytes(bench.description.input_bytes)  # noqa: S311 - the same in each run


def a_way(others: list[str], start: str, count: int) -> list[str] | None:
    """`count` selections, no model twice in a row, the last of which is not `start`; None: there are too few models."""
    names = others if len(others) > 1 else [*others, start]
    way = [names[step % len(names)] for step in range(count)]
    return way if way[-1] != start else None


@pytest.mark.parametrize("counts", [FEW, pytest.param(MANY, marks=pytest.mark.thorough)], ids=["few", "many"])
def test_the_model_selected_last_runs(
    bench: Bench,
    device: Device,
    checks: Checks,
    verifier: Verifier,
    reference: Reference,
    counts: tuple[int, ...],
) -> None:
    known = bench.combination.build.models
    entries = [entry for entry in device.test_commands.models() if entry.status == 0 and entry.name in known]
    start = next(entry.name for entry in entries if entry.active)
    others = [entry.name for entry in entries if entry.name != start]
    if not others:
        pytest.skip("not covered: the device holds one model alone")
    ids = {entry.name: entry.id for entry in entries}
    try:
        for count in counts:
            way = a_way(others, start, count)
            if way is None:
                continue
            device.select_model(start)
            verifier.result(device.infer_input(some_input(bench, count)), subject=f"before {count} selections")
            for name in way:
                device.test_commands.select_model(name)
            said = bench.describe()
            subject = f"after {count} selections"
            checks.equal(LAST, (said.model, said.model_id), (way[-1], ids[way[-1]]), subject=subject)
            inference = device.infer_input(some_input(bench, count))
            verifier.result(inference, subject=subject)
            reference.matches(inference, subject=subject)
    finally:
        device.select_model(start)
