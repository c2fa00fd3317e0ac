"""Runs a session on a bench host, in the thread of a Dask worker.

The night renews its lease through the scheduler. When it asks for the end, or no longer renews the lease (it was
killed, or the network is down), the session ends as by Ctrl-C: a dead night keeps no board.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tfm_harness.errors import HarnessError
from tfm_harness.farm.engines.base import Job
from tfm_harness.farm.engines.packed import pack
from tfm_harness.farm.engines.process import Session
from tfm_harness.version import __version__

__all__ = ["LEASE", "run_job", "version"]

LEASE: Final = 60.0
"""Seconds after which a night that does not renew its lease counts as dead."""
_LOOK: Final = 0.2
_ASK: Final = 2.0


def version() -> str:
    """The harness's version on this host."""
    return __version__


def run_job(
    job: Mapping[str, Any], lease: str, environment: Mapping[str, str], seconds: float = LEASE
) -> dict[str, Any]:
    """Run a session on this host and return its folder.

    Args:
        job: fields of a `Job`.
        lease: name of the night's variable at the scheduler: ``{"beat": number, "stop": [sessions]}``.
        environment: variables that are added to this process's environment.
        seconds: the duration of the lease.

    Returns:
        ``code``, ``ended``, ``seconds``, ``host`` and ``message`` of a `Finished`, and ``folder``: the packed files.
    """
    given = Job(**{**job, "command": tuple(job["command"]), "only": tuple(job["only"])})
    return run_with(given, _asker(lease), environment, seconds)


def run_with(
    job: Job, ask: Callable[[], Mapping[str, Any] | None], environment: Mapping[str, str], seconds: float = LEASE
) -> dict[str, Any]:
    """As `run_job`; `ask` returns the night's variable, None when the scheduler does not answer."""
    place = Path(tempfile.mkdtemp(prefix="tfm-night-"))
    folder = place / job.session
    host = os.uname().nodename
    try:
        try:
            session = Session(job, folder, environment=environment)
        except HarnessError as error:
            return {"code": 10, "ended": "", "seconds": 0.0, "host": host, "message": error.message, "folder": b""}
        try:
            finished = None
            beat, renewed, asked = object(), time.monotonic(), 0.0
            while (finished := session.poll()) is None:
                now = time.monotonic()
                if now - asked >= _ASK:
                    asked, said = now, ask()
                    if said is not None and said.get("beat") != beat:
                        beat, renewed = said.get("beat"), now
                    if (said is not None and job.session in said.get("stop", ())) or now - renewed > seconds:
                        session.stop()
                time.sleep(_LOOK)
        finally:
            session.kill()
        data, message = pack(folder)
        return {
            "code": finished.code, "ended": finished.ended, "seconds": finished.seconds, "host": host,
            "message": message, "folder": data,
        }  # fmt: skip
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _asker(lease: str) -> Callable[[], Mapping[str, Any] | None]:
    from distributed import Variable, get_client

    variable = Variable(lease, client=get_client())

    def ask() -> Mapping[str, Any] | None:
        try:
            said = variable.get(timeout=_ASK)
        except Exception:  # noqa: BLE001 - whatever keeps the scheduler from answering: the lease runs out
            return None
        return said if isinstance(said, Mapping) else None

    return ask
