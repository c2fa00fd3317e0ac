"""The known console suites. Packages add theirs in the entry-point group ``tfm_harness.console_suites``."""

from __future__ import annotations

import difflib

from tfm_harness.config.console_suite import SUITE_ENTRY_POINTS, suite_names
from tfm_harness.console_suites.machine import SuiteMachine
from tfm_harness.console_suites.model import Expectations
from tfm_harness.console_suites.psa_arch import PsaArchTests
from tfm_harness.console_suites.tfm import TfmRegression
from tfm_harness.console_suites.ztest import Ztest
from tfm_harness.errors import ConfigError
from tfm_harness.extensions import broken, find, load_class

__all__ = ["ENTRY_POINT_GROUP", "get_machine", "suite_names"]

ENTRY_POINT_GROUP = SUITE_ENTRY_POINTS

_BUILT_IN: dict[str, type[SuiteMachine]] = {cls.kind: cls for cls in (TfmRegression, PsaArchTests, Ztest)}


def get_machine(name: str, expectations: Expectations | None = None) -> SuiteMachine:
    """A fresh machine for the suite of that name.

    Raises:
        ConfigError: kind ``unknown-console-suite``.
        ExtensionError: the package that adds it cannot be used.
    """
    extension = find("console_suites", name, _BUILT_IN)
    if extension is not None:
        made = load_class(extension, SuiteMachine)
        try:
            machine: SuiteMachine = made(expectations)
        except Exception as error:
            raise broken(extension, error) from error
        return machine
    if name not in _BUILT_IN:
        near = difflib.get_close_matches(name, suite_names(), 1)
        raise ConfigError(
            f"no console suite is called {name!r}",
            kind="unknown-console-suite",
            expected=", ".join(suite_names()),
            seen=name,
            hint=f"did you mean {near[0]!r}?" if near else "see docs/console-suites.md for adding one",
        )
    return _BUILT_IN[name](expectations)
