"""What the checks of the smoke run share: a running board, verified results, refusals."""
# ruff: noqa: S101 - asserts are what its checks are made of

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from expected import Identity, verify_sign1
from qemu_board import QemuBoard
from smp_device import Device, Refused

# negated psa_status_t
NOT_PERMITTED = 133
NOT_SUPPORTED = 134
INVALID_ARGUMENT = 135
BAD_STATE = 137
BUFFER_TOO_SMALL = 138
DOES_NOT_EXIST = 140
INVALID_SIGNATURE = 149

MODELS = ("tamper", "sine", "keyword")

Check = Callable[["Bench"], None]
CHECKS: list[Check] = []


def check(function: Check) -> Check:
    """Add to the list of checks, in the order they stand."""
    CHECKS.append(function)
    return function


class Bench:
    """A running board and what is known of it."""

    def __init__(self, images: Path, running: QemuBoard, identity: Identity) -> None:
        self.images = images
        self.board = running
        self.device: Device = running.device
        self.identity = identity
        self.about = self.device.wait_ready()
        self.boot_seconds = time.monotonic() - running.started
        self.figures: dict[str, str] = {}
        self.last_counter = 0

    def refused(self, rc: int, action: Callable[[], object], *, group: int | None = 64) -> None:
        """`action` must be refused with this code."""
        try:
            answer = action()
        except Refused as error:
            if (error.group, error.rc) != (group, rc):
                raise AssertionError(f"expected group {group} rc {rc}, seen {error}") from None
        else:
            raise AssertionError(f"expected rc {rc}, seen the answer {answer!r}")

    def result(self, nonce: bytes, data: bytes | None = None) -> dict[int, Any]:
        """Claims of a verified result; what every result has in common is checked."""
        answer = self.device.infer(nonce, data)
        claims = verify_sign1(answer["res"], self.identity.key(2))
        assert claims[10] == nonce
        assert claims[256] == self.identity.instance_id
        assert claims[268] == self.device.describe()["seed"]
        assert claims[-70005] > self.last_counter
        self.last_counter = claims[-70005]
        assert claims[-70006] < claims[-70007]
        assert answer["ph"] == sorted(answer["ph"])
        assert answer["ph"][3:5] == [claims[-70006], claims[-70007]]
        return claims
