"""Debug probe workers that need not import pyOCD first: ``warm_probe_server.py SOCKET`` (`tests.boards.warm_probe`).

It imports once and waits; each connection brings arguments, an environment and a stream for what is said, and is
answered with the exit status of a process that was forked for it. A connection that closes ends that process.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

_WORKER = "tfm_harness.boards.probe.worker"


def serve(listener: socket.socket) -> None:
    """Fork for each connection, and for each of these the worker."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        link, _ = listener.accept()
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            attend(link)
            os._exit(0)
        link.close()


def attend(link: socket.socket) -> None:
    """One worker, until it has ended or the connection has."""
    message, streams, _, _ = socket.recv_fds(link, 1 << 20, 1)
    worker = os.fork()
    if not worker:
        link.close()
        os._exit(work(message, streams[0]))
    ended = os.pidfd_open(worker)
    if all(place != ended for place, _ in _events(link.fileno(), ended)):
        os.kill(worker, signal.SIGKILL)  # whoever wanted it has gone
    _, status = os.waitpid(worker, 0)
    with contextlib.suppress(OSError):
        link.send(b"%d" % os.waitstatus_to_exitcode(status))


def _events(*places: int) -> list[tuple[int, int]]:
    poll = select.poll()
    for place in places:
        poll.register(place, select.POLLIN)
    return poll.poll()


def work(message: bytes, stream: int) -> int:
    """Be the worker."""
    main: Callable[[list[str]], int] = sys.modules[_WORKER].main
    for target in (1, 2):
        os.dup2(stream, target)
    arguments, environment = (part.split(b"\0") for part in message.split(b"\0\0"))
    os.environb.clear()
    os.environb.update(dict(entry.split(b"=", 1) for entry in environment))
    tempfile.tempdir = None  # asked for anew
    try:
        return main([os.fsdecode(argument) for argument in arguments])
    except BaseException:  # noqa: BLE001 - as an interpreter ends
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    for name in ("pyocd.core.helpers", "pyocd.core.session", "pyocd.flash.file_programmer", _WORKER):
        importlib.import_module(name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as place:
        place.bind(f"{sys.argv[1]}.new")
        place.listen(8)
        Path(f"{sys.argv[1]}.new").rename(sys.argv[1])
        serve(place)
