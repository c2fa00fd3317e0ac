"""Protected storage's own rules: what is stored is read back, what is stored for good stays, what fits is told."""

from __future__ import annotations

import contextlib
import hashlib
import struct

import pytest
from tfm_harness import Bench, Burned, Checks, Device, Refused, ResetKind, StoredObjects, VirtualBoard
from tfm_harness.protocol.smp import status_of
from tfm_harness.verify import object_aad, reference_symmetric_key

pytestmark = pytest.mark.needs("protected-storage", "describe")

READ_BACK = StoredObjects.READ_BACK
TAMPERED = StoredObjects.TAMPERED
EXCHANGED = StoredObjects.EXCHANGED
SAID = StoredObjects.SAID
WRITE_ONCE = 1
DOES_NOT_EXIST = -140
GET, INFORMATION = 1002, 1003
"""TF-M's types of psa_ps_get and psa_ps_get_info (docs/protocol.md, Services)."""
DRIVER_MOST = 1023
"""Bytes that the driver's command stores, and one more."""
some_data = StoredObjects.some_data
A, B = 0x5354_4F52_0001, 0x5354_4F52_0002


@pytest.mark.parametrize("extent", ["ends", pytest.param("every size", marks=pytest.mark.thorough(extent="ends"))])
def test_what_was_stored_is_read_back(device: Device, checks: Checks, extent: str) -> None:
    """The API itself, on every board."""
    sizes = (0, 1, 16, 255, 256) if extent == "ends" else range(257)
    commands = device.test_commands
    try:
        for size in sizes:
            data = some_data(size, size)
            commands.ps_set(A, data)
            stored = commands.ps_get(A)
            checks.equal(READ_BACK, (stored.data, stored.size, stored.flags), (data, size, 0), subject=f"{size} bytes")
        data = commands.ps_get(A).data
        for offset in (1, 200, 255, 256):
            subject = f"from byte {offset} on"
            if checks.equal(READ_BACK, status_of(commands.ps_get, A, offset=offset), 0, subject=subject):
                stored = commands.ps_get(A, offset=offset)
                checks.equal(READ_BACK, (stored.data, stored.size), (data[offset:], 256), subject=subject)
        for uid in (1, 0xFFFF_FFFF, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1):
            words, content = f"uid {uid:#x}", some_data(uid, 9)
            checks.equal(READ_BACK, status_of(commands.ps_set, uid, content), 0, subject=f"{words}, stored")
            if status_of(commands.ps_get, uid) == 0:
                checks.equal(READ_BACK, commands.ps_get(uid).data, content, subject=f"{words}, read")
            checks.equal(READ_BACK, status_of(commands.ps_remove, uid), 0, subject=f"{words}, removed")
        for subject, ask, wanted in (
            ("257 bytes", lambda: commands.ps_set(A, bytes(257)), -142),
            ("uid 0", lambda: commands.ps_set(0, b"data"), -135),
            ("uid 0, read", lambda: commands.ps_get(0), -135),
            ("uid 0, removed", lambda: commands.ps_remove(0), -135),
            ("an unknown flag", lambda: commands.ps_set(A, b"data", flags=0x80), -134),
            ("a flag above 32 bits", lambda: commands.ps_set(A, b"data", flags=1 << 32), -135),
            ("another uid", lambda: commands.ps_get(B), DOES_NOT_EXIST),
            ("a uid that differs above 32 bits", lambda: commands.ps_get(A ^ 1 << 32), DOES_NOT_EXIST),
            ("a uid that differs in its last bit", lambda: commands.ps_get(A ^ 1 << 63), DOES_NOT_EXIST),
            ("another uid, removed", lambda: commands.ps_remove(B), DOES_NOT_EXIST),
        ):
            checks.equal(READ_BACK, status_of(ask), wanted, subject=subject)
        for offset in (257, 512, 0x10000, 0x80000000, 0xFFFFFFFF, 1 << 32):
            status = status_of(commands.ps_get, A, offset=offset)
            checks.equal(READ_BACK, status, -135, subject=f"from byte {offset:#x} on, behind its end")
        checks.equal(READ_BACK, commands.ps_get(A).data, data, subject="after all that was refused")
        commands.ps_remove(A)
        checks.equal(READ_BACK, status_of(commands.ps_get, A), DOES_NOT_EXIST, subject="removed")
    finally:
        with contextlib.suppress(Refused):
            commands.ps_remove(A)


@pytest.mark.thorough
@pytest.mark.needs("nv-access", "warm-reset", "cold-reset")
def test_it_outlives_resets(storage: StoredObjects, device: Device, checks: Checks) -> None:
    data = some_data(7, 64)
    storage.set(A, some_data(6, 64))
    storage.set(A, data)
    storage.set(B, b"removed")
    device.test_commands.ps_remove(B)
    for kind in (ResetKind.WARM, ResetKind.COLD):
        device.reset(kind)
        checks.equal(READ_BACK, storage.get(A), data, subject=f"after {kind}")
        checks.equal(READ_BACK, storage.get(B), DOES_NOT_EXIST, subject=f"what was removed, after {kind}")
    device.test_commands.ps_set(A, b"")
    checks.equal(READ_BACK, storage.get(A), b"", subject="stored again with no bytes")


@pytest.mark.thorough
@pytest.mark.needs("nv-access", "cold-reset", "factory-reset", "provision", "known-secrets")
def test_write_once_and_a_full_store(
    storage: StoredObjects, device: Device, checks: Checks, virtual: VirtualBoard
) -> None:
    """On a board that keeps nothing yet, because an object that is stored for good cannot be removed again."""
    commands = device.test_commands
    secret = hashlib.sha256(b"TEST_ONLY write once").digest()
    with virtual.other_board(Burned(huk=secret)):
        at, message = storage.set(A, b"for good", flags=WRITE_ONCE)
        whole = storage.flash.read(at, message.size)
        checks.equal(READ_BACK, commands.ps_get(A).flags, WRITE_ONCE, subject="flags")
        key, head, nonce = reference_symmetric_key(secret, "storage"), whole[: -len(message.ciphertext)], message.nonce
        assert nonce is not None
        with storage.flash.changed(at, head + storage.encrypted(key, nonce, b"by hosts", object_aad(A))):
            storage.refused(EXCHANGED, A, "made for an object that is not stored for good")
        with storage.flash.changed(
            at, head + storage.encrypted(key, nonce, b"by hosts", object_aad(A, flags=WRITE_ONCE))
        ):
            checks.equal(EXCHANGED, storage.get(A), b"by hosts", subject="a right message that the host made")
        for content in (b"other", b"", b"for good"):
            status = status_of(commands.ps_set, A, content, flags=WRITE_ONCE if content else 0)
            checks.equal(READ_BACK, status, -133, subject=f"written again, {len(content)} bytes")
        checks.equal(READ_BACK, status_of(commands.ps_remove, A), -133, subject="removed")
        with storage.flash.changed(at, bytes([whole[0] ^ 1])):
            storage.refused(TAMPERED, A, "an object that was stored for good")
            checks.equal(READ_BACK, status_of(commands.ps_set, A, b"other"), -133, subject="damaged, again")
        statuses = [status_of(commands.ps_set, uid, some_data(uid, 8)) for uid in range(1, 12)]
        good = statuses.count(0)
        checks(READ_BACK, 0 < good < 11, expected="some, then none", seen=statuses, subject="a store that is full")
        checks.equal(READ_BACK, statuses, [0] * good + [-142] * (11 - good), subject="a store that is full")
        for uid in range(1, good + 1):
            checks.equal(READ_BACK, storage.get(uid), some_data(uid, 8), subject=f"object {uid} of a full store")
        for again in (100, 200):  # each goes from one of its places to the other, and back
            for uid in range(1, good + 1):
                commands.ps_set(uid, some_data(again + uid, 9 + uid))
            for uid in range(1, good + 1):
                wanted = some_data(again + uid, 9 + uid)
                checks.equal(READ_BACK, storage.get(uid), wanted, subject=f"object {uid} of a full store, {again}")
        checks.equal(READ_BACK, storage.get(A), b"for good", subject="stored for good")
        commands.ps_set(good, b"from now on")
        commands.ps_set(good, b"from now on", flags=WRITE_ONCE)  # the same bytes, and another flag
        checks.equal(READ_BACK, commands.ps_get(good).flags, WRITE_ONCE, subject="flags of what is stored for good now")
        checks.equal(READ_BACK, status_of(commands.ps_set, good, b"other"), -133, subject="for good now, again")
        checks.equal(READ_BACK, status_of(commands.ps_remove, good), -133, subject="for good now, removed")
        commands.ps_remove(1)
        commands.ps_set(12, b"in its place")
        checks.equal(READ_BACK, commands.ps_get(12).flags, 0, subject="flags of what takes another one's place")
        for kind in (ResetKind.WARM, ResetKind.COLD):
            device.reset(kind)
            for uid, data in ((A, b"for good"), (good, b"from now on")):
                words = f"{uid:#x}, stored for good, after a {kind} reset"
                stored = commands.ps_get(uid)
                checks.equal(READ_BACK, (stored.data, stored.flags), (data, WRITE_ONCE), subject=words)
                checks.equal(READ_BACK, status_of(commands.ps_set, uid, b"other"), -133, subject=f"{words}: set")
                checks.equal(READ_BACK, status_of(commands.ps_remove, uid), -133, subject=f"{words}: removed")


@pytest.mark.needs("psa-call", "probe", "memory-map", "services")
def test_the_capacity_is_the_one_there_is(bench: Bench, device: Device, checks: Checks) -> None:
    """As many bytes as the device says can be stored, and no more.

    A raw call asks, as no command of the driver does.
    """
    scratch, service = bench.memory_map.scratch, bench.services.get("protected-storage")
    if scratch is None or service is None:
        pytest.skip("not covered: no non-secure RAM for tests, or no such service")
    commands, base = device.test_commands, scratch[0]
    try:
        commands.ps_set(A, some_data(3, 5))
        commands.poke(base, A.to_bytes(8, "little"))
        status = commands.psa_call(service.handle, INFORMATION, [(base, 8)], [(base + 0x100, 12)])
        capacity, size, flags = struct.unpack("<III", commands.peek(base + 0x100, 12))
        checks.equal(READ_BACK, (status, size, flags), (0, 5, 0), subject="information about an object of 5 bytes")
        if capacity <= DRIVER_MOST:
            told = f"{capacity} bytes, as its information says"
            checks.equal(READ_BACK, status_of(commands.ps_set, A, bytes(capacity)), 0, subject=told)
            more = f"{capacity + 1} bytes, one more than its information says"
            checks.equal(READ_BACK, status_of(commands.ps_set, A, bytes(capacity + 1)), -142, subject=more)
    finally:
        with contextlib.suppress(Refused):
            commands.ps_remove(A)


@pytest.mark.thorough
@pytest.mark.needs("nv-access", "psa-call", "probe", "memory-map", "services")
def test_a_read_gives_what_was_stored_and_nothing_else(bench: Bench, storage: StoredObjects, checks: Checks) -> None:
    """Raw calls, with less room than the object needs, and of a changed object.

    Where a read fails, nothing stands in the caller's buffer.
    """
    scratch, service = bench.memory_map.scratch, bench.services.get("protected-storage")
    if scratch is None or service is None:
        pytest.skip("not covered: no non-secure RAM for tests, or no such service")
    commands, base, data, fill = storage.device.test_commands, scratch[0], some_data(8, 64), b"\xa5" * 96
    at, message = storage.set(A, data)

    def read(offset: int, room: int) -> tuple[int, bytes]:
        commands.poke(base, struct.pack("<QI", A, offset))
        commands.poke(base + 0x100, fill)
        status = commands.psa_call(service.handle, GET, [(base, 8), (base + 8, 4)], [(base + 0x100, room)])
        return status, commands.peek(base + 0x100, len(fill))

    for offset, room in ((0, 64), (0, 63), (0, 80), (0, 1), (0, 0), (13, 20), (63, 8), (64, 8)):
        given = data[offset : offset + room]
        words = f"{room} bytes from {offset} on"
        checks.equal(READ_BACK, read(offset, room), (0, given + fill[len(given) :]), subject=words)
    for place in (0, 20, message.size // 2, message.size - 17, message.size - 16, message.size - 1):
        byte = storage.flash.read(at + place, 1)[0]
        with storage.flash.changed(at + place, bytes([byte ^ 1])):
            status, left = read(0, 64)
        subject = f"byte {place} of {message.size} changed"
        checks(TAMPERED, status in SAID, expected="a refusal that says so", seen=status, subject=subject)
        checks.equal(TAMPERED, left.hex(), fill.hex(), subject=f"{subject}: what stands where the object would")
