"""Every environment variable of the harness, in one table, so that a misspelt name is an error."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from tfm_harness.errors import ConfigError

__all__ = ["PREFIX", "VARIABLES", "check_environment"]

PREFIX: Final = "TFM_HARNESS_"

VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "TFM_HARNESS_BASELINE": "older name of TFM_HARNESS_STORE",
        "TFM_HARNESS_LOCK_DIR": "the folder of locks on ports, probes, disks and places, one for all users of the host",
        "TFM_HARNESS_SIGNER_PIN": "the PIN of the PKCS#11 token that signs evidence",
        "TFM_HARNESS_VSI_DIR": "set by the harness for the FVP's sensor script: where its input files are",
        "TFM_HARNESS_ADI_PROBES": "the harness's own tests: simulated debug probes on made-up parts",
        "TFM_HARNESS_ARTIFACTS": "the harness's own tests: where pictures of the report page are kept",
        "TFM_HARNESS_LABGRID_PYTHON": "the harness's own tests: a Python that has labgrid",
        "TFM_HARNESS_QEMU_DEBUG_PORT": "the harness's own tests: how the simulated probe's debug port behaves",
        "TFM_HARNESS_QEMU_PROBES": "the harness's own tests: simulated debug probes",
    }
)
"""Variables that are not options of pytest (those are in `tfm_harness.plugin.options`), with their meaning."""


def check_environment(options: Iterable[str], environment: Mapping[str, str] = os.environ) -> None:
    """Refuse unknown variables that begin like the harness's: their value would have no effect.

    Args:
        options: names of the variables that set options.
        environment: the variables to check.

    Raises:
        ConfigError: kind ``environment-unknown``; the text names the nearest known variable.
    """
    known = {*VARIABLES, *options}
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in known:
            continue
        from tfm_harness.config.nearest import nearest  # imports difflib, which is needed only for an error

        near = nearest(name.removeprefix(PREFIX), {item.removeprefix(PREFIX) for item in known})
        raise ConfigError(
            f"unknown environment variable {name}" + (f"; did you mean {PREFIX}{near}?" if near else ""),
            kind="environment-unknown",
            expected="one of " + ", ".join(sorted(known)),
            seen=name,
            hint=f"correct the name, or unset it: unset {name}",
        )
