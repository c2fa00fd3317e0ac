"""What became of each mutant, kept in a file, one JSON line each, so that a measurement can go on another time."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from mutation.c_mutator import REFERENCE, Mutant
from mutation.suite_run import ROOT

FIRMWARE = ("partition", "spe", "pseudo_driver", "platform", "mk", "models")
SUITES = ("suites", "harness", "targets")
LIKELY = 6  # tests that noticed changes of the same function, and as many of the same file and folder


@dataclass(frozen=True)
class Verdict:
    """What became of one mutant.

    Attributes:
        state: killed, survived, equivalent (same bytes) or unbuildable.
        by: suite and check that killed it.
        test: the test that did, as mutation.order names it.
        reach: of a survivor, the steps (mutation.judge.STEPS) that it came through, with spaces between.
    """

    name: str
    file: str
    line: int
    function: str
    operator: str
    change: str
    state: str
    by: str = ""
    seconds: float = 0.0
    test: str = ""
    reach: str = ""


@cache
def digest(what: tuple[str, ...]) -> str:
    """Of the sources in some folders: the firmware's, or the project's suites and harness, and which are nearest."""
    found = hashlib.sha256(b"" if what is FIRMWARE else Path(__file__).with_name("judge.py").read_bytes())
    for folder in what:
        place = REFERENCE / folder if what is FIRMWARE else ROOT / folder
        for path in sorted(place.rglob("*")):
            if path.suffix in {".c", ".h", ".ld", ".mk", ".py", ".yaml"}:
                found.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return found.hexdigest()[:16]


@dataclass
class Results:
    """Verdicts of earlier runs. A verdict holds for the firmware, suites and harness that it was found with.

    Attributes:
        known: the verdicts that still hold, by the mutant's name; the last one of each.
        costs: seconds of each test on the right build; empty: it was not run with these suites yet.
        kills: (file, function, test) of every kill ever seen, whether it still holds or not: where to look first.
    """

    path: Path | None
    known: dict[str, Verdict] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    kills: list[tuple[str, str, str]] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path | None, *, keep_kills: bool = False) -> Results:
        """Read the file, where there is one.

        `keep_kills`: what was found with other suites, or other code outside of the function, holds too, but for
        survivors (checks were only added). A name stands for the function's text (Mutant.name).
        """
        found = cls(path)
        lines = path.read_text().splitlines() if path is not None and path.is_file() else []
        firmware, suites = digest(FIRMWARE), digest(SUITES)
        for said in map(json.loads, lines):
            if "costs" in said:
                if (said["firmware"], said["suites"]) == (firmware, suites):
                    found.costs = said["costs"]
                continue
            verdict = Verdict(**{key: said[key] for key in (one.name for one in fields(Verdict)) if key in said})
            if verdict.test:
                found.kills.append((verdict.file, verdict.function, verdict.test))
            same = (said["firmware"], said["suites"]) == (firmware, suites)
            if same or (keep_kills and verdict.state != "survived"):
                found.known[verdict.name] = verdict
        return found

    def add(self, verdict: Verdict) -> None:
        """Keep a verdict; it takes the place of an earlier one of the same mutant."""
        self.known[verdict.name] = verdict
        if verdict.test:
            self.kills.append((verdict.file, verdict.function, verdict.test))
        self._append(asdict(verdict))

    def add_costs(self, costs: dict[str, float]) -> None:
        """Keep how long each test took on the right build, which passed all of them."""
        self.costs = costs
        self._append({"costs": costs})

    def _append(self, said: dict[str, Any]) -> None:
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps({**said, "firmware": digest(FIRMWARE), "suites": digest(SUITES)}) + "\n")

    def likely(self, mutant: Mutant) -> list[str]:
        """Tests that noticed other changes nearby: first of the same function, then of the file, then of its folder."""
        folder = str(Path(mutant.file).parent)
        groups = (
            [test for file, function, test in self.kills if (file, function) == (mutant.file, mutant.function)],
            [test for file, _, test in self.kills if file == mutant.file],
            [test for file, _, test in self.kills if str(Path(file).parent) == folder],
        )
        return list(dict.fromkeys(test for group in groups for test, _ in Counter(group).most_common(LIKELY)))


def known_equivalent(verdict: Verdict, entries: Iterable[dict[str, Any]]) -> str:
    """The reason why a survivor changes nothing that can be seen; empty when none is known.

    An entry names a file, a function, the changes it is about (`change`, one or a list; without it every change), and
    where the same change stands in a function more than once, the lines' texts (`in`, one or a list) that hold it.
    """
    line = ""
    for entry in entries:
        if (entry["file"], entry["function"]) != (verdict.file, verdict.function):
            continue
        line = line or (REFERENCE / verdict.file).read_text().splitlines()[verdict.line - 1]
        if verdict.change in _listed(entry.get("change", verdict.change)) and any(
            text in line for text in _listed(entry.get("in", ""))
        ):
            return str(entry["reason"])
    return ""


def _listed(said: str | list[str]) -> list[str]:
    return said if isinstance(said, list) else [said]
