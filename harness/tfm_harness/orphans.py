"""Processes that a helper has started end with the harness, too, even when it is killed by SIGKILL.

The kernel's parent-death signal reaches a helper, but not the processes that the helper has started. A watcher (a shell
that does nothing else) holds the reading end of a pipe. Each helper writes its process group to the pipe. When the pipe
ends with the harness, the watcher kills the groups that are left.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading

__all__ = ["forget_group", "registration"]

_WATCH = """trap '' INT TERM HUP QUIT
groups=" "
while read -r word group; do
    case $word in
    +) groups="$groups$group " ;;
    -) case $groups in *" $group "*) groups="${groups%%" $group "*} ${groups#*" $group "}" ;; esac ;;
    esac
done
for group in $groups; do kill -s KILL -- "-$group"; done
"""


class _Watcher:
    """One for each process that starts helpers; made again after a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = -1
        self._fd = -1

    def pipe(self) -> int:
        with self._lock:
            if self._pid != os.getpid():
                if self._fd >= 0:  # the parent's end: its watcher waits for the end of the pipe
                    os.close(self._fd)
                reading, writing = os.pipe()
                subprocess.Popen(  # lives until this process ends; it is not waited for
                    ["/bin/sh", "-c", _WATCH],
                    stdin=reading,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    start_new_session=True,
                ).returncode = 0  # prevents the warning that it still runs
                os.close(reading)
                self._fd, self._pid = writing, os.getpid()
            return self._fd


_watcher = _Watcher()


def registration() -> int:
    """A descriptor to which a new helper writes ``+ <its process group>`` before it does anything else."""
    return _watcher.pipe()


def forget_group(group: int) -> None:
    """Take a group that has ended off the list: another process may soon get its number."""
    with contextlib.suppress(OSError):
        os.write(_watcher.pipe(), b"- %d\n" % group)
