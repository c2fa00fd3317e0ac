"""Raw evidence, judged again by this version's checks, without the board that gave it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tfm_harness.errors import ConfigError, HarnessError
from tfm_harness.evidence import checks as check
from tfm_harness.evidence.policies import policy_named
from tfm_harness.findings import Finding, Policy, Report, Severity
from tfm_harness.report.digests import package_digest
from tfm_harness.report.record import FindingEntry, RunRecord, TestEntry
from tfm_harness.trust.kept import KeptItem
from tfm_harness.verify.csr import verify_csr
from tfm_harness.verify.key_relations import check_device_key
from tfm_harness.verify.relations import TokenObservation, check_token_relations
from tfm_harness.verify.result_relations import check_one_identity
from tfm_harness.verify.results import ResultObservation, check_result_relations, verify_result
from tfm_harness.verify.token import verify_psa_token

__all__ = ["Rejudge"]


class Rejudge:
    """Judges items in the order in which they were kept.

    Args:
        run: the record of the run, which has the recorded findings of each test.
        report: gets the findings about the bundle.

    Attributes:
        judged: the number of items of each kind that were judged again.
        left: the reasons why items were not judged, with counts.
    """

    def __init__(self, run: RunRecord, report: Report) -> None:
        self._report = report
        self._same_version = run.package_sha256 == package_digest()
        self._tests: Mapping[str, TestEntry] = {test.nodeid: test for test in run.tests}
        self._policies = {one.name: policy_named(one.policy) for one in run.combinations}
        self._tokens: dict[str, list[TokenObservation]] = defaultdict(list)
        self._results: dict[str, list[ResultObservation]] = defaultdict(list)
        self.judged: dict[str, int] = defaultdict(int)
        self.left: dict[str, int] = defaultdict(int)

    def take(self, items: Iterable[KeptItem], where: str) -> None:
        """Judge a file's items."""
        for number, item in enumerate(items, 2):
            place = f"{where}:{number}"
            if item.secret and not item.keys and item.kind in {"token", "result"}:
                self.left["the key is a shared secret, which is not kept"] += 1
                continue
            try:
                findings = _JUDGES[item.kind](self, item)
            except (HarnessError, KeyError, TypeError, ValueError) as error:
                self._report.add(
                    check.JUDGED_AGAIN,
                    False,
                    expected=f"a {item.kind} that can be judged",
                    seen=f"{type(error).__name__}: {error}",
                    where=place,
                    subject=item.test,
                )
                continue
            self.judged[item.kind] += 1
            self._compare(item, findings, place)
            self._recorded(item, findings, place)

    # -- the kinds

    def _token(self, item: KeptItem) -> Sequence[Finding]:
        report = Report()
        facts = item.facts
        token = verify_psa_token(
            item.data,
            keys=item.keys,
            challenge=_bytes(facts["challenge"]),
            expected=facts["expected"],
            report=report,
            subject=item.subject,
        )
        self._tokens[item.test].append(
            TokenObservation(
                token=token,
                challenge=_bytes(facts["challenge"]),
                board=item.board,
                boot=facts["boot"],
                build=str(facts["build"]),
            )
        )
        return report.findings

    def _result(self, item: KeptItem) -> Sequence[Finding]:
        report = Report()
        facts = item.facts
        result = verify_result(
            item.data,
            profile=facts["profile"],
            keys=item.keys,
            expected=facts["expected"],
            report=report,
            subject=item.subject,
        )
        self._results[item.test].append(
            ResultObservation(
                result=result,
                request=facts["request"],
                stimulus=facts["stimulus"],
                board=item.board,
                boot=facts["boot"],
                requests_between=facts["between"],
            )
        )
        return report.findings

    def _csr(self, item: KeptItem) -> Sequence[Finding]:
        report = Report()
        expected = item.keys[0] if item.keys else None
        verify_csr(
            item.data, expected_key=expected, expected_cn=item.facts["name"], report=report, subject=item.subject
        )
        return report.findings

    def _key(self, item: KeptItem) -> Sequence[Finding]:
        report = Report()
        check_device_key(item.data, report=report, subject=item.subject)
        return report.findings

    def _token_relations(self, item: KeptItem) -> Sequence[Finding]:
        report = Report()
        check_token_relations(self._tokens[item.test][-item.facts["count"] :], report)
        return report.findings

    def _result_relations(self, item: KeptItem) -> Sequence[Finding]:
        report = Report()
        check_result_relations(self._results[item.test][-item.facts["count"] :], report)
        return report.findings

    def _identity_relations(self, item: KeptItem) -> Sequence[Finding]:
        report = Report()
        results, tokens = self._results[item.test], self._tokens[item.test]
        check_one_identity(results[-item.facts["results"] :], tokens[-item.facts["tokens"] :], report)
        return report.findings

    # -- comparisons

    def _compare(self, item: KeptItem, findings: Sequence[Finding], place: str) -> None:
        """Compare the findings then and now, without relations to other runs: their ledger is not in the bundle."""
        then, now = _outcomes(item.findings), _outcomes((f.id, f.passed) for f in findings)
        if item.kind.endswith("relations"):
            then = {name: held for name, held in then.items() if name in now}
        differing = [
            f"{name}: {_word(then.get(name))} then, {_word(now.get(name))} now"
            for name in sorted(then.keys() | now.keys())
            if then.get(name) != now.get(name) and not self._of_another_version(then.get(name), now.get(name))
        ]
        self._report.add(
            check.JUDGED_AGAIN,
            not differing,
            expected="the findings of the run",
            seen="; ".join(differing[:5]),
            where=place,
            subject=item.test,
        )

    def _of_another_version(self, then: bool | None, now: bool | None) -> bool:
        """Whether only one of two versions of the harness has the check, and it holds: this is no contradiction."""
        return not self._same_version and None in (then, now) and False not in (then, now)

    def _recorded(self, item: KeptItem, findings: Sequence[Finding], place: str) -> None:
        """Check that the record has everything that fails now as failed, or as excused if the policy allows it."""
        failing = [finding for finding in findings if not finding.passed]
        test = self._tests.get(item.test)
        if test is None:
            self._report.add(
                check.RECORDED,
                False,
                expected="the test in the run's record",
                seen="no such test",
                where=place,
                subject=item.test,
            )
            return
        said: dict[str, set[str]] = defaultdict(set)
        for entry in _all_findings(test):
            said[entry.id].add(entry.status)
        policy = self._policies.get(item.combination, Policy.PRODUCTION)
        hidden = []
        for finding in failing:
            severe = finding.check.severity(policy) >= Severity.FAILURE
            allowed = {"failed", "waived"} if severe else {"failed", "waived", "noted"}
            if not said[finding.id] & allowed:
                hidden.append(
                    f"{finding.id} fails, and the record says {' and '.join(sorted(said[finding.id])) or 'nothing'}"
                )
        self._report.add(
            check.RECORDED,
            not hidden,
            expected="failures that the record shows",
            seen="; ".join(hidden[:5]),
            where=place,
            subject=item.test,
        )


_JUDGES: Mapping[str, Callable[[Rejudge, KeptItem], Sequence[Finding]]] = {
    "token": Rejudge._token,  # noqa: SLF001 - its own
    "result": Rejudge._result,  # noqa: SLF001
    "csr": Rejudge._csr,  # noqa: SLF001
    "key": Rejudge._key,  # noqa: SLF001
    "token relations": Rejudge._token_relations,  # noqa: SLF001
    "result relations": Rejudge._result_relations,  # noqa: SLF001
    "identity relations": Rejudge._identity_relations,  # noqa: SLF001
}


def _all_findings(test: TestEntry) -> Iterable[FindingEntry]:
    yield from test.findings
    for earlier in test.tries:
        yield from earlier.findings


def _outcomes(findings: Iterable[tuple[str, bool]]) -> dict[str, bool]:
    """For each check, whether all its findings held."""
    found: dict[str, bool] = {}
    for name, held in findings:
        found[name] = found.get(name, True) and held
    return found


def _word(held: bool | None) -> str:
    return "not judged" if held is None else "held" if held else "failed"


def _bytes(value: Any) -> bytes:  # noqa: ANN401 - from a file
    if not isinstance(value, bytes):
        raise ConfigError("a challenge is bytes", kind="evidence-file", seen=type(value).__name__)
    return value
