"""SMP round trips to the reference firmware: the client against a bare loop on the same emulator's UART.

The bare loop writes a prepared frame and reads until the answer's line has come: no sequence, no CRC, no CBOR, no
transcript. At most 1.3 times its time is allowed. On each of several boots both are timed on the same emulator.
"""

from __future__ import annotations

import os
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

from harness.boards.base import RunContext
from harness.boards.registry import make_board
from harness.config.loading import load_build, load_target
from harness.protocol.smp import SmpDriver
from harness.protocol.smp_frame import encode_frame
from harness.protocol.smp_header import Header, Op
from harness.verify import cbor

LIMIT = 1.3
BOOTS = 5
TRIPS = 300


def bare(transport: socket.socket) -> float:
    """Seconds a round trip without anything around it."""
    payload = cbor.encode({"d": "ready?"})
    frame = encode_frame(Header.pack(Op.WRITE, 0, 0, 255, len(payload)) + payload)
    transport.setblocking(True)
    began = time.perf_counter()
    for _ in range(TRIPS):
        transport.sendall(frame)
        data = b""
        while not data.endswith(b"\n"):
            data += transport.recv(4096)
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
        driver = SmpDriver(console)
        driver.wait_ready(timeout=30)
        through = client(driver)
        # The console lets go of the UART, whose socket lives on in the copy.
        copy = socket.socket(fileno=os.dup(console.fileno()))
        console.close()
        with copy:
            alone = bare(copy)
    return through, alone


def main() -> int:
    """Print the ratio; 1 when it is too large."""
    pairs = []
    for _ in range(BOOTS):
        with tempfile.TemporaryDirectory() as folder:
            pairs.append(one_boot(Path(folder)))
    for through, alone in pairs:
        print(f"client {through * 1e3:.3f} ms, bare {alone * 1e3:.3f} ms a round trip")
    ratio = statistics.median(through / alone for through, alone in pairs)
    print(f"ratio {ratio:.2f} (at most {LIMIT})")
    return ratio > LIMIT


if __name__ == "__main__":
    sys.exit(main())
