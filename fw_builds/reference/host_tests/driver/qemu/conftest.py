"""Boards in QEMU for the tests of the pseudo-driver and the sensor path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from board_types import REFERENCE, Boot
from expected import Identity
from qemu_board import QemuBoard
from virtual_board import key_hash, make_entropy, make_otp


@pytest.fixture(scope="session")
def images() -> Path:
    """The firmware's build output."""
    folder = Path(os.environ.get("IMAGES", REFERENCE / "out"))
    if not (folder / "secure.elf").exists():
        pytest.fail(f"{folder} holds no secure.elf: run make -C {REFERENCE} first")
    return folder


@pytest.fixture
def identity() -> Identity:
    """A board's identity, new for each test."""
    return Identity(os.urandom(32))


@pytest.fixture
def boot(images: Path, identity: Identity) -> Iterator[Boot]:
    """Start a board that is provisioned, ready, and gone after the test."""
    with ExitStack() as stack:

        def start(*, lifecycle: int = 0x3000, images: Path = images, **kwargs: Any) -> QemuBoard:
            key = key_hash((REFERENCE / "keys" / "image_signing_pub.pem").read_bytes())
            otp = make_otp(identity.huk, key, lifecycle=lifecycle)
            models: list[Path | None] = [images / f"{name}.signed.bin" for name in ("tamper", "sine", "keyword")]
            entropy = make_entropy(os.urandom(32))
            running = QemuBoard(images, models, **{"otp": otp, "entropy": entropy, **kwargs})
            stack.callback(running.close)
            running.device.wait_ready()
            return running

        yield start
