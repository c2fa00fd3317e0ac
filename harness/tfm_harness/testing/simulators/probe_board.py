"""A board with a debug probe, simulated by QEMU: it is idle until something is flashed into its memory.

Real pyOCD code drives it through `tfm_harness.testing.simulators.pyocd_qemu`; its consoles are behind a serial server.
"""

from __future__ import annotations

import struct
from pathlib import Path
from types import TracebackType
from typing import Self

from tfm_harness.boards.gdb_remote import PC, XPSR, GdbRemote
from tfm_harness.boards.supervisor import Child, spawn, wait_until
from tfm_harness.testing.simulators.pyocd_qemu import ENVIRONMENT
from tfm_harness.testing.simulators.serial_server import SerialServer
from tfm_harness.testing.simulators.uart_waker import UartWaker

__all__ = ["StandInProbeBoard", "entry_point_folder"]

_ITCM = 0x10000000
_IDLE = struct.pack("<II", 0x30001000, 0x10000009) + b"\xfe\xe7"  # branch to itself, in ITCM


def entry_point_folder(folder: Path) -> Path:
    """A folder for PYTHONPATH in which pyOCD finds the probes (entry-point group ``pyocd.probe``)."""
    info = folder / "tfm_harness_simulator_probe-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tfm-harness-simulator-probe\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[pyocd.probe]\ntfm-harness-qemu = tfm_harness.testing.simulators.pyocd_qemu:QemuProbePlugin\n"
        "tfm-harness-adi = tfm_harness.testing.simulators.pyocd_adi:AdiProbePlugin\n"
    )
    return folder


class StandInProbeBoard:
    """An mps3-an547 in QEMU with gdbstub, monitor and two UARTs; a context manager.

    Attributes:
        ports: TCP ports of UART0 and UART1.
    """

    def __init__(self, uid: str, folder: Path) -> None:
        self.uid = uid
        self.folder = folder
        self.ports: tuple[int, int] = (0, 0)
        self._child: Child | None = None
        self._waker: UartWaker | None = None
        self._uarts: list[SerialServer] = []

    @property
    def environment(self) -> tuple[str, str]:
        """The environment variable that names this board to the simulated probe."""
        return ENVIRONMENT, f"{self.uid}={self.folder}"

    def __enter__(self) -> Self:
        self.power_on()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.power_off()

    def power_on(self) -> None:
        """Start it with empty memory, on the same ports as before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        words = ["qemu-system-arm", "-M", "mps3-an547", "-nodefaults", "-nic", "none", "-display", "none"]
        self._uarts = [SerialServer(port) for port in self.ports]
        self.ports = (self._uarts[0].port, self._uarts[1].port)
        for number, uart in enumerate(self._uarts):
            words += ["-chardev", f"socket,id=u{number},fd={uart.uart.fileno()}", "-serial", f"chardev:u{number}"]
        for name in ("qmp", "wake"):
            words += ["-qmp", f"unix:{self.folder}/{name},server=on,wait=off"]
        words += ["-chardev", f"socket,id=g,path={self.folder}/gdb,server=on,wait=off", "-gdb", "chardev:g"]
        words += ["-S"]
        fds = [uart.uart.fileno() for uart in self._uarts]
        self._child = spawn(words, stderr_path=self.folder / "qemu.log", pass_fds=fds)
        for uart in self._uarts:
            uart.start()
        if not wait_until((self.folder / "gdb").exists, 20.0) or self._child.poll() is not None:
            self.power_off()
            raise RuntimeError(f"QEMU did not start: {(self.folder / 'qemu.log').read_text()}")
        # Written as by a debugger: QEMU would load its own images again at each reset.
        remote = GdbRemote(str(self.folder / "gdb"))
        remote.write_memory(_ITCM, _IDLE)
        remote.write_register(13, int.from_bytes(_IDLE[:4], "little"))
        remote.write_register(PC, _ITCM + 8)
        remote.write_register(XPSR, 0x01000000)  # Thumb
        remote.close()
        self._waker = UartWaker(self.folder / "wake")

    def power_off(self) -> None:
        """End QEMU; memory is lost. Safe to call twice."""
        if self._child is not None:
            self._child.kill()
            self._child = None
        if self._waker is not None:
            self._waker.stop()
            self._waker = None
        for uart in self._uarts:
            uart.stop()
        self._uarts = []
        for name in ("gdb", "qmp", "wake"):
            (self.folder / name).unlink(missing_ok=True)
