"""A port that comes back, after the board was enumerated again or its serial server restarted."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import Final

from tfm_harness.console.transport import Transport
from tfm_harness.errors import InfrastructureError

__all__ = ["ReconnectingTransport"]

_STEP: Final = 0.05


class ReconnectingTransport:
    """Opens its transport again when that ends. A caller waits at most for one try.

    The polled descriptor keeps its number. While the port is away, the descriptor is always ready, so that readers keep
    trying.

    Args:
        reopen: makes the transport; raises `InfrastructureError` while it cannot.
        patience: seconds after which it no longer tries.
        on_reconnect: called with the number of seconds that the port was away.
    """

    def __init__(
        self,
        reopen: Callable[[], Transport],
        patience: float,
        on_reconnect: Callable[[float], None] | None = None,
    ) -> None:
        self._reopen = reopen
        self._patience = patience
        self.on_reconnect = on_reconnect
        self.reconnections = 0
        self._lost_at = 0.0
        self._inner: Transport | None = reopen()
        self._fd = os.dup(self._inner.fileno())

    def fileno(self) -> int:
        """The descriptor to poll; -1 when closed."""
        return self._fd

    def read_into(self, buffer: memoryview) -> int | None:
        """See `Transport`; None also while the port is away, 0 if it did not come back in time."""
        if self._inner is None:
            return self._try_again()
        count = self._inner.read_into(buffer)
        if count != 0:
            return count
        self._lost_at = time.monotonic()
        inner, self._inner = self._inner, None
        inner.close()
        always_ready = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(always_ready, self._fd, inheritable=False)
        os.close(always_ready)
        return self._try_again()

    def _try_again(self) -> int | None:
        time.sleep(_STEP)  # udev makes the node again, or a server listens again: neither gives an event to wait for
        try:
            inner = self._reopen()
        except InfrastructureError:
            return None if time.monotonic() - self._lost_at < self._patience else 0
        os.dup2(inner.fileno(), self._fd, inheritable=False)
        self._inner = inner
        self.reconnections += 1
        if self.on_reconnect is not None:
            self.on_reconnect(time.monotonic() - self._lost_at)
        return None

    def write(self, data: bytes | memoryview) -> int:
        """See `Transport`; nothing fits while the port is away."""
        inner = self._inner
        if inner is None:
            return 0
        try:
            return inner.write(data)
        except OSError:
            return 0  # the next read finds out

    def close(self) -> None:
        """See `Transport`."""
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.close()
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with contextlib.suppress(OSError):
                os.close(fd)
