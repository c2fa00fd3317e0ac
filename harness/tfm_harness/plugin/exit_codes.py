"""Exit codes of pytest that are ours."""

from __future__ import annotations

from typing import Final

__all__ = ["EXIT_BENCH"]

EXIT_BENCH: Final = 10
"""Exit code when only the bench failed: says nothing about the product."""
