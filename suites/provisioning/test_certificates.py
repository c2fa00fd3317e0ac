"""Certificates for the device's keys over the bootstrap protocol.

They come from the server that the build or the target names, else from a CA that the run owns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tfm_harness import Bench, Check, Checks, ConfigError, Device, InfrastructureError, Severity, Verifier
from tfm_harness.provisioning import (
    BOOTSTRAP_OU,
    BootstrapClient,
    BootstrapServer,
    FileIdentity,
    Form,
    RefusedError,
    SmallCa,
    provision,
)
from tfm_harness.verify import PublicKey

pytestmark = pytest.mark.needs("csr", "public-keys")

POSSESSION = Check(
    id="ca.proof-of-possession",
    title="the CA refuses a request whose signature does not verify",
    requirement="RFC 2986 s.3; RFC 4211 s.4 (proof of possession)",
)
ONCE = Check(
    id="ca.repeated-request",
    title="the CA does not certify one and the same request twice",
    requirement="RFC 4211 s.4.1 (replayed requests)",
    dev=Severity.INFO,
    validation=Severity.WARNING,
)
MUTUAL = Check(
    id="ca.mutual-tls",
    title="the CA answers no client that shows no certificate",
    requirement="RFC 8446 s.4.3.2 (certificate request)",
)


@dataclass(frozen=True)
class Authority:
    """A CA: its certificate (DER) and a client that may ask it."""

    der: bytes
    tool: BootstrapClient


@pytest.fixture
def authority(bench: Bench) -> Iterator[Authority]:
    """The server that is named, else a CA behind its server on the loopback interface."""
    named = bench.combination.build.provisioning or bench.combination.target.provisioning
    if named is not None:
        try:
            pem = named.ca.read_text()
            der = x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)
        except (OSError, ValueError) as error:
            raise ConfigError(
                "the CA's certificate cannot be read", kind="tls-identity", seen=str(error), where=str(named.ca)
            ) from error
        yield Authority(der, BootstrapClient(named.host, named.port, pem, FileIdentity(named.certificate, named.key)))
        return
    ca = SmallCa()
    with BootstrapServer(ca) as server:
        identity = ca.identity("harness", organizational_unit=BOOTSTRAP_OU)
        yield Authority(ca.der, BootstrapClient("127.0.0.1", server.port, ca.pem, identity))


def certified(tool: BootstrapClient, csr: bytes) -> str:
    """What became of a request, in words; empty where it was refused."""
    try:
        reply = tool.request_certificate(csr)
    except RefusedError:
        return ""
    return f"a certificate of {len(reply.certificate)} bytes"


@pytest.mark.needs("infer", "signed-result")
@pytest.mark.parametrize("form", ["cbor", "json"])
@pytest.mark.parametrize("role", ["result", "client"])
def test_a_device_key_gets_its_certificate(
    bench: Bench, device: Device, verifier: Verifier, authority: Authority, role: str, form: Form
) -> None:
    key = bench.trust.key(role)
    if not isinstance(key, PublicKey):
        pytest.skip(f"not covered: {bench.combination.build.name} names no {role} key that it trusts")
    certificate = provision(
        authority.tool, device.csr(role), ca=authority.der, expected_key=key, expected_cn=device.describe().uuid,
        report=verifier.report, form=form, subject=role,
    )  # fmt: skip
    assert certificate is not None
    assert authority.tool.certificate_valid(certificate.serial_number, form)
    # The certified key still signs: evidence after provisioning verifies with it.
    if role == "result":
        verifier.result(device.infer_input(device.client.any_input()))


def test_the_ca_wants_proof_of_possession(device: Device, authority: Authority, checks: Checks) -> None:
    csr = device.csr("client")
    broken = csr[:-1] + bytes([csr[-1] ^ 1])  # the last bit of the signature: still good DER
    seen = certified(authority.tool, broken)
    checks(POSSESSION, not seen, expected="a refusal", seen=seen)


def test_the_ca_certifies_a_request_once(device: Device, authority: Authority, checks: Checks) -> None:
    csr = device.csr("client")
    if not certified(authority.tool, csr):
        pytest.skip("not covered: the CA refuses this device's request, or has certified it before")
    seen = certified(authority.tool, csr)
    checks(ONCE, not seen, expected="a refusal of the same request", seen=seen)


def test_the_ca_asks_who_is_there(authority: Authority, checks: Checks) -> None:
    authority.tool.hub()  # it is there, and answers a client that may ask
    try:
        seen = f"an answer: {authority.tool.without_identity().hub()}"
    except (RefusedError, InfrastructureError):
        seen = ""
    checks(MUTUAL, not seen, expected="no answer without a client certificate", seen=seen)


@pytest.mark.needs("psa-token", "trusted-iak")
def test_the_token_still_verifies_after_provisioning(
    bench: Bench, device: Device, verifier: Verifier, authority: Authority
) -> None:
    verifier.token(*device.attest(), subject="before")
    for role in ("result", "client"):
        key = bench.trust.key(role)
        assert isinstance(key, PublicKey)
        provision(
            authority.tool, device.csr(role), ca=authority.der, expected_key=key, expected_cn=device.describe().uuid,
            report=verifier.report, subject=role,
        )  # fmt: skip
    verifier.token(*device.attest(), subject="after")
    verifier.relations()
