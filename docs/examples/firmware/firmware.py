"""Firmware of the examples, for `example-process` boards: a program whose UART is the socket that it is given.

Usage: ``firmware.py DESCRIPTOR``. Its key is made from fixed text: for tests only. With `FAULT` it breaks a promise.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

FOLDER = Path(__file__).parent
TEST_ONLY_KEY = ec.derive_private_key(int.from_bytes(hashlib.sha256(b"example").digest(), "big") >> 1, ec.SECP256R1())
FAULT = (FOLDER / "fault").read_text().strip() if (FOLDER / "fault").exists() else ""
counter = 0


def cose_key() -> bytes:
    point = TEST_ONLY_KEY.public_key().public_numbers()
    return cbor2.dumps({1: 2, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")})


def signed(payload: object) -> bytes:
    protected, body = cbor2.dumps({1: -7}), cbor2.dumps(payload, canonical=True)
    to_sign = cbor2.dumps(["Signature1", protected, b"", body])
    r, s = decode_dss_signature(TEST_ONLY_KEY.sign(to_sign, ec.ECDSA(hashes.SHA256())))
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, body, r.to_bytes(32, "big") + s.to_bytes(32, "big")]))


def answer(words: list[str]) -> bytes:
    global counter
    match words:
        case ["describe"]:
            return b"example 1.0"
        case ["key", _]:
            return cose_key().hex().encode()
        case ["sample"]:
            count = json.loads((FOLDER / "sensors.json").read_text())["air"] + (FAULT == "sensor")
            return count.to_bytes(2, "big", signed=True).hex().encode()
        case ["infer", nonce, _source, data]:
            values = bytes.fromhex(data.replace("-", ""))
            counter += 1
            mean = sum(values) // len(values) + (FAULT == "mean")
            heard = os.urandom(32) if FAULT == "nonce" else bytes.fromhex(nonce)
            return signed({10: heard, -90001: mean, -90002: counter}).hex().encode()
    return b"?"


def main() -> None:
    uart = socket.socket(fileno=int(sys.argv[1]))
    uart.sendall(b"log: ready\n")
    heard = b""
    while data := uart.recv(4096):
        heard += data
        while b"\n" in heard:
            line, _, heard = heard.partition(b"\n")
            words = line.decode("ascii", "replace").split()
            if words:
                uart.sendall(words[0].encode() + b" " + answer(words) + b"\n")


if __name__ == "__main__":
    main()
