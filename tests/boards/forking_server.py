"""Boards' workers that need not import their libraries first: ``forking_server.py SOCKET WORKER MODULE...``.

It imports the modules and the worker (a module or a file) once and waits; each connection brings arguments, an
environment and the standard streams, and is answered with the exit status of a process that was forked for it. A
connection that closes ends that process. Its interpreter is the worker's own: only the standard library is used.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

Main = Callable[..., int]


def serve(listener: socket.socket, main: Main) -> None:
    """Fork for each connection, and for each of these the worker."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        link, _ = listener.accept()
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            attend(link, main)
            os._exit(0)
        link.close()


def attend(link: socket.socket, main: Main) -> None:
    """One worker, until it has ended or the connection has."""
    message, streams, _, _ = socket.recv_fds(link, 1 << 20, 3)
    worker = os.fork()
    if not worker:
        link.close()
        os._exit(work(message, streams, main))
    for stream in streams:
        os.close(stream)
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


def work(message: bytes, streams: list[int], main: Main) -> int:
    """Be the worker."""
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    arguments, environment = (part.split(b"\0") for part in message.split(b"\0\0"))
    os.environb.clear()
    os.environb.update(dict(entry.split(b"=", 1) for entry in environment))
    tempfile.tempdir = None  # asked for anew
    try:
        return main(*([[os.fsdecode(argument) for argument in arguments]] if arguments != [b""] else []))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as an interpreter ends
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def load(worker: str) -> Main:
    """The `main` of a module, or of a file."""
    if not worker.endswith(".py"):
        module = importlib.import_module(worker)
    else:
        spec = importlib.util.spec_from_file_location("worker", worker)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    main: Main = module.main
    return main


if __name__ == "__main__":
    for name in sys.argv[3:]:
        importlib.import_module(name)
    found = load(sys.argv[2])
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as place:
        place.bind(f"{sys.argv[1]}.new")
        place.listen(8)
        Path(f"{sys.argv[1]}.new").rename(sys.argv[1])
        serve(place, found)
