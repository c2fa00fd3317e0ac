"""Objects in flash outside of the chip: nobody reads, changes, exchanges, moves or rolls them back."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import struct
from collections.abc import Iterator, Sequence

import pytest
from tfm_harness import Bench, Burned, Check, Checks, Device, Refused, ResetKind, Verifier, VirtualBoard
from tfm_harness.protocol.smp import status_of
from tfm_harness.testing import NoObjectError, object_in, with_object, with_objects_changed
from tfm_harness.verify import EncryptedMessage, messages_in, object_aad, reference_symmetric_key

pytestmark = pytest.mark.needs("protected-storage", "describe")

READ_BACK = Check(
    id="storage.read-back",
    title="an object is read back as it was stored, and the API keeps its rules",
    requirement="PSA Secure Storage API 1.0 s.5.3 (psa_ps_set, psa_ps_get, psa_ps_remove)",
)
ENCRYPTED = Check(
    id="storage.object-encrypted",
    title="an object lies in flash as a COSE_Encrypt0 under the board's storage key, and no piece of it beside that",
    requirement="PSA Secure Storage API 1.0 s.3.2 (confidentiality); docs/protocol.md, Protected storage",
)
TAMPERED = Check(
    id="storage.tamper-refused",
    title="an object of which any bit was changed in flash is refused",
    requirement="PSA Secure Storage API 1.0 s.3.2 (integrity), s.5.3 (PSA_ERROR_INVALID_SIGNATURE)",
)
ROLLED_BACK = Check(
    id="storage.rollback-refused",
    title="an older version of an object, or of the whole flash, is refused",
    requirement="PSA Secure Storage API 1.0 s.3.2 (replay protection); PSA Security Model 1.1 s.4.6",
)
EXCHANGED = Check(
    id="storage.exchange-refused",
    title="an object is bound to its uid, owner and flags: another one's message is refused",
    requirement="PSA Secure Storage API 1.0 s.3.2; RFC 9052 s.5.3 (external data)",
)
OTHER_BOARD = Check(
    id="storage.other-board-refused",
    title="what one board stored another board refuses, with all of its memory moved there",
    requirement="PSA Security Model 1.1 s.4.6 (binding of stored data to the device)",
)
WIDE = Check(
    id="storage.object-nonce-wide",
    title="the nonces of stored objects are as wide as the number of writes: no truncated one comes again",
    requirement="SP 800-38D s.8.2.1 (fixed and invocation field); docs/protocol.md, Protected storage",
)
LOST = Check(
    id="storage.loss-said",
    title="an object that is lost is refused, not called one that never was; it can be stored anew",
    requirement="PSA Secure Storage API 1.0 s.5.3",
)
TORN = Check(
    id="storage.power-cut",
    title="after a power cut in the middle of a write the old object or the new one is there, and the store works on",
    requirement="PSA Secure Storage API 1.0 s.3.2 (a failed set leaves the object as it was)",
)

REFERENCE = "tfm-harness-reference"
TABLE_OWNER, TABLE_UID = 262, 0x5053_0001
"""Partition and object in which the reference firmware counts the writes (32 bits, in front)."""
WRITE_ONCE = 1
SECTOR = 512
DOES_NOT_EXIST = -140
GET, INFORMATION = 1002, 1003
"""TF-M's types of psa_ps_get and psa_ps_get_info (docs/protocol.md, Services)."""
DRIVER_MOST = 1023
"""Bytes that the driver's command stores, and one more."""
SAID = frozenset({-132, -146, -149, -152})
"""GENERIC_ERROR, STORAGE_FAILURE, INVALID_SIGNATURE, DATA_CORRUPT: what psa_ps_get may say of damage (IHI 0087)."""


class Flash:
    """The flash outside of the chip, which an attacker reads and writes."""

    def __init__(self, virtual: VirtualBoard, at: int, size: int) -> None:
        self._nv, self._at, self.size = virtual.nv, at, size

    @property
    def address(self) -> int:
        """Where the secure side sees it."""
        return self._nv.address + self._at

    def read(self) -> bytes:
        """All of it."""
        return self._nv.read(self._at, self.size)

    def write(self, content: bytes, at: int = 0) -> None:
        """Change it under the device."""
        self._nv.write(self._at + at, content)

    @contextlib.contextmanager
    def changed(self, at: int, data: bytes) -> Iterator[None]:
        """Other bytes at `at`, for the block."""
        before = self._nv.read(self._at + at, len(data))
        self.write(data, at)
        try:
            yield
        finally:
            self.write(before, at)


class Storage:
    """Protected storage of the device, and its flash. What a test stored is removed at its end."""

    def __init__(self, device: Device, checks: Checks, flash: Flash) -> None:
        self.device, self.checks, self.flash = device, checks, flash
        self._stored: set[int] = set()

    def set(self, uid: int, data: bytes, flags: int = 0) -> tuple[int, EncryptedMessage]:
        """Store an object; where its message lies in the flash, and the message."""
        before = self.flash.read()
        self._stored.add(uid)
        self.device.test_commands.ps_set(uid, data, flags=flags)
        after = self.flash.read()
        new = {
            at: message
            for at, message in messages_in(after).items()
            if before[at : at + message.size] != after[at : at + message.size]
        }
        if len(new) != 1:
            pytest.fail(
                f"storing an object of {len(data)} bytes left {len(new)} new COSE_Encrypt0 messages in the flash"
            )
        return next(iter(new.items()))

    def get(self, uid: int) -> bytes | int:
        """The object, or the status with which it was refused."""
        try:
            return self.device.test_commands.ps_get(uid).data
        except Refused as refused:
            return 0 if refused.status is None else refused.status

    def refused(self, check: Check, uid: int, subject: str) -> bool:
        """Judge that the object is not given, and not passed over as one that never was."""
        seen = self.get(uid)
        shown = f"{len(seen)} bytes: {seen[:24].hex()}" if isinstance(seen, bytes) else f"status {seen}"
        if seen == DOES_NOT_EXIST:
            shown += " (DOES_NOT_EXIST: as if it had never been stored)"
        return self.checks(
            check,
            isinstance(seen, int) and seen in SAID,
            expected="a refusal that says so",
            seen=shown,
            subject=subject,
        )

    def forget(self) -> None:
        """Remove what was stored."""
        for uid in sorted(self._stored):
            with contextlib.suppress(Refused):
                self.device.test_commands.ps_remove(uid)


@pytest.fixture
def flash(bench: Bench, virtual: VirtualBoard) -> Flash:
    """The flash outside of the chip, where the target's memory map says where it is."""
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: how this firmware stores objects is not known")
    nv = virtual.nv
    for region in bench.memory_map.memory:
        if "storage" in region.holds and nv.address <= region.at and region.end <= nv.address + nv.size:
            return Flash(virtual, region.at - nv.address, region.size)
    pytest.skip("not covered: the memory map names no memory that holds `storage` inside the NV area")


@pytest.fixture
def storage(device: Device, checks: Checks, flash: Flash) -> Iterator[Storage]:
    """Protected storage, empty of what this test stored when it ends."""
    found = Storage(device, checks, flash)
    yield found
    found.forget()


def spread(count: int, most: int) -> Sequence[int]:
    """At most so many of 0 to `count` - 1, the ends among them."""
    if count <= most:
        return range(count)
    return sorted({round(n * (count - 1) / (most - 1)) for n in range(most)})


def some_data(seed: int, size: int) -> bytes:
    """Bytes that nothing else holds."""
    return hashlib.shake_128(b"stored object %d" % seed).digest(size)


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


@pytest.mark.needs("nv-access", "known-secrets", "trusted-results")
def test_it_lies_encrypted_in_flash(bench: Bench, storage: Storage, checks: Checks, verifier: Verifier) -> None:
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
def test_many_writes_have_nonces_of_their_own(storage: Storage, verifier: Verifier) -> None:
    """More than a counter of eight bits holds: the ledger of nonces knows the first ones when the last ones come."""
    for number in range(260):
        at, _ = storage.set(A, some_data(number, 16))
        verifier.stored_object(storage.flash.read()[at:], external_aad=object_aad(A), subject=f"write {number}")


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
    bench: Bench, storage: Storage, checks: Checks, virtual: VirtualBoard
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
        checks.equal(READ_BACK, storage.get(A), some_data(3, 16), subject="the last one")


@pytest.mark.thorough
@pytest.mark.needs("nv-access", "cold-reset", "known-secrets")
def test_numbers_of_writes_end_and_do_not_begin_anew(
    bench: Bench, storage: Storage, checks: Checks, virtual: VirtualBoard
) -> None:
    """Behind the highest number there is no nonce that was not used."""
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
        checks.equal(READ_BACK, storage.get(A), some_data(2, 16), subject="the last one")


@pytest.mark.thorough
@pytest.mark.needs("nv-access", "warm-reset", "cold-reset")
def test_it_outlives_resets(storage: Storage, device: Device, checks: Checks) -> None:
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


@pytest.mark.needs("nv-access")
@pytest.mark.parametrize(
    "extent", ["every byte", pytest.param("every bit", marks=pytest.mark.thorough(extent="every byte"))]
)
def test_a_flipped_bit_is_refused(storage: Storage, checks: Checks, extent: str) -> None:
    data = some_data(1, 24)
    at, message = storage.set(A, data)
    whole = storage.flash.read()[at : at + message.size]
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
    checks.equal(READ_BACK, storage.get(A), data, subject="changed back")


@pytest.mark.needs("nv-access", "cold-reset")
def test_an_older_version_is_refused(storage: Storage, checks: Checks, virtual: VirtualBoard) -> None:
    """The whole flash of before; the one object's older message in its newer one's place; before a cold start, too."""
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
            checks.equal(READ_BACK, storage.get(B), some_data(13, 40), subject="the object beside it")
    with virtual.off():
        storage.flash.write(snapshots[1])
    storage.refused(ROLLED_BACK, A, "the whole flash of 2 writes before, after a cold start")
    storage.flash.write(now)
    checks.equal(READ_BACK, storage.get(A), some_data(3, 40), subject="changed back")


@pytest.mark.needs("nv-access")
def test_an_object_stored_anew_is_not_the_one_of_before(storage: Storage, device: Device) -> None:
    """Removed and stored again: the messages of before are as old as any."""
    _, old = storage.set(A, some_data(1, 40))
    before = storage.flash.read()
    at = next(place for place, message in messages_in(before).items() if message.ciphertext == old.ciphertext)
    device.test_commands.ps_remove(A)
    new_at, _ = storage.set(A, some_data(2, 40))
    with storage.flash.changed(new_at, before[at : at + old.size]):
        storage.refused(ROLLED_BACK, A, "the message of before it was removed")


@pytest.mark.needs("nv-access")
def test_another_objects_message_is_refused(storage: Storage, checks: Checks) -> None:
    """Each of two objects of one size in the other's place, and both exchanged."""
    (a_at, a), (b_at, b) = storage.set(A, some_data(1, 40)), storage.set(B, some_data(2, 40))
    content = storage.flash.read()
    a_bytes, b_bytes = content[a_at : a_at + a.size], content[b_at : b_at + b.size]
    with storage.flash.changed(a_at, b_bytes):
        storage.refused(EXCHANGED, A, "another object's message")
        with storage.flash.changed(b_at, a_bytes):
            storage.refused(EXCHANGED, A, "two objects exchanged")
            storage.refused(EXCHANGED, B, "two objects exchanged, the other one")
    checks.equal(READ_BACK, storage.get(A), some_data(1, 40), subject="changed back")


@pytest.mark.needs("nv-access", "known-secrets", "trusted-results")
def test_a_message_under_another_name_is_refused(storage: Storage, bench: Bench, checks: Checks) -> None:
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
        made = head + encrypted(key, nonce, some_data(9, 40), external)
        with storage.flash.changed(at, made):
            if subject == "itself":
                checks.equal(EXCHANGED, storage.get(A), some_data(9, 40), subject="a right message that the host made")
            else:
                storage.refused(EXCHANGED, A, f"made for {subject}")


@pytest.mark.needs("nv-access", "provision", "cold-reset", "known-secrets")
def test_another_boards_flash_is_refused(
    storage: Storage, device: Device, checks: Checks, virtual: VirtualBoard
) -> None:
    """All memory of this board, inside and outside of the chip, on a board with another secret."""
    data = some_data(1, 40)
    storage.set(A, data)
    with virtual.burned(Burned(huk=hashlib.sha256(b"TEST_ONLY another board").digest())):
        storage.refused(OTHER_BOARD, A, "on a board with another secret")
    checks.equal(READ_BACK, storage.get(A), data, subject="on its own board again")
    device.test_commands.ps_set(A, some_data(2, 40))
    checks.equal(READ_BACK, storage.get(A), some_data(2, 40), subject="stored anew")


@pytest.mark.needs("nv-access")
def test_what_is_lost_is_said_and_can_be_stored_anew(storage: Storage, device: Device, checks: Checks) -> None:
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
    bench: Bench, storage: Storage, checks: Checks, virtual: VirtualBoard
) -> None:
    """Whole by its check, and cut: who takes it for none calls what was stored never stored, and uses nonces again."""
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


@pytest.mark.thorough
@pytest.mark.needs("nv-access", "cold-reset", "factory-reset", "provision", "known-secrets")
def test_write_once_and_a_full_store(storage: Storage, device: Device, checks: Checks, virtual: VirtualBoard) -> None:
    """On a board that keeps nothing yet: what is stored for good can not be taken away again."""
    commands = device.test_commands
    secret = hashlib.sha256(b"TEST_ONLY write once").digest()
    with virtual.other_board(Burned(huk=secret)):
        at, message = storage.set(A, b"for good", flags=WRITE_ONCE)
        whole = storage.flash.read()[at : at + message.size]
        checks.equal(READ_BACK, commands.ps_get(A).flags, WRITE_ONCE, subject="flags")
        key, head, nonce = reference_symmetric_key(secret, "storage"), whole[: -len(message.ciphertext)], message.nonce
        assert nonce is not None
        with storage.flash.changed(at, head + encrypted(key, nonce, b"by hosts", object_aad(A))):
            storage.refused(EXCHANGED, A, "made for an object that is not stored for good")
        with storage.flash.changed(at, head + encrypted(key, nonce, b"by hosts", object_aad(A, flags=WRITE_ONCE))):
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
    """As much as is told can be stored, and no more; by a raw call, as no command of the driver tells it."""
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
def test_a_read_gives_what_was_stored_and_nothing_else(bench: Bench, storage: Storage, checks: Checks) -> None:
    """By raw calls: with less room than there is to read, and of an object that was changed, which leaves nothing."""
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
        byte = storage.flash.read()[at + place]
        with storage.flash.changed(at + place, bytes([byte ^ 1])):
            status, left = read(0, 64)
        subject = f"byte {place} of {message.size} changed"
        checks(TAMPERED, status in SAID, expected="a refusal that says so", seen=status, subject=subject)
        checks.equal(TAMPERED, left.hex(), fill.hex(), subject=f"{subject}: what stands where the object would")


@pytest.mark.thorough
@pytest.mark.needs("nv-access", "known-secrets", "trusted-results", "provision", "cold-reset")
def test_the_key_is_the_boards_own_in_every_lifecycle(
    bench: Bench, device: Device, storage: Storage, checks: Checks, verifier: Verifier, virtual: VirtualBoard
) -> None:
    """A key that boards share while they are made or mended opens what they stored then."""
    data = some_data(5, 40)
    with virtual.fuses() as burn:
        for lifecycle in (0x0000, 0x1000, 0x2000, 0x4000, 0x5000, 0x6000):
            burn(Burned(lifecycle=lifecycle))
            at, _ = storage.set(A, data)
            subject = f"lifecycle {lifecycle:#06x}"
            stored = verifier.stored_object(storage.flash.read()[at:], external_aad=object_aad(A), subject=subject)
            checks.equal(ENCRYPTED, stored, data, subject=subject)
            whole = storage.flash.read()[at : at + SECTOR]
            newest, _ = storage.set(A, some_data(6, 40))
            with storage.flash.changed(newest, whole):
                storage.refused(ROLLED_BACK, A, f"the message of the write before, {subject}")
            at, _ = storage.set(A, data)
            with storage.flash.changed(at + 30, bytes([storage.flash.read()[at + 30] ^ 1])):
                storage.refused(TAMPERED, A, f"a bit of it changed, {subject}")
            if not bench.missing(["encrypted-result", "infer"]):
                verifier.encrypted_result(device.infer_input(device.any_input(), encrypted=True), subject=subject)
            storage.forget()


@pytest.mark.needs("nv-access", "cold-reset", "write-stops", "known-secrets", "trusted-results")
@pytest.mark.parametrize("most", [2, pytest.param(12, marks=pytest.mark.thorough(most=2))])
def test_power_cut_in_the_middle_of_a_write(
    storage: Storage, device: Device, checks: Checks, verifier: Verifier, virtual: VirtualBoard, most: int
) -> None:
    """What a cut leaves is the old object or the new one; and no nonce of before is used again, whatever was cut."""
    old, new, later = some_data(1, 40), some_data(2, 40), some_data(3, 40)
    with virtual.keeping():
        words: list[int] = []
        for step in range(2):  # a write goes to one place, the next one to another
            before = virtual.nv.read()
            storage.set(A, some_data(20 + step, 40))
            words += changed_words(before, virtual.nv.read(), virtual.nv.address)
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


def in_flash(storage: Storage, verifier: Verifier, subject: str) -> None:
    """Every message of the object in flash, also one that does not count, with its nonce to the ledger."""
    content = storage.flash.read()
    for at in messages_in(content):
        if verifier.apart().stored_object(content[at:], external_aad=object_aad(A)) is not None:
            verifier.stored_object(content[at:], external_aad=object_aad(A), subject=subject)


def changed_words(before: bytes, after: bytes, base: int) -> list[int]:
    """Addresses of words that differ: the first, the last, and some between of each stretch of 256 bytes."""
    found: list[int] = []
    for page in range(0, len(before), 256):
        if before[page : page + 256] != after[page : page + 256]:
            differ = [at for at in range(page, page + 256, 4) if before[at : at + 4] != after[at : at + 4]]
            found += [base + differ[n] for n in spread(len(differ), 3)]
    return found


def encrypted(key: bytes, nonce: bytes, data: bytes, external: bytes) -> bytes:
    """The ciphertext and tag of a COSE_Encrypt0 with these, made by the host (RFC 9052 s.5.3)."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    structure = b"\x83\x68Encrypt0\x43\xa1\x01\x01" + bytes([0x40 + len(external)]) + external
    return AESGCM(key).encrypt(nonce, data, structure)
