"""Which machines the installed QEMU has. A misspelt name in a target's file is reported before any board is started."""

from __future__ import annotations

import re

from tfm_harness.boards.tools import run_tool
from tfm_harness.config.nearest import did_you_mean
from tfm_harness.config.qemu import QemuTarget
from tfm_harness.errors import ConfigError, InfrastructureError

__all__ = ["machine_error"]

_LIMIT = 30.0  # seconds, for a program that only prints a list
_LINE = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*) +\S", re.MULTILINE)


def machine_error(target: QemuTarget) -> ConfigError | None:
    """Why this host's QEMU cannot emulate the target's machine; None when it can, or when there is no QEMU to ask."""
    try:
        said = run_tool([target.binary, "-machine", "help"], _LIMIT).out
    except InfrastructureError:
        return None
    known = {name for name in _LINE.findall(said) if name != "Supported"}
    # A program that prints no such list is not QEMU; starting it gives a better error.
    if "Supported machines" not in said or target.machine in known:
        return None
    document = target.document
    families = target.machine.split("-")[0]
    return ConfigError(
        f"{target.binary} has no machine {target.machine!r}" + did_you_mean(target.machine, known),
        kind="machine-unknown",
        expected=", ".join(sorted(name for name in known if name.startswith(families))) or None,
        where=document.where(("machine",)) if document else target.name,
        hint=f"{target.binary} -machine help lists them; a newer QEMU has more",
    )
