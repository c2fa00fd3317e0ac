"""A run as plain data, and its file ``run.json``.

The file's ``schema`` names its version; a reader refuses any other.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import types
import typing
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.files import read_file

__all__ = [
    "SCHEMA",
    "BoardEntry",
    "ConsoleExcerpt",
    "FindingEntry",
    "LatencyEntry",
    "ParityEntry",
    "RunRecord",
    "TestEntry",
    "TraceEntry",
    "WaiverEntry",
    "load_run",
    "save_run",
]

SCHEMA = "tfm-harness-run/1"
MAX_FILE = 512 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingEntry:
    """One finding after policy and waivers; `status` is passed, noted, waived or failed."""

    id: str
    title: str = ""
    requirement: str = ""
    severity: str = ""
    status: str = "passed"
    expected: str = ""
    seen: str = ""
    where: str = ""
    subject: str = ""
    waiver: str = ""
    waived_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestEntry:
    """One test on one board; `outcome` is passed, failed, error, not covered or skipped."""

    __test__ = False  # not a test class, whatever its name

    nodeid: str
    board: str = ""
    suite: str = ""
    outcome: str = "passed"
    fault: str = ""
    kind: str = ""
    seconds: float = 0.0
    message: str = ""
    findings: tuple[FindingEntry, ...] = ()

    @property
    def short(self) -> str:
        """The test's name without its file."""
        return self.nodeid.rpartition("::")[2] or self.nodeid


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleExcerpt:
    """The last lines of one console; `text` may hold anything the device sent."""

    board: str
    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardEntry:
    """One board and the build on it."""

    name: str
    target: str = ""
    build: str = ""
    policy: str = ""
    firmware: str = ""
    clock: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyEntry:
    """One series with what it was judged against.

    Attributes:
        series: `tfm_harness.latency.Series.as_dict`.
        baseline: the baseline's series likewise, None on the first night.
        baseline_name: the run it came from.
        budgets: limits in seconds by statistic.
        gate: the regression gate's verdict and figures, by name.
        phases: seconds by phase of one typical request, ``wire`` included.
    """

    board: str
    series: Mapping[str, Any]
    baseline: Mapping[str, Any] | None = None
    baseline_name: str = ""
    budgets: Mapping[str, float] = field(default_factory=dict)
    gate: Mapping[str, str] = field(default_factory=dict)
    phases: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityEntry:
    """One model's comparison: `tfm_harness.parity.session.SessionResult.as_dict`."""

    board: str
    session: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEntry:
    """What the sensor was made to see, and what the device made of it.

    Attributes:
        channels: values over samples, by channel name with its unit (``mag.x [uT]``).
        outputs: (sample number, output values) after each inference, oldest first.
        labels: names of the output's elements.
    """

    board: str
    name: str
    channels: Mapping[str, tuple[float, ...]]
    outputs: tuple[tuple[int, tuple[float, ...]], ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverEntry:
    """What became of one waiver: used, unused or not judged."""

    board: str
    finding: str
    reason: str
    where: str = ""
    state: str = "used"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """Everything a run found.

    Attributes:
        name: the run's id, usually its folder's name.
        verdict: ``passed``, ``failed`` (product), ``bench``, ``config``, ``bug``, ``interrupted``
            or ``nothing proved``.
        headline: the verdict in one sentence.
        started: ISO 8601 with zone.
    """

    name: str
    verdict: str
    headline: str = ""
    started: str = ""
    seconds: float = 0.0
    version: str = ""
    boards: tuple[BoardEntry, ...] = ()
    tests: tuple[TestEntry, ...] = ()
    waivers: tuple[WaiverEntry, ...] = ()
    latency: tuple[LatencyEntry, ...] = ()
    parity: tuple[ParityEntry, ...] = ()
    traces: tuple[TraceEntry, ...] = ()
    consoles: tuple[ConsoleExcerpt, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def outcomes(self) -> Counter[str]:
        """How many tests ended how."""
        return Counter(test.outcome for test in self.tests)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"schema": SCHEMA, **_plain(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunRecord:
        """From `as_dict`.

        Raises:
            ValueError: another schema, or data of another form.
        """
        if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
            seen = data.get("schema") if isinstance(data, Mapping) else type(data).__name__
            raise ValueError(f"schema {seen!r}")
        record = _build(cls, {k: v for k, v in data.items() if k != "schema"}, "run")
        assert isinstance(record, cls)  # noqa: S101 - _build makes what it is asked for
        return record


def save_run(run: RunRecord, path: Path) -> None:
    """Write ``run.json``; whole or not at all.

    Raises:
        InfrastructureError: kind ``report-write``.
    """
    write_text(path, json.dumps(run.as_dict(), indent=1, allow_nan=False) + "\n")


def load_run(path: Path) -> RunRecord:
    """Read ``run.json``, or the one in a run's folder.

    Raises:
        ConfigError: kind ``run-file``.
    """
    file = path / "run.json" if path.is_dir() else path
    try:
        if file.stat().st_size > MAX_FILE:
            raise ConfigError("the run's file is too large", kind="run-file", where=str(file))
        return RunRecord.from_dict(json.loads(read_file(file, MAX_FILE).decode()))
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as exc:
        raise ConfigError(
            "not a run's record",
            kind="run-file",
            expected=f"run.json of schema {SCHEMA}, or a run's folder",
            seen=f"{type(exc).__name__}: {exc}",
            where=str(file),
        ) from exc


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        InfrastructureError: kind ``report-write``: the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=".report-", delete=False, encoding="utf-8"
        ) as out:
            try:
                out.write(text)
                out.close()
                Path(out.name).chmod(0o644)
                Path(out.name).replace(path)
            except BaseException:
                os.unlink(out.name)  # noqa: PTH108 - the name just made
                raise
    except OSError as exc:
        raise InfrastructureError(
            "the run's report cannot be written", kind="report-write", seen=str(exc), where=str(path)
        ) from exc


def _plain(value: Any) -> Any:  # noqa: ANN401 - any field's value
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no word for it
    return value


def _build(kind: Any, value: Any, where: str) -> Any:  # noqa: ANN401 - driven by annotations
    """Build a value of an annotated type from JSON, refusing what does not fit."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise ValueError(f"{where}: expected an object")
        hints = typing.get_type_hints(kind)
        unknown = set(value) - set(hints)
        if unknown:
            raise ValueError(f"{where}: unknown {', '.join(sorted(map(str, unknown)))}")
        return kind(**{k: _build(hints[k], v, f"{where}.{k}") for k, v in value.items()})  # type: ignore[operator]
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{where}: expected a list")
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_build(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
        if len(args) != len(value):
            raise ValueError(f"{where}: expected {len(args)} values")
        return tuple(_build(a, v, where) for a, v in zip(args, value, strict=True))
    if origin is types.UnionType:
        return None if value is None else _build(args[0], value, where)
    if origin is not None:  # Mapping
        if not isinstance(value, Mapping):
            raise ValueError(f"{where}: expected an object")
        return {str(k): _build(args[1], v, f"{where}.{k}") for k, v in value.items()}
    if kind is Any:
        return value
    if kind is float and ((isinstance(value, int) and not isinstance(value, bool)) or value in ("nan", "inf", "-inf")):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{where}: expected {kind.__name__}, seen {type(value).__name__}")
    return value
