"""A signer who lies: the signatures hold, and the record is not what the run and its raw evidence say."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tfm_harness.evidence.accounted import TOGETHER
from tfm_harness.evidence.bundle import make_bundle
from tfm_harness.evidence.signers import load_signer, load_verification_keys
from tfm_harness.evidence.timestamp import load_authorities, make_query
from tfm_harness.evidence.verified import Verified, verify_bundle
from tfm_harness.findings import Policy, Report
from tfm_harness.report.digests import package_digest
from tfm_harness.report.record import FindingEntry, RunRecord, TestEntry, WaiverEntry
from tfm_harness.report.storage import load_run, save_run
from tfm_harness.verify import relations, result_relations, signatures
from tfm_harness.verify.checks import attestation, result

from tests.evidence.authority import Authority, needs_openssl
from tests.evidence.conftest import COMBINATION

Key = tuple[str, Path]
FAILED = FindingEntry(id="boot.banner", status="failed", expected="a banner", seen="nothing")
REASON = "the pilot's boards have no banner yet"
WAIVED = replace(FAILED, status="waived", waiver=REASON, waived_by="boot.*")
WAIVER = WaiverEntry(combination=COMBINATION, finding="boot.*", reason=REASON)


def judged(run_dir: Path, key: Key, *, now: dt.datetime | None = None) -> tuple[Report, Verified]:
    output = run_dir.with_name("lie.evidence")
    make_bundle(run_dir, [load_signer(key[0])], output, now=now)
    report = Report(policy=Policy.PRODUCTION)
    return report, verify_bundle(output, load_verification_keys([key[1]]), report)


def broken(report: Report) -> set[str]:
    return {finding.id for finding in report.failed}


def change(run_dir: Path, how: Callable[[RunRecord], RunRecord]) -> None:
    save_run(how(load_run(run_dir)), run_dir / "run.json")


def without_evidence(run_dir: Path, test: str) -> None:
    path = run_dir / "evidence.jsonl"
    head, *lines = path.read_text().splitlines()
    path.write_text("\n".join([head, *(line for line in lines if json.loads(line)["test"] != test)]) + "\n")


def more(record: RunRecord, **how: object) -> RunRecord:
    """With one more test, of a suite of its own."""
    test = replace(TestEntry(nodeid="suites/boot/test_boot.py::test_banner", combination=COMBINATION), **how)  # type: ignore[arg-type]  # fields by name
    return replace(record, tests=(*record.tests, test), collected=record.collected + 1)


# -- tests and their evidence that disappear


def test_a_test_that_was_taken_out_is_missed(run_dir: Path, signing_key: Key) -> None:
    gone = load_run(run_dir).tests[1].nodeid
    change(run_dir, lambda record: replace(record, tests=tuple(t for t in record.tests if t.nodeid != gone)))
    without_evidence(run_dir, gone)
    report, _ = judged(run_dir, signing_key)
    assert broken(report) == {"evidence.verdict-follows"}
    seen = report.failed[0].seen
    assert "3 tests were collected, and the record has 2" in seen
    assert "attestation: 2 of 2 passed" in seen


def test_a_test_whose_evidence_stayed_is_missed(run_dir: Path, signing_key: Key) -> None:
    change(run_dir, lambda record: replace(record, tests=record.tests[1:], collected=2, suites=()))
    assert "evidence.failure-recorded" in broken(judged(run_dir, signing_key)[0])


def test_findings_without_their_evidence_are_none(run_dir: Path, signing_key: Key) -> None:
    """The failing token of a test was taken out, and its findings were written as passed."""
    without_evidence(run_dir, load_run(run_dir).tests[1].nodeid)
    report, _ = judged(run_dir, signing_key)
    assert broken(report) == {"evidence.findings-accounted"}
    assert "1 recorded, 0 in the evidence" in report.failed[0].seen


def test_evidence_without_its_findings_is_missed(run_dir: Path, signing_key: Key) -> None:
    def forget(record: RunRecord) -> RunRecord:
        kept = tuple(f for f in record.tests[0].findings if f.id != "attestation.nonce-challenge")
        assert len(kept) == len(record.tests[0].findings) - 1
        return replace(record, tests=(replace(record.tests[0], findings=kept), *record.tests[1:]))

    change(run_dir, forget)
    report, _ = judged(run_dir, signing_key)
    assert broken(report) == {"evidence.findings-accounted"}


def test_suites_of_others_may_judge_in_their_own_way(run_dir: Path, signing_key: Key) -> None:
    finding = FindingEntry(id="attestation.nonce-challenge")
    change(run_dir, lambda record: more(record, suite="mine", findings=(finding,)))
    report, found = judged(run_dir, signing_key)
    assert report.ok, report.failed
    assert found.left["tests of other suites judged tokens or results that are not among the raw evidence"] == 1


@pytest.mark.parametrize(("same", "held", "expected"), [
    (False, "attestation.new-check", set()),
    (False, "", set()),
    (True, "attestation.new-check", {"evidence.judged-again"}),
    (True, "", {"evidence.judged-again"}),
])  # fmt: skip
def test_a_check_that_only_one_version_has_and_that_holds_contradicts_nothing(
    run_dir: Path, signing_key: Key, same: bool, held: str, expected: set[str]
) -> None:
    """`held`: a check of the run's version that this one does not have; empty: one of this version that is new."""
    path = run_dir / "evidence.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[1]["findings"] = [*lines[1]["findings"], [held, True]] if held else lines[1]["findings"][:-1]
    last = json.loads(path.read_text().splitlines()[1])["findings"][-1][0]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def of_that_version(record: RunRecord) -> RunRecord:
        first = record.tests[0]
        kept = first.findings if held else tuple(one for one in first.findings if one.id != last)
        package = package_digest() if same else "ab" * 32
        return replace(record, package_sha256=package, tests=(replace(first, findings=kept), *record.tests[1:]))

    change(run_dir, of_that_version)
    assert broken(judged(run_dir, signing_key)[0]) == expected


def test_what_is_compared_over_several_is_known() -> None:
    """Each check that the modules of relations make is one of those whose number is not held to the evidence."""
    for module, area in ((relations, attestation), (result_relations, result), (signatures, result)):
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        for name in set(re.findall(r"\bcheck\.([A-Z_]+)", source)):
            assert getattr(area, name).id in TOGETHER, f"{module.__name__}: {name}"


# -- verdicts and outcomes


def _other_responsibility(record: RunRecord) -> RunRecord:
    failed = more(record, outcome="failed", responsibility="product", findings=(FAILED,))
    return replace(failed, verdict="infrastructure")


def _hidden(record: RunRecord) -> RunRecord:
    return more(record, outcome="not covered", findings=(FAILED,))


def _never_ran(record: RunRecord) -> RunRecord:
    return more(record, outcome="not run", findings=(FAILED,))


def _twice(record: RunRecord) -> RunRecord:
    return replace(record, tests=(*record.tests, record.tests[2]))


def _proved(record: RunRecord) -> RunRecord:
    test = replace(record.tests[0], outcome="not covered")
    return replace(record, tests=(test, *record.tests[1:]))


def _in_future(record: RunRecord) -> RunRecord:
    return replace(record, started="2998-01-01T00:00:00+00:00")


@pytest.mark.parametrize(
    ("how", "expected", "words"),
    [
        (_other_responsibility, "verdict-follows", "the verdict is 'infrastructure', and suites/boot/"),
        (_hidden, "verdict-follows", "is not covered with a failed finding"),
        (_never_ran, "verdict-follows", "is not run with a failed finding"),
        (_twice, "verdict-follows", "the record has a test twice"),
        (_proved, "verdict-follows", "attestation: 2 of 2 passed, proved; its tests say another thing"),
        (_in_future, "statement-follows", "and the run ended at 2998-01-01T00:00:03"),
    ],
)
def test_a_record_that_contradicts_itself(
    run_dir: Path, signing_key: Key, how: Callable[[RunRecord], RunRecord], expected: str, words: str
) -> None:
    change(run_dir, how)
    report, _ = judged(run_dir, signing_key)
    assert broken(report) == {f"evidence.{expected}"}
    assert words in report.failed[0].seen


# -- waivers


def grant(run_dir: Path, waivers: str) -> None:
    """The build's file with these waivers, and its digest in the record."""
    path = run_dir.with_name("build") / "build.yaml"
    path.write_text(f"name: reference\n{waivers}")

    def renew(record: RunRecord) -> RunRecord:
        combination = record.combinations[0]
        data = path.read_bytes()
        files = tuple(
            replace(one, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)) if one.role == "build" else one
            for one in combination.files
        )
        return replace(record, combinations=(replace(combination, files=files),))

    change(run_dir, renew)


GRANTED = f'waivers: [{{finding: "boot.*", reason: "{REASON}"}}]\n'


@pytest.mark.parametrize(
    ("file", "findings", "waivers", "words"),
    [
        (GRANTED, (WAIVED,), (WAIVER,), ""),
        (GRANTED, (), (replace(WAIVER, state="not judged"),), ""),
        ("", (WAIVED,), (WAIVER,), "the waiver of boot.* does not stand in the build's file"),
        (GRANTED, (WAIVED,), (), "boot.banner is waived, and no waiver of the record excuses it"),
        (GRANTED, (), (), "the build's file has a waiver of boot.* that the record does not name"),
        (GRANTED, (), (WAIVER,), "the waiver of boot.* was used, and no finding is waived by it"),
        (GRANTED, (replace(WAIVED, id="image.hash"),), (WAIVER,), "image.hash is waived, and no waiver"),
        (GRANTED, (replace(WAIVED, waiver="a better reason"),), (WAIVER,), "boot.banner is waived, and no waiver"),
        ("waivers: {", (), (), "the build's file cannot be read"),
    ],
)
def test_waivers_are_those_of_the_build(
    run_dir: Path, signing_key: Key, file: str, findings: tuple[FindingEntry, ...], waivers: tuple[WaiverEntry, ...],
    words: str,
) -> None:  # fmt: skip
    grant(run_dir, file)
    change(run_dir, lambda record: replace(more(record, findings=findings), waivers=waivers))
    report, _ = judged(run_dir, signing_key)
    assert broken(report) == ({"evidence.waivers-granted"} if words else set())
    assert words in "".join(finding.seen for finding in report.failed)


# -- parity, times


def test_vectors_of_another_model_prove_nothing(run_dir: Path, signing_key: Key) -> None:
    (path,) = run_dir.glob("vectors-*.json")
    plain = json.loads(path.read_text())
    assert plain["model"] == "sine"
    path.write_text(json.dumps({**plain, "model": "tamper", "model_sha256": "00" * 32}))
    report, _ = judged(run_dir, signing_key)
    assert broken(report) == {"evidence.parity-again"}
    assert "the vectors belong to another model (tamper)" in report.failed[0].seen


@needs_openssl
@pytest.mark.parametrize(("ahead", "holds"), [(dt.timedelta(minutes=2), True), (dt.timedelta(days=1), False)])
def test_a_stamp_is_not_older_than_what_it_stamps(
    run_dir: Path, signing_key: Key, tmp_path: Path, ahead: dt.timedelta, holds: bool
) -> None:
    authority = Authority(tmp_path / "tsa")
    output = tmp_path / "stamped.evidence"
    make_bundle(
        run_dir, [load_signer(signing_key[0])], output, now=dt.datetime.now(dt.UTC) + ahead,
        stamp=lambda data: authority.answer(make_query(data)[0]),
    )  # fmt: skip
    report = Report(policy=Policy.PRODUCTION)
    roots = load_authorities(authority.root.read_bytes(), "root")
    found = verify_bundle(output, load_verification_keys([signing_key[1]]), report, authorities=roots)
    assert broken(report) == (set() if holds else {"evidence.timestamp"})
    assert bool(found.stamps) is holds
