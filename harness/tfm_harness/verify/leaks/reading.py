"""One reading of a text: bytes, and where they stood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfm_harness.verify.leaks.tokens import Bytes, Ints

__all__ = ["Reading"]


@dataclass(slots=True)
class Reading:
    """One reading of a text.

    Attributes:
        notation: in words.
        data: the bytes it means.
        places: the offset in the text of each `width` bytes, or a function that finds it and is called for hits only.
    """

    notation: str
    data: Bytes
    places: Ints | Callable[[], Ints]
    width: int = 1

    def place(self, at: int) -> int:
        """Where in the text byte `at` of the stream came from."""
        return int(self.places_of(np.array([at]))[0])

    def places_of(self, at: Ints) -> Ints:
        """The same of several bytes."""
        if callable(self.places):
            self.places = self.places()
        found: Ints = self.places[np.minimum(at // self.width, len(self.places) - 1)]
        return found
