"""UARTs of QEMU behind its multiplexer, which takes in up to 32 bytes before the firmware reads them.

Without it each byte that is sent costs a turn of QEMU's main loop and two switches between its threads: measured with
QEMU 7.2 on mps3-an547, a message of 2,000 bytes there and back takes 30 ms of CPU time, with it 18 ms.

The multiplexer is connected by two pipes, not by a socket, because QEMU sends each byte by itself: a pipe takes half of
the time for a byte. Many bytes share one page of a pipe, but a socket keeps 768 bytes of kernel memory for each byte.
"""

from __future__ import annotations

import contextlib
import re
from typing import Final

from tfm_harness.config.build import Build
from tfm_harness.config.qemu import QemuTarget
from tfm_harness.console.transport import FdTransport

__all__ = ["ESCAPE", "MuxTransport", "is_quick"]

ESCAPE: Final = 0x1E
"""The multiplexer's escape byte (``-echr``). In data it is sent twice. Before a byte that names no command it does
nothing."""

_DOUBLED: Final = bytes([ESCAPE, ESCAPE])
_NOTHING: Final = bytes([ESCAPE, 0])

_CMSDK_UART = re.compile(r"mps[23]-an\d+")


def is_quick(target: QemuTarget, build: Build, console: str) -> bool:
    """Whether a console's UART is behind the multiplexer.

    It is the UART that carries the build's protocol, if the firmware takes bytes without a pause between them
    (``uart_bursts``) and the machine's UART asks for the next byte as soon as one is read (the CMSDK UART). A UART that
    does not ask would never get a message's last bytes.
    """
    return build.uart_bursts and console == build.console and _CMSDK_UART.fullmatch(target.machine) is not None


class MuxTransport(FdTransport):
    """Our ends of the pipes from and to a UART behind the multiplexer: all bytes pass, the escape byte too."""

    def write(self, data: bytes | memoryview) -> int:
        """See `Transport`."""
        if ESCAPE not in bytes(data):
            return super().write(data)
        done = 0
        for run in re.split(b"(%c)" % ESCAPE, data):
            # A pipe takes two bytes together or not at all (POSIX, PIPE_BUF), so a pair is never cut.
            taken = super().write(_DOUBLED) // 2 if run == _DOUBLED[:1] else super().write(run)
            done += taken
            if taken < len(run):
                break
        return done

    def knock(self) -> None:
        """Ask the multiplexer to deliver the bytes that it holds. This sends the firmware no further byte.

        The multiplexer offers them only when the next byte comes or one is read. A receiver that is switched on later
        would wait for ever.
        """
        with contextlib.suppress(OSError):
            super().write(_NOTHING)
