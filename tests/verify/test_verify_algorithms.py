"""The curves' numbers, held against what another library computes with them."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tfm_harness.verify.algorithms import CURVES, Curve


@pytest.mark.parametrize("curve", CURVES.values(), ids=lambda curve: curve.name)
def test_the_order_is_the_groups(curve: Curve) -> None:
    # (n - 1) * G = -G: the same x, the other y (SEC 1 s.2.2.1).
    one, last = (
        ec.derive_private_key(number, curve.implementation).public_key().public_numbers()
        for number in (1, curve.order - 1)
    )
    assert (one.x, one.y) != (last.x, last.y)
    assert one.x == last.x
    assert int.from_bytes(curve.order_bytes, "big") == curve.order
    assert len(curve.order_bytes) == len(curve.zero_bytes) == curve.size == -(-curve.implementation.key_size // 8)
