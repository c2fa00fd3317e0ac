"""A pytest plugin for tests: one hook of the harness's own raises what nobody expects (``SABOTAGE=Class.hook``)."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
from collections.abc import Callable, Generator
from typing import Any

__all__ = ["HOOKS", "sabotage"]

HOLDERS = {
    "HarnessPlugin": "tfm_harness.plugin.session:HarnessPlugin",
    "CollectingPlugin": "tfm_harness.plugin.collecting:CollectingPlugin",
    "PoolPlugin": "tfm_harness.plugin.pool:PoolPlugin",
    "console_items": "tfm_harness.plugin.console_items",
    "entry": "tfm_harness.plugin.entry",
}


def holder(name: str) -> Any:
    module, _, attribute = HOLDERS[name].partition(":")
    found = importlib.import_module(module)
    return getattr(found, attribute) if attribute else found


HOOKS = [
    f"{name}.{hook}"
    for name in HOLDERS
    for hook, found in vars(holder(name)).items()
    if hook.startswith("pytest_") and callable(found)
]
"""Every hook that the harness implements in a session."""
INSIDE = {
    "HarnessPlugin.pytest_sessionfinish": "_finish",
    "HarnessPlugin.pytest_terminal_summary": "_summarise",
    "HarnessPlugin.pytest_unconfigure": "_leave",
    "entry.pytest_load_initial_conftests": "check_old_flags",
}
"""Hooks that hold a net of their own, and what they call inside of it."""


def sabotage(name: str) -> None:
    """Break what a hook does; the net around it stays."""
    where, hook = name.split(".")
    place, hook = holder(where), INSIDE.get(name, hook)
    real: Callable[..., Any] = vars(place)[hook]
    net = getattr(real, "net", None)
    inner: Callable[..., Any] = vars(real)["__wrapped__"] if net else real
    broken: Callable[..., Any]
    if inspect.isgeneratorfunction(inner):

        @functools.wraps(inner)
        def broken(*_arguments: object) -> Generator[None, Any, Any]:
            raise LookupError("sabotage")
            yield

    else:

        @functools.wraps(inner)
        def broken(*_arguments: object) -> object:
            raise LookupError("sabotage")

    if net:
        broken = net(broken)
        vars(broken).update({key: value for key, value in vars(real).items() if key != "__wrapped__"})
    setattr(place, hook, broken)


if os.environ.get("SABOTAGE"):
    sabotage(os.environ["SABOTAGE"])
