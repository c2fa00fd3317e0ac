"""The requirements that each suite proves for a build, and those that are not covered. No test is run.

A suite's README has one table: check, what it proves, the requirement behind it. Its test modules name with
``needs(...)`` the features that a test needs, and the checks that they make. Both are read here without importing
them; the features of the build and the target decide which rows are covered.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from tfm_harness.coverage.helper_checks import (
    IMAGE_COUNTER_KEPT,
    IMAGE_REFUSAL_SAID,
    MODEL_LEFT,
    MODEL_OUT,
    OBJECT_EXCHANGED,
    OBJECT_READ_BACK,
    OBJECT_ROLLED_BACK,
    OBJECT_TAMPERED,
    OLD_MODEL_WORKS,
    SCANNER_WORKS,
    SECRET_LEFT,
    SECRET_OUT,
    SENSOR_LEFT,
    SENSOR_OUT,
    UPDATE_CHANGES_NOTHING,
)
from tfm_harness.errors import ConfigError

__all__ = ["Coverage", "Row", "Suite", "Test", "cover", "declared_checks", "read_suite", "suite_rows", "suite_tests"]

# The areas of the checks that the fixtures' methods make.
_METHODS: Mapping[str, tuple[str, ...]] = {
    "verifier.result": ("cose.*", "cbor.*", "result.*"),
    "verifier.token": ("cose.*", "cbor.*", "attestation.*"),
    "verifier.encrypted_result": ("encryption.*", "cose.*", "cbor.*", "result.*"),
    "verifier.stored_object": ("encryption.*",),
    "verifier.relations": ("result.*", "attestation.*"),
    "verifier.public_key": ("key.*",),
    "verifier.csr": ("csr.*",),
    "latency.rate": ("latency.counter-*",),
    "latency.measure": ("latency.counter-*", "latency.run-accounts", "latency.series-*", "latency.budget"),
    "latency.dudect": ("latency.dudect-*",),
    "latency.signed_ticks": ("latency.phases-*", "latency.result-ticks"),
    "reference.matches": ("parity.*",),
    "reference.agrees": ("parity.*",),
    "reference.printed": ("parity.*",),
    "reference.accuracy": ("accuracy.*",),
    "trial.judge_said": (IMAGE_REFUSAL_SAID.id,),
    "trial.runs_again": (IMAGE_COUNTER_KEPT.id,),
    "trial.says": (IMAGE_REFUSAL_SAID.id,),
    "storage.reads": (OBJECT_READ_BACK.id,),
    "search.lines": (SENSOR_OUT.id,),
    "search.canaries": (SCANNER_WORKS.id,),
    "SecretSearch.MODEL_LEFT": (MODEL_LEFT.id,),
    "SecretSearch.MODEL_OUT": (MODEL_OUT.id,),
    "SecretSearch.SCANNER_WORKS": (SCANNER_WORKS.id,),
    "SecretSearch.SECRET_LEFT": (SECRET_LEFT.id,),
    "SecretSearch.SECRET_OUT": (SECRET_OUT.id,),
    "SecretSearch.SENSOR_LEFT": (SENSOR_LEFT.id,),
    "SecretSearch.SENSOR_OUT": (SENSOR_OUT.id,),
    "StoredObjects.EXCHANGED": (OBJECT_EXCHANGED.id,),
    "StoredObjects.READ_BACK": (OBJECT_READ_BACK.id,),
    "StoredObjects.ROLLED_BACK": (OBJECT_ROLLED_BACK.id,),
    "StoredObjects.TAMPERED": (OBJECT_TAMPERED.id,),
    "updates.refuse": (UPDATE_CHANGES_NOTHING.id,),
    "updates.unchanged": (UPDATE_CHANGES_NOTHING.id,),
    "updates.old_model_works": (OLD_MODEL_WORKS.id,),
    "latency.benchmark": ("latency.counter-*", "latency.mlperf-*"),
}
_FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "check_build_images": ("image.*",),
    "verify_mcuboot": ("image.*",),
    "verify_result": ("cose.*", "cbor.*", "result.*"),
    "compare": ("parity.*",),
    "check_vacuity": ("parity.*",),
    "check_debug_port": ("debug.*",),
    "check_counter": ("latency.counter-*",),
    "check_run_accounts": ("latency.run-accounts",),
    "check_series": ("latency.series-*",),
    "check_phases": ("latency.phases-*", "latency.result-ticks"),
    "check_budget": ("latency.budget",),
    "run_console_suite": ("console-*",),
}
_CHECK_IDS = re.compile(r"`([a-z0-9][a-z0-9.*-]*)`")


@dataclass(frozen=True, slots=True)
class Test:
    """One test function: the features it needs and the checks it makes (ids or patterns)."""

    name: str
    needs: frozenset[str]
    checks: frozenset[str]


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite: its tests, and its README's rows (check patterns, what they prove, requirement)."""

    name: str
    tests: tuple[Test, ...]
    rows: tuple[tuple[tuple[str, ...], str, str], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a suite's table, judged for a build.

    Attributes:
        tests: the number of tests of the suite that make the row's checks and can run.
        missing: the features that are missing, so that no such test runs; empty when some test runs.
    """

    suite: str
    checks: tuple[str, ...]
    proves: str
    requirement: str
    tests: int
    missing: tuple[str, ...]

    @property
    def covered(self) -> bool:
        """Whether any test that makes these checks can run."""
        return self.tests > 0


@dataclass(frozen=True, slots=True)
class Coverage:
    """All rows, and the checks of the catalogue that no suite's table names."""

    rows: tuple[Row, ...]
    features: frozenset[str]
    unclaimed: tuple[str, ...] = field(default=())


def read_suite(folder: Path) -> Suite:
    """Read a suite's README and test modules.

    Raises:
        ConfigError: kind ``suite-unreadable``: a module that is no Python, or no table in the README.
    """
    readme = folder / "README.md"
    rows = tuple(_rows(readme.read_text("utf-8"))) if readme.is_file() else ()
    if not rows:
        raise ConfigError(
            f"suite {folder.name!r} does not say what it proves",
            kind="suite-unreadable",
            expected="a README.md with the table: check, what it proves, asked for by",
            where=str(readme),
        )
    return Suite(folder.name, suite_tests(folder), rows)


def suite_tests(folder: Path) -> tuple[Test, ...]:
    """The tests of a suite's modules, with the checks they make.

    Raises:
        ConfigError: kind ``suite-unreadable``: a module that is no Python.
    """
    return tuple(test for module in _modules(folder) for test in module.tests())


def declared_checks(folder: Path) -> dict[str, bool]:
    """Whether each check that a suite's modules declare can be waived, by its id.

    Raises:
        ConfigError: kind ``suite-unreadable``: a module that is no Python.
    """
    return {check: waivable for module in _modules(folder) for check, waivable in module.waivable.items()}


def _modules(folder: Path) -> Iterator[_Module]:
    for path in sorted(folder.glob("test_*.py")):
        try:
            tree = ast.parse(path.read_text("utf-8"))
        except (SyntaxError, ValueError) as error:
            raise ConfigError(
                f"{path.name} cannot be read: {error}", kind="suite-unreadable", where=str(path)
            ) from error
        yield _Module(tree)


def suite_rows(folder: Path) -> tuple[tuple[tuple[str, ...], str, str], ...]:
    """The rows of a suite's README: check patterns, what they prove, the requirement; none without a table."""
    try:
        return tuple(_rows((folder / "README.md").read_text("utf-8")))
    except (OSError, UnicodeDecodeError):
        return ()


def cover(suites: Sequence[Suite], features: frozenset[str], catalogue: Sequence[str] = ()) -> Coverage:
    """Judge every row of every suite.

    Args:
        suites: from `read_suite`.
        features: the features of firmware, build and target.
        catalogue: ids of all checks, to find those that no suite claims.
    """
    rows = tuple(row for suite in suites for row in _judge(suite, features))
    claimed = {check for row in rows for check in row.checks}
    unclaimed = tuple(check for check in catalogue if not any(fnmatchcase(check, pattern) for pattern in claimed))
    return Coverage(rows, features, unclaimed)


def _judge(suite: Suite, features: frozenset[str]) -> Iterator[Row]:
    for checks, proves, requirement in suite.rows:
        making = [test for test in suite.tests if _makes(test, checks)] or list(suite.tests)
        able = [test for test in making if test.needs <= features]
        missing: frozenset[str] = frozenset()
        if not able and making:
            missing = min(
                (test.needs - features for test in making), key=lambda lacking: (len(lacking), sorted(lacking))
            )
        yield Row(suite.name, checks, proves, requirement, len(able), tuple(sorted(missing)))


def _makes(test: Test, patterns: Sequence[str]) -> bool:
    return any(
        fnmatchcase(check, pattern) or fnmatchcase(pattern, check) for check in test.checks for pattern in patterns
    )


def _rows(text: str) -> Iterator[tuple[tuple[str, ...], str, str]]:
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.lstrip().startswith("|") and len(cells) == 3:
            checks = tuple(_CHECK_IDS.findall(cells[0]))
            if checks:
                yield checks, cells[1], cells[2]


class _Module:
    """The tests and checks of a test module, read without importing it."""

    def __init__(self, tree: ast.Module) -> None:
        self._functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        self._checks: dict[str, str] = {}
        self._needs: frozenset[str] = frozenset()
        self.waivable: dict[str, bool] = {}
        for node in tree.body:
            if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
                continue
            name = node.targets[0].id
            if name == "pytestmark":
                self._needs = _needs(node.value)
            elif isinstance(node.value, ast.Call) and _dotted(node.value.func) == "Check":
                found = next((k.value for k in node.value.keywords if k.arg == "id"), None)
                if isinstance(found, ast.Constant) and isinstance(found.value, str):
                    self._checks[name] = found.value
                    waivable = next((k.value for k in node.value.keywords if k.arg == "waivable"), None)
                    self.waivable[found.value] = not (isinstance(waivable, ast.Constant) and waivable.value is False)
            elif shared := _METHODS.get(_dotted(node.value)):  # a check of a helper, imported under another name
                self._checks[name] = shared[0]

    def tests(self) -> list[Test]:
        """Its test functions."""
        return [
            Test(
                name,
                self._needs.union(*(_needs(decorator) for decorator in node.decorator_list)),
                frozenset(self._made_by(node, set())),
            )
            for name, node in self._functions.items()
            if name.startswith("test_")
        ]

    def _made_by(self, node: ast.FunctionDef, seen: set[str]) -> Iterator[str]:
        """Checks made in a function and in the module's own helpers it uses."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Attribute):
                yield from _METHODS.get(_dotted(inner), ())
            elif isinstance(inner, ast.Name):
                if inner.id in self._checks:
                    yield self._checks[inner.id]
                yield from _FUNCTIONS.get(inner.id, ())
                if inner.id in self._functions and inner.id not in seen:
                    seen.add(inner.id)
                    yield from self._made_by(self._functions[inner.id], seen)


def _needs(node: ast.expr) -> frozenset[str]:
    found: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and _dotted(inner.func) == "pytest.mark.needs":
            found |= {a.value for a in inner.args if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    return frozenset(found)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""
