"""Where hooks and fixtures find the session's plugin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from tfm_harness.bench.combination import TargetBuild
    from tfm_harness.boards.base import RunContext
    from tfm_harness.plugin.bench import Bench
    from tfm_harness.plugin.options import Setting
    from tfm_harness.plugin.record import RunLog

__all__ = ["PLUGIN", "SessionPlugin"]


class SessionPlugin(Protocol):
    """The plugin of a session with boards, as fixtures and other hooks use it.

    Attributes:
        combinations: the combinations that were asked for.
        context: the folders of the run; None while tests are only collected.
        options: the settings, by name.
        log: gathers what the run finds.
    """

    log: RunLog
    combinations: tuple[TargetBuild, ...]
    context: RunContext | None
    options: Mapping[str, Setting]

    def open_bench(self, combination: TargetBuild) -> Iterator[Bench]:
        """Open, yield, close."""
        ...

    def bench_for(self, combination: TargetBuild) -> Bench | None:
        """The open bench of a combination."""
        ...


PLUGIN: pytest.StashKey[SessionPlugin] = pytest.StashKey()
