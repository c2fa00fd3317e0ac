"""Verification of untrusted evidence: bytes in, findings out.

COSE messages, PSA attestation tokens, signed inference results, MCUboot images, public keys,
signing requests and certificates. Nothing here does I/O; no exception but the harness's own
leaves; every check is declared in `tfm_harness.verify.catalogue`.

The names below are imported on first use, so that importing this package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfm_harness.lazy import lazy_exports

if TYPE_CHECKING:
    from tfm_harness.verify.algorithms import P256
    from tfm_harness.verify.catalogue import ALL, AREAS
    from tfm_harness.verify.certificates import verify_certificate
    from tfm_harness.verify.components import ExpectedComponent, SoftwareComponent
    from tfm_harness.verify.cose import CoseMessage, VerifiedMessage, verify_cose
    from tfm_harness.verify.cose_encrypt0 import EncryptedMessage, decrypt_cose, parse_encrypted
    from tfm_harness.verify.csr import CertificationRequest, verify_csr
    from tfm_harness.verify.debug_port import DebugPort, check_debug_port, places_to_read
    from tfm_harness.verify.derive import (
        SALT,
        ReferenceIdentity,
        boot_seed,
        derive_reference_keys,
        reference_private_key,
        reference_symmetric_key,
    )
    from tfm_harness.verify.deterministic import secret_number, what_time_may_follow
    from tfm_harness.verify.elf import ElfError, gateways, load_segments, measure
    from tfm_harness.verify.image_files import split_images
    from tfm_harness.verify.images import expected_components, verify_mcuboot
    from tfm_harness.verify.key_relations import KeyObservation, check_device_key, check_key_relations
    from tfm_harness.verify.keyfiles import parse_cose_key, parse_image_key, parse_key, parse_spki
    from tfm_harness.verify.keys import Ed25519Key, KeyFormatError, KeyRing, PublicKey, RsaKey, SymmetricKey
    from tfm_harness.verify.leaks import (
        Leak,
        SampleValues,
        Scanner,
        Secret,
        device_secrets,
        fingerprints,
        missed_canaries,
        samples_in,
        series_in,
    )
    from tfm_harness.verify.marked_code import Instruction, MarkedCode, read_marked_code
    from tfm_harness.verify.mcuboot import ImageFormatError, McubootImage, TlvType, parse_mcuboot
    from tfm_harness.verify.nonces import NonceLedger, NonceRecord, check_nonces, record_nonce
    from tfm_harness.verify.published import PUBLISHED_P256
    from tfm_harness.verify.relations import TokenObservation, check_token_relations
    from tfm_harness.verify.result_profile import ResultProfile, builtin_profiles, load_profile
    from tfm_harness.verify.result_relations import ResultObservation, check_result_relations
    from tfm_harness.verify.results import ResultExpectations, TensorSpec, signature_of_result, verify_result
    from tfm_harness.verify.signatures import SignatureLedger, check_signatures, record_request, record_signature
    from tfm_harness.verify.signed_result import SignedResult
    from tfm_harness.verify.stored_objects import messages_in, object_aad
    from tfm_harness.verify.token import PsaToken, TokenExpectations, verify_claims, verify_psa_token

_HOMES = {
    "algorithms": ("P256",),
    "published": ("PUBLISHED_P256",),
    "leaks": (
        "Leak",
        "SampleValues",
        "Scanner",
        "Secret",
        "device_secrets",
        "fingerprints",
        "missed_canaries",
        "samples_in",
        "series_in",
    ),
    "deterministic": ("secret_number", "what_time_may_follow"),
    "catalogue": ("ALL", "AREAS"),
    "certificates": ("verify_certificate",),
    "components": ("ExpectedComponent", "SoftwareComponent"),
    "cose": ("CoseMessage", "VerifiedMessage", "verify_cose"),
    "cose_encrypt0": ("EncryptedMessage", "decrypt_cose", "parse_encrypted"),
    "nonces": ("NonceLedger", "NonceRecord", "check_nonces", "record_nonce"),
    "csr": ("CertificationRequest", "verify_csr"),
    "debug_port": ("DebugPort", "check_debug_port", "places_to_read"),
    "derive": (
        "ReferenceIdentity",
        "boot_seed",
        "derive_reference_keys",
        "SALT",
        "reference_private_key",
        "reference_symmetric_key",
    ),
    "elf": ("ElfError", "gateways", "load_segments", "measure"),
    "image_files": ("split_images",),
    "images": ("expected_components", "verify_mcuboot"),
    "key_relations": ("KeyObservation", "check_device_key", "check_key_relations"),
    "keyfiles": ("parse_cose_key", "parse_image_key", "parse_key", "parse_spki"),
    "keys": ("Ed25519Key", "KeyFormatError", "KeyRing", "PublicKey", "RsaKey", "SymmetricKey"),
    "marked_code": ("Instruction", "MarkedCode", "read_marked_code"),
    "mcuboot": ("ImageFormatError", "McubootImage", "TlvType", "parse_mcuboot"),
    "relations": ("TokenObservation", "check_token_relations"),
    "result_profile": ("ResultProfile", "builtin_profiles", "load_profile"),
    "result_relations": ("ResultObservation", "check_result_relations"),
    "results": ("ResultExpectations", "TensorSpec", "signature_of_result", "verify_result"),
    "signatures": ("SignatureLedger", "check_signatures", "record_request", "record_signature"),
    "signed_result": ("SignedResult",),
    "stored_objects": ("messages_in", "object_aad"),
    "token": ("PsaToken", "TokenExpectations", "verify_claims", "verify_psa_token"),
}

__all__ = [
    "ALL",
    "AREAS",
    "P256",
    "PUBLISHED_P256",
    "SALT",
    "CertificationRequest",
    "CoseMessage",
    "DebugPort",
    "Ed25519Key",
    "ElfError",
    "EncryptedMessage",
    "ExpectedComponent",
    "ImageFormatError",
    "Instruction",
    "KeyFormatError",
    "KeyObservation",
    "KeyRing",
    "Leak",
    "MarkedCode",
    "McubootImage",
    "NonceLedger",
    "NonceRecord",
    "PsaToken",
    "PublicKey",
    "ReferenceIdentity",
    "ResultExpectations",
    "ResultObservation",
    "ResultProfile",
    "RsaKey",
    "SampleValues",
    "Scanner",
    "Secret",
    "SignatureLedger",
    "SignedResult",
    "SoftwareComponent",
    "SymmetricKey",
    "TensorSpec",
    "TlvType",
    "TokenExpectations",
    "TokenObservation",
    "VerifiedMessage",
    "boot_seed",
    "builtin_profiles",
    "check_debug_port",
    "check_device_key",
    "check_key_relations",
    "check_nonces",
    "check_result_relations",
    "check_signatures",
    "check_token_relations",
    "decrypt_cose",
    "derive_reference_keys",
    "device_secrets",
    "expected_components",
    "fingerprints",
    "gateways",
    "load_profile",
    "load_segments",
    "measure",
    "messages_in",
    "missed_canaries",
    "object_aad",
    "parse_cose_key",
    "parse_encrypted",
    "parse_image_key",
    "parse_key",
    "parse_mcuboot",
    "parse_spki",
    "places_to_read",
    "read_marked_code",
    "record_nonce",
    "record_request",
    "record_signature",
    "reference_private_key",
    "reference_symmetric_key",
    "samples_in",
    "secret_number",
    "series_in",
    "signature_of_result",
    "split_images",
    "verify_certificate",
    "verify_claims",
    "verify_cose",
    "verify_csr",
    "verify_mcuboot",
    "verify_psa_token",
    "verify_result",
    "what_time_may_follow",
]

__getattr__, __dir__ = lazy_exports(__name__, _HOMES)
