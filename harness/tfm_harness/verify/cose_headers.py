"""The header buckets of a COSE message (RFC 9052 s.3): what they may hold, and the algorithm they name."""

from __future__ import annotations

from tfm_harness.verify import cbor
from tfm_harness.verify.algorithms import ALGORITHMS, Algorithm, describe
from tfm_harness.verify.checks import envelope as check
from tfm_harness.verify.cose_message import MAC0, CoseMessage
from tfm_harness.verify.judge import Judge

__all__ = ["check_buckets", "check_headers"]

_UNDERSTOOD = frozenset({1, 3, 4})
"""Header labels that may be named in crit: algorithm, content type, key id."""
_HEADER_RULES = (check.HEADER_LABELS, check.LABEL_ONCE, check.HEADER_VALUES, check.CRIT)


def check_headers(
    message: CoseMessage, judge: Judge, *, algorithms: frozenset[int] = frozenset(ALGORITHMS)
) -> Algorithm | None:
    """Judge both header buckets; the algorithm to verify with, or None."""
    protected, unprotected = message.protected, message.unprotected
    if not unprotected and len(protected) == 1 and type(protected.get(1)) is int:
        judge.passed_all(_HEADER_RULES)  # the headers hold only an algorithm: no rule can be broken
    else:
        check_buckets(protected, unprotected, judge)
    if 1 not in protected:
        seen = f"{describe(unprotected[1])} unprotected" if 1 in unprotected else "none"
        judge.failed(check.ALG_PROTECTED, expected="alg (1) in the protected header", seen=seen)
        return None
    judge.passed(check.ALG_PROTECTED)
    number = protected[1]
    algorithm = ALGORITHMS.get(number) if type(number) is int and number in algorithms else None
    if algorithm is None or algorithm.is_mac != (message.tag == MAC0):
        allowed = [a.name for n, a in ALGORITHMS.items() if n in algorithms and a.is_mac == (message.tag == MAC0)]
        kind = "COSE_Mac0" if message.tag == MAC0 else "COSE_Sign1"
        judge.failed(check.ALG_ALLOWED, expected=f"{' or '.join(allowed)} in a {kind}", seen=describe(number))
        return None
    judge.passed(check.ALG_ALLOWED)
    return algorithm


def check_buckets(
    protected: dict[int | str | bytes, cbor.CborValue],
    unprotected: dict[int | str | bytes, cbor.CborValue],
    judge: Judge,
) -> None:
    """Judge all parameters of the two buckets except the algorithm."""
    bad = [label for bucket in (protected, unprotected) for label in bucket if isinstance(label, bytes)]
    judge.judge(check.HEADER_LABELS, not bad, expected="integer or text", seen=f"byte string label(s) {bad}"[:120])
    if unprotected:
        twice = [label for label in protected if label in unprotected]
        judge.judge(check.LABEL_ONCE, not twice, expected="one bucket each", seen=f"label(s) {twice} in both"[:120])
    else:
        judge.passed(check.LABEL_ONCE)
    problem = _header_values(protected) or _header_values(unprotected)
    if not problem and len({5, 6} & {*protected, *unprotected}) == 2:
        problem = "IV and Partial IV together"
    judge.judge(check.HEADER_VALUES, not problem, expected="the types of RFC 9052 s.3.1", seen=problem)
    _check_crit(protected, unprotected, judge)


def _header_values(bucket: dict[int | str | bytes, cbor.CborValue]) -> str:
    """What is wrong with a bucket's common parameters, or an empty text."""
    for label, value in bucket.items():
        if label == 1 and not (type(value) is int or isinstance(value, str)):
            return "alg (1) is neither integer nor text"
        if label == 3 and not ((type(value) is int and value >= 0) or isinstance(value, str)):
            return "content type (3) is neither unsigned integer nor text"
        if label in {4, 5, 6} and not isinstance(value, bytes):
            return f"label {label!r} is no byte string"
    return ""


def _check_crit(
    protected: dict[int | str | bytes, cbor.CborValue],
    unprotected: dict[int | str | bytes, cbor.CborValue],
    judge: Judge,
) -> None:
    problem = ""
    if 2 in unprotected:
        problem = "crit in the unprotected header"
    elif 2 in protected:
        labels = protected[2]
        if not isinstance(labels, list) or not labels:
            problem = "crit is no array, or an empty one"
        else:
            for label in labels:
                known = type(label) is int or isinstance(label, str)
                if not known or label not in protected:
                    problem = f"crit names {label!r}, which is not in the protected header"[:120]
                elif label not in _UNDERSTOOD:
                    problem = f"crit names {label!r}, which is not understood"[:120]
    judge.judge(check.CRIT, not problem, expected="no crit, or one that is understood", seen=problem)
