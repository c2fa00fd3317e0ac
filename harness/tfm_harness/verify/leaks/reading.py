"""One reading of a text: bytes, and where they stood."""

from __future__ import annotations

from dataclasses import dataclass

from tfm_harness.verify.leaks.tokens import Bytes, Ints

__all__ = ["Reading"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a text.

    Attributes:
        notation: in words.
        data: the bytes it means.
        places: where in the text each `width` bytes of them stood.
    """

    notation: str
    data: Bytes
    places: Ints
    width: int = 1

    def place(self, at: int) -> int:
        """Where in the text byte `at` of the stream came from."""
        return int(self.places[min(at // self.width, len(self.places) - 1)])
