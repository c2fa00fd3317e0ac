"""Finds the cause when a result's numbers differ: the input, its path, or the arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tfm_harness.bench.device import Inference
from tfm_harness.bench.device_trace import Runner
from tfm_harness.findings import Report

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["explain_difference"]


def explain_difference(
    inference: Inference,
    reference: Sequence[npt.NDArray[Any]],
    device: Sequence[npt.NDArray[Any]],
    *,
    run: Callable[[Inference], Sequence[npt.NDArray[Any]]],
    input_of: Callable[[Inference], bytes],
    runner: Runner,
    report: Report,
    subject: str,
) -> None:
    """Judge whether outputs that differ are those of another input, which is a separate finding.

    Args:
        inference: the inference.
        reference, device: the outputs that differ.
        run: gives the reference's outputs of an inference with the same model.
        input_of: the input tensor that the device must have used.
        runner: runs the same input through the device's batch command, if it has one.
        report: gets the finding.
        subject: named in the finding.
    """
    from tfm_harness.parity.catalogue import INPUT_PATH

    def same(one: Sequence[npt.NDArray[Any]], other: bytes) -> bool:
        return b"".join(array.tobytes() for array in one) == other

    seen = ""
    before = inference.before
    earlier = before is not None and (before.model, before.boot) == (inference.model, inference.boot)
    if before is not None and earlier and same(run(before), b"".join(array.tobytes() for array in device)):
        seen = "this is the output of the inference before"
    if not seen and not runner.missing(["batch"]):
        size = sum(array.nbytes for array in reference)
        batch = runner.device.test_commands.batch([input_of(inference)], size)[0]
        path = "window or front-end" if inference.samples else "signed request's"
        if same(reference, batch):
            seen = f"the batch path is exact for the same input: the {path} path gave the model another one"
    report.add(INPUT_PATH, not seen, expected="numbers of this request's input", seen=seen, subject=subject)
