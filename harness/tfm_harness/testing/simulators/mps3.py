"""A simulated MPS3 board: a folder is its card, ptys are its four serial ports, QEMU is its FPGA.

The MCC behaves as in its documentation and published logs: prompt ``Cmd>``, ``reboot``, ``reset``, ``usb_on``. At a
reboot it reads ``images.txt`` from the card, loads the images named there and prints this. ``reboot.txt`` makes it
reboot, too. The card must follow the MCC's rules (8.3 names, addresses inside its windows); otherwise the simulator
reports an error as the board does.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import shutil
import socket
import subprocess
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tfm_harness.boards.mps3.images import AN547_MAP, ImageEntry, MccWindow, parse_images_txt
from tfm_harness.boards.otp_layout import make_entropy
from tfm_harness.errors import ConfigError

__all__ = ["StandInMps3", "make_card"]

_RESET = 5.0  # seconds, for an emulator that no longer answers

UARTS = 3


def make_card(folder: Path, application_note: str = "AN547") -> Path:
    """A card as Arm ships it, with one image; returns the folder."""
    note = folder / "MB" / "HBI0309C" / application_note
    note.mkdir(parents=True)
    (note / "images.txt").write_text(
        "TITLE: Arm MPS3 FPGA prototyping board Images Configuration File\r\n[IMAGES]\r\nTOTALIMAGES: 1\r\n"
        "IMAGE0ADDRESS: 0x00000000\r\nIMAGE0UPDATE: AUTO\r\nIMAGE0FILE: \\SOFTWARE\\st.bin\r\n"
    )
    (note / "an547_v2.bit").write_bytes(b"fpga")
    (folder / "MB" / "HBI0309C" / "mbb_v141.ebf").write_bytes(b"mcc firmware")
    (folder / "config.txt").write_text("TITLE: Versatile Express Configuration File\r\nAUTORUN: TRUE\r\n")
    (folder / "SOFTWARE").mkdir()
    (folder / "SOFTWARE" / "st.bin").write_bytes(b"self test")
    return folder


def _cpu(entry: ImageEntry, windows: tuple[MccWindow, ...]) -> int | None:
    qspi = "QSPI" in entry.update.value
    for window in windows:
        if window.qspi == qspi and window.mcc <= entry.address < window.mcc + window.size:
            return window.cpu[-1] + entry.address - window.mcc
    return None


class StandInMps3:
    """The board. As a context manager it is powered; `ports` are its ttys: MCC, UART0, UART1, UART2.

    Args:
        card: the folder made by `make_card`.
        links: a folder in which the ports appear under stable names ``if00`` .. ``if03``.
        sensors: whether the I2C sensors are fitted.
        entropy_at: where the board's random numbers appear; new ones are drawn whenever the FPGA starts.
        flash: whether its DDR acts as memory that keeps its content.
    """

    def __init__(
        self,
        card: Path,
        links: Path,
        *,
        sensors: bool = True,
        entropy_at: int | None = None,
        flash: bool = False,
    ) -> None:
        self.card = card
        self.sensors = sensors
        self.entropy_at = entropy_at
        self.flash = flash
        self.log: list[str] = []
        self.powered = False
        self.silent = False  # the MCC neither answers nor looks for reboot.txt
        self._qemu: subprocess.Popen[bytes] | None = None
        self._pairs = [os.openpty() for _ in range(1 + UARTS)]
        self.ports = []
        for number, (_, slave) in enumerate(self._pairs):
            tty.setraw(slave)
            link = links / f"if{number:02d}"
            link.symlink_to(os.ttyname(slave))
            self.ports.append(link)
        self._uarts: list[socket.socket] = []
        self._monitor: socket.socket | None = None
        self._line = b""
        self._wake = os.eventfd(0)
        self._actions: list[Callable[[], None]] = []
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._serve, name="simulator-mps3", daemon=True)
        self._stopping = False

    def __enter__(self) -> Self:
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        for number, (master, _) in enumerate(self._pairs):
            self._selector.register(master, selectors.EVENT_READ, self._from_mcc if number == 0 else number)
        self._thread.start()
        self.set_power(on=True)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        self._stop_fpga()
        for master, slave in self._pairs:
            os.close(master)
            os.close(slave)
        os.close(self._wake)
        self._selector.close()

    def set_power(self, *, on: bool) -> None:
        """Set the power switch; returns when it is set."""
        done = threading.Event()

        def throw() -> None:
            self.powered = on
            if on:
                self._start()
            else:
                self._stop_fpga()
            done.set()

        self._actions.append(throw)
        os.eventfd_write(self._wake, 1)
        done.wait(30)

    # --- the MCC, in its own thread ------------------------------------------------------------

    def _serve(self) -> None:
        while not self._stopping:
            ready = self._selector.select(0.02)
            for key, _ in ready:
                if key.data is None:
                    os.eventfd_read(self._wake)
                elif callable(key.data):
                    key.data()
                else:
                    self._to_uart(key.data)
            while self._actions:
                self._actions.pop(0)()
            if self.powered and not self.silent and (self.card / "reboot.txt").exists():
                (self.card / "reboot.txt").unlink()
                self._start()
            if not ready:
                self._poke("query-status")

    def _say(self, text: str) -> None:
        self.log.append(text)
        os.write(self._pairs[0][0], text.replace("\n", "\r\n").encode())

    def _from_mcc(self) -> None:
        self._line += os.read(self._pairs[0][0], 4096)
        while b"\r" in self._line:
            line, _, self._line = self._line.partition(b"\r")
            if self.powered and not self.silent:
                self._command(line.strip().decode("ascii", "replace"))

    def _command(self, words: str) -> None:
        self._say(f"{words}\n")
        if words == "reboot":
            self._say("Rebooting...\n")
            self._start()
            return
        if words == "reset":
            self._reset_fpga()
        elif words not in {"", "usb_on"}:
            self._say("Unknown command\n")
        self._say("Cmd> ")

    def _reset_fpga(self) -> None:
        """Reset the CPU, and wait for it: the prompt must come after the reset."""
        seen, end = self._poke("stop", "system_reset", "cont"), time.monotonic() + _RESET
        while self._monitor is not None and b'"RESET"' not in seen and time.monotonic() < end:
            if select.select([self._monitor], [], [], 0.1)[0]:
                more = self._monitor.recv(65536)
                if not more:
                    return
                seen += more

    def _start(self) -> None:
        """Power-on or reboot: load what images.txt names."""
        self._stop_fpga()
        images_txt = next(self.card.glob("MB/HBI0309C/AN5*/images.txt"))
        name = "\\" + str(images_txt.relative_to(self.card)).replace("/", "\\")
        self._say(f"\n\nARM V2M-MPS3 Boot loader v1.4.1\nHBI0309 build 2085\n\nReading images file {name}\n")
        try:
            _, entries = parse_images_txt(images_txt.read_text("ascii", "replace"))
        except ConfigError as error:
            self._say(f"ERROR: {error.seen}\nCmd> ")
            return
        loads: list[tuple[Path, int]] = []
        for entry in entries:
            file = self.card / entry.file.strip("\\").replace("\\", "/")
            address = _cpu(entry, AN547_MAP)
            if not file.is_file():
                self._say(f"ERROR: File {entry.file} not found\n")
                continue
            if address is None:
                self._say(f"ERROR: Address 0x{entry.address:08X} invalid\n")
                continue
            self._say(f"Writing File {entry.file} to Address 0x{entry.address:08X}\n")
            loads.append((file, address))
            self._say(f"File {entry.file} written to memory address 0x{entry.address:08X}\nImage loaded from microSD\n")
        self._start_fpga(loads)
        self._say("\nCmd> ")

    # --- the FPGA: QEMU ------------------------------------------------------------------------

    def _start_fpga(self, loads: list[tuple[Path, int]]) -> None:
        pairs = [socket.socketpair() for _ in range(UARTS + 1)]
        machine = "mps3-an547"
        words = ["setpriv", "--pdeathsig", "KILL", "qemu-system-arm", "-nodefaults", "-nic", "none"]
        if self.flash:
            machine += ",memory-backend=ddr"
            file = self.card.parent / "fpga-flash"
            words += ["-object", f"memory-backend-file,id=ddr,size=2G,mem-path={file},share=on"]
        words += ["-M", machine]
        words += ["-display", "none", "-monitor", "none"]
        for number in range(UARTS):
            words += [
                "-chardev",
                f"socket,id=u{number},fd={pairs[number][1].fileno()}",
                "-serial",
                f"chardev:u{number}",
            ]
        words += ["-chardev", f"socket,id=q,fd={pairs[UARTS][1].fileno()}", "-mon", "chardev=q,mode=control"]
        if self.sensors:
            words += ["-device", "lsm303dlhc_mag,address=0x1e", "-device", "tmp105,address=0x48"]
        # The FPGA's memory keeps what was loaded; the card may change while the board runs.
        memory = self.card.parent / "fpga-memory"
        shutil.rmtree(memory, ignore_errors=True)
        memory.mkdir()
        for number, (file, address) in enumerate(loads):
            kept = shutil.copyfile(file, memory / f"{number}.bin")
            words += ["-device", f"loader,file={kept},addr=0x{address:x},force-raw=on"]
        if self.entropy_at is not None:
            (memory / "entropy.bin").write_bytes(make_entropy())
            words += ["-device", f"loader,file={memory}/entropy.bin,addr=0x{self.entropy_at:x},force-raw=on"]
        self._qemu = subprocess.Popen(
            words,
            pass_fds=[theirs.fileno() for _, theirs in pairs],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _, theirs in pairs:
            theirs.close()
        self._uarts = [ours for ours, _ in pairs[:UARTS]]
        self._monitor = pairs[UARTS][0]
        self._poke("qmp_capabilities")
        for number, uart in enumerate(self._uarts):
            self._selector.register(uart, selectors.EVENT_READ, self._forwarder(uart, number + 1))

    def _forwarder(self, uart: socket.socket, port: int) -> Callable[[], None]:
        def forward() -> None:
            data = b""
            with contextlib.suppress(OSError):
                data = uart.recv(65536)
            if not data:
                self._selector.unregister(uart)
                return
            os.write(self._pairs[port][0], data)

        return forward

    def _to_uart(self, port: int) -> None:
        data = os.read(self._pairs[port][0], 4096)
        if self._uarts and self.powered:
            with contextlib.suppress(OSError):
                self._uarts[port - 1].sendall(data)

    def _poke(self, *commands: str) -> bytes:
        """Send monitor commands. Returns the monitor's output so far."""
        said = b""
        if self._monitor is None:
            return said
        with contextlib.suppress(OSError):
            for command in commands:
                self._monitor.sendall(b'{"execute":"%s"}\n' % command.encode())
            self._monitor.setblocking(False)
            while more := self._monitor.recv(65536):
                said += more
        with contextlib.suppress(OSError):
            self._monitor.setblocking(True)
        return said

    def _stop_fpga(self) -> None:
        if self._qemu is not None:
            self._qemu.kill()
            self._qemu.wait()
            self._qemu = None
        for uart in self._uarts:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(uart)
            uart.close()
        self._uarts = []
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None
