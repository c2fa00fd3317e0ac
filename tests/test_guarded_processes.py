"""Programs are started through `tfm_harness.processes`: they end with the harness, and hold its locks until then."""

from __future__ import annotations

import ast
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from tfm_harness.boards.locks import BoardLock
from tfm_harness.boards.supervisor import wait_until
from tfm_harness.boards.tools import run_tool
from tfm_harness.errors import InfrastructureError

PACKAGE = Path(__file__).resolve().parents[1] / "harness" / "tfm_harness"

MAY_START = {
    "processes.py": "the guarded spawn itself",
    "orphans.py": "the watcher, which must outlive the harness",
    "cli/run.py": "replaces itself by pytest",
    "cli/verify_many.py": "a pool of this program, which ends with its pipe",
    "parity/worker.py": "a fork of the reference's process for each model, which dies with it",
    "testing/": "simulators of hardware: they stand for what is not ours",
}
STARTERS = {
    "subprocess": {"Popen", "run", "call", "check_call", "check_output", "getoutput", "getstatusoutput"},
    "os": {"system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp", "startfile"}
    | {f"{kind}{how}" for kind in ("exec", "spawn") for how in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")},
    "pty": {"spawn", "fork"},
    "asyncio": {"create_subprocess_exec", "create_subprocess_shell"},
    "multiprocessing": {"Process", "Pool", "get_context"},
}


def starts(source: str) -> list[int]:
    """Lines that start a process past the guard: called, imported by name, or handed on as a value."""
    lines = []
    tree = ast.parse(source)
    # what is only a type is no start
    typing = {id(inner) for node in ast.walk(tree) for inner in _annotations(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and id(node) not in typing:
            if node.attr in STARTERS.get(node.value.id, ()):
                lines.append(node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module in STARTERS:
            lines += [node.lineno for name in node.names if name.name in STARTERS[node.module]]
        elif isinstance(node, ast.Import):
            lines += [node.lineno for name in node.names if name.name in STARTERS and name.asname]
    return lines


def _annotations(node: ast.AST) -> list[ast.AST]:
    found = [getattr(node, "annotation", None), getattr(node, "returns", None)]
    if isinstance(node, ast.Subscript):
        found.append(node.slice)
    return [inner for one in found if one is not None for inner in ast.walk(one)]


def test_nothing_is_started_past_the_guard() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = str(path.relative_to(PACKAGE))
        if any(name == allowed or (allowed.endswith("/") and name.startswith(allowed)) for allowed in MAY_START):
            continue
        wrong += [f"{name}:{line}" for line in starts(path.read_text())]
    assert not wrong, f"start it with tfm_harness.processes.start: {wrong}"


@pytest.mark.parametrize(
    "source",
    [
        "import subprocess\nsubprocess.run(['x'])",
        "from subprocess import Popen\n",
        "import subprocess as s\n",
        "import os\nos.system('x')",
        "import subprocess\npool.submit(subprocess.Popen, ['x'])",
        "from os import posix_spawn\n",
    ],
)
def test_the_rule_sees_it(source: str) -> None:
    assert starts(source)


def test_the_rule_lets_types_and_exceptions_be() -> None:
    source = """
        import subprocess
        def f(p: subprocess.Popen[bytes]) -> None:
            try: p.wait()
            except subprocess.TimeoutExpired: pass
    """
    assert not starts(textwrap.dedent(source))


_SESSION = """
    import sys, threading, time
    from pathlib import Path
    from tfm_harness.boards.locks import BoardLock
    from tfm_harness.boards.supervisor import spawn
    from tfm_harness.boards.tools import run_tool
    from tfm_harness.parity.process import WorkerProcess
    folder = Path(sys.argv[1])
    lock = BoardLock("b", folder)
    lock.acquire()
    child = spawn(["sleep", "600"], stderr_path=folder / "log")
    worker = WorkerProcess("numpy")
    tool = ["sh", "-c", f"sleep 600 & echo $$ $! > {folder}/tool.new; mv {folder}/tool.new {folder}/tool; wait"]
    threading.Thread(target=run_tool, args=(tool, 600.0), daemon=True).start()
    while not (folder / "tool").exists():
        time.sleep(0.01)
    print(child.pid, worker.pid, (folder / "tool").read_text(), flush=True)
    time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_tools_workers_and_what_they_have_started_end_with_a_killed_session(tmp_path: Path) -> None:
    words = [sys.executable, "-c", textwrap.dedent(_SESSION), str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as session:
        assert session.stdout is not None
        pids = [int(word) for word in session.stdout.readline().split()]
        assert len(pids) == 4
        assert all(alive(pid) for pid in pids)
        session.kill()
        session.wait()
    assert wait_until(lambda: not any(alive(pid) for pid in pids), 10), [pid for pid in pids if alive(pid)]
    lock = BoardLock("b", tmp_path)
    lock.acquire(5.0)
    lock.release()


def test_a_tool_holds_the_boards_lock_while_it_lives(tmp_path: Path) -> None:
    """The lock's file descriptor went to the tool: a session that ends first does not free the board."""
    lock = BoardLock("b", tmp_path)
    lock.acquire()
    from tfm_harness.processes import end_group, start

    tool = start(["sleep", "600"])
    try:
        inode = lock.path.stat().st_ino
        held = []
        for descriptor in Path(f"/proc/{tool.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # of a library: a program that begins opens and closes them
                held.append(descriptor.stat().st_ino)
        assert inode in held
        lock._abandon()  # as when this process ends
        with pytest.raises(InfrastructureError, match="is in use"):
            BoardLock("b", tmp_path).acquire()
    finally:
        end_group(tool)
    lock.acquire(5.0)
    lock.release()


def test_a_board_given_back_is_free_though_a_tool_went_into_the_background(tmp_path: Path) -> None:
    lock = BoardLock("b", tmp_path)
    lock.acquire()
    said = run_tool(["sh", "-c", "setsid sleep 600 >/dev/null 2>&1 </dev/null & echo $!"], 10.0)
    try:
        lock.release()
        again = BoardLock("b", tmp_path)
        again.acquire()
        again.release()
    finally:
        os.kill(int(said.out), signal.SIGKILL)


@pytest.mark.parametrize("content", [b"\x7fELF\x02\x01\x01" + bytes(11) + b"\xff\xff", b"touch ran\n", b""])
def test_what_is_no_program_is_not_run_as_a_script(tmp_path: Path, content: bytes) -> None:
    program = tmp_path / "tool"
    program.write_bytes(content)
    program.chmod(0o755)
    with pytest.raises(InfrastructureError) as caught:
        run_tool([str(program)], 10.0)
    assert caught.value.kind == "tool-start"


def test_a_stopped_tool_ends_in_time(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(InfrastructureError) as caught:
        run_tool(["sh", "-c", "kill -STOP $$"], 0.3)
    assert caught.value.kind == "tool-hung"
    assert time.monotonic() - began < 60
