"""The content of one PSA attestation token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tfm_harness.verify import cbor
from tfm_harness.verify.components import SoftwareComponent, parse_components
from tfm_harness.verify.cose import CoseMessage
from tfm_harness.verify.keys import VerificationKey
from tfm_harness.verify.profiles_psa import ClaimProfile

__all__ = ["PsaToken"]


@dataclass(frozen=True, slots=True)
class PsaToken:
    """A token's content.

    Attributes:
        raw: the bytes received.
        message: the COSE envelope; None when the bytes are none.
        profile: the profile whose rules were applied.
        claims: every claim by label, as decoded.
        key: the trusted key that verified the signature; None when none did.
        instance_id_scheme: ``cose-key``, ``point``, ``symmetric``, or None when the instance
            id is no hash of the key.
    """

    raw: bytes = field(repr=False)
    message: CoseMessage | None = field(default=None, repr=False)
    profile: ClaimProfile | None = None
    claims: Mapping[int | str | bytes, cbor.CborValue] = field(default_factory=dict)
    key: VerificationKey | None = None
    instance_id_scheme: str | None = None

    @property
    def verified(self) -> bool:
        """Whether a trusted key verified the signature: without it no claim means anything."""
        return self.key is not None

    def get(self, role: str) -> cbor.CborValue:
        """The claim with that role under the token's own profile; None when absent."""
        label = self.profile.labels.get(role) if self.profile else None
        return self.claims.get(label) if label is not None else None

    def _bytes(self, role: str) -> bytes | None:
        value = self.get(role)
        return value if isinstance(value, bytes) else None

    def _int(self, role: str) -> int | None:
        value = self.get(role)
        return value if type(value) is int else None

    def _text(self, role: str) -> str | None:
        value = self.get(role)
        return value if isinstance(value, str) else None

    @property
    def nonce(self) -> bytes | None:
        """The nonce."""
        return self._bytes("nonce")

    @property
    def instance_id(self) -> bytes | None:
        """The instance id."""
        return self._bytes("instance_id")

    @property
    def implementation_id(self) -> bytes | None:
        """The implementation id."""
        return self._bytes("implementation_id")

    @property
    def boot_seed(self) -> bytes | None:
        """The boot seed."""
        return self._bytes("boot_seed")

    @property
    def client_id(self) -> int | None:
        """The client id."""
        return self._int("client_id")

    @property
    def security_lifecycle(self) -> int | None:
        """The security lifecycle value."""
        return self._int("security_lifecycle")

    @property
    def certification_reference(self) -> str | None:
        """The certification reference."""
        return self._text("certification_reference")

    @property
    def verification_service_indicator(self) -> str | None:
        """The verification service indicator."""
        return self._text("verification_service_indicator")

    @property
    def software_components(self) -> tuple[SoftwareComponent, ...]:
        """The well-formed software components."""
        return parse_components(self.get("software_components"))

    def named_claims(self) -> list[tuple[str, int | str | bytes, cbor.CborValue]]:
        """Name, label and value of each claim in the token's order; unknown ones are named ``?``."""
        names = {label: role for role, label in self.profile.labels.items()} if self.profile else {}
        return [(names.get(label, "?") if type(label) is int else "?", label, v) for label, v in self.claims.items()]
