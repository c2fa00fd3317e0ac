"""pycose 1.1.0 verifying the same message; runs in the peer's own virtual environment."""

from __future__ import annotations

import json
import sys
import time

from pycose.keys import EC2Key  # type: ignore[import-not-found]  # installed in the peer environment only
from pycose.messages import CoseMessage  # type: ignore[import-not-found]  # same


def main() -> None:
    given = json.loads(sys.stdin.readline())
    message, seconds = bytes.fromhex(given["message"]), float(given["seconds"])
    key = EC2Key(crv="P_256", x=bytes.fromhex(given["x"]), y=bytes.fromhex(given["y"]))
    for _ in sys.stdin:  # one line, one round: the other side measures in between
        count, start = 0, time.process_time()
        while time.process_time() - start < seconds:
            decoded = CoseMessage.decode(message)
            decoded.key = key
            if not decoded.verify_signature():
                raise SystemExit("pycose refuses the message")
            count += 1
        print(count / (time.process_time() - start), flush=True)


main()
