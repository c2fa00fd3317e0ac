"""Verifies a bundle: first signatures and digests, then everything is judged again from the protected files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.errors import HarnessError
from tfm_harness.evidence import checks as check
from tfm_harness.evidence.accounted import check_accounted
from tfm_harness.evidence.documents import judge_bom
from tfm_harness.evidence.dsse import SigningKey
from tfm_harness.evidence.figures import judge_images, judge_latency, judge_parity
from tfm_harness.evidence.follows import check_statements, check_verdict, check_waivers
from tfm_harness.evidence.opened import OpenedBundle, open_bundle
from tfm_harness.evidence.rejudge import Rejudge
from tfm_harness.evidence.results_again import judge_results
from tfm_harness.evidence.statements import made_at
from tfm_harness.evidence.timestamp import Stamp, check_stamp
from tfm_harness.findings import Report
from tfm_harness.report.digests import package_digest
from tfm_harness.report.record import RunRecord
from tfm_harness.report.storage import parse_run
from tfm_harness.trust.kept import KeptItem, is_whole, read_kept

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from tfm_harness.parity.engines import ReferenceEngine

__all__ = ["Verified", "verify_bundle"]

Engine = Callable[[], "ReferenceEngine | None"]


@dataclass(frozen=True, slots=True)
class Verified:
    """The outcome of a verification; the verdict is in the report.

    Attributes:
        run: the record; None when the bundle could not be opened.
        judged: the number of things that were judged again, by kind.
        left: the reasons why things were not judged again, with counts.
        stamps: verified time stamps of the statements.
    """

    run: RunRecord | None = None
    judged: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[str, int] = field(default_factory=dict)
    stamps: Sequence[Stamp] = ()


def verify_bundle(
    path: Path,
    keys: Mapping[str, SigningKey],
    report: Report,
    *,
    run_dir: Path | None = None,
    engine: Engine = lambda: None,
    authorities: Sequence[Certificate] = (),
) -> Verified:
    """Verify a bundle offline.

    Args:
        path: the bundle's folder, or its ``.intoto.jsonl``.
        keys: public keys of those who may have signed, by key id.
        report: gets the findings.
        run_dir: the run's folder, for files that the bundle does not hold.
        engine: makes the reference interpreter; None: stored reference values are compared, but not computed again.
        authorities: root certificates of time-stamping authorities; with any, the bundle must have a stamp by one.

    Raises:
        ConfigError: there is no bundle.
    """
    bundle = open_bundle(path, keys, report, run_dir=run_dir)
    if bundle is None:
        return Verified()
    run = _record(bundle, report)
    if run is None:
        return Verified()
    stamps = _stamps(bundle, authorities, report)
    check_statements(bundle, run, report)
    check_verdict(run, report)
    check_waivers(bundle, run, report)
    again = Rejudge(run, report)
    kept: list[KeptItem] = []
    whole = True
    for name, read in bundle.by_role("raw evidence").items():
        try:
            items = list(read_kept(Path(name), data := read()))
            kept += items
            whole &= is_whole(data)
            again.take(items, name)
        except HarnessError as error:
            report.add(check.JUDGED_AGAIN, False, expected="raw evidence", seen=str(error), where=name)
            whole = False
    if not whole:
        again.left["the raw evidence does not hold everything that was judged"] += 1
    elif unproven := check_accounted(run, kept, report):
        again.left["tests of other suites judged tokens or results that are not among the raw evidence"] = unproven
    judged = dict(again.judged)
    judged["signed images"] = judge_images(bundle, run, report)
    judged["parity sessions"], left = judge_parity(bundle, run, report, engine)
    judged["latency series"] = judge_latency(run, report)
    judged["attestation results"] = judge_results(bundle, run, kept, keys, report)
    if run.package_sha256 == package_digest():
        judged["bills of materials"] = judge_bom(bundle, run, report)
    elif count := len(bundle.by_role("bill of materials")):
        left["the bill of materials was made by another version of the harness"] = count
    absent = [file for file in bundle.files.values() if file.path not in bundle.content]
    for role in sorted({file.role for file in absent}):
        left[f"{role}s are not in the bundle"] = sum(file.role == role for file in absent)
    if bundle.stamps and not authorities:
        left["the time stamp's authority is not given (--tsa-ca)"] = len(bundle.stamps)
    return Verified(run, {name: count for name, count in judged.items() if count}, {**again.left, **left}, stamps)


def _stamps(bundle: OpenedBundle, authorities: Sequence[Certificate], report: Report) -> Sequence[Stamp]:
    try:
        made = made_at(bundle.statements)
    except ValueError:
        made = None  # another finding reports this
    found = [
        check_stamp(data, bundle.signed, authorities, report, name, made=made) for name, data in bundle.stamps.items()
    ]
    if authorities and not bundle.stamps:
        report.add(
            check.TIMESTAMP, False, expected="a time stamp by a given authority", seen="none is in the bundle",
            where=bundle.name,
        )  # fmt: skip
    return [stamp for stamp in found if stamp is not None]


def _record(bundle: OpenedBundle, report: Report) -> RunRecord | None:
    read = bundle.content.get("run/run.json")
    if read is None:
        return None  # another finding reports that it is missing or damaged
    data = read()
    try:
        return parse_run(Path("run/run.json"), data)
    except HarnessError as error:
        report.add(check.STATEMENT_FOLLOWS, False, expected="a run's record", seen=str(error), where="run/run.json")
        return None
