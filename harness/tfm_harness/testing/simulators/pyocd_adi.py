"""A pyOCD debug probe on a simulated part, at the level of the debug port's and the access port's registers.

pyOCD's own code finds the access port, its ROM table and the core, and reads memory through them; the simulator has
only these registers. Registered by the tests only, in the entry-point group ``pyocd.probe``. The environment variable
``TFM_HARNESS_ADI_PROBES`` names the probes that are there (``ID=PART`` entries, separated by ``:``); `PARTS` has the
parts.

Sources: Arm ADIv5.2 (IHI 0031) and ADIv6.0 (IHI 0074): DP and MEM-AP registers, sticky errors; Armv8-M (DDI 0553):
DAUTHSTATUS, DHCSR, and what a debugger may access: where secure debug is not allowed, a debugger's secure request is
made as a non-secure one. The protection then answers with an error (SAU, IDAU, a memory protection controller with
CFG_SEC_RESP 1) or with zeros (such a controller after reset, CoreLink SIE-200; the nRF53's SPU). It has not been
compared with a real part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pyocd.core import exceptions
from pyocd.core.plugin import Plugin
from pyocd.probe.debug_probe import DebugProbe

from tfm_harness.testing.simulators.pyocd_probe import SimulatedProbe, configured, identification

__all__ = ["ADI_ENVIRONMENT", "NONSECURE", "PARTS", "SECURE", "AdiProbe", "AdiProbePlugin", "Part"]

ADI_ENVIRONMENT: Final = "TFM_HARNESS_ADI_PROBES"
NONSECURE: Final = 0x20000000
"""Non-secure memory of a part."""
SECURE: Final = (0x10000000, 0x30000000, 0x38000000)
"""Secure memory of a part: code, data, and memory that holds zeros."""

_SIZE = 0x1000
_ROM, _SCS = 0xE00FF000, 0xE000E000
_DP_ROM, _AP = 0x1000, 0x2000  # ADIv6: where the debug port's ROM table and the access port are
_AP_REGISTERS = 0xD00  # of a MEM-APv2
_STICKYERR, _POWERED = 1 << 5, 0x50000000
_DEVICE_ENABLED, _SECURE_ENABLED, _NONSECURE_REQUEST = 1 << 6, 1 << 23, 1 << 30
_CSW_WRITABLE = 0x7F00003F
_CPUID, _DHCSR, _DCRDR, _DEMCR, _DAUTHSTATUS = 0xD00, 0xDF0, 0xDF8, 0xDFC, 0xFB8
_CORTEX_M55 = 0x411FD221
_S_REGRDY, _S_SDE = 1 << 16, 1 << 20
_AHB5_AP = 0x04770015


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part with one Cortex-M55.

    Attributes:
        adi: version of the debug interface: 5 or 6.
        dbgen, niden, spiden, spniden: the authentication signals that the part's lifecycle has set.
        answers_zero: if True, a forbidden read of secure memory gives zero; otherwise it is an error.
        dauthstatus, s_sde: wrong values of the registers, as a part's mistake; None: the values that follow from the
            signals.
        leaks: secure addresses that any debugger can read, as a part's mistake.
        stops_after: transfers after which the cable disconnects; None: never.
    """

    adi: int = 5
    dbgen: bool = True
    niden: bool = True
    spiden: bool = False
    spniden: bool = False
    answers_zero: bool = False
    dauthstatus: int | None = None
    s_sde: bool | None = None
    leaks: frozenset[int] = frozenset()
    stops_after: int | None = None

    @property
    def secure_debug(self) -> bool:
        """Whether secure invasive debug is allowed."""
        return self.dbgen and self.spiden

    @property
    def authentication(self) -> int:
        """DAUTHSTATUS: each kind of debug is implemented, and enabled as the signals are."""
        enabled = (self.dbgen, self.dbgen or self.niden, self.secure_debug, self.secure_debug or self.spniden)
        return sum((3 if on else 2) << 2 * at for at, on in enumerate(enabled))


PARTS: Final[Mapping[str, Part]] = {
    "open": Part(spiden=True, spniden=True),
    "open-adi6": Part(adi=6, spiden=True, spniden=True),
    "closed": Part(),
    "closed-adi6": Part(adi=6),
    "closed-zeros": Part(answers_zero=True),
    "locked": Part(dbgen=False, niden=False),
    "noninvasive-open": Part(spniden=True),
    "reads-secure": Part(leaks=frozenset(SECURE[:1])),
    "reads-secure-zeros-elsewhere": Part(adi=6, answers_zero=True, leaks=frozenset({SECURE[1]})),
    "says-closed": Part(spiden=True, dauthstatus=0xAF, s_sde=False),
    "says-closed-by-one-register": Part(spiden=True, dauthstatus=0xAF),
    "says-open": Part(dauthstatus=0xFF, s_sde=True),
    "cable": Part(stops_after=60),
}
"""Parts by name: right ones, and parts with one mistake each."""


_SYSTEM: Final[Mapping[int, int]] = {
    **identification(_ROM, 1, 0x4C9),
    _ROM: (_SCS - _ROM) & 0xFFFFF000 | 3,
    **identification(_SCS, 9, 0xD22, 0x2A04),
    _SCS + _CPUID: _CORTEX_M55,
    _SCS + 0xD44: 0x00000210,  # ID_PFR1: the security extension
}
_DEBUG_BUS: Final[Mapping[int, int]] = {
    **identification(_DP_ROM, 9, 0x4E0, 0x0AF7),
    _DP_ROM: (_AP - _DP_ROM) | 3,
    **identification(_AP, 9, 0x9E3, 0x0A17),
}


class AdiProbe(SimulatedProbe):
    """A probe that transfers one register at a time, as the wire does; pyOCD selects access ports and banks itself."""

    def __init__(self, uid: str, part: Part) -> None:
        super().__init__(uid)
        self.part = part
        self.faults = 0
        self._open = False
        self._select = self._status = self._tar = self._demcr = self._dcrdr = self._dhcsr = self._transfers = 0
        self._csw = 0x43000002

    @classmethod
    def get_all_connected_probes(cls, unique_id: str | None = None, is_explicit: bool = False) -> list[AdiProbe]:
        """Every probe that the environment names."""
        del unique_id, is_explicit
        return [cls(uid, PARTS[part]) for uid, part in configured(ADI_ENVIRONMENT).items()]

    product_name = property(lambda _: "debug port registers")
    is_open = property(lambda self: self._open)
    capabilities = property(lambda _: frozenset({DebugProbe.Capability.BANKED_DP_REGISTERS}))

    def open(self) -> None:
        """Do nothing: the probe is always there."""
        self._open = True

    def close(self) -> None:
        """Do nothing."""
        self._open = False

    def reset(self) -> None:
        """Do nothing: reading the debug port needs no reset."""
        raise exceptions.ProbeError("this part must not be reset")

    def assert_reset(self, asserted: bool) -> None:
        """See `reset`."""
        if asserted:
            self.reset()

    def is_reset_asserted(self) -> bool:
        """Never."""
        return False

    # debug port

    def _transfer(self) -> None:
        self._transfers += 1
        if self.part.stops_after is not None and self._transfers > self.part.stops_after:
            raise exceptions.TransferError("no acknowledge on the wire")

    def _fault(self) -> exceptions.TransferFaultError:
        self.faults += 1
        self._status |= _STICKYERR
        return exceptions.TransferFaultError()

    def read_dp(self, addr: int, now: bool = True) -> Any:
        """DPIDR, CTRL/STAT (power-up acknowledged at once), RDBUFF; of a DPv3 also DPIDR1 and BASEPTR."""
        self._transfer()
        version = 3 if self.part.adi == 6 else 2
        bank, register = self._select & 0xF, addr & 0xC
        if register == 0:
            of_bank = {0: 0x0BE00477 & ~0xF000 | version << 12, 1: 32, 2: _DP_ROM | 1} if version == 3 else {}
            value = of_bank.get(bank, 0 if version == 3 else 0x0BE02477)
        elif register == 4:
            value = self._status | (self._status & _POWERED) << 1
        else:
            value = 0
        return value if now else lambda: value

    def write_dp(self, addr: int, data: int) -> None:
        """ABORT, CTRL/STAT, SELECT."""
        self._transfer()
        register = addr & 0xC
        if register == 0 and data & 1 << 2:  # STKERRCLR
            self._status &= ~_STICKYERR
        elif register == 4:
            self._status = self._status & _STICKYERR | data & _POWERED
        elif register == 8:
            self._select = data

    # access port

    def _register(self, addr: int) -> int | None:
        """The access port's register at this address; None if there is none."""
        if self._status & _STICKYERR or not self._status & _POWERED:
            raise self._fault()
        if self.part.adi == 5:
            return self._select & 0xF0 | addr & 0xC if self._select >> 24 == 0 else None
        at = self._select & 0xFFFFFFF0 | addr & 0xC
        return at - _AP - _AP_REGISTERS if _AP + _AP_REGISTERS <= at < _AP + 0xE00 else None

    def read_ap(self, addr: int, now: bool = True) -> Any:
        """Read registers of the memory access port; on a DPv3 also other components on the debug bus."""
        self._transfer()
        register = self._register(addr)
        if register is None:
            value = _DEBUG_BUS.get(self._select & 0xFFFFFFF0 | addr & 0xC, 0) if self.part.adi == 6 else 0
        elif register == 0x0C:
            value = self._read()
        else:
            value = {0x00: self._status_word, 0x04: self._tar, 0xF8: _ROM | 3, 0xFC: _AHB5_AP}.get(register, 0)
        return value if now else lambda: value

    def write_ap(self, addr: int, data: int) -> None:
        """CSW, TAR, DRW."""
        self._transfer()
        register = self._register(addr)
        if register == 0x00:
            self._csw = data & _CSW_WRITABLE
        elif register == 0x04:
            self._tar = data
        elif register == 0x0C:
            self._write(data)

    def get_memory_interface_for_ap(self, ap_address: Any) -> None:
        """Return None, so that pyOCD uses the registers."""

    @property
    def _status_word(self) -> int:
        enabled = _DEVICE_ENABLED * self.part.dbgen | _SECURE_ENABLED * self.part.secure_debug
        return self._csw | enabled

    # memory

    def _next(self) -> int:
        at = self._tar & ~3
        if self._csw & 0x30:
            self._tar += 4
        return at

    def _read(self) -> int:
        at, part = self._next(), self.part
        if not part.dbgen:
            raise self._fault()
        if at >= 0xE0000000:
            return self._debug_register(at)
        if any(base <= at < base + _SIZE for base in SECURE):
            secure_request = part.secure_debug and not self._csw & _NONSECURE_REQUEST
            if not secure_request and at & ~(_SIZE - 1) not in part.leaks:
                if part.answers_zero:
                    return 0
                raise self._fault()
            return 0 if at >= SECURE[2] else 0x5EC00000 | at & 0xFFF | 1
        if NONSECURE <= at < NONSECURE + _SIZE:
            return 0x01000000 | at & 0xFFF
        raise self._fault()

    def _debug_register(self, at: int) -> int:
        part, offset = self.part, at - _SCS
        if offset == _DAUTHSTATUS:
            return part.authentication if part.dauthstatus is None else part.dauthstatus
        if offset == _DHCSR:
            allowed = part.secure_debug if part.s_sde is None else part.s_sde
            return self._dhcsr & 0xF | _S_REGRDY | _S_SDE * allowed
        if offset in {_DCRDR, _DEMCR}:
            return self._dcrdr if offset == _DCRDR else self._demcr
        return _SYSTEM.get(at, 0)

    def _write(self, data: int) -> None:
        offset = self._next() - _SCS
        if offset == _DHCSR and data >> 16 == 0xA05F:
            if data & 2:
                raise exceptions.ProbeError("this core must not be halted")
            self._dhcsr = data & 0xFFFF
        elif offset == _DEMCR:
            self._demcr = data
        elif offset == _DCRDR:
            self._dcrdr = data


class AdiProbePlugin(Plugin):  # type: ignore[misc]  # pyOCD is not typed
    """What the entry point names."""

    def load(self) -> type[AdiProbe]:
        """The probe class."""
        return AdiProbe

    name = property(lambda _: "tfm-harness-adi")
    description = property(lambda _: "simulator probe: registers of a debug port")
