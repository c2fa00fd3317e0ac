"""A run of some tests by name: those of a file, as a record has their ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfm_harness.files import TEXT_LIMIT, read_file
from tfm_harness.plugin.options import Setting

__all__ = ["keep_only"]


def keep_only(items: list[pytest.Item], setting: Setting, config: pytest.Config) -> None:
    """Deselect what the user's list does not name.

    Raises:
        pytest.UsageError: the list cannot be read, names no test, or names one that is not there: what was asked for
            would silently not run.
    """
    if not setting.text:
        return
    try:
        text = read_file(Path(setting.text), TEXT_LIMIT).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise pytest.UsageError(f"the list of tests cannot be read: {error}\n  where: {setting.origin}") from error
    wanted = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    known = {item.nodeid for item in items}
    missing = [nodeid for nodeid in wanted if nodeid not in known]
    if missing or not wanted:
        what = f"{len(missing)} tests that are not here, {missing[0]} first" if missing else "no test"
        raise pytest.UsageError(
            f"{setting.text} names {what}"
            "\n  expected: ids as a run's record has them, and the same suites, target and build"
            f"\n  where: {setting.origin}"
        )
    chosen = set(wanted)
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in chosen])
    items[:] = [item for item in items if item.nodeid in chosen]
