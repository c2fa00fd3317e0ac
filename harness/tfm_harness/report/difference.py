"""The differences between two runs. Pure: two records in, differences out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tfm_harness.findings import Report
from tfm_harness.latency.regression import Night, regression_gate
from tfm_harness.report.harmless import harmless
from tfm_harness.report.record import LatencyEntry, ParityOutput, RunRecord

__all__ = ["Change", "RunDifference", "compare_runs"]

_GOOD = {"passed"}
_UNKNOWN = {"not covered", "skipped", "not run", "blocked", ""}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; one that is `worse` fails the comparison."""

    what: str
    subject: str
    before: str
    after: str
    worse: bool


@dataclass(frozen=True, slots=True)
class RunDifference:
    """All differences, worse ones first; `compared` counts the things that both runs have."""

    changes: tuple[Change, ...]
    compared: int

    @property
    def worse(self) -> bool:
        """Whether anything got worse."""
        return any(change.worse for change in self.changes)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"worse": self.worse, "compared": self.compared, "changes": [asdict(c) for c in self.changes]}


def compare_runs(before: RunRecord, after: RunRecord) -> RunDifference:
    """Compare outcomes, failed checks, parity and latency of everything that both runs have.

    A test that no longer reaches a verdict counts as worse: a missing verdict is no pass.
    """
    before, after = harmless(before).record, harmless(after).record
    changes: list[Change] = []
    compared = _tests(before, after, changes)
    compared += _parity(before, after, changes)
    compared += _latency(before, after, changes)
    return RunDifference(tuple(sorted(changes, key=lambda c: not c.worse)), compared)


def _tests(before: RunRecord, after: RunRecord, changes: list[Change]) -> int:
    then, now = ({t.nodeid: t for t in run.tests} for run in (before, after))
    for nodeid in dict.fromkeys([*then, *now]):
        old, new = then.get(nodeid), now.get(nodeid)
        before_outcome, after_outcome = (old.outcome if old else ""), (new.outcome if new else "")
        if before_outcome != after_outcome:
            worse = after_outcome not in _GOOD and (before_outcome in _GOOD or after_outcome not in _UNKNOWN)
            changes.append(Change("test", nodeid, before_outcome or "absent", after_outcome or "absent", worse))
        if old and new:
            failed_then = {(f.id, f.subject) for f in old.findings if f.status == "failed"}
            failed_now = {(f.id, f.subject) for f in new.findings if f.status == "failed"}
            changes += [
                Change("check", f"{nodeid} {check} {subject}".strip(), "failed" if gone else "held", state, not gone)
                for check, subject in sorted(failed_then ^ failed_now)
                for gone in [(check, subject) in failed_then]
                for state in ["no longer failed" if gone else "failed"]
            ]
    return len(then.keys() & now.keys())


def _parity(before: RunRecord, after: RunRecord, changes: list[Change]) -> int:
    def outputs(run: RunRecord) -> dict[str, ParityOutput]:
        return {
            f"{entry.combination} {entry.model} output {output.index}": output
            for entry in run.parity
            for output in entry.outputs
        }

    then, now = outputs(before), outputs(after)
    both = [key for key in then if key in now]
    for key in both:
        old, new = then[key], now[key]
        old_share, new_share = (o.exact_elements / max(1, o.elements) for o in (old, new))
        if (old.max_lsb, old_share) != (new.max_lsb, new_share):
            changes.append(
                Change(
                    "parity",
                    key,
                    f"{old_share:.4%} exact, max {old.max_lsb} LSB",
                    f"{new_share:.4%} exact, max {new.max_lsb} LSB",
                    new_share < old_share or new.max_lsb > old.max_lsb,
                )
            )
    return len(both)


def _latency(before: RunRecord, after: RunRecord, changes: list[Change]) -> int:
    def entries(run: RunRecord) -> dict[tuple[str, str], LatencyEntry]:
        return {(entry.combination, entry.series.name): entry for entry in run.latency}

    then, now = entries(before), entries(after)
    both = [key for key in then if key in now]
    for key in both:
        old, new = then[key].series, now[key].series
        report = Report()
        result = regression_gate(new, Night(before.name, old), report)
        if result.verdict == "passed":
            continue
        seen = next((f.seen for f in report if not f.passed), "")
        changes.append(
            Change("latency", " ".join(key), before.name, f"{result.verdict}: {seen}", result.verdict == "slower")
        )
    return len(both)
