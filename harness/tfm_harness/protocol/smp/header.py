"""The eight bytes in front of every SMP message (version 2), and its numbers.

Source: Zephyr, "SMP protocol specification": byte 0 holds op (3 bits) and version (bits 3-4),
then flags, length (16 bit, big endian), group (16 bit), sequence number, command.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

__all__ = [
    "DOCUMENTED",
    "GROUP_INFERENCE",
    "GROUP_OS",
    "HEADER",
    "RAW_SEQUENCE",
    "VERSION_2",
    "Command",
    "Header",
    "Op",
    "OsCommand",
]

HEADER = struct.Struct(">BBHHBB")
"""The header of an SMP packet, 8 bytes: operation and version, flags, length, group, sequence number, command."""
RAW_SEQUENCE = 0xFF
"""The sequence number of messages that tests make by hand; requests of the link never use it."""
GROUP_OS = 0
"""MCUmgr's group of the operating system: echo, reset, parameters."""
GROUP_INFERENCE = 64
"""The reference firmware's own group (docs/protocol.md)."""
VERSION_2 = 1
"""The version in the headers of SMP version 2."""


class Op(enum.IntEnum):
    """What a message is; an answer's op is its request's plus one."""

    READ = 0
    READ_RSP = 1
    WRITE = 2
    WRITE_RSP = 3


class OsCommand(enum.IntEnum):
    """Commands of group 0 that the reference firmware knows."""

    ECHO = 0
    RESET = 5
    PARAMETERS = 6


class Command(enum.IntEnum):
    """Commands of group 64 (docs/protocol.md)."""

    DESCRIBE = 0
    SAMPLE = 1
    INFER = 2
    ATTEST = 3
    ATTEST_SIZE = 4
    PUBLIC_KEY = 5
    CSR = 6
    PROBE = 7
    FAULTS = 8
    PSA_CALL = 9
    BATCH = 10
    LATENCY = 11
    MODELS = 12
    MODEL_SELECT = 13
    MODEL_UPLOAD = 14
    MODEL_ACTIVATE = 15
    TRACE = 16
    STATS = 17
    LOG = 18
    HOLD = 19
    INPUT_UPLOAD = 20
    PS_SET = 21
    PS_GET = 22
    PS_REMOVE = 23


_READ = {
    Command.DESCRIBE,
    Command.ATTEST_SIZE,
    Command.PUBLIC_KEY,
    Command.CSR,
    Command.FAULTS,
    Command.MODELS,
    Command.STATS,
    Command.PS_GET,
}

DOCUMENTED: frozenset[tuple[int, int, int]] = frozenset(
    {
        (Op.WRITE, GROUP_OS, OsCommand.ECHO),
        (Op.WRITE, GROUP_OS, OsCommand.RESET),
        (Op.READ, GROUP_OS, OsCommand.PARAMETERS),
        *((Op.READ if command in _READ else Op.WRITE, GROUP_INFERENCE, command) for command in Command),
    }
)
"""Operation, group and command of every request in docs/protocol.md; the firmware knows no others."""


@dataclass(frozen=True, slots=True)
class Header:
    """A decoded header. `version` 1 stands for SMP version 2."""

    op: int
    version: int
    flags: int
    length: int
    group: int
    sequence: int
    command: int

    @classmethod
    def unpack(cls, packet: bytes) -> Header:
        """The header of `packet`.

        Raises:
            ValueError: fewer than eight bytes.
        """
        if len(packet) < HEADER.size:
            raise ValueError(f"{len(packet)} bytes are no SMP header")
        first, flags, length, group, sequence, command = HEADER.unpack_from(packet)
        return cls(first & 7, first >> 3 & 3, flags, length, group, sequence, command)

    @staticmethod
    def pack(op: Op, group: int, command: int, sequence: int, length: int) -> bytes:
        """The header of a version 2 request."""
        return HEADER.pack(op | VERSION_2 << 3, 0, length, group, sequence, command)

    def mismatch(self, request: Header, payload: int) -> str | None:
        """What is wrong with this answer to `request` with `payload` bytes after its header; None if nothing."""
        for name, expected, seen in (
            ("op", request.op + 1, self.op),
            ("version", VERSION_2, self.version),
            ("group", request.group, self.group),
            ("command", request.command, self.command),
            ("length", payload, self.length),
        ):
            if expected != seen:
                return f"{name} {expected} expected, {seen} seen"
        return None
