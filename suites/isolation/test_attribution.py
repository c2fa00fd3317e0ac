"""How the secure side has divided the address space, read from registers that only the secure side can read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tfm_harness import Bench, Check, Checks, Device, StoppedCpu, VirtualBoard

pytestmark = pytest.mark.needs("infer", "nv-access", "write-stops", "memory-map")

SAU_CTRL, SAU_TYPE, SAU_RNR, SAU_RBAR, SAU_RLAR = 0xE000EDD0, 0xE000EDD4, 0xE000EDD8, 0xE000EDDC, 0xE000EDE0
ICTR, ITNS, AIRCR = 0xE000E004, 0xE000E380, 0xE000ED0C
AIRCR_BITS = {
    "a reset by the non-secure side's own request (SYSRESETREQS clear)": (1 << 3, 1 << 3),
    "faults handled by the non-secure side (BFHFNMINS set)": (1 << 13, 0),
    "non-secure interrupts with the priorities of secure ones (PRIS clear)": (1 << 14, 1 << 14),
}
"""Bits of AIRCR (DDI 0553, D1.2.3) that shut the non-secure side out, and how."""
REFERENCE = "tfm-harness-reference"
VTOR, FPCCR = 0xE000ED08, 0xE000EF34
FPCCR_BITS = {
    "floating-point registers are the secure side's while it runs (TS)": 1 << 26,
    "floating-point registers are cleared on a return (CLRONRET)": 1 << 28,
}
"""Bits of FPCCR (DDI 0553, D1.2.90)."""
SEAL = bytes.fromhex("a5edf5fe") * 2
"""What no exception return takes for a frame, above the top of a secure stack (Arm, VU 2020-16273)."""
VECTKEYSTAT = 0xFA05
"""The upper half of AIRCR as privileged secure code reads it."""
ENABLED, ALL_NONSECURE, CALLABLE = 1, 2, 2
GATEWAY = bytes.fromhex("7fe97fe9")
"""The instruction SG, with which alone the non-secure side may enter (DDI 0553, C2.4)."""
GATEWAYS = 3
"""Of the reference firmware (docs/protocol.md, Services); of others the number is not documented to the harness."""
MOST = 0x4000
"""Bytes of gateways that are believed: thousands of them."""

CALLABLE_ONLY = Check(
    id="isolation.callable",
    title="memory that the non-secure side may call holds the documented gateways and nothing else",
    requirement="Armv8-M Security Extension (SG in non-secure callable memory only); PSA Security Model 1.1 s.4.5",
)
ATTRIBUTED = Check(
    id="isolation.attribution",
    title="the attribution unit is on, and leaves no secure memory of the map to the non-secure side by default",
    requirement="Armv8-M Security Extension (SAU_CTRL); PSA Security Model 1.1 s.4.5",
)
INTERRUPTS = Check(
    id="isolation.interrupts",
    title="interrupts go to the secure side, but for those of the peripherals that are the non-secure side's",
    requirement="Armv8-M Security Extension (NVIC_ITNS); PSA Security Model 1.1 s.4.5",
)
CORE = Check(
    id="isolation.core-control",
    title="resets, faults and priorities are the secure side's to decide",
    requirement="Armv8-M Security Extension (AIRCR); PSA Security Model 1.1 s.4.5, s.4.9",
)


def word(cpu: StoppedCpu, address: int) -> int:
    """A register's value."""
    return int.from_bytes(cpu.read(address, 4), "little")


def in_secure_code(device: Device, virtual: VirtualBoard, look: Callable[[StoppedCpu], None]) -> bool:
    """Read while the secure side is stopped at the first word it changes when it makes a result."""

    def ask() -> None:
        device.infer_input(device.any_input())

    before = virtual.nv.read()
    ask()
    after = virtual.nv.read()
    at = next((n for n in range(0, len(after), 4) if after[n : n + 4] != before[n : n + 4]), None)
    if at is None:
        pytest.skip("not covered: a result changes nothing that is kept, so that there is no place to stop at")
    return virtual.in_secure_code(ask, virtual.nv.address + at, look)


def test_interrupts_go_to_their_owners(bench: Bench, device: Device, virtual: VirtualBoard, checks: Checks) -> None:
    """Looks at every interrupt of the controller, those of unused peripherals included."""
    owners = {
        number: (peripheral.owner, peripheral.name)
        for peripheral in bench.memory_map.peripherals
        for number in peripheral.interrupts
    }
    if not owners:
        pytest.skip("not covered: the memory map names no peripheral's interrupts")
    found: list[int] = []

    def look(cpu: StoppedCpu) -> None:
        if word(cpu, AIRCR) >> 16 == VECTKEYSTAT:
            found.extend(word(cpu, ITNS + 4 * bank) for bank in range((word(cpu, ICTR) & 0xF) + 1))

    if not in_secure_code(device, virtual, look) or not found:
        pytest.skip("not covered: the secure side could not be stopped in privileged code")
    seen = {32 * bank + bit for bank, targets in enumerate(found) for bit in range(32) if targets >> bit & 1}
    theirs = {number for number, (owner, _) in owners.items() if owner == "nonsecure"}
    checks.equal(INTERRUPTS, sorted(seen - theirs), [], subject="those of the secure side, or of nobody")
    for number in sorted(theirs):
        checks(
            INTERRUPTS, number in seen, expected="non-secure", seen="secure", subject=f"{number}, {owners[number][1]}"
        )


def test_the_core_is_the_secure_sides(bench: Bench, device: Device, virtual: VirtualBoard, checks: Checks) -> None:
    found: list[int] = []
    seals: list[bytes] = []

    def look(cpu: StoppedCpu) -> None:
        found.extend((word(cpu, AIRCR), word(cpu, FPCCR)))
        seals.append(cpu.read(word(cpu, word(cpu, VTOR)), len(SEAL)))

    stopped = in_secure_code(device, virtual, look)
    if not stopped or found[0] >> 16 != VECTKEYSTAT:
        pytest.skip("not covered: the secure side could not be stopped in privileged code")
    for subject, (mask, wanted) in AIRCR_BITS.items():
        checks(CORE, found[0] & mask == wanted, expected="shut out", seen=f"AIRCR {found[0]:#010x}", subject=subject)
    if bench.description.firmware != REFERENCE:
        return  # what else its secure side relies on is documented elsewhere
    checks.equal(CORE, seals[0].hex(), SEAL.hex(), subject="two seals above the secure stack")
    for subject, mask in FPCCR_BITS.items():
        checks(CORE, found[1] & mask == mask, expected="set", seen=f"FPCCR {found[1]:#010x}", subject=subject)


def test_what_may_be_called_holds_gateways_only(
    bench: Bench, device: Device, virtual: VirtualBoard, checks: Checks
) -> None:
    """If secure code were callable, a gateway instruction that is in it by chance would be an entry.

    A gateway that no document names, such as a debug function, is a way past the services.
    """
    found: dict[str, int] = {}
    callable_memory: list[tuple[int, bytes]] = []

    def look(cpu: StoppedCpu) -> None:
        found["control"], found["regions"] = word(cpu, SAU_CTRL), word(cpu, SAU_TYPE) & 0xFF
        selected = word(cpu, SAU_RNR)
        for number in range(found["regions"]):
            if not cpu.store(SAU_RNR, number) or word(cpu, SAU_RNR) != number:
                found.clear()  # unprivileged code: one region alone would say nothing of the others
                return
            base, limit = word(cpu, SAU_RBAR) & ~31, word(cpu, SAU_RLAR)
            if limit & ENABLED and limit & CALLABLE:
                size = (limit | 31) + 1 - base
                callable_memory.append((base, cpu.read(base, size) if size <= MOST else bytes(size)))
        cpu.store(SAU_RNR, selected)

    if not in_secure_code(device, virtual, look) or not found.get("regions"):
        pytest.skip("not covered: the secure side could not be stopped in privileged code, or has no attribution unit")
    checks.equal(ATTRIBUTED, found["control"] & ENABLED, ENABLED, subject="the attribution unit is on")
    checks.equal(ATTRIBUTED, found["control"] & ALL_NONSECURE, 0, subject="what no region names is secure")
    checks(CALLABLE_ONLY, bool(callable_memory), expected="callable memory", seen="none", subject="regions")
    for base, content in callable_memory:
        subject = f"{len(content)} bytes at {base:#x}"
        if not checks(
            CALLABLE_ONLY, len(content) <= MOST, expected=f"at most {MOST}", seen=len(content), subject=subject
        ):
            continue
        entries = [content[n : n + 8] for n in range(0, len(content), 8)]
        wrong = [n for n, entry in enumerate(entries) if any(entry) and not entry.startswith(GATEWAY)]
        checks(
            CALLABLE_ONLY, not wrong, expected="gateways, and zeros behind them", subject=subject,
            seen=f"something else at {', '.join(hex(base + 8 * n) for n in wrong[:4])}",
        )  # fmt: skip
    if bench.description.firmware == REFERENCE:
        ways = sum(content.count(GATEWAY) for _, content in callable_memory)
        checks.equal(CALLABLE_ONLY, ways, GATEWAYS, subject="gateways: call, version, framework version")
    device.infer_input(device.any_input())
