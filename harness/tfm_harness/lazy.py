"""Names of a package that are imported at their first use, so that importing the package costs next to nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfm_harness.deprecation import Deprecation

__all__ = ["lazy_exports"]


def lazy_exports(
    package: str,
    homes: Mapping[str, Sequence[str]],
    renamed: Mapping[str, Deprecation] | None = None,
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The functions ``__getattr__`` and ``__dir__`` (PEP 562) of a package.

    Args:
        package: the package's ``__name__``.
        homes: for each module, by its name inside the package, the names that it provides for the package.
        renamed: names of earlier versions: each returns the object of its `Deprecation.instead`, and warns.
    """
    home = {name: module for module, names in homes.items() for name in names}

    def import_name(name: str) -> object:
        old = (renamed or {}).get(name)
        if old is not None:
            from tfm_harness.deprecation import warn_deprecated

            warn_deprecated(f"{package}.{name}", old)
            return getattr(sys.modules[package], old.instead)
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(f"{package}.{home[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home})

    return import_name, list_names
