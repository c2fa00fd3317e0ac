"""Helpers that cannot outlive the harness."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from tfm_harness.boards.supervisor import spawn, wait_until
from tfm_harness.errors import InfrastructureError

ROOT = Path(__file__).resolve().parents[2]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_last_words_and_how_it_ended(tmp_path: Path) -> None:
    child = spawn(["sh", "-c", "echo out; echo 'it broke' >&2; exit 3"], stderr_path=tmp_path / "log")
    assert child.wait(10) == 3
    assert child.last_words() == "out\nit broke"
    assert child.ended() == "exit status 3"
    child.kill()
    child = spawn(["sleep", "600"], stderr_path=tmp_path / "log")
    assert child.poll() is None
    assert child.ended() == "still running"
    assert child.wait(0.01) is None
    child.kill()
    assert child.ended() == "killed by SIGKILL"


def test_terminate_asks_first_and_insists(tmp_path: Path) -> None:
    polite = spawn(
        ["sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done"], stderr_path=tmp_path / "a"
    )
    assert wait_until(lambda: polite.last_words() == "up", 10)
    assert polite.terminate(10) == 7
    deaf = spawn(["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.01; done"], stderr_path=tmp_path / "b")
    assert wait_until(lambda: deaf.last_words() == "up", 10)
    assert deaf.terminate(0.05) == -9


def test_grandchildren_end_with_it(tmp_path: Path) -> None:
    child = spawn(["sh", "-c", "sleep 600 & echo $!; wait"], stderr_path=tmp_path / "log")
    assert wait_until(lambda: child.last_words().isdigit(), 10)
    grandchild = int(child.last_words())
    child.kill()
    assert wait_until(lambda: gone(grandchild), 5)


def test_missing_program(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="no-such-emulator was not found") as caught:
        spawn(["no-such-emulator"], stderr_path=tmp_path / "log")
    assert caught.value.kind == "tool-missing"
    with pytest.raises(InfrastructureError, match="tool-missing"):
        spawn([str(tmp_path)], stderr_path=tmp_path / "log")


def test_the_child_lives_on_when_the_thread_that_asked_for_it_ends(tmp_path: Path) -> None:
    children = []
    thread = threading.Thread(target=lambda: children.append(spawn(["sleep", "600"], stderr_path=tmp_path / "log")))
    thread.start()
    thread.join()
    assert children[0].wait(0.1) is None
    children[0].kill()


def test_works_again_after_a_fork(tmp_path: Path) -> None:
    spawn(["true"], stderr_path=tmp_path / "log").wait(10)
    script = """
        import os, sys
        from pathlib import Path
        from tfm_harness.boards.supervisor import spawn
        spawn(["true"], stderr_path=Path(sys.argv[1])).wait(10)
        pid = os.fork()
        if pid == 0:
            os._exit(spawn(["sh", "-c", "exit 5"], stderr_path=Path(sys.argv[1])).wait(10) or 0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "log")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == "5\n"


def test_killed_harness_takes_its_children_along(tmp_path: Path) -> None:
    script = """
        import sys, time
        from pathlib import Path
        from tfm_harness.boards.supervisor import spawn
        for n in range(20):
            log = Path(sys.argv[1]) / f"log{n}"
            print(spawn(["sh", "-c", "sleep 600; true", str(log)], stderr_path=log).pid, flush=True)
        time.sleep(600)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as harness:
        assert harness.stdout is not None
        pids = [int(harness.stdout.readline()) for _ in range(10)]  # killed while it is still starting others
        harness.kill()
        pids += [int(line) for line in harness.stdout.read().split()]
    assert wait_until(lambda: all(gone(pid) for pid in pids), 10)

    def left() -> list[bytes]:  # also those it had no time to tell us of
        return [words for words in map(command_line, Path("/proc").glob("[0-9]*")) if os.fsencode(tmp_path) in words]

    assert wait_until(lambda: not left(), 10), left()


def test_what_children_have_started_ends_with_a_killed_harness(tmp_path: Path) -> None:
    """Also where it has left the child behind; groups that were given back are nobody's business any more."""
    script = """
        import os, signal, sys, time
        from pathlib import Path
        from tfm_harness.boards.supervisor import spawn, wait_until
        log = Path(sys.argv[1])
        done = spawn(["sh", "-c", "exit 3"], stderr_path=log / "done")
        assert done.wait(10) == 3
        done.kill()
        children = [
            spawn(["sh", "-c", "sleep 600 & echo $!; wait"], stderr_path=log / "child"),
            spawn(["sh", "-c", "sleep 600 & echo $!"], stderr_path=log / "gone"),
        ]
        assert wait_until(lambda: all(child.last_words().isdigit() for child in children), 10)
        print(*(child.last_words() for child in children), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        stdout=subprocess.PIPE, text=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == -9
    grandchildren = [int(word) for word in done.stdout.split()]
    assert len(grandchildren) == 2
    assert wait_until(lambda: all(gone(pid) for pid in grandchildren), 10)


def command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""
