"""How a conformance test reports that a promise is broken."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NoReturn

from tfm_harness.errors import HarnessError, InfrastructureError, ProductError

__all__ = ["ConformanceError", "not_applicable", "our_error", "promised_kinds", "require", "within"]


class ConformanceError(AssertionError):
    """A promise of the contract is broken."""


def require(promise: str, held: bool, seen: object = "") -> None:
    """Fail unless `held`.

    Args:
        promise: what must hold, as a sentence.
        held: whether it holds.
        seen: what was there instead.
    """
    if not held:
        raise ConformanceError(f"broken promise: {promise}" + (f"\n  seen: {seen!r:.500}" if seen != "" else ""))


def not_applicable(why: str) -> NoReturn:
    """Skip the test: it does not apply to this board or protocol."""
    import pytest

    pytest.skip(why)


@cache
def promised_kinds() -> frozenset[str]:
    """The kinds of errors that the harness promises (docs/errors.md)."""
    import yaml

    text = (Path(__file__).resolve().parents[2] / "error_kinds.yaml").read_text(encoding="utf-8")
    return frozenset(yaml.safe_load(text))


@contextlib.contextmanager
def our_error(
    promise: str, *classes: type[HarnessError], kinds: frozenset[str] | None = None
) -> Iterator[list[HarnessError]]:
    """The block must raise one of `classes` (default: infrastructure or product). Gives a list that gets the error.

    Its kind must be promised, or have a dot: a package's own kinds begin with its name.
    """
    wanted = classes or (InfrastructureError, ProductError)
    named = " or ".join(each.__name__ for each in wanted)
    caught: list[HarnessError] = []
    try:
        yield caught
    except HarnessError as error:
        require(f"{promise}: {named}", isinstance(error, wanted), str(error))
        require(
            "the kind of an error is one of docs/errors.md, or begins with the package's name and a dot",
            error.responsibility == "harness" or "." in error.kind or error.kind in promised_kinds(),
            error.kind,
        )
        if kinds is not None:
            require(
                f"{promise}: kind {' or '.join(sorted(kinds))}", error.kind in kinds or "." in error.kind, error.kind
            )
        caught.append(error)
    except ConformanceError:
        raise
    except Exception as error:
        raise ConformanceError(
            f"broken promise: {promise}: {named}\n  seen: {type(error).__name__}: {error}"
        ) from error
    else:
        raise ConformanceError(f"broken promise: {promise}: {named}\n  seen: no error")


@contextlib.contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    """The block must end within `seconds`, however it ends. Only the test runner's time-out stops it."""
    began = time.monotonic()
    try:
        yield
    finally:
        took = time.monotonic() - began
        if took > seconds:
            raise ConformanceError(f"broken promise: {what} within {seconds:g} s\n  seen: {took:.1f} s")
