"""Holds a labgrid place for one session; runs in the interpreter that has labgrid.

Standalone: only the standard library and labgrid 26.0.1 are imported, because labgrid's own serial
package replaces pyserial and must not share an environment with the harness.

It is also the watchdog: when its standard input ends, because the session ended or was killed, it releases the place
and cancels the reservation before it exits. labgrid itself never takes a place from a client that died.

Requests and answers are JSON, one object a line: ``{"do": NAME, ...}`` gives ``{"ok": ...}`` or
``{"error": KIND, "message": TEXT, "hint": TEXT}``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, TextIO

# This folder has a labgrid.py of its own.
if sys.path and os.path.realpath(sys.path[0]) == str(Path(__file__).resolve().parent):
    del sys.path[0]

# gRPC's fork handlers may abort a forked child (labgrid's own tests switch them off too).
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

_SYNC = 10.0  # seconds for the coordinator's answer


class Problem(Exception):
    """A failure that the harness reports as infrastructure."""

    def __init__(self, kind: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.hint = hint


class Worker:
    """One session with the coordinator, at most one place."""

    def __init__(self, answers: TextIO) -> None:
        self.answers = answers
        self.session: Any = None
        self.place: str | None = None
        self.token: str | None = None
        self.identity = ""
        self.target: Any = None
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)

    # requests

    def do_acquire(self, request: dict[str, Any]) -> dict[str, Any]:
        """Connect, reserve by tags if asked to, acquire, list the resources."""
        os.environ["LG_HOSTNAME"], os.environ["LG_USERNAME"] = request["host"], request["user"]
        self.identity = f"{request['host']}/{request['user']}"
        if self.session is None:  # one connection for each worker: the coordinator knows clients by their channel
            self._connect(request["coordinator"])
        name = request.get("place") or self._reserve(request["tags"], request["timeout"])
        self._acquire(name, request["timeout"])
        return self.do_resources({})

    def do_resources(self, _request: dict[str, Any]) -> dict[str, Any]:
        """List the place's resources; check that this worker still holds the place and that its exporter is there."""
        place = self._still_ours()
        try:
            resources = [
                {
                    "name": name,
                    "cls": cls,
                    "params": dict(entry.args),
                    "proxy": bool(entry.extra.get("proxy_required")),
                    "avail": bool(entry.avail),
                }
                for (name, cls), entry in self.session.get_target_resources(place).items()
            ]
        except Exception as error:  # a resource whose exporter has gone has lost its parameters, too
            raise Problem(
                "labgrid-orphaned",
                f"place {self.place} has lost a resource ({type(error).__name__}: {error})",
                "restart its exporter",
            ) from error
        missing = [resource["name"] for resource in resources if not resource["avail"]]
        if missing:
            raise Problem(
                "labgrid-unavailable",
                f"place {self.place}: resources not available: {', '.join(missing)}",
                "check the board's cables and the exporter's log",
            )
        if not resources:
            raise Problem(
                "labgrid-orphaned",
                f"place {self.place} has no resources",
                "start its exporter, or add a match to the place",
            )
        return {"place": self.place, "tags": dict(place.tags), "identity": self.identity, "resources": resources}

    def do_power(self, request: dict[str, Any]) -> dict[str, Any]:
        """``on``, ``off`` or ``get`` through the place's power resource and labgrid's driver."""
        driver = self._driver("PowerProtocol", request.get("resource"))
        action = request["action"]
        if action == "get":
            return {"on": bool(driver.get())}
        {"on": driver.on, "off": driver.off}[action]()
        return {}

    def do_flash(self, request: dict[str, Any]) -> dict[str, Any]:
        """Call a flashing method of a labgrid driver: ``driver``, ``method``, ``arguments``, ``options``."""
        from labgrid.factory import target_factory

        target = self._make_target()
        driver = target_factory.make_driver(target, request["driver"], None, request.get("options") or {})
        target.activate(driver)
        try:
            getattr(driver, request["method"])(*request["arguments"])
        finally:
            target.deactivate(driver)
        return {}

    def do_release(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Release everything; safe to repeat."""
        self._release()
        return {}

    def do_release_from(self, request: dict[str, Any]) -> dict[str, Any]:
        """Release the place that a dead worker held, only if the place still belongs to that worker."""
        from labgrid.remote.generated import labgrid_coordinator_pb2 as pb2

        os.environ["LG_HOSTNAME"], os.environ["LG_USERNAME"] = request["identity"].split("/", 1)
        self._connect(request["coordinator"])
        release = pb2.ReleasePlaceRequest(placename=request["place"], fromuser=request["identity"])
        self._run(asyncio.wait_for(self.session.stub.ReleasePlace(release), 10))
        return {}

    # parts

    def _run(self, awaitable: Any) -> Any:
        return self.loop.run_until_complete(awaitable)

    def _connect(self, coordinator: str) -> None:
        from labgrid.remote.client import start_session

        arguments = argparse.Namespace(place=None, allow_unmatched=True)
        try:
            self.session = start_session(coordinator, extra={"args": arguments}, loop=self.loop)
        except Exception as error:
            raise Problem(
                "labgrid-coordinator",
                f"no labgrid coordinator at {coordinator}: {error}",
                "start labgrid-coordinator, or correct `coordinator` in the target's YAML (or LG_COORDINATOR)",
            ) from error

    def _reserve(self, tags: dict[str, str], timeout: float) -> str:
        from labgrid.remote.common import Reservation, ReservationState
        from labgrid.remote.generated import labgrid_coordinator_pb2 as pb2

        request = pb2.CreateReservationRequest(prio=0.0)
        for key, value in tags.items():
            request.filters["main"].filter[key] = value
        reservation = Reservation.from_pb2(self._run(self.session.stub.CreateReservation(request)).reservation)
        self.token = reservation.token
        end = time.monotonic() + timeout
        while reservation.state is ReservationState.waiting:
            if time.monotonic() > end:
                wanted = ", ".join(f"{key}={value}" for key, value in tags.items())
                raise Problem(
                    "labgrid-busy",
                    f"no place with {wanted} became free in {timeout:g} s",
                    "labgrid-client places; labgrid-client reservations",
                )
            self._run(asyncio.sleep(0.2))  # polling also keeps the reservation alive
            poll = pb2.PollReservationRequest(token=self.token)
            reservation = Reservation.from_pb2(self._run(self.session.stub.PollReservation(poll)).reservation)
        if reservation.state is not ReservationState.allocated:
            raise Problem("labgrid-busy", f"the reservation became {reservation.state.name}")
        (name,) = reservation.allocations["main"]
        return str(name)

    def _acquire(self, name: str, timeout: float) -> None:
        from labgrid.remote.generated import labgrid_coordinator_pb2 as pb2

        end = time.monotonic() + timeout
        while True:
            place = self.session.places.get(name)
            if place is None:
                known = ", ".join(sorted(self.session.places)) or "none"
                raise Problem("labgrid-unknown-place", f"no place {name!r}; known: {known}", "labgrid-client places")
            if not place.acquired:
                try:
                    self._run(self.session.stub.AcquirePlace(pb2.AcquirePlaceRequest(placename=name)))
                    break
                except Exception as error:
                    details = getattr(error, "details", lambda error=error: str(error))()
                    if "already acquired" not in details:
                        raise Problem("labgrid-acquire", f"place {name}: {details}") from error
            if time.monotonic() > end:
                holder = place.acquired or "somebody else"
                raise Problem(
                    "labgrid-busy",
                    f"place {name} is held by {holder}",
                    f"wait, or if that session is dead: labgrid-client -p {name} release-from {holder}",
                )
            self._run(asyncio.sleep(0.2))
        self.place = name
        self._sync()

    def _sync(self) -> None:
        """Wait until this client has received everything that the coordinator knows."""
        try:
            answered = self._run(asyncio.wait_for(self.session.sync_with_coordinator(), _SYNC))
        except Exception as error:
            raise Problem(
                "labgrid-coordinator", f"the coordinator is gone: {type(error).__name__} {error}", "restart it"
            ) from error
        if answered is False:  # it ended meanwhile: the known places and resources are out of date
            raise Problem("labgrid-coordinator", "the coordinator is gone: it did not answer any more", "restart it")

    def _still_ours(self) -> Any:
        if self.session is None or self.place is None:
            raise Problem("labgrid-lost", "no place is acquired")
        self._sync()
        place = self.session.places.get(self.place)
        if place is None or place.acquired != self.identity:
            raise Problem(
                "labgrid-lost",
                f"place {self.place} is no longer ours (now: {getattr(place, 'acquired', None) or 'free'})",
                "a restarted coordinator forgets all acquisitions; somebody may have used `release --kick`",
            )
        return place

    def _make_target(self) -> Any:
        if self.target is None:
            from labgrid import Target
            from labgrid.resource.remote import RemotePlace, RemotePlaceManager

            self._still_ours()
            manager = RemotePlaceManager.get()
            manager.session, manager.loop = self.session, self.loop
            self.target = Target(self.place, env=None)
            RemotePlace(self.target, name=self.place)
        return self.target

    def _driver(self, protocol: str, resource: str | None) -> Any:
        from labgrid.factory import target_factory

        target = self._make_target()
        drivers = {
            "NetworkPowerPort": "NetworkPowerDriver",
            "PDUDaemonPort": "PDUDaemonDriver",
            "NetworkUSBPowerPort": "USBPowerDriver",
            "NetworkSiSPMPowerPort": "SiSPMPowerDriver",
            "TasmotaPowerPort": "TasmotaPowerDriver",
        }
        for candidate in target.resources:
            name = drivers.get(type(candidate).__name__)
            if name is not None and resource in {None, candidate.name}:
                for existing in target.drivers:
                    if getattr(existing, "port", None) is candidate:
                        return existing
                target.set_binding_map({"port": candidate.name})
                driver = target_factory.make_driver(target, name, None, {})
                target.activate(driver)
                return driver
        raise Problem("no-power-control", f"place {self.place} has no power resource ({protocol})")

    def _release(self) -> None:
        if self.session is None:
            return
        from labgrid.remote.generated import labgrid_coordinator_pb2 as pb2

        if self.target is not None:
            with contextlib.suppress(Exception):
                self.target.deactivate_all_drivers()
            self.target = None
        stub = self.session.stub
        if self.place is not None:
            # Only if it is ours: releasing another's place by name would take a board away.
            request = pb2.ReleasePlaceRequest(placename=self.place, fromuser=self.identity)
            with contextlib.suppress(Exception):
                self._run(asyncio.wait_for(stub.ReleasePlace(request), 10))
            self.place = None
        if self.token is not None:
            with contextlib.suppress(Exception):
                self._run(asyncio.wait_for(stub.CancelReservation(pb2.CancelReservationRequest(token=self.token)), 10))
            self.token = None

    # life

    def serve(self) -> None:
        """Answer requests until standard input ends."""
        reader = asyncio.StreamReader(loop=self.loop)

        async def attach() -> None:
            await self.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

        self._run(attach())
        try:
            while line := self._run(reader.readline()):
                self.answers.write(json.dumps(self._answer(line)) + "\n")
                self.answers.flush()
        finally:
            self._release()
            if self.session is not None:
                with contextlib.suppress(Exception):
                    self._run(asyncio.wait_for(self.session.stop(), 5))
                with contextlib.suppress(Exception):
                    self._run(asyncio.wait_for(self.session.close(), 5))

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            return {"ok": getattr(self, f"do_{request['do']}")(request)}
        except Problem as problem:
            return {"error": problem.kind, "message": str(problem), "hint": problem.hint}
        except Exception as error:
            return {"error": "labgrid-error", "message": f"{type(error).__name__}: {error}", "hint": ""}


def main() -> int:
    """Check for labgrid, then serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the session's; ours is the end of its pipe
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the place is released on the way out
    # labgrid prints; standard output belongs to the protocol.
    answers, sys.stdout = sys.stdout, sys.stderr
    try:
        from labgrid.util import labgrid_version
    except ImportError as error:
        answers.write(json.dumps({"error": "tool-missing", "message": str(error), "hint": ""}) + "\n")
        return 3
    answers.write(json.dumps({"ok": {"labgrid": str(labgrid_version())}}) + "\n")
    answers.flush()
    Worker(answers).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
