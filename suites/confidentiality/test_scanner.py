"""The search for secrets finds what is there, and finds nothing by chance."""

from __future__ import annotations

import secrets

import pytest
from tfm_harness import Bench, Checks, HarnessError, SecretSearch, SecretWork
from tfm_harness.verify import Scanner, Secret

pytestmark = pytest.mark.needs("infer", "describe")

CANARY = bytes.fromhex("5e0f41cb97a25d3886d1f06b3c79e4120fb8c42d7a916e53ab08d7143ce95f62")
CHANCE = 1e-3
"""Hits by chance in all that one run searches; more, and a finding would mean little."""
MUCH = 64 << 20
"""Bytes of memory and of files that one run searches."""


@pytest.mark.needs("stats")
def test_what_is_planted_is_found(bench: Bench, work: SecretWork, search: SecretSearch, checks: Checks) -> None:
    """The non-secure side itself is made to hold and to say a text: in answers, and in its memory."""
    scanner = Scanner([Secret(name="the canary", data=CANARY)])
    work.device.test_commands.echo(f"canary {CANARY.hex(' ')}")
    outputs = [(where, data) for where, data, _ in work.outputs()]
    with search.beside():
        search.canaries(outputs, text=True)
        said = any(scanner.scan(data) for where, data in outputs if "answers" in where)
        checks(SecretSearch.SCANNER_WORKS, said, expected="in an answer", seen="not found")
        keys = Scanner([Secret(name=f"key {number}", data=secrets.token_bytes(32)) for number in range(8)])
        chance = keys.chance(sum(len(data) for _, data in outputs) + MUCH)
        checks(
            SecretSearch.SCANNER_WORKS,
            chance < CHANCE,
            expected=f"chance hits below {CHANCE:g}",
            seen=f"{chance:.1e}",
            subject="chance",
        )
        scratch = None if bench.missing(["memory-dump", "memory-map", "probe"]) else bench.memory_map.scratch
        if scratch is not None:
            work.device.test_commands.poke(scratch[0] + 0x1234, CANARY)
            memories = list(work.memories())
            search.canaries(memories, text=False)
            here = [region.name for region in bench.memory_map.memory if region.at <= scratch[0] < region.end]
            held = any(scanner.scan(data, text=False) for name, data in memories if name in here)
            checks(SecretSearch.SCANNER_WORKS, held, expected="in memory", seen="not found")
            try:
                work.device.test_commands.poke(scratch[0] + 0x1234, bytes(len(CANARY)))
            except HarnessError as error:  # the memory is the test's own; nothing depends on it being clean
                checks(SecretSearch.SCANNER_WORKS, False, expected="memory wiped", seen=error.message)
