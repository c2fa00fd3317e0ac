"""Checks of the encoding (CBOR) and the envelope (COSE)."""

from __future__ import annotations

from tfm_harness.findings import Catalogue
from tfm_harness.verify.checks.common import NOTE, declare

CBOR = Catalogue("cbor")
COSE = Catalogue("cose")

WELL_FORMED = declare(
    CBOR,
    "cbor.well-formed",
    "the bytes are well-formed CBOR with valid UTF-8 text",
    "RFC 8949 s.3, s.5.3.1; RFC 9783 s.5.1.1",
    iat="yes",
    veraison="yes",
    waivable=False,
)
DEFINITE = declare(
    CBOR,
    "cbor.definite",
    "every length is definite, in headers and in the payload",
    "RFC 9783 s.5.1.1",
    iat="-",
    veraison="yes",
    waivable=False,
)
UNIQUE_KEYS = declare(
    CBOR,
    "cbor.unique-keys",
    "no map has the same key twice, in headers and in the payload",
    "RFC 8949 s.5.3.1; RFC 9052 s.3",
    iat="-",
    veraison="headers only",
    waivable=False,
)
MAP_KEYS = declare(
    CBOR,
    "cbor.map-keys",
    "map keys are integers or strings",
    "RFC 9052 s.1.4; RFC 8392 s.2",
    iat="-",
    veraison="headers only",
    waivable=False,
)
TAGS = declare(
    CBOR,
    "cbor.tags",
    "no tag anywhere but the one that names the COSE message",
    "RFC 9783 s.4, s.5.1.1",
    iat="-",
    veraison="headers only",
    waivable=False,
)
TRAILING = declare(
    CBOR,
    "cbor.trailing",
    "nothing follows the message, the headers or the payload map",
    "RFC 8949 s.5.1; RFC 9052 s.3",
    iat="-",
    veraison="yes",
    waivable=False,
)
LIMITS = declare(
    CBOR,
    "cbor.limits",
    "size and nesting are within the limits (64 KiB, 16 levels)",
    "RFC 8949 s.10",
    iat="library defaults",
    veraison="library defaults",
    waivable=False,
)
PREFERRED = declare(
    CBOR,
    "cbor.preferred",
    "numbers and lengths use their shortest form (legal otherwise)",
    "RFC 8949 s.4.1; RFC 9783 s.5.1.1",
    severity=NOTE,
)
MAP_ORDER = declare(
    CBOR,
    "cbor.map-order",
    "maps are in bytewise key order (legal otherwise)",
    "RFC 8949 s.4.2.1; RFC 9783 s.5.1.1",
    severity=NOTE,
)

TAG = declare(
    COSE,
    "cose.tag",
    "tagged COSE_Sign1 (18) or COSE_Mac0 (17); not untagged, not wrapped in CWT tag 61",
    "RFC 9052 s.2; RFC 9783 s.5.1.1",
    iat="yes",
    veraison="yes (Sign1 only)",
    waivable=False,
)
STRUCTURE = declare(
    COSE,
    "cose.structure",
    "an array of four: protected bstr, unprotected map, payload bstr, signature or tag bstr",
    "RFC 9052 s.4.2, s.6.2",
    iat="array of five accepted",
    veraison="yes",
    waivable=False,
)
ATTACHED = declare(
    COSE,
    "cose.payload-attached",
    "the payload is inside the message, not detached",
    "RFC 9783 s.5.1.1",
    iat="yes",
    veraison="yes",
    waivable=False,
)
LABEL_ONCE = declare(
    COSE,
    "cose.label-once",
    "no label is in both header buckets",
    "RFC 9052 s.3",
    iat="yes",
    veraison="yes",
    waivable=False,
)
HEADER_LABELS = declare(
    COSE, "cose.header-labels", "header labels are integers or text", "RFC 9052 s.1.4", iat="-", veraison="yes"
)
HEADER_VALUES = declare(
    COSE,
    "cose.header-values",
    "common header parameters have their types (kid bstr, IV not beside Partial IV, ...)",
    "RFC 9052 s.3.1",
    iat="-",
    veraison="yes",
)
CRIT = declare(
    COSE,
    "cose.crit",
    "crit is protected, not empty, names present labels, and only labels understood here",
    "RFC 9052 s.3.1",
    iat="-",
    veraison="yes",
    waivable=False,
)
ALG_PROTECTED = declare(
    COSE,
    "cose.algorithm-protected",
    "the algorithm is in the protected header",
    "RFC 9052 s.3.1; RFC 9783 s.5.1.1",
    iat="-",
    veraison="yes",
    waivable=False,
)
ALG_ALLOWED = declare(
    COSE,
    "cose.algorithm-allowed",
    "the algorithm is on the allow-list (ES256/384/512, HMAC 256/384/512) and fits the message type",
    "RFC 9053 s.2.1, s.3.1; RFC 9783 s.5.1.1",
    iat="yes",
    veraison="yes",
    waivable=False,
)
KEY_FOUND = declare(
    COSE,
    "cose.key-found",
    "a trusted key fits: by kid, by instance id, or it is the only one",
    "RFC 9783 s.5.1.3",
    iat="-",
    veraison="yes",
    waivable=False,
)
ALG_KEY = declare(
    COSE,
    "cose.algorithm-key",
    "the algorithm belongs to the key's type and curve",
    "RFC 9053 s.2.1; RFC 9864 s.2.1",
    iat="yes",
    veraison="yes",
    waivable=False,
)
SIGNATURE_FORMAT = declare(
    COSE,
    "cose.signature-format",
    "the signature is raw r||s of exactly 64, 96 or 132 bytes with 0 < r, s < n; a MAC tag has the hash's length",
    "RFC 9053 s.2.1, s.3.1; FIPS 186-5 s.6.4.2",
    iat="yes",
    veraison="yes",
    waivable=False,
)
SIGNATURE = declare(
    COSE,
    "cose.signature",
    "the signature or MAC verifies with the trusted key",
    "RFC 9052 s.4.4, s.6.3",
    iat="yes (passes without a key)",
    veraison="yes",
    waivable=False,
)

BY_RULE = {check.id.removeprefix("cbor."): check for check in CBOR}
"""The check for `tfm_harness.verify.cbor.CborError.rule`."""
