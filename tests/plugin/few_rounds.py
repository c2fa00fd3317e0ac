"""A pytest plugin: suites that repeat something a thousand times do so sixty times, so that a test of them is quick."""

from __future__ import annotations

import pytest

ROUNDS = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        assert isinstance(item, pytest.Function)
        if hasattr(item.module, "ROUNDS"):
            item.module.ROUNDS = ROUNDS
