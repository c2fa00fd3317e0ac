"""Attestation results in files, and the attestation results of a run's boards."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final, Literal

from tfm_harness.evidence.ear import Ear, Sign, Vector, sign_cwt, sign_jwt, trustworthiness
from tfm_harness.findings import Policy, Report
from tfm_harness.trust.kept import KeptItem
from tfm_harness.verify.results import verify_result
from tfm_harness.verify.token import verify_psa_token
from tfm_harness.version import __version__

__all__ = ["SUFFIXES", "Form", "board_vectors", "document_name", "encode_ear"]

Form = Literal["draft-jwt", "draft-cwt", "veraison"]
SUFFIXES: Final[dict[Form, str]] = {"veraison": ".veraison.jwt", "draft-jwt": ".jwt", "draft-cwt": ".cwt"}
"""The ending of the name of an attestation result in a bundle, by its form; longer endings come first."""


def document_name(board: str, combination: str) -> str:
    """The name of a board's attestation result in a bundle, without the form's ending."""
    return "ear-" + "".join(c if c.isalnum() or c in "._-" else "_" for c in f"{board}+{combination.partition('+')[2]}")


def encode_ear(
    vector: Vector, sign: Sign, form: Form, *, nonce: bytes | None, evidence: bytes | None, issued: int | None = None
) -> bytes:
    """A signed attestation result as the bytes of a file.

    Args:
        vector: the trustworthiness vector.
        sign: ECDSA on P-256 with SHA-256; DER.
        form: dialect and serialisation.
        nonce: the challenge of the evidence.
        evidence: the raw token.
        issued: seconds since 1970; None: now.
    """
    ear = Ear(
        vector=vector, issued=int(time.time()) if issued is None else issued, build=f"tfm-harness {__version__}",
        nonce=nonce, evidence=evidence,
    )  # fmt: skip
    if form == "draft-cwt":
        return sign_cwt(ear, sign)
    return sign_jwt(ear, sign, "draft" if form == "draft-jwt" else "veraison").encode() + b"\n"


def board_vectors(items: Iterable[KeptItem], policy: Policy) -> dict[str, tuple[Vector, bytes, bytes]]:
    """The vector of each board, from its last token and the verdict on all of its signed results.

    Returns:
        By board: the vector, the token and its challenge.
    """
    tokens: dict[str, KeptItem] = {}
    results: dict[str, Report] = {}
    for item in items:
        if not item.keys:
            continue
        if item.kind == "token":
            tokens[item.board] = item
        elif item.kind == "result":
            report = results.setdefault(item.board, Report(policy=policy))
            verify_result(item.data, profile=item.facts["profile"], keys=item.keys, expected=item.facts["expected"],
                          report=report)  # fmt: skip
    found = {}
    for board, item in tokens.items():
        report = Report(policy=policy)
        challenge = item.facts["challenge"]
        token = verify_psa_token(item.data, keys=item.keys, challenge=challenge, expected=item.facts["expected"],
                                 report=report)  # fmt: skip
        found[board] = trustworthiness(token, report, results=results.get(board)), item.data, challenge
    return found
