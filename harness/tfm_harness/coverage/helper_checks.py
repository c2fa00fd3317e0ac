"""The checks that helpers of suites make: `ModelUpdates`, `ImageTrials` and `StoredObjects`."""

from __future__ import annotations

from typing import Final

from tfm_harness.findings import Check

__all__ = [
    "ALL",
    "IMAGE_COUNTER_KEPT",
    "IMAGE_REFUSAL_SAID",
    "OBJECT_EXCHANGED",
    "OBJECT_READ_BACK",
    "OBJECT_ROLLED_BACK",
    "OBJECT_TAMPERED",
    "OLD_MODEL_WORKS",
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

ALL: Final = (
    IMAGE_REFUSAL_SAID,
    IMAGE_COUNTER_KEPT,
    UPDATE_CHANGES_NOTHING,
    OLD_MODEL_WORKS,
    OBJECT_READ_BACK,
    OBJECT_TAMPERED,
    OBJECT_EXCHANGED,
    OBJECT_ROLLED_BACK,
)
