"""A Python package that the harness needs is missing or cannot be loaded: the error says what to install."""

from __future__ import annotations

import contextlib
import re
import sys
from importlib.metadata import requires
from typing import Final

from tfm_harness.errors import InfrastructureError

__all__ = ["missing_package"]

_OWN: Final = "tfm_harness"
_DISTRIBUTION: Final = "tfm-harness"
_DEVELOPERS: Final = "tfm-harness[dev]"
_NAMES: Final = {
    "yaml": "pyyaml", "serial": "pyserial", "elftools": "pyelftools", "xdist": "pytest-xdist",
    "pkcs11": "python-pkcs11", "psycopg_binary": "psycopg", "cyclonedx": "cyclonedx-python-lib",
}  # fmt: skip
"""Packages whose module has another name than the package."""


def missing_package(error: BaseException) -> InfrastructureError | None:
    """The error for an import error that shows a problem of the installation; None for others.

    Args:
        error: any exception. A missing module of the harness itself is not such a problem: it is a bug.

    Returns:
        an error of the kind ``package-missing`` with the command that installs the package.
    """
    module = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    if not module or module == _OWN:
        return None
    absent = isinstance(error, ModuleNotFoundError)
    if module in sys.stdlib_module_names:
        hint = "install the missing part of Python, or another Python, and then tfm-harness with it"
    else:
        hint = f"{sys.executable} -m pip install '{_wanted(module)}'"
    return InfrastructureError(
        f"a Python package that the harness needs {'is not installed' if absent else 'cannot be loaded'}: {module}",
        kind="package-missing", seen=f"{type(error).__name__}: {error}"[:500], where=sys.prefix,
        hint=hint if absent else f"{hint.replace('pip install', 'pip install --upgrade')}",
    )  # fmt: skip


def _wanted(module: str) -> str:
    """The requirement to give to pip: from the harness's own list of requirements, else the module's name."""
    name = _NAMES.get(module, module)
    found: list[str] = []
    with contextlib.suppress(ImportError):  # no such distribution, or `packaging` is missing, too
        from packaging.requirements import Requirement
        from packaging.utils import canonicalize_name

        for line in requires(_DISTRIBUTION) or ():
            one = Requirement(line)
            if canonicalize_name(one.name) != canonicalize_name(name):
                continue
            extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", str(one.marker or ""))
            if extra:
                found.append(f"{_DISTRIBUTION}[{extra[1]}]")
            elif one.marker is None or one.marker.evaluate():
                return f"{one.name}{one.specifier}"
    return next((one for one in found if one != _DEVELOPERS), "") or name
