"""What a virtual board has in place of fuses and a random number generator (docs/protocol.md)."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import struct
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from tfm_harness.boards.base import Identity
from tfm_harness.boards.kept_place import note_target
from tfm_harness.config.virtual import NvArea, OtpConfig
from tfm_harness.errors import InfrastructureError

__all__ = [
    "ENTROPY_SIZE",
    "KEY_FILE",
    "OTP_SIZE",
    "BoardStore",
    "Burned",
    "Debugger",
    "EphemeralStore",
    "NvMemory",
    "RegisterAccess",
    "Registers",
    "VirtualControl",
    "default_implementation_id",
    "make_entropy",
    "make_otp",
    "sweep",
]

OTP_SIZE: Final = 256
ENTROPY_SIZE: Final = 64
HUK_SIZE: Final = 32
KEY_FILE: Final = "huk.TEST_ONLY.bin"
_OTP: Final = "<4sHHII32s32s20s60s32s32s"  # docs/protocol.md, "OTP area, version 1", without the digest
_ENTROPY: Final = "<4s4x32s24x"


def make_otp(
    *,
    huk: bytes,
    lifecycle: int,
    implementation_id: bytes,
    certification_reference: str | None = None,
    verification_service: str | None = None,
    image_key_hash: bytes = bytes(32),
    model_key_hash: bytes = bytes(32),
) -> bytes:
    """The 256 bytes of a provisioned OTP area.

    Args:
        huk: hardware unique key, 32 bytes.
        lifecycle: PSA security lifecycle claim, 16 bits.
        implementation_id: 32 bytes.
        certification_reference: ASCII, at most 20 characters; the claim is left out when None.
        verification_service: ASCII, at most 60 characters; likewise.
        image_key_hash, model_key_hash: SHA-256 of the DER SubjectPublicKeyInfo of the key that signs the
            non-secure image, and models.

    Raises:
        ValueError: a field has the wrong length or is no ASCII.
    """
    for name, value in (
        ("huk", huk),
        ("implementation_id", implementation_id),
        ("image_key_hash", image_key_hash),
        ("model_key_hash", model_key_hash),
    ):
        if len(value) != 32:
            raise ValueError(f"{name} must have 32 bytes, not {len(value)}")
    reference = (certification_reference or "").encode("ascii")
    service = (verification_service or "").encode("ascii")
    if len(reference) > 20 or len(service) > 60:
        raise ValueError("certification_reference has at most 20, verification_service at most 60 characters")
    if not 0 <= lifecycle <= 0xFFFF:
        raise ValueError(f"lifecycle must fit 16 bits, not 0x{lifecycle:x}")
    body = struct.pack(
        _OTP,
        b"TFMO",
        1,
        OTP_SIZE,
        lifecycle,
        0,
        huk,
        implementation_id,
        reference,
        service,
        image_key_hash,
        model_key_hash,
    )
    return body + hashlib.sha256(body).digest()


def make_entropy(entropy: bytes | None = None) -> bytes:
    """The 64 bytes of an entropy area, with fresh random bytes unless 32 are given."""
    value = secrets.token_bytes(32) if entropy is None else entropy
    if len(value) != 32:
        raise ValueError(f"entropy must have 32 bytes, not {len(value)}")
    return struct.pack(_ENTROPY, b"TFME", value)


def default_implementation_id(machine: str) -> bytes:
    """Implementation id of virtual boards that are given none: the same for all boards of a machine type."""
    return hashlib.sha256(f"tfm-harness virtual board {machine}".encode()).digest()


class BoardStore:
    """The private folder of one virtual board: its hardware unique key and its NV memory.

    The folder's mode is 0700, the key's 0600. Each board draws its own key, so two boards are two identities.

    Args:
        described_by: the file that describes the board; it is noted in the folder.
    """

    def __init__(self, folder: Path, described_by: Path | None = None) -> None:
        self.folder = folder
        self._described_by = described_by

    @property
    def nv_file(self) -> Path:
        """The file behind the NV memory."""
        return self.folder / "nv.img"

    @property
    def nv_fd(self) -> int | None:
        """Descriptor to hand to the emulator when the NV memory is no file of the folder."""
        return None

    def open(self) -> None:
        """Make the folder, and note in it which file describes the board.

        Raises:
            InfrastructureError: kind ``state-dir``.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.folder.chmod(0o700)
            note_target(self.folder, self._described_by)
            # Of a run that was killed; the board is ours.
            for unfinished in self.folder.glob(f"{Path(KEY_FILE).stem}.[0-9]*"):
                unfinished.unlink()
        except OSError as error:
            raise self._failed(error) from error

    def huk(self) -> bytes:
        """The board's hardware unique key, drawn at its first use.

        Raises:
            InfrastructureError: kind ``identity`` when the file is damaged, ``state-dir`` when it cannot be used.
        """
        path = self.folder / KEY_FILE
        try:
            if not path.exists():
                scratch = path.with_suffix(f".{os.getpid()}")
                fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
                with os.fdopen(fd, "wb") as stream:
                    stream.write(secrets.token_bytes(HUK_SIZE))
                    stream.flush()
                    os.fsync(fd)
                scratch.rename(path)
            key = path.read_bytes()
        except OSError as error:
            raise self._failed(error) from error
        if len(key) != HUK_SIZE or len(set(key)) == 1:
            raise InfrastructureError(
                "the virtual board's hardware unique key is damaged",
                kind="identity",
                expected=f"{HUK_SIZE} random bytes",
                seen=f"{len(key)} bytes",
                where=str(path),
                hint="remove the board's folder; the board then gets a new identity",
            )
        return key

    def nv(self, size: int) -> Path:
        """The NV memory's file, sparse, of exactly `size` bytes; content is kept when the size is unchanged."""
        path = self.nv_file
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if os.fstat(fd).st_size != size:
                    os.ftruncate(fd, 0)
                    os.ftruncate(fd, size)
            finally:
                os.close(fd)
        except OSError as error:
            raise self._failed(error) from error
        return path

    def erase_nv(self) -> None:
        """Forget what the NV memory holds (counters, updated models)."""
        with contextlib.suppress(FileNotFoundError):
            self.nv_file.unlink()

    def remove(self) -> None:
        """Forget the board altogether: identity and memory."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _failed(self, error: OSError) -> InfrastructureError:
        return InfrastructureError(
            f"cannot keep the virtual board's state: {error.strerror}",
            kind="state-dir",
            where=str(error.filename or self.folder),
            hint="the state folder must be writable and have space",
        )


def sweep(folder: Path) -> None:
    """Remove what killed runs have left: folders whose names end in the number of a process that is no more."""
    for left in folder.glob("*.*"):
        number = left.name.rpartition(".")[2]
        if number.isdecimal() and not Path(f"/proc/{number}").exists():
            shutil.rmtree(left, ignore_errors=True)


class EphemeralStore(BoardStore):
    """A board for one session: its key and NV memory exist in this process only and end with it."""

    def __init__(self) -> None:
        super().__init__(Path())
        self._huk = secrets.token_bytes(HUK_SIZE)
        self._fd = -1

    @property
    def nv_file(self) -> Path:
        """The NV memory as the emulator sees it."""
        return Path(f"/dev/fd/{self._fd}")

    @property
    def nv_fd(self) -> int | None:
        """The anonymous file behind the NV memory."""
        return self._fd if self._fd >= 0 else None

    def open(self) -> None:
        """Nothing to prepare."""

    def huk(self) -> bytes:
        """The board's hardware unique key."""
        return self._huk

    def nv(self, size: int) -> Path:
        """See `BoardStore.nv`."""
        if self._fd < 0:
            self._fd = os.memfd_create("nv")
            os.ftruncate(self._fd, size)
        return self.nv_file

    def erase_nv(self) -> None:
        """See `BoardStore.erase_nv`."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def remove(self) -> None:
        """Forget everything."""
        self.erase_nv()


@dataclass(frozen=True, slots=True, kw_only=True)
class Burned:
    """What a test burns into OTP, and the entropy it gives, in place of what the target says (None: the target's).

    Attributes:
        huk: another hardware unique key: another board.
        certification_reference, verification_service: an empty text leaves the claim out.
        image_key_hash, model_key_hash: SHA-256 of the keys that must have signed images and models.
        otp: the whole area, 256 bytes, as it shall stand there, right or damaged; the other fields then only say
            what the host takes the board's identity to be.
        entropy: the whole entropy area, 64 bytes.
    """

    lifecycle: int | None = None
    huk: bytes | None = None
    implementation_id: bytes | None = None
    certification_reference: str | None = None
    verification_service: str | None = None
    image_key_hash: bytes | None = None
    model_key_hash: bytes | None = None
    otp: bytes | None = None
    entropy: bytes | None = None


class NvMemory:
    """The part of a virtual board's NV memory that its firmware keeps things in, as the host sees it.

    The emulator maps the same file, so that what is written here is there at once. Written while the board is off,
    it is what the firmware finds at its next start; written while it runs, it is flash that changes under it.

    Args:
        path: the file behind the memory.
        area: where in it the firmware's part is.
    """

    def __init__(self, path: Path, area: NvArea) -> None:
        self._path = path
        self.address = int(area.at)
        self.size = int(area.size)
        self._offset = int(area.offset)

    def read(self, at: int = 0, size: int | None = None) -> bytes:
        """`size` bytes from `at` on (default: to the end)."""
        size = self.size - at if size is None else size
        self._check(at, size)
        with self._path.open("rb") as stream:
            stream.seek(self._offset + at)
            return stream.read(size).ljust(size, b"\0")

    def write(self, at: int, data: bytes) -> None:
        """Put `data` at `at`."""
        self._check(at, len(data))
        with self._path.open("r+b") as stream:
            stream.seek(self._offset + at)
            stream.write(data)

    def _check(self, at: int, size: int) -> None:
        if not 0 <= at <= at + size <= self.size:
            raise ValueError(f"{size} bytes at {at:#x} are not inside an NV area of {self.size:#x} bytes")


class StoppedCpu(Protocol):
    """The CPU while it stands at a stop: memory and system registers as the code sees them that was stopped."""

    def read(self, address: int, size: int) -> bytes:
        """Bytes at an address. Only while the CPU stands."""

    def write(self, address: int, data: bytes) -> None:
        """Change bytes of memory. Only while the CPU stands. System registers do not change: see `store`."""

    def store(self, address: int, value: int) -> bool:
        """Let the CPU itself write a word, so that system registers change, too. Only while it stands.

        Returns:
            False where it stands in unprivileged code, which may not write there; nothing was written then.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Registers:
    """What the non-secure side sees in its registers.

    Attributes:
        general: r0 to r12.
        lr: the link register.
        floats: s0 to s31, as bits.
        fpscr: the floating-point status.
    """

    general: tuple[int, ...]
    lr: int
    floats: tuple[int, ...]
    fpscr: int


class Debugger(Protocol):
    """A debugger on the emulated CPU, which stands whenever it is not between `go` and the end of `wait`.

    It is open in its block. Where the emulator ended meanwhile and was started again: `close`, then `open`.
    """

    def open(self) -> None:
        """Begin; the CPU stands."""

    def close(self) -> None:
        """End; the CPU runs on, and no breakpoint is left. Never raises."""

    @property
    def pc(self) -> int:
        """Address of the instruction that comes next."""

    def break_at(self, address: int) -> None:
        """Stand before the instruction at `address`, each time, until `clear`."""

    def clear(self, address: int) -> None:
        """Forget what `break_at` set."""

    def go(self) -> None:
        """Let the CPU run."""

    def wait(self, timeout: float) -> bool:
        """Whether the running CPU comes to stand within `timeout` seconds."""

    def halt(self) -> None:
        """Let the CPU stand where it is."""

    def step(self) -> None:
        """One instruction."""

    def jump(self, address: int, xpsr: int) -> None:
        """Go on at `address` with these program status bits."""

    @property
    def xpsr(self) -> int:
        """The program status register."""

    def read(self, address: int, size: int) -> bytes:
        """Memory as the code sees it that stands; nothing where no memory answers."""

    def write(self, address: int, data: bytes) -> None:
        """Change memory, as that code sees it."""

    def restart(self) -> None:
        """Reset the CPU; it stands before its first instruction."""

    def work_done(self) -> float:
        """Seconds of this host's CPU that the emulator has used: time that no load of the host makes longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterAccess:
    """The CPU reads or writes a word of a device.

    Attributes:
        address: of the word.
        write: it is written; else read.
        value: what is written, or what the device gave.
    """

    address: int
    write: bool
    value: int


class Stopped(Protocol):
    """What counts its stops."""

    stops: int


@runtime_checkable
class VirtualControl(Protocol):
    """What only an emulated board lets the harness do to it."""

    def provision(self, burned: Burned | None) -> None:
        """Burn something else into OTP, from the next cold start on (None: what the target says)."""

    @property
    def nv(self) -> NvMemory | None:
        """What firmware keeps over power cycles; None where the target does not say where that is."""

    @property
    def seed_source(self) -> tuple[bytes, int] | None:
        """The entropy (32 bytes) given at the last cold start, and resets since then: a boot seed follows from them.

        None where the entropy is not known, or resets by the firmware itself cannot be counted.
        """

    def debugger(self) -> AbstractContextManager[Debugger]:
        """A debugger for the block; the CPU stands at its start, and runs on after it.

        Raises:
            InfrastructureError: ``no-debugger``: this kind of board has none.
        """

    def write_stops(
        self, addresses: Sequence[int], on_stop: Callable[[int], None]
    ) -> AbstractContextManager[StoppedCpu]:
        """While the block runs, stop the CPU after each write to one of these words and call `on_stop`.

        The block is given the CPU, for `on_stop` to look at.

        Raises:
            InfrastructureError: ``no-write-stops``: this kind of board cannot.
        """

    def call_stops(
        self, gateways: Sequence[int], on_return: Callable[[Registers, Registers], None]
    ) -> AbstractContextManager[object]:
        """While the block runs, note each call of the non-secure side through one of these gateways.

        `on_return` gets the registers on the way in and on return, while the CPU stands there.

        Raises:
            InfrastructureError: ``no-call-stops``: this kind of board cannot.
        """

    def register_stops(
        self, addresses: Sequence[int], on_access: Callable[[RegisterAccess], int], *, writes: bool
    ) -> AbstractContextManager[object]:
        """While the block runs, stand between the CPU and these words of a device.

        Args:
            addresses: the words, as the code addresses them.
            on_access: told of each read; returns what the CPU shall have read.
            writes: tell of writes, too; what `on_access` returns for those is ignored.

        Raises:
            InfrastructureError: ``no-register-stops``: this kind of board cannot.
        """

    def race(self, address: int, data: bytes) -> AbstractContextManager[Stopped]:
        """For the block: once the CPU has read the word at `address`, `data` stands there, as from another bus master.

        Raises:
            InfrastructureError: ``no-register-stops``: this kind of board cannot.
        """


def identity_of(board_id: str, huk: bytes, otp: OtpConfig, machine: str, burned: Burned) -> Identity:
    """What the host knows of a virtual board."""

    def text(said: str | None, target: str | None) -> str | None:
        return target if said is None else said or None

    return Identity(
        board_id=board_id,
        huk=burned.huk or huk,
        implementation_id=burned.implementation_id or otp.implementation_id or default_implementation_id(machine),
        lifecycle=otp.lifecycle if burned.lifecycle is None else burned.lifecycle,
        certification_reference=text(burned.certification_reference, otp.certification_reference),
        verification_service=text(burned.verification_service, otp.verification_service),
    )
