"""cwt 3.3.0 verifying the same message; runs in the peer's own virtual environment."""

from __future__ import annotations

import json
import sys
import time

from cwt import COSE, COSEKey  # type: ignore[import-not-found]  # installed in the peer environment only


def main() -> None:
    given = json.loads(sys.stdin.readline())
    message, seconds = bytes.fromhex(given["message"]), float(given["seconds"])
    key = COSEKey.new({1: 2, 3: -7, -1: 1, -2: bytes.fromhex(given["x"]), -3: bytes.fromhex(given["y"])})
    cose = COSE.new()
    for _ in sys.stdin:  # one line, one round: the other side measures in between
        count, start = 0, time.process_time()
        while time.process_time() - start < seconds:
            cose.decode(message, keys=[key])  # raises for a signature that does not verify
            count += 1
        print(count / (time.process_time() - start), flush=True)


main()
