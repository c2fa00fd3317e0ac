"""Virtual boards with one identity, whatever images they are given."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import sign_image
from qemu_board import QemuBoard
from qemu_board import board as qemu_board
from virtual_board import LIFECYCLE_SECURED, key_hash, make_entropy, make_otp

REFERENCE = Path(__file__).resolve().parents[2]
SIGNING_KEY = REFERENCE / "keys" / "TEST_ONLY_image_signing.pem"
PUBLIC_KEY = REFERENCE / "keys" / "image_signing_pub.pem"
MODELS = ("tamper", "sine", "keyword")

NV_OFFSET = 0x10000000  # of the NV area in the file: QEMU's DDR begins at 0x60000000
ITS_COPIES = (NV_OFFSET, NV_OFFSET + 0x10000)

STARTED = "[BOOT] starting the non-secure image"
HALTED = "[BOOT] halted: "


def resign(
    source: Path,
    target: Path,
    *,
    key: Path | None = SIGNING_KEY,
    counter: int = 1,
    version: str = "1.0.0",
    name: str = "",
    slot_size: int = 0x100000,
) -> Path:
    """Sign a payload with tools/sign_image.py; without a key, a hash alone."""
    command = [str(source), str(target)]
    command += ["--security-counter", str(counter), "--version", version, "--slot-size", hex(slot_size)]
    command += ["--key", str(key)] if key is not None else ["--unsigned"]
    command += ["--model-name", name] if name else []
    sign_image.main(command)
    return target


def flipped(source: Path, target: Path, at: int) -> Path:
    """A copy with one bit flipped."""
    data = bytearray(source.read_bytes())
    data[at] ^= 0x10
    target.write_bytes(data)
    return target


def wait_for_log(board: QemuBoard, *texts: str, timeout: float = 60.0) -> str:
    """Wait until a whole line of the secure log holds one of the texts; the log's whole lines.

    The log is read while it is being written: its last line may be half there.

    Raises:
        AssertionError: none within `timeout` seconds.
    """
    end = time.monotonic() + timeout
    while True:
        log = board.secure_log()
        lines = log[: log.rfind("\n") + 1]
        if any(text in lines for text in texts):
            return lines
        assert board.process.poll() is None, f"QEMU ended:\n{log}"
        assert time.monotonic() < end, f"secure log has none of {texts}:\n{log[-2000:]}"
        time.sleep(0.002)


class Lab:
    """Boots boards of one identity: the same HUK, and one NV memory when asked for.

    Attributes:
        huk: 32 bytes.
        nv: a file for boards that shall remember.
    """

    def __init__(self, images: Path, folder: Path) -> None:
        self.images = images
        self.folder = folder
        self.huk = os.urandom(32)
        self.entropy = os.urandom(32)
        self.trusted = key_hash(PUBLIC_KEY.read_bytes())
        self.nv = folder / "nv.bin"
        self._count = 0

    def otp(self, *, lifecycle: int = LIFECYCLE_SECURED, **changes: bytes) -> bytes:
        """This identity's OTP area."""
        return make_otp(
            self.huk,
            changes.pop("nspe_key", self.trusted),
            lifecycle=lifecycle,
            certification_reference="1234567890128-12345",
            **changes,  # type: ignore[arg-type]  # the fields that are bytes
        )

    def path(self, name: str) -> Path:
        """A file of this test."""
        return self.folder / name

    @contextlib.contextmanager
    def boot(
        self,
        *,
        nspe: Path | None = None,
        models: Mapping[int, Path] | None = None,
        otp: bytes | None = None,
        entropy: bytes | None = None,
        remember: bool = False,
    ) -> Iterator[QemuBoard]:
        """A board as delivered, but for what is said."""
        folder = self.images
        if nspe is not None:
            self._count += 1
            folder = self.folder / f"images{self._count}"
            folder.mkdir()
            shutil.copy(self.images / "secure.elf", folder)
            shutil.copy(nspe, folder / "nonsecure.signed.bin")
        slots: list[Path | None] = [self.images / f"{name}.signed.bin" for name in MODELS]
        slots.append(None)
        for slot, path in (models or {}).items():
            slots[slot] = path
        with qemu_board(
            folder,
            slots,
            otp=self.otp() if otp is None else otp,
            entropy=make_entropy(self.entropy) if entropy is None else entropy,
            nv=self.nv if remember else None,
        ) as running:
            yield running

    def log_of_refused_boot(self, **how: object) -> str:
        """Boot what must not start; the secure log up to the halt.

        Raises:
            AssertionError: it started, or said nothing.
        """
        with self.boot(**how) as board:  # type: ignore[arg-type]  # boot()'s own
            log = wait_for_log(board, HALTED, STARTED)
        assert STARTED not in log, log
        return log
