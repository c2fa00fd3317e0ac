"""cwt 3.3.0 verifying the same message; runs in the peer's own virtual environment."""

from __future__ import annotations

from collections.abc import Callable

from cwt import COSE, COSEKey  # type: ignore[import-not-found]  # installed in the peer environment only

from benchmarks.verify.peer import serve


def verifier(message: bytes, x: bytes, y: bytes) -> Callable[[], object]:
    key = COSEKey.new({1: 2, 3: -7, -1: 1, -2: x, -3: y})
    cose = COSE.new()
    return lambda: cose.decode(message, keys=[key])  # raises for a signature that does not verify


serve(verifier)
