"""One measurement in one process: ``clients.py CLIENT TASK PORT N FOLDER``; prints seconds and peak memory as JSON.

Tasks: ``lines`` (N round trips of a line), ``marker`` (a marker behind N bytes of log, all kept in a file).
Clients import their library inside, so that each process holds only its own.
"""

from __future__ import annotations

import importlib
import json
import re
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MARKER = b"MARKER-7f3a reached\n"


def connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def line(n: int) -> bytes:
    return b"ping %06d\n" % n


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def raw(task: str, port: int, count: int, folder: Path) -> float:
    """The limit: a minimal loop over the socket."""
    sock = connect(port)

    def lines() -> None:
        for n in range(count):
            sock.sendall(line(n))
            data = b""
            while not data.endswith(b"\n"):
                data += sock.recv(4096)

    def marker() -> None:
        sock.sendall(b"flood %d\n" % count)
        overlap = b""
        with (folder / "raw.log").open("wb") as log:
            while True:
                data = sock.recv(65536)
                log.write(data)
                if MARKER in overlap + data:
                    return
                overlap = data[-len(MARKER) :]

    return timed(lines if task == "lines" else marker)


def harness(task: str, port: int, count: int, folder: Path) -> float:
    """This project's console."""
    from tfm_harness.console.stream import StreamConsole
    from tfm_harness.console.transport import SocketTransport

    console = StreamConsole("bench", SocketTransport(connect(port)), folder / "harness.log")

    def lines() -> None:
        for n in range(count):
            mark = console.mark()
            console.write(line(n))
            console.wait_for(line(n), timeout=10, since=mark)

    def marker() -> None:
        mark = console.mark()
        console.write(b"flood %d\n" % count)
        console.wait_for(MARKER, timeout=600, since=mark)

    seconds = timed(lines if task == "lines" else marker)
    if task == "marker" and console.transcript.stat().st_size != count + len(MARKER):
        sys.exit("the transcript is not whole")
    console.close()
    return seconds


def pexpect_default(task: str, port: int, count: int, folder: Path) -> float:
    """pexpect as its documentation shows it."""
    fdpexpect: Any = importlib.import_module("pexpect.fdpexpect")

    sock = connect(port)
    with (folder / "pexpect.log").open("wb") as log:
        child: Any = fdpexpect.fdspawn(sock.fileno(), logfile=log, timeout=600)
        child.delaybeforesend = None

        def lines() -> None:
            for n in range(count):
                child.send(line(n))
                child.expect_exact(line(n))

        def marker() -> None:
            child.send(b"flood %d\n" % count)
            child.expect_exact(MARKER)

        return timed(lines if task == "lines" else marker)


def pyserial(task: str, port: int, count: int, folder: Path) -> float:
    """pyserial's socket:// URL (lines only: it keeps no log)."""
    import serial

    with serial.serial_for_url(f"socket://127.0.0.1:{port}", timeout=10) as device:

        def lines() -> None:
            for n in range(count):
                device.write(line(n))
                device.read_until(b"\n")

        if task != "lines":
            sys.exit(f"no {task} for pyserial in {folder}")
        return timed(lines)


def labgrid(task: str, port: int, count: int, folder: Path) -> float:
    """labgrid's console driver on a raw TCP port."""
    library: Any = importlib.import_module("labgrid")
    drivers: Any = importlib.import_module("labgrid.driver")
    resources: Any = importlib.import_module("labgrid.resource")

    target = library.Target("bench")
    resources.NetworkSerialPort(target, name=None, host="127.0.0.1", port=port, speed=115200, protocol="raw")
    driver: Any = drivers.SerialDriver(target, name=None)
    target.activate(driver)

    def lines() -> None:
        for n in range(count):
            driver.sendline(line(n).decode().strip())
            driver.expect(re.escape(line(n).decode().strip()))

    def marker() -> None:
        driver.sendline(f"flood {count}")
        driver.expect("MARKER-7f3a reached", timeout=600)

    _ = folder
    return timed(lines if task == "lines" else marker)


CLIENTS = {
    "raw": raw,
    "harness": harness,
    "pexpect": pexpect_default,
    "pyserial": pyserial,
    "labgrid": labgrid,
}


def peak_kb() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s*(\d+)", status)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    client, task, port, count, folder = sys.argv[1:6]
    seconds = CLIENTS[client](task, int(port), int(count), Path(folder))
    print(json.dumps({"seconds": seconds, "peak_kb": peak_kb()}))
