"""Which tests a session with boards has: one for each combination of target and build, less what is left out."""

from __future__ import annotations

from collections.abc import Generator, Mapping

import pytest

from tfm_harness.bench.combination import TargetBuild
from tfm_harness.plugin.items import (
    belongs,
    check_needs,
    combination_name,
    leave_out_contained,
    leave_out_thorough,
    models_of,
    suite_of,
)
from tfm_harness.plugin.net import while_collecting
from tfm_harness.plugin.only import keep_only
from tfm_harness.plugin.options import Setting
from tfm_harness.plugin.record import RunLog

__all__ = ["CollectingPlugin"]


class CollectingPlugin:
    """Hooks while pytest collects; what took part and what was left out goes into the session's log."""

    def __init__(
        self,
        config: pytest.Config,
        options: Mapping[str, Setting],
        combinations: tuple[TargetBuild, ...],
        log: RunLog,
    ) -> None:
        self._config = config
        self._options = options
        self._combinations = combinations
        self._log = log

    @pytest.hookimpl
    @while_collecting
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Each test that wants a board runs for each combination; one that asks for a model, for each of these."""
        if "tfm_combination" in metafunc.fixturenames:
            metafunc.parametrize(
                "tfm_combination",
                self._combinations,
                ids=[combination.name for combination in self._combinations],
                indirect=True,
                scope="session",
            )
        if "build_model" in metafunc.fixturenames:
            names = dict.fromkeys(name for combination in self._combinations for name in models_of(combination))
            metafunc.parametrize("build_model", list(names), indirect=True)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None]:
        """Pairs and models make a table; what stands in it for models of other builds is no test.

        After all have chosen: a short form of a test that runs whole is no test either, but for who asked by a list.
        """
        items[:] = [item for item in items if belongs(item)]
        check_needs(items)
        keep_only(items, self._options["only"], self._config)
        if self._options["quick"].on:
            leave_out_thorough(items)
        yield
        if not self._options["quick"].on and not self._options["only"].text:
            leave_out_contained(items)

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """A run that leaves tests out cannot say that a waiver is unused."""
        self._log.left_out.update({item.nodeid: (combination_name(item), suite_of(item)) for item in items})

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Which suites take part."""
        self._log.places.update({item.nodeid: (combination_name(item), suite_of(item)) for item in session.items})
        self._log.collected.update(dict.fromkeys(self._log.places))
        self._log.suites.update({item.path.parent.name: item.path.parent for item in session.items})

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """What pytest-xdist's test processes have collected."""
        self._log.collected.update(dict.fromkeys(ids))
