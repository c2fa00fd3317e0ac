"""Test suites that firmware runs by itself and prints: the model of a build's ``console_suites`` key."""

from __future__ import annotations

from typing import Literal

from harness.config.fields import Name, Seconds, Strict

__all__ = ["ConsoleSuiteConfig"]


class ConsoleSuiteConfig(Strict):
    """One suite that the firmware prints on a console."""

    suite: Literal["tf-m", "psa-arch-tests", "ztest"]
    console: Name = "ns"
    timeout: Seconds = 300.0
