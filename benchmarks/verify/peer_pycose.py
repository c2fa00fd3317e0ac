"""pycose 1.1.0 verifying the same message; runs in the peer's own virtual environment."""

from __future__ import annotations

from collections.abc import Callable

from pycose.keys import EC2Key  # type: ignore[import-not-found]  # installed in the peer environment only
from pycose.messages import CoseMessage  # type: ignore[import-not-found]  # same

from benchmarks.verify.peer import serve


def verifier(message: bytes, x: bytes, y: bytes) -> Callable[[], object]:
    key = EC2Key(crv="P_256", x=x, y=y)

    def verify() -> None:
        decoded = CoseMessage.decode(message)
        decoded.key = key
        if not decoded.verify_signature():
            raise SystemExit("pycose refuses the message")

    return verify


serve(verifier)
