"""Adds inputs to generated ones: those on which two implementations differed, and those that reach further edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tfm_harness.errors import HarnessError

if TYPE_CHECKING:
    import numpy.typing as npt

    from tfm_harness.bench.instruments import Instruments
    from tfm_harness.findings import Report
    from tfm_harness.parity.edges import Coverage
    from tfm_harness.parity.model_info import ModelInfo

__all__ = ["Widened", "keep_failing", "widened", "with_corpus"]

CORPUS_SHARE = 4
"""At most one of so many vectors comes from the corpus."""


def with_corpus(
    folder: Path, info: ModelInfo, inputs: Sequence[npt.NDArray[Any]]
) -> tuple[list[npt.NDArray[Any]], str]:
    """The vectors with those of the model's corpus in front, as many in all as before; and a text about the latter.

    Raises:
        ConfigError: kind ``corpus-file``.
    """
    import numpy as np

    from tfm_harness.parity.corpus import kept

    total = len(inputs[0])
    found = [array[: max(1, total // CORPUS_SHARE)] for array in kept(folder, info)]
    joined = [np.concatenate([old, np.asarray(new)])[:total] for old, new in zip(found, inputs, strict=True)]
    known = min(len(found[0]), total)
    return joined, f", {known} that split two implementations before" if known else ""


def keep_failing(folder: Path, info: ModelInfo, inputs: Sequence[npt.NDArray[Any]], failing: Sequence[int]) -> None:
    """Put the first vectors on which device and reference disagreed into the model's corpus."""
    from tfm_harness.parity.corpus import keep

    chosen = list(failing[:16])
    if chosen:
        keep(folder, info, [array[chosen] for array in inputs])


class Widened(NamedTuple):
    """Vectors, some of which reach further edges of an int8 model's arithmetic.

    Attributes:
        inputs: one array (n, *shape) for each input.
        words: a text about the reached edges, or the reason why nothing was measured.
        edges: by operator and edge, the number of the measured vectors that reach it.
        coverage: the same, with the edges that none reaches; None when nothing was measured.
    """

    inputs: list[npt.NDArray[Any]]
    words: str
    edges: Mapping[str, Any]
    coverage: Coverage | None

    def judge(self, info: ModelInfo, report: Report) -> None:
        """Append a note about the edges that no vector reaches."""
        from tfm_harness.parity.edges import check_edges

        if self.coverage is not None:
            check_edges(self.coverage, info, report, subject=info.name)


def widened(
    instruments: Instruments,
    model: bytes,
    info: ModelInfo,
    inputs: Sequence[npt.NDArray[Any]],
    *,
    seed: int,
    count: int,
    run_dir: Path,
) -> Widened:
    """Put vectors that reach further edges of an int8 model's arithmetic in place of some of the last ones.

    Only vectors of the second half are replaced: a device can be given the first half meanwhile.

    Args:
        seed: the seed of the search.
        count: the number of vectors that are measured; then half as many children are measured, twice.
        run_dir: gets the file ``edges-MODEL-*.json``: number of these vectors that reach each edge, by operator.
    """
    import numpy as np

    from tfm_harness.parity.edges import Coverage, reach
    from tfm_harness.parity.replay import save_json

    names: tuple[str, ...] = ()

    def measure(arrays: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        nonlocal names
        names, found = instruments.measurer.edges(model, arrays, name=info.name)
        return found

    arrays = [np.asarray(array) for array in inputs]
    total = len(arrays[0])
    try:
        # Choose evenly from all: recorded inputs come first, and are alike.
        looked_at = np.unique(np.linspace(0, total - 1, count).astype(int))
        first = [array[looked_at] for array in arrays]
        extra, measured = reach(info, first, measure, seed=seed, rounds=2, children=max(1, count // 2))
    except HarnessError as error:
        words = f"edges not measured: {error.seen or error.message}".splitlines()[0][:160]
        return Widened(arrays, words, {}, None)
    coverage = Coverage.of(names, measured)
    about: dict[str, Any] = {"model": info.name, "vectors": coverage.vectors, "edges": coverage.as_dict(info)}
    save_json(run_dir, about, "edges", info.name, arrays)
    # The measured vectors stay.
    replaced = np.setdiff1d(np.arange(total // 2, total), looked_at)[::-1][: len(extra[0])]
    joined = [array.copy() for array in arrays]
    for array, new in zip(joined, extra, strict=True):
        array[replaced] = new[: len(replaced)]
    words = f"{coverage.reached} of {coverage.all} edges of the arithmetic reached"
    return Widened(joined, words, about["edges"], coverage)
