"""The judgement of parity: reference and device outputs in, findings out. Pure.

Outputs must be bit-exact, unless a named tolerance covers the operator that makes the output. Numbers that describe
a difference (histogram, SQNR, cosine, top-1) are always reported and never judged: accuracy and top-1 cannot reveal
a wrong kernel, bit-exactness can.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfm_harness.findings import Report
from tfm_harness.parity import catalogue, metrics
from tfm_harness.parity.comparison import Comparison, Difference, OutputComparison
from tfm_harness.parity.model_info import ModelInfo, TensorInfo
from tfm_harness.parity.quantise import dequantise
from tfm_harness.parity.tolerance import Tolerance, choose

__all__ = ["Comparison", "Difference", "OutputComparison", "compare"]

Array = npt.NDArray[Any]
HISTOGRAM_BINS = 513
"""The most distinct differences in a histogram; larger ones are added to the last ones."""


def compare(
    reference: Sequence[npt.ArrayLike] | Array,
    device: Sequence[npt.ArrayLike] | Array,
    tolerance: Tolerance | Iterable[Tolerance] | None,
    report: Report,
    *,
    info: ModelInfo | None = None,
    model: str = "",
    subject: str = "",
) -> Comparison:
    """Compare a device's outputs with the reference's and append findings to `report`.

    Args:
        reference, device: one array (n, *shape) for each output; a lone array stands for the only output.
        tolerance: named tolerances that may apply; None or none matching: bit-exact.
        info: the parsed model: names the op behind each output, gives quantisation for real units.
        model: the model's name (default: from `info`).
        subject: the comparison's name in findings (default: the model's name).

    Returns:
        The comparison; `passed` is the verdict before policy and waivers.
    """
    name = model or (info.name if info else "model")
    subject = subject or name
    refs, devs = _as_list(reference), _as_list(device)
    tolerances = _as_tolerances(tolerance)
    seen_form = [f"{list(d.shape)} {d.dtype.name}" for d in devs]
    expected_form = [f"{list(r.shape)} {r.dtype.name}" for r in refs]
    if not report.add(
        catalogue.OUTPUT_FORM,
        seen_form == expected_form,
        expected=", ".join(expected_form),
        seen=", ".join(seen_form),
        subject=subject,
    ):
        return Comparison(name, 0, (), (), passed=False)
    vectors = len(refs[0]) if refs and refs[0].ndim else 0
    elements = sum(r.size for r in refs)
    if not report.add(
        catalogue.SOMETHING_COMPARED,
        vectors > 0 and elements > 0,
        expected="at least one vector",
        seen=f"{vectors} vectors, {elements} elements",
        subject=subject,
    ):
        return Comparison(name, vectors, (), (), passed=False)
    outputs, differs = [], np.zeros(vectors, dtype=bool)
    for index, (ref, dev) in enumerate(zip(refs, devs, strict=True)):
        tensor = info.outputs[index] if info else None
        producer = info.producer(tensor.index) if info and tensor else None
        op = producer.name if producer else "?"
        chosen = choose(tolerances, model=name, op=op, dtype=ref.dtype.name)
        result, wrong = _compare_output(index, ref, dev, tensor, op, chosen)
        differs |= wrong
        outputs.append(result)
        _judge(result, chosen, report, f"{subject} output {index}" if len(refs) > 1 else subject)
    failing = tuple(int(v) for v in np.flatnonzero(differs))
    return Comparison(name, vectors, tuple(outputs), failing, passed=all(o.passed for o in outputs))


def _judge(result: OutputComparison, tolerance: Tolerance | None, report: Report, subject: str) -> None:
    where = f"output of op {result.op}; {result.first}" if result.first else ""
    if tolerance is None:
        report.add(
            catalogue.BIT_EXACT, result.exact, expected="bit-exact", seen=str(result), where=where, subject=subject
        )
        return
    report.add(
        catalogue.WITHIN_TOLERANCE,
        result.passed,
        expected=f"{tolerance.name}: {tolerance.limits}",
        seen=str(result),
        where=where,
        subject=subject,
    )
    report.add(
        catalogue.TOLERANCE_USED,
        result.exact,
        expected="bit-exact",
        seen=f"{tolerance.name} ({tolerance.reason}): {result}",
        where=tolerance.where,
        subject=subject,
    )


def _compare_output(
    index: int, ref: Array, dev: Array, tensor: TensorInfo | None, op: str, tolerance: Tolerance | None
) -> tuple[OutputComparison, npt.NDArray[np.bool_]]:
    vectors = len(ref)
    flat_ref, flat_dev = ref.reshape(vectors, -1), dev.reshape(vectors, -1)
    exact = metrics.equal_bits(flat_ref, flat_dev)
    with np.errstate(invalid="ignore"):  # a signalling NaN must not raise an error here
        real_ref = (dequantise(ref, tensor) if tensor else ref.astype(np.float64)).reshape(vectors, -1)
        real_dev = (dequantise(dev, tensor) if tensor else dev.astype(np.float64)).reshape(vectors, -1)
    integral = ref.dtype.kind in "iub"
    histogram = metrics.lsb_histogram(flat_ref, flat_dev) if integral else {}
    max_lsb = max((abs(k) for k in histogram), default=0)
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(real_dev - real_ref)
        gap = np.where(np.isnan(gap) & ~exact, np.inf, np.nan_to_num(gap, nan=0.0, posinf=np.inf))
        gap[exact] = 0.0
        size = np.abs(real_ref)
        relative = np.divide(gap, size, out=np.where(gap > 0, np.inf, 0.0), where=(size > 0) & np.isfinite(size))
    similarity = metrics.cosine(real_ref, real_dev)
    result = OutputComparison(
        index=index,
        name=tensor.name if tensor else f"output{index}",
        dtype=ref.dtype.name,
        op=op,
        elements=int(ref.size),
        exact_elements=int(exact.sum()),
        vectors=vectors,
        exact_vectors=int(exact.all(axis=1).sum()),
        histogram=_bounded(histogram),
        max_lsb=max_lsb,
        max_abs=float(gap.max()),
        max_rel=float(relative.max()),
        sqnr_db=metrics.sqnr_db(real_ref, real_dev),
        cosine_min=float(similarity.min()),
        cosine_mean=float(similarity.mean()),
        top1=metrics.top1_agreement(flat_ref, flat_dev),
        first=_first(exact, flat_ref, flat_dev, ref.shape[1:]),
        tolerance=tolerance.name if tolerance else "",
        passed=_within(tolerance, exact, histogram, gap, size) if tolerance else bool(exact.all()),
    )
    return result, np.asarray(~exact.all(axis=1))


def _within(
    tolerance: Tolerance, exact: npt.NDArray[np.bool_], histogram: dict[int, int], gap: Array, size: Array
) -> bool:
    if not tolerance.dtype.startswith("float"):
        differing = int((~exact).sum())
        largest = max((abs(k) for k in histogram), default=0)
        return largest <= tolerance.max_lsb and differing <= tolerance.max_share * exact.size
    # A reference that is not finite excuses no difference: only the same bits pass there.
    finite = np.where(np.isfinite(size), size, 0.0)
    largest = finite.max(axis=1, keepdims=True, initial=0.0)
    limit = tolerance.abs + tolerance.rel * finite + tolerance.of_largest * largest
    limit = np.where(np.isfinite(size), limit, -1.0)
    return bool((exact | (gap <= limit)).all())


def _first(exact: npt.NDArray[np.bool_], ref: Array, dev: Array, shape: tuple[int, ...]) -> Difference | None:
    wrong = np.flatnonzero(~exact)
    if not wrong.size:
        return None
    vector, element = divmod(int(wrong[0]), exact.shape[1])
    where = tuple(int(i) for i in np.unravel_index(element, shape)) if shape else ()
    return Difference(vector, where, float(ref[vector, element]), float(dev[vector, element]))


def _bounded(histogram: dict[int, int]) -> dict[int, int]:
    if len(histogram) <= HISTOGRAM_BINS:
        return histogram
    half = HISTOGRAM_BINS // 2
    kept: dict[int, int] = {}
    for difference, count in histogram.items():
        key = max(-half, min(half, difference))
        kept[key] = kept.get(key, 0) + count
    return kept


def _as_list(value: Sequence[npt.ArrayLike] | Array) -> list[Array]:
    return [np.asarray(v) for v in value] if isinstance(value, list | tuple) else [np.asarray(value)]


def _as_tolerances(value: Tolerance | Iterable[Tolerance] | None) -> list[Tolerance]:
    if value is None:
        return []
    return [value] if isinstance(value, Tolerance) else list(value)
