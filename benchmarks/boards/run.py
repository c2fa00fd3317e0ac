"""The QEMU board against a bare loop over the same emulator: ``python -m benchmarks.boards.run``.

Medians of five. The firmware is the board tests' own (tests/boards/firmware). Ends with status 1 when a limit is
missed.
"""

from __future__ import annotations

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tfm_harness.boards.base import ResetKind, RunContext  # noqa: E402 - found in the checkout
from tfm_harness.boards.placement import choose_cpu  # noqa: E402
from tfm_harness.boards.qemu.board import QemuBoard  # noqa: E402
from tfm_harness.config.loading import load_build, load_target  # noqa: E402
from tfm_harness.config.qemu import QemuTarget  # noqa: E402
from tfm_harness.console.base import Mark  # noqa: E402
from tfm_harness.console.stream import StreamConsole  # noqa: E402
from tfm_harness.console.transport import SocketTransport  # noqa: E402
from tfm_harness.errors import HarnessError  # noqa: E402

from benchmarks.results import Results, rounds_within  # noqa: E402

LIMIT = 20.0  # seconds for any one answer
FIRMWARE = ROOT / "tests" / "boards" / "firmware"
TURNS = 500
TEMPERATURE = "/machine/peripheral/sensor-temp"


def firmware(folder: Path) -> Path:
    elf = folder / "probe.elf"
    flags = ["-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=soft", "-Os", "-ffreestanding", "-nostdlib"]
    script = f"-Wl,-T,{FIRMWARE / 'probe.ld'}"
    words = ["arm-none-eabi-gcc", *flags, script, "-Wl,--no-warn-rwx-segments"]
    subprocess.run([*words, str(FIRMWARE / "probe.c"), "-o", str(elf)], check=True)
    return elf


class Bare:
    """QEMU with the same UART and monitor, driven by the least code that can."""

    def __init__(self, elf: Path) -> None:
        self.uart, uart = socket.socketpair()
        self.monitor, monitor = socket.socketpair()
        words = ["qemu-system-arm", "-M", "mps3-an547", "-nodefaults", "-nic", "none", "-display", "none"]
        words += ["-chardev", f"socket,id=u,fd={uart.fileno()}", "-serial", "chardev:u"]
        words += ["-chardev", f"socket,id=q,fd={monitor.fileno()}", "-mon", "chardev=q,mode=control"]
        words += ["-device", "tmp105,id=sensor-temp,address=0x48", "-kernel", str(elf)]
        cpu = choose_cpu("bare")
        if cpu is not None:  # as the board's: threads that wake each other on two CPUs take twice as long
            words = ["taskset", "-c", str(cpu), *words]
        fds = [uart.fileno(), monitor.fileno()]
        self.process = subprocess.Popen(words, pass_fds=fds, stderr=subprocess.DEVNULL)
        uart.close()
        monitor.close()
        self.uart.settimeout(LIMIT)
        self.monitor.settimeout(LIMIT)
        self.answers: IO[bytes] = self.monitor.makefile("rb")

    def line(self) -> bytes:
        data = b""
        while not data.endswith(b"\n"):
            more = self.uart.recv(4096)
            if not more:
                raise TimeoutError("the emulator has ended")
            data += more
        return data

    def wake(self) -> None:
        """Let QEMU look at its UART until it has taken in what was written: after a boot it does not by itself."""
        end = time.monotonic() + LIMIT
        self.uart.settimeout(0.05)
        try:
            while time.monotonic() < end:
                self.ask("query-status")
                try:
                    self.line()
                except TimeoutError:
                    continue
                return
        finally:
            self.uart.settimeout(LIMIT)
        raise TimeoutError(f"no answer on the UART within {LIMIT:g} s after the boot")

    def ask(self, command: str, **arguments: object) -> None:
        message: dict[str, Any] = {"execute": command}
        if arguments:
            message["arguments"] = arguments
        self.monitor.sendall(json.dumps(message).encode() + b"\n")
        while b'"return"' not in self.answers.readline():
            pass

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.answers.close()
        self.uart.close()
        self.monitor.close()


def bare_figures(elf: Path) -> dict[str, float]:
    start = time.perf_counter()
    bare = Bare(elf)
    try:
        bare.line()
        boot = time.perf_counter() - start
        bare.ask("qmp_capabilities")
        bare.uart.sendall(b"echo warm up\n")
        bare.wake()
        start = time.perf_counter()
        for turn in range(TURNS):
            bare.ask("qom-set", path=TEMPERATURE, property="temperature", value=20_000 + turn)
        sensor = (time.perf_counter() - start) / TURNS
        start = time.perf_counter()
        bare.ask("system_reset")
        bare.line()
        return {"boot": boot, "sensor": sensor, "reset": time.perf_counter() - start}
    finally:
        bare.close()


def echo_figures(elf: Path, folder: Path) -> tuple[float, float]:
    """A bare loop and a console in turns on one and the same UART, so that both see the same load."""
    bare = Bare(elf)
    console = None
    try:
        bare.line()
        bare.ask("qmp_capabilities")
        bare.uart.sendall(b"echo warm up\n")
        bare.wake()
        loop: list[float] = []
        ours: list[float] = []
        for block in range(10):
            bare.uart.settimeout(LIMIT)
            for turn in range(TURNS // 10):
                start = time.perf_counter()
                bare.uart.sendall(b"echo %04d\n" % turn)
                bare.line()
                loop.append(time.perf_counter() - start)
            console = StreamConsole("bench", SocketTransport(bare.uart.dup()), folder / f"echo-{block}.log")
            for turn in range(TURNS // 10):
                start = time.perf_counter()
                mark = console.mark()
                console.write(b"echo %04d\n" % turn)
                console.wait_for(b"%04d\n" % turn, timeout=10, since=mark)
                ours.append(time.perf_counter() - start)
            console.close()
        return statistics.median(loop), statistics.median(ours)
    finally:
        if console is not None:
            console.close()
        bare.close()


@contextmanager
def board(elf: Path, folder: Path) -> Iterator[tuple[QemuBoard, float]]:
    build = folder / "probe.yaml"
    build.write_text(f"images: [{{file: {elf}, world: secure}}]\n", encoding="utf-8")
    target = load_target("qemu-an547")
    assert isinstance(target, QemuTarget)
    place = Path(tempfile.mkdtemp(dir=folder))
    with QemuBoard(target, RunContext(place / "run", place / "state")) as live:
        start = time.perf_counter()
        live.flash(load_build(build))
        live.console("ns").wait_for(re.compile(rb"ready \w+\n"), timeout=10, since=Mark(0))
        yield live, time.perf_counter() - start


def harness_figures(elf: Path, folder: Path) -> dict[str, float]:
    with board(elf, folder) as (live, boot):
        console = live.console("ns")
        start = time.perf_counter()
        for turn in range(TURNS):
            live.set_properties({(TEMPERATURE, "temperature"): 20_000 + turn})
        sensor = (time.perf_counter() - start) / TURNS
        mark = console.mark()
        start = time.perf_counter()
        live.reset(ResetKind.WARM)
        console.wait_for(b"\n", timeout=10, since=mark)
        return {"boot": boot, "sensor": sensor, "reset": time.perf_counter() - start}


def main() -> int:
    limits: dict[str, float | None] = {"boot": 2.0, "echo": 1.3, "sensor": None, "reset": None}
    words = {
        "boot": "start to the first line",
        "echo": "a line there and back",
        "sensor": "setting a sensor value",
        "reset": "warm reset to the first line (sensors set again before the CPU runs)",
    }
    results = Results("boards")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        elf = firmware(folder)

        def once() -> tuple[dict[str, float], dict[str, float]]:
            bare, ours = bare_figures(elf), harness_figures(elf, folder)
            bare["echo"], ours["echo"] = echo_figures(elf, folder)
            return bare, ours

        runs = rounds_within(results, "bare loop and board", 5, once, (HarnessError, OSError))
    print(f"{os.cpu_count()} cores; milliseconds: bare loop, board")
    for key, most in limits.items():
        bare = statistics.median(run[0][key] for run in runs)
        ours = statistics.median(run[1][key] for run in runs)
        print(f"  {words[key]}: {bare * 1e3:.2f} {ours * 1e3:.2f}")
        results.add(words[key], ours / bare, to="a bare loop", at_most=most)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
