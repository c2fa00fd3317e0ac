"""What belongs to the host: one user at a time, whatever others do to the lock files."""

from __future__ import annotations

import json
import os
import pwd
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tfm_harness.boards.lock_files import host_folder
from tfm_harness.boards.locks import BoardLock, list_host
from tfm_harness.boards.supervisor import wait_until
from tfm_harness.errors import InfrastructureError

HOLD = """
import os, sys
uid, name, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
os.environ["TFM_HARNESS_LOCK_DIR"] = folder
from pathlib import Path
from tfm_harness.boards.locks import BoardLock
from tfm_harness.errors import HarnessError
os.umask(0o077)
if uid: os.setgroups([]); os.setgid(uid); os.setuid(uid)
lock = BoardLock(name, Path(folder) / "state", {"run_dir": "/secret/run"}, shared=True)
try:
    lock.acquire()
except HarnessError as error:
    print(f"{error.kind}|{error.seen}", flush=True)
else:
    print("held|", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The host's folder, where other users come as well: not below pytest's own, which is root's alone."""
    with tempfile.TemporaryDirectory(prefix="tfm-harness-locks-") as base:
        Path(base).chmod(0o1777)
        monkeypatch.setenv("TFM_HARNESS_LOCK_DIR", f"{base}/locks")
        yield Path(base) / "locks"


class Other(subprocess.Popen[str]):
    """Another user's session."""

    def __init__(self, name: str, folder: Path, uid: int = 0) -> None:
        words = [sys.executable, "-c", HOLD, str(uid), name, str(folder)]
        super().__init__(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.stdout is not None
        self.said = self.stdout.readline().strip()


NAME = "serial port /dev/ttyUSB0"
OTHER_UID = 65534


def as_root() -> bool:
    return os.geteuid() == 0


def refused() -> str:
    with pytest.raises(InfrastructureError) as caught:
        BoardLock(NAME, Path("state"), shared=True).acquire()
    assert caught.value.kind == "board-busy", caught.value
    return caught.value.seen or ""


@pytest.mark.skipif(not as_root(), reason="only root can become another user")
@pytest.mark.parametrize(("first", "second"), [(0, OTHER_UID), (OTHER_UID, 0), (OTHER_UID, 1), (1, OTHER_UID)])
def test_two_users_never_hold_one_thing(folder: Path, first: int, second: int) -> None:
    with Other(NAME, folder, first) as holder:
        assert holder.said == "held|"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
        with Other(NAME, folder, second) as loser:
            kind, _, seen = loser.said.partition("|")
            assert kind == "board-busy"
            assert f"process {holder.pid} of user {pwd.getpwuid(first).pw_name} since 20" in seen
            assert "/secret" not in seen
            loser.kill()
        holder.kill()
        holder.wait()
    with Other(NAME, folder, second) as next_one:
        assert next_one.said == "held|"
        next_one.kill()


def remove(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    path.unlink()
    path.write_text("{}")


def garble(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 1000)


def boast(path: Path) -> None:
    path.write_text(
        json.dumps({"pid": "1\x1b[2J", "since": "\n::error::now", "command": "x" * 100_000, "name": "other"})
    )


def nest(path: Path) -> None:
    path.write_text("[" * 100_000)


def wrong_types(path: Path) -> None:
    path.write_text(json.dumps({"pid": [1], "since": {"a": None}, "command": 7, "user": True}))


@pytest.mark.parametrize("harm", [remove, replace, garble, boast, nest, wrong_types])
def test_a_lock_file_that_is_removed_or_garbled_does_no_harm(folder: Path, harm: Callable[[Path], None]) -> None:
    with Other(NAME, folder) as holder:
        assert holder.said == "held|"
        (path,) = folder.glob("*.lock")
        harm(path)
        seen = refused()
        assert f"process {holder.pid}" in seen
        assert "since " in seen
        assert "\n" not in seen and "\x1b" not in seen and len(seen) < 1000  # noqa: PT018 - one rule: one safe line
        list_host()
        holder.kill()
        holder.wait()
    lock = BoardLock(NAME, Path("state"), shared=True)
    lock.acquire(5.0)
    lock.release()


def test_symbolic_and_hard_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    lock = BoardLock(NAME, tmp_path, shared=True)
    lock.acquire()
    lock.release()
    for link in (lock.path.symlink_to, lock.path.hardlink_to):
        lock.path.unlink()
        link(victim)
        with pytest.raises(InfrastructureError) as caught:
            lock.acquire()
        assert caught.value.kind == "lock-file"
        assert victim.read_text() == "precious"
    lock.path.unlink()
    os.mkfifo(lock.path)
    with pytest.raises(InfrastructureError, match="lock-file"):
        lock.acquire()
    assert not lock.held


def test_a_folder_that_is_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    folder.symlink_to(tmp_path)
    with pytest.raises(InfrastructureError) as caught:
        BoardLock(NAME, tmp_path, shared=True).acquire()
    assert caught.value.kind == "lock-file"
    assert "TFM_HARNESS_LOCK_DIR" in (caught.value.hint or "")


def test_ten_takers_of_a_file_that_is_removed_all_the_time(folder: Path) -> None:
    """Never two holders: each writes its number while it holds, and finds it again."""
    race = """
        import contextlib, os, sys
        from pathlib import Path
        from tfm_harness.boards.locks import BoardLock
        from tfm_harness.errors import InfrastructureError
        mark, held = Path(sys.argv[2]), 0
        for n in range(400):
            lock = BoardLock(sys.argv[1], Path("state"), shared=True)
            try:
                lock.acquire()
            except InfrastructureError as error:
                assert error.kind == "board-busy", error
                with contextlib.suppress(OSError):
                    lock.path.unlink()
                continue
            held += 1
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
            with contextlib.suppress(OSError):
                lock.path.unlink()
            mark.unlink()
            lock.release()
        print(held)
    """
    words = [sys.executable, "-c", textwrap.dedent(race), NAME, str(folder.parent / "mark")]
    takers = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for taker in takers:
        out, err = taker.communicate(timeout=120)
        assert taker.returncode == 0, err
        assert int(out) > 0


def test_the_default_folder_is_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TFM_HARNESS_LOCK_DIR")
    assert str(host_folder()) in {"/run/lock/tfm-harness", "/tmp/tfm-harness-locks"}


def test_a_fork_does_not_keep_the_thing(folder: Path) -> None:
    lock = BoardLock(NAME, folder, shared=True)
    lock.acquire()
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        import time

        os.write(told, b"x")  # the fork has let go of what it inherited
        time.sleep(600)
    try:
        os.read(ready, 1)
        lock.release()
        assert wait_until(lambda: not any(use.locked for use in list_host()), 5)
        lock.acquire()
        lock.release()
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(told)
