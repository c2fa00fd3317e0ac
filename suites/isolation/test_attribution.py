"""How the secure side has divided the address space, read where only it can read: from its own registers."""

from __future__ import annotations

import pytest
from tfm_harness import Bench, Check, Checks, Device, StoppedCpu, VirtualBoard

pytestmark = pytest.mark.needs("infer", "nv-access", "write-stops", "memory-map")

SAU_CTRL, SAU_TYPE, SAU_RNR, SAU_RBAR, SAU_RLAR = 0xE000EDD0, 0xE000EDD4, 0xE000EDD8, 0xE000EDDC, 0xE000EDE0
ENABLED, ALL_NONSECURE, CALLABLE = 1, 2, 2
GATEWAY = bytes.fromhex("7fe97fe9")
"""The instruction SG, with which alone the non-secure side may enter (DDI 0553, C2.4)."""
MOST = 0x4000
"""Bytes of gateways that are believed: thousands of them."""

CALLABLE_ONLY = Check(
    id="isolation.callable",
    title="memory that the non-secure side may call holds gateways and nothing else",
    requirement="Armv8-M Security Extension (SG in non-secure callable memory only); PSA Security Model 1.1 s.4.5",
)
ATTRIBUTED = Check(
    id="isolation.attribution",
    title="the attribution unit is on, and leaves no secure memory of the map to the non-secure side by default",
    requirement="Armv8-M Security Extension (SAU_CTRL); PSA Security Model 1.1 s.4.5",
)


def test_what_may_be_called_holds_gateways_only(
    bench: Bench, device: Device, virtual: VirtualBoard, checks: Checks
) -> None:
    """A gateway's instruction that stands in secure code by chance would be a way in, were that code callable."""

    def ask() -> None:
        device.infer_input(device.any_input())

    before = virtual.nv.read()
    ask()
    after = virtual.nv.read()
    at = next((n for n in range(0, len(after), 4) if after[n : n + 4] != before[n : n + 4]), None)
    if at is None:
        pytest.skip("not covered: a result changes nothing that is kept, so that there is no place to stop at")
    found: dict[str, int] = {}
    callable_memory: list[tuple[int, bytes]] = []

    def look(cpu: StoppedCpu) -> None:
        def word(address: int) -> int:
            return int.from_bytes(cpu.read(address, 4), "little")

        found["control"], found["regions"], selected = word(SAU_CTRL), word(SAU_TYPE) & 0xFF, word(SAU_RNR)
        for number in range(found["regions"]):
            if not cpu.store(SAU_RNR, number) or word(SAU_RNR) != number:
                found.clear()  # unprivileged code: one region alone would say nothing of the others
                return
            base, limit = word(SAU_RBAR) & ~31, word(SAU_RLAR)
            if limit & ENABLED and limit & CALLABLE:
                size = (limit | 31) + 1 - base
                callable_memory.append((base, cpu.read(base, size) if size <= MOST else bytes(size)))
        cpu.store(SAU_RNR, selected)

    if not virtual.in_secure_code(ask, virtual.nv.address + at, look) or not found.get("regions"):
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
    ask()
