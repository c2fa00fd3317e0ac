"""Which client speaks which protocol; nothing is imported until it is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tfm_harness.errors import ConfigError

if TYPE_CHECKING:
    from tfm_harness.console.base import Console
    from tfm_harness.protocol.base import PseudoDriver

__all__ = ["open_client"]


def open_client(protocol: str, console: Console, *, timeout: float, watch: Callable[[], None]) -> PseudoDriver:
    """A client of `protocol` on `console`.

    Args:
        protocol: a build's ``protocol``.
        console: where the firmware speaks.
        timeout: seconds for an answer that needs no long work.
        watch: called while waiting; raises when the board is known to be dead.

    Raises:
        ConfigError: no client speaks it.
    """
    if protocol == "smp":
        from tfm_harness.protocol.smp.client import SmpDriver

        return SmpDriver(console, timeout=timeout, watch=watch)
    if protocol == "zephyr-shell":
        from tfm_harness.protocol.zephyr_shell.client import ZephyrShellDriver

        return ZephyrShellDriver(console, timeout=timeout, watch=watch)
    raise ConfigError(
        f"no client speaks protocol {protocol!r}", kind="no-client", expected="smp or zephyr-shell", seen=protocol
    )
