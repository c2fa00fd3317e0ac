"""A device that speaks as zephyr_secure_inference does, with a key of its own and its weaknesses to order."""

from __future__ import annotations

import base64
import hashlib
import math
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

UUID = "d5668f22-64b7-4efd-b4cb-0b6d940434b0"
PROMPT = b"uart:~$ "
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

BOOT = (
    b"[INF] Beginning TF-M provisioning\r\n\x00[WRN]\x1b[1;31m \x00TFM_DUMMY_PROVISIONING is not suitable for"
    b" production! \x00This device is \x1b[1;1mNOT SECURE\x00\x1b[0m\r\n\x00Booting TF-M v1.8.0\r\n\x00"
    b"[UTVM SERVICE] UTVM initalisation completed\n[TFLM SERVICE] TFLM initalisation completed\n"
    b"\r\n\r\n" + PROMPT + b"\x1b[8D\x1b[J*** Booting Zephyr OS build  ***\r\n" + PROMPT
    + b"\x1b[8D\x1b[J[00:00:00.026,000] <inf> app: Successfully derived the key for HUK_CLIENT_TLS\r\n" + PROMPT
)  # fmt: skip


def hexdump(data: bytes) -> bytes:
    """As Zephyr's shell prints it."""
    rows = []
    for offset in range(0, len(data), 16):
        row = data[offset : offset + 16]
        columns = "".join((f"{row[i]:02x} " if i < len(row) else "   ") + (" " if i == 7 else "") for i in range(16))
        shown = [
            chr(row[i]) if i < len(row) and 32 <= row[i] < 127 else "." if i < len(row) else " " for i in range(16)
        ]
        rows.append(f"{offset:08X}: {columns}|{''.join(shown[:8])} {''.join(shown[8:])}|\r\n")
    return "".join(rows).encode()


class Simulated:
    """Called with what is typed; gives what the device prints.

    Args:
        weak: with the known weaknesses: the counter starts again and signatures repeat their secret number
            at each boot, a token claim carries stray bytes, requests carry NULL parameters.
        values: outputs of tflm_sine for whole degrees; the sine itself by default.
        utvm: outputs of utvm_sine for whole degrees, likewise.
        fractions: outputs of tflm_sine for inputs that are no whole degrees; the sine itself by default.
        signs: what it signs at every angle but 45 degrees, in place of its output.
        signs_at: the one angle at which it does so, in place of all but one.
        model_digest: what the token claims as the MD5 of tflm_sine.
    """

    def __init__(
        self,
        *,
        weak: bool = True,
        values: Sequence[float] | None = None,
        signs: float | None = None,
        signs_at: float | None = None,
        utvm: Sequence[float] | None = None,
        fractions: Mapping[float, float] | None = None,
        model_digest: bytes = b"27036dd122bc82da54fc0f2d7d99497b",
    ) -> None:
        self.weak = weak
        self.signs, self.signs_at = signs, signs_at
        self.tables = {"tflm_sine": values, "utvm_sine": utvm}
        self.fractions = {struct.pack("<f", degrees): value for degrees, value in (fractions or {}).items()}
        self.model_digest = model_digest
        self.keys = {number: ec.generate_private_key(ec.SECP256R1()) for number in (0x5001, 0x5002)}
        self.counter = 0
        self.typed = b""

    def pem(self, number: int) -> bytes:
        return (
            self.keys[number]
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )

    def boot(self) -> bytes:
        if self.weak:
            self.counter = 0
        self.typed = b""
        return BOOT

    def __call__(self, data: bytes) -> bytes:
        out = b""
        for byte in data:
            if byte == 3:
                self.typed = b""
                out += b"\r\n" + PROMPT
            elif byte == 13:
                line, self.typed = self.typed.decode("latin-1"), b""
                out += line.encode() + b"\r\n"
                out += BOOT if line == "kernel reboot cold" and self.boot() else self.run(line) + PROMPT
            else:
                self.typed += bytes([byte])
        return out

    def run(self, line: str) -> bytes:
        words = line.split()
        match words:
            case ["info", "version"]:
                return b"1.0.0\r\n"
            case ["info", "uuid"]:
                return UUID.encode() + b"\r\n"
            case ["infer", "model"]:
                return (
                    b"| Model Label    | Model ID     | Status   |\r\n| tflm_sine      | 0x4c690211   | Active   |\r\n"
                    b"| utvm_sine      | 0x4c690212   | Active   |\r\n"
                )
            case ["infer", "get", ("tflm_sine" | "utvm_sine") as model, ("CBOR" | "SIGN1") as form, degrees]:
                return self.infer(form, float(degrees), model)
            case ["infer", "get", ("tflm_sine" | "utvm_sine") as model, ("CBOR" | "SIGN1") as form, *numbers]:
                start, stop, stride = map(int, numbers)
                return b"".join(self.infer(form, float(degrees), model) for degrees in range(start, stop + 1, stride))
            case ["infer", "token"]:
                return b"AAT token:\r\n" + hexdump(self.token())
            case ["keys", "public", number]:
                name = f"Key ID: 0x{number}\r\nKey:\r\n".encode()
                return name + self.pem(int(number, 16)).replace(b"\n", b"\r\n") + b"\r\n"
            case ["keys", "csr", "PEM", number]:
                return b"\r\n" + self.csr(int(number, 16)).replace(b"\n", b"\r\n") + b"\r\n"
        return words[0].encode() + b": command not found\r\n" if words else b""

    def infer(self, form: str, degrees: float, model: str = "tflm_sine") -> bytes:
        value = struct.pack("<f", self.value_of(model, degrees))
        message = cbor2.dumps({-80000: value})
        if form == "SIGN1":
            wrong = degrees != 45 if self.signs_at is None else degrees == self.signs_at
            if self.signs is not None and model == "tflm_sine" and wrong:
                value = struct.pack("<f", self.signs)
            claims = {-80000: value, -80005: bytes(4), -80006: struct.pack("<I", self.counter)}
            self.counter += 1
            message = self.sign(cbor2.dumps(claims))
        shown = struct.unpack("<f", value)[0]
        return (
            f"Start: {degrees:.2f} End: {degrees:.2f} stride: 1.00\r\n".encode()
            + b"[TFLM SERVICE] Starting secure inferencing\n[TFLM SERVICE] Starting CBOR/COSE encoding\n"
            + f"{form} encoded inference value:\r\n".encode()
            + hexdump(message)
            + f"Model: Sine of {degrees:.2f} deg is: {shown:.6f}\t\r\n".encode()
            + f"C Mathlib: Sine of {degrees:.2f} deg is: {shown:.6f}\t\r\nDeviation: 0.000000\r\n\r\n".encode()
        )

    def value_of(self, model: str, degrees: float) -> float:
        table = self.tables[model]
        known = self.fractions.get(struct.pack("<f", degrees)) if table and model == "tflm_sine" else None
        if known is not None:
            return known
        return table[int(degrees)] if table and degrees.is_integer() else math.sin(math.radians(degrees))

    def token(self) -> bytes:
        stray = bytes.fromhex("0ec90211") if self.weak else b""
        claims = {
            -80001: b"c2018a7bf84364cc743491a52b41248497569e03",
            -80002: self.model_digest,
            -80003: b"0.9.dev0",
            -80004: b"b8085238f6e790f25de393e203136776" + stray,
        }
        return self.sign(cbor2.dumps(claims))

    def sign(self, payload: bytes) -> bytes:
        protected = cbor2.dumps({1: -7})
        to_sign = cbor2.dumps(["Signature1", protected, b"", payload])
        signature = self.repeating(to_sign) if self.weak else self.fresh(to_sign)
        return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))

    def fresh(self, data: bytes) -> bytes:
        r, s = decode_dss_signature(self.keys[0x5002].sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def repeating(self, data: bytes) -> bytes:
        """The secret number k depends on the position since boot only."""
        k = int.from_bytes(hashlib.sha256(b"k%d" % self.counter).digest(), "big") % ORDER
        r = ec.derive_private_key(k, ec.SECP256R1()).public_key().public_numbers().x % ORDER
        e = int.from_bytes(hashlib.sha256(data).digest(), "big")
        d = self.keys[0x5002].private_numbers().private_value
        s = pow(k, -1, ORDER) * (e + r * d) % ORDER
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def csr(self, number: int) -> bytes:
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Linaro"),
                x509.NameAttribute(NameOID.COMMON_NAME, UUID),
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Device"),
            ]
        )
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self.keys[number], hashes.SHA256())
        if not self.weak:
            return request.public_bytes(serialization.Encoding.PEM)
        return pem_of(with_null_parameters(request.public_bytes(serialization.Encoding.DER)))


def with_null_parameters(request: bytes) -> bytes:
    """The request with NULL as its signature algorithm's parameters, which ecdsa-with-SHA256 must not have."""
    plain = bytes.fromhex("300a06082a8648ce3d040302")
    null = bytes.fromhex("300c06082a8648ce3d0403020500")
    assert request.count(plain) == 1
    body = request[4 if request[1] == 0x82 else 3 :].replace(plain, null)
    assert 0x80 <= len(body) < 0x10000
    return (
        b"\x30" + (b"\x81" + bytes([len(body)]) if len(body) < 0x100 else b"\x82" + len(body).to_bytes(2, "big")) + body
    )


def pem_of(request: bytes) -> bytes:
    text = base64.encodebytes(request).decode().replace("\n", "")
    lines = [text[i : i + 64] for i in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE REQUEST-----", *lines, "-----END CERTIFICATE REQUEST-----", ""]).encode()


class Server:
    """A device behind a TCP port; creating the file `reset` resets it (what a user's reset command does)."""

    def __init__(self, device: Simulated, boot: Callable[[], bytes]) -> None:
        self.device, self.boot = device, boot
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.control = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.control_port: int = self.control.getsockname()[1]
        self.peer: socket.socket | None = None
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self.serve, self.serve_resets)]
        for thread in self.threads:
            thread.start()

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                self.peer, _ = self.listener.accept()
                self.peer.sendall(self.boot())
                with suppress(OSError):
                    while data := self.peer.recv(4096):
                        self.peer.sendall(self.device(data))

    def serve_resets(self) -> None:
        with suppress(OSError):
            while True:
                asking, _ = self.control.accept()
                if self.peer is not None:
                    self.peer.sendall(b"\r\n" + self.boot())
                asking.close()

    def reset_words(self, python: str) -> list[str]:
        code = f"import socket; socket.create_connection(('127.0.0.1', {self.control_port})).recv(1)"
        return [python, "-c", code]

    def stop(self) -> None:
        for sock in (self.listener, self.control, self.peer):
            if sock is not None:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()
        for thread in self.threads:
            thread.join(10)


def write_build(folder: Path, device: Simulated, source: Path, *, waived: bool, model: Path | None = None,
                table: Path | None = None) -> Path:  # fmt: skip
    """The bundled build description with this device's keys; `waived` switches its waivers on."""
    (folder / "images").mkdir(parents=True)
    (folder / "keys").mkdir()
    (folder / "images" / "tfm_merged.hex").write_text(":00000001FF\n")
    (folder / "keys" / "cose_5002_pub.pem").write_bytes(device.pem(0x5002))
    (folder / "keys" / "client_tls_5001_pub.pem").write_bytes(device.pem(0x5001))
    text = source.read_text()
    if model is not None:
        (folder / "images" / "hello_world.tflite").write_bytes(model.read_bytes())
    else:
        text = text.replace("  tflm_sine: {file: images/hello_world.tflite}", "  {}")
        text = text.replace("parity: {quantisation: {tflm_sine: truncate}}\n", "")
    if table is not None:
        (folder / "utvm_sine.txt").write_bytes(table.read_bytes())
        text = text.replace("models:\n", "models:\n  utvm_sine: {reference: {table: utvm_sine.txt}}\n", 1)
    if waived:
        text = text.replace("# waivers:", "waivers:").replace("#   - {finding", "  - {finding")
    (folder / "build.yaml").write_text(text)
    return folder / "build.yaml"
