"""How fast outputs and memory are searched for secrets, and how often something is found that is not there.

``python -m benchmarks.verify.bench_leaks [--megabytes 100] [--only KIND...] [--real PATH...] [--slice N] [--check]``.
Searched are, each made while it is searched, so that 10 GB need no disk and no more memory than 10 MB do:

* ``console``: lines of a log with numbers, dumps, and SMP frames, of random values;
* ``notations``: random bytes in hexadecimal, dumps, C arrays, decimal and base64, in lines of any length;
* ``real``: the files of ``--real`` that are text (recorded consoles, other texts), over and over;
* ``bytes``: random bytes, read as text;
* ``memory``: random bytes, read as memory.

They are searched for the secrets of a board: eight keys of 32 bytes and a model of 200 KB, new ones for every 100 MB.
Times are CPU time. ``--slice`` gives other data and other secrets, so that a long run can be made in parts;
``--spend`` ends it after so many seconds of CPU time, and says how far it came. ``--check`` exits with 1 when 100 MB
take longer than the bar, or when anything is found.
"""

from __future__ import annotations

import argparse
import base64
import random
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tfm_harness.verify.leaks import Scanner, Secret, missed_canaries

BAR = 40.0
"""Seconds of CPU time for 100 MB; measured: 2 (memory) to 25 (nothing but notations), as busy as the host is."""
PACKED = (b"\x1f\x8b", b"\xfd7zXZ", b"BZh", b"PK", b"%PDF")
"""Beginnings of files that are no text."""
PIECE = 10_000_000
RENEWED = 10 * PIECE
KINDS = ("console", "notations", "real", "bytes", "memory")


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
    return bytes(text[:size])


def notations(rng: random.Random, size: int) -> bytes:
    """Random bytes in the notations that consoles carry, and letters of base64's, base32's and ASCII's alphabets."""
    text = bytearray()
    while len(text) < size:
        data = rng.randbytes(rng.randrange(8, 200))
        kind = rng.randrange(7)
        if kind == 0:
            text += data.hex().encode()
        elif kind == 1:
            text += data.hex(" ", rng.choice((1, 2, 4))).encode()
        elif kind == 2:
            text += ", ".join(f"0x{byte:02x}" for byte in data).encode()
        elif kind == 3:
            text += " ".join(map(str, data)).encode()
        elif kind == 4:
            text += base64.b64encode(data)
        elif kind == 5:
            text += base64.b32encode(data)
        else:
            text += bytes(0x20 + byte % 95 for byte in data)
        text += b"\n"
    return bytes(text[:size])


def real(paths: list[Path], start: int) -> Iterator[bytes]:
    """The files of these folders, in pieces, without end; of each at most the first 10 MB."""
    files = sorted(
        file
        for path in paths
        for file in (path.rglob("*") if path.is_dir() else [path])
        if file.is_file() and not file.is_symlink() and file.stat().st_size
    )
    if not any(file.suffix not in {".gz", ".xz", ".bz2", ".zip"} for file in files):
        sys.exit("--real: no text there")
    piece, number = bytearray(), start * 9973
    while True:
        with files[number % len(files)].open("rb") as stream:
            content = stream.read(PIECE)
        number += 1
        if b"\0" in content[:1024] or content.startswith(PACKED):
            continue
        piece += content + b"\n"
        while len(piece) >= PIECE:
            yield bytes(piece[:PIECE])
            del piece[:PIECE]


def data_of(kind: str, rng: random.Random, options: argparse.Namespace) -> Iterator[bytes]:
    """Pieces without end."""
    if kind == "real":
        yield from real(options.real, options.slice)
    while True:
        if kind == "console":
            yield log(rng, PIECE)
        elif kind == "notations":
            yield notations(rng, PIECE)
        else:
            yield rng.randbytes(PIECE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100, help="of each kind")
    parser.add_argument(
        "--only", nargs="+", choices=KINDS, help="these kinds (default: all; real where --real is given)"
    )
    parser.add_argument(
        "--real", nargs="+", type=Path, default=[], metavar="PATH", help="files and folders of real text"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slice", type=int, default=0, help="which part of a longer run")
    parser.add_argument("--spend", type=float, default=float("inf"), metavar="SECONDS", help="of CPU time, at most")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    failed, total, false_hits = False, 0, 0
    for kind in options.only or KINDS:
        if kind == "real" and not options.real:
            continue
        rng = random.Random(f"{options.seed} {options.slice} {kind}")
        searched, spent, found, expected = 0, 0.0, 0, 0.0
        for data in data_of(kind, rng, options):
            if searched >= options.megabytes * 1_000_000 or time.process_time() > options.spend:
                break
            if searched % RENEWED == 0:
                scanner = Scanner(secrets(rng))
                if searched:  # a run that is cut short has said how far it came
                    print(f"  {kind}: {searched / 1e6:,.0f} MB, {spent:.0f} s CPU, {found} false hits", flush=True)
            began = time.process_time()
            leaks = scanner.scan(data, text=kind != "memory")
            spent += time.process_time() - began
            searched += len(data)
            found += len(leaks)
            expected += scanner.chance(len(data))
            for leak in leaks:
                print(f"  found: {leak}")
        if not searched:
            print(f"{kind}: nothing, the time was spent")
            continue
        rate = spent * 100e6 / searched
        print(
            f"{kind}: {searched / 1e6:,.0f} MB, {rate:.1f} s CPU for 100 MB ({searched / 1e6 / spent:.1f} MB/s), "
            f"{found} false hits (at most {expected:.1e} expected)",
            flush=True,
        )
        total, false_hits = total + searched, false_hits + found
        failed |= rate > BAR or found > 0
    missed = missed_canaries(log(random.Random(options.seed), 1_000_000), seed=options.seed)
    print(f"canaries missed: {', '.join(missed) or 'none'}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"seed {options.seed}, slice {options.slice}: {total / 1e9:.2f} GB, {false_hits} false hits, "
        f"{time.process_time():.0f} s CPU, at most {memory:.0f} MB of memory"
    )
    return 1 if options.check and (failed or missed) else 0


if __name__ == "__main__":
    sys.exit(main())
