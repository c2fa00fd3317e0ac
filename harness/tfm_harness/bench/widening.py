"""Adds inputs to generated ones: those on which two implementations differed, and those that reach further edges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfm_harness.errors import HarnessError
from tfm_harness.findings import Report

if TYPE_CHECKING:
    import numpy.typing as npt

    from tfm_harness.bench.instruments import Instruments
    from tfm_harness.parity.model_info import ModelInfo

__all__ = ["keep_failing", "widened", "with_corpus"]

CORPUS_SHARE = 4
"""At most one of so many vectors comes from the corpus."""


def with_corpus(
    folder: Path, info: ModelInfo, inputs: Sequence[npt.NDArray[Any]]
) -> tuple[list[npt.NDArray[Any]], int]:
    """The vectors with those of the model's corpus in front, as many in all as before; and the number of the latter.

    Raises:
        ConfigError: kind ``corpus-file``.
    """
    import numpy as np

    from tfm_harness.parity.corpus import kept

    total = len(inputs[0])
    found = [array[: max(1, total // CORPUS_SHARE)] for array in kept(folder, info)]
    joined = [np.concatenate([old, np.asarray(new)])[:total] for old, new in zip(found, inputs, strict=True)]
    return joined, min(len(found[0]), total)


def keep_failing(folder: Path, info: ModelInfo, inputs: Sequence[npt.NDArray[Any]], failing: Sequence[int]) -> None:
    """Put the first vectors on which device and reference disagreed into the model's corpus."""
    from tfm_harness.parity.corpus import keep

    chosen = list(failing[:16])
    if chosen:
        keep(folder, info, [array[chosen] for array in inputs])


def widened(
    instruments: Instruments,
    model: bytes,
    info: ModelInfo,
    inputs: Sequence[npt.NDArray[Any]],
    report: Report,
    *,
    seed: int,
    count: int,
    run_dir: Path,
) -> tuple[list[npt.NDArray[Any]], str, dict[str, Any]]:
    """Put vectors that reach further edges of an int8 model's arithmetic in place of some of the last ones.

    Args:
        seed: the seed of the search.
        count: the number of vectors that are measured; then half as many children are measured, twice.
        run_dir: gets the file ``edges-MODEL-*.json``: number of these vectors that reach each edge, by operator.

    Returns:
        As many vectors as before; a text about the reached edges, or the reason why nothing was measured; by operator
        and edge, the number of the measured vectors that reach it.
    """
    import numpy as np

    from tfm_harness.parity.edges import Coverage, check_edges, reach
    from tfm_harness.parity.replay import save_json

    names: tuple[str, ...] = ()

    def measure(arrays: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        nonlocal names
        names, found = instruments.measurer.edges(model, arrays, name=info.name)
        return found

    arrays = [np.asarray(array) for array in inputs]
    try:
        # Choose evenly from all: recorded inputs come first, and are alike.
        looked_at = np.unique(np.linspace(0, len(arrays[0]) - 1, count).astype(int))
        first = [array[looked_at] for array in arrays]
        extra, measured = reach(info, first, measure, seed=seed, rounds=2, children=max(1, count // 2))
    except HarnessError as error:
        return arrays, f"edges not measured: {error.seen or error.message}".splitlines()[0][:160], {}
    coverage = Coverage.of(names, measured)
    check_edges(coverage, info, report, subject=info.name)
    about: dict[str, Any] = {"model": info.name, "vectors": coverage.vectors, "edges": coverage.as_dict(info)}
    save_json(run_dir, about, "edges", info.name, arrays)
    replaced = np.setdiff1d(np.arange(len(arrays[0])), looked_at)[::-1][: len(extra[0])]  # the measured vectors stay
    joined = [array.copy() for array in arrays]
    for array, new in zip(joined, extra, strict=True):
        array[replaced] = new[: len(replaced)]
    words = f"{coverage.reached} of {coverage.all} edges of the arithmetic reached"
    return joined, words, about["edges"]
