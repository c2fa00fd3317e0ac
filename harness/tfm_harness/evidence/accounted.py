"""Compares the findings of a record with the raw evidence: no finding without evidence, and none left out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import chain
from typing import Final

from tfm_harness.bundled import SUITES
from tfm_harness.evidence import checks as check
from tfm_harness.findings import Report
from tfm_harness.report.record import RunRecord
from tfm_harness.trust.kept import KeptItem
from tfm_harness.verify.checks import attestation, result

__all__ = ["TOGETHER", "check_accounted"]

TOGETHER: Final = frozenset(
    one.id
    for one in (
        attestation.BOARDS_DIFFER, attestation.IDENTITY_STABLE, attestation.INSTANCE_STABLE, attestation.NONCES_DIFFER,
        attestation.ONLY_NONCE_DIFFERS, attestation.SEED_ENTROPY, attestation.SEED_NEW_BOOT,
        attestation.SEED_WITHIN_BOOT, result.COUNTER_OVER_BOOTS, result.COUNTER_RISES, result.COUNTER_STEP,
        result.DETERMINISTIC, result.NONCE_IN_BOOT, result.NONCE_REUSE, result.ONE_IDENTITY, result.REPLAYED,
        result.SEED_RELATION, result.SEEN_BEFORE, result.STUCK_OUTPUT, result.TICKS_ORDERED,
    )
)  # fmt: skip
"""Checks that compare several tokens or results, of earlier runs as well: these findings are not counted."""
_OF_ONE: Final = frozenset(one.id for one in (*attestation.ATTESTATION, *result.RESULT)) - TOGETHER


def check_accounted(run: RunRecord, items: Iterable[KeptItem], report: Report) -> int:
    """Compare the number of findings of each check of tokens and results in the record and in the raw evidence.

    A signer who removes a failing token has to remove its findings as well, and the other way round. Tests of other
    suites than the harness's may judge in ways of their own: if their raw evidence is missing, that is only counted.

    Args:
        run: the record.
        items: all raw evidence.
        report: gets the findings.

    Returns:
        The number of tests of other suites that judged tokens or results without raw evidence.
    """
    kept: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        kept[item.test].update(name for name, _ in item.findings if name in _OF_ONE)
    unproven = 0
    for test in run.tests:
        findings = chain(test.findings, *(earlier.findings for earlier in test.tries))
        said = Counter(finding.id for finding in findings if finding.id in _OF_ONE)
        given = kept[test.nodeid]
        if not said and not given:
            continue
        # A try that was cut off may have judged more than the record holds of it.
        whole = test.outcome == "passed" and not test.tries
        differing = sorted(
            name for name in said | given if said[name] > given[name] or (whole and said[name] != given[name])
        )
        if differing and test.suite not in SUITES and said > given:
            unproven += 1
            continue
        seen = "; ".join(f"{name}: {said[name]} recorded, {given[name]} in the evidence" for name in differing[:5])
        report.add(check.ACCOUNTED, not differing, expected="each finding about a token or result with its evidence",
                   seen=seen, where="run.json", subject=test.nodeid)  # fmt: skip
    return unproven
