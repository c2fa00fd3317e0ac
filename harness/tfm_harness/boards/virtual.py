"""What a virtual board has instead of fuses and a random number generator (docs/protocol.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from tfm_harness.boards.base import Identity
from tfm_harness.boards.emulated_cpu import Debugger, RegisterAccess, Registers, StoppedCpu
from tfm_harness.boards.otp_layout import default_implementation_id
from tfm_harness.config.virtual import NvArea, OtpConfig

__all__ = ["Burned", "NvMemory", "VirtualControl"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Burned:
    """The OTP content that a test burns and the entropy that it gives, instead of the target's (None: the target's).

    Attributes:
        huk: another hardware unique key, which makes it another board.
        certification_reference, verification_service: an empty text omits the claim.
        image_key_hash, model_key_hash: SHA-256 of the keys that must have signed images and models.
        otp: the whole area, 256 bytes, right or damaged. The other fields then only tell the host which identity to
            expect.
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
    """The part of a virtual board's NV memory that its firmware uses, as the host sees it.

    The emulator maps the same file, so that a write is visible to the firmware at once. While the board is off, a write
    changes what the firmware finds at its next start; while it runs, flash changes under the running firmware.

    Args:
        path: the file that holds the memory.
        area: the firmware's part of the file.
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


class Stopped(Protocol):
    """Something that counts its stops of the CPU."""

    stops: int


@runtime_checkable
class VirtualControl(Protocol):
    """What the harness can do only to an emulated board."""

    def provision(self, burned: Burned | None) -> None:
        """Burn other content into OTP, from the next cold start on (None: the target's own)."""

    @property
    def nv(self) -> NvMemory | None:
        """The memory that firmware keeps over power cycles; None if the target does not say where it is."""

    @property
    def seed_source(self) -> tuple[bytes, int] | None:
        """The entropy (32 bytes) of the last cold start, and the number of resets since: a boot seed follows from them.

        None if the entropy is not known, or resets by the firmware itself cannot be counted.
        """

    def debugger(self) -> AbstractContextManager[Debugger]:
        """A debugger for the block. The CPU is stopped when the block starts, and continues after it.

        Raises:
            InfrastructureError: ``no-debugger``: this kind of board has none.
        """

    def write_stops(
        self, addresses: Sequence[int], on_stop: Callable[[int], None]
    ) -> AbstractContextManager[StoppedCpu]:
        """While the block runs, stop the CPU after each write to one of these words and call `on_stop`.

        The block gets the stopped CPU, which `on_stop` can read and change.

        Raises:
            InfrastructureError: ``no-write-stops``: this kind of board cannot.
        """

    def call_stops(
        self, gateways: Sequence[int], on_return: Callable[[Registers, Registers], None]
    ) -> AbstractContextManager[object]:
        """While the block runs, note each call of the non-secure side through one of these gateways.

        `on_return` gets the registers at entry and on return, while the CPU is stopped there.

        Raises:
            InfrastructureError: ``no-call-stops``: this kind of board cannot.
        """

    def register_stops(
        self, addresses: Sequence[int], on_access: Callable[[RegisterAccess], int], *, writes: bool
    ) -> AbstractContextManager[object]:
        """While the block runs, stop the CPU at each access to these words of a device.

        Args:
            addresses: the words, as the code addresses them.
            on_access: gets each read; returns the value that the CPU shall read.
            writes: also pass writes to `on_access`; the value that it returns for them is ignored.

        Raises:
            InfrastructureError: ``no-register-stops``: this kind of board cannot.
        """

    def race(self, address: int, data: bytes) -> AbstractContextManager[Stopped]:
        """While the block runs, write `data` to `address` right after the CPU has read the word, like a bus master.

        Raises:
            InfrastructureError: ``no-register-stops``: this kind of board cannot.
        """


def identity_of(board_id: str, huk: bytes, otp: OtpConfig, machine: str, burned: Burned) -> Identity:
    """The identity of a virtual board, as far as the host knows it."""

    def text(said: str | None, target: str | None) -> str | None:
        return target if said is None else said or None

    return Identity(
        board_id=board_id,
        huk=burned.huk or huk,
        huk_of_test=burned.huk is not None or burned.otp is not None,
        implementation_id=burned.implementation_id or otp.implementation_id or default_implementation_id(machine),
        lifecycle=otp.lifecycle if burned.lifecycle is None else burned.lifecycle,
        certification_reference=text(burned.certification_reference, otp.certification_reference),
        verification_service=text(burned.verification_service, otp.verification_service),
    )
