"""A PostgreSQL server for tests."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tfm_harness.boards.supervisor import spawn, wait_until


def tools() -> Path | None:
    """Folder of PostgreSQL's server programs."""
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/local/bin")]
    found = shutil.which("initdb")
    return next((p for p in [*places, *([Path(found).parent] if found else [])] if (p / "initdb").exists()), None)


def emptied(url: str, *, tables: bool = True) -> None:
    """No row is left, and numbers begin again; without `tables`, they are gone too."""
    import psycopg

    with psycopg.connect(url) as connection:
        if not tables:
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            return
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        names = ", ".join(name for (name,) in found if name not in {"harness_schema", "harness_meta"})
        connection.execute(f"TRUNCATE {names} RESTART IDENTITY CASCADE".encode())


@contextmanager
def running_server() -> Iterator[str]:
    """A PostgreSQL server of our own on a unix socket, gone afterwards."""
    binaries = tools()
    if binaries is None:
        pytest.skip("no PostgreSQL server programs (Debian package: postgresql)")
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed (extra: postgresql)")
    # The server refuses to run as root, and a socket's path must be short.
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="tfmh-pg-"))
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    data, url = folder / "data", f"postgresql://bench@/postgres?host={folder}"

    def initdb() -> None:
        words = [str(binaries / "initdb"), "-D", str(data), "-U", "bench", "-A", "trust", "--no-sync", "-E", "UTF8"]
        subprocess.run(words, check=True, user=user, cwd=folder, capture_output=True, env={})

    def answers() -> bool:
        assert server.poll() is None, server.last_words()
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            return False
        return True

    try:
        initdb()
        become = [f"--reuid={user}", "--clear-groups"] if user else []
        command = [
            str(binaries / "postgres"),
            "-D",
            str(data),
            "-h",
            "",
            "-k",
            str(folder),
            "-F",
            "-c",
            "autovacuum=off",
        ]
        # Our own child, not a daemon: it ends with the tests, however those end.
        server = spawn(["setpriv", *become, "--", *command], stderr_path=folder / "log", cwd=folder, env={})
        try:
            assert wait_until(answers, 60, step=0.02), server.last_words()
            yield url
        finally:
            os.kill(server.pid, signal.SIGQUIT)  # "immediate shutdown", with which its helpers end, too
            server.wait(10)
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
