"""What a virtual board has in place of fuses and a random number generator (docs/protocol.md)."""

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
        huk_of_test=burned.huk is not None or burned.otp is not None,
        implementation_id=burned.implementation_id or otp.implementation_id or default_implementation_id(machine),
        lifecycle=otp.lifecycle if burned.lifecycle is None else burned.lifecycle,
        certification_reference=text(burned.certification_reference, otp.certification_reference),
        verification_service=text(burned.verification_service, otp.verification_service),
    )
