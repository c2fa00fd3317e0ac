"""Messages of the bootstrap protocol, in CBOR and JSON. Pure: bytes in, values out.

Everything received is untrusted: limits before allocation, strict CBOR, typed members.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from tfm_harness.errors import ProductError
from tfm_harness.verify import cbor

__all__ = [
    "CBOR_TYPE",
    "JSON_TYPE",
    "MAX_BODY",
    "CertificateReply",
    "DeviceStatus",
    "Form",
    "Hub",
    "MessageError",
    "decode_certificate_reply",
    "decode_device_status",
    "decode_hub",
    "decode_request",
    "decode_status",
    "decode_stored_certificate",
    "encode_certificate_reply",
    "encode_request",
    "error_text",
    "form_of",
]

Form = Literal["cbor", "json"]
"""How a message is encoded."""
CBOR_TYPE = "application/cbor"
JSON_TYPE = "application/json"
_PEM = re.compile(r"\s*-----BEGIN CERTIFICATE-----\s([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*")
MAX_BODY = 16384
"""Largest body in bytes: a request or certificate has well under 2,000."""


class MessageError(ProductError):
    """A body that violates the protocol."""

    def __init__(self, message: str, *, seen: str | None = None) -> None:
        super().__init__(message, kind="bootstrap-message", seen=seen)


@dataclass(frozen=True, slots=True)
class CertificateReply:
    """Reply to a certificate request: status (0 is good) and the certificate, DER."""

    status: int
    certificate: bytes


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """The CA's record of a device: status (0 unknown, 1 known) and its serial numbers."""

    status: int
    serials: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Hub:
    """Where the device connects after provisioning."""

    host: str
    port: int


def encode_request(csr: bytes, form: Form) -> bytes:
    """A certificate request: CBOR ``[CSR]``, or JSON ``{"CSR": base64}``."""
    if form == "cbor":
        return cbor.encode([csr])
    return json.dumps({"CSR": base64.b64encode(csr).decode()}).encode()


def decode_request(body: bytes, form: Form) -> bytes:
    """The DER request from a certificate request.

    Raises:
        MessageError: not one.
    """
    if form == "cbor":
        value = _cbor(body)
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], bytes):
            return value[0]
        raise MessageError("a certificate request is an array of one byte string", seen=_kind(value))
    members = _json(body)
    if set(members) != {"CSR"}:
        raise MessageError("a certificate request has the member CSR", seen=", ".join(sorted(members))[:80])
    return _base64(members["CSR"], "CSR")


def encode_certificate_reply(reply: CertificateReply, form: Form) -> bytes:
    """The reply in either form."""
    if form == "cbor":
        return cbor.encode({1: reply.status, 2: reply.certificate})
    return json.dumps({"Status": reply.status, "Cert": base64.b64encode(reply.certificate).decode()}).encode()


def decode_certificate_reply(body: bytes, form: Form) -> CertificateReply:
    """The reply from a body: CBOR ``{1: status, 2: certificate}`` or JSON ``{"Status", "Cert"}``.

    Raises:
        MessageError: not one.
    """
    if form == "cbor":
        members = _cbor_map(body)
        certificate = members.get(2)
        if not isinstance(certificate, bytes):
            raise MessageError("a reply has the certificate (2) as a byte string", seen=_kind(certificate))
        return CertificateReply(_integer(members.get(1), "status (1)"), certificate)
    values = _json(body)
    return CertificateReply(_integer(values.get("Status"), "Status"), _base64(values.get("Cert"), "Cert"))


def decode_status(body: bytes, form: Form = "cbor") -> int:
    """The status of a certificate, CBOR ``{1: status}`` or JSON ``{"Status"}``: 1 valid, 0 revoked.

    Raises:
        MessageError: not one.
    """
    return _integer(_members(body, form, "Status")[0], "the status")


def decode_device_status(body: bytes, form: Form = "cbor") -> DeviceStatus:
    """The status of a device, CBOR ``{1: status, 2: serials}`` or JSON ``{"Status", "Serials"}``.

    Raises:
        MessageError: not one.
    """
    status, serials = _members(body, form, "Status", "Serials")
    # The server writes null if it knows no certificate: a nil slice in its Go code.
    listed = [] if serials is None else serials
    if not isinstance(listed, list):
        raise MessageError("the serials are an array", seen=_kind(serials))
    return DeviceStatus(_integer(status, "the status"), tuple(_serial(item) for item in listed))


def decode_hub(body: bytes, form: Form = "cbor") -> Hub:
    """Where to connect, CBOR ``{1: host, 2: port}`` or JSON ``{"Hubname", "Port"}``.

    Raises:
        MessageError: not one.
    """
    host, number = _members(body, form, "Hubname", "Port")
    port = _integer(number, "the port")
    if not isinstance(host, str) or not host or not 0 < port < 65536:
        raise MessageError("a hub has a host as text and a port", seen=f"{host!r} {port}"[:80])
    return Hub(host, port)


def decode_stored_certificate(body: bytes, form: Form = "cbor") -> CertificateReply:
    """A certificate the CA keeps, CBOR ``{1: status, 2: PEM text}`` or JSON ``{"Status", "Cert": PEM text}``.

    Raises:
        MessageError: not one, or not exactly one PEM block.
    """
    status, text = _members(body, form, "Status", "Cert")
    match = _PEM.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise MessageError("a kept certificate is one PEM block as text", seen=_kind(text))
    return CertificateReply(_integer(status, "the status"), _base64(re.sub(r"\s", "", match[1]), "the PEM block"))


def form_of(content_type: str) -> Form:
    """The form that an answer's Content-Type names.

    Raises:
        MessageError: neither CBOR nor JSON.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == CBOR_TYPE:
        return "cbor"
    if kind == JSON_TYPE:
        return "json"
    raise MessageError(f"an answer is {CBOR_TYPE} or {JSON_TYPE}", seen=repr(content_type[:80]))


def error_text(body: bytes) -> str:
    """The reason in an error's body: a JSON object with ``error`` (whatever the Content-Type says), or plain text."""
    text = body[:1000].decode("utf-8", errors="replace").strip()
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return text[:300]
    return str(value["error"])[:300] if isinstance(value, dict) and "error" in value else text[:300]


def _members(body: bytes, form: Form, *names: str) -> list[object]:
    """The members of an answer in order: CBOR labels 1, 2, ..., JSON by name; None for one that is absent."""
    if form == "cbor":
        members = _cbor_map(body)
        return [members.get(label) for label in range(1, len(names) + 1)]
    values = _json(body)
    return [values.get(name) for name in names]


def _serial(value: object) -> int:
    # Serial numbers of up to 20 octets do not fit into a CBOR integer; they come as text or bytes.
    if isinstance(value, bytes) and 0 < len(value) <= 20:
        return int.from_bytes(value, "big")
    if isinstance(value, str) and 0 < len(value) <= 50 and value.isascii() and value.isdigit():
        return int(value)
    return _integer(value, "a serial number")


def _cbor(body: bytes) -> cbor.CborValue:
    try:
        return cbor.decode(body, max_size=MAX_BODY).value
    except cbor.CborError as error:
        raise MessageError(f"the body is no strict CBOR: {error.message} at byte {error.offset}") from None


def _cbor_map(body: bytes) -> dict[int | str | bytes, cbor.CborValue]:
    value = _cbor(body)
    if not isinstance(value, dict):
        raise MessageError("the body is a map", seen=_kind(value))
    return value


def _json(body: bytes) -> dict[str, Any]:
    if len(body) > MAX_BODY:
        raise MessageError(f"the body has {len(body)} bytes, more than the limit of {MAX_BODY}")
    try:
        value: object = json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise MessageError("the body is no JSON", seen=repr(body[:60])) from None
    if not isinstance(value, dict):
        raise MessageError("the body is a JSON object", seen=_kind(value))
    return value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse a body with two members of one name: readers differ in which one counts (RFC 8259 s.4)."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise MessageError("a member of the body appears twice", seen=max(names, key=names.count))
    return found


def _integer(value: object, what: str) -> int:
    if type(value) is not int or value < 0:
        raise MessageError(f"{what} is an unsigned integer", seen=_kind(value))
    return value


def _base64(value: object, what: str) -> bytes:
    if not isinstance(value, str):
        raise MessageError(f"{what} is base64 text", seen=_kind(value))
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise MessageError(f"{what} is no base64", seen=value[:60]) from None


def _kind(value: object) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {value!r}"[:80]
