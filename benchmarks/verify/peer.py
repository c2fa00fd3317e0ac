"""How fast a peer verifies one message; what runs in each peer's own virtual environment."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable


def serve(verifier: Callable[[bytes, bytes, bytes], Callable[[], object]]) -> None:
    """Measure for each line of standard input: the other side measures in between.

    Args:
        verifier: given a message and the key's coordinates, what verifies it, and raises when it is refused.
    """
    given = json.loads(sys.stdin.readline())
    verify = verifier(*(bytes.fromhex(given[name]) for name in ("message", "x", "y")))
    seconds = float(given["seconds"])
    for _ in sys.stdin:
        count, start = 0, time.process_time()
        while time.process_time() - start < seconds:
            verify()
            count += 1
        print(count / (time.process_time() - start), flush=True)
