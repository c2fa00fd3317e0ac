"""Relations across several attestation tokens: what no single token can show."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from tfm_harness.findings import Report
from tfm_harness.verify.cbor import CborValue
from tfm_harness.verify.checks import attestation as check
from tfm_harness.verify.judge import Judge
from tfm_harness.verify.keys import PublicKey
from tfm_harness.verify.signatures import SignatureLedger, check_signatures, record_signature
from tfm_harness.verify.token import PsaToken

__all__ = ["LEAST_SEEDS", "TokenObservation", "check_token_relations", "seed_problem"]

LEAST_SEEDS = 5
"""The fewest boots with which the randomness of boot seeds is judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenObservation:
    """One token and the circumstances the host knows.

    Attributes:
        token: as judged by `verify_psa_token`.
        challenge: what was sent.
        board: which board.
        boot: which boot of it; another value after each reset.
        caller: who asked, ``non-secure`` or a secure partition's name.
        build: which firmware; tokens of different builds may differ in components.
    """

    token: PsaToken
    challenge: bytes
    board: str = "board"
    boot: str | int = 0
    caller: str = "non-secure"
    build: str = ""


def check_token_relations(
    observations: Sequence[TokenObservation], report: Report, *, ledger: SignatureLedger | None = None
) -> None:
    """Judge tokens together: nonces, boot seeds, identity over resets and between boards.

    Only relations for which there are tokens are judged: two challenges for
    ``nonces-differ``, two boots for ``boot-seed-new-boot`` (unless no token has a boot seed, which is
    optional), two boards for ``boards-differ``.
    """
    judge = Judge(report)
    _check_nonces(observations, judge)
    boards: dict[str, list[TokenObservation]] = defaultdict(list)
    for seen in observations:
        boards[seen.board].append(seen)
    for board in boards.values():
        _check_within_boots(board, judge)
        _check_over_boots(board, judge)
    if len(boards) > 1:
        _check_boards(boards, judge)
    signed = [
        (record_signature(o.token.message, o.token.key, where=f"token of {o.board}, boot {o.boot}"), o.token.key)
        for o in observations
        if o.token.message is not None and isinstance(o.token.key, PublicKey)
    ]
    if signed:
        check_signatures(signed, report, ledger=ledger)


def _check_nonces(observations: Sequence[TokenObservation], judge: Judge) -> None:
    problems = []
    compared = 0
    for a, b in combinations(observations, 2):
        if a.challenge == b.challenge:
            continue
        compared += 1
        if a.token.nonce is None or a.token.nonce == b.token.nonce or a.token.raw == b.token.raw:
            problems.append(f"challenges {a.challenge.hex()[:16]} and {b.challenge.hex()[:16]}")
    if compared:
        judge.judge(
            check.NONCES_DIFFER, not problems, expected="different nonces",
            seen=f"the same nonce or token for {'; '.join(problems[:4])}",
        )  # fmt: skip


def _other_claims(token: PsaToken) -> dict[str, CborValue]:
    """All claims but the nonce, by label, in a comparable form."""
    nonce = token.profile.labels["nonce"] if token.profile else None
    return {repr(label): value for label, value in token.claims.items() if label != nonce}


def _check_within_boots(board: Sequence[TokenObservation], judge: Judge) -> None:
    boots: dict[str | int, list[TokenObservation]] = defaultdict(list)
    for seen in board:
        boots[seen.boot].append(seen)
    changed: list[str] = []
    seeds: list[str] = []
    compared = seeds_compared = 0
    for boot, group in boots.items():
        for a, b in combinations(group, 2):
            seeds_compared += 1
            if a.token.boot_seed != b.token.boot_seed:
                seeds.append(f"boot {boot}: {_hex(a.token.boot_seed)} and {_hex(b.token.boot_seed)}")
            if a.caller != b.caller or a.build != b.build:
                continue
            compared += 1
            first, second = _other_claims(a.token), _other_claims(b.token)
            differing = [label for label in first.keys() | second.keys() if first.get(label) != second.get(label)]
            if differing:
                changed.append(f"boot {boot}: claims {', '.join(sorted(differing))}")
    where = board[0].board
    if compared:
        judge.judge(
            check.ONLY_NONCE_DIFFERS, not changed, expected="the same claims but the nonce",
            seen="; ".join(changed[:4]), where=where,
        )  # fmt: skip
    if seeds_compared:
        judge.judge(check.SEED_WITHIN_BOOT, not seeds, expected="one boot seed", seen="; ".join(seeds[:4]), where=where)


def _check_over_boots(board: Sequence[TokenObservation], judge: Judge) -> None:
    firsts = list({seen.boot: seen for seen in reversed(board)}.values())[::-1]
    if len(firsts) < 2:
        return
    where = firsts[0].board
    seeds = [seen.token.boot_seed for seen in firsts]
    repeated = [_hex(seed) for index, seed in enumerate(seeds) if seed is None or seed in seeds[:index]]
    if any(seed is not None for seed in seeds):  # the claim is optional (RFC 9783 s.4.3.2)
        judge.judge(
            check.SEED_NEW_BOOT, not repeated, expected=f"{len(seeds)} different boot seeds",
            seen=f"again {', '.join(repeated[:4])}", where=where,
        )  # fmt: skip
    known_seeds = [seed for seed in seeds if seed is not None]
    if len(known_seeds) >= LEAST_SEEDS:
        problem = seed_problem(known_seeds)
        judge.judge(check.SEED_ENTROPY, not problem, expected="random bytes", seen=problem, where=where)
    identities = {(_hex(seen.token.instance_id), _thumbprint(seen.token)) for seen in firsts}
    judge.judge(
        check.INSTANCE_STABLE, len(identities) == 1, expected="one instance id and key",
        seen="; ".join(" by ".join(pair) for pair in sorted(identities))[:300], where=where,
    )  # fmt: skip
    for build in {seen.build for seen in firsts}:
        same = [seen.token for seen in firsts if seen.build == build]
        shown = {repr((t.implementation_id, t.certification_reference, t.get("software_components"))): t for t in same}
        if len(same) > 1:
            judge.judge(
                check.IDENTITY_STABLE, len(shown) == 1, expected="the same over resets",
                seen=f"{len(shown)} different sets", where=where,
            )  # fmt: skip


def seed_problem(seeds: Sequence[bytes]) -> str:
    """A description of what shows that boot seeds are not random in every byte; empty when nothing shows it.

    A random byte is the same in five seeds with a chance of 2^-32; two random seeds of 8 * n bits differ in
    4 * n bits, give or take 8 standard deviations of sqrt(2 * n).
    """
    size = min(map(len, seeds))
    stuck = [at for at in range(size) if len({seed[at] for seed in seeds}) == 1]
    if stuck:
        return f"{len(stuck)} of {size} bytes are the same in {len(seeds)} boots, the first at {stuck[0]}"
    margin = 8 * math.sqrt(2 * size)
    for number, (one, other) in enumerate(pairwise(seeds)):
        distance = (int.from_bytes(one[:size], "big") ^ int.from_bytes(other[:size], "big")).bit_count()
        if abs(distance - 4 * size) > margin:
            return f"seeds {number} and {number + 1} differ in {distance} of {8 * size} bits"
    return ""


def _check_boards(boards: dict[str, list[TokenObservation]], judge: Judge) -> None:
    problems: list[str] = []
    for (one, first), (two, second) in combinations(boards.items(), 2):
        for what, show in _IDENTITIES:
            shared = {show(s.token) for s in first} & {show(s.token) for s in second} - {"none"}
            if shared:
                problems.append(f"{one} and {two} share {what} {min(shared)[:32]}")
    judge.judge(check.BOARDS_DIFFER, not problems, expected="nothing shared", seen="; ".join(problems[:6]))


def _thumbprint(token: PsaToken) -> str:
    return token.key.thumbprint.hex() if token.key else "none"


def _hex(value: bytes | None) -> str:
    return "none" if value is None else value.hex()


_IDENTITIES: tuple[tuple[str, Callable[[PsaToken], str]], ...] = (
    ("key", _thumbprint),
    ("instance id", lambda token: _hex(token.instance_id)),
    ("boot seed", lambda token: _hex(token.boot_seed)),
)
