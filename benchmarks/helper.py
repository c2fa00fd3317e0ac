"""A process of a benchmark's own that is told lines, and says lines of JSON."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any, cast

LONGEST = 120.0


class Helper:
    """A process of this benchmark: lines of JSON go to and fro.

    Args:
        words: its module and arguments.
        python: the interpreter that runs it.
    """

    def __init__(self, *words: str, python: str | Path = sys.executable) -> None:
        command = [str(python), "-m", *words]
        root = Path(__file__).resolve().parents[1]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)

    def tell(self, line: str) -> None:
        """Send a line."""
        to = cast("IO[str]", self._process.stdin)
        to.write(line + "\n")
        to.flush()

    def hear(self) -> Any:  # noqa: ANN401 - JSON
        """The next line it says.

        Raises:
            SystemExit: it has ended, or says nothing for a long time.
        """
        limit = threading.Timer(LONGEST, self._process.kill)
        limit.start()
        try:
            line = cast("IO[str]", self._process.stdout).readline()
        finally:
            limit.cancel()
        if not line:
            raise SystemExit(
                f"a process of the benchmark ended, or said nothing for {LONGEST:g} s: {self._process.wait()}"
            )
        return json.loads(line)

    def end(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            cast("IO[str]", self._process.stdin).close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        cast("IO[str]", self._process.stdout).close()
