"""A pyOCD debug probe backed by QEMU's gdbstub: real pyOCD code flashes, resets and reads an emulated board.

Registered by the tests only, in the entry-point group ``pyocd.probe``. A probe's id names the
sockets it uses: ``FOLDER`` with ``gdb`` and ``qmp`` in it, given by the environment variable
``TFM_HARNESS_QEMU_PROBES`` (``ID=FOLDER`` entries, separated by ``:``).

It shows pyOCD one APv1 MEM-AP with a ROM table of one Cortex-M55 SCS (Arm ADIv5.2 s.C2;
Armv8-M Architecture Reference Manual, debug registers).
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyocd.core import exceptions
from pyocd.core.memory_interface import MemoryInterface
from pyocd.core.plugin import Plugin
from pyocd.probe.debug_probe import DebugProbe

from tfm_harness.boards.gdb_remote import GdbRemote, GdbRemoteError
from tfm_harness.testing.simulators.pyocd_probe import SimulatedProbe, configured, identification

__all__ = ["DEBUG_PORT", "DEBUG_PORTS", "ENVIRONMENT", "QemuProbe", "QemuProbePlugin"]

ENVIRONMENT = "TFM_HARNESS_QEMU_PROBES"
DEBUG_PORT = "TFM_HARNESS_QEMU_DEBUG_PORT"

_ROM = 0xE00FF000
_SCS = 0xE000E000
_DFSR, _DHCSR, _DCRSR, _DCRDR, _DEMCR = 0xD30, 0xDF0, 0xDF4, 0xDF8, 0xDFC
_AIRCR, _DAUTHSTATUS = 0xD0C, 0xFB8
_DBGKEY = 0xA05F
_S_REGRDY, _S_HALT, _S_SDE, _S_RESET = 1 << 16, 1 << 17, 1 << 20, 1 << 25
_VC_CORERESET = 1
_SP_ALIASES = (17, 18)  # MSP, PSP: the gdbstub returns the stack pointer in use


_STATIC = {
    **identification(_ROM, 1, 0x4C9),
    _ROM: ((_SCS - _ROM) & 0xFFFFF000) | 3,
    _ROM + 4: 0,
    **identification(_SCS, 9, 0xD22, 0x2A04),  # Cortex-M55
}


def _system_reset(path: Path) -> None:
    """Reset the machine, and wait for it: QEMU answers the command before the reset."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(10)
        control.connect(str(path))
        stream = control.makefile("rwb")
        stream.readline()
        for name, awaited in (("qmp_capabilities", {"return"}), ("system_reset", {"return", "RESET"})):
            stream.write(json.dumps({"execute": name}).encode() + b"\n")
            stream.flush()
            seen: set[str] = set()
            while not awaited <= seen:  # the answer and the event may come in either order
                answer = json.loads(stream.readline())
                if "error" in answer:
                    raise exceptions.ProbeError(f"QEMU refused {name}: {answer['error']}")
                seen.add("return" if "return" in answer else str(answer.get("event")))


class QemuMemory(MemoryInterface):  # type: ignore[misc]  # pyOCD is not typed
    """The access port's memory, accessed in bulk without its registers."""

    def __init__(self, probe: QemuProbe) -> None:
        self._probe = probe

    def write_memory(self, addr: int, data: int, transfer_size: int = 32, **_: Any) -> None:
        """One 8, 16 or 32 bit write."""
        self._probe.write_bytes(addr, data.to_bytes(transfer_size // 8, "little"))

    def read_memory(self, addr: int, transfer_size: int = 32, now: bool = True, **_: Any) -> int | Callable[[], int]:
        """One 8, 16 or 32 bit read."""
        value = int.from_bytes(self._probe.read_bytes(addr, transfer_size // 8), "little")
        return value if now else lambda: value

    def write_memory_block32(self, addr: int, data: list[int], **_: Any) -> None:
        """Words."""
        self._probe.write_bytes(addr, b"".join(word.to_bytes(4, "little") for word in data))

    def read_memory_block32(self, addr: int, size: int, **_: Any) -> list[int]:
        """Words."""
        data = self._probe.read_bytes(addr, 4 * size)
        return [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]

    def write_memory_block8(self, addr: int, data: list[int], **_: Any) -> None:
        """Bytes."""
        self._probe.write_bytes(addr, bytes(data))

    def read_memory_block8(self, addr: int, size: int, **_: Any) -> list[int]:
        """Bytes."""
        return list(self._probe.read_bytes(addr, size))


@dataclass(frozen=True, slots=True)
class _Debug:
    """The debug port's registers, and whether secure memory can be read. QEMU itself hides nothing."""

    dauthstatus: int = 0xFF
    s_sde: bool = True
    reads_secure: bool = True


DEBUG_PORTS: Mapping[str, _Debug] = {
    "open": _Debug(),
    "closed": _Debug(0xAF, s_sde=False, reads_secure=False),
    "noninvasive-open": _Debug(0xEF, s_sde=False, reads_secure=False),
    "says-closed-reads": _Debug(0xAF, s_sde=False),
    "says-closed-sde": _Debug(0xAF, reads_secure=False),
    "says-open-refuses": _Debug(0xFF, s_sde=False, reads_secure=False),
}
"""Debug ports by name: right ones (``open``, ``closed``) and wrong ones. `DEBUG_PORT` selects one (default: open)."""


def _debug() -> _Debug:
    return DEBUG_PORTS[os.environ.get(DEBUG_PORT, "open")]


class QemuProbe(SimulatedProbe):
    """The probe."""

    def __init__(self, uid: str, folder: Path) -> None:
        super().__init__(uid)
        self._folder = folder
        self._remote: GdbRemote | None = None
        self._reset_asserted = False
        self._select = self._status = self._tar = 0
        self._csw = 0x23000052
        self._demcr = self._dcrdr = self._dhcsr = 0
        self._was_reset = True

    # identity

    @classmethod
    def get_all_connected_probes(cls, unique_id: str | None = None, is_explicit: bool = False) -> list[QemuProbe]:
        """Every probe that the environment names and whose board has power."""
        del unique_id, is_explicit
        folders = {uid: Path(folder) for uid, folder in configured(ENVIRONMENT).items()}
        return [cls(uid, folder) for uid, folder in folders.items() if (folder / "gdb").exists()]

    product_name = property(lambda _: "QEMU gdbstub")
    is_open = property(lambda self: self._remote is not None)
    capabilities = property(
        lambda _: {
            DebugProbe.Capability.MANAGED_AP_SELECTION,
            DebugProbe.Capability.MANAGED_DPBANKSEL,
            DebugProbe.Capability.BANKED_DP_REGISTERS,
            DebugProbe.Capability.APv2_ADDRESSES,
        }
    )

    @property
    def remote(self) -> GdbRemote:
        """The open connection."""
        if self._remote is None:
            raise exceptions.ProbeDisconnected("the probe is not open")
        return self._remote

    def open(self) -> None:
        """Connect to the gdbstub."""
        try:
            self._remote = GdbRemote(str(self._folder / "gdb"))
        except GdbRemoteError as error:
            raise exceptions.ProbeDisconnected(str(error)) from error

    def close(self) -> None:
        """Disconnect from the gdbstub."""
        if self._remote is not None:
            self._remote.close()
            self._remote = None

    # reset

    def reset(self) -> None:
        """Pulse the reset line."""
        self._system_reset()

    def assert_reset(self, asserted: bool) -> None:
        """Hold or release the reset line; the reset happens when it is released."""
        released = self._reset_asserted and not asserted
        self._reset_asserted = asserted
        if released:
            self._system_reset()

    def is_reset_asserted(self) -> bool:
        """Whether the line is held."""
        return self._reset_asserted

    def _system_reset(self) -> None:
        remote = self.remote
        # Stopped first, so that a core that must stop at its reset vector does not run on.
        remote.halt()
        _system_reset(self._folder / "qmp")
        remote.synchronise()
        self._was_reset = True
        if not self._demcr & _VC_CORERESET:
            remote.go()

    # debug and access port

    @staticmethod
    def _result(value: int, now: bool) -> int | Callable[[], int]:
        return value if now else lambda: value

    def read_dp(self, addr: int, now: bool = True) -> int | Callable[[], int]:
        """DPIDR, CTRL/STAT (power-up acknowledged at once), SELECT, RDBUFF."""
        status = self._status | ((self._status << 1) & 0xA0000000)
        return self._result({0x0: 0x6BA02477, 0x4: status, 0x8: self._select}.get(addr & 0xF, 0), now)

    def write_dp(self, addr: int, data: int) -> None:
        """CTRL/STAT power-up requests, SELECT."""
        if addr & 0xF == 0x4:
            self._status = data & 0x50000000
        elif addr & 0xF == 0x8:
            self._select = data

    def read_ap(self, addr: int, now: bool = True) -> int | Callable[[], int]:
        """MEM-AP registers; other APs do not exist."""
        if addr >> 24:
            return self._result(0, now)
        register = addr & 0xFF
        if register == 0x0C:
            value = int.from_bytes(self.read_bytes(self._tar, 4), "little")
            self._tar += 4
        else:
            value = {0x00: self._csw, 0x04: self._tar, 0xF8: _ROM | 3, 0xFC: 0x84770001}.get(register, 0)
        return self._result(value, now)

    def write_ap(self, addr: int, data: int) -> None:
        """MEM-AP registers."""
        register = addr & 0xFF
        if register == 0x00:
            self._csw = data
        elif register == 0x04:
            self._tar = data
        elif register == 0x0C:
            self.write_bytes(self._tar, data.to_bytes(4, "little"))
            self._tar += 4

    def get_memory_interface_for_ap(self, ap_address: Any) -> QemuMemory | None:
        """Bulk memory for AP 0."""
        return QemuMemory(self) if ap_address.nominal_address == 0 else None

    # memory: the debug registers are simulated, everything else is the emulator's

    def read_bytes(self, address: int, length: int) -> bytes:
        """Memory or debug registers."""
        if any(base <= address < base + 0x1000 for base in (_SCS, _ROM)):
            words = range(address & ~3, address + length, 4)
            data = b"".join(self._debug_read(word).to_bytes(4, "little") for word in words)
            return data[address & 3 : (address & 3) + length]
        if address >> 28 & 1 and not _debug().reads_secure:
            raise exceptions.TransferFaultError(fault_address=address, length=length)
        memory: bytes = self._stopped(lambda: self.remote.read_memory(address, length), address, length)
        return memory

    def write_bytes(self, address: int, data: bytes) -> None:
        """Memory or debug registers."""
        if _SCS <= address < _SCS + 0x1000:
            self._debug_write(address - _SCS, int.from_bytes(data, "little"))
        else:
            self._stopped(lambda: self.remote.write_memory(address, data), address, len(data))

    def _stopped(self, action: Callable[[], Any], address: int, length: int) -> Any:
        """Run `action` while the core is stopped: a real AP reads memory of a running core, but the gdbstub cannot."""
        remote = self.remote
        remote.poll()
        running = not remote.halted
        remote.halt()
        try:
            return action()
        except GdbRemoteError as error:
            raise exceptions.TransferFaultError(fault_address=address, length=length) from error
        finally:
            if running:
                remote.go()

    def _debug_read(self, address: int) -> int:
        if address in _STATIC:
            return _STATIC[address]
        if address >= _ROM:
            return 0
        offset = address - _SCS
        if offset == _DHCSR:
            return self._status_word()
        played = {_DCRDR: self._dcrdr, _DEMCR: self._demcr, _DAUTHSTATUS: _debug().dauthstatus}
        if offset in played:
            return played[offset]
        try:
            data = self._stopped(lambda: self.remote.read_memory(address, 4), address, 4)
        except exceptions.TransferFaultError:
            return 0  # debug registers that QEMU does not model read as zero
        return int.from_bytes(data, "little")

    def _status_word(self) -> int:
        self.remote.poll()
        value = (self._dhcsr & 0xF) | _S_REGRDY | (_S_SDE if _debug().s_sde else 0)
        if self.remote.halted:
            value |= _S_HALT
        if self._was_reset:
            value |= _S_RESET
            self._was_reset = False
        return value

    def _debug_write(self, offset: int, value: int) -> None:
        if offset == _DHCSR and value >> 16 == _DBGKEY:
            self._dhcsr = value & 0xFFFF
            if value & 4:
                self.remote.step()
            elif value & 2:
                self.remote.halt()
            else:
                self.remote.go()
        elif offset == _DCRSR:
            self._transfer_register(value)
        elif offset == _DCRDR:
            self._dcrdr = value
        elif offset == _DEMCR:
            self._demcr = value
        elif offset == _AIRCR and value >> 16 == 0x05FA and value & 4:
            self._system_reset()

    def _transfer_register(self, value: int) -> None:
        selected = value & 0x7F
        if selected in _SP_ALIASES:
            number = 13
        elif selected < 16:
            number = selected
        elif selected == 16:
            number = 25  # xPSR in GDB's numbering
        else:
            return
        if value & 0x10000:
            self.remote.write_register(number, self._dcrdr)
        else:
            self._dcrdr = self.remote.read_register(number)


class QemuProbePlugin(Plugin):  # type: ignore[misc]  # pyOCD is not typed
    """What the entry point names."""

    def load(self) -> type[QemuProbe]:
        """The probe class."""
        return QemuProbe

    name = property(lambda _: "tfm-harness-qemu")
    description = property(lambda _: "simulator probe over QEMU's gdbstub")
