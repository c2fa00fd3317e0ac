"""Runs sessions on bench hosts through a Dask scheduler over TLS.

A worker names its boards as resources (``dask worker --resources "mps3-1=1,mps3-2=1"``). The night itself
chooses the board for a session; Dask sends it there, keeps two nights off one board, and knows the live workers.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tfm_harness.config.farm import EngineConfig
from tfm_harness.config.nearest import did_you_mean
from tfm_harness.errors import ConfigError, HarnessError, InfrastructureError
from tfm_harness.farm.engines.base import Finished, Job, look_until
from tfm_harness.farm.engines.packed import unpack
from tfm_harness.farm.engines.remote import LEASE, run_job, version
from tfm_harness.order import natural

__all__ = ["DaskEngine"]

_CONNECT: Final = 20.0
_LOOK: Final = 0.2
_BEAT: Final = 5.0
_WORKERS: Final = 2.0
"""Seconds between two queries of the live workers."""


@dataclass(slots=True)
class _Sent:
    job: Job
    folder: Path
    worker: str
    future: Any
    began: float


class DaskEngine:
    """Runs sessions where the scheduler's workers are (`tfm_harness.farm.engines.base.Engine`).

    Args:
        config: the scheduler and this host's certificate.
        boards: the boards of the night; each must be offered by a worker when the night begins.
        environment: variables that are added to the sessions' environment.
        lease: seconds after which the workers consider a silent night dead.

    Raises:
        ConfigError: kind ``engine-extra`` (Dask is not installed), ``engine-certificate``, ``engine-boards`` (no
            worker offers a board), ``engine-version`` (another version of the harness on a host).
        InfrastructureError: kind ``engine-unreachable``.
    """

    def __init__(
        self, config: EngineConfig, boards: Collection[str], *, environment: Mapping[str, str] | None = None,
        lease: float = LEASE,
    ) -> None:  # fmt: skip
        self._config = config
        self._environment = dict(environment or {})
        self._seconds = lease
        self._sent: dict[str, _Sent] = {}
        self._early: list[Finished] = []
        self._stopped: set[str] = set()
        self._beats = 0
        self._beat_at = float("-inf")
        self._looked = float("-inf")
        self._offers: dict[str, frozenset[str]] = {}
        self._lease = f"tfm-night-{secrets.token_hex(8)}"
        self._client = self._connect()
        try:
            from distributed import Variable

            self._variable = Variable(self._lease, client=self._client)
            self._look(now=True)
            self._check_boards(boards)
            self._check_versions()
            self._beat(now=True)
        except BaseException:
            self.close()
            raise

    def _connect(self) -> Any:  # noqa: ANN401 - Dask loads when it is needed
        try:
            from distributed import Client
            from distributed.security import Security
        except ImportError as error:
            raise ConfigError(
                "Dask is not installed here", kind="engine-extra", seen=str(error),
                hint="pip install 'tfm-harness[farm]', on this host and on the bench hosts",
            ) from error  # fmt: skip
        config = self._config
        for what, path in (("ca", config.ca), ("certificate", config.certificate), ("key", config.key)):
            if not path.is_file():
                raise ConfigError(
                    f"engine.{what} is no file", kind="engine-certificate", seen=str(path),
                    hint="docs/nights.md shows how a farm's certificates are made",
                )  # fmt: skip
        client = Client.__new__(Client)  # Client(...) leaves its thread running when it cannot connect
        try:
            security = Security(
                require_encryption=True, tls_ca_file=str(config.ca), tls_client_cert=str(config.certificate),
                tls_client_key=str(config.key),
            )  # fmt: skip
            Client.__init__(client, config.scheduler, security=security, timeout=_CONNECT, set_as_default=False)
        except Exception as error:
            with contextlib.suppress(Exception):  # the loop may not exist yet
                client._loop_runner.stop()  # noqa: SLF001 - `close` does nothing on a client that never connected
            raise InfrastructureError(
                "the farm's scheduler cannot be reached", kind="engine-unreachable", expected=config.scheduler,
                seen=f"{type(error).__name__}: {error}",
                hint="check that `dask scheduler` runs there, with certificates of the same authority",
            ) from error  # fmt: skip
        return client

    def _check_boards(self, boards: Collection[str]) -> None:
        offered = sorted({board for offer in self._offers.values() for board in offer}, key=natural)
        missing = [board for board in boards if board not in offered]
        if missing:
            raise ConfigError(
                f"no worker offers the board {missing[0]!r}{did_you_mean(missing[0], offered)}",
                kind="engine-boards",
                expected=f"workers with --resources that name {', '.join(missing)}",
                seen=f"offered: {', '.join(offered)}" if offered else "no worker offers any board",
                where=self._config.scheduler,
            )

    def _check_versions(self) -> None:
        own = version()
        try:
            found: dict[str, str] = self._client.run(version)
        except Exception as error:
            raise ConfigError(
                "a worker cannot load tfm-harness", kind="engine-version", expected=f"tfm-harness {own} on each host",
                seen=f"{type(error).__name__}: {error}", where=self._config.scheduler,
                hint="install the same version there, and start its worker again",
            ) from error  # fmt: skip
        others = [f"{worker}: {theirs}" for worker, theirs in found.items() if theirs != own]
        if others:
            raise ConfigError(
                "the hosts of the farm have different versions of tfm-harness", kind="engine-version",
                expected=own, seen=", ".join(others), where=self._config.scheduler,
            )  # fmt: skip

    # -- Engine

    def start(self, job: Job, folder: Path) -> None:
        """As `Engine.start`; if no worker offers the board, `wait` reports the session as lost."""
        self._look(now=True)
        offering = [worker for worker, boards in self._offers.items() if job.board in boards]
        if not offering:
            self._early.append(
                Finished(session=job.session, code=None, ended="lost", message="no worker offers the board")
            )
            return
        busy = {worker: sum(sent.worker == worker for sent in self._sent.values()) for worker in offering}
        worker = min(offering, key=lambda each: (busy[each], each))
        future = self._client.submit(
            run_job, asdict(job), self._lease, self._environment, self._seconds,
            key=f"{job.session}-{secrets.token_hex(4)}", workers=[worker], allow_other_workers=False,
            resources={job.board: 1}, pure=False, retries=0,
        )  # fmt: skip
        self._sent[job.session] = _Sent(job, folder, worker, future, time.monotonic())

    def wait(self, seconds: float) -> list[Finished]:
        """As `Engine.wait`."""
        return look_until(self._ended, seconds, every=_LOOK)

    def stop(self, sessions: Collection[str]) -> None:
        """As `Engine.stop`."""
        self._stopped.update(name for name in sessions if name in self._sent)
        self._beat(now=True)

    def absent(self, boards: Iterable[str]) -> set[str]:
        """Boards that no worker offers now."""
        offered = {board for offer in self._offers.values() for board in offer}
        return {board for board in boards if board not in offered}

    def close(self) -> None:
        """As `Engine.close`. Sessions that still run end when they see that the lease is not renewed."""
        with contextlib.suppress(Exception):
            if self._sent:
                self.stop(list(self._sent))
        for sent in self._sent.values():
            with contextlib.suppress(Exception):
                sent.future.release()
        self._sent.clear()
        with contextlib.suppress(Exception):
            self._client.close(timeout=5)

    # -- inside

    def _ended(self) -> list[Finished]:
        self._beat()
        self._look()
        found, self._early = self._early, []
        return found + [done for name in list(self._sent) if (done := self._poll(self._sent[name])) is not None]

    def _poll(self, sent: _Sent) -> Finished | None:
        name = sent.job.session
        if sent.future.done():
            del self._sent[name]
            return self._finished(sent)
        if sent.worker in self._offers:
            return None
        del self._sent[name]
        with contextlib.suppress(Exception):
            self._client.cancel([sent.future], force=True)
        return self._lost(sent, f"the worker {sent.worker} is gone")

    def _finished(self, sent: _Sent) -> Finished:
        try:
            given: dict[str, Any] = sent.future.result()
        except Exception as error:  # noqa: BLE001 - whatever a foreign host raises
            return self._lost(sent, f"{type(error).__name__}: {error}")
        message = str(given["message"])
        if given["folder"]:
            try:
                unpack(given["folder"], sent.folder)
            except HarnessError as error:
                return self._lost(sent, f"{error.message}: {error.seen}")
        return Finished(
            session=sent.job.session, code=given["code"], ended=given["ended"], host=str(given["host"]),
            seconds=float(given["seconds"]), message=message,
        )  # fmt: skip

    def _lost(self, sent: _Sent, why: str) -> Finished:
        seconds = round(time.monotonic() - sent.began, 3)
        return Finished(
            session=sent.job.session, code=None, ended="lost", host=sent.worker, seconds=seconds, message=why
        )

    def _beat(self, *, now: bool = False) -> None:
        """Renew the lease; its message also names the sessions that shall end."""
        if now or time.monotonic() - self._beat_at >= _BEAT:
            self._beat_at = time.monotonic()
            self._beats += 1
            with contextlib.suppress(Exception):  # `_look` notices a scheduler that is away
                self._variable.set({"beat": self._beats, "stop": sorted(self._stopped)}, timeout=_BEAT)

    def _look(self, *, now: bool = False) -> None:
        """Update the live workers and the boards that they offer."""
        if not now and time.monotonic() - self._looked < _WORKERS:
            return
        self._looked = time.monotonic()
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
        except Exception:  # noqa: BLE001 - the scheduler is away: nothing is known of any worker
            self._offers = {}
            return
        self._offers = {
            address: frozenset(str(name) for name, count in facts.get("resources", {}).items() if count >= 1)
            for address, facts in workers.items()
        }
