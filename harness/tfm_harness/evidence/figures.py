"""Judges images, parity and latency of a bundle again."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.errors import HarnessError
from tfm_harness.evidence import checks as check
from tfm_harness.evidence.bundle import input_path
from tfm_harness.evidence.opened import OpenedBundle
from tfm_harness.evidence.policies import policy_named
from tfm_harness.findings import Policy, Report
from tfm_harness.latency.budget import Budget, check_budget
from tfm_harness.latency.regression import Night, regression_gate
from tfm_harness.latency.statistics import STATISTICS
from tfm_harness.report.record import CombinationEntry, LatencyEntry, ParityEntry, RunRecord
from tfm_harness.verify.checks.image import HASH, HEADER, SIGNATURE, TLVS
from tfm_harness.verify.image_files import split_images
from tfm_harness.verify.images import verify_mcuboot
from tfm_harness.verify.keyfiles import parse_image_key
from tfm_harness.verify.keys import ImageKey, KeyFormatError
from tfm_harness.verify.mcuboot import begins_image

if TYPE_CHECKING:
    from tfm_harness.parity.engines import ReferenceEngine
    from tfm_harness.parity.replay import Failure

__all__ = ["judge_images", "judge_latency", "judge_parity"]

Counts = dict[str, int]


def judge_images(bundle: OpenedBundle, run: RunRecord, report: Report) -> int:
    """Judge every MCUboot image of the bundle with the keys of its build; returns the number of images."""
    count = 0
    for combination in run.combinations:
        keys = list(_keys(bundle, combination))
        for entry in combination.files:
            path = input_path(entry)
            if entry.role != "image" or path not in bundle.content:
                continue
            data = bundle.content[path]()
            if not begins_image(data):
                continue
            count += 1
            found = Report()
            try:
                for image in split_images(data):
                    verify_mcuboot(image, keys, found)
                problem = "; ".join(f"{f.id}: {f.seen}" for f in found if not f.passed and f.id in _NEEDED)
            except HarnessError as error:
                problem = str(error)
            report.add(check.IMAGES_AGAIN, not problem and bool(found.findings), expected="an image that verifies",
                       seen=problem, where=path)  # fmt: skip
    return count


_NEEDED = frozenset({check_id.id for check_id in (HASH, HEADER, SIGNATURE, TLVS)})


def _keys(bundle: OpenedBundle, combination: CombinationEntry) -> Iterator[ImageKey]:
    for entry in combination.files:
        if entry.role == "key" and (read := bundle.content.get(input_path(entry))) is not None:
            with contextlib.suppress(KeyFormatError):
                yield parse_image_key(read())


def judge_parity(
    bundle: OpenedBundle, run: RunRecord, report: Report, engine: Callable[[], ReferenceEngine | None]
) -> tuple[int, Counts]:
    """Compare each stored session again; if there is an engine, also compute the reference again.

    Returns:
        The number of sessions that were judged, and the reasons why others were not, with counts.
    """
    from tfm_harness.parity.replay import load_failure

    left: Counts = {}
    count = 0
    for entry in run.parity:
        read = next(
            (r for p, r in bundle.by_role("vectors").items() if p.rpartition("/")[2] == entry.vectors_file), None
        )
        if read is None:
            left["the vectors are not in the bundle"] = left.get("the vectors are not in the bundle", 0) + 1
            continue
        model = _model(bundle, run, entry)
        if model is None:
            left["the model is not in the bundle"] = left.get("the model is not in the bundle", 0) + 1
            continue
        count += 1
        try:
            problem = _parity_problem(entry, load_failure(Path(entry.vectors_file), read()), model, engine())
        except HarnessError as error:
            problem = str(error)
        report.add(check.PARITY_AGAIN, not problem, expected="the recorded comparison", seen=problem,
                   where=entry.vectors_file, subject=entry.model)  # fmt: skip
    return count, left


def _model(bundle: OpenedBundle, run: RunRecord, entry: ParityEntry) -> bytes | None:
    """The model's .tflite, which is the build's file of that model; None when the bundle does not hold it."""
    combination = next((one for one in run.combinations if one.name == entry.combination), None)
    for file in combination.files if combination else ():
        if file.name == f"models.{entry.model}.file" and (read := bundle.content.get(input_path(file))) is not None:
            return read()
    return None


def _parity_problem(entry: ParityEntry, stored: Failure, model: bytes, engine: ReferenceEngine | None) -> str:
    import numpy as np

    from tfm_harness.parity.compare import compare
    from tfm_harness.parity.model_parser import parse_model

    if stored.model != entry.model or stored.model_sha256 != hashlib.sha256(model).hexdigest():
        return f"the vectors belong to another model ({stored.model})"
    if len(stored.vectors) != entry.vectors:
        return f"{len(stored.vectors)} vectors stored, {entry.vectors} recorded"
    info = parse_model(model, name=entry.model)
    again = compare(list(stored.reference), list(stored.device), (), Report(), info=info, model=entry.model)
    for now, then in zip(again.outputs, entry.outputs, strict=True):
        if (now.elements, now.exact_elements, now.max_lsb) != (then.elements, then.exact_elements, then.max_lsb):
            return (
                f"output {now.index}: {now.exact_elements} of {now.elements} exact, {now.max_lsb} LSB at most;"
                f" recorded {then.exact_elements} of {then.elements}, {then.max_lsb} LSB"
            )
        if then.passed and not now.exact and not then.tolerance:
            return f"output {now.index} passed, and it is not exact and no tolerance excuses it"
    if engine is not None:
        state = stored.state or None
        outputs = engine.run(model, list(stored.inputs), name=entry.model, state=state)  # type: ignore[arg-type]
        for index, (now_values, then_values) in enumerate(zip(outputs, stored.reference, strict=True)):
            if not np.array_equal(now_values, then_values):
                return f"{engine.name} gives another output {index} than the stored reference"
    return ""


def judge_latency(run: RunRecord, report: Report) -> int:
    """Judge each series against its budgets and its baseline again; returns the number of series.

    Drift is not judged again: the earlier nights are not in the bundle.
    """
    policies = {one.name: policy_named(one.policy) for one in run.combinations}
    for entry in run.latency:
        failed = {
            finding.id
            for test in run.tests
            if test.combination == entry.combination
            for finding in test.findings
            if finding.status != "passed"
        }
        found = _latency(entry, policies.get(entry.combination, Policy.PRODUCTION))
        hidden = [f"{f.id}: {f.seen}" for f in found.failed if f.id not in failed]
        hidden += [f"a budget of {name!r}, which is no statistic" for name in entry.budgets if name not in STATISTICS]
        report.add(check.LATENCY_AGAIN, not hidden, expected="nothing fails that the record does not show",
                   seen="; ".join(hidden[:3]), where=entry.series.name, subject=entry.board)  # fmt: skip
    return len(run.latency)


def _latency(entry: LatencyEntry, policy: Policy) -> Report:
    found = Report(policy=policy)
    for statistic, seconds in entry.budgets.items():
        if statistic not in STATISTICS:  # a foreign record may name anything; the caller reports it
            continue
        check_budget(entry.series, Budget(model="*", statistic=statistic, seconds=seconds), found)
    baseline = Night(entry.baseline_name, entry.baseline) if entry.baseline is not None else None
    regression_gate(entry.series, baseline, found)
    return found
