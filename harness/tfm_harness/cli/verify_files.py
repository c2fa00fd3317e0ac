"""What ``tfm-harness verify`` reads: evidence in files, byte strings on the command line."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.errors import ConfigError
from tfm_harness.files import open_file, read_most

if TYPE_CHECKING:
    from tfm_harness.config.build import Build
    from tfm_harness.verify.keys import SymmetricKey

__all__ = ["MAX_FILE", "MAX_IMAGE_FILE", "build_key", "mac_key", "octets", "read_bytes", "read_evidence"]

MAX_FILE = 1 << 20
"""Most bytes read of a message, request or key: text forms of the largest there are, with room to spare."""
MAX_IMAGE_FILE = 192 << 20
"""Most bytes read of an image, which may be hex as well."""


def read_bytes(path: Path, what: str, *, limit: int = MAX_IMAGE_FILE) -> bytes:
    """The bytes of a file, `limit` at most.

    Raises:
        ConfigError: it cannot be read, or is longer.
    """
    try:
        with open_file(path) as file:
            data = read_most(file, limit + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the {what}: {error.strerror}", kind="unreadable", where=str(path)) from error
    return _within(data, str(path), what, limit)


def read_evidence(name: str, *, limit: int = MAX_FILE, what: str = "evidence") -> bytes:
    """The evidence in a file, or on standard input for ``-``: as it is, or decoded from the form it is written in.

    Raises:
        ConfigError: it cannot be read, holds nothing, is longer than `limit` bytes, or is text that stands for no
            bytes.
    """
    from tfm_harness.verify.forms import decode

    if name == "-":
        data = _within(sys.stdin.buffer.read(limit + 1), name, "evidence", limit)
    else:
        data = read_bytes(Path(name), "evidence", limit=limit)
    if not data:
        raise ConfigError("the file is empty", kind="empty", where=name)
    return decode(data, what=what, where=name, json_is=what == "key").data


def _within(data: bytes, name: str, what: str, limit: int) -> bytes:
    if len(data) > limit:
        raise ConfigError(
            f"the {what} is too long", kind="too-large", expected=f"at most {limit} bytes", seen="more", where=name
        )
    return data


def octets(text: str | None, what: str) -> bytes | None:
    """A byte string given as hex (``0x`` in front and colons or spaces between are taken), or as ``@FILE``.

    Raises:
        ConfigError: neither, or nothing at all.
    """
    from tfm_harness.verify.forms import UnknownFormError, decode

    if text is None:
        return None
    if text.startswith("@"):
        content = read_bytes(Path(text[1:]), what, limit=MAX_FILE)
        try:
            return decode(content, what=what, where=text[1:]).data
        except UnknownFormError:
            return content  # a challenge may be any bytes, printable ones too
    digits = "".join(part.removeprefix("0x").removeprefix("0X") for part in re.split(r"[\s:,]+", text.strip()))
    try:
        value = bytes.fromhex(digits)
    except ValueError:
        value = b""
    if not value:
        raise ConfigError(
            f"the {what} is given in hex", kind="hex", seen=text[:80], hint="an even number of 0-9, a-f; or @FILE"
        )
    return value


def mac_key(path: Path) -> SymmetricKey:
    """The HMAC key whose raw bytes are in a file.

    Raises:
        ConfigError: it cannot be read, or is too short for a key.
    """
    from tfm_harness.verify.keys import KeyFormatError, SymmetricKey

    try:
        return SymmetricKey(read_bytes(path, "key", limit=MAX_FILE))
    except KeyFormatError as error:
        raise ConfigError(error.message, kind="key-file", seen=error.seen, where=str(path)) from error


def build_key(build: Build, role: str) -> Path | None:
    """The key file that a build trusts for a role of its `trust`; None where it names none.

    Raises:
        ConfigError: the build trusts what each board was provisioned with.
    """
    named = getattr(build.trust, role)
    if named == "provisioned":
        raise ConfigError(
            f"build {build.name!r} trusts a key that is provisioned for each board", kind="no-key",
            hint="give the board's public key with --key",
        )  # fmt: skip
    return named if isinstance(named, Path) else None
