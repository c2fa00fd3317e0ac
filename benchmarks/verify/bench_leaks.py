"""How fast outputs and memory are searched for secrets, and how often something is found that is not there.

``python -m benchmarks.verify.bench_leaks [--megabytes 100] [--recordings FOLDER] [--check]``. Searched are console text
(lines of a log with numbers, dumps, and SMP frames; or the files of a folder, over and over) and random bytes, for the
secrets of a board: eight keys of 32 bytes and a model of 200 KB, new ones for every 100 MB. Seconds are CPU time.
``--check`` exits with 1 when 100 MB take longer than the bar, or when anything is found.
"""

from __future__ import annotations

import argparse
import base64
import random
import sys
import time
from pathlib import Path

from tfm_harness.verify.leaks import Scanner, Secret, missed_canaries

BAR = 60.0
"""Seconds of CPU time for 100 MB; measured: 10 to 15."""
PIECE = 10_000_000


def secrets(rng: random.Random) -> list[Secret]:
    keys = [Secret(name=f"key {number}", data=rng.randbytes(32)) for number in range(8)]
    return [*keys, Secret(name="model", data=rng.randbytes(200_000), window=16, step=16, every_form=False)]


def log(rng: random.Random, size: int) -> bytes:
    """Text as a console carries it: half of it lines of a log, a quarter dumps, a quarter frames."""
    text = bytearray()
    number = 0
    while len(text) < size:
        number += 1
        text += b"[%08x] <inf> spe: partition %d state %d value 0x%08x\r\n" % (
            number, number % 7, rng.getrandbits(4), rng.getrandbits(32),
        )  # fmt: skip
        if number % 4 == 0:
            text += b"%08x: " % (number * 16) + rng.randbytes(16).hex(" ").encode() + b"  |................|\r\n"
        if number % 4 == 2:
            text += b"\x06\x09" + base64.b64encode(rng.randbytes(90)) + b"\n"
    return bytes(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100, help="of text, and as many random bytes")
    parser.add_argument("--recordings", type=Path, help="real consoles' bytes: every file of this folder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    if options.recordings is None:
        text = log(rng, PIECE)
    else:
        files = sorted(path for path in options.recordings.rglob("*") if path.is_file())
        text = b"\n".join(path.read_bytes() for path in files)
        if not text:
            parser.error(f"no files in {options.recordings}")
        text = (text * (1 + PIECE // len(text)))[:PIECE]
        print(f"{len(files)} files")
    failed = False
    for name, is_text in (("console text", True), ("random bytes as text", True), ("random bytes as memory", False)):
        searched, spent, found, expected = 0, 0.0, 0, 0.0
        scanner = Scanner(secrets(rng))
        while searched < options.megabytes * 1_000_000:
            data = text if name == "console text" else rng.randbytes(PIECE)
            began = time.process_time()
            leaks = scanner.scan(data, text=is_text)
            spent += time.process_time() - began
            searched += len(data)
            found += len(leaks)
            expected += scanner.chance(len(data))
            for leak in leaks:
                print(f"  found: {leak}")
            if searched % (10 * PIECE) == 0:
                scanner = Scanner(secrets(rng))
        rate = spent * 100e6 / searched
        print(
            f"{name}: {searched / 1e6:,.0f} MB, {rate:.1f} s CPU for 100 MB, {found} false hits "
            f"(at most {expected:.1e} expected)"
        )
        failed |= rate > BAR or found > 0
    missed = missed_canaries(text, seed=options.seed)
    print(f"canaries missed: {', '.join(missed) or 'none'}")
    return 1 if options.check and (failed or missed) else 0


if __name__ == "__main__":
    sys.exit(main())
