"""Tokens together: nonces, boot seeds over resets, identity, two boards."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tfm_harness.findings import Report
from tfm_harness.verify.keys import PublicKey
from tfm_harness.verify.relations import LEAST_SEEDS, TokenObservation, check_token_relations, seed_problem
from tfm_harness.verify.token import verify_psa_token

from tests.verify.verify_kit import (
    KEY,
    OTHER_KEY,
    TEST_ONLY_OTHER_P256,
    TEST_ONLY_P256,
    broken,
    enc,
    held,
    message,
    rfc_claims,
)


def challenge(number: int) -> bytes:
    return hashlib.sha256(b"challenge %d" % number).digest()


def seed(board: str, boot: int) -> bytes:
    return hashlib.sha256(f"seed of {board} {boot}".encode()).digest()


def observe(
    number: int,
    *,
    board: str = "a",
    boot: int = 0,
    caller: str = "non-secure",
    sent: bytes | None = None,
    **changes: Any,
) -> TokenObservation:
    private, key = (TEST_ONLY_P256, KEY) if board == "a" else (TEST_ONLY_OTHER_P256, OTHER_KEY)
    claims = rfc_claims(key, challenge(number)) | {268: seed(board, boot)}
    for name, value in changes.items():
        claims[int(name.removeprefix("c"))] = value
    report = Report()
    token = verify_psa_token(message(enc(claims), key=private), keys=key, report=report)
    assert token.verified
    return TokenObservation(token=token, challenge=sent or challenge(number), board=board, boot=boot, caller=caller)


def judge(*observations: TokenObservation) -> Report:
    report = Report()
    check_token_relations(observations, report)
    return report


def test_right_tokens_of_two_boards_over_resets_pass() -> None:
    report = judge(
        observe(1),
        observe(2),
        observe(3, boot=1),
        observe(4, boot=1),
        observe(5, board="b"),
        observe(6, board="b", boot=1),
    )
    assert report.ok, report.failed
    assert held(report) == {
        "attestation.nonces-differ",
        "attestation.only-nonce-differs",
        "attestation.boot-seed-within-boot",
        "attestation.boot-seed-new-boot",
        "attestation.instance-stable",
        "attestation.identity-stable",
        "attestation.boards-differ",
        "result.ecdsa-nonce-reuse",
    }


BROKEN = {
    "the same nonce for two challenges": ([observe(1), observe(1, sent=challenge(2))], "attestation.nonces-differ"),
    "another claim changes": ([observe(1), observe(2, c2395=0x3001)], "attestation.only-nonce-differs"),
    "a claim appears": ([observe(1), observe(2, c4711=1)], "attestation.only-nonce-differs"),
    "seed changes within a boot": ([observe(1), observe(2, c268=bytes(32))], "attestation.boot-seed-within-boot"),
    "seed constant over a reset": (
        [observe(1), observe(2, boot=1, c268=seed("a", 0))],
        "attestation.boot-seed-new-boot",
    ),
    "seed of an earlier boot again": (
        [observe(1), observe(2, boot=1), observe(3, boot=2, c268=seed("a", 0))],
        "attestation.boot-seed-new-boot",
    ),
    "instance id changes over a reset": (
        [observe(1), observe(2, boot=1, c256=b"\x01" + bytes(32))],
        "attestation.instance-stable",
    ),
    "components change over a reset": (
        [observe(1), observe(2, boot=1, c2399=[{2: bytes(32), 5: bytes(32)}])],
        "attestation.identity-stable",
    ),
    "two boards share a seed": ([observe(1), observe(2, board="b", c268=seed("a", 0))], "attestation.boards-differ"),
    "two boards share an instance id": (
        [observe(1), observe(2, board="b", c256=KEY.instance_id)],
        "attestation.boards-differ",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_relations_are_found(name: str) -> None:
    observations, expected = BROKEN[name]
    assert expected in broken(judge(*observations))


def test_boards_with_one_key_are_found() -> None:
    one, two = observe(1), observe(2)
    clone = TokenObservation(token=two.token, challenge=two.challenge, board="clone", boot=5)
    assert "attestation.boards-differ" in broken(judge(one, clone))


def test_another_caller_may_differ_in_the_client_id() -> None:
    report = judge(observe(1), observe(2, caller="partition", c2394=7))
    assert report.ok
    assert "attestation.only-nonce-differs" not in held(report)
    assert "attestation.boot-seed-within-boot" in held(report)


def test_nothing_to_compare_is_no_pass() -> None:
    report = judge()
    assert not report.findings
    assert not report.ok
    assert held(judge(observe(1))) == {"result.ecdsa-nonce-reuse"}


def test_a_missing_seed_is_not_a_new_one() -> None:
    with_seed, without = observe(1), observe(2, boot=1, c268=None)
    assert without.token.boot_seed is None
    assert "attestation.boot-seed-new-boot" in broken(judge(with_seed, without))


def test_a_board_that_shows_no_seed_at_all_is_not_blamed_for_an_old_one() -> None:
    report = judge(observe(1, c268=None), observe(2, boot=1, c268=None))
    assert report.ok, report.failed
    assert "attestation.boot-seed-new-boot" not in held(report)


def seeds_over(values: list[bytes]) -> Report:
    return judge(*(observe(n, boot=n, c268=value) for n, value in enumerate(values)))


def test_random_seeds_pass() -> None:
    assert "attestation.boot-seed-entropy" in held(seeds_over([seed("a", n) for n in range(LEAST_SEEDS)]))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("one byte varies", [bytes([n]) + bytes(31) for n in range(6)]),
        ("one byte is stuck", [b"\x11" + seed("a", n)[1:] for n in range(6)]),
        ("a counter", [(0x1F5E << 240 | n).to_bytes(32, "big") for n in range(6)]),
        (
            "one and its complement",
            [seed("a", 1) if n % 2 else bytes(x ^ 0xFF for x in seed("a", 1)) for n in range(6)],
        ),
        ("a few bits", [bytes(a & 0x07 for a in seed("a", n)) for n in range(6)]),
    ],
)
def test_seeds_that_are_not_random_are_found(name: str, values: list[bytes]) -> None:
    assert "attestation.boot-seed-entropy" in broken(seeds_over(values)), name


def test_few_boots_are_not_judged() -> None:
    report = seeds_over([bytes([n]) + bytes(31) for n in range(LEAST_SEEDS - 1)])
    assert "attestation.boot-seed-entropy" not in broken(report) | held(report)


def test_a_finding_stays_short_however_many_keys_are_trusted() -> None:
    keys = [PublicKey.from_handle(ec.derive_private_key(n, ec.SECP256R1()).public_key()) for n in range(2, 40)]
    claims = {label: value for label, value in rfc_claims().items() if label != 256}  # it names no key
    report = Report()
    assert not verify_psa_token(message(enc(claims), key=TEST_ONLY_P256), keys=keys, report=report).verified
    assert max(len(finding.expected or "") for finding in report) == 300
    assert max(len(finding.seen or "") for finding in report) <= 300


def test_so_many_differences_are_shown_as_one_can_read() -> None:
    tokens = [observe(n, c268=seed("a", n), c2394=n) for n in range(9)]
    seen = {finding.id: finding.seen.count("; ") for finding in judge(*tokens).failed}
    assert seen == {"attestation.boot-seed-within-boot": 3, "attestation.only-nonce-differs": 3}


def test_seeds_differ_in_half_of_their_bits_give_or_take_eight_deviations() -> None:
    """Of 256 bits 128, give or take 64; every byte differs, so that none is stuck."""
    for bits, right in ((63, False), (64, True), (65, True), (128, True), (191, True), (192, True), (193, False)):
        each, more = divmod(bits, 32)
        other = bytes((1 << each + (at < more)) - 1 for at in range(32))
        assert other.hex().count("0" * 2) == 0
        assert (seed_problem([bytes(32), other]) == "") == right, bits
