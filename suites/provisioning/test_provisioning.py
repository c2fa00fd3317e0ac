"""Keys and certification requests: the device shows the keys it is trusted by, and can prove that it holds them."""

from __future__ import annotations

import pytest
from tfm_harness import Bench, Check, Checks, Device, ResetKind, Verifier
from tfm_harness.protocol.smp import Command, status_of

REFERENCE = "tfm-harness-reference"
INVALID_ARGUMENT = -135
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
NO_OTHER_KEY = Check(
    id="provisioning.no-other-key",
    title="keys and requests are given for the documented numbers only",
    requirement="docs/protocol.md, public-key, csr; PSA Security Model 1.1 s.4.5 (least privilege)",
)
REQUEST_FORM = Check(
    id="provisioning.request-form",
    title="a request names the common name alone, and has the field of attributes, which is empty",
    requirement="docs/protocol.md, csr; RFC 2986 s.4.1",
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
def test_a_certification_request_proves_possession(
    bench: Bench, device: Device, verifier: Verifier, checks: Checks, role: str
) -> None:
    request = verifier.csr(role, device.csr(role))
    if request is not None and bench.description.firmware == REFERENCE:
        seen = ([name for name, _ in request.subject], request.attributes)
        checks.equal(REQUEST_FORM, seen, (["CN"], ()), subject=f"{role}: subject and attributes")


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


@pytest.mark.needs("public-keys", "csr", "stats")
def test_there_are_no_other_keys(device: Device, checks: Checks) -> None:
    """Numbers that look right when only their low bits are kept, and the key that must not certify itself."""
    numbers = (0, 4, 5, 127, 255, 256, 257, 258, 259, 65537, 65538, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + 2)
    cases = [(Command.PUBLIC_KEY, number) for number in numbers] + [(Command.CSR, number) for number in (1, *numbers)]
    for command, number in cases:
        status = status_of(device.test_commands.ask, command, {"key": number}, read=True)
        checks.equal(NO_OTHER_KEY, status, INVALID_ARGUMENT, subject=f"{command.name.lower()} {number}")
