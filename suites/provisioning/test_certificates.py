"""Certificates for the device's keys, from a CA that the run owns, over the bootstrap protocol."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tfm_harness import Bench, Device, Verifier
from tfm_harness.provisioning import BOOTSTRAP_OU, BootstrapClient, BootstrapServer, Form, SmallCa, provision
from tfm_harness.verify import PublicKey

pytestmark = pytest.mark.needs("csr", "public-keys", "infer", "signed-result")


@pytest.fixture
def authority() -> Iterator[tuple[SmallCa, BootstrapClient]]:
    """A CA behind its server on the loopback interface, and a tool that may ask it."""
    ca = SmallCa()
    with BootstrapServer(ca) as server:
        identity = ca.identity("harness", organizational_unit=BOOTSTRAP_OU)
        yield ca, BootstrapClient("127.0.0.1", server.port, ca.pem, identity)


@pytest.mark.parametrize("form", ["cbor", "json"])
@pytest.mark.parametrize("role", ["result", "client"])
def test_a_device_key_gets_its_certificate(
    bench: Bench, device: Device, verifier: Verifier, authority: tuple[SmallCa, BootstrapClient], role: str, form: Form
) -> None:
    ca, tool = authority
    key = bench.trust.key(role)
    if not isinstance(key, PublicKey):
        pytest.skip(f"not covered: {bench.pair.build.name} names no {role} key that it trusts")
    certificate = provision(
        tool, device.csr(role), ca=ca.der, expected_key=key, expected_cn=device.describe().uuid,
        report=verifier.report, form=form, subject=role,
    )  # fmt: skip
    assert certificate is not None
    assert tool.certificate_valid(certificate.serial_number)
    # The certified key still signs: evidence after provisioning verifies with it.
    if role == "result":
        verifier.result(device.infer_input(device.client.any_input()))


@pytest.mark.needs("psa-token", "trusted-iak")
def test_the_token_still_verifies_after_provisioning(
    bench: Bench, device: Device, verifier: Verifier, authority: tuple[SmallCa, BootstrapClient]
) -> None:
    ca, tool = authority
    verifier.token(*device.attest(), subject="before")
    for role in ("result", "client"):
        key = bench.trust.key(role)
        assert isinstance(key, PublicKey)
        provision(
            tool, device.csr(role), ca=ca.der, expected_key=key, expected_cn=device.describe().uuid,
            report=verifier.report, subject=role,
        )  # fmt: skip
    verifier.token(*device.attest(), subject="after")
    verifier.relations()
