"""GitHub Actions: a Markdown summary of a step, and annotations.

GitHub drops a step's summary of more than 1 MiB, so it is cut before. GitHub shows ten annotations of each kind for a
step. In their text ``%``, CR and LF are escaped, in properties ``:`` and ``,`` as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from tfm_harness.report.exports.names import bounded, named, said, text_of
from tfm_harness.report.headline import ORDER, failing_line, title
from tfm_harness.report.markdown import plain
from tfm_harness.report.record import RunRecord, TestEntry, in_words

__all__ = ["files"]

MOST_BYTES: Final = 900_000
MOST_ANNOTATIONS: Final = 10
_BAD: Final = ("failed", "error", "blocked", "not run")


def files(run: RunRecord) -> dict[str, str]:
    """``summary.md`` for ``$GITHUB_STEP_SUMMARY``, ``annotations.txt`` for standard output."""
    return {"summary.md": _summary(run), "annotations.txt": "".join(f"{line}\n" for line in _annotations(run))}


def _summary(run: RunRecord) -> str:
    lines = [f"# {_md(title(run))}: {_md(run.name)}", "", _md(run.headline), ""]
    counts = Counter((test.combination, test.outcome) for test in run.tests)
    lines += ["| build | outcomes |", "|---|---|"]
    for on in dict.fromkeys(test.combination for test in run.tests):
        lines.append(f"| {_md(on or 'no board')} | {in_words((word, counts[on, word]) for word in ORDER)} |")
    for heading, outcomes in (
        ("What failed", ("failed",)), ("What the bench failed at", ("error",)), ("Blocked", ("blocked",)),
        ("Never ran", ("not run",)),
    ):  # fmt: skip
        chosen = [
            (suite, name, test) for suite, name, test in named(run) if test.outcome in outcomes and not test.left_out
        ]
        if chosen:
            lines += ["", f"## {heading}", ""]
        for suite, name, test in chosen:
            words = " ".join(bounded(failing_line(test.message), 300).split())
            entry = f"- **{_md(f'{suite}/{name}')}** on {_md(test.combination)}; {_md(said(test))}"
            lines.append(entry + (f"; {_md(words)}" if words else ""))
    retried = [(name, test) for _, name, test in named(run) if test.tries and test.outcome == "passed"]
    if retried:
        lines += ["", "## Passed, but not at the first try", ""]
        lines += [f"- {_md(name)} on {_md(test.board or test.combination)}" for name, test in retried]
    for series in run.latency:
        if series.gate.get("verdict") in {"slower", "drift"}:
            figures = f"{series.gate['verdict']} {series.gate.get('change', '')}".strip()
            lines += ["", f"Latency of {_md(f'{series.series.name} on {series.combination}: {figures}')}"]
    return _cut(lines)


def _cut(lines: list[str]) -> str:
    kept, size = [], 0
    for number, line in enumerate(lines):
        size += len(line.encode()) + 1
        if size > MOST_BYTES:
            kept += ["", f"and {len(lines) - number} more lines: run.json has them"]
            break
        kept.append(line)
    return "\n".join(kept) + "\n"


def _annotations(run: RunRecord) -> Iterator[str]:
    left = {"error": MOST_ANNOTATIONS, "warning": MOST_ANNOTATIONS}
    for _, name, test in named(run):
        kind = "error" if test.outcome == "failed" else "warning"
        if test.outcome not in _BAD or test.left_out or left[kind] == 0:
            continue
        left[kind] -= 1
        yield f"::{kind} {_properties(name, test)}::{_data(bounded(text_of(run, test), 4000))}"


def _properties(name: str, test: TestEntry) -> str:
    file = test.nodeid.partition("::")[0]
    return f"file={_property(file)},title={_property(f'{name} on {test.combination}: {test.outcome}')}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(bounded(text, 300)).replace(":", "%3A").replace(",", "%2C")


def _md(text: str) -> str:
    return plain(" ".join(bounded(text, 1000).split()))
