"""Keys and certification requests: the device shows the keys it is trusted by, and can prove that it holds them."""

from __future__ import annotations

import pytest
from tfm_harness import Bench, Check, Checks, Device, ResetKind, Verifier

ROLES = ("iak", "result", "client")

ROLES_DIFFER = Check(
    id="provisioning.roles-differ",
    title="each role has a key of its own",
    requirement="NIST SP 800-57 part 1 s.5.2 (one key, one purpose)",
)
STABLE = Check(
    id="provisioning.stable",
    title="identity and keys are the same over resets",
    requirement="PSA Security Model 1.1 s.4.3 (attestable identity)",
)
UUID = Check(
    id="provisioning.uuid",
    title="the device's UUID is the one that follows from its secret, in the form of RFC 9562",
    requirement="RFC 9562 s.5.8",
)
OTP = Check(
    id="provisioning.otp",
    title="the one-time-programmable area is provisioned and intact",
    requirement="PSA Security Model 1.1 s.5.2 (provisioning)",
)


def roles_of(device: Device) -> list[str]:
    """The roles whose keys this firmware shows."""
    return [role for role in ROLES if role in device.client.key_names]


@pytest.mark.needs("public-keys")
def test_the_device_shows_the_trusted_keys(device: Device, verifier: Verifier, checks: Checks) -> None:
    shown = {role: device.public_key(role) for role in roles_of(device)}
    for role, data in shown.items():
        verifier.public_key(role, data)
    different = len(set(shown.values()))
    checks(ROLES_DIFFER, different == len(shown), expected=f"{len(shown)} different keys", seen=different)


@pytest.mark.needs("csr")
@pytest.mark.parametrize("role", ["result", "client"])
def test_a_certification_request_proves_possession(device: Device, verifier: Verifier, role: str) -> None:
    verifier.csr(role, device.csr(role))


@pytest.mark.needs("describe", "known-secrets")
def test_the_identity_is_the_provisioned_one(bench: Bench, device: Device, checks: Checks) -> None:
    said = device.describe()
    identity = bench.trust.provisioned
    assert identity is not None
    checks.equal(UUID, said.uuid, str(identity.uuid))
    checks.equal(OTP, said.raw.get("otp"), "ok")


@pytest.mark.needs("public-keys")
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.needs(f"{kind}-reset"), id=str(kind)) for kind in ResetKind]
)
def test_keys_stay_over_resets(device: Device, checks: Checks, kind: ResetKind) -> None:
    def identity() -> dict[str, object]:
        return {"uuid": device.describe().uuid, **{role: device.public_key(role).hex() for role in roles_of(device)}}

    before = identity()
    device.reset(kind)
    after = identity()
    for name, value in before.items():
        checks.equal(STABLE, after[name], value, subject=name)
