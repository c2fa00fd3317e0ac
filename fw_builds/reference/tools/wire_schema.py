"""docs/protocol.cddl as a check of messages.

pycddl does not follow `.cbor` into arrays and knows no ranges below zero; what stands behind these is checked here, by
the rules the file gives.
"""
# ruff: noqa: S101 - its asserts are checks of what a device said

from __future__ import annotations

import re
from pathlib import Path

import cbor2
import pycddl  # type: ignore[import-untyped]  # it ships no types

__all__ = ["CDDL", "COMMANDS", "ValidationError", "WireSchema"]

ValidationError = pycddl.ValidationError

CDDL = Path(__file__).resolve().parents[3] / "docs" / "protocol.cddl"

COMMANDS = {
    (0, 0): "echo",
    (0, 5): "reset",
    (0, 6): "parameters",
    (64, 0): "describe",
    (64, 1): "sample",
    (64, 2): "infer",
    (64, 3): "attest",
    (64, 4): "attest-size",
    (64, 5): "public-key",
    (64, 6): "csr",
    (64, 7): "probe",
    (64, 8): "faults",
    (64, 9): "psa-call",
    (64, 10): "batch",
    (64, 11): "latency",
    (64, 12): "models",
    (64, 13): "model-select",
    (64, 14): "model-upload",
    (64, 15): "model-activate",
    (64, 16): "trace",
    (64, 17): "stats",
    (64, 18): "log",
    (64, 19): "hold",
    (64, 20): "input-upload",
    (64, 21): "ps-set",
    (64, 22): "ps-get",
    (64, 23): "ps-remove",
}


class WireSchema:
    """Holds messages against the CDDL file; `checked` counts them."""

    def __init__(self) -> None:
        text = re.sub(r"bstr \.cbor (\{[^}]*\}|[a-z-]+)", "bstr", CDDL.read_text())
        self._text = re.sub(r"-\d+\.\.\d+", "int", text)
        self._schemas: dict[str, pycddl.Schema] = {}
        self.checked = 0

    def validate(self, rule: str, payload: bytes) -> None:
        """Raises pycddl.ValidationError."""
        if rule not in self._schemas:
            self._schemas[rule] = pycddl.Schema(f"start = {rule}\n{self._text}")
        self._schemas[rule].validate_cbor(payload)
        self.checked += 1

    def _validate_embedded(self, rule: str, payload: bytes) -> None:
        body = cbor2.loads(payload)
        if rule == "psa-call-request":
            assert -(1 << 15) <= body["type"] < 1 << 15, body
        if rule == "psa-call-response":
            assert -(1 << 31) <= body["st"] < 1 << 31, body
        if rule == "public-key-response":
            self.validate("cose-key", body["key"])
        if rule == "infer-response" and body["res"][:1] == b"\xd0":
            self.validate("encrypted", body["res"])
            assert cbor2.loads(body["res"]).value[0] == bytes.fromhex("a10101"), body["res"].hex()
        elif rule == "infer-response":
            self.validate("signed-result", body["res"])
            protected, _, claims, _ = cbor2.loads(body["res"]).value
            assert protected == bytes.fromhex("a10126"), protected.hex()
            self.validate("result-claims", claims)
            (tensor,) = cbor2.loads(claims)[-70004]
            assert -128 <= tensor[4] <= 127, tensor

    def check(self, request: bytes, response: bytes) -> None:
        """Check an answer, and the request too unless the device refused it.

        Raises:
            AssertionError: an answer does not fit the rule of its command, or a request was answered that does not.
        """
        command = COMMANDS.get((int.from_bytes(request[4:6], "big"), request[7]))
        try:
            self.validate("error-response", response[8:])
        except pycddl.ValidationError:
            if command is None:
                raise AssertionError("an unknown command was answered") from None
            for rule, message in ((f"{command}-response", response), (f"{command}-request", request)):
                try:
                    self.validate(rule, message[8:])
                    self._validate_embedded(rule, message[8:])
                except pycddl.ValidationError as error:
                    raise AssertionError(f"{rule}: {message[8:].hex()}: {error}") from error
