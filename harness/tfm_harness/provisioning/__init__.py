"""Certificates for device keys: a small CA, the bootstrap protocol, its client and a simulator server.

The protocol is that of Linaro's lite_bootstrap_server: REST over mutual TLS, CBOR or JSON. The
simulator listens on the loopback interface only and lives as long as its context.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfm_harness.provisioning.ca import BOOTSTRAP_OU, SmallCa
    from tfm_harness.provisioning.client import BootstrapClient, FileIdentity, RefusedError, provision
    from tfm_harness.provisioning.messages import Form
    from tfm_harness.provisioning.server import BootstrapServer

_HOMES = {
    "ca": ("BOOTSTRAP_OU", "SmallCa"),
    "client": ("BootstrapClient", "FileIdentity", "RefusedError", "provision"),
    "messages": ("Form",),
    "server": ("BootstrapServer",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BOOTSTRAP_OU",
    "BootstrapClient",
    "BootstrapServer",
    "FileIdentity",
    "Form",
    "RefusedError",
    "SmallCa",
    "provision",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
