"""The bootstrap exchange on the loopback interface: what must work, and every lie that must be found."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tfm_harness.errors import InfrastructureError
from tfm_harness.findings import Report
from tfm_harness.provisioning import messages
from tfm_harness.provisioning.ca import BOOTSTRAP_OU, Identity, RequestRefusedError, SmallCa
from tfm_harness.provisioning.client import BootstrapClient, RefusedError, provision
from tfm_harness.provisioning.messages import Form, MessageError
from tfm_harness.provisioning.server import BootstrapServer, Tamper
from tfm_harness.verify.csr import verify_csr
from tfm_harness.verify.derive import derive_reference_keys, reference_private_key
from tfm_harness.verify.keys import PublicKey

TEST_ONLY_HUK = bytes(range(32))
DEVICE = derive_reference_keys(TEST_ONLY_HUK)
UUID = str(DEVICE.uuid)
CLIENT_KEY = reference_private_key(TEST_ONLY_HUK, "client")


def request(key: ec.EllipticCurvePrivateKey = CLIENT_KEY, cn: str = UUID) -> bytes:
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "tfm-harness"), x509.NameAttribute(NameOID.COMMON_NAME, cn)]
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.DER)


@pytest.fixture(scope="module")
def ca() -> SmallCa:
    return SmallCa()


def client(server: BootstrapServer, identity: Identity | str | None = "bootstrap") -> BootstrapClient:
    if isinstance(identity, str):
        identity = server.ca.identity("tool", organizational_unit=BOOTSTRAP_OU)
    return BootstrapClient("127.0.0.1", server.port, server.ca.pem, identity, timeout=5)


def certify(server: BootstrapServer, form: Form = "cbor", csr: bytes | None = None) -> Report:
    report = Report()
    provision(
        client(server), request() if csr is None else csr, ca=server.ca.der, expected_key=DEVICE.client,
        expected_cn=UUID, report=report, form=form,
    )  # fmt: skip
    return report


def failed(report: Report) -> set[str]:
    return {finding.id for finding in report.failed}


@pytest.mark.parametrize("form", ["cbor", "json"])
def test_a_device_gets_its_certificate(ca: SmallCa, form: Form) -> None:
    with BootstrapServer(ca) as server:
        report = certify(server, form)
        assert report.ok, report.failed
        assert {"csr.signature", "certificate.chain", "certificate.key", "certificate.usage"} <= {
            f.id for f in report if f.passed
        }
        tool = client(server)
        status = tool.device_status(UUID)
        assert status.status == 1
        serial = status.serials[-1]
        assert tool.certificate_valid(serial)
        ca.revoke(serial)
        assert not tool.certificate_valid(serial)
        assert tool.hub() == messages.Hub("localhost", 8443)
        assert tool.device_status("nobody").status == 0


LIES = {
    Tamper.OTHER_CA: "certificate.chain",
    Tamper.OTHER_KEY: "certificate.key",
    Tamper.FLIPPED_BIT: "certificate.chain",
}


@pytest.mark.parametrize("tamper", LIES)
@pytest.mark.parametrize("form", ["cbor", "json"])
def test_a_lying_ca_is_found(ca: SmallCa, tamper: Tamper, form: Form) -> None:
    with BootstrapServer(ca, tamper=tamper) as server:
        assert LIES[tamper] in failed(certify(server, form))


@pytest.mark.parametrize("tamper", [Tamper.GARBAGE, Tamper.ENDLESS])
@pytest.mark.parametrize("form", ["cbor", "json"])
def test_an_answer_that_is_none_is_the_bench_s_fault(ca: SmallCa, tamper: Tamper, form: Form) -> None:
    with BootstrapServer(ca, tamper=tamper) as server, pytest.raises(InfrastructureError) as caught:
        certify(server, form)
    assert caught.value.kind == "ca-response"


@pytest.mark.parametrize("form", ["cbor", "json"])
def test_an_answer_whose_status_says_no_is_a_refusal(ca: SmallCa, form: Form) -> None:
    with BootstrapServer(ca, tamper=Tamper.BAD_STATUS) as server, pytest.raises(RefusedError) as caught:
        certify(server, form)
    assert "status 1" in caught.value.message


def flipped(csr: bytes) -> bytes:
    at = csr.index(UUID.encode())
    return csr[:at] + bytes([csr[at] ^ 1]) + csr[at + 1 :]


def test_a_flipped_bit_in_the_request_is_refused_by_both_ends(ca: SmallCa) -> None:
    with BootstrapServer(ca) as server:
        report = Report()
        verify_csr(flipped(request()), expected_key=DEVICE.client, report=report)
        assert "csr.signature" in failed(report)
        with pytest.raises(RefusedError) as caught:
            client(server).request_certificate(flipped(request()))
        assert caught.value.status == 400
        assert "csr.signature" in caught.value.message


def test_a_request_with_another_key_is_found_by_the_tool(ca: SmallCa) -> None:
    other = ec.derive_private_key(0x1F5ED0A1, ec.SECP256R1())
    with BootstrapServer(ca) as server:
        report = certify(server, csr=request(other))
    assert {"csr.key-expected", "certificate.key"} <= failed(report)


def test_a_replayed_request_is_refused(ca: SmallCa) -> None:
    csr = request()
    with BootstrapServer(ca) as server:
        tool = client(server)
        tool.request_certificate(csr)
        with pytest.raises(RefusedError) as caught:
            tool.request_certificate(csr)
    assert caught.value.status == 409


def test_clients_that_may_not_ask_are_refused(ca: SmallCa) -> None:
    revoked = ca.identity("tool", organizational_unit=BOOTSTRAP_OU)
    ca.revoke(revoked.certificate.serial_number)
    refused = {
        "wrong organizational unit": ca.identity("tool", organizational_unit="somebody"),
        "no organizational unit": ca.identity("tool"),
        "revoked": revoked,
    }
    with BootstrapServer(ca) as server:
        for name, identity in refused.items():
            with pytest.raises(RefusedError) as caught:
                client(server, identity).request_certificate(request())
            assert caught.value.status == 403, name
        no_tls = {
            "none": None,
            "another CA's": SmallCa("other").identity("tool", organizational_unit=BOOTSTRAP_OU),
            "expired": ca.identity("tool", organizational_unit=BOOTSTRAP_OU, start=-9, days=2),
        }
        for name, anonymous in no_tls.items():
            with pytest.raises(InfrastructureError) as broken:
                client(server, anonymous).request_certificate(request())
            assert broken.value.kind in {"ca-tls", "ca-connection"}, name


def test_a_server_of_another_ca_is_not_spoken_to(ca: SmallCa) -> None:
    with BootstrapServer(ca) as server:
        tool = BootstrapClient("127.0.0.1", server.port, SmallCa("other").pem, ca.identity("tool"), timeout=5)
        with pytest.raises(InfrastructureError) as caught:
            tool.hub()
    assert caught.value.kind == "ca-tls"


def test_wrong_bodies_get_an_answer(ca: SmallCa) -> None:
    cases = [
        (b"\x00" * (messages.MAX_BODY + 1), messages.CBOR_TYPE, 413),
        (b"{}", "text/html", 415),
        (b"{}", messages.JSON_TYPE, 400),
        (b'{"CSR": 5}', messages.JSON_TYPE, 400),
        (b"[" * 9000, messages.JSON_TYPE, 400),
        (b"\x81\x60", messages.CBOR_TYPE, 400),
        (b"\x9f\xff", messages.CBOR_TYPE, 400),
        (messages.encode_request(b"no csr", "cbor"), messages.CBOR_TYPE, 400),
    ]
    with BootstrapServer(ca) as server:
        tool = client(server)
        for body, kind, status in cases:
            with pytest.raises(RefusedError) as caught:
                tool.exchange("POST", "/api/v1/cr", body, kind)
            assert caught.value.status == status, body[:20]
        for path in ("/", "/api/v1/cs/x", "/api/v1/cs/" + "9" * 60, "/api/v1/cs/1", "/api/v1/ds/a/b"):
            with pytest.raises(RefusedError) as missing:
                tool.exchange("GET", path)
            assert missing.value.status == 404, path
        assert tool.hub().port == 8443  # it still answers


def test_a_silent_client_blocks_nobody(ca: SmallCa) -> None:
    with BootstrapServer(ca, timeout=5) as server, socket.create_connection(("127.0.0.1", server.port), timeout=5):
        assert client(server).hub().port == 8443


def test_closing_ends_connections_that_are_open(ca: SmallCa) -> None:
    with BootstrapServer(ca, timeout=60) as server:
        silent = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        assert client(server).hub().port == 8443  # the silent one has been taken in before this one
    with silent:
        assert silent.recv(1) == b""


def test_a_server_that_is_gone_is_the_bench_s_fault(ca: SmallCa) -> None:
    with BootstrapServer(ca) as server:
        tool = client(server)
    with pytest.raises(InfrastructureError) as caught:
        tool.hub()
    assert caught.value.kind == "ca-connection"


def test_nothing_is_left_behind(ca: SmallCa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = set(threading.enumerate())
    with BootstrapServer(ca) as server:
        certify(server)
        port = server.port
    assert set(threading.enumerate()) <= before
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.1", port), timeout=5):
        pass


def test_the_ca_refuses_what_it_should(ca: SmallCa) -> None:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, UUID)])
    )
    wants_ca = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    csr = wants_ca.sign(CLIENT_KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    with pytest.raises(RequestRefusedError) as caught:
        ca.issue(csr)
    assert {f.id for f in caught.value.findings} == {"csr.extensions"}
    with pytest.raises(RequestRefusedError):
        ca.issue(b"")
    with pytest.raises(KeyError):
        ca.revoke(12345)


def test_keys_are_in_files_only_while_they_are_read(ca: SmallCa) -> None:
    with ca.identity("x").files() as (certificate, key):
        assert b"BEGIN CERTIFICATE" in certificate.read_bytes()
        assert b"PRIVATE KEY" in key.read_bytes()
    assert not key.exists()


def test_without_memory_files_keys_are_for_this_user_only(
    ca: SmallCa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("os.memfd_create", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with ca.identity("x").files() as (certificate, key):
        assert key.parent.parent == tmp_path
        assert key.stat().st_mode & 0o077 == 0
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key)
    assert list(tmp_path.iterdir()) == []


def test_the_device_key_completes_mutual_tls(ca: SmallCa) -> None:
    """What the device does after provisioning: connect with the certificate and the key it was made for."""
    der = ca.issue(request(), expected_key=DEVICE.client)
    identity = Identity(x509.load_der_x509_certificate(der), CLIENT_KEY)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.verify_mode = ssl.CERT_REQUIRED
    server_side.load_verify_locations(cadata=ca.pem)
    with ca.identity("hub", server=True).files() as files:
        server_side.load_cert_chain(*files)
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.load_verify_locations(cadata=ca.pem)
    with identity.files() as files:
        client_side.load_cert_chain(*files)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    device = client_side.wrap_bio(to_client, to_server, server_hostname="localhost")
    ends = [device, server]
    for _ in range(20):
        for end in list(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                continue
    assert ends == []
    peer = server.getpeercert(binary_form=True)
    assert peer == der
    assert PublicKey.from_handle(x509.load_der_x509_certificate(peer).public_key()) == DEVICE.client  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["cbor", "json"])
def test_messages_round_trip(form: Form) -> None:
    assert messages.decode_request(messages.encode_request(b"csr", form), form) == b"csr"
    reply = messages.CertificateReply(0, b"certificate")
    assert messages.decode_certificate_reply(messages.encode_certificate_reply(reply, form), form) == reply


@pytest.mark.parametrize(
    ("decode", "body"),
    [
        (messages.decode_status, b"\xa0"), (messages.decode_status, b"\xa1\x01\x20"),
        (messages.decode_status, b"\xa1\x01\xf5"), (messages.decode_status, b""),
        (messages.decode_device_status, b"\xa2\x01\x01\x02\x60"),
        (messages.decode_device_status, b"\xa2\x01\x01\x02\x81\x60"),
        (messages.decode_device_status, b"\xa2\x01\x01\x02\x81\x61\x78"),
        (messages.decode_hub, b"\xa2\x01\x61\x78\x02\x00"), (messages.decode_hub, b"\xa2\x01\x05\x02\x01"),
        (lambda b: messages.decode_certificate_reply(b, "cbor"), b"\xa1\x01\x00"),
        (lambda b: messages.decode_certificate_reply(b, "json"), b'{"Status": 0}'),
        (lambda b: messages.decode_certificate_reply(b, "json"), b'{"Status": true, "Cert": ""}'),
        (lambda b: messages.decode_certificate_reply(b, "json"), b'{"Status": 0, "Cert": "***"}'),
        (lambda b: messages.decode_request(b, "json"), b'{"CSR": "", "x": 1}'),
        (lambda b: messages.decode_request(b, "json"), b"[]"),
        (lambda b: messages.decode_device_status(b, "json"), b'{"Status": 1, "Status": 0, "Serials": [5]}'),
    ],
)  # fmt: skip
def test_malformed_messages_are_refused(decode: object, body: bytes) -> None:
    assert callable(decode)
    with pytest.raises(MessageError):
        decode(body)


def test_serial_numbers_of_any_allowed_size(ca: SmallCa) -> None:
    from tfm_harness.verify import cbor

    body = cbor.encode({1: 1, 2: [7, str(1 << 150), (1 << 150).to_bytes(20, "big")]})
    assert messages.decode_device_status(body).serials == (7, 1 << 150, 1 << 150)


def test_certificates_end_with_their_ca() -> None:
    short = SmallCa(days=2)
    report = Report()
    from tfm_harness.verify.certificates import verify_certificate

    der = short.issue(request(), days=30)
    verify_certificate(der, issuer=short.der, now=dt.datetime.now(dt.UTC), report=report)
    assert "certificate.validity" in {f.id for f in report if f.passed}


def test_the_real_servers_answers_are_read() -> None:
    """CBOR answers of lite_bootstrap_server: an unknown device has null for its serials, a known one integers."""
    assert messages.decode_device_status(bytes.fromhex("a2010002f6")) == messages.DeviceStatus(0, ())
    known = messages.decode_device_status(bytes.fromhex("a2010102811b18ec1da80bf88627"))
    assert known == messages.DeviceStatus(1, (0x18EC1DA80BF88627,))
    with pytest.raises(MessageError):
        messages.decode_device_status(bytes.fromhex("a201000200"))
