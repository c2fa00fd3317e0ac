"""A board in memory, for tests of the plugin as users see it: faults are ordered in the target's YAML."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from typing import ClassVar, Literal

import cbor2
from tfm_harness.boards.base import Board, BoardEvent, Identity, PowerState, ResetKind, RunContext
from tfm_harness.config.build import Build
from tfm_harness.config.target import TargetBase
from tfm_harness.console.base import Console
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.stimulus.base import Stimulus
from tfm_harness.testing import MemoryConsole, SmpFirmware
from tfm_harness.verify.derive import derive_reference_keys, reference_private_key

HUK = bytes(range(32))


class SimulatorTarget(TargetBase):
    kind: Literal["simulator"]
    fault: str = ""


class SimulatorBoard(Board):
    kind = "simulator"
    config_model: ClassVar[type[TargetBase]] = SimulatorTarget

    def __init__(self, target: TargetBase, context: RunContext) -> None:
        super().__init__(target, context)
        assert isinstance(target, SimulatorTarget)
        self.fault = target.fault
        self.log = context.state_dir / f"{target.name}.life"
        self._events: list[BoardEvent] = []
        self._dead = False
        self._boots = 0
        self._consoles: dict[str, MemoryConsole] = {}
        self.firmware = SmpFirmware()

    def _note(self, what: str) -> None:
        with self.log.open("a") as file:
            file.write(what + "\n")

    def acquire(self) -> None:
        self._note("acquire")
        if self.fault == "locked":
            raise InfrastructureError(
                "the board is in use by process 4711", kind="board-locked", hint="wait, or end it"
            )
        if self.fault == "interrupt-acquire":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)

    def flash(self, build: Build) -> None:
        self._note("flash")
        if self.fault == "interrupt-flash":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        if self.fault == "flash-fails":
            raise InfrastructureError("writing the flash failed", kind="flash-failed", seen="verify error at 0x1000")
        self.nspe = b"\x11" * 32
        commands = self.firmware.commands
        commands[64, 0] = self._describe
        commands[64, 5] = lambda a: {"key": self._key(a["key"])}
        commands[64, 18] = lambda _: {}
        device = self._answer
        self._consoles = {
            "ns": MemoryConsole(device, self.context.run_dir / self.name / "ns.log", "ns"),
            "secure": MemoryConsole(lambda _: b"", self.context.run_dir / self.name / "secure.log", "secure"),
        }
        if self.fault == "secure-only":
            self._consoles["secure"].push(b"[BOOT] NSPE image refused: signature does not verify\n")
        if self.fault not in ("silent", "secure-only"):
            self._consoles["ns"].push(b"[NS] simulator firmware\n")

    def _describe(self, _: dict[str, object]) -> dict[str, object]:
        return {
            "proto": 1, "fw": "simulator", "ver": "1.2.3", "spe": "1.2.3", "nspe": self.nspe, "speh": b"\x22" * 32,
            "boot": self._boots, "seed": b"\x33" * 32, "life": 0x3000, "otp": "ok",
            "uuid": str(derive_reference_keys(HUK).uuid), "hz": 32_000_000, "win": 32, "mtu": 4096,
            "prof": "tag:psacertified.org,2023:psa#tfm", "model": "", "mid": b"", "in": 0, "out": 0,
            "feat": ["describe", "public-keys", "reset", "log"],
        }  # fmt: skip

    @staticmethod
    def _key(number: object) -> bytes:
        role = {1: "iak", 2: "result", 3: "client"}[number]  # type: ignore[index]
        point = reference_private_key(HUK, role).public_key().public_numbers()
        return cbor2.dumps({1: 2, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")})

    def _answer(self, data: bytes) -> bytes:
        answer = self.firmware(data)
        if self.fault in ("silent", "hung", "secure-only"):
            return b""
        asked = self.firmware.requests[-1][1] if self.firmware.requests else 0
        if self.fault.startswith("log-") and asked == 18:  # the command tests use as a trigger
            return self._trigger(self.fault.removeprefix("log-"), answer)
        return answer

    def _trigger(self, what: str, answer: bytes) -> bytes:
        if what == "resets":
            self._events.append(BoardEvent("guest-reset", "the guest reset itself", 1.5, {"ns": 10}))
        elif what == "floods":
            for _ in range(50):
                self._consoles["ns"].push(b"[NS] " + b"chatter " * 7 + b"ch\n" + (b"chatter " * 8 + b"\n") * 16384)
        elif what == "chatters":
            for n in range(40):
                self._consoles["ns"].push(b"[NS] line %d\n" % n)
                self._consoles["secure"].push(b"[SPE] line %d\n" % n)
        elif what == "panics":
            self._consoles["secure"].push(b"[SPE] PANIC in service 3\n")
        elif what == "dies":
            self._dead = True
            self._consoles["ns"].close()
            return b""
        elif what == "half":
            return answer[:7]
        elif what == "corrupt":
            return answer[:6] + b"AAAA" + answer[10:]
        elif what == "twice":
            return answer + answer
        elif what == "silent":
            return b""
        elif what == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        return answer

    def reset(self, kind: ResetKind = ResetKind.WARM) -> None:
        self._note(f"reset {kind}")
        self._boots += 1

    def console(self, name: str) -> Console:
        if name not in self._consoles:
            raise ConfigError(f"no console {name!r}", kind="no-console")
        return self._consoles[name]

    @property
    def consoles(self) -> Mapping[str, Console]:
        return self._consoles

    def power(self, state: PowerState) -> None:
        raise InfrastructureError("no power control", kind="no-power-control")

    def release(self) -> None:
        self._note("release")
        for console in self._consoles.values():
            console.close()

    def check_alive(self) -> None:
        if self._dead:
            raise InfrastructureError(
                "the emulator has ended", kind="emulator-exit", seen="signal 9", hint="look at its last words"
            )

    def stimulus(self) -> Stimulus | None:
        return None

    @property
    def identity(self) -> Identity:
        return Identity(board_id=self.name, huk=HUK, lifecycle=0x3000)

    @property
    def events(self) -> tuple[BoardEvent, ...]:
        return tuple(self._events)
