"""Verifies the attestation results of a bundle, and derives them once more from the bundle's raw evidence."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

from tfm_harness.evidence import checks as check
from tfm_harness.evidence.dsse import SigningKey
from tfm_harness.evidence.ear import DIALECTS, Dialect, Ear, Vector
from tfm_harness.evidence.opened import OpenedBundle
from tfm_harness.evidence.policies import policy_named
from tfm_harness.evidence.results_file import SUFFIXES, Form, board_vectors, document_name
from tfm_harness.findings import Report
from tfm_harness.report.record import RunRecord
from tfm_harness.trust.kept import KeptItem
from tfm_harness.verify.algorithms import ALGORITHMS
from tfm_harness.verify.cbor import CborError, decode
from tfm_harness.verify.cose import verifies, verify_cose
from tfm_harness.verify.keys import PublicKey

__all__ = ["boards_of", "judge_results"]

_ES256 = ALGORITHMS[-7]
_Board = tuple[Vector, bytes, bytes]
"""A board's vector, its token and the token's challenge."""


def boards_of(run: RunRecord, items: Iterable[KeptItem]) -> dict[str, _Board]:
    """The vector, token and challenge of each board, by the name of its document without the form's ending."""
    by_combination: dict[str, list[KeptItem]] = {}
    for item in items:
        by_combination.setdefault(item.combination, []).append(item)
    policies = {one.name: policy_named(one.policy) for one in run.combinations}
    return {
        document_name(board, combination): found
        for combination, held in by_combination.items()
        if combination in policies
        for board, found in board_vectors(held, policies[combination]).items()
    }


def judge_results(
    bundle: OpenedBundle, run: RunRecord, items: Iterable[KeptItem], keys: Mapping[str, SigningKey], report: Report
) -> int:
    """Verify each attestation result, and compare it with the one that is derived from the evidence now.

    Args:
        bundle: the bundle; its digests hold.
        items: the bundle's raw evidence.
        keys: the keys of those who may have signed.
        report: gets the findings.

    Returns:
        The number of results that were judged.
    """
    documents = bundle.by_role("attestation result")
    if not documents:
        return 0
    trusted = [key for key in keys.values() if isinstance(key, PublicKey) and key.curve.name == "P-256"]
    boards = boards_of(run, items)
    for path, read in documents.items():
        seen = _problem(path.removeprefix("documents/"), read(), boards, trusted)
        report.add(
            check.RESULTS_AGAIN, not seen, expected="the result that follows from the bundle's evidence", seen=seen,
            where=path,
        )  # fmt: skip
    return len(documents)


def _problem(name: str, data: bytes, boards: Mapping[str, _Board], keys: list[PublicKey]) -> str:
    """What is wrong with a result, in words; empty when it holds."""
    form = next((one for one, ending in SUFFIXES.items() if name.endswith(ending)), None)
    board = boards.get(name.removesuffix(SUFFIXES[form])) if form is not None else None
    if form is None or board is None:
        return "a result for which there is no evidence"
    try:
        claims = _cwt(data, keys) if form == "draft-cwt" else _jwt(data, keys)
        if claims is None:
            return "its signature does not verify with a given key"
        said = _claims(claims, form, *board)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, CborError) as error:
        return f"no attestation result: {type(error).__name__}: {error}"
    return "" if said == claims else "it says something else than the evidence"


def _claims(claims: Any, form: Form, vector: Vector, token: bytes, challenge: bytes) -> Any:  # noqa: ANN401 - from a file
    """The claims that the evidence gives. Time and verifier are not in the evidence, and copied from `claims`."""
    dialect: Dialect = "veraison" if form == "veraison" else "draft"
    if form == "draft-cwt":
        developer, build, issued = claims[1004][0], claims[1004][1], claims[6]
    else:
        verifier = claims["ear_verifier_id" if dialect == "draft" else "ear.verifier-id"]
        developer, build, issued = verifier["developer"], verifier["build"], claims["iat"]
    ear = Ear(vector=vector, issued=issued, build=build, developer=developer, nonce=challenge, evidence=token)
    return decode(ear.cbor()).value if form == "draft-cwt" else ear.plain(dialect)


def _jwt(data: bytes, keys: list[PublicKey]) -> Any:  # noqa: ANN401 - whatever is in it
    """The claims of a JWT in the one form that the harness writes; None when no key verifies it."""
    header, claims, signature = data.decode("ascii").removesuffix("\n").split(".")
    raw = _base64(signature)
    if len(raw) != _ES256.size or json.loads(_base64(header)) != {"alg": "ES256", "typ": "JWT"}:
        raise ValueError("not signed with ES256")
    if not any(verifies(key, f"{header}.{claims}".encode(), raw, _ES256) for key in keys):
        return None
    found = json.loads(_base64(claims))
    if found["eat_profile"] not in DIALECTS.values():
        raise ValueError(f"profile {found['eat_profile']!r}")
    return found


def _cwt(data: bytes, keys: list[PublicKey]) -> Any:  # noqa: ANN401 - whatever is in it
    if not keys:
        return None
    found = verify_cose(data, keys=keys, report=Report())
    return decode(found.message.payload).value if found.verified and found.message is not None else None


def _base64(text: str) -> bytes:
    return base64.b64decode(text.translate(str.maketrans("-_", "+/")) + "=" * (-len(text) % 4), validate=True)
