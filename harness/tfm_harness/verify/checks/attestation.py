"""Checks of one PSA attestation token's claims, and of several tokens together."""

from __future__ import annotations

from tfm_harness.findings import Catalogue
from tfm_harness.verify.checks.common import FAIL, INFO, LAX, NOTE, WARN, declare

ATTESTATION = Catalogue("attestation")

CLAIMS_MAP = declare(
    ATTESTATION,
    "attestation.claims-map",
    "the payload is a CBOR map of claims",
    "RFC 9783 s.4; RFC 8392 s.3",
    iat="yes",
    veraison="yes",
    waivable=False,
)
CLAIM_KEYS = declare(
    ATTESTATION, "attestation.claim-keys", "claim keys are integers or text", "RFC 8392 s.2", iat="-", veraison="yes"
)
PROFILE_KNOWN = declare(
    ATTESTATION,
    "attestation.profile-known",
    "the profile claim names a profile known here; without one only PSA_IOT_PROFILE_1 claims",
    "RFC 9783 s.4.5.2, s.4.6, s.5.2",
    iat="any string accepted (P1)",
    veraison="RFC 9783's rejected",
)
PROFILE_EXPECTED = declare(
    ATTESTATION,
    "attestation.profile-expected",
    "the profile is one the build announces (by default any PSA profile, no CCA token)",
    "RFC 9783 s.4.5.2; draft-ffm-rats-cca-token",
)
PROFILE_LEGACY = declare(
    ATTESTATION,
    "attestation.profile-legacy",
    "the profile is not the superseded http://arm.com/psa/2.0.0",
    "RFC 9783 s.4.6",
    severity=(INFO, INFO, WARN),
)
MANDATORY = declare(
    ATTESTATION,
    "attestation.mandatory-claims",
    "every mandatory claim of the profile is present",
    "RFC 9783 s.4, s.6",
    iat="yes",
    veraison="yes",
)
FOREIGN_LABELS = declare(
    ATTESTATION,
    "attestation.foreign-labels",
    "no claim stands under another profile's label (boot seed at 2397 under RFC 9783, -75xxx beside 23xx)",
    "RFC 9783 s.4.3.2, s.4.6",
    iat="the other way round",
    veraison="-",
)
UNKNOWN_CLAIMS = declare(
    ATTESTATION,
    "attestation.unknown-claims",
    "claims unknown here are listed and otherwise ignored",
    "RFC 9783 s.4; RFC 9711 s.6",
    severity=NOTE,
    iat="rejected in strict mode",
    veraison="ignored",
)
NONCE_SIZE = declare(
    ATTESTATION,
    "attestation.nonce-size",
    "the nonce is one byte string of 32, 48 or 64 bytes",
    "RFC 9783 s.4.1.1",
    iat="yes",
    veraison="yes",
)
NONCE_CHALLENGE = declare(
    ATTESTATION,
    "attestation.nonce-challenge",
    "the nonce is the challenge that was sent",
    "RFC 9783 s.4.1.1, s.5.1.2",
    iat="-",
    veraison="services",
    waivable=False,
)
CHALLENGE_GIVEN = declare(
    ATTESTATION,
    "attestation.challenge-given",
    "a challenge was given to compare the nonce with, so that freshness is judged at all",
    "RFC 9783 s.5.1.2",
    severity=(INFO, WARN, FAIL),
)
INSTANCE_ID_FORMAT = declare(
    ATTESTATION,
    "attestation.instance-id-format",
    "the instance id is 33 bytes and begins with 0x01 (EUID type RAND)",
    "RFC 9783 s.4.2.1",
    iat="yes",
    veraison="yes",
)
INSTANCE_ID_KEY = declare(
    ATTESTATION,
    "attestation.instance-id-key",
    "the instance id is a hash of the key that verified (either scheme)",
    "RFC 9783 s.4.2.1; PSA Attestation API (IHI 0085)",
    iat="-",
    veraison="used for look-up only",
)
INSTANCE_ID_EXAMPLE = declare(
    ATTESTATION,
    "attestation.instance-id-example",
    "the instance id is a hash of the key for published example keys, too (example tokens carry another instance id)",
    "RFC 9783 s.4.2.1, app. A",
    severity=LAX,
    iat="-",
    veraison="used for look-up only",
)
INSTANCE_ID_SCHEME = declare(
    ATTESTATION,
    "attestation.instance-id-scheme",
    "the instance id hashes the COSE_Key form (TF-M 2.2 and newer), not the raw point (TF-M up to 2.1)",
    "TF-M 2.2.0 release notes; PSA Attestation API (IHI 0085)",
    severity=NOTE,
)
INSTANCE_ID_EXPECTED = declare(
    ATTESTATION,
    "attestation.instance-id-expected",
    "the instance id is the board's known one",
    "RFC 9783 s.4.2.1",
    veraison="services",
)
IMPLEMENTATION_ID_SIZE = declare(
    ATTESTATION,
    "attestation.implementation-id-size",
    "the implementation id is a byte string of 32 bytes",
    "RFC 9783 s.4.2.2",
    iat="31 bytes and text accepted",
    veraison="yes",
)
IMPLEMENTATION_ID_EXPECTED = declare(
    ATTESTATION,
    "attestation.implementation-id-expected",
    "the implementation id is the product's known one",
    "RFC 9783 s.4.2.2",
    veraison="services",
)
CLIENT_ID_RANGE = declare(
    ATTESTATION,
    "attestation.client-id-range",
    "the client id is a 32-bit signed integer and not zero",
    "RFC 9783 s.4.1.2",
    iat="0, booleans and 2^31 accepted",
    veraison="0 accepted",
)
CLIENT_ID_CALLER = declare(
    ATTESTATION,
    "attestation.client-id-caller",
    "the client id is negative for a non-secure caller, positive for a secure one",
    "RFC 9783 s.4.1.2; PSA FF-M 1.0 (client identity)",
    iat="-",
    veraison="-",
)
LIFECYCLE_RANGE = declare(
    ATTESTATION,
    "attestation.lifecycle-range",
    "the security lifecycle is an unsigned 16-bit value of a defined state",
    "RFC 9783 s.4.3.1",
    iat="yes",
    veraison="yes",
)
LIFECYCLE_TRUSTED = declare(
    ATTESTATION,
    "attestation.lifecycle-trusted",
    "the lifecycle is secured (0x30xx) or non-PSA-RoT debug (0x40xx)",
    "RFC 9783 s.4.3.1",
    severity=(INFO, WARN, FAIL),
    veraison="services",
)
LIFECYCLE_EXPECTED = declare(
    ATTESTATION,
    "attestation.lifecycle-expected",
    "the lifecycle is the one the board was provisioned to",
    "RFC 9783 s.4.3.1",
    veraison="services",
)
BOOT_SEED_SIZE = declare(
    ATTESTATION,
    "attestation.boot-seed-size",
    "the boot seed is a byte string of 8 to 32 bytes (PSA_IOT_PROFILE_1: exactly 32)",
    "RFC 9783 s.4.3.2, s.4.6",
    iat="32 or more only",
    veraison="yes",
)
BOOT_SEED_EXPECTED = declare(
    ATTESTATION,
    "attestation.boot-seed-expected",
    "the boot seed is the one the host computed from the board's entropy",
    "RFC 9783 s.4.3.2",
)
CERTIFICATION_FORMAT = declare(
    ATTESTATION,
    "attestation.certification-reference-format",
    "the certification reference is EAN-13, dash, five digits (PSA_IOT_PROFILE_1: EAN-13 alone as well)",
    "RFC 9783 s.4.2.3, s.4.6",
    iat="any 19 characters accepted, P1 EAN-13 rejected",
    veraison="yes",
)
CERTIFICATION_EXPECTED = declare(
    ATTESTATION,
    "attestation.certification-reference-expected",
    "the certification reference is the product's own",
    "RFC 9783 s.4.2.3",
)
VSI_TEXT = declare(
    ATTESTATION,
    "attestation.verification-service-text",
    "the verification service indicator is text and not empty",
    "RFC 9783 s.4.5.1",
    iat="-",
    veraison="yes",
)
VSI_EXPECTED = declare(
    ATTESTATION,
    "attestation.verification-service-expected",
    "the verification service indicator is the product's own",
    "RFC 9783 s.4.5.1",
)
SW_LIST = declare(
    ATTESTATION,
    "attestation.sw-components",
    "software components are a non-empty array of maps",
    "RFC 9783 s.4.4.1",
    iat="empty, map, byte strings accepted",
    veraison="yes",
)
SW_MEASUREMENT = declare(
    ATTESTATION,
    "attestation.sw-measurement",
    "each component has a measurement of 32, 48 or 64 bytes",
    "RFC 9783 s.4.4.1.2",
    iat="33 bytes accepted",
    veraison="yes",
)
SW_SIGNER = declare(
    ATTESTATION,
    "attestation.sw-signer-id",
    "each component has a signer id of 32, 48 or 64 bytes",
    "RFC 9783 s.4.4.1.4",
    iat="warning when absent",
    veraison="yes",
)
SW_SIGNER_P1 = declare(
    ATTESTATION,
    "attestation.sw-signer-id-p1",
    "each component of a PSA_IOT_PROFILE_1 token has a signer id",
    "PSA_IOT_PROFILE_1; RFC 9783 s.4.6",
    severity=(WARN, WARN, FAIL),
    iat="warning",
    veraison="yes",
)
SW_TEXT = declare(
    ATTESTATION,
    "attestation.sw-text",
    "measurement type, version and description of a component are text",
    "RFC 9783 s.4.4.1.1, .3, .5",
    iat="-",
    veraison="yes",
)
SW_KEYS = declare(
    ATTESTATION,
    "attestation.sw-keys",
    "components use keys 1, 2, 4, 5 and 6 only; 3 is reserved",
    "RFC 9783 s.4.4.1",
    severity=(INFO, WARN, WARN),
)
NO_SW = declare(
    ATTESTATION,
    "attestation.no-sw-measurements",
    "'no software measurements' is 1 and stands without software components",
    "PSA_IOT_PROFILE_1; RFC 9783 s.4.6",
    iat="-",
    veraison="exclusive only",
)
CCA_CONFIG = declare(
    ATTESTATION,
    "attestation.cca-config",
    "a CCA platform token has a non-empty platform configuration",
    "draft-ffm-rats-cca-token",
    veraison="yes",
)
CCA_HASH = declare(
    ATTESTATION,
    "attestation.cca-hash-algorithm",
    "a CCA platform token names its hash algorithm",
    "draft-ffm-rats-cca-token",
    veraison="yes",
)
KID = declare(
    ATTESTATION,
    "attestation.kid",
    "a key id, when present, is the SHA-256 of the COSE_Key that verified",
    "RFC 9679 s.4; TF-M ATTEST_INCLUDE_COSE_KEY_ID",
)
SIZE_ANNOUNCED = declare(
    ATTESTATION,
    "attestation.size-announced",
    "the token is not longer than psa_initial_attest_get_token_size announced",
    "PSA Attestation API (IHI 0085)",
)
SIZE_MAX = declare(
    ATTESTATION,
    "attestation.size-max",
    "the token is not longer than PSA_INITIAL_ATTEST_MAX_TOKEN_SIZE",
    "PSA Attestation API (IHI 0085)",
)
DUMMY_KEY = declare(
    ATTESTATION,
    "attestation.dummy-key",
    "the attestation key is not TF-M's public dummy key",
    "RFC 9783 s.3, s.4.2.1; TF-M provisioning",
    severity=LAX,
)
DUMMY_IMPLEMENTATION_ID = declare(
    ATTESTATION,
    "attestation.dummy-implementation-id",
    "the implementation id is not TF-M's dummy (AA.. BB.. CC.. DD..)",
    "RFC 9783 s.4.2.2; TF-M provisioning",
    severity=LAX,
)
DUMMY_CERTIFICATION = declare(
    ATTESTATION,
    "attestation.dummy-certification-reference",
    "the certification reference is not TF-M's dummy 0604565272829-10010",
    "RFC 9783 s.4.2.3; TF-M provisioning",
    severity=LAX,
)
DUMMY_BOOT_SEED = declare(
    ATTESTATION,
    "attestation.dummy-boot-seed",
    "the boot seed is not TF-M's constant a0a1..bf",
    "RFC 9783 s.4.3.2; TF-M provisioning",
    severity=LAX,
)

COMPONENTS_GIVEN = declare(
    ATTESTATION,
    "attestation.components-given",
    "the images that were flashed are known, so that measurements are compared at all",
    "RFC 9783 s.4.4.1",
    severity=(INFO, WARN, WARN),
)
COMPONENT_MISSING = declare(
    ATTESTATION,
    "attestation.component-missing",
    "every image that was flashed is among the software components",
    "RFC 9783 s.4.4.1",
    veraison="-",
)
COMPONENT_EXTRA = declare(
    ATTESTATION,
    "attestation.component-extra",
    "no software component names an image that was not flashed",
    "RFC 9783 s.4.4.1",
    veraison="-",
)
COMPONENT_MEASUREMENT = declare(
    ATTESTATION,
    "attestation.component-measurement",
    "each measurement is the hash of the image that was flashed",
    "RFC 9783 s.4.4.1.2; MCUboot design, image TLVs",
    veraison="services: reference digest",
)
COMPONENT_SIGNER = declare(
    ATTESTATION,
    "attestation.component-signer",
    "each signer id is the hash of the key that signed the image",
    "RFC 9783 s.4.4.1.4; MCUboot design, image TLVs",
    veraison="-",
)
COMPONENT_VERSION = declare(
    ATTESTATION,
    "attestation.component-version",
    "each version is that of the image's header",
    "RFC 9783 s.4.4.1.3; MCUboot design, image header",
    veraison="services",
)

KEY_SEPARATE = declare(
    ATTESTATION,
    "attestation.key-separate",
    "tokens are signed with the attestation key, not with another key of the device",
    "NIST SP 800-57 Part 1 s.5.2; RFC 9783 s.3",
)
NONCES_DIFFER = declare(
    ATTESTATION,
    "attestation.nonces-differ",
    "different challenges give different nonces and different tokens",
    "RFC 9783 s.4.1.1, s.5.1.2",
)
ONLY_NONCE_DIFFERS = declare(
    ATTESTATION,
    "attestation.only-nonce-differs",
    "within a boot and for one caller two tokens differ in the nonce alone",
    "RFC 9783 s.4",
)
SEED_WITHIN_BOOT = declare(
    ATTESTATION, "attestation.boot-seed-within-boot", "the boot seed is the same within a boot", "RFC 9783 s.4.3.2"
)
SEED_NEW_BOOT = declare(
    ATTESTATION, "attestation.boot-seed-new-boot", "the boot seed is new after a reset", "RFC 9783 s.4.3.2"
)
SEED_ENTROPY = declare(
    ATTESTATION,
    "attestation.boot-seed-entropy",
    "boot seeds are random in every byte: over five boots or more each byte changes, about half of all bits differ",
    "RFC 9783 s.4.3.2; NIST SP 800-90B s.4.4 (stuck and repeated values)",
)
INSTANCE_STABLE = declare(
    ATTESTATION, "attestation.instance-stable", "instance id and key are the same over resets", "RFC 9783 s.4.2.1"
)
IDENTITY_STABLE = declare(
    ATTESTATION,
    "attestation.identity-stable",
    "implementation id, certification reference and software components are the same over resets of one build",
    "RFC 9783 s.4.2.2, s.4.4.1",
)
BOARDS_DIFFER = declare(
    ATTESTATION,
    "attestation.boards-differ",
    "two boards have different keys, instance ids and boot seeds",
    "RFC 9783 s.4.2.1, s.4.3.2",
)
