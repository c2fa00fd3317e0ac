"""Certificates for device keys: a small CA, the bootstrap protocol, its client and a simulator server.

The protocol is that of Linaro's lite_bootstrap_server: REST over mutual TLS, CBOR or JSON. The
simulator listens on the loopback interface only and lives as long as its context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfm_harness.lazy import lazy_exports

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

__getattr__, __dir__ = lazy_exports(__name__, _HOMES)
