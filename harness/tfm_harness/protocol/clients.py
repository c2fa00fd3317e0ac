"""Which client speaks which protocol. A client is imported only when it is needed.

Packages add protocols in the entry-point group ``tfm_harness.protocols``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tfm_harness.errors import ConfigError
from tfm_harness.extensions import blamed, find, load_class, names

if TYPE_CHECKING:
    from tfm_harness.console.base import Console
    from tfm_harness.protocol.base import PseudoDriver

__all__ = ["client_class", "open_client"]


def client_class(protocol: str) -> type[PseudoDriver]:
    """The client's class of a build's ``protocol``.

    Raises:
        ConfigError: ``no-client``: no client speaks it.
        ExtensionError: the package that adds it cannot be used.
    """
    extension = find("protocols", protocol)
    if extension is not None:
        from tfm_harness.protocol.base import PseudoDriver

        return load_class(extension, PseudoDriver)
    if protocol == "smp":
        from tfm_harness.protocol.smp.client import SmpDriver

        return SmpDriver
    if protocol == "zephyr-shell":
        from tfm_harness.protocol.zephyr_shell.client import ZephyrShellDriver

        return ZephyrShellDriver
    if protocol == "mlperf-tiny":
        from tfm_harness.protocol.mlperf_tiny.client import MlperfTinyDriver

        return MlperfTinyDriver
    raise ConfigError(
        f"no client speaks protocol {protocol!r}",
        kind="no-client",
        expected=" or ".join(name for name in names("protocols") if name != "none"),
        seen=protocol,
    )


def open_client(protocol: str, console: Console, *, timeout: float, watch: Callable[[], None]) -> PseudoDriver:
    """A client of `protocol` on `console`.

    Args:
        protocol: a build's ``protocol``.
        console: where the firmware speaks.
        timeout: seconds for an answer that needs no long work.
        watch: called while waiting; raises when the board is known to be dead.

    Raises:
        ConfigError: as `client_class`.
        ExtensionError: the client comes from a package, and making it failed.
    """
    made = client_class(protocol)
    with blamed(find("protocols", protocol)):
        return made(console, timeout=timeout, watch=watch)
