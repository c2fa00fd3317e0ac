"""How closely a device's numbers must match the reference: the model of a build's ``parity`` key."""

from __future__ import annotations

from harness.config.fields import Strict

__all__ = ["ParityConfig"]


class ParityConfig(Strict):
    """Bit-exact unless something else is declared here."""
