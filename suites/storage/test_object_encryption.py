"""Objects in flash are encrypted under the board's own key, each under a nonce of its own, also after a power cut."""

from __future__ import annotations

import secrets

import pytest
from tfm_harness import Bench, Burned, Check, Checks, Device, StoredObjects, Verifier, VirtualBoard
from tfm_harness.protocol.smp import status_of
from tfm_harness.testing import NoObjectError, changed_words, object_in, spread, with_object
from tfm_harness.verify import messages_in, object_aad

pytestmark = pytest.mark.needs("protected-storage", "describe")

ENCRYPTED = Check(
    id="storage.object-encrypted",
    title="an object lies in flash as a COSE_Encrypt0 under the board's storage key, and no piece of it beside that",
    requirement="PSA Secure Storage API 1.0 s.3.2 (confidentiality); docs/protocol.md, Protected storage",
)
WIDE = Check(
    id="storage.object-nonce-wide",
    title="the nonces of stored objects are as wide as the number of writes: no truncated one comes again",
    requirement="SP 800-38D s.8.2.1 (fixed and invocation field); docs/protocol.md, Protected storage",
)
TORN = Check(
    id="storage.power-cut",
    title="after a power cut in the middle of a write the old object or the new one is there, and the store works on",
    requirement="PSA Secure Storage API 1.0 s.3.2 (a failed set leaves the object as it was)",
)
TAMPERED = StoredObjects.TAMPERED
ROLLED_BACK = StoredObjects.ROLLED_BACK
REFERENCE = "tfm-harness-reference"
TABLE_OWNER, TABLE_UID = 262, 0x5053_0001
"""Partition and object in which the reference firmware counts the writes (32 bits, in front)."""
SECTOR = 512
some_data = StoredObjects.some_data
A, B = 0x5354_4F52_0001, 0x5354_4F52_0002


@pytest.mark.needs("nv-access", "known-secrets", "trusted-results")
def test_it_lies_encrypted_in_flash(bench: Bench, storage: StoredObjects, checks: Checks, verifier: Verifier) -> None:
    for number, (uid, size) in enumerate(((A, 48), (B, 256), (A, 48), (A, 16), (A, 8))):
        data = some_data(number, size)
        at, message = storage.set(uid, data)
        content, subject = storage.flash.read(), f"{size} bytes under {uid:#x}, write {number}"
        stored = verifier.stored_object(content[at:], external_aad=object_aad(uid), subject=subject)
        checks.equal(ENCRYPTED, stored, data, subject=subject)
        if bench.description.firmware == REFERENCE:
            rest = content[at + message.size : at + SECTOR]
            checks.equal(ENCRYPTED, rest, b"\xff" * len(rest), subject=f"{subject}: the rest of its sector")
        pieces = [data[n : n + 8] for n in range(0, size, 8)]
        seen = [piece.hex() for piece in pieces if piece in content]
        checks(ENCRYPTED, not seen, expected="no piece of it in flash", seen=", ".join(seen[:4]), subject=subject)
        checks.equal(ENCRYPTED, len(message.ciphertext), size + 16, subject=f"{subject}: ciphertext and tag")


@pytest.mark.thorough
@pytest.mark.needs("nv-access", "known-secrets", "trusted-results")
def test_many_writes_have_nonces_of_their_own(storage: StoredObjects, verifier: Verifier) -> None:
    """More writes than a counter of eight bits can count: at the end the ledger still knows the first nonces."""
    for number in range(260):
        at, _ = storage.set(A, some_data(number, 16))
        stored = storage.flash.read(at, SECTOR)
        verifier.stored_object(stored, external_aad=object_aad(A), subject=f"write {number}")


def begin_writes_at(virtual: VirtualBoard, number: int) -> None:
    """Start the board as if it had written that often."""
    area = virtual.nv.read()
    try:
        table = object_in(area, TABLE_OWNER, TABLE_UID)
        content = with_object(area, TABLE_OWNER, TABLE_UID, number.to_bytes(4, "little") + table[4:])
    except NoObjectError as error:
        pytest.skip(f"not covered: {error}")
    virtual.restart_with(content)


@pytest.mark.needs("nv-access", "cold-reset", "known-secrets")
def test_nonces_of_writes_are_as_wide_as_their_number(
    bench: Bench, storage: StoredObjects, checks: Checks, virtual: VirtualBoard
) -> None:
    """A nonce of 16 or 24 bits would come again when the board has written that often."""
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: where this firmware counts its writes is not known")
    storage.set(A, some_data(1, 16))
    with virtual.keeping():
        number = secrets.randbits(30) | 1 << 30 | 1 << 17 | 1 << 9  # another one in each run: no nonce comes twice
        begin_writes_at(virtual, number)
        for write in range(2):
            _, message = storage.set(A, some_data(2 + write, 16))
            seen = -1 if message.nonce is None else int.from_bytes(message.nonce, "big")
            checks.equal(WIDE, seen, number + write, subject=f"write {number + write:#x}")
        storage.reads(A, some_data(3, 16), "the last one")


@pytest.mark.thorough
@pytest.mark.needs("nv-access", "cold-reset", "known-secrets")
def test_numbers_of_writes_end_and_do_not_begin_anew(
    bench: Bench, storage: StoredObjects, checks: Checks, virtual: VirtualBoard
) -> None:
    """After the highest number there is no nonce left that was not used, so that writes must be refused."""
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: where this firmware counts its writes is not known")
    storage.set(A, some_data(1, 16))
    with virtual.keeping():
        begin_writes_at(virtual, 0xFFFFFFFE)
        _, message = storage.set(A, some_data(2, 16))
        seen = -1 if message.nonce is None else int.from_bytes(message.nonce, "big")
        checks.equal(WIDE, seen, 0xFFFFFFFE, subject="the last number but one")
        for uid in (A, B):
            status = status_of(storage.device.test_commands.ps_set, uid, b"more")
            checks.equal(WIDE, status, -142, subject=f"uid {uid:#x}, behind the last number")
        storage.reads(A, some_data(2, 16), "the last one")


@pytest.mark.thorough
@pytest.mark.needs("nv-access", "known-secrets", "trusted-results", "provision", "cold-reset")
def test_the_key_is_the_boards_own_in_every_lifecycle(
    bench: Bench, device: Device, storage: StoredObjects, checks: Checks, verifier: Verifier, virtual: VirtualBoard
) -> None:
    """If boards shared a key in an early lifecycle, that key would open what they stored then."""
    data = some_data(5, 40)
    with virtual.fuses() as burn:
        for lifecycle in (0x0000, 0x1000, 0x2000, 0x4000, 0x5000, 0x6000):
            burn(Burned(lifecycle=lifecycle))
            at, _ = storage.set(A, data)
            subject = f"lifecycle {lifecycle:#06x}"
            stored = verifier.stored_object(storage.flash.read(at), external_aad=object_aad(A), subject=subject)
            checks.equal(ENCRYPTED, stored, data, subject=subject)
            whole = storage.flash.read(at, SECTOR)
            newest, _ = storage.set(A, some_data(6, 40))
            with storage.flash.changed(newest, whole):
                storage.refused(ROLLED_BACK, A, f"the message of the write before, {subject}")
            at, _ = storage.set(A, data)
            with storage.flash.changed(at + 30, bytes([storage.flash.read(at + 30, 1)[0] ^ 1])):
                storage.refused(TAMPERED, A, f"a bit of it changed, {subject}")
            if not bench.missing(["encrypted-result", "infer"]):
                verifier.encrypted_result(device.infer_input(device.any_input(), encrypted=True), subject=subject)
            storage.forget()


@pytest.mark.needs("nv-access", "cold-reset", "write-stops", "known-secrets", "trusted-results")
@pytest.mark.parametrize("most", [2, pytest.param(12, marks=pytest.mark.thorough(most=2))])
def test_power_cut_in_the_middle_of_a_write(
    storage: StoredObjects, device: Device, checks: Checks, verifier: Verifier, virtual: VirtualBoard, most: int
) -> None:
    """After a cut the old object or the new one is there, and no earlier nonce is used again."""
    old, new, later = some_data(1, 40), some_data(2, 40), some_data(3, 40)
    with virtual.keeping():
        words: list[int] = []
        for step in range(2):  # a write goes to one place, the next one to another
            before = virtual.nv.read()
            storage.set(A, some_data(20 + step, 40))
            words += changed_words(before, virtual.nv.read(), virtual.nv.address, page=256)
        storage.set(A, old)
        states = virtual.torn(lambda: device.test_commands.ps_set(A, new), words)
        checks(TORN, len(states) > 3, expected="states in the middle", seen=f"{len(states)} states")
        for number in spread(len(states), most):
            subject = f"state {number} of {len(states)}"
            if not checks(
                TORN, virtual.starts_with(states[number]), expected="an answer", seen="none", subject=subject
            ):
                break
            seen = storage.get(A)
            checks(TORN, seen in (old, new), expected="the old object or the new one", seen=seen, subject=subject)
            in_flash(storage, verifier, f"{subject}, as it was cut")
            storage.device.test_commands.ps_set(A, later)
            checks.equal(TORN, storage.get(A), later, subject=f"{subject}: stored again")
            in_flash(storage, verifier, f"{subject}, stored again")


def in_flash(storage: StoredObjects, verifier: Verifier, subject: str) -> None:
    """Give every message of the object in flash to the ledger of nonces, also messages that do not count any more."""
    content = storage.flash.read()
    for at in messages_in(content):
        if verifier.apart().stored_object(content[at:], external_aad=object_aad(A)) is not None:
            verifier.stored_object(content[at:], external_aad=object_aad(A), subject=subject)
