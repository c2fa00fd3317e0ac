"""Packed signatures tell of a repeated r what the ledger tells of signatures one at a time."""

from __future__ import annotations

import copy
import pickle

from hypothesis import given
from hypothesis import strategies as st
from tfm_harness.cli.packed_signatures import ManySignatures, PackedSignatures
from tfm_harness.verify.algorithms import ALGORITHMS
from tfm_harness.verify.signatures import SignatureLedger, SignatureRecord


def record(key: int, r: int, digest: int, algorithm: int, where: str) -> SignatureRecord:
    kind = ALGORITHMS[algorithm]
    half = kind.size // 2
    return SignatureRecord(
        bytes([key]) * 32, bytes([r]) * half, where.encode().ljust(half, b"s"),
        bytes([digest]) * kind.hash.digest_size, algorithm, where,
    )  # fmt: skip


_FEW = st.integers(0, 2)
_SIGNATURES = st.lists(st.tuples(_FEW, _FEW, _FEW), max_size=24)


@given(signatures=_SIGNATURES, chunk=st.integers(1, 8))
def test_as_the_ledger_tells_it(signatures: list[tuple[int, int, int]], chunk: int) -> None:
    """A key has one algorithm."""
    algorithms = (-7, -35, -36)
    records = [record(k, r, d, algorithms[k], f"file {n}") for n, (k, r, d) in enumerate(signatures)]
    ledger = SignatureLedger()
    wanted = [reuse for one in records if (reuse := ledger.add(one)) is not None]
    many = ManySignatures([one.where for one in records])
    found = []
    for start in range(0, len(records), chunk):
        packed = PackedSignatures()
        for number, one in enumerate(records[start : start + chunk], start):
            packed.add(one, number)
        found += many.add(pickle.loads(pickle.dumps(packed)))
    assert found == wanted
    assert len(many) == len(ledger)


def test_one_r_over_two_messages_and_over_the_same_one() -> None:
    same, other, later = (record(1, 1, digest, -7, name) for digest, name in ((1, "a"), (2, "b"), (1, "c")))
    packed = PackedSignatures()
    for number, one in enumerate((same, other, later)):
        packed.add(one, number)
    found = ManySignatures(["a", "b", "c"]).add(copy.deepcopy(packed))
    assert [(reuse.first.where, reuse.second.where) for reuse in found] == [("a", "b")]
    assert found[0].second == other
