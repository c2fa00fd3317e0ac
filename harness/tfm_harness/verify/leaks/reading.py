"""One reading of a text: bytes, and their places in the text."""

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
        notation: the notation's description.
        data: the bytes.
        places: the offset in the text of every `width` bytes, or a function that finds the offsets; it is called for
            hits only.
    """

    notation: str
    data: Bytes
    places: Ints | Callable[[], Ints]
    width: int = 1

    def place(self, at: int) -> int:
        """The offset in the text of byte `at` of the stream."""
        return int(self.places_of(np.array([at]))[0])

    def places_of(self, at: Ints) -> Ints:
        """Like `place`, for several bytes."""
        if callable(self.places):
            self.places = self.places()
        found: Ints = self.places[np.minimum(at // self.width, len(self.places) - 1)]
        return found
