"""Checks of one signed inference result, and of all signatures made under one key."""

from __future__ import annotations

from tfm_harness.findings import Catalogue
from tfm_harness.verify.checks.common import FAIL, INFO, LAX, LOST, NOTE, WARN, declare

RESULT = Catalogue("result")

PAYLOAD_MAP = declare(RESULT, "result.payload-map", "the payload is a CBOR map", "result profile", waivable=False)
MANDATORY = declare(RESULT, "result.mandatory", "every mandatory claim of the profile is present", "result profile")
UNKNOWN = declare(RESULT, "result.unknown", "there is no claim the profile does not know", "result profile")
TYPES = declare(RESULT, "result.types", "every claim has the type, size and range of the profile", "result profile")
HEADERS = declare(
    RESULT,
    "result.headers",
    "the envelope's headers hold what the profile promises, and nothing else: only the protected ones are signed",
    "result profile; RFC 9052 s.3",
)
ENCODING = declare(
    RESULT,
    "result.encoding",
    "numbers, lengths and maps are encoded in the one form that the profile promises",
    "result profile; RFC 8949 s.4.2.1",
)
STRAY_BYTES = declare(
    RESULT,
    "result.stray-bytes",
    "a text claim holds printable text only: bytes after it are memory that leaked",
    "CWE-125, CWE-170; result profile",
)
NONCE = declare(RESULT, "result.nonce", "the nonce is the one that was sent", "RFC 9334 s.10.2", waivable=False)
NONCE_GIVEN = declare(
    RESULT,
    "result.nonce-given",
    "a nonce was given to compare with, so that freshness is judged at all",
    "RFC 9334 s.10.2",
    severity=(INFO, WARN, FAIL),
)
FRESHNESS = declare(
    RESULT,
    "result.freshness",
    "the result carries a nonce, so that an old one cannot be replayed",
    "RFC 9334 s.10",
    severity=(WARN, FAIL, FAIL),
)
INSTANCE_ID = declare(
    RESULT,
    "result.instance-id",
    "the instance id is the one of the attestation key that is trusted for the board",
    "RFC 9783 s.4.2.1",
)
ONE_IDENTITY = declare(
    RESULT,
    "result.instance-id-of-token",
    "a board's signed results and attestation tokens name one instance id, in one of its forms",
    "RFC 9783 s.4.2.1",
)
BOOT_SEED = declare(
    RESULT, "result.boot-seed", "the boot seed is the one the attestation token of this boot shows", "RFC 9783 s.4.3.2"
)
MODEL_ID = declare(
    RESULT,
    "result.model-id",
    "the model id is the hash of the model that should have run",
    "result profile",
    waivable=False,
)
INPUT_SOURCE = declare(
    RESULT, "result.input-source", "the input source is the expected one", "result profile", waivable=False
)
INPUT_DIGEST = declare(
    RESULT,
    "result.input-digest",
    "the input digest is that of the input that was played or sent",
    "result profile; FIPS 180-4",
    waivable=False,
)
OUTPUTS = declare(
    RESULT,
    "result.outputs",
    "output tensors are well-formed: type, shape, scale and data length agree",
    "result profile; TFLite schema",
)
OUTPUT_EXPECTED = declare(
    RESULT,
    "result.output-shape",
    "outputs have the type, shape, scale and zero point of the model",
    "result profile; TFLite schema",
)
TICKS = declare(
    RESULT,
    "result.ticks",
    "ticks run forward and the inference took no longer than the host waited",
    "result profile",
    severity=LAX,
)
DUMMY_KEY = declare(
    RESULT,
    "result.dummy-key",
    "the signing key is no published test key",
    "TF-M provisioning; RFC 6979 A.2",
    severity=(LOST, LOST, LOST),
)
KEY_SEPARATE = declare(
    RESULT,
    "result.key-separate",
    "results are signed with the key for results, not with another key of the device",
    "NIST SP 800-57 Part 1 s.5.2",
    severity=LAX,
)
COUNTER_RISES = declare(
    RESULT,
    "result.counter-rises",
    "within a boot the counter rises with every result and never repeats",
    "result profile; CWE-294",
)
COUNTER_OVER_BOOTS = declare(
    RESULT,
    "result.counter-over-resets",
    "after a reset the counter goes on above every value it had before",
    "result profile; CWE-294",
)
COUNTER_STEP = declare(
    RESULT,
    "result.counter-step",
    "the counter rises by exactly the number of results asked for",
    "result profile",
    severity=(INFO, WARN, WARN),
)
REPLAYED = declare(
    RESULT, "result.replayed", "no result answers two different requests", "RFC 9334 s.10; CWE-294", waivable=False
)
SEEN_BEFORE = declare(
    RESULT,
    "result.seen-before",
    "no earlier run has seen the same signed result: it would be an old one, played again",
    "RFC 9334 s.10; CWE-294",
    severity=(INFO, WARN, WARN),
)
TICKS_ORDERED = declare(
    RESULT, "result.ticks-ordered", "within a boot later results have later ticks", "result profile", severity=LAX
)
SEED_RELATION = declare(
    RESULT,
    "result.boot-seed-relation",
    "the boot seed is constant within a boot and new in the next",
    "RFC 9783 s.4.3.2",
)
STUCK_OUTPUT = declare(
    RESULT,
    "result.stuck-output",
    "different inputs are signed with different input digests",
    "result profile",
    severity=(FAIL, FAIL, FAIL),
)
NONCE_REUSE = declare(
    RESULT,
    "result.ecdsa-nonce-reuse",
    "no two signatures over different messages share an ECDSA r under one key: two of them give the private key away",
    "FIPS 186-5 s.6.3, A.3; CWE-323",
    severity=(LOST, LOST, LOST),
)
NONCE_IN_BOOT = declare(
    RESULT,
    "result.ecdsa-nonce-in-boot",
    "within one boot no two signatures over different messages share an ECDSA r under one key",
    "FIPS 186-5 s.6.3, A.3; CWE-323",
    severity=(LOST, LOST, LOST),
)
DETERMINISTIC = declare(
    RESULT,
    "result.ecdsa-deterministic",
    "signatures over one message agree with the profile's claim of deterministic ECDSA",
    "RFC 6979 s.3.2",
    severity=NOTE,
)
