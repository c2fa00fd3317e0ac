"""Protected storage for suites: objects of a device, and the flash in which they lie, as an attacker sees it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pytest

from tfm_harness.coverage import helper_checks
from tfm_harness.findings import Check
from tfm_harness.protocol.smp.answers import Refused
from tfm_harness.verify.stored_objects import MOST_BYTES, messages_in

if TYPE_CHECKING:
    from tfm_harness.bench.device import Device
    from tfm_harness.bench.virtual import VirtualBoard
    from tfm_harness.plugin.bench import Bench
    from tfm_harness.plugin.checks import Checks
    from tfm_harness.verify.cose_encrypt0 import EncryptedMessage

__all__ = ["StorageFlash", "StoredObjects", "storage_flash"]

_DOES_NOT_EXIST: Final = -140


class StorageFlash:
    """The flash outside of the chip, which an attacker reads and writes."""

    def __init__(self, virtual: VirtualBoard, at: int, size: int) -> None:
        self._nv, self._at, self.size = virtual.nv, at, size

    @property
    def address(self) -> int:
        """Where the secure side sees it."""
        return self._nv.address + self._at

    def read(self, at: int = 0, most: int | None = None) -> bytes:
        """What it holds from `at` on, at most `most` bytes (default: to the end)."""
        rest = self.size - at
        return self._nv.read(self._at + at, rest if most is None else min(most, rest))

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


class StoredObjects:
    """Protected storage of the device, and its flash. Needs ``protected-storage`` and ``nv-access``.

    Attributes:
        READ_BACK, TAMPERED, EXCHANGED, ROLLED_BACK: checks that are made of it.
        SAID: what psa_ps_get may say of damage: GENERIC_ERROR, STORAGE_FAILURE, INVALID_SIGNATURE, DATA_CORRUPT
            (PSA Secure Storage API).
    """

    READ_BACK: Final = helper_checks.OBJECT_READ_BACK
    TAMPERED: Final = helper_checks.OBJECT_TAMPERED
    EXCHANGED: Final = helper_checks.OBJECT_EXCHANGED
    ROLLED_BACK: Final = helper_checks.OBJECT_ROLLED_BACK
    SAID: Final = frozenset({-132, -146, -149, -152})

    def __init__(self, device: Device, checks: Checks, flash: StorageFlash) -> None:
        self.device, self.checks, self.flash = device, checks, flash
        self._stored: set[int] = set()

    @staticmethod
    def some_data(seed: int, size: int) -> bytes:
        """Bytes that nothing else holds."""
        return hashlib.shake_128(b"stored object %d" % seed).digest(size)

    @staticmethod
    def encrypted(key: bytes, nonce: bytes, data: bytes, external: bytes) -> bytes:
        """The ciphertext and tag of a COSE_Encrypt0 with these, made by the host (RFC 9052 s.5.3)."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        structure = b"\x83\x68Encrypt0\x43\xa1\x01\x01" + bytes([0x40 + len(external)]) + external
        return AESGCM(key).encrypt(nonce, data, structure)

    def set(self, uid: int, data: bytes, flags: int = 0) -> tuple[int, EncryptedMessage]:
        """Store an object; where its message lies in the flash, and the message."""
        before = self.flash.read()
        self._stored.add(uid)
        self.device.test_commands.ps_set(uid, data, flags=flags)
        after = self.flash.read()
        new = _changed_messages(before, after)
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

    def reads(self, uid: int, data: bytes, subject: str) -> None:
        """Judge that the object is read as this."""
        self.checks.equal(self.READ_BACK, self.get(uid), data, subject=subject)

    def refused(self, check: Check, uid: int, subject: str) -> bool:
        """Judge that the object is not given, and not passed over as one that never was."""
        seen = self.get(uid)
        shown = f"{len(seen)} bytes: {seen[:24].hex()}" if isinstance(seen, bytes) else f"status {seen}"
        if seen == _DOES_NOT_EXIST:
            shown += " (DOES_NOT_EXIST: as if it had never been stored)"
        return self.checks(
            check,
            isinstance(seen, int) and seen in self.SAID,
            expected="a refusal that says so",
            seen=shown,
            subject=subject,
        )

    def forget(self) -> None:
        """Remove what `set` stored."""
        for uid in sorted(self._stored):
            with contextlib.suppress(Refused):
                self.device.test_commands.ps_remove(uid)


def _changed_messages(before: bytes, after: bytes) -> dict[int, EncryptedMessage]:
    """The messages of which any byte changed, by their offsets. Only what is near a change is read."""
    blocks = range(0, len(after), MOST_BYTES)
    differ = [at for at in blocks if before[at : at + MOST_BYTES] != after[at : at + MOST_BYTES]]
    if not differ:
        return {}
    first = max(0, differ[0] - MOST_BYTES)
    found = messages_in(after[first : differ[-1] + 2 * MOST_BYTES])
    return {
        first + at: message
        for at, message in found.items()
        if before[first + at : first + at + message.size] != after[first + at : first + at + message.size]
    }


def storage_flash(bench: Bench, virtual: VirtualBoard) -> StorageFlash | None:
    """The flash for stored objects, where the memory map says where it is; None where it does not say it."""
    nv = virtual.nv
    for region in bench.memory_map.memory:
        if "storage" in region.holds and nv.address <= region.at and region.end <= nv.address + nv.size:
            return StorageFlash(virtual, region.at - nv.address, region.size)
    return None
