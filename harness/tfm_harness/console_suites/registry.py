"""Which console suites there are. Others may add theirs in the entry-point group ``tfm_harness.console_suites``."""

from __future__ import annotations

import difflib
from importlib.metadata import entry_points

from tfm_harness.config.console_suite import SUITE_ENTRY_POINTS, suite_names
from tfm_harness.console_suites.machine import SuiteMachine
from tfm_harness.console_suites.model import Expectations
from tfm_harness.console_suites.psa_arch import PsaArchTests
from tfm_harness.console_suites.tfm import TfmRegression
from tfm_harness.console_suites.ztest import Ztest
from tfm_harness.errors import ConfigError

__all__ = ["ENTRY_POINT_GROUP", "get_machine", "suite_names"]

ENTRY_POINT_GROUP = SUITE_ENTRY_POINTS

_BUILT_IN: dict[str, type[SuiteMachine]] = {cls.kind: cls for cls in (TfmRegression, PsaArchTests, Ztest)}


def get_machine(name: str, expectations: Expectations | None = None) -> SuiteMachine:
    """A fresh machine for the suite of that name.

    Raises:
        ConfigError: kind ``unknown-console-suite``.
    """
    found = _BUILT_IN.get(name)
    if found is None:
        point = next((p for p in entry_points(group=ENTRY_POINT_GROUP) if p.name == name), None)
        if point is None:
            near = difflib.get_close_matches(name, suite_names(), 1)
            raise ConfigError(
                f"no console suite is called {name!r}",
                kind="unknown-console-suite",
                expected=", ".join(suite_names()),
                seen=name,
                hint=f"did you mean {near[0]!r}?" if near else "see docs/console-suites.md for adding one",
            )
        found = point.load()
        if not (isinstance(found, type) and issubclass(found, SuiteMachine)):
            raise ConfigError(
                f"the entry point {name!r} of group {ENTRY_POINT_GROUP} is not a SuiteMachine",
                kind="bad-console-suite",
                seen=repr(found),
                where=point.value,
            )
    return found(expectations)
