"""Starts processes that have imported the plugin already (see `tests.warm`): ``warm_server.py FD [MODULE ...]``.

One process imports once and waits; for each request it forks, and the child becomes what ``python -m pytest`` would
have become: its folder, umask, environment, search path, standard streams and arguments are those of the request.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import gc
import importlib
import inspect
import json
import os
import socket
import sys
import threading
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

MODULES = (
    "_pytest.debugging", "_pytest.fixtures", "_pytest.junitxml", "_pytest.pytester", "_pytest.terminal",
    "platformdirs.pytest_plugin", "pytest_rerunfailures", "pytest_timeout",
    "xdist.plugin", "xdist.dsession", "xdist.looponfail",
    "cbor2", "email.feedparser", "email.parser", "encodings.idna", "faulthandler", "gzip", "http.server", "jinja2",
    "numpy", "packaging.requirements", "packaging.tags", "pdb", "pickle", "pydantic.dataclasses", "readline",
    "smp.packet", "ssl", "tflite",
    "tfm_harness.boards.attach.board", "tfm_harness.boards.qemu.board", "tfm_harness.history",
    "tfm_harness.parity.accuracy_catalogue", "tfm_harness.parity.catalogue", "tfm_harness.parity.compare",
    "tfm_harness.parity.compiled", "tfm_harness.parity.engines", "tfm_harness.parity.selftest",
    "tfm_harness.plugin.checks", "tfm_harness.plugin.entry", "tfm_harness.plugin.session",
    "tfm_harness.protocol.smp.client", "tfm_harness.protocol.zephyr_shell.client", "tfm_harness.report.render",
    "tfm_harness.testing.consoles", "tfm_harness.testing.smp_firmware", "tfm_harness.trust.ledger_file",
    "tfm_harness.verify.catalogue", "tfm_harness.verify.leaks",
)  # fmt: skip
"""What a short session with a board imports: that much of each start is saved."""


SHOWN = (
    "tfm_harness.bench.live", "tfm_harness.bench.opened",
    "tfm_harness.plugin.fixtures", "tfm_harness.plugin.net", "tfm_harness.plugin.session",
    "tfm_harness.protocol.smp.answers", "tfm_harness.protocol.smp.core", "tfm_harness.protocol.smp.test_commands",
)  # fmt: skip
"""Whose lines tracebacks show most."""


def remember_statements() -> None:
    """Where the statements of these modules begin, for which each traceback parses them."""
    from _pytest._code import code, source

    known: dict[str, ast.AST] = {}
    for name in SHOWN:
        path = sys.modules[name].__file__
        assert path is not None
        text = str(source.Source(Path(path).read_text(encoding="utf-8")))
        node = ast.Module([], [])
        node._pytest_statement_linenos = source._statement_linenos(ast.parse(text))  # type: ignore[attr-defined]
        known[text] = node
    find = source.getstatementrange_ast

    def found(line: int, text: source.Source, astnode: ast.AST | None = None) -> tuple[ast.AST, int, int]:
        return find(line, text, astnode=astnode or known.get(str(text)))

    vars(code)["getstatementrange_ast"] = found


def load(more: list[str]) -> None:
    """Import everything and `more`, the harness as pytest would: through its hook that rewrites assertions."""
    from _pytest.assertion import install_importhook
    from _pytest.config import get_config

    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy: a process with threads cannot fork safely
    hook = install_importhook(get_config([]))
    hook.mark_rewrite("tfm_harness", "pytest_rerunfailures", "pytest_timeout", "xdist")
    for name in (*MODULES, *more):
        with contextlib.suppress(ModuleNotFoundError):  # of another version: the child imports what it needs
            importlib.import_module(name)
    from tfm_harness.report import render, storage
    from tfm_harness.report.digests import package_digest
    from tfm_harness.report.record import RunRecord, TestEntry

    render._environment().get_template("page.html.j2")  # compiled once for all
    for kind in (RunRecord, TestEntry):
        storage._adapter(kind)
    package_digest()
    sys.meta_path.remove(hook)
    remember_statements()
    inspect.getmodule(load.__code__, "")  # which module is whose file, as each traceback asks
    gc.collect()
    gc.freeze()  # the children do not touch these pages
    gc.set_threshold(20_000, 20, 20)  # seldom: they are short


def remember_packages(path: list[str]) -> None:
    """What the packages of these folders say of themselves is read once: nobody installs there while tests run."""

    def once(name: str) -> None:
        read = getattr(metadata.Distribution, name).fget
        known: dict[str, Any] = {}

        def value(package: Any) -> Any:
            if str(package._path.parent) not in path:
                return read(package)
            key = str(package._path)
            if key not in known:
                known[key] = read(package)
            return known[key]

        setattr(metadata.PathDistribution, name, property(value))

    once("entry_points")
    once("metadata")
    once("files")
    for package in metadata.distributions():
        assert package.metadata is not None
        if any(point.group == "pytest11" for point in package.entry_points):
            assert package.files is not None


def become(request: dict[str, Any], streams: list[int], path: list[str]) -> tuple[str, list[str]]:
    """In the child: be where and what the request says. Returns the program and its arguments."""
    words: list[str] = request["words"]
    environment: dict[str, str] = request["environment"]
    for target, stream in enumerate([os.open(os.devnull, os.O_RDONLY), *streams]):
        os.dup2(stream, target)
        os.close(stream)
    os.chdir(request["folder"])
    os.umask(request["umask"])
    os.environ.clear()
    os.environ.update(environment)
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    given = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [request["folder"], *(entry for entry in given if entry), *path]
    sys.modules["xdist.plugin"]._sys_path[:] = sys.path  # as at its import: what xdist's own processes get
    sys.argv[:] = [request["program"], *words]
    return request["program"], words


def serve(link: socket.socket, path: list[str]) -> tuple[str, list[str]]:
    """Fork for each request. Returns in the children only, with what they are; ends when the client has gone."""
    while True:
        message, streams, _, _ = socket.recv_fds(link, 1 << 20, 2)
        if not message:
            os._exit(0)
        pid = os.fork()
        if not pid:
            link.close()
            return become(json.loads(message), streams, path)
        for stream in streams:
            os.close(stream)
        link.send(b"%d" % pid)
        _, status = os.waitpid(pid, 0)
        link.send(b"%d" % os.waitstatus_to_exitcode(status))


def leave(status: int) -> NoReturn:
    """End a child as an interpreter ends, but without taking apart, piece by piece, what it has imported.

    That takes longer than a short session, because each page of memory that is touched is copied first.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # waits for the threads that are no daemons
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            status = 120  # as Python does
    os._exit(status)


def main() -> NoReturn:
    """Import, serve; in a child: pytest or the command."""
    link = socket.socket(fileno=int(sys.argv[1]))
    given = {Path(entry).resolve() for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry}
    given.add(Path(__file__).resolve().parent)
    path = [entry for entry in sys.path if Path(entry).resolve() not in given]
    load(sys.argv[2:])
    remember_packages(path)
    program, words = serve(link, path)
    if program == "pytest":
        import pytest

        leave(pytest.main(words))
    from tfm_harness.cli.main import main as command

    leave(command(words))


if __name__ == "__main__":
    main()
