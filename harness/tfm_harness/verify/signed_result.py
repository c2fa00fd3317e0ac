"""The content of one signed result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tfm_harness.verify.cbor import CborValue
from tfm_harness.verify.cose import CoseMessage
from tfm_harness.verify.keys import VerificationKey
from tfm_harness.verify.result_profile import ROLES, ResultProfile
from tfm_harness.verify.result_values import OutputTensor, Read

__all__ = ["SignedResult"]


@dataclass(frozen=True, slots=True)
class SignedResult:
    """A result's content.

    Attributes:
        raw: the bytes received.
        profile: the profile it was read by.
        message: the COSE envelope; None when the bytes are none.
        claims: every claim by label, as decoded.
        values: the values that keep the profile's rules, by role (or name).
        key: the trusted key that verified the signature; None when none did.
    """

    raw: bytes = field(repr=False)
    profile: ResultProfile = field(repr=False)
    message: CoseMessage | None = field(default=None, repr=False)
    claims: Mapping[int | str | bytes, CborValue] = field(default_factory=dict)
    values: Mapping[str, Read] = field(default_factory=dict)
    key: VerificationKey | None = None

    @property
    def verified(self) -> bool:
        """Whether a trusted key verified the signature: without it nothing here means anything."""
        return self.key is not None

    @property
    def may_repeat(self) -> bool:
        """Whether the message may be the same again: one that only describes (Linaro's model token) never changes."""
        return not any(self.profile.rule(role) for role in ("nonce", "counter"))

    def integer(self, role: str) -> int | None:
        """The integer with that role; None when the message has none that keeps the profile's rules.

        Raises:
            ValueError: neither the harness nor the profile knows such a role.
        """
        value = self._value(role)
        return value if type(value) is int else None

    def octets(self, role: str) -> bytes | None:
        """The byte string with that role; None, and errors, as for `integer`."""
        value = self._value(role)
        return value if isinstance(value, bytes) else None

    def _value(self, role: str) -> Read | None:
        """The value with that role. Unknown roles are refused, because a misspelt role would skip a comparison."""
        if role not in ROLES and role not in {rule.role or rule.name for rule in self.profile.claims}:
            raise ValueError(f"no claim has the role {role!r}; roles: {', '.join(sorted(ROLES))}")
        return self.values.get(role)

    @property
    def outputs(self) -> tuple[OutputTensor, ...]:
        """The output tensors; empty when the profile has none or they are malformed."""
        value = self.values.get("outputs")
        return value if isinstance(value, tuple) else ()

    @property
    def counter(self) -> int | None:
        """The monotonic counter, with its rollover part as bits 32 and up."""
        low = self.integer("counter")
        if low is None or self.profile.rule("counter_high") is None:
            return low
        high = self.integer("counter_high")
        return None if high is None else high << 32 | low
