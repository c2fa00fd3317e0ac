"""Finds the origin of a difference: the first operator whose output differs.

There are two sources: the device's own trace (length and CRC-32 of each operator's output, then the output itself),
or a second oracle on the host, which shows whether TFLM's kernels or the device are to blame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from zlib import crc32

import numpy as np
import numpy.typing as npt

from tfm_harness.errors import HarnessError
from tfm_harness.findings import Report
from tfm_harness.parity import catalogue
from tfm_harness.parity.compare import Difference
from tfm_harness.parity.engines import ReferenceEngine
from tfm_harness.parity.metrics import equal_bits, lsb_histogram
from tfm_harness.parity.model_info import ModelInfo, Operator

__all__ = ["DeviceTrace", "FirstOp", "check_trace", "first_op_by_oracle", "judge_trace", "operator_table"]

Row = tuple[int, int, int, int]


class DeviceTrace(Protocol):
    """The methods of a pseudo-driver with the feature ``trace`` (docs/protocol.md, command 16)."""

    def trace(self, data: bytes) -> Sequence[Row]:
        """(index, TFLite builtin code, output length, CRC-32 of the output) of each operator for one input."""
        ...

    def trace_output(self, data: bytes, op: int) -> bytes:
        """The whole output of one operator."""
        ...


@dataclass(frozen=True, slots=True)
class FirstOp:
    """The first operator whose output differs.

    Attributes:
        operator: in the model's execution order.
        elements, differing: number of elements of its output, and of those that differ.
        max_lsb: largest difference (integers), 0 for floats.
        first: first differing element (vector 0).
        source: ``device trace`` or the second oracle's name.
    """

    operator: Operator
    elements: int
    differing: int
    max_lsb: int
    first: Difference | None
    source: str

    def __str__(self) -> str:
        where = f", first at {list(self.first.index)}" if self.first else ""
        return (
            f"{self.operator}: {self.differing} of {self.elements} elements differ, "
            f"max {self.max_lsb} LSB{where} ({self.source})"
        )


def judge_trace(
    info: ModelInfo, reference: Sequence[npt.NDArray[Any]], rows: Sequence[Row], report: Report, *, subject: str = ""
) -> int | None:
    """Judge a device's trace table against the reference's outputs of each operator. Pure.

    Args:
        reference: first output tensor of each operator, in order.
        rows: the device's table.

    Returns:
        Index of the first operator whose output differs; None when none differs, or the device ran another graph.
    """
    subject = subject or info.name
    expected = [(op.index, op.code, int(out.nbytes)) for op, out in zip(info.operators, reference, strict=True)]
    seen = [(index, code, length) for index, code, length, _ in rows]
    wrong = next((i for i in range(max(len(expected), len(seen))) if expected[i : i + 1] != seen[i : i + 1]), None)
    report.add(
        catalogue.MODEL_GRAPH,
        wrong is None,
        expected=f"{len(expected)} operators" + (f"; {_row(info, expected, wrong)}" if wrong is not None else ""),
        seen=f"{len(seen)} operators" + (f"; {_row(info, seen, wrong)}" if wrong is not None else ""),
        where=f"op {wrong}" if wrong is not None else "",
        subject=subject,
    )
    if wrong is not None:
        return None
    pairs = zip(info.operators, reference, rows, strict=True)
    return next((op.index for op, out, row in pairs if crc32(_wire(out)) != row[3]), None)


def check_trace(
    engine: ReferenceEngine,
    model: bytes,
    inputs: Sequence[npt.NDArray[Any]],
    device: DeviceTrace,
    report: Report,
    *,
    name: str = "model",
    subject: str = "",
) -> FirstOp | None:
    """Trace one vector on the device, operator by operator, against the reference.

    Args:
        inputs: one array (1, *shape) for each input.

    Returns:
        The first operator that differs, with details, or None.
    """
    info = engine.info(model, name)
    data = info.pack_inputs(list(inputs))
    reference = engine.tensors(model, list(inputs), [op.outputs[0] for op in info.operators], name=name)
    index = judge_trace(info, reference, device.trace(data), report, subject=subject)
    found = None
    if index is not None:
        wanted = reference[index]
        raw = device.trace_output(data, index)
        if len(raw) == wanted.nbytes:
            got = np.frombuffer(raw, dtype=wanted.dtype.newbyteorder("<")).reshape(wanted.shape)
            found = _difference(info.operators[index], wanted, got.astype(wanted.dtype), "device trace")
        else:
            found = FirstOp(info.operators[index], wanted.size, wanted.size, 0, None, "device trace, by CRC-32")
    report.add(
        catalogue.FIRST_OP,
        found is None,
        expected="each operator's output as the reference's",
        seen=f"first difference in {found}" if found else "",
        where=str(found.operator) if found else "",
        subject=subject or name,
    )
    return found


def first_op_by_oracle(
    engine: ReferenceEngine,
    oracle: ReferenceEngine,
    model: bytes,
    inputs: Sequence[npt.NDArray[Any]],
    *,
    name: str = "model",
    before: Sequence[npt.NDArray[Any]] | None = None,
) -> FirstOp | None:
    """The first operator on which the two host engines disagree for one vector; None when they agree.

    Agreement means that the difference was made on the device; the engines cannot say by which operator.
    """
    info = engine.info(model, name)
    indices = [op.outputs[0] for op in info.operators]
    ours = engine.tensors(model, list(inputs), indices, name=name, before=before)
    theirs = oracle.tensors(model, list(inputs), indices, name=name, before=before)
    for operator, wanted, got in zip(info.operators, ours, theirs, strict=True):
        if _rounded(wanted, got, max(engine.rounding, oracle.rounding)):
            continue
        found = _difference(operator, wanted, got.reshape(wanted.shape), str(oracle.record))
        if found.differing:
            return found
    return None


def operator_table(
    engine: ReferenceEngine,
    oracle: ReferenceEngine | None,
    model: bytes,
    inputs: Sequence[npt.NDArray[Any]],
    *,
    name: str = "model",
    before: Sequence[npt.NDArray[Any]] | None = None,
) -> list[dict[str, Any]]:
    """The right output of each operator for one vector, for comparison in a debugger on a device without a trace.

    Returns:
        For each operator: its name, shape, type, CRC-32 of the little-endian bytes, least and largest value, the first
        values, and whether the second oracle gives the same; if that oracle refuses the model, its reason.
    """
    info = engine.info(model, name)
    indices = [op.outputs[0] for op in info.operators]
    ours = engine.tensors(model, list(inputs), indices, name=name, before=before)
    theirs: Sequence[npt.NDArray[Any] | None] = [None] * len(ours)
    none = "no second opinion"
    if oracle is not None:
        try:
            theirs = oracle.tensors(model, list(inputs), indices, name=name, before=before)
        except HarnessError as error:
            none = f"{none}: {error.message}"
    rounding = max(engine.rounding, oracle.rounding if oracle else 0.0)
    rows = []
    for operator, value, other in zip(info.operators, ours, theirs, strict=True):
        flat, words = value.reshape(-1), none
        if other is not None:
            same = value.tobytes() == other.tobytes() or _rounded(value, other, rounding)
            words = "agree" if same else "differ"
        rows.append({
            "operator": str(operator), "shape": list(value.shape), "dtype": value.dtype.name,
            "crc32": f"{crc32(_wire(value)):08x}", "oracles": words,
            "min": _plain(flat.min()) if flat.size else None, "max": _plain(flat.max()) if flat.size else None,
            "first": [_plain(each) for each in flat[:16]],
        })  # fmt: skip
    return rows


def _plain(value: Any) -> Any:  # noqa: ANN401 - a number of any type
    """A number for JSON; text when JSON cannot represent it."""
    number = value.item()
    return number if not isinstance(number, float) or np.isfinite(number) else str(number)


def _rounded(wanted: npt.NDArray[Any], got: npt.NDArray[Any], share: float) -> bool:
    """Whether floats differ by no more than another order of additions can cause."""
    if not share or wanted.dtype.kind != "f" or not (np.isfinite(wanted).all() and np.isfinite(got).all()):
        return False
    gap = np.abs(wanted.astype(np.float64) - got.reshape(wanted.shape).astype(np.float64))
    return bool((gap <= share * np.abs(wanted.astype(np.float64)).max(initial=0.0)).all())


def _difference(operator: Operator, wanted: npt.NDArray[Any], got: npt.NDArray[Any], source: str) -> FirstOp:
    wrong = np.flatnonzero(~equal_bits(wanted, got))
    first = None
    if wrong.size:
        index = tuple(int(i) for i in np.unravel_index(int(wrong[0]), wanted.shape)) if wanted.shape else ()
        first = Difference(0, index, float(wanted.reshape(-1)[wrong[0]]), float(got.reshape(-1)[wrong[0]]))
    integral = wanted.dtype.kind in "iu"
    largest = max((abs(k) for k in lsb_histogram(wanted, got)), default=0) if integral else 0
    return FirstOp(operator, int(wanted.size), int(wrong.size), largest, first, source)


def _wire(array: npt.NDArray[Any]) -> bytes:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()


def _row(info: ModelInfo, rows: Sequence[tuple[int, int, int]], position: int) -> str:
    if position >= len(rows):
        return f"no op {position}"
    index, code, length = rows[position]
    names = {op.code: op.name for op in info.operators}
    return f"op {index} is {names.get(code, f'builtin {code}')} with {length} bytes of output"
