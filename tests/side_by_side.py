"""Runs the tests in N processes, forked when all is collected: ``-p tests.side_by_side --side-by-side N``.

Collecting these tests takes ten seconds of CPU time. pytest-xdist has each of its processes do that again, and one more
process hand the tests out one by one. Here each process takes the tests of its own range, one after the other, as
pytest orders them; one that has none left takes the second half of the longest range that is left. What belongs to a
module is mostly set up once, therefore. This process shows what they report.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import mmap
import os
import select
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe
from typing import Any, NoReturn

import pytest

__all__ = ["Shares", "pytest_addoption", "pytest_runtestloop"]


class Shares:
    """Which tests each process runs: ranges of their numbers in memory that all of them share.

    Args:
        tests: how many there are.
        workers: among how many processes.
    """

    def __init__(self, tests: int, workers: int) -> None:
        # Locks of files belong to processes, and end with them: no process that crashes keeps the others waiting.
        self._file = os.memfd_create("tests")
        os.ftruncate(self._file, mmap.PAGESIZE)
        self._ranges = memoryview(mmap.mmap(self._file, mmap.PAGESIZE)).cast("i")
        self._workers = workers
        for worker in range(workers):
            self._set(worker, tests * worker // workers, tests * (worker + 1) // workers)

    def _get(self, worker: int) -> tuple[int, int]:
        return self._ranges[2 * worker], self._ranges[2 * worker + 1]

    def _set(self, worker: int, begin: int, end: int) -> None:
        self._ranges[2 * worker], self._ranges[2 * worker + 1] = begin, end

    @contextmanager
    def _alone(self) -> Iterator[None]:
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def take(self, worker: int) -> int | None:
        """The next test of this worker; None: none is left."""
        with self._alone():
            begin, end = self._get(worker)
            if begin == end:
                longest = max(range(self._workers), key=lambda other: self._get(other)[1] - self._get(other)[0])
                first, end = self._get(longest)
                if first == end:
                    return None
                begin = (first + end) // 2
                self._set(longest, first, begin)
            self._set(worker, begin + 1, end)
            return begin

    def leave_the_rest(self) -> None:
        """Nobody takes another one."""
        with self._alone():
            for worker in range(self._workers):
                self._set(worker, 0, 0)


class _Sender:
    """In a worker, a plugin: what it reports goes to the process that shows it."""

    def __init__(self, config: pytest.Config, link: Connection) -> None:
        self._config, self._link = config, link

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._link.send(("report", data))

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: str, nodeid: str, location: tuple[str, int, str] | None
    ) -> None:
        said = (str(warning_message.message), warning_message.filename, warning_message.lineno)
        self._link.send(("warning", (said, when, nodeid, location)))


def _work(session: pytest.Session, shares: Shares, worker: int, link: Connection) -> NoReturn:
    """Be a worker: run tests until none is left."""
    status = 1
    try:
        try:
            _run(session, shares, worker, link)
            status = 0
        except BaseException:  # noqa: BLE001 - shown by the other process
            link.send(("broken", traceback.format_exc()))
        warnings.simplefilter("ignore")  # as after a session
        threading._shutdown()  # type: ignore[attr-defined]  # as an interpreter ends, without taking all apart
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _run(session: pytest.Session, shares: Shares, worker: int, link: Connection) -> None:
    gc.set_threshold(20_000, 20, 20)  # seldom: tests/conftest.py collects garbage behind each module
    config = session.config
    config.pluginmanager.unregister(name="terminalreporter")
    config.pluginmanager.register(_Sender(config, link), "side-by-side-sender")
    capture = config.pluginmanager.getplugin("capturemanager")
    capture.stop_global_capturing()  # into files that the others have, too
    capture.start_global_capturing()
    capture.suspend_global_capture()
    factory: Any = config._tmp_path_factory  # type: ignore[attr-defined]
    factory._basetemp = factory.getbasetemp() / f"worker{worker}"
    factory._basetemp.mkdir(mode=0o700)
    try:
        number = shares.take(worker)
        while number is not None and not (session.shouldfail or session.shouldstop):
            following = shares.take(worker)
            link.send(("begin", number))
            config.hook.pytest_runtest_protocol(
                item=session.items[number], nextitem=None if following is None else session.items[following]
            )
            link.send(("end", number))
            number = following
    finally:
        session._setupstate.teardown_exact(None)


@dataclass
class _Worker:
    pid: int
    link: Connection
    process: int = field(init=False)  # a file that is readable once it has ended
    running: int | None = None

    def __post_init__(self) -> None:
        self.process = os.pidfd_open(self.pid)

    def wait(self) -> int:
        """Its exit status (negative: the signal that ended it)."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.process)
        self.link.close()
        return os.waitstatus_to_exitcode(status)


class _Pool:
    """The processes, and what is known of each test."""

    def __init__(self, session: pytest.Session, count: int) -> None:
        self._session, self._config = session, session.config
        self._count = min(count, len(session.items))
        self._shares = Shares(len(session.items), self._count)
        self._unfinished = dict.fromkeys(range(len(session.items)))
        self._workers: list[_Worker] = []

    def run(self) -> None:
        self._config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        gc.freeze()  # what is collected stays, and its pages stay shared
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            for number in range(self._count):
                self._fork(number)
            self._listen()
        finally:
            for worker in self._workers:  # none, when all have run
                os.kill(worker.pid, signal.SIGTERM)
                worker.wait()
        if self._session.shouldfail:
            raise self._session.Failed(self._session.shouldfail)
        if self._session.shouldstop:
            raise self._session.Interrupted(self._session.shouldstop)
        for number in self._unfinished:
            self._lost(number, "no process ran it to its end")

    def _fork(self, number: int) -> None:
        theirs, ours = Pipe(duplex=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # BLAS has threads: they end before a fork
            pid = os.fork()
        if not pid:
            theirs.close()
            _work(self._session, self._shares, number, ours)
        ours.close()
        self._workers.append(_Worker(pid, theirs))

    def _listen(self) -> None:
        """Until all have ended."""
        while self._workers:
            poll = select.poll()
            for worker in self._workers:
                poll.register(worker.link, select.POLLIN)
                poll.register(worker.process, select.POLLIN)
            ready = {place for place, _ in poll.poll()}
            for worker in list(self._workers):
                ended = worker.process in ready
                with suppress(EOFError):
                    while worker.link.poll():
                        self._hear(worker, *worker.link.recv())
                if ended:
                    self._workers.remove(worker)
                    self._gone(worker)

    def _hear(self, worker: _Worker, kind: str, said: Any) -> None:
        hook = self._config.hook
        if kind == "begin":
            worker.running = said
            item = self._session.items[said]
            hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        elif kind == "report":
            hook.pytest_runtest_logreport(report=hook.pytest_report_from_serializable(config=self._config, data=said))
            if self._session.shouldfail or self._session.shouldstop:
                self._shares.leave_the_rest()
        elif kind == "end":
            worker.running = None
            del self._unfinished[said]
            item = self._session.items[said]
            hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        elif kind == "warning":
            (text, filename, line), when, nodeid, location = said
            message = warnings.WarningMessage(UserWarning(text), UserWarning, filename, line)
            hook.pytest_warning_recorded.call_historic(
                kwargs={"warning_message": message, "when": when, "nodeid": nodeid, "location": location}
            )
        elif kind == "broken":
            raise RuntimeError(f"a process that ran tests failed:\n{said}")

    def _gone(self, worker: _Worker) -> None:
        code = worker.wait()
        if worker.running is not None:
            del self._unfinished[worker.running]
            self._lost(worker.running, f"its process ended with {code} (negative: a signal)")
        elif code:
            raise RuntimeError(f"a process that ran tests ended with {code} (negative: a signal), between two of them")

    def _lost(self, number: int, why: str) -> None:
        """A test of which nothing is known is a failed one."""
        item = self._session.items[number]
        self._config.hook.pytest_runtest_logreport(
            report=pytest.TestReport(item.nodeid, item.location, {}, "failed", f"{item.nodeid}: {why}", "call")
        )


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option."""
    parser.addoption("--side-by-side", type=int, default=1, metavar="N", help="run the tests in N forked processes")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """In place of pytest's own loop, where tests are to run side by side and were collected without an error."""
    count: int = session.config.getoption("side_by_side")
    if count < 2 or not session.items or session.testsfailed or session.config.option.collectonly:
        return None
    _Pool(session, count).run()
    return True
