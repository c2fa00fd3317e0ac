"""A simulated firmware that speaks SMP over the UART console framing.

It uses PyPI's ``smp`` for the framing, not the harness's own encoder, so that both sides cannot have the same mistake.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from tfm_harness.protocol.smp.header import HEADER

__all__ = ["ReferenceFirmware", "SmpFirmware", "smp_frame"]

Arguments = dict[str, Any]
Handler = Callable[[Arguments], Mapping[str, Any]]


def smp_frame(payload: bytes) -> bytes:
    """An SMP packet as it goes over the UART: lines with marker, length, CRC, base64."""
    from smp import packet

    return b"".join(packet.encode(payload))


class SmpFirmware:
    """Answers SMP requests by a table of commands. A handler returns the answer's map; without one it is ``{"rc": 8}``.

    Attributes:
        commands: (group, command) to handler.
        faults: functions that change the bytes of the next answers, one for each answer, in order.
        requests: the requests so far: group, command, sequence number, arguments.
    """

    def __init__(self) -> None:
        from smp import packet

        self.commands: dict[tuple[int, int], Handler] = {
            (0, 0): lambda arguments: {"r": arguments["d"]},
            (0, 5): lambda _: {},
            (0, 6): lambda _: {"buf_size": 4096, "buf_count": 1},
        }
        self.faults: list[Callable[[bytes], bytes]] = []
        self.requests: list[tuple[int, int, int, Arguments]] = []
        self._lines = b""
        self._new_decoder = packet.decode
        self._decoder = self._fresh()

    def _fresh(self) -> Any:  # noqa: ANN401 - smp's generator
        decoder = self._new_decoder()
        next(decoder)
        return decoder

    def boot(self) -> bytes:
        """What it prints when it starts."""
        self._lines, self._decoder = b"", self._fresh()
        return b"[NS] ready\n"

    def __call__(self, data: bytes) -> bytes:
        """Take `data`. Returns the answers to the requests that are complete now."""
        out = b""
        self._lines += data
        while b"\n" in self._lines:
            line, self._lines = self._lines.split(b"\n", 1)
            try:
                self._decoder.send(line + b"\n")
            except StopIteration as done:
                out += self.answer(done.value)
                self._decoder = self._fresh()
        return out

    def answer(self, request: bytes) -> bytes:
        """The framed answer to one request. Raises ValueError when the request violates the protocol."""
        import cbor2

        op, _flags, length, group, sequence, command = HEADER.unpack_from(request)
        if length != len(request) - HEADER.size or op >> 3 != 1:
            raise ValueError(f"no SMP version 2 request: {request[:16].hex()}")
        arguments = cbor2.loads(request[HEADER.size :])
        self.requests.append((group, command, sequence, arguments))
        handler = self.commands.get((group, command))
        body = handler(arguments) if handler else {"rc": 8}
        answer = smp_frame(self.packet(op & 7, group, sequence, command, body))
        return self.faults.pop(0)(answer) if self.faults else answer

    @staticmethod
    def packet(op: int, group: int, sequence: int, command: int, body: Mapping[str, Any] | bytes) -> bytes:
        """An answer's packet: header and CBOR (or any bytes instead)."""
        import cbor2

        payload = body if isinstance(body, bytes) else cbor2.dumps(body)
        return HEADER.pack((op + 1) | 1 << 3, 0, len(payload), group, sequence, command) + payload


class ReferenceFirmware(SmpFirmware):
    """A firmware with the main commands of the reference firmware's protocol, and with real keys (docs/protocol.md).

    It computes no model: the output of an inference is the input's first bytes.

    Args:
        huk: the hardware unique key (32 bytes); identity and keys follow from it. For tests only.
        entropy: 32 bytes; the boot seeds follow from them.
        outputs: size of the output tensor, in bytes.
    """

    HUK_TEST_ONLY = bytes(range(32))

    def __init__(self, huk: bytes = HUK_TEST_ONLY, *, entropy: bytes = bytes(32), outputs: int = 4) -> None:
        from tfm_harness.verify import derive_reference_keys

        super().__init__()
        self.huk = huk
        self.entropy = entropy
        self.identity = derive_reference_keys(huk)
        self.model_id = hashlib.sha256(b"simulated model").digest()
        self.inputs, self.outputs = 128, outputs
        self.lifecycle = 0x3000
        self.measurements = {"SPE": b"\x22" * 32, "NSPE": b"\x11" * 32}
        self.features = ["describe", "identity", "infer", "signed-result", "nonce", "psa-token", "public-keys", "csr",
                         "reset", "log"]  # fmt: skip
        self.boots = -1
        self.counter = 0
        self.ticks = 0
        self.commands |= {
            (64, 0): self._describe,
            (64, 2): self._infer,
            (64, 3): self._attest,
            (64, 4): lambda _: {"size": len(self._token(bytes(32)))},
            (64, 5): lambda arguments: {"key": self._key(arguments["key"])},
            (64, 6): lambda arguments: {"csr": self._csr(arguments["key"])},
            (64, 18): lambda _: {},
        }

    @property
    def seed(self) -> bytes:
        """This boot's seed."""
        from tfm_harness.verify.derive import boot_seed

        return boot_seed(self.entropy, max(self.boots, 0))

    def boot(self) -> bytes:
        """What it prints when it starts."""
        self.boots += 1
        return super().boot()

    def _describe(self, _arguments: Arguments) -> Arguments:
        return {
            "proto": 1, "fw": "simulated", "ver": "1.2.3", "spe": "1.2.3", "nspe": self.measurements["NSPE"],
            "speh": self.measurements["SPE"], "boot": max(self.boots, 0), "seed": self.seed, "life": self.lifecycle,
            "otp": "ok", "uuid": str(self.identity.uuid), "hz": 32_000_000, "win": 32, "mtu": 4096,
            "prof": "tag:psacertified.org,2023:psa#tfm", "model": "simulated", "mid": self.model_id,
            "in": self.inputs, "out": self.outputs, "feat": self.features,
        }  # fmt: skip

    def _infer(self, arguments: Arguments) -> Arguments:
        nonce, source, data = arguments.get("nonce"), arguments.get("src"), arguments.get("in", b"")
        if not isinstance(nonce, bytes) or not 8 <= len(nonce) <= 64 or (source == 1 and len(data) != self.inputs):
            return {"err": {"group": 64, "rc": 135}}
        if source != 1:
            return {"err": {"group": 64, "rc": 134}}
        if arguments.get("mid", self.model_id) != self.model_id:
            return {"err": {"group": 64, "rc": 140}}
        self.counter += 1
        start, self.ticks = self.ticks + 100, self.ticks + 5000
        payload = {
            10: nonce, 256: self.identity.instance_id, 268: self.seed, -70001: self.model_id, -70002: 1,
            -70003: hashlib.sha256(data).digest(),
            -70004: [[data[: self.outputs], "int8", [1, self.outputs], 0.0078125, 0]], -70005: self.counter,
            -70006: start, -70007: self.ticks, -70008: 32_000_000,
        }  # fmt: skip
        step = (self.ticks - start) // 8
        return {"res": self._sign("result", payload), "ph": [start + step * n for n in range(8)]}

    def _attest(self, arguments: Arguments) -> Arguments:
        challenge = arguments["ch"]
        if len(challenge) not in (32, 48, 64):
            return {"err": {"group": 64, "rc": 135}}
        token = self._token(challenge)
        if arguments.get("buf", 2048) < len(token):
            return {"err": {"group": 64, "rc": 138}}
        return {"tok": token}

    def _token(self, challenge: bytes) -> bytes:
        """A PSA attestation token (RFC 9783)."""
        components = [{1: name, 2: digest, 4: "1.2.3", 5: b"\x44" * 32} for name, digest in self.measurements.items()]
        claims = {
            10: challenge, 256: self.identity.instance_id, 265: "tag:psacertified.org,2023:psa#tfm", 268: self.seed,
            2394: 1, 2395: self.lifecycle, 2396: hashlib.sha256(b"simulated").digest(), 2399: components,
        }  # fmt: skip
        return self._sign("iak", claims)

    def _sign(self, role: str, payload: object) -> bytes:
        """A COSE_Sign1 message, ES256; the signature is not deterministic."""
        import cbor2
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        from tfm_harness.verify import reference_private_key

        protected, body = cbor2.dumps({1: -7}), cbor2.dumps(payload, canonical=True)
        signed = cbor2.dumps(["Signature1", protected, b"", body])
        r, s = decode_dss_signature(reference_private_key(self.huk, role).sign(signed, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        message: bytes = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, body, signature]))
        return message

    def _key(self, number: int) -> bytes:
        import cbor2

        from tfm_harness.verify import reference_private_key

        point = reference_private_key(self.huk, _ROLES[number]).public_key().public_numbers()
        key: bytes = cbor2.dumps({1: 2, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")})
        return key

    def _csr(self, number: int) -> bytes:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.x509.oid import NameOID

        from tfm_harness.verify import reference_private_key

        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(self.identity.uuid))])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject)
        signed = request.sign(reference_private_key(self.huk, _ROLES[number]), hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.DER)


_ROLES = {1: "iak", 2: "result", 3: "client"}
