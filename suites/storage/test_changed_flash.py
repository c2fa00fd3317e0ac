"""Objects in flash outside of the chip: nobody changes, exchanges, moves or rolls them back."""

from __future__ import annotations

import hashlib

import pytest
from tfm_harness import Bench, Burned, Check, Checks, Device, StoredObjects, VirtualBoard
from tfm_harness.protocol.smp import status_of
from tfm_harness.testing import with_objects_changed
from tfm_harness.verify import messages_in, object_aad

pytestmark = pytest.mark.needs("protected-storage", "describe")

TAMPERED = StoredObjects.TAMPERED
EXCHANGED = StoredObjects.EXCHANGED
ROLLED_BACK = StoredObjects.ROLLED_BACK
OTHER_BOARD = Check(
    id="storage.other-board-refused",
    title="another board refuses what this board stored, also when all of the memory is moved there",
    requirement="PSA Security Model 1.1 s.4.6 (binding of stored data to the device)",
)
LOST = Check(
    id="storage.loss-said",
    title="a lost object is refused, and not said to have never been stored; it can be stored again",
    requirement="PSA Secure Storage API 1.0 s.5.3",
)
REFERENCE = "tfm-harness-reference"
TABLE_OWNER, TABLE_UID = 262, 0x5053_0001
"""Partition and object in which the reference firmware counts the writes (32 bits, in front)."""
WRITE_ONCE = 1
DOES_NOT_EXIST = -140
some_data = StoredObjects.some_data
A, B = 0x5354_4F52_0001, 0x5354_4F52_0002


@pytest.mark.needs("nv-access")
@pytest.mark.parametrize(
    "extent", ["every byte", pytest.param("every bit", marks=pytest.mark.thorough(extent="every byte"))]
)
def test_a_flipped_bit_is_refused(storage: StoredObjects, checks: Checks, extent: str) -> None:
    data = some_data(1, 24)
    at, message = storage.set(A, data)
    whole = storage.flash.read(at, message.size)
    for place in range(message.size):
        for bit in range(8) if extent == "every bit" else (place % 8,):
            with storage.flash.changed(at + place, bytes([whole[place] ^ 1 << bit])):
                if not storage.refused(TAMPERED, A, f"bit {bit} of byte {place} of {message.size}"):
                    return
    for subject, other in (
        ("erased to ones", b"\xff" * message.size),
        ("erased to zeros", bytes(message.size)),
        ("its second half lost", whole[: message.size // 2] + b"\xff" * (message.size - message.size // 2)),
        ("its tag zero", whole[:-16] + bytes(16)),
    ):
        with storage.flash.changed(at, other):
            storage.refused(TAMPERED, A, subject)
    storage.reads(A, data, "changed back")


@pytest.mark.needs("nv-access", "cold-reset")
def test_an_older_version_is_refused(storage: StoredObjects, checks: Checks, virtual: VirtualBoard) -> None:
    """Puts back the whole flash of before, and one object's older message in place of its newer one.

    A cold start in between makes no difference.
    """
    snapshots, places = [], []
    for version in range(4):
        places.append(storage.set(A, some_data(version, 40)))
        storage.set(B, some_data(10 + version, 40))
        snapshots.append(storage.flash.read())
    now, (newest_at, _) = snapshots[-1], places[-1]
    for version in range(3):
        ago = f"{3 - version} writes before"
        storage.flash.write(snapshots[version])
        storage.refused(ROLLED_BACK, A, f"the whole flash of {ago}")
        storage.refused(ROLLED_BACK, B, f"the whole flash of {ago}, another object")
        storage.flash.write(now)
        at, old = places[version]
        with storage.flash.changed(newest_at, snapshots[version][at : at + old.size]):
            storage.refused(ROLLED_BACK, A, f"the object's message of {ago}")
            storage.reads(B, some_data(13, 40), "the object beside it")
    with virtual.off():
        storage.flash.write(snapshots[1])
    storage.refused(ROLLED_BACK, A, "the whole flash of 2 writes before, after a cold start")
    storage.flash.write(now)
    storage.reads(A, some_data(3, 40), "changed back")


@pytest.mark.needs("nv-access")
def test_an_object_stored_anew_is_not_the_one_of_before(storage: StoredObjects, device: Device) -> None:
    """An object is removed and stored again: its messages from before the removal are old ones."""
    _, old = storage.set(A, some_data(1, 40))
    before = storage.flash.read()
    at = next(place for place, message in messages_in(before).items() if message.ciphertext == old.ciphertext)
    device.test_commands.ps_remove(A)
    new_at, _ = storage.set(A, some_data(2, 40))
    with storage.flash.changed(new_at, before[at : at + old.size]):
        storage.refused(ROLLED_BACK, A, "the message of before it was removed")


@pytest.mark.needs("nv-access")
def test_another_objects_message_is_refused(storage: StoredObjects, checks: Checks) -> None:
    """Two objects of one size: each one's message in the other's place, and both exchanged."""
    (a_at, a), (b_at, b) = storage.set(A, some_data(1, 40)), storage.set(B, some_data(2, 40))
    content = storage.flash.read()
    a_bytes, b_bytes = content[a_at : a_at + a.size], content[b_at : b_at + b.size]
    with storage.flash.changed(a_at, b_bytes):
        storage.refused(EXCHANGED, A, "another object's message")
        with storage.flash.changed(b_at, a_bytes):
            storage.refused(EXCHANGED, A, "two objects exchanged")
            storage.refused(EXCHANGED, B, "two objects exchanged, the other one")
    storage.reads(A, some_data(1, 40), "changed back")


@pytest.mark.needs("nv-access", "known-secrets", "trusted-results")
def test_a_message_under_another_name_is_refused(storage: StoredObjects, bench: Bench, checks: Checks) -> None:
    """The right nonce and the right key, for another uid, owner or flag: only who knows the key can make these."""
    at, message = storage.set(A, some_data(1, 40))
    key, content, nonce = bench.trust.symmetric_key("storage"), storage.flash.read(), message.nonce
    assert key is not None
    assert nonce is not None
    head = content[at : at + message.size - len(message.ciphertext)]
    for subject, external in (
        ("itself", object_aad(A)),
        ("another uid", object_aad(B)),
        ("another owner", object_aad(A, owner=261)),
        ("another flag", object_aad(A, flags=WRITE_ONCE)),
        ("no external data", b""),
    ):
        made = head + storage.encrypted(key, nonce, some_data(9, 40), external)
        with storage.flash.changed(at, made):
            if subject == "itself":
                checks.equal(EXCHANGED, storage.get(A), some_data(9, 40), subject="a right message that the host made")
            else:
                storage.refused(EXCHANGED, A, f"made for {subject}")


@pytest.mark.needs("nv-access", "provision", "cold-reset", "known-secrets")
def test_another_boards_flash_is_refused(
    storage: StoredObjects, device: Device, checks: Checks, virtual: VirtualBoard
) -> None:
    """All memory of this board, inside and outside of the chip, on a board with another secret."""
    data = some_data(1, 40)
    storage.set(A, data)
    with virtual.burned(Burned(huk=hashlib.sha256(b"TEST_ONLY another board").digest())):
        storage.refused(OTHER_BOARD, A, "on a board with another secret")
    storage.reads(A, data, "on its own board again")
    device.test_commands.ps_set(A, some_data(2, 40))
    storage.reads(A, some_data(2, 40), "stored anew")


@pytest.mark.needs("nv-access")
def test_what_is_lost_is_said_and_can_be_stored_anew(storage: StoredObjects, device: Device, checks: Checks) -> None:
    storage.set(A, some_data(1, 40))
    before = storage.flash.read()
    storage.set(B, some_data(3, 40))
    storage.flash.write(b"\xff" * storage.flash.size)
    storage.refused(LOST, A, "the whole flash erased")
    checks.equal(LOST, status_of(device.test_commands.ps_remove, B), 0, subject="what is lost, removed")
    checks.equal(LOST, storage.get(B), DOES_NOT_EXIST, subject="what was lost and removed")
    device.test_commands.ps_set(A, some_data(2, 40))
    checks.equal(LOST, storage.get(A), some_data(2, 40), subject="stored anew")
    kept = storage.flash.read()
    for at, message in messages_in(before).items():
        if before[at : at + message.size] != kept[at : at + message.size] and kept[at] == 0xFF:
            storage.flash.write(before[at : at + message.size], at)  # the objects of others, as they were


@pytest.mark.thorough
@pytest.mark.needs("nv-access", "cold-reset")
def test_a_table_of_another_size_is_not_an_empty_one(
    bench: Bench, storage: StoredObjects, checks: Checks, virtual: VirtualBoard
) -> None:
    """The table has a right checksum and is too short.

    A device that takes it for an empty one says that stored objects were never stored, and uses nonces again.
    """
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: where this firmware keeps its table is not known")
    storage.set(A, some_data(1, 40))

    def shorter(head: dict[str, int]) -> None:
        if head["used"] and (head["owner"], head["uid"]) == (TABLE_OWNER, TABLE_UID):
            head["size"] = 64

    with virtual.keeping():
        content = with_objects_changed(virtual.nv.read(), shorter)
        if virtual.starts_with(content):
            storage.refused(LOST, A, "a table that was cut")
            status = status_of(storage.device.test_commands.ps_set, B, b"more")
            checks(
                LOST, status != 0, expected="a refusal", seen="stored", subject="a write beside a table that was cut"
            )
