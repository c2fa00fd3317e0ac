"""A pytest plugin (-p mutation.order): the tests that most likely notice a change run first, so that -x ends soon.

The environment variable MUTATION_ORDER names a JSON file: `first`, tests in this order before all others; `near`,
suites whose tests come sooner than their cost; `costs`, seconds that a test took on the right build, by `test_name`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

FAR = 4.0  # a test of another suite may wait for near ones that cost so many times more
UNKNOWN_COST = 1.0  # seconds


def test_name(nodeid: str) -> str:
    """A test of any parameters: `suite/module.py::function`."""
    path, _, rest = nodeid.partition("::")
    return f"{'/'.join(Path(path).parts[-2:])}::{rest.partition('[')[0]}"


test_name.__test__ = False  # type: ignore[attr-defined]  # not a test, though its name begins with test


def rank(nodeid: str, first: Sequence[str], near: Sequence[str], costs: Mapping[str, float]) -> tuple[int, float]:
    """Sort key: the place in `first`; then cheap ones, and those of near suites."""
    name = test_name(nodeid)
    if name in first:
        return first.index(name), 0.0
    return len(first), costs.get(name, UNKNOWN_COST) * (1.0 if name.partition("/")[0] in near else FAR)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort what was collected."""
    said = json.loads(Path(os.environ["MUTATION_ORDER"]).read_text())
    items.sort(key=lambda item: rank(item.nodeid, said["first"], said["near"], said["costs"]))
