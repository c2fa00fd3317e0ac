"""Signatures of many messages in few objects: they go from process to process, and a million of them stay in memory.

What `SignatureLedger` tells of signatures one at a time, `ManySignatures` tells of those of many messages at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tfm_harness.verify.algorithms import ALGORITHMS
from tfm_harness.verify.signatures import Reuse, SignatureRecord

__all__ = ["ManySignatures", "PackedSignatures"]

_Group = tuple[bytes, int]
"""A key's thumbprint and the COSE number of its algorithm."""
_PLACE = 8
"""Bytes of a message's number, big endian, at the beginning of a packed signature; its digest and s follow."""


@dataclass(slots=True)
class PackedSignatures:
    """Signatures that one process verified.

    Attributes:
        firsts: the first signature with each r, by key and r.
        again: signatures whose r is also that of an earlier one of these.
    """

    firsts: dict[_Group, dict[bytes, bytes]] = field(default_factory=dict)
    again: list[tuple[_Group, bytes, bytes]] = field(default_factory=list)

    def add(self, record: SignatureRecord, number: int) -> None:
        """Take the signature of the message with that number."""
        group = record.key, record.algorithm
        packed = number.to_bytes(_PLACE, "big") + record.digest + record.s
        firsts = self.firsts.get(group)
        if firsts is None:
            firsts = self.firsts[group] = {}
        if firsts.setdefault(record.r, packed) is not packed:
            self.again.append((group, record.r, packed))


class ManySignatures:
    """All signatures by key and r. Tells when the same r was used for another message.

    Args:
        names: of the messages, by their number.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._seen: dict[_Group, dict[bytes, bytes]] = {}

    def add(self, packed: PackedSignatures) -> list[Reuse]:
        """Remember these (`packed` is used up); those with an earlier one's r over another message, in their order."""
        twice = list(packed.again)
        for group, found in packed.firsts.items():
            seen = self._seen.setdefault(group, {})
            twice += [(group, r, found.pop(r)) for r in seen.keys() & found.keys()]
            seen.update(found)
        reuses = []
        for group, r, later in sorted(twice, key=lambda one: one[2]):
            first, second = (self._record(group, r, one) for one in (self._seen[group][r], later))
            if first.digest != second.digest:
                reuses.append(Reuse(first, second))
        return reuses

    def __len__(self) -> int:
        return sum(map(len, self._seen.values()))

    def _record(self, group: _Group, r: bytes, packed: bytes) -> SignatureRecord:
        key, number = group
        end = _PLACE + ALGORITHMS[number].hash.digest_size
        name = self._names[int.from_bytes(packed[:_PLACE], "big")]
        return SignatureRecord(key, r, packed[end:], packed[_PLACE:end], number, name)
