"""Relations between keys of a run: equal over resets, different between boards and roles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from tfm_harness.findings import Report
from tfm_harness.verify.checks import keys as check
from tfm_harness.verify.judge import Judge
from tfm_harness.verify.keyfiles import parse_public_key
from tfm_harness.verify.keys import KeyFormatError, PublicKey, VerificationKey

__all__ = ["KeyObservation", "check_device_key", "check_key_relations"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyObservation:
    """One public key as a board showed it; `role` is ``iak``, ``result``, ``client`` or a vendor's."""

    key: VerificationKey
    role: str
    board: str = "board"
    boot: str | int = 0


def check_device_key(
    data: bytes, *, expected: PublicKey | None = None, report: Report, subject: str = ""
) -> PublicKey | None:
    """Judge a public key that a device showed (COSE_Key, PEM, DER or a point).

    Returns:
        The key; None when the bytes are no public key. A private or symmetric key is refused.
    """
    judge = Judge(report, subject)
    try:
        key = parse_public_key(data)
    except KeyFormatError as error:
        judge.failed(check.KEY_VALID, expected=error.expected or "a public key on its curve", seen=_problem(error))
        return None
    judge.passed(check.KEY_VALID)
    judge.judge(check.KEY_DUMMY, key.published_as is None, expected="a key of the board's own", seen=key.published_as)
    if expected is not None:
        judge.judge(check.KEY_EXPECTED, key == expected, expected=expected, seen=key)
    return key


def _problem(error: KeyFormatError) -> str:
    return f"{error.message}: {error.seen}" if error.seen else error.message


def check_key_relations(observations: Sequence[KeyObservation], report: Report) -> None:
    """Judge keys together; relations for which there is only one key are not judged."""
    judge = Judge(report)
    seen: dict[str, dict[str, dict[str | int, set[bytes]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(set)))
    for item in observations:
        seen[item.board][item.role][item.boot].add(item.key.thumbprint)
    changed: list[str] = []
    stable = roles = False
    shared_roles: list[str] = []
    for board, by_role in seen.items():
        for role, by_boot in by_role.items():
            stable = stable or sum(len(x) for x in by_boot.values()) > 1 or len(by_boot) > 1
            every = set().union(*by_boot.values())
            if len(every) > 1:
                changed.append(f"{board} {role}: {', '.join(sorted(t.hex()[:16] for t in every))}")
        for one, two in combinations(by_role, 2):
            roles = True
            if set().union(*by_role[one].values()) & set().union(*by_role[two].values()):
                shared_roles.append(f"{board}: {one} and {two}")
    if stable:
        judge.judge(check.KEY_STABLE, not changed, expected="one key for each role", seen="; ".join(changed[:5]))
    if roles:
        judge.judge(
            check.KEY_ROLES_DIFFER, not shared_roles, expected="a key for each role", seen="; ".join(shared_roles[:5])
        )
    _check_boards(observations, judge)


def _check_boards(observations: Sequence[KeyObservation], judge: Judge) -> None:
    owners: dict[bytes, set[str]] = defaultdict(set)
    for item in observations:
        owners[item.key.thumbprint].add(item.board)
    if len({item.board for item in observations}) > 1:
        shared = [f"{' and '.join(sorted(b))} share {t.hex()[:16]}" for t, b in owners.items() if len(b) > 1]
        judge.judge(check.KEY_BOARDS_DIFFER, not shared, expected="nothing shared", seen="; ".join(shared[:5]))
