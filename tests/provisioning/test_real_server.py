"""The client against all recorded exchanges with the real lite_bootstrap_server."""

from __future__ import annotations

import datetime as dt
import http.client
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from tfm_harness.errors import InfrastructureError
from tfm_harness.findings import Report
from tfm_harness.provisioning import messages
from tfm_harness.provisioning.ca import BOOTSTRAP_OU, SmallCa
from tfm_harness.provisioning.client import BootstrapClient, RefusedError
from tfm_harness.provisioning.messages import MessageError, form_of
from tfm_harness.provisioning.server import BootstrapServer
from tfm_harness.verify.catalogue import ALL
from tfm_harness.verify.certificates import verify_certificate

from tests.provisioning.replay import recorded, recorded_ca, replay_server

KNOWN = "11111111-2222-4333-8444-555555555555"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
SERIAL = 1795842959006533159
WRONG_TYPE = "refused 400: Bad request: Content-Type must be application/cbor or application/json"
WRONG_TYPE_GET = "refused 400: bad request: Content-Type must be application/cbor or application/json"

# What the client makes of each exchange.
GETS = [
    "hub hub.example:8883",
    "status 1, 3 serials",
    "status 0, 0 serials",
    "status 1",
    "refused 400: invalid serial number",
    "refused 400: need a valid UUID",
    f"certificate {SERIAL}",
]
TABLE = [
    "certificate 1795842959006533159",
    "certificate 1795842959017158025",
    "certificate 1795842959026182430",
    WRONG_TYPE,
    "refused 400: Bad request: POST data did not match specified Content-Type",
    "refused 400: err: asn1: syntax error: truncated tag or length",
    *GETS,
    *GETS,
    *GETS,
    *[WRONG_TYPE_GET] * 7,
    "refused 404: 404 page not found",
    "malformed: an answer is application/cbor or application/json",
    "taken",
    "taken",
    "ca-tls",
    "ca-tls",
]


@pytest.fixture
def ca() -> SmallCa:
    return SmallCa()


@pytest.fixture
def tool(ca: SmallCa) -> Iterator[BootstrapClient]:
    with replay_server(ca) as port:
        yield BootstrapClient("127.0.0.1", port, ca.pem, ca.identity("tool", organizational_unit=BOOTSTRAP_OU))


def outcome(tool: BootstrapClient, number: int) -> str:
    entry = recorded()[number]
    if not entry.status:
        # The replay cannot look at the OU during the handshake: a certificate of another CA gives the same alert.
        other = None if entry.client == "no client certificate" else SmallCa("other").identity("tool")
        tool = BootstrapClient(tool.host, tool.port, tool.ca_pem, other)
    try:
        answer = tool.exchange(entry.method, entry.path, entry.request, entry.kind)
    except RefusedError as error:
        return f"refused {error.status}: {error.message.removeprefix('the CA refuses: ')}"
    except InfrastructureError as error:
        return error.kind
    if entry.path.endswith(("/kur", "/krr")):
        return "taken"
    try:
        form = form_of(answer.content_type)
        match entry.path.split("/")[3:]:
            case ["cr"]:
                der = messages.decode_certificate_reply(answer.body, form).certificate
                return f"certificate {x509.load_der_x509_certificate(der).serial_number}"
            case ["cc", _]:
                der = messages.decode_stored_certificate(answer.body, form).certificate
                return f"certificate {x509.load_der_x509_certificate(der).serial_number}"
            case ["ccs"]:
                hub = messages.decode_hub(answer.body, form)
                return f"hub {hub.host}:{hub.port}"
            case ["ds", _]:
                status = messages.decode_device_status(answer.body, form)
                return f"status {status.status}, {len(status.serials)} serials"
            case ["cs", _]:
                return f"status {messages.decode_status(answer.body, form)}"
    except MessageError as error:
        return f"malformed: {error.message}"
    return "nothing"


PAGE = Path(__file__).resolve().parents[2] / "docs" / "bootstrap-server.md"
_PLACES = {KNOWN: "KNOWN", UNKNOWN: "UNKNOWN", str(SERIAL): "SERIAL"}
_MEANS = {
    "ca-tls": "`ca-tls`: the server refuses the client during the handshake",
    "taken": "taken: the server has not implemented it, and says so with 200",
}


def page_rows() -> list[str]:
    """The page's table of the exchanges: one line for each."""
    rows = []
    for entry, made in zip(recorded(), TABLE, strict=True):
        path = entry.path
        for value, place in _PLACES.items():
            path = path.replace(value, place)
        request = f"`{entry.method} {path}`" + (f" ({entry.client})" if entry.client else "")
        answer = str(entry.status) if entry.status else "TLS alert"
        rows.append(
            f"| {entry.number + 1} | {request} | {entry.kind or 'none'} | {answer} | {entry.content_type or 'none'} |"
            f" {_MEANS.get(made, made)} |"
        )
    return rows


def test_the_page_shows_every_exchange() -> None:
    lines = PAGE.read_text().splitlines()
    assert [line for line in lines if re.match(r"\| \d+ \|", line)] == page_rows()


def test_the_findings_that_the_page_names_exist() -> None:
    found = set(re.findall(r"^\| `((?:ca|certificate)\.[a-z-]+)` \|", PAGE.read_text(), re.MULTILINE))
    suite = PAGE.parents[1] / "suites" / "provisioning" / "test_certificates.py"
    known = {check.id for check in ALL} | set(re.findall(r'id="([a-z.-]+)"', suite.read_text()))
    assert len(found) == 5
    assert found <= known


@pytest.mark.parametrize("number", range(40))
def test_every_recorded_exchange(tool: BootstrapClient, number: int) -> None:
    assert len(recorded()) == len(TABLE) == 40
    assert outcome(tool, number) == TABLE[number]


@pytest.mark.parametrize("form", ["cbor", "json"])
def test_each_method_of_the_client(tool: BootstrapClient, form: messages.Form) -> None:
    assert tool.hub(form) == messages.Hub("hub.example", 8883)
    known = tool.device_status(KNOWN, form)
    assert known.status == 1
    assert known.serials[0] == SERIAL
    assert tool.device_status(UNKNOWN, form) == messages.DeviceStatus(0, ())
    assert tool.certificate_valid(SERIAL, form)
    for ask in (lambda: tool.certificate_valid(5, form), lambda: tool.device_status("nope", form)):
        with pytest.raises(RefusedError) as caught:
            ask()
        assert caught.value.status == 400
    assert x509.load_der_x509_certificate(tool.certificate(SERIAL, form)).serial_number == SERIAL
    tool.update_key()
    tool.revoke()


def test_what_the_servers_certificate_lacks_is_found(tool: BootstrapClient) -> None:
    entry = recorded()[0]
    assert entry.request is not None
    csr = messages.decode_request(entry.request, "cbor")
    reply = tool.request_certificate(csr)
    issuer = x509.load_pem_x509_certificate(recorded_ca().read_bytes()).public_bytes(serialization.Encoding.DER)
    report = Report()
    now = x509.load_der_x509_certificate(reply.certificate).not_valid_before_utc + dt.timedelta(hours=1)
    verify_certificate(reply.certificate, issuer=issuer, now=now, client=True, report=report)
    assert {finding.id for finding in report.findings if not finding.passed} >= {
        "certificate.usage",
        "certificate.validity",
    }


def test_a_connection_that_is_dropped_is_told_as_such(tool: BootstrapClient) -> None:
    with pytest.raises(InfrastructureError, match="without an answer") as caught:
        tool.exchange("GET", "/api/v1/never-recorded")
    assert caught.value.kind == "ca-connection"


def test_an_answer_that_is_cut_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole CBOR item may stand in front of the cut: what was announced tells."""
    monkeypatch.setattr(http.client.HTTPResponse, "begin", announces_more(http.client.HTTPResponse.begin))
    ca = SmallCa()
    with BootstrapServer(ca) as server:
        tool = BootstrapClient("127.0.0.1", server.port, ca.pem, ca.identity("x", organizational_unit=BOOTSTRAP_OU))
        with pytest.raises(InfrastructureError, match=r"IncompleteRead\(\d+ bytes read, 5 more expected") as caught:
            tool.hub()
    assert caught.value.kind == "ca-connection"


def announces_more(begin: Callable[[http.client.HTTPResponse], None]) -> Callable[[http.client.HTTPResponse], None]:
    """Five bytes more than the server sends."""

    def changed(response: http.client.HTTPResponse) -> None:
        begin(response)
        assert response.length is not None
        response.length += 5

    return changed
