"""SMP round trips to the reference firmware: the client against a bare loop on the same emulator's UART.

The bare loop writes a prepared frame and reads until the answer's line has come: no sequence, no CRC, no CBOR, no
transcript. At most 1.3 times its time is allowed. On each of several boots both are timed on the same emulator, in
turns, so that whatever else the host does hits both alike.
"""

from __future__ import annotations

import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tfm_harness.boards.base import RunContext
from tfm_harness.boards.registry import make_board
from tfm_harness.config.loading import load_build, load_target
from tfm_harness.console.stream import StreamConsole
from tfm_harness.console.transport import SocketTransport
from tfm_harness.errors import HarnessError
from tfm_harness.protocol.smp.client import SmpDriver
from tfm_harness.protocol.smp.frame import encode_frame
from tfm_harness.protocol.smp.header import Header, Op
from tfm_harness.verify import cbor

from benchmarks.results import Results, rounds_within
from benchmarks.uart import BareUart

LIMIT = 1.3
ANSWER = 20.0  # seconds for one answer
BOOTS = 5
TURNS = 6
TRIPS = 50  # a turn


def bare(uart: BareUart) -> float:
    """Seconds a round trip without anything around it."""
    payload = cbor.encode({"d": "ready?"})
    frame = encode_frame(Header.pack(Op.WRITE, 0, 0, 255, len(payload)) + payload)
    began = time.perf_counter()
    for _ in range(TRIPS):
        uart.send(frame)
        data = b""
        while not data.endswith(b"\n"):
            data += uart.receive(4096)
    return (time.perf_counter() - began) / TRIPS


def client(driver: SmpDriver) -> float:
    """Seconds a round trip through the client."""
    began = time.perf_counter()
    for _ in range(TRIPS):
        driver.echo("ready?")
    return (time.perf_counter() - began) / TRIPS


def one_boot(folder: Path) -> tuple[float, float]:
    """Seconds a round trip through the client and bare, on one boot of the reference firmware."""
    context = RunContext(run_dir=folder, state_dir=folder / "state", fresh_identity=True)
    with make_board(load_target("qemu-an547"), context) as board:
        board.flash(load_build("reference"))
        console = board.console("ns")
        assert isinstance(console, StreamConsole)
        driver = SmpDriver(console)
        driver.wait_ready(timeout=30)
        through = alone = 0.0
        with BareUart(console, ANSWER) as uart:
            for _ in range(TURNS):
                through += client(driver)
                idle, other = socket.socketpair()
                console.replace(SocketTransport(idle), "the bare loop's turn")
                alone += bare(uart)
                console.replace(uart.transport(), "the client's turn")
                other.close()
    return through / TURNS, alone / TURNS


def main() -> int:
    """Print the ratio; 1 when it is too large."""
    results = Results("smp")

    def once() -> tuple[float, float]:
        with tempfile.TemporaryDirectory() as folder:
            return one_boot(Path(folder))

    pairs = rounds_within(results, "boot", BOOTS, once, (HarnessError, OSError))
    for through, alone in pairs:
        print(f"client {through * 1e3:.3f} ms, bare {alone * 1e3:.3f} ms a round trip")
    ratio = statistics.median(through / alone for through, alone in pairs)
    results.add("SMP round trip", ratio, to="a bare loop", at_most=LIMIT)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
