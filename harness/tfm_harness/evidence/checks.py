"""The checks of a bundle of evidence. None of them can be waived: a bundle that fails one proves nothing."""

from __future__ import annotations

from tfm_harness.findings import Catalogue, Check

__all__ = ["BUNDLE"]

BUNDLE = Catalogue("evidence")
_DSSE = "DSSE 1.0.2"
_STATEMENT = "in-toto Statement v1"


def _declare(name: str, title: str, requirement: str) -> Check:
    return BUNDLE.declare(Check(id=f"evidence.{name}", title=title, requirement=requirement, waivable=False))


FORM = _declare("envelope-form", "each line is one envelope in the one form that the harness writes", _DSSE)
SIGNATURE = _declare("signature", "every signature of every envelope verifies with a given key", f"{_DSSE}, protocol")
STATEMENT = _declare(
    "statement", "the statements are of the known types, each once, about the same subjects", _STATEMENT
)
FILE_PRESENT = _declare("file-present", "every file that the statements list is there", f"{_STATEMENT}, digests")
FILE_DIGEST = _declare("file-digest", "every file has the digest that was signed", f"{_STATEMENT}, digests")
FILE_LISTED = _declare("file-listed", "no file lies in the bundle that was not signed", f"{_STATEMENT}, digests")
STATEMENT_FOLLOWS = _declare(
    "statement-follows", "the statements say what the run's record says", "in-toto test-result v0.1, SVR v0.2"
)
VERDICT_FOLLOWS = _declare(
    "verdict-follows", "the run's verdict follows from its tests and findings", "in-toto test-result v0.1"
)
WAIVERS_GRANTED = _declare(
    "waivers-granted",
    "what is waived in the record is excused by waivers that the build's file grants",
    "in-toto test-result v0.1",
)
TIMESTAMP = _declare(
    "timestamp", "the time stamp covers the statements and verifies with a given authority", "RFC 3161 s.2.4.2"
)
JUDGED_AGAIN = _declare(
    "judged-again", "raw evidence, judged again, gives the findings that were recorded", "RFC 9334 s.4.1 (appraisal)"
)
RECORDED = _declare(
    "failure-recorded",
    "a check that fails when it is judged again is a failure in the run's record, too",
    "RFC 9334 s.4.1 (appraisal)",
)
ACCOUNTED = _declare(
    "findings-accounted",
    "findings about tokens and results are those that the raw evidence gave, neither more nor fewer",
    "RFC 9334 s.4.1 (appraisal)",
)
IMAGES_AGAIN = _declare(
    "images-again", "signed images, judged again, verify with the build's keys", "MCUboot image format"
)
BOM_AGAIN = _declare(
    "bom-again", "the bill of materials, made again from the record and the images, is the signed one", "CycloneDX 1.6"
)
RESULTS_AGAIN = _declare(
    "results-again", "attestation results, derived again from the evidence, say the same", "draft-ietf-rats-ear"
)
PARITY_AGAIN = _declare(
    "parity-again",
    "parity computed again from the stored vectors is the recorded one",
    "bit-exact comparison with the reference",
)
LATENCY_AGAIN = _declare(
    "latency-again",
    "latency computed again from the stored series gives the recorded verdict",
    "latency budgets and gate",
)

TRUST_ANCHOR = BUNDLE.declare(
    Check(
        id="evidence.trust-anchor",
        title="the endorsements hold a key for the token's instance",
        requirement="draft-fdb-rats-psa-endorsements s.3.4",
        waivable=False,
    )
)
COMPONENTS_ENDORSED = BUNDLE.declare(
    Check(
        id="evidence.components-endorsed",
        title="every software component has a reference value",
        requirement="draft-fdb-rats-psa-endorsements s.3.3",
    )
)
CORIM_SIGNATURE = _declare(
    "corim-signature", "the CoRIM's signature verifies with a given key", "draft-ietf-rats-corim s.4.2"
)
