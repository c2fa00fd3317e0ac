"""Pytest plugin of a process that has collected all tests, and forks for each change: nothing is imported again.

The child puts the change into the functions that are loaded (swap.py), runs the chosen tests until the first failure,
and ends. Modules that are loaded later, and processes that a test starts, find the change in the copy of the package.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mutation.swap import swap

LOOPS = float(os.environ.get("MUTATION_LOOPS", "40"))
"""Most seconds of CPU time for one test; the longest one takes a sixth of it."""
MEMORY = 8 << 30
"""Bytes for one process: a change that gathers without end fails by it."""


@contextlib.contextmanager
def limited_cpu_time() -> Iterator[None]:
    """A change that loops fails by the CPU time that it takes, which a busy host does not lengthen."""
    signal.signal(signal.SIGVTALRM, lambda *_: pytest.fail(f"more than {LOOPS:g} s of CPU time"))
    signal.setitimer(signal.ITIMER_VIRTUAL, LOOPS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


class Server:
    """Runs the tests of one change after another, each in a child.

    A request is a line of JSON: `file` (path of the changed file in the copy; empty: no change), `right` (path of a
    file with the text that it had), `tests` (node ids in their order), `work` (a folder for the tests). The answers are
    lines as well: `child` (its process id), `cannot` (the change cannot be put in), `began` (a test), `why` it fails,
    `outcome` of that test with its `cpu` seconds, `broken` (the child itself failed), `end`.
    """

    def __init__(self, requests: int, answers: int) -> None:
        self._requests = os.fdopen(requests)
        self._answers = answers
        self._outcome = ""

    def _say(self, **words: object) -> None:
        os.write(self._answers, json.dumps(words).encode() + b"\n")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of running all tests: serve until the pipe is closed."""
        items = {item.nodeid: item for item in session.items}
        self._say(ready=len(items))
        for line in self._requests:
            request = json.loads(line)
            child = os.fork()
            if not child:
                try:
                    os.setsid()
                    self._run(session, [items[test] for test in request["tests"] if test in items], request)
                except BaseException as error:  # noqa: BLE001, a child never goes on as its parent
                    self._say(broken=repr(error))
                finally:
                    os._exit(0)
            self._say(child=child)
            os.waitpid(child, 0)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            self._say(end=True)
        return True

    def _run(self, session: pytest.Session, items: list[pytest.Item], request: dict[str, Any]) -> None:
        if request["file"]:
            right, changed = (Path(request[name]).read_bytes() for name in ("right", "file"))
            loaded = any(getattr(one, "__file__", None) == request["file"] for one in list(sys.modules.values()))
            if loaded and not swap(request["file"], right, changed):
                self._say(cannot=True)
                return
        work = Path(request["work"])
        shutil.rmtree(work, ignore_errors=True)
        session.config._tmp_path_factory._given_basetemp = work  # type: ignore[attr-defined] # noqa: SLF001
        session.config.pluginmanager.register(self._reporter(), "mutation-reporter")
        for number, item in enumerate(items):
            self._say(began=item.nodeid)
            began = time.process_time()
            self._outcome = ""
            following = items[number + 1] if number + 1 < len(items) else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self._say(outcome=self._outcome or "passed", cpu=time.process_time() - began)
            if self._outcome == "failed":
                with contextlib.suppress(BaseException):
                    session._setupstate.teardown_exact(None)  # noqa: SLF001
                return

    def _reporter(self) -> object:
        server = self

        class Reporter:
            @pytest.hookimpl(wrapper=True)
            def pytest_runtest_call(self) -> Iterator[None]:
                with limited_cpu_time():
                    yield

            def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
                if report.failed:
                    server._outcome = "failed"
                    server._say(why=report.longreprtext[-4000:])
                elif report.skipped and not server._outcome:  # also an expected failure: it tells nothing of a change
                    server._outcome = "skipped"

        return Reporter()


def pytest_configure(config: pytest.Config) -> None:
    """Serve, when the mutation score started this process."""
    if pipes := os.environ.get("MUTATION_SERVER"):
        requests, answers = map(int, pipes.split())
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        config.pluginmanager.register(Server(requests, answers))
