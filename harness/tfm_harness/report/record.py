"""A run as typed data: from the checks of a test to ``run.json``, JUnit, the summary and the page.

Every entry is a frozen dataclass. pydantic reads and writes them (`tfm_harness.report.storage`), and refuses
what does not fit. What a file leaves out has its default.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, ConfigDict

from tfm_harness.latency.series import Series

__all__ = [
    "SCHEMA",
    "AccuracyEntry",
    "BoardEntry",
    "BoardRun",
    "CheckEntry",
    "CombinationEntry",
    "ConsoleExcerpt",
    "EventEntry",
    "FileEntry",
    "FindingEntry",
    "LatencyEntry",
    "MoveEntry",
    "ParityDifference",
    "ParityEntry",
    "ParityOutput",
    "PhaseEntry",
    "RequirementEntry",
    "ResponsibilityWord",
    "RunRecord",
    "SuiteEntry",
    "TestEntry",
    "TraceEntry",
    "TryEntry",
    "VerdictWord",
    "WaiverEntry",
]

SCHEMA: Final = "tfm-harness-run/2"

FindingStatus = Literal["passed", "noted", "waived", "failed"]
ResponsibilityWord = Literal["", "product", "infrastructure", "configuration", "test", "harness"]
TestOutcome = Literal["passed", "failed", "error", "blocked", "not covered", "skipped", "not run"]
VerdictWord = Literal[
    "passed",
    "failed",
    "infrastructure",
    "configuration",
    "test",
    "harness",
    "interrupted",
    "nothing proved",
    "too little proved",
]

_STRICT = ConfigDict(extra="forbid", strict=True, ser_json_inf_nan="strings")


_NOT_FINITE = frozenset({"NaN", "Infinity", "-Infinity", "nan", "inf", "-inf"})


def _figure(value: object) -> object:
    """JSON has no word for what is not finite: it stands as text."""
    return (
        float(value)
        if isinstance(value, str) and value in {"NaN", "Infinity", "-Infinity", "nan", "inf", "-inf"}
        else value
    )


Figure = Annotated[float, BeforeValidator(_figure)]
"""A float that may be infinite or no number."""


@dataclass(frozen=True, slots=True)
class CheckEntry:
    """What a check demands, said once a run: its title, and the standard and clause that ask for it."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    title: str = ""
    requirement: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingEntry:
    """One finding after policy and waivers.

    Attributes:
        id: the check; `RunRecord.checks` holds its title and requirement.
        status: ``passed``; ``noted`` (did not hold, the policy only reports it); ``waived``; ``failed``.
        severity: of a failure under the run's policy: info, warning, failure or critical.
        waiver, waived_by: the reason and the pattern of the waiver that excused it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    id: str
    status: FindingStatus = "passed"
    severity: str = "failure"
    expected: str = ""
    seen: str = ""
    where: str = ""
    subject: str = ""
    waiver: str = ""
    waived_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseEntry:
    """What the plugin says about one phase (setup, call, teardown) of a test; travels with pytest's report.

    Attributes:
        blocked_by: the test whose failure is the cause, when this one never had a board.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    combination: str = ""
    board: str = ""
    suite: str = ""
    responsibility: ResponsibilityWord = ""
    kind: str = ""
    blocked_by: str = ""
    findings: tuple[FindingEntry, ...] = ()
    checks: Mapping[str, CheckEntry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TryEntry:
    """An earlier try of a test: its board was lost, or a plugin tried it again."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    __test__: ClassVar[bool] = False

    why: Literal["rerun", "moved"]
    outcome: TestOutcome = "failed"
    board: str = ""
    responsibility: ResponsibilityWord = ""
    kind: str = ""
    seconds: float = 0.0
    message: str = ""
    findings: tuple[FindingEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TestEntry:
    """One test on one combination of target and build.

    Attributes:
        combination: target and build, as in the test's id (``qemu-an547+reference``).
        board: the board it ran on; of a pool, which one.
        outcome: ``failed`` is the product's; ``error`` anybody else's (`responsibility`); ``blocked``: there was no
            board, because of what `blocked_by` met; ``not run``: collected, but the run ended before.
        tries: what came before the outcome, oldest first.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    __test__: ClassVar[bool] = False  # not a test class, though its name begins with Test

    nodeid: str
    combination: str = ""
    board: str = ""
    suite: str = ""
    outcome: TestOutcome = "passed"
    responsibility: ResponsibilityWord = ""
    kind: str = ""
    blocked_by: str = ""
    seconds: float = 0.0
    message: str = ""
    findings: tuple[FindingEntry, ...] = ()
    tries: tuple[TryEntry, ...] = ()

    @property
    def short(self) -> str:
        """The test's name without its file."""
        return self.nodeid.rpartition("::")[2] or self.nodeid

    @property
    def left_out(self) -> bool:
        """Whether it did not run because the user asked for less (``--tfm-quick``), not because the run ended."""
        return self.outcome == "not run" and self.message.startswith("not run:")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventEntry:
    """Something that happened to a board; `at` is seconds since the run began."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    at: float
    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardEntry:
    """One board of a combination; a pool has several.

    Attributes:
        lost: why it was put in quarantine; empty for a board that lasted.
        worker: the test process that held it, when there were several.
        facts: what the board says about itself (emulator version, probe, serial number).
        boots, device_seconds: how often it started; seconds in which it was busy or booting.
        link: what went wrong on its console link; empty when nothing did.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    combination: str
    name: str
    lost: str = ""
    worker: str = ""
    firmware: str = ""
    clock: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    measurements: Mapping[str, str] = field(default_factory=dict)
    boots: int = 0
    device_seconds: float = 0.0
    link: str = ""
    events: tuple[EventEntry, ...] = ()
    transcripts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """A file that decided what was run, as it was when the run began.

    Attributes:
        role: ``target``, ``build``, ``image``, ``model``, ``key``, or ``file`` for anything else that the build names.
        name: what the build calls it (``images.0.file``), with the file's own name.
        path: relative to the folder in which the run was started, where it lies below it.
        sha256: digest of its bytes, hex.
        bytes: its size.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    role: Literal["target", "build", "image", "model", "key", "file"]
    name: str
    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinationEntry:
    """One target with one build.

    Attributes:
        files: what was flashed and what judged it: digests of the files when the run began.
        boards: names of the boards that could serve.
        firmware: what the firmware said it is; empty when it never said it.
        image: the first digits of each component's measurement, from the build's files.
        protocol: the build's; ``none`` when it speaks none.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    target: str = ""
    build: str = ""
    policy: str = ""
    kind: str = ""
    protocol: str = ""
    firmware: str = ""
    clock: str = ""
    image: Mapping[str, str] = field(default_factory=dict)
    boards: tuple[str, ...] = ()
    files: tuple[FileEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveEntry:
    """A test that was given another board, because its own was lost."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    nodeid: str
    combination: str
    before: str
    after: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteEntry:
    """What a suite proves on a combination, by its own words.

    Attributes:
        claim: the suite's words.
        state: ``proved``: everything that the suite has on disk ran and passed at the first try;
            ``partly``: some of it did not.
        passed, total: tests that passed; tests that the suite has, those left out included.
        excused: checks that a waiver or a tolerance excused: the claim does not hold for them.
        retried: tests that did not pass at their first try.
        sha256: digest over the suite's files (`tfm_harness.report.digests.folder_digest`), hex.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    combination: str
    suite: str
    claim: str
    state: Literal["proved", "partly"]
    passed: int
    total: int
    excused: tuple[str, ...] = ()
    retried: int = 0
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementEntry:
    """One row of a suite's table, judged by what this run found.

    Attributes:
        checks: ids or patterns of the checks that prove it.
        state: ``proven``: each of them ran and held; ``partly``: those that ran held, and some did not run (they may
            not apply here); ``excused``: a waiver or the policy let one pass; ``failed``; ``not proven``: none ran.
        missing: the checks that did not run.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    combination: str
    suite: str
    checks: tuple[str, ...]
    proves: str = ""
    requirement: str = ""
    state: Literal["proven", "partly", "excused", "failed", "not proven"]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverEntry:
    """What became of one waiver or tolerance of a build."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    combination: str
    finding: str
    reason: str
    where: str = ""
    state: Literal["used", "unused", "not judged"] = "used"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyEntry:
    """One series with what it was judged against.

    Attributes:
        baseline: None on the first night.
        baseline_name: the run it came from.
        budgets: limits in seconds by statistic.
        gate: the regression gate's verdict and figures, by name.
        phases: seconds by phase of one typical request, ``wire`` included.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    combination: str
    board: str = ""
    series: Series
    baseline: Series | None = None
    baseline_name: str = ""
    budgets: Mapping[str, float] = field(default_factory=dict)
    gate: Mapping[str, str] = field(default_factory=dict)
    phases: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityDifference:
    """The first element that differs: values as the model's output type has them."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    vector: int
    index: tuple[int, ...]
    reference: Figure
    device: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityOutput:
    """One output tensor's comparison: `tfm_harness.parity.compare.OutputComparison`, without its arrays."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    index: int
    elements: int
    exact_elements: int
    vectors: int = 0
    exact_vectors: int = 0
    name: str = ""
    dtype: str = ""
    op: str = ""
    histogram: Mapping[str, int] = field(default_factory=dict)
    max_lsb: int = 0
    max_abs: Figure = 0.0
    max_rel: Figure = 0.0
    sqnr_db: Figure | None = None
    cosine_min: Figure = 1.0
    cosine_mean: Figure = 1.0
    top1: Figure | None = None
    first: ParityDifference | None = None
    tolerance: str = ""
    passed: bool = True

    @property
    def exact(self) -> bool:
        """Whether every element is the reference's, bit for bit."""
        return self.exact_elements == self.elements


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityEntry:
    """One model's comparison with the reference interpreter.

    Attributes:
        engine: the interpreter: name, version, resolver.
        distinct: how many different outputs the device gave.
        saturated: share of output elements at the end of their range, 0 to 1.
        first_op: the first operator that differs; `undiagnosed` says why it cannot be named.
        failure: the file for ``tfm-harness replay``.
        vectors_file: all inputs with what the device and the reference made of them, in the run's folder.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    combination: str
    board: str = ""
    model: str
    vectors: int = 0
    outputs: tuple[ParityOutput, ...] = ()
    failing: tuple[int, ...] = ()
    engine: Mapping[str, str] = field(default_factory=dict)
    distinct: int = 0
    saturated: Figure = 0.0
    inputs: str = ""
    seed: int | None = None
    first_op: str = ""
    undiagnosed: str = ""
    failure: str = ""
    vectors_file: str = ""
    device_seconds: float = 0.0

    @property
    def exact(self) -> bool:
        """Whether every output element is the reference's, bit for bit."""
        return all(output.exact for output in self.outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyEntry:
    """One model on labelled data: the device beside the reference.

    Attributes:
        metric: ``top-1`` or ``auc``; `least` is what the build asks for.
        device, reference: the metric of each, 0 to 1.
        labels: the classes' names.
        device_matrix, reference_matrix: counts; rows: true class, columns: decided class. Empty for ``auc``.
        alike: samples on which both decide alike; `differing` names the first of the others.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    combination: str
    board: str = ""
    model: str
    metric: Literal["top-1", "auc"]
    least: float | None = None
    device: float
    reference: float
    labels: tuple[str, ...] = ()
    device_matrix: tuple[tuple[int, ...], ...] = ()
    reference_matrix: tuple[tuple[int, ...], ...] = ()
    alike: int = 0
    samples: int = 0
    differing: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What was found, in a sentence."""
        asked = f", {self.least:g} asked for" if self.least is not None else ""
        verdict = ""
        if self.least is not None and self.reference < self.least:
            verdict = "; bit-exact and wrong" if self.alike == self.samples else "; the model itself is wrong"
        return (
            f"{self.metric} {self.device:.4g} on the device, {self.reference:.4g} by the reference{asked};"
            f" {self.alike} of {self.samples} samples decided alike{verdict}"
        )

    def confused(self, matrix: tuple[tuple[int, ...], ...]) -> str:
        """A confusion matrix as text: each true class with what it was taken for, by count."""
        rows = []
        for label, row in zip(self.labels, matrix, strict=False):
            said = ", ".join(f"{self.labels[n]} {count}" for n, count in enumerate(row) if count)
            rows.append(f"{label}: {said or 'no sample'}")
        return "; ".join(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEntry:
    """What the sensor was made to see, and what the device made of it.

    Attributes:
        channels: values over samples, by channel name with its unit (``mag.x [uT]``).
        outputs: (sample number, output values) after each inference, oldest first.
        labels: names of the output's elements.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    combination: str
    board: str = ""
    name: str
    channels: Mapping[str, tuple[Figure, ...]]
    outputs: tuple[tuple[int, tuple[Figure, ...]], ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleExcerpt:
    """The last lines of one console; `text` may hold anything the device sent."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    combination: str
    board: str = ""
    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRun:
    """One board's share of a run; test processes send it to the process that writes the record."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    board: BoardEntry
    latency: tuple[LatencyEntry, ...] = ()
    parity: tuple[ParityEntry, ...] = ()
    accuracy: tuple[AccuracyEntry, ...] = ()
    traces: tuple[TraceEntry, ...] = ()
    consoles: tuple[ConsoleExcerpt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """Everything a run found.

    Attributes:
        name: the run's id, usually its folder's name.
        verdict: in a word. ``passed`` only when every collected test reached its end.
        headline: the verdict in one sentence.
        started: ISO 8601 with zone.
        seconds: wall time.
        collected, deselected: tests that were chosen; tests that the user left out.
        version, package_sha256: of the harness: its version, and the digest over its installed files.
        interrupted: what ended the run before its end (``SIGINT``, ``SIGTERM``, ...); empty when nothing did.
        requirements: rows of the suites that took part.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    verdict: VerdictWord
    headline: str = ""
    started: str = ""
    seconds: float = 0.0
    version: str = ""
    package_sha256: str = ""
    collected: int = 0
    deselected: int = 0
    interrupted: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    combinations: tuple[CombinationEntry, ...] = ()
    boards: tuple[BoardEntry, ...] = ()
    moves: tuple[MoveEntry, ...] = ()
    suites: tuple[SuiteEntry, ...] = ()
    requirements: tuple[RequirementEntry, ...] = ()
    waivers: tuple[WaiverEntry, ...] = ()
    latency: tuple[LatencyEntry, ...] = ()
    parity: tuple[ParityEntry, ...] = ()
    accuracy: tuple[AccuracyEntry, ...] = ()
    traces: tuple[TraceEntry, ...] = ()
    consoles: tuple[ConsoleExcerpt, ...] = ()
    checks: Mapping[str, CheckEntry] = field(default_factory=dict)
    tests: tuple[TestEntry, ...] = ()

    def outcomes(self) -> Counter[str]:
        """How many tests ended how."""
        return Counter(test.outcome for test in self.tests)

    def responsibilities(self) -> Counter[str]:
        """How many tests did not pass by whose responsibility; what blocked tests met is counted once."""
        return Counter(t.responsibility for t in self.tests if t.responsibility and t.outcome != "blocked")

    def lost(self) -> tuple[BoardEntry, ...]:
        """Boards in quarantine."""
        return tuple(board for board in self.boards if board.lost)

    def check(self, finding: FindingEntry) -> CheckEntry:
        """What the finding's check demands."""
        return self.checks.get(finding.id, _UNKNOWN)

    def proven(self) -> tuple[int, int]:
        """How many requirements are proven, and of how many."""
        return sum(row.state == "proven" for row in self.requirements), len(self.requirements)


def proven_words(run: RunRecord) -> str:
    """``47 of 67 requirements proven, 4 more in part``; empty without requirements."""
    proven, rows = run.proven()
    partly = sum(row.state == "partly" for row in run.requirements)
    return f"{proven} of {rows} requirements proven" + (f", {partly} more in part" if partly else "") if rows else ""


_UNKNOWN = CheckEntry()


def in_words(counted: Mapping[str, int] | Iterable[tuple[str, int]]) -> str:
    """``3 passed, 1 not covered``."""
    pairs: Any = counted.items() if isinstance(counted, Mapping) else counted
    return ", ".join(f"{count} {word}" for word, count in pairs if count)
