"""Test suites that firmware runs by itself and prints: the configuration model of a build's ``console_suites`` key."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from tfm_harness.config.fields import ExtensionName, Name, Seconds, Strict
from tfm_harness.extensions import POINTS, names

__all__ = ["BUILT_IN_SUITES", "SUITE_ENTRY_POINTS", "ConsoleSuiteConfig", "suite_names"]

SUITE_ENTRY_POINTS: Final = POINTS["console_suites"].group
"""Entry-point group in which packages add their suites."""

BUILT_IN_SUITES: Final = ("tf-m", "psa-arch-tests", "ztest")


def suite_names() -> tuple[str, ...]:
    """Names of console suites that are known: the built-in ones first."""
    return names("console_suites", BUILT_IN_SUITES)


class ConsoleSuiteConfig(Strict):
    """One suite that the firmware prints on a console, and what its output must contain."""

    suite: Annotated[str, ExtensionName("console_suites")] = Field(
        description="tf-m, psa-arch-tests, ztest, or one that a package adds"
    )
    console: Name = "ns"
    timeout: Seconds = Field(default=300.0, description="for the whole run, in seconds from the reset")
    silence: Seconds = Field(default=60.0, description="longest time without a byte before the run is given up")
    expect: tuple[str, ...] = Field(
        default=(), description="suites (name, id in its brackets, shell pattern) or areas that must have been seen"
    )
    min_cases: int = Field(default=0, ge=0, le=20_000, description="fewest cases that must have run")
    allow_skipped: bool = Field(default=False, description="skipped cases do not make the run incomplete")
    allow_resets: bool | tuple[str, ...] = Field(
        default=False,
        description="true: the tests reset the device on purpose; or the cases that do it (id, suite.id, pattern)",
    )
    allow_faults: tuple[str, ...] = Field(
        default=(), description="cases that provoke a fault on purpose and handle it themselves"
    )
    allow_repeats: bool = Field(default=False, description="suites and cases run more than once on purpose")
    eot: bool = Field(default=True, description="TF-M's end marker EOT must come")
