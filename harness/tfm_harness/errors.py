"""Who is responsible: the exceptions of the harness and their data.

Every error answers five questions: who is responsible, what was expected, what was seen, where, and what to do about
it.

* `HarnessError`

  * `ConfigError`: the user's YAML, options or files are wrong; nothing has been
    touched yet.

    * `ExtensionError`: an installed package that extends the harness cannot be used: it is
      broken, clashes with another one, or was written for another version.

  * `InfrastructureError`: a tool, cable, probe, emulator, lock or disk failed.
  * `ProductError`: the product under test did something it must not do.
  * `HarnessBug`: this should never happen; please report it.
"""

from __future__ import annotations

import enum
from typing import ClassVar

from tfm_harness.safe_text import hide_secrets, safe

__all__ = [
    "ConfigError",
    "ExtensionError",
    "HarnessBug",
    "HarnessError",
    "InfrastructureError",
    "ProductError",
    "Responsibility",
]


class Responsibility(enum.StrEnum):
    """Who is responsible for an outcome."""

    PRODUCT = "product"
    INFRASTRUCTURE = "infrastructure"
    CONFIGURATION = "configuration"
    TEST = "test"  # a mistake in the test itself, which reached no verdict
    HARNESS = "harness"


def _clean(text: str) -> str:
    """The text without terminal control characters, and without passwords of addresses and commands."""
    return hide_secrets(safe(text))


class HarnessError(Exception):
    """Base of all errors that the harness raises on purpose.

    Args:
        message: one sentence: what went wrong.
        kind: a short stable slug, for instance ``qemu-missing`` or ``console-closed``;
            it is in JUnit properties and JSON, so that scripts may match it.
        expected: what should have been there.
        seen: what was there instead.
        where: ``file:line``, a byte offset, or a console's name with its last lines.
        hint: what the reader should do next.
    """

    responsibility: ClassVar[Responsibility] = Responsibility.HARNESS

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        expected: str | None = None,
        seen: str | None = None,
        where: str | None = None,
        hint: str | None = None,
    ) -> None:
        # Any of these may contain text from a device, a peer or a file.
        super().__init__(_clean(message))
        self.message = _clean(message)
        self.kind = kind
        self.expected = None if expected is None else _clean(expected)
        self.seen = None if seen is None else _clean(seen)
        self.where = None if where is None else _clean(where)
        self.hint = None if hint is None else _clean(hint)

    def __str__(self) -> str:
        lines = [f"[{self.responsibility}:{self.kind}] {self.message}"]
        for label, text in (
            ("expected", self.expected),
            ("seen", self.seen),
            ("where", self.where),
            ("what to do", self.hint),
        ):
            if text:
                lines.append(f"  {label}: " + text.replace("\n", "\n    "))
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling that
        # pytest-xdist and multiprocessing rely on.
        return (_rebuild, (type(self), dict(self.__dict__)))


def _rebuild(cls: type[HarnessError], state: dict[str, object]) -> HarnessError:
    error = cls.__new__(cls)
    Exception.__init__(error, state["message"])
    error.__dict__.update(state)
    return error


class ConfigError(HarnessError):
    """The configuration is wrong (usage error, before any board is touched)."""

    responsibility = Responsibility.CONFIGURATION


class ExtensionError(ConfigError):
    """An installed package that extends the harness cannot be used.

    Args:
        message, kind, expected, seen, where, hint: see `HarnessError`.
        extension: the distribution with its version, and the entry point.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        expected: str | None = None,
        seen: str | None = None,
        where: str | None = None,
        hint: str | None = None,
        extension: str = "",
    ) -> None:
        super().__init__(message, kind=kind, expected=expected, seen=seen, where=where, hint=hint)
        self.extension = safe(extension)


class InfrastructureError(HarnessError):
    """The bench (infrastructure) failed; says nothing about the product."""

    responsibility = Responsibility.INFRASTRUCTURE


class ProductError(HarnessError):
    """The product under test misbehaved."""

    responsibility = Responsibility.PRODUCT


class HarnessBug(HarnessError):
    """This should never happen. Please report it with the whole output."""

    responsibility = Responsibility.HARNESS
