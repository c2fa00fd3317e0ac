"""A console's files on disk: every byte received, and beside it the bytes sent and the times."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Final

from tfm_harness.errors import InfrastructureError

__all__ = ["Transcript"]

_INDEX_EVERY: Final = 0.1
"""Seconds between two notes of the number of bytes received so far."""


class Transcript:
    """Two files: ``NAME.log`` (received bytes, nothing else) and ``NAME.log.events`` (JSON lines).

    Received bytes are written without buffering, so that a killed harness leaves all bytes that it had received. Events
    are written with the next byte that comes 0.1 s later, or when the console becomes idle.

    Event lines: ``{"t": s, "at": offset}`` gives the time by which so many bytes had come; ``"sent": hex`` adds bytes
    that were sent, ``"event": words`` adds an event. ``t`` counts seconds from the transcript's start.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events_path = path.with_name(path.name + ".events")
        self._fd = -1
        self._events = -1
        self._start = time.monotonic()
        self._indexed = -1.0
        self._pending: list[tuple[float, int, bytes]] = []
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, flags, 0o644)
            self._events = os.open(self.events_path, flags | os.O_APPEND, 0o644)
        except OSError as error:
            self.close()
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> InfrastructureError:
        return InfrastructureError(
            f"cannot write the transcript: {error.strerror}",
            kind="transcript-write",
            expected="every byte of the console kept on disk",
            where=str(self.path),
            hint="free some space, or keep runs elsewhere",
        )

    def _write(self, fd: int, data: memoryview) -> None:
        try:
            while (count := os.write(fd, data)) < len(data):
                data = data[count:]
        except OSError as error:
            raise self._failed(error) from error

    def received(self, data: memoryview, end: int) -> None:
        """Keep `data`; `end` is the stream's length with it. Raises `InfrastructureError` kind ``transcript-write``."""
        self._write(self._fd, data)
        now = time.monotonic()
        if now - self._indexed >= _INDEX_EVERY:
            self._indexed = now
            self.flush()
            self._note(f'{{"t": {now - self._start:.6f}, "at": {end}}}\n')

    def sent(self, data: bytes, at: int) -> None:
        """Note bytes that were sent when `at` bytes had been received."""
        self._pending.append((time.monotonic() - self._start, at, data))

    def flush(self) -> None:
        """Write the notes that are still in memory. Raises `InfrastructureError` kind ``transcript-write``."""
        if self._pending:
            notes, self._pending = self._pending, []
            self._note("".join(f'{{"t": {t:.6f}, "at": {at}, "sent": "{data.hex()}"}}\n' for t, at, data in notes))

    def event(self, words: str, at: int) -> None:
        """Note an event that happened when `at` bytes had been received."""
        self.flush()
        line = {"t": round(time.monotonic() - self._start, 6), "at": at, "event": words}
        self._note(json.dumps(line) + "\n")

    def _note(self, line: str) -> None:
        self._write(self._events, memoryview(line.encode()))

    def read(self, start: int, size: int) -> bytes:
        """Bytes `start` to `start + size` of the received stream, from disk, also after `close`."""
        if self._fd >= 0:
            return os.pread(self._fd, size, start)
        with self.path.open("rb") as stream:
            stream.seek(start)
            return stream.read(size)

    def close(self) -> None:
        """Close both files. Safe to call twice."""
        if self._events >= 0:
            with contextlib.suppress(InfrastructureError):
                self.flush()
        for fd in (self._fd, self._events):
            if fd >= 0:
                os.close(fd)
        self._fd = self._events = -1
