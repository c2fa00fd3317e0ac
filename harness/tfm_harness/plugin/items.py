"""What is known of one collected test: its board, suite and models; and what collecting changes about tests."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tfm_harness.bench.capabilities import KNOWN_WORDS, is_known_word
from tfm_harness.bench.combination import TargetBuild
from tfm_harness.config.nearest import nearest
from tfm_harness.plugin.bench import REPORT, Bench
from tfm_harness.plugin.record import NOT_RUN

__all__ = [
    "belongs",
    "bench_of",
    "check_needs",
    "clean_slate",
    "combination_name",
    "leave_out_contained",
    "leave_out_thorough",
    "models_of",
    "suite_of",
]


def bench_of(item: pytest.Item) -> Bench | None:
    """The bench a test runs on, once it is open."""
    values = getattr(item, "funcargs", None) or {}
    bench = values.get("bench")
    return bench if isinstance(bench, Bench) else None


def combination_name(item: pytest.Item) -> str:
    """The combination a test was meant to run on, also when its bench never opened."""
    callspec = getattr(item, "callspec", None)
    combination = callspec.params.get("tfm_combination") if callspec else None
    return combination.name if isinstance(combination, TargetBuild) else ""


def models_of(combination: TargetBuild) -> list[str]:
    """The models a build declares; an empty name stands for none, so that a test can say so."""
    return list(combination.build.models) or [""]


def belongs(item: pytest.Item) -> bool:
    """Whether a test's model is one of its combination's build."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    combination = params.get("tfm_combination")
    return (
        "build_model" not in params
        or not isinstance(combination, TargetBuild)
        or params["build_model"] in models_of(combination)
    )


def check_needs(items: Iterable[pytest.Item]) -> None:
    """A misspelt word in ``needs(...)`` would leave a test not covered in each run, and no message would say so.

    Raises:
        pytest.UsageError: naming the test, the word and the nearest word there is.
    """
    for item in items:
        for marker in item.iter_markers("needs"):
            for word_needed in map(str, marker.args):
                if is_known_word(word_needed):
                    continue
                near = nearest(word_needed, KNOWN_WORDS)
                raise pytest.UsageError(
                    f"{item.nodeid} needs {word_needed!r}, which nothing can offer"
                    + (f"; did you mean {near!r}?" if near else "")
                    + f"\n  where: {item.path}:{(item.location[1] or 0) + 1}"
                    + f"\n  expected: one of {', '.join(sorted(KNOWN_WORDS))}; file-NAME; target-KIND;"
                    + " or a word with a dot, of a package of your own"
                )


def leave_out_thorough(items: Iterable[pytest.Item]) -> None:
    """Skip tests marked ``thorough`` before a board is touched; the record counts them as not run."""
    for item in items:
        if item.get_closest_marker("thorough") is not None:
            item.add_marker(pytest.mark.skip(reason=f"{NOT_RUN} thorough, and the run was asked to be quick"))


def leave_out_contained(items: list[pytest.Item]) -> None:
    """Drop the short forms of tests whose thorough form runs as well, which does all that they do.

    A parameter says so with ``thorough(argument=value)``: it contains the same test with that value of that argument.
    Where the thorough form is not selected, the short form stays.

    Raises:
        pytest.UsageError: a mark names an argument that its test does not have.
    """
    contained: list[tuple[object, ...]] = []
    for item in items:
        marker = item.get_closest_marker("thorough")
        if marker is None or not marker.kwargs:
            continue
        form = _form(item)
        if unknown := marker.kwargs.keys() - form[-1].keys():
            raise pytest.UsageError(f"{item.nodeid}: thorough({min(unknown)}=...) names no parameter of the test")
        contained.append((*form[:-1], {**form[-1], **marker.kwargs}))
    if contained:
        items[:] = [item for item in items if _form(item) not in contained]


def _form(item: pytest.Item) -> tuple[object, str, dict[str, object]]:
    """A test's file, its function and its parameters."""
    callspec = getattr(item, "callspec", None)
    return item.parent, getattr(item, "originalname", item.name), dict(callspec.params) if callspec else {}


def suite_of(item: pytest.Item) -> str:
    """A suite is a folder of test modules."""
    return item.path.parent.name


_COLLECTED = pytest.StashKey[tuple[tuple[str, object], ...]]()
"""A test's properties before its first try: a console case has its suite and line from the beginning."""


def clean_slate(item: pytest.Item) -> None:
    """A test that is tried again begins with nothing of the try before, and with what it was collected with."""
    item.stash._storage.pop(REPORT, None)  # noqa: SLF001 - Stash has no pop
    collected = item.stash.setdefault(_COLLECTED, tuple(item.user_properties))
    item.user_properties[:] = [
        each for each in item.user_properties if each in collected or not each[0].startswith("harness.")
    ]
