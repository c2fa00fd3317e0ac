"""All benchmarks, one after the other: ``python -m benchmarks.run_all [NAME ...] [--results build/benchmarks]``.

Each has a limit of time for its answers and rounds, and says what it left out; one that does not end all the same is
ended. Results lie as JSON in the folder; `benchmarks.compare` sets two folders side by side. Ends with status 1 when
one misses a limit or does not end.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks.results import FOLDER

ROOT: Final = Path(__file__).resolve().parents[1]
MODULES: Final = {
    "plugin-start": ("benchmarks.plugin.bench_startup", 900.0),
    "console": ("benchmarks.console.run", 2400.0),
    "boards": ("benchmarks.boards.run", 600.0),
    "smp": ("benchmarks.smp.bench_round_trip", 600.0),
    "parity": ("benchmarks.parity.throughput", 900.0),
    "verify": ("benchmarks.verify.bench_verify", 600.0),
    "verify-many": ("benchmarks.verify.bench_many", 600.0),
    "scale": ("benchmarks.farm.scale", 600.0),
    "suites": ("benchmarks.plugin.bench_suites", 2400.0),
    "pool": ("benchmarks.boards.pool", 3600.0),
}
"""Module and limit (seconds) of each. The first ones are short."""
MORE: Final = {"verify": ("--peer",)}
"""Further words of some."""
LONG: Final = frozenset({"suites", "pool"})
"""Those of which one round takes minutes."""


def run(words: list[str], limit: float, folder: Path) -> str:
    """Run a benchmark's command; empty, or what went wrong. Nothing that it has started is left."""
    environment = {**os.environ, FOLDER: str(folder)}
    process = subprocess.Popen(words, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        return f"not ended within {limit:g} s"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return "" if code == 0 else f"exit status {code}"


def main(words: list[str] | None = None) -> int:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", help=f"only these of {', '.join(MODULES)}")
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "benchmarks", metavar="DIR")
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="for each, instead of its own")
    parser.add_argument("--short", action="store_true", help=f"one round of {' and '.join(sorted(LONG))}")
    args = parser.parse_args(words)
    unknown = set(args.name) - set(MODULES)
    if unknown:
        parser.error(f"no benchmark is called {min(unknown)!r}; known: {', '.join(MODULES)}")
    problems = []
    for name in args.name or MODULES:
        module, limit = MODULES[name]
        print(f"== {name}", flush=True)
        began = time.monotonic()
        more = [*MORE.get(name, ()), *(["--rounds", "1"] if args.short and name in LONG else [])]
        problem = run([sys.executable, "-m", module, *more], args.limit or limit, args.results.resolve())
        print(f"   {time.monotonic() - began:.0f} s{': ' + problem if problem else ''}", flush=True)
        problems += [f"{name}: {problem}"] if problem else []
    for problem in problems:
        print(f"FAILED {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
