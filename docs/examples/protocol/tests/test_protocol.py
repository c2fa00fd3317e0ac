"""The example protocol keeps what the harness relies on."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from example_protocol import LinesDriver
from tfm_harness import PseudoDriver
from tfm_harness.testing import MemoryConsole, ProtocolConformance

FIRMWARE = Path(__file__).parents[2] / "firmware" / "firmware.py"


def simulated() -> Callable[[bytes], bytes]:
    spec = importlib.util.spec_from_file_location("firmware", FIRMWARE)
    assert spec is not None
    assert spec.loader is not None
    firmware = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(firmware)

    def device(data: bytes) -> bytes:
        lines = [line.decode().split() for line in data.split(b"\n") if line]
        return b"".join(words[0].encode() + b" " + firmware.answer(words) + b"\n" for words in lines)

    return device


class TestLines(ProtocolConformance):
    log_line = b"log: a line\n"

    def make_device(self) -> Callable[[bytes], bytes]:
        return simulated()

    def make_client(self, console: MemoryConsole, *, timeout: float, watch: Callable[[], None]) -> PseudoDriver:
        return LinesDriver(console, timeout=timeout, watch=watch)

    def boot_text(self) -> bytes:
        return b"log: ready\n"
