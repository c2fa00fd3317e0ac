"""The version of the harness."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
"""The version of tfm-harness (docs/versions.md)."""
