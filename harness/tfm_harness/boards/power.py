"""Switching power: commands, USB hub ports and power distribution units behind one small interface."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Final, Protocol

from tfm_harness.boards.base import PowerState
from tfm_harness.boards.tools import run_tool, run_words
from tfm_harness.config.power import CommandPower, PduPower, PowerConfig, UsbHubPower
from tfm_harness.errors import InfrastructureError
from tfm_harness.safe_text import hide_secrets

__all__ = ["PowerControl", "cycle", "make_power"]

_PDU: Final = """
import importlib, json, sys
model, host, port, index, what, *rest = json.load(sys.stdin)
try:
    backend = importlib.import_module("labgrid.driver.power." + model)
    if what == "set":
        backend.power_set(host, port, index, rest[0])
        answer = ["ok", ""]
    elif not hasattr(backend, "power_get"):
        answer = ["ok", "unknown"]
    else:
        try:
            answer = ["ok", "on" if backend.power_get(host, port, index) else "off"]
        except NotImplementedError:
            answer = ["ok", "unknown"]
except ModuleNotFoundError as error:
    answer = ["missing", str(error.name)]
except Exception as error:
    answer = ["error", type(error).__name__ + ": " + str(error)]
print("\\n" + json.dumps(answer))
"""
"""Program that makes one call of a back end; the last line of its output is the answer."""


class PowerControl(Protocol):
    """A power switch: off, on, and the state that it reports."""

    def set(self, state: PowerState) -> None:
        """Switch to `ON` or `OFF`. Raises `InfrastructureError`."""

    def state(self) -> PowerState:
        """The state that the switch reports, `UNKNOWN` if it cannot report one."""


def make_power(config: PowerConfig) -> PowerControl:
    """The control for a target's ``power`` key."""
    match config:
        case CommandPower():
            return CommandSwitch(config)
        case UsbHubPower():
            return UsbHubSwitch(config)
        case PduPower():
            return PduSwitch(config)


def cycle(control: PowerControl, off_seconds: float, *, wait: Callable[[float], None] = time.sleep) -> None:
    """Switch off, wait, switch on; check the reported state after each step.

    Args:
        control: the switch.
        off_seconds: how long power must be off until the board's capacitors are empty.
        wait: waits for that time.

    Raises:
        InfrastructureError: kind ``power-stuck`` when the switch reports another state than the one set.
    """
    for state in (PowerState.OFF, PowerState.ON):
        control.set(state)
        seen = control.state()
        if seen not in {state, PowerState.UNKNOWN}:
            raise InfrastructureError(
                f"power did not switch {state}",
                kind="power-stuck",
                expected=state.value,
                seen=seen.value,
                hint="look at the switch: a blown relay, a wrong outlet, or somebody else's control",
            )
        if state is PowerState.OFF:
            wait(off_seconds)


class CommandSwitch:
    """Power by the user's own commands."""

    def __init__(self, config: CommandPower) -> None:
        self._config = config

    def set(self, state: PowerState) -> None:
        """Run the ``on`` or ``off`` command."""
        run_words(
            self._config.on if state is PowerState.ON else self._config.off, self._config.timeout, "to switch power"
        )

    def state(self) -> PowerState:
        """What the ``state`` command prints."""
        if self._config.state is None:
            return PowerState.UNKNOWN
        words = run_words(self._config.state, self._config.timeout, "to read the power state").split()
        if len(words) == 1 and words[0].lower() in {"on", "off"}:
            return PowerState(words[0].lower())
        raise InfrastructureError(
            "the power state command printed something else",
            kind="power-failed",
            expected="on or off",
            seen=" ".join(words)[:200] or "nothing",
            where=" ".join(self._config.state),
            hint="correct `power.state` in the target's YAML",
        )


class UsbHubSwitch:
    """A USB hub port by uhubctl (its output lines ``Port N: SSSS power ...``)."""

    def __init__(self, config: UsbHubPower) -> None:
        self._config = config

    def _uhubctl(self, *more: str) -> str:
        place = ("-l", self._config.location, "-p", str(self._config.port))
        return run_words(("uhubctl", *place, *more), self._config.timeout, "to switch a USB hub port")

    def set(self, state: PowerState) -> None:
        """Switch the port."""
        self._uhubctl("-a", state.value)

    def state(self) -> PowerState:
        """Read the port's flags: they contain ``power`` when it is on, ``off`` when it is off."""
        marker = f"Port {self._config.port}:"
        lines = [line.split(marker, 1)[1].split() for line in self._uhubctl().splitlines() if marker in line]
        for words in lines:
            if "power" in words[1:]:
                return PowerState.ON
            if "off" in words[1:]:
                return PowerState.OFF
        return PowerState.UNKNOWN


class PduSwitch:
    """A PDU through labgrid's power back ends (``power_set``/``power_get`` functions).

    Each call runs in a process of its own, in an interpreter that has labgrid: back ends have no common time-out, and
    their libraries may conflict with ours.
    """

    def __init__(self, config: PduPower) -> None:
        self._config = config

    def _call(self, *arguments: object) -> str:
        config = self._config
        request = json.dumps([config.model, config.host, config.port, config.index, *arguments])
        words = [config.python or sys.executable, "-c", _PDU]
        said = run_tool(
            words,
            config.timeout,
            what="with labgrid in it",
            hint="check the switch and its network",
            given=request.encode(),  # its address may hold a password
        )
        try:
            kind, answer = json.loads(said.out.strip().splitlines()[-1])
        except (ValueError, IndexError, TypeError) as error:
            raise self._disobeys(said.err.strip()[-300:] or f"exit code {said.code}") from error
        if kind == "missing":
            own = answer == f"labgrid.driver.power.{config.model}"
            raise InfrastructureError(
                f"no power back end {config.model!r}",
                kind="tool-missing",
                expected=f"labgrid with labgrid.driver.power.{config.model}",
                seen=f"no module {answer}",
                where=words[0],
                hint="use one of labgrid's model names (labgrid/driver/power/)"
                if own
                else "name an interpreter that has labgrid in `python`, or pip install 'tfm-harness[labgrid]'",
            )
        if kind == "error":
            raise self._disobeys(answer)
        return str(answer)

    def _disobeys(self, seen: str) -> InfrastructureError:
        return InfrastructureError(
            f"the power switch {hide_secrets('//' + self._config.host)[2:]} does not obey",
            kind="power-failed",
            expected=f"outlet {self._config.index} of a {self._config.model} to switch",
            seen=seen[:300],
            hint="check its address, and that the bench's network reaches it",
        )

    def set(self, state: PowerState) -> None:
        """Switch the outlet."""
        self._call("set", state is PowerState.ON)

    def state(self) -> PowerState:
        """Read the outlet; `UNKNOWN` for models that cannot be read."""
        return PowerState(self._call("get"))
