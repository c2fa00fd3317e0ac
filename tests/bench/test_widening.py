"""Inputs that reach further edges are searched while the device has the first half of all inputs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
from tfm_harness.bench.instruments import Instruments
from tfm_harness.bench.widening import widened
from tfm_harness.beside import beside
from tfm_harness.errors import InfrastructureError
from tfm_harness.findings import Report
from tfm_harness.parity import small_models
from tfm_harness.parity.edges import Coverage
from tfm_harness.parity.engines import ReferenceEngine

MODEL = small_models.classifier()
POOR = [np.full((40, 1, 1, 96, 2), -5, np.int8)]
"""The zero point, forty times: it reaches next to no edge."""


@pytest.fixture(scope="module")
def measurer() -> Iterator[ReferenceEngine]:
    with ReferenceEngine("numpy-reference") as found:
        yield found


def instruments(measurer: object) -> Instruments:
    return cast("Instruments", SimpleNamespace(measurer=measurer))


def different(ours: list[npt.NDArray[Any]], theirs: list[npt.NDArray[Any]]) -> set[int]:
    return {n for a, b in zip(ours, theirs, strict=True) for n in range(len(a)) if (a[n] != b[n]).any()}


def test_only_vectors_of_the_second_half_that_were_not_measured_are_replaced(
    measurer: ReferenceEngine, tmp_path: Path
) -> None:
    info = measurer.info(MODEL)
    wider = widened(instruments(measurer), MODEL, info, POOR, seed=3, count=8, run_dir=tmp_path)
    replaced = different(wider.inputs, POOR)
    looked_at = {round(n) for n in np.linspace(0, 39, 8).astype(int)}
    assert replaced
    assert min(replaced) >= 20
    assert not replaced & looked_at
    names, edges = measurer.edges(MODEL, wider.inputs)
    before = Coverage.of(*measurer.edges(MODEL, POOR))
    assert Coverage.of(names, edges).reached > before.reached
    assert wider.words.endswith("edges of the arithmetic reached")
    assert [path.name.startswith("edges-") for path in tmp_path.iterdir()] == [True]
    report = Report()
    wider.judge(info, report)
    assert len(report.findings) == 1


def test_a_model_that_cannot_be_measured_keeps_its_vectors(tmp_path: Path, measurer: ReferenceEngine) -> None:
    def edges(*_: object, **__: object) -> None:
        raise InfrastructureError("no", kind="engine-refused-model", seen="an operator of\nother kinds")

    info, unable = measurer.info(MODEL), SimpleNamespace(edges=edges)
    wider = widened(instruments(unable), MODEL, info, POOR, seed=3, count=8, run_dir=tmp_path)
    assert different(wider.inputs, POOR) == set()
    assert wider.words == "edges not measured: an operator of"
    report = Report()
    wider.judge(info, report)
    assert report.findings == []


def test_a_block_that_fails_ends_the_search(tmp_path: Path, measurer: ReferenceEngine) -> None:
    info = measurer.info(MODEL)
    search = partial(widened, instruments(measurer), MODEL, info, POOR, seed=3, count=8, run_dir=tmp_path)

    def block() -> None:
        with beside(search):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()
    assert [path.name.startswith("edges-") for path in tmp_path.iterdir()] == [True]
