"""``kind: labgrid``: a board that a labgrid coordinator lends (labgrid 26).

A process of its own (`labgrid_worker`) holds the place. It outlives this session just long enough to release the place.
"""

from __future__ import annotations

import os
import socket
import sys
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tfm_harness.boards.base import PowerState, ResetKind, RunContext
from tfm_harness.boards.labgrid.client import LabgridClient
from tfm_harness.boards.power import cycle
from tfm_harness.boards.real import RealBoard
from tfm_harness.boards.tools import run_words
from tfm_harness.config.endpoint import Endpoint, Rfc2217Endpoint, TcpEndpoint
from tfm_harness.config.labgrid import CommandFlash, LabgridTarget
from tfm_harness.errors import HarnessBug, InfrastructureError

if TYPE_CHECKING:
    from tfm_harness.config.build import Build

__all__ = ["LabgridBoard"]

_DEFAULT_COORDINATOR: Final = "127.0.0.1:20408"
_OFF_SECONDS: Final = 2.0
_SERIAL: Final = frozenset({"NetworkSerialPort", "RawNetworkSerialPort"})


class LabgridBoard(RealBoard):
    """A place. `acquire` reserves and takes it, and opens its consoles."""

    kind: ClassVar[str] = "labgrid"
    config_model: ClassVar[type[Any]] = LabgridTarget

    def __init__(self, target: LabgridTarget, context: RunContext) -> None:
        super().__init__(target, context)
        self._target = target
        self._client: LabgridClient | None = None
        self._facts: dict[str, str] = {}
        self._build: Build | None = None
        self._has_power = False

    # --- life

    def acquire(self) -> None:
        """See `Board`.

        Raises:
            InfrastructureError: ``board-busy``, ``tool-missing``, ``labgrid-coordinator``, ``labgrid-unknown-place``,
                ``labgrid-busy``, ``labgrid-orphaned``, ``labgrid-unavailable``, ``labgrid-resource``, ``port-*``.
        """
        self._lock()
        target = self._target
        wait = target.timeouts.acquire
        try:
            log = self.context.run_dir / f"{self.name}.labgrid.log"
            self._client = LabgridClient(target.python or sys.executable, log)
            # Each session has its own identity, because labgrid lets two sessions of one user share a place.
            user = f"tfm-harness-{os.getpid()}-{uuid.uuid4().hex[:8]}"
            found = self._client.ask(
                "acquire",
                limit=wait + target.operation_timeout,
                coordinator=target.coordinator or os.environ.get("LG_COORDINATOR") or _DEFAULT_COORDINATOR,
                host=socket.gethostname(),
                user=user,
                place=target.place,
                tags=dict(target.tags),
                # The coordinator allocates a free place in its next scheduling round, not at once.
                timeout=max(wait, 5.0) if target.tags else wait,
            )
            self._facts = {
                "labgrid": self._client.version,
                "place": str(found["place"]),
                "held as": str(found["identity"]),
            }
            self._has_power = any("Power" in str(entry["cls"]) for entry in found["resources"])
            self._open_consoles(self._endpoints(found["resources"]))
            self._open_stimulus(target.stimulus)
        except BaseException:
            self.release()
            raise

    def _endpoints(self, resources: Sequence[Mapping[str, Any]]) -> dict[str, Endpoint]:
        found: dict[str, Endpoint] = {}
        for name, console in self._target.consoles.items():
            entry = next((entry for entry in resources if entry["name"] == console.resource), None)
            if entry is None or entry["cls"] not in _SERIAL:
                raise self._wrong_resource(name, console.resource, resources)
            if entry["proxy"]:
                raise InfrastructureError(
                    f"console {name!r} is reachable only through the exporter's SSH proxy",
                    kind="labgrid-proxy",
                    where=f"resource {console.resource}",
                    hint="run the harness in the exporter's network, or start the exporter without --isolated",
                )
            found[name] = _endpoint(entry["params"], console.reconnect)
        return found

    def _wrong_resource(self, name: str, wanted: str, resources: Sequence[Mapping[str, Any]]) -> InfrastructureError:
        return InfrastructureError(
            f"place {self._facts['place']} has no serial resource {wanted!r} for console {name!r}",
            kind="labgrid-resource",
            expected="a NetworkSerialPort of that name",
            seen=", ".join(f"{entry['name']} ({entry['cls']})" for entry in resources),
            hint="correct `consoles` in the target's YAML; `labgrid-client -p PLACE resources`",
        )

    def flash(self, build: Build) -> None:
        """See `Board`: each image through the command or driver that the target names, then a reset.

        Raises:
            InfrastructureError: ``flash-failed``, ``tool-missing``, ``tool-hung``, ``labgrid-*``.
        """
        self._require_acquired()
        self._build = None
        flash = self._target.flash
        if flash is None:
            self._note("not-proven", f"that the images running are those of build {build.name!r}: nothing was flashed")
        else:
            for image in build.images:
                words = {"image": str(image.file), "address": f"0x{image.at:08x}" if image.at is not None else ""}
                if isinstance(flash, CommandFlash):
                    self._run([word.format_map(words) for word in flash.command], self.target.timeouts.flash)
                else:
                    self._ask(
                        "flash",
                        limit=self.target.timeouts.flash,
                        driver=flash.driver,
                        method=flash.method,
                        options=dict(flash.options),
                        arguments=[word.format_map(words) for word in flash.arguments],
                    )
            self._note("flashed", f"{len(build.images)} images through {flash.kind}")
        self._build = build
        if self._switchable:
            self.reset(ResetKind.COLD)
        elif self._target.reset is not None:
            self.reset(ResetKind.WARM)
        else:
            self._note("not-proven", "that the board started afresh: the target has neither power nor `reset`")

    def reset(self, kind: ResetKind = ResetKind.WARM) -> None:
        """See `Board`. Cold: power. Warm: the user's command.

        Raises:
            InfrastructureError: ``no-power-control``, ``no-reset-control``, ``tool-*``, ``flash-failed``.
        """
        self._require_acquired()
        if self._build is None:
            raise HarnessBug("reset before flash", kind="board-state")
        if kind is ResetKind.COLD:
            self._cycle()
        elif self._target.reset is not None:
            self._note("host-reset", "warm reset by the user's command")
            self._run(self._target.reset, self._target.operation_timeout)
        else:
            raise InfrastructureError(
                f"board {self.name!r} has no warm reset",
                kind="no-reset-control",
                expected="`reset` in the target's YAML",
                where=str(self.target.path or self.name),
                hint="give the command that resets it, or leave out the tests that need one",
            )

    @property
    def _switchable(self) -> bool:
        return self._power is not None or self._has_power

    def _cycle(self) -> None:
        if self._power is not None:
            super()._cycle()
            return
        self._note("power-cycle", "power cycled by the harness, through labgrid")
        cycle(_Outlet(self), _OFF_SECONDS)

    def power(self, state: PowerState) -> None:
        """See `Board`: uses the target's own switch, else the place's power resource."""
        if self._power is not None:
            super().power(state)
            return
        self._note(f"power-{state}", f"power switched {state} by the harness, through labgrid")
        _Outlet(self).set(state)

    def power_request(self, action: str) -> dict[str, Any]:
        """``on``, ``off`` or ``get`` on the place's power resource."""
        return self._ask(
            "power", limit=self._target.operation_timeout, action=action, resource=self._target.power_resource
        )

    def release(self) -> None:
        """See `Board`; releases the place and cancels its reservation."""
        try:
            if self._client is not None:
                self._client.close()
                self._client = None
        finally:
            self._give_back()

    def check_alive(self) -> None:
        """See `Board`: this session must still hold the place, and its exporter and ports must be there."""
        self._ask("resources", limit=self._target.operation_timeout)
        super().check_alive()

    @property
    def resets(self) -> frozenset[ResetKind]:
        """See `Board`."""
        kinds = {ResetKind.COLD: self._switchable, ResetKind.WARM: self._target.reset is not None}
        return frozenset(kind for kind, there in kinds.items() if there)

    @property
    def description(self) -> Mapping[str, str]:
        """See `Board`."""
        return dict(self._facts)

    def _ask(self, what: str, *, limit: float, **arguments: object) -> dict[str, Any]:
        if self._client is None:
            raise HarnessBug(f"board {self.name!r} used before acquire", kind="board-state")
        return self._client.ask(what, limit=limit, **arguments)

    def _run(self, words: Sequence[str], timeout: float) -> None:
        environment = {"LG_PLACE": self._facts["place"]}
        run_words(words, timeout, "for this place", kind="flash-failed", extra=environment)


class _Outlet:
    """The place's power resource as a switch."""

    def __init__(self, board: LabgridBoard) -> None:
        self._board = board

    def set(self, state: PowerState) -> None:
        """Switch."""
        self._board.power_request(state.value)

    def state(self) -> PowerState:
        """What the driver reports."""
        return PowerState.ON if self._board.power_request("get")["on"] else PowerState.OFF


def _endpoint(params: Mapping[str, Any], reconnect: float) -> Endpoint:
    host, port = str(params["host"]), int(params["port"])
    if params.get("protocol", "rfc2217") == "raw":
        return TcpEndpoint(kind="tcp", host=host, port=port, reconnect=reconnect)
    baud = int(params.get("speed") or 115_200)
    return Rfc2217Endpoint(kind="rfc2217", host=host, port=port, baud=baud, reconnect=reconnect)
