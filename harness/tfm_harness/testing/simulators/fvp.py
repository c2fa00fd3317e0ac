"""A simulator with the Corstone-300 FVP's name, command line and terminals, which boots the images on QEMU.

It behaves as the FVP is documented to: unknown parameters are refused, terminals announce
their TCP ports (a busy port is skipped), speak telnet unless told to be raw, a terminal that nobody reads
stalls its UART, ``--simlimit`` and ``--timelimit`` end the simulation, ``--stat`` prints statistics; with ``-I``
and without ``-R`` it waits for a debugger.
Its simulated time is host time, and it has no Ethos-U and no VSI.

Run as ``python -m tfm_harness.testing.simulators.fvp``, or through `install`, which writes a launcher
of the FVP's name into a folder.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import selectors
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from tfm_harness.boards.fvp.model import TERMINALS
from tfm_harness.console.telnet import TelnetFilter, escape

__all__ = ["NAME", "install", "main"]

NAME = "FVP_Corstone_SSE-300_Ethos-U55"
BANNER = "Fast Models [11.22.39 (simulator on QEMU)]\n"
# FVPs announce terminals in this order, as published logs show; it is not the order of the numbers.
_ANNOUNCE_ORDER = (0, 2, 5, 1)
_TELNET_HELLO = bytes((255, 251, 1, 255, 251, 3))  # will echo, will suppress go-ahead
_IDLE = 0.02  # seconds without traffic after which QEMU gets a monitor command
_STALL = 64 * 1024  # bytes kept for a terminal that nobody reads, before its UART stalls


def _defaults() -> dict[str, str]:
    parameters = {
        "cpu0.semihosting-enable": "1",
        "cpu0.INITSVTOR": "0x10000000",
        "cpu0.CFGITCMSZ": "11",
        "cpu0.CFGDTCMSZ": "11",
        "ethosu.num_macs": "128",
        "ethosu.extra_args": "",
        "core_clk.mul": "25000000",
        "mps3_board.platform_type": "0",
        "mps3_board.DISABLE_GATING": "1",
        "mps3_board.v_path": "",
        "mps3_board.visualisation.disable-visualisation": "0",
    }
    for number in TERMINALS:
        terminal, uart = f"mps3_board.telnetterminal{number}", f"mps3_board.uart{number}"
        parameters |= {
            f"{terminal}.start_telnet": "1",
            f"{terminal}.quiet": "0",
            f"{terminal}.mode": "telnet",
            f"{terminal}.start_port": "5000",
            f"{uart}.out_file": "",
            f"{uart}.unbuffered_output": "0",
            f"{uart}.shutdown_on_eot": "0",
        }
    return parameters


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=NAME, allow_abbrev=False)
    add = parser.add_argument
    add("-a", "--application", action="append", default=[])
    add("--data", action="append", default=[])
    add("-C", "--parameter", action="append", default=[])
    add("--simlimit", type=float, default=None)
    add("--timelimit", type=float, default=None)
    add("--cpulimit", type=float, default=None)
    add("-Q", "--quantum", type=int, default=None)
    add("-q", "--quiet", action="store_true")
    add("--stat", action="store_true")
    add("-I", "--iris-server", action="store_true")
    add("--iris-port", type=int, default=7100)
    add("-R", "--run", action="store_true")
    add("-p", "--print-port-number", action="store_true")
    add("-l", "--list-params", action="store_true")
    add("--version", action="store_true")
    return parser


def _parameters(words: list[str]) -> dict[str, str]:
    parameters = _defaults()
    for word in words:
        name, equals, value = word.partition("=")
        if name not in parameters or not equals:
            sys.exit(f"Error: Unknown parameter {name}\nUse --list-params to see the parameters of this model.")
        parameters[name] = value
    return parameters


def _strip_core(word: str) -> str:
    """``cpu0*=FILE`` or ``cpu0=FILE`` or ``FILE``."""
    return re.sub(r"^cpu\d\*?=", "", word)


def _image(path: str) -> str:
    if not os.access(path, os.R_OK):
        sys.exit(f"ERROR: could not open file {path}")
    return path


def listen(port: int) -> socket.socket:
    """A listener at the first free port from `port` on, as the FVP does it."""
    while True:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(1)
        except OSError:
            listener.close()
            port += 1
        else:
            return listener


class _Terminal:
    """One UART: QEMU's end, the listening port and at most one client."""

    def __init__(self, number: int, parameters: dict[str, str]) -> None:
        self.number = number
        self.quiet = parameters[f"mps3_board.telnetterminal{number}.quiet"] == "1"
        self.shutdown_on_eot = parameters[f"mps3_board.uart{number}.shutdown_on_eot"] == "1"
        self.telnet = TelnetFilter() if parameters[f"mps3_board.telnetterminal{number}.mode"] != "raw" else None
        self.to_stdout = parameters[f"mps3_board.uart{number}.out_file"] == "-"
        self.uart, self.qemu_end = socket.socketpair()
        self.listener = listen(int(parameters[f"mps3_board.telnetterminal{number}.start_port"]))
        self.client: socket.socket | None = None
        self.output = b""

    def announce(self) -> str:
        port = self.listener.getsockname()[1]
        return f"telnetterminal{self.number}: Listening for serial connection on port {port}\n"

    def close(self) -> None:
        for end in (self.client, self.listener, self.uart, self.qemu_end):
            if end is not None:
                end.close()


class _Model:
    """The running simulation: QEMU and its terminals in one event loop."""

    def __init__(self, qemu: list[str], terminals: list[_Terminal], iris: socket.socket | None) -> None:
        self.terminals = terminals
        self.iris = iris
        self.selector = selectors.DefaultSelector()
        self.stop: str | None = None
        ours, theirs = socket.socketpair()
        monitor = ["-chardev", f"socket,id=qmp,fd={theirs.fileno()}", "-mon", "chardev=qmp,mode=control"]
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *qemu, *monitor],  # noqa: S607 - from PATH, as the user has it
            pass_fds=[theirs.fileno(), *(t.qemu_end.fileno() for t in terminals)],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self.monitor = _Monitor(ours)
        if self.iris is not None:
            self.selector.register(self.iris, selectors.EVENT_READ, ("iris", None))
        for terminal in terminals:
            terminal.qemu_end.close()
            self.selector.register(terminal.listener, selectors.EVENT_READ, ("accept", terminal))
            self.selector.register(terminal.uart, selectors.EVENT_READ, ("uart", terminal))

    def run(self, deadline: float | None) -> int:
        """Move bytes until something ends the simulation; the exit code."""
        while self.stop is None:
            ready = self.selector.select(_IDLE)
            for key, _ in ready:
                what, terminal = key.data
                getattr(self, f"_{what}")(terminal)
            if not ready:
                # QEMU 7.2 may not read a UART's input again, and holds its first output, until a monitor command.
                self.monitor.give("query-status")
            if deadline is not None and time.monotonic() >= deadline:
                self.stop = "limit"
            if self.process.poll() is not None:
                sys.stdout.write(f"Error: the simulation ended: emulator exit code {self.process.returncode}\n")
                return 1
        return 0

    def _accept(self, terminal: _Terminal) -> None:
        client, _ = terminal.listener.accept()
        if terminal.client is not None:
            client.close()
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setblocking(False)
        terminal.client = client
        if terminal.telnet is not None:
            terminal.output = _TELNET_HELLO + terminal.output
        self.selector.register(client, selectors.EVENT_READ, ("client", terminal))
        self._flush(terminal)

    def _iris(self, _terminal: None) -> None:
        """Serve one request for each connection: ``reset`` or ``reset partial``."""
        if self.iris is None:
            return
        client, _ = self.iris.accept()
        with client:
            client.settimeout(5)
            with contextlib.suppress(OSError):
                if client.recv(64).startswith(b"reset"):
                    self.monitor.give("stop", "system_reset", "cont")
                    client.sendall(b"ok\n")

    def _uart(self, terminal: _Terminal) -> None:
        data = terminal.uart.recv(65536)
        if not data:
            self.selector.unregister(terminal.uart)
            return
        if terminal.to_stdout:
            sys.stdout.write(data.decode("latin-1"))
        terminal.output += data if terminal.telnet is None else escape(data)
        self._flush(terminal)
        if terminal.shutdown_on_eot and b"\x04" in data:
            self.stop = "eot"

    def _flush(self, terminal: _Terminal) -> None:
        if terminal.client is not None and terminal.output:
            try:
                terminal.output = terminal.output[terminal.client.send(terminal.output) :]
            except BlockingIOError:
                pass
            except OSError:
                self._hang_up(terminal)
                terminal.output = b""
        stalled = len(terminal.output) >= _STALL
        registered = terminal.uart in self.selector.get_map()
        if stalled and registered:
            self.selector.unregister(terminal.uart)
        elif not stalled and not registered:
            self.selector.register(terminal.uart, selectors.EVENT_READ, ("uart", terminal))
        if terminal.client is not None:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if terminal.output else 0)
            self.selector.modify(terminal.client, wanted, ("client", terminal))

    def _client(self, terminal: _Terminal) -> None:
        if terminal.client is None:
            return
        try:
            data = terminal.client.recv(65536)
        except BlockingIOError:  # room to write, nothing to read
            self._flush(terminal)
            return
        except OSError:
            data = b""
        if not data:
            self._hang_up(terminal)
            return
        if terminal.telnet is not None:
            data = terminal.telnet.feed(data)  # its replies need no answer: it accepts the offer
        terminal.uart.sendall(data)
        self._flush(terminal)

    def _hang_up(self, terminal: _Terminal) -> None:
        if terminal.client is not None:
            self.selector.unregister(terminal.client)
            terminal.client.close()
            terminal.client = None

    def close(self) -> None:
        """End QEMU and every socket."""
        self.process.kill()
        self.process.wait()
        for terminal in self.terminals:
            terminal.close()
        self.monitor.close()
        if self.iris is not None:
            self.iris.close()
        self.selector.close()


def _qemu(options: argparse.Namespace, terminals: list[_Terminal]) -> list[str]:
    waiting = ["-S"] if options.iris_server and not options.run else []
    words = [
        "qemu-system-arm",
        "-M",
        "mps3-an547",
        "-nodefaults",
        "-nic",
        "none",
        "-display",
        "none",
        "-monitor",
        "none",
        *waiting,
    ]
    by_number = {terminal.number: terminal for terminal in terminals}
    for number in range(max(TERMINALS) + 1):
        if terminal := by_number.get(number):
            words += ["-chardev", f"socket,id=u{number},fd={terminal.qemu_end.fileno()}"]
        else:
            words += ["-chardev", f"null,id=u{number}"]
        words += ["-serial", f"chardev:u{number}"]
    applications = [_image(_strip_core(word)) for word in options.application]
    if applications:
        words += ["-kernel", applications[0]]
    for application in applications[1:]:
        words += ["-device", f"loader,file={application}"]
    for word in options.data:
        path, at, address = _strip_core(word).rpartition("@")
        if not at:
            sys.exit(f"Error: --data needs FILE@ADDRESS, not {word}")
        words += ["-device", f"loader,file={_image(path)},addr={int(address, 0):#x},force-raw=on"]
    return words


class _Monitor:
    """QEMU's monitor over an inherited socket pair, so that nothing is on disk."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._stream = self._socket.makefile("rwb")
        self._stream.readline()
        self.give("qmp_capabilities")

    def give(self, *commands: str) -> None:
        """Send commands and skip their answers. Other code notices if the emulator has gone."""
        with contextlib.suppress(OSError):
            for command in commands:
                self._stream.write(b'{"execute":"%s"}\n' % command.encode())
                self._stream.flush()
                while b'"event"' in self._stream.readline():
                    pass

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self._stream.close()
        self._socket.close()


def main(arguments: list[str] | None = None) -> int:
    """The simulator's entry point; returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.version or not options.quiet:
        sys.stdout.write(BANNER)
    if options.version:
        return 0
    if options.list_params:
        for name, value in sorted(_defaults().items()):
            sys.stdout.write(f'{name}="{value}"    # (string, init-time)\n')
        return 0
    parameters = _parameters(options.parameter)
    limits = [limit for limit in (options.simlimit, options.timelimit) if limit is not None]
    terminals = [_Terminal(number, parameters) for number in TERMINALS]
    words = _qemu(options, terminals)
    iris = listen(options.iris_port) if options.iris_server else None
    lines = [t.announce() for n in _ANNOUNCE_ORDER for t in terminals if t.number == n and not t.quiet]
    if iris is not None and options.print_port_number:
        lines.append(f"Iris server started listening to port {iris.getsockname()[1]}\n")
    for line in lines:  # a reader may see half a line, as it does with this write
        for part in (line[:-3], line[-3:]):
            sys.stdout.write(part)
            sys.stdout.flush()
    began = time.monotonic()
    model = _Model(words, terminals, iris)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        model.stop = "user"

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        code = model.run(began + min(limits) if limits else None)
    finally:
        model.close()
    if code == 0:
        sys.stdout.write("\nInfo: /OSCI/SystemC: Simulation stopped by user.\n")
    if options.stat:
        seconds = time.monotonic() - began
        sys.stdout.write(f"\n--- {NAME} statistics: ---\nSimulated time : {seconds:f}s\nUser time : {seconds:f}s\n")
    return code


def install(folder: Path) -> Path:
    """Write an executable of the FVP's name into `folder`; returns its path."""
    path = folder / NAME
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tfm_harness.testing.simulators.fvp "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP)
    return path


if __name__ == "__main__":
    sys.exit(main())
