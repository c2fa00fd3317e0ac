"""A board kind of its own: the "board" is a process of this host, its UART a socket.

A real kind differs in `_start` and `_stop`: there it writes flash, switches power, opens a port.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from tfm_harness import (
    Board,
    BoardEvent,
    Build,
    Child,
    Console,
    HarnessBug,
    InfrastructureError,
    Name,
    PowerState,
    ResetKind,
    RunContext,
    SocketTransport,
    Stimulus,
    StreamConsole,
    TargetBase,
    board_locks,
    make_stimulus,
    spawn,
)
from tfm_harness.config.stimulus import StimulusConfig


class ProcessTarget(TargetBase):
    """The strict form of its target files: an unknown key is an error with file and line."""

    kind: Literal["example-process"]
    consoles: Mapping[Name, Literal["main"]]
    stimulus: StimulusConfig | None = None

    def resources(self) -> tuple[str, ...]:
        """Physical things that only one session may use: they are locked together with the board."""
        return () if self.stimulus is None else (self.stimulus.resource(),)


class ProcessBoard(Board):
    """Runs the build's first image as a Python program; what it reads and writes is the UART."""

    kind: ClassVar[str] = "example-process"
    config_model: ClassVar[type[Any]] = ProcessTarget

    def __init__(self, target: TargetBase, context: RunContext) -> None:
        super().__init__(target, context)
        assert isinstance(target, ProcessTarget)
        self._target = target
        about = {"target": target.name, "kind": self.kind}
        self._locks = board_locks(target, context.state_dir, about)
        self._began = time.monotonic()
        self._events: list[BoardEvent] = []
        self._build: Build | None = None
        self._child: Child | None = None
        self._console: StreamConsole | None = None
        self._stimulus: Stimulus | None = None

    def acquire(self) -> None:
        for lock in self._locks:
            lock.acquire(self.target.timeouts.acquire)
        if self._target.stimulus is not None:
            self._stimulus = make_stimulus(self._target.stimulus, self.target.sensors)

    def flash(self, build: Build) -> None:
        self._require_acquired()
        self._stop()
        self._build = None  # a flash that fails must not leave the old image startable
        if not build.images or not build.images[0].file.is_file():
            raise InfrastructureError(
                "the image is not there", kind="example.image", where=str(build.path or build.name), hint="build it"
            )
        self._build = build
        self._start()

    def reset(self, kind: ResetKind = ResetKind.WARM) -> None:
        self._require_acquired()
        self._stop()
        self._start()
        self._note("host-reset", f"{kind} reset by the harness")

    def power(self, state: PowerState) -> None:
        self._require_acquired()
        if state is PowerState.OFF:
            self._stop()
        elif self._child is None:
            self._start()

    def _start(self) -> None:
        if self._build is None:
            raise InfrastructureError("nothing is flashed", kind="example.empty", hint="flash a build first")
        ours, theirs = socket.socketpair()
        with theirs:
            self._child = spawn(
                [sys.executable, str(self._build.images[0].file), str(theirs.fileno())],
                stderr_path=self.context.run_dir / f"{self.name}.stderr",
                pass_fds=(theirs.fileno(),),
            )
        transport = SocketTransport(ours)
        if self._console is None:
            log = self.context.run_dir / f"{self.name}-ns.log"
            self._console = StreamConsole(next(iter(self.target.consoles)), transport, log)
        else:
            self._console.replace(transport, "the board starts")

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait(5)

    @property
    def consoles(self) -> Mapping[str, Console]:
        return {} if self._console is None else {self._console.name: self._console}

    def release(self) -> None:
        self._stop()
        if self._console is not None:
            self._console.close()
        if self._stimulus is not None:
            self._stimulus.close()
        for lock in self._locks:
            lock.release()

    def check_alive(self) -> None:
        if self._child is not None and self._child.poll() is not None:
            raise InfrastructureError("the board's process has ended", kind="emulator-exit", seen=self._child.ended())

    def stimulus(self) -> Stimulus | None:
        return self._stimulus

    @property
    def events(self) -> tuple[BoardEvent, ...]:
        return tuple(self._events)

    @property
    def description(self) -> Mapping[str, str]:
        return {"board": "a process of this host"}

    def _note(self, kind: str, detail: str) -> None:
        offsets = {name: console.received for name, console in self.consoles.items()}
        self._events.append(BoardEvent(kind, detail, time.monotonic() - self._began, offsets))

    def _require_acquired(self) -> None:
        if not all(lock.held for lock in self._locks):
            raise HarnessBug(f"board {self.name!r} used before acquire", kind="board-state")
