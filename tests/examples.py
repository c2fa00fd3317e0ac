"""How many examples a test of random ones tries: few in `make test`, where each run draws others; all at night."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["few"]

_ALL: Final = os.environ.get("TESTS_EXAMPLES") == "all"


def few(examples: int) -> int:
    """A quarter of `examples`; all of them in `make unit-nightly`, which runs what is marked so (``examples``)."""
    return examples if _ALL else max(examples // 4, 1)
