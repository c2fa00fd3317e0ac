"""A whole labgrid installation on loopback: coordinator, exporter, a REST power switch, a QEMU board behind TCP."""

from __future__ import annotations

import fcntl
import http.server
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import venv
from pathlib import Path
from types import TracebackType
from typing import Self

from tfm_harness.boards.otp_layout import make_entropy
from tfm_harness.boards.supervisor import Child, spawn, wait_until
from tfm_harness.testing.simulators.serial_server import SerialServer
from tfm_harness.testing.simulators.uart_waker import UartWaker

VERSION = "26.0.1"


def labgrid_python() -> Path | str:
    """An interpreter with labgrid, made once and kept for later runs; a reason in words when it cannot be made."""
    given = os.environ.get("TFM_HARNESS_LABGRID_PYTHON")
    if given:
        return Path(given)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tfm-harness-tests"
    folder = base / f"labgrid-{VERSION}-py{sys.version_info[0]}.{sys.version_info[1]}"
    base.mkdir(parents=True, exist_ok=True)
    with (base / "labgrid.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        python = folder / "bin" / "python"
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True)
            words = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", f"labgrid=={VERSION}"]
            done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
            if done.returncode:
                return f"labgrid {VERSION} cannot be installed: {done.stderr.strip()[-300:]}"
            (folder / "complete").touch()
        return python


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class QemuBehindTcp:
    """A board that nobody but its power switch controls: QEMU with its UARTs on fixed TCP ports.

    Args:
        folder: its own.
        elf: what it boots while nothing is flashed.

    Attributes:
        flash: its memory, beside random numbers at 0x38001000: a file of lines ``FILE ADDRESS`` (none for an ELF),
            read at each power-on.
        flash_command: a command that writes it, for a target's ``flash``.
    """

    def __init__(self, folder: Path, elf: Path) -> None:
        self.flash = folder / "flash"
        self.flash_command = ["sh", "-c", f'echo "$0 $1" >> {self.flash}', "{image}", "{address}"]
        self.ports = (free_port(), free_port())
        self._folder = folder
        self._elf = elf
        self._child: Child | None = None
        self._waker: UartWaker | None = None
        self._uarts: list[SerialServer] = []

    @property
    def on(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def switch(self, *, on: bool) -> None:
        if on and not self.on:
            monitor = self._folder / "monitor"
            monitor.unlink(missing_ok=True)
            words = ["qemu-system-arm", "-M", "mps3-an547", "-nodefaults", "-nic", "none", "-display", "none"]
            self._uarts = [SerialServer(port) for port in self.ports]
            fds = [uart.uart.fileno() for uart in self._uarts]
            for number, fd in enumerate(fds):
                words += ["-chardev", f"socket,id=u{number},fd={fd}", "-serial", f"chardev:u{number}"]
            words += ["-qmp", f"unix:{monitor},server=on,wait=off", *self._contents()]
            self._child = spawn(words, stderr_path=self._folder / "board.log", pass_fds=fds)
            for uart in self._uarts:
                uart.start()
            assert wait_until(monitor.exists, 20.0), (self._folder / "board.log").read_text()
            self._waker = UartWaker(monitor)
        elif not on and self._child is not None:
            self._child.kill()
            self._child = None
            if self._waker is not None:
                self._waker.stop()
            for uart in self._uarts:
                uart.stop()

    def _contents(self) -> list[str]:
        if not self.flash.exists():
            return ["-kernel", str(self._elf)]
        entropy = self._folder / "entropy"
        entropy.write_bytes(make_entropy())
        words = ["-device", "lsm303dlhc_mag,address=0x1e", "-device", "tmp105,address=0x48"]
        words += ["-device", f"loader,file={entropy},addr=0x38001000,force-raw=on"]
        held: dict[str, str] = {}  # what is written to an address replaces what stood there
        for line in self.flash.read_text().splitlines():
            image, _, address = line.partition(" ")
            held[address] = image
        for address, image in held.items():
            words += ["-device", f"loader,file={image},addr={address},force-raw=on"] if address else ["-kernel", image]
        return words


class Farm:
    """Coordinator, exporter and one board; a context manager that leaves nothing running."""

    def __init__(self, python: Path, folder: Path, board: QemuBehindTcp) -> None:
        self.python = python
        self.folder = folder
        self.board = board
        self.coordinator = f"127.0.0.1:{free_port()}"
        self._children: dict[str, Child] = {}
        self._asker: subprocess.Popen[str] | None = None
        self._power = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(board))
        self._thread = threading.Thread(target=self._power.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        self._thread.start()
        self.board.switch(on=True)
        try:
            self.start_coordinator()
            self.start_exporter()
            self.create_place()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._asker is not None:
            self._asker.communicate()  # its standard input ends, and so does it
        for child in self._children.values():
            child.kill()
        self.board.switch(on=False)
        self._power.shutdown()
        self._power.server_close()
        self._thread.join()

    def _start(self, tool: str, *words: str) -> None:
        program = str(self.python.parent / tool)
        self._children[tool] = spawn(
            [program, *words], stderr_path=self.folder / f"{tool}.log", cwd=self.folder, env=clean_environment()
        )

    def create_place(self) -> None:
        assert self._ask("create") == "made"

    def start_coordinator(self) -> None:
        self._start("labgrid-coordinator", "-l", self.coordinator)
        self._said("labgrid-coordinator", "Coordinator ready")

    def start_exporter(self) -> None:
        url = f"http://127.0.0.1:{self._power.server_address[1]}/power/{{index}}"
        (self.folder / "exporter.yaml").write_text(
            "board0:\n"
            f"  uart-ns: {{cls: NetworkSerialPort, host: 127.0.0.1, port: {self.board.ports[0]}, "
            "protocol: raw, speed: 115200}\n"
            f"  uart-s: {{cls: NetworkSerialPort, host: 127.0.0.1, port: {self.board.ports[1]}, "
            "protocol: raw, speed: 115200}\n"
            f'  power: {{cls: NetworkPowerPort, model: rest, host: "{url}", index: 0}}\n'
        )
        self._start(
            "labgrid-exporter", "-c", self.coordinator, "-n", "farm1", "--hostname", "127.0.0.1", "exporter.yaml"
        )
        self._said("labgrid-coordinator", "set_resource board0 power path")

    def stop(self, tool: str) -> None:
        self._children.pop(tool).kill()

    def _said(self, tool: str, words: str) -> None:
        log = self.folder / f"{tool}.log"
        assert wait_until(lambda: words in log.read_text(), 30.0), log.read_text()

    def client(self, *words: str) -> str:
        done = subprocess.run(
            [str(self.python.parent / "labgrid-client"), *words],
            env={**clean_environment(), "LG_COORDINATOR": self.coordinator},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    def holder(self) -> str:
        """Who holds the place, empty when nobody does."""
        said = self._ask("holder")
        assert said == "free" or said.startswith("held by "), said
        return said.removeprefix("free").removeprefix("held by ")

    def _ask(self, word: str) -> str:
        if self._asker is None:
            self._asker = subprocess.Popen(
                [str(self.python), str(Path(__file__).with_name("asker.py")), self.coordinator],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean_environment(),
            )  # fmt: skip
        assert self._asker.stdin is not None
        assert self._asker.stdout is not None
        self._asker.stdin.write(word + "\n")
        self._asker.stdin.flush()
        return self._asker.stdout.readline().strip()


def clean_environment() -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LG_"))},
        "GRPC_ENABLE_FORK_SUPPORT": "0",
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": tempfile.gettempdir(),
    }


def _handler(board: QemuBehindTcp) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        """labgrid's ``rest`` power model: PUT 0 or 1, GET tells."""

        def do_GET(self) -> None:
            self._answer(b"1" if board.on else b"0")

        def do_PUT(self) -> None:
            board.switch(on=self.rfile.read(int(self.headers["Content-Length"])) == b"1")
            self._answer(b"")

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler
