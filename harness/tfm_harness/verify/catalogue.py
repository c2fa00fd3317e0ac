"""Every check of the verifier in one list, from which the documentation's tables are made."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from tfm_harness.findings import Catalogue, Check
from tfm_harness.verify.checks.attestation import ATTESTATION
from tfm_harness.verify.checks.debug import DEBUG
from tfm_harness.verify.checks.encryption import ENCRYPTION
from tfm_harness.verify.checks.envelope import CBOR, COSE
from tfm_harness.verify.checks.image import IMAGE
from tfm_harness.verify.checks.keys import CERTIFICATE, CSR, KEY
from tfm_harness.verify.checks.result import RESULT

__all__ = ["ALL", "AREAS", "by_id"]

AREAS: tuple[Catalogue, ...] = (CBOR, COSE, ENCRYPTION, ATTESTATION, IMAGE, RESULT, KEY, CSR, CERTIFICATE, DEBUG)
"""The areas in the order in which evidence is judged."""

ALL: tuple[Check, ...] = tuple(chain.from_iterable(AREAS))
"""Every check, in order."""


def by_id() -> Iterator[tuple[str, Check]]:
    """Pairs of check id and check."""
    return ((check.id, check) for check in ALL)
