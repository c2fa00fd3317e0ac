"""The checks that helpers of suites make: `ModelUpdates`, `ImageTrials`, `StoredObjects` and `SecretSearch`."""

from __future__ import annotations

from typing import Final

from tfm_harness.findings import Check

__all__ = [
    "ALL",
    "IMAGE_COUNTER_KEPT",
    "IMAGE_REFUSAL_SAID",
    "MODEL_LEFT",
    "MODEL_OUT",
    "OBJECT_EXCHANGED",
    "OBJECT_READ_BACK",
    "OBJECT_ROLLED_BACK",
    "OBJECT_TAMPERED",
    "OLD_MODEL_WORKS",
    "SCANNER_WORKS",
    "SECRET_LEFT",
    "SECRET_OUT",
    "SENSOR_LEFT",
    "SENSOR_OUT",
    "UPDATE_CHANGES_NOTHING",
]

IMAGE_REFUSAL_SAID = Check(
    id="boot.refusal-said",
    title="a boot loader with a console reports that an image was refused",
    requirement="docs/protocol.md, OTP area (the device can say what is wrong)",
)
IMAGE_COUNTER_KEPT = Check(
    id="boot.refusal-raises-nothing",
    title="an image that is refused does not raise the security counter: the previous image runs again",
    requirement="PSA Security Model 1.1 s.5.4 (anti-rollback); MCUboot design, security counter; RFC 9019 s.3.4",
)
UPDATE_CHANGES_NOTHING = Check(
    id="update.refusal-changes-nothing",
    title="after a refusal the model that was active before is active",
    requirement="RFC 9019 s.3.4 (failed updates are recoverable)",
)
OLD_MODEL_WORKS = Check(
    id="update.old-model-works",
    title="after a refusal the model that was active before gives results",
    requirement="RFC 9019 s.3.4 (failed updates are recoverable)",
)
OBJECT_READ_BACK = Check(
    id="storage.read-back",
    title="an object is read back as it was stored, and the API keeps its rules",
    requirement="PSA Secure Storage API 1.0 s.5.3 (psa_ps_set, psa_ps_get, psa_ps_remove)",
)
OBJECT_TAMPERED = Check(
    id="storage.tamper-refused",
    title="an object of which any bit was changed in flash is refused",
    requirement="PSA Secure Storage API 1.0 s.3.2 (integrity), s.5.3 (PSA_ERROR_INVALID_SIGNATURE)",
)
OBJECT_EXCHANGED = Check(
    id="storage.exchange-refused",
    title="an object is bound to its uid, owner and flags: another one's message is refused",
    requirement="PSA Secure Storage API 1.0 s.3.2; RFC 9052 s.5.3 (external data)",
)
OBJECT_ROLLED_BACK = Check(
    id="storage.rollback-refused",
    title="an older version of an object, or of the whole flash, is refused",
    requirement="PSA Secure Storage API 1.0 s.3.2 (replay protection); PSA Security Model 1.1 s.4.6",
)
SECRET_OUT = Check(
    id="confidentiality.secret-in-output",
    title="no private key, hardware secret or secret number of a signature appears in an output",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of secrets)",
)
SECRET_LEFT = Check(
    id="confidentiality.secret-in-memory",
    title="no private key, hardware secret or secret number of a signature is left in non-secure memory",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of secrets)",
)
SENSOR_OUT = Check(
    id="confidentiality.sensor-in-output",
    title="no sample and no tensor made of samples appears in an output",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of assets)",
)
SENSOR_LEFT = Check(
    id="confidentiality.sensor-in-memory",
    title="no sample and no tensor made of samples is left in non-secure memory",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of assets)",
)
MODEL_OUT = Check(
    id="confidentiality.model-in-output",
    title="no piece of the model appears in an output",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of assets)",
)
MODEL_LEFT = Check(
    id="confidentiality.model-in-memory",
    title="no piece of the model is left in non-secure memory",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of assets)",
)
SCANNER_WORKS = Check(
    id="confidentiality.scanner-works",
    title="the scanner finds what was planted where secrets are looked for",
    requirement="tfm-harness: a search that never finds anything proves nothing",
    waivable=False,
)

ALL: Final = (
    IMAGE_REFUSAL_SAID,
    IMAGE_COUNTER_KEPT,
    UPDATE_CHANGES_NOTHING,
    OLD_MODEL_WORKS,
    OBJECT_READ_BACK,
    OBJECT_TAMPERED,
    OBJECT_EXCHANGED,
    OBJECT_ROLLED_BACK,
    SECRET_OUT,
    SECRET_LEFT,
    SENSOR_OUT,
    SENSOR_LEFT,
    MODEL_OUT,
    MODEL_LEFT,
    SCANNER_WORKS,
)
