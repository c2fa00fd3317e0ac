"""What nobody expected inside the plugin's own hooks: a bug of the harness (exit code 3), never a verdict (1).

pytest has no one place for this. An exception in a hook around a test becomes that test's failure; one while collecting
an error of the collection; one in most other hooks pytest's internal error (3), in a test process of pytest-xdist an
interrupted run (2); and one at the end of the session leaves pytest altogether, and Python ends with 1.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Generator
from typing import Any

import pytest
from _pytest.outcomes import OutcomeException

from tfm_harness.errors import HarnessBug, HarnessError, InfrastructureError
from tfm_harness.foreign import frames_of
from tfm_harness.installation import missing_package
from tfm_harness.plugin.exit_codes import EXIT_BENCH
from tfm_harness.safe_text import safe
from tfm_harness.version import __version__

__all__ = ["EXIT_BUG", "around_test", "bug_of", "exit_of", "while_collecting"]

EXIT_BUG = 3
_EXPECTED = (HarnessError, pytest.UsageError, OutcomeException, KeyboardInterrupt, SystemExit, GeneratorExit)

TestHook = Callable[..., Generator[None, Any, Any]]


def bug_of(error: BaseException, hook: str) -> HarnessError:
    """An exception that left a hook, as an error of ours: a package that is not installed, else a bug."""
    missing = missing_package(error)
    if missing is not None:
        return missing
    return HarnessBug(
        f"an error that the harness did not expect in its own hook {hook}",
        kind="unexpected",
        seen=safe(f"{type(error).__name__}: {error}"[:500]),
        where=f"{frames_of(error)}\ntfm-harness {__version__}, Python {sys.version.split()[0]}",
        hint="please report this text; it says nothing about the product",
    )


def exit_of(told: HarnessError) -> int:
    """The session's exit code for what `bug_of` made of an exception, or for what the host refused."""
    return EXIT_BENCH if isinstance(told, InfrastructureError) else EXIT_BUG


def around_test(hook: TestHook) -> TestHook:
    """A wrapper around a phase of a test: what the test raises passes through, what the wrapper raises is a bug."""

    @functools.wraps(hook)
    def guarded(*arguments: object) -> Generator[None, Any, Any]:
        inner: BaseException | None = None

        def told() -> Generator[None, Any, Any]:
            nonlocal inner
            try:
                return (yield)
            except BaseException as error:
                inner = error
                raise

        try:
            own = hook(*arguments)
            next(own)
            try:
                result = yield from told()
            except BaseException as error:  # noqa: BLE001 - handed on
                own.throw(error)
            else:
                own.send(result)
        except StopIteration as end:
            return end.value
        except BaseException as error:
            if error is inner or isinstance(error, _EXPECTED) or _is_the_tests(error, inner):
                raise
            raise bug_of(error, hook.__name__) from error
        raise bug_of(RuntimeError("the hook yields twice"), hook.__name__)

    guarded.net = around_test  # type: ignore[attr-defined] # tests break what is inside
    return guarded


def _is_the_tests(error: BaseException, inner: BaseException | None) -> bool:
    """A verdict of the checks, or a group made of the test's own exception and what its board did meanwhile."""
    if isinstance(error, BaseExceptionGroup):
        return all(
            each is inner or isinstance(each, _EXPECTED) or _is_the_tests(each, inner) for each in error.exceptions
        )
    return isinstance(error, AssertionError) and type(error) is not AssertionError


def while_collecting(hook: Callable[..., None]) -> Callable[..., None]:
    """A hook in which tests are made: what it raises is no mistake in the user's tests."""

    @functools.wraps(hook)
    def guarded(*arguments: object) -> None:
        try:
            hook(*arguments)
        except _EXPECTED:
            raise
        except Exception as error:
            raise bug_of(error, hook.__name__) from error

    guarded.net = while_collecting  # type: ignore[attr-defined] # as above
    return guarded
