"""How long an inference may take: the model of a build's ``latency`` key."""

from __future__ import annotations

from harness.config.fields import Strict

__all__ = ["LatencyConfig"]


class LatencyConfig(Strict):
    """No budget unless one is declared here."""
