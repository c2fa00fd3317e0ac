"""What commands read again and again in these tests."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from tfm_harness.bundled import bundled
from tfm_harness.coverage import suites


@pytest.fixture(scope="session", autouse=True)
def _bundled_suites_are_read_once() -> Iterator[None]:
    """`check` reads the checks of all suites; those of the checkout do not change while tests run."""
    read, ours = suites.declared_checks, bundled("suites").resolve()
    once = cache(read)

    def declared(folder: Path) -> dict[str, bool]:
        return (once if folder.resolve().parent == ours else read)(folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suites, "declared_checks", declared)
        yield
