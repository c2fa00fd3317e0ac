"""The proofs of a run: suites' claims and requirements, judged by the tests that ran and their findings."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from tfm_harness.coverage.suite_words import claim
from tfm_harness.coverage.suites import suite_rows
from tfm_harness.report.digests import folder_digest
from tfm_harness.report.record import RequirementEntry, SuiteEntry, TestEntry

__all__ = ["judge_row", "judge_suite", "other_tests", "requirement_entries", "statuses_by_suite", "suite_entries"]

RequirementState = Literal["proven", "partly", "excused", "failed", "not proven"]
_LEANING = "parity.tolerance-used"
_DEFINED = re.compile(rb"\bdef[\s\\]+(test\w*)")
"""Whatever may be the definition of a test."""


def other_tests(folder: Path, known: AbstractSet[str]) -> frozenset[str]:
    """Names of the tests in a suite's modules beyond those that are known, as ``test_boot.py::test_reset``.

    Modules are parsed, not imported, and only where they may hold others. A module that is no valid Python counts as
    empty: pytest has already reported it as a collection error.
    """
    found: set[str] = set()
    for path in sorted(folder.glob("test_*.py")):
        own = [name.split("::") for name in known if name.startswith(f"{path.name}::")]
        try:
            text = path.read_bytes()
            if sorted(_DEFINED.findall(text)) == sorted(words[-1].encode() for words in own):
                continue
            tree = ast.parse(text)
        except (OSError, SyntaxError, ValueError):
            continue
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                found.add(f"{path.name}::{node.name}")
            elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
                found |= {
                    f"{path.name}::{node.name}::{inner.name}"
                    for inner in node.body
                    if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and inner.name.startswith("test")
                }
    return frozenset(found - known)


def suite_entries(
    tests: Sequence[TestEntry],
    left_out: Mapping[str, tuple[str, str]],
    folders: Mapping[str, Path],
    combinations: Sequence[str],
) -> Iterator[SuiteEntry]:
    """An entry for each suite: a suite proves its claim only if all of its tests on disk ran and passed.

    Args:
        tests: every collected test.
        left_out: (combination, suite) of each test that the user left out, by the test's id.
        folders: each suite's folder.
        combinations: names of the run's combinations.
    """
    for suite, folder in folders.items():
        words = claim(folder / "README.md")
        if not words:
            continue
        members = [test for test in tests if test.suite == suite]
        omitted = [nodeid for nodeid, (_, of) in left_out.items() if of == suite]
        seen = {_key(nodeid) for nodeid in (*omitted, *(test.nodeid for test in members))}
        never_chosen = len(other_tests(folder, seen))
        for combination in combinations:
            own = [test for test in members if test.combination in {combination, ""}]
            if not any(test.combination == combination for test in own):
                continue
            omitted_here = sum(of == suite and on in {combination, ""} for on, of in left_out.values())
            total = len(own) + omitted_here + never_chosen
            entry = SuiteEntry(
                combination=combination, suite=suite, claim=words, state="partly", passed=0, total=total,
                sha256=folder_digest(folder),
            )  # fmt: skip
            yield judge_suite(entry, own)


def judge_suite(entry: SuiteEntry, own: Sequence[TestEntry]) -> SuiteEntry:
    """The entry, completed from its tests: how many passed, were excused or tried again, and whether the claim holds.

    Args:
        entry: the suite's entry on one combination; its `total` counts tests that did not take part, too.
        own: the suite's tests on that combination.
    """
    passed = sum(test.outcome == "passed" for test in own)
    retried = sum(bool(test.tries) for test in own)
    return replace(
        entry,
        state="proved" if passed == entry.total and not retried else "partly",
        passed=passed,
        excused=tuple(_excused(own)),
        retried=retried,
    )


def requirement_entries(
    tests: Sequence[TestEntry], folders: Mapping[str, Path], combinations: Sequence[str]
) -> Iterator[RequirementEntry]:
    """Each row of the suites that took part, judged by the findings that this run made on each combination."""
    found = statuses_by_suite(tests)
    took_part = {(test.combination, test.suite) for test in tests}
    for suite, folder in folders.items():
        rows = suite_rows(folder)
        for combination in combinations:
            if (combination, suite) not in took_part:
                continue
            made = found.get((combination, suite), {})
            for checks, proves, requirement in rows:
                state, missing = judge_row(checks, made)
                yield RequirementEntry(
                    combination=combination,
                    suite=suite,
                    checks=checks,
                    proves=proves,
                    requirement=requirement,
                    state=state,
                    missing=missing,
                )


def statuses_by_suite(tests: Iterable[TestEntry]) -> dict[tuple[str, str], dict[str, set[str]]]:
    """Statuses of findings by (combination, suite), then by check."""
    found: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for test in tests:
        for finding in test.findings:
            found[test.combination, test.suite][finding.id].add(finding.status)
    return found


def judge_row(checks: Iterable[str], made: Mapping[str, set[str]]) -> tuple[RequirementState, tuple[str, ...]]:
    """A row's state, and the checks of the row that never ran.

    Args:
        checks: ids or patterns of the checks that prove the row.
        made: statuses of the findings of its suite on one combination, by check.
    """
    missing = []
    statuses: set[str] = set()
    for pattern in checks:
        matching = [seen for check, seen in made.items() if fnmatchcase(check, pattern)]
        if not matching:
            missing.append(pattern)
        statuses = statuses.union(*matching)
    if "failed" in statuses:
        return "failed", tuple(missing)
    if not statuses:
        return "not proven", tuple(missing)
    if statuses & {"waived", "noted"}:
        return "excused", tuple(missing)
    return ("partly" if missing else "proven"), tuple(missing)


def _excused(tests: Sequence[TestEntry]) -> Iterable[str]:
    """Checks of passed tests that a waiver or a named tolerance excused."""
    found = [f.id for test in tests for f in test.findings if f.status == "waived"]
    found += [f.id for test in tests for f in test.findings if f.id == _LEANING and f.status != "passed"]
    return dict.fromkeys(found)


def _key(nodeid: str) -> str:
    """A test's name without its folder and its parameters."""
    path, _, name = nodeid.partition("::")
    return f"{Path(path).name}::{name.partition('[')[0]}"
