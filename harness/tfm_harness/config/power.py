"""How a target's power is switched, and what recovery may do: the ``power`` and ``recovery`` keys."""

from __future__ import annotations

import enum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["CommandPower", "PduPower", "PowerConfig", "RecoveryConfig", "RecoveryStep", "UsbHubPower"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Switched(_Strict):
    off_seconds: float = Field(default=2.0, ge=0, le=600, description="how long power stays off in a cycle")
    timeout: float = Field(default=20.0, gt=0, le=600, description="limit of one switching operation, in seconds")


class CommandPower(_Switched):
    """Power by the user's own commands (lists of words, no shell)."""

    kind: Literal["command"]
    on: tuple[str, ...] = Field(min_length=1)
    off: tuple[str, ...] = Field(min_length=1)
    state: tuple[str, ...] | None = Field(
        default=None, description="prints `on` or `off`; without it the state is unknown"
    )


class UsbHubPower(_Switched):
    """A port of a USB hub with per-port power switching, by uhubctl."""

    kind: Literal["usbhub"]
    location: str = Field(
        pattern=r"^\d+-\d+(\.\d+)*$|^\d+$", description="hub location as uhubctl prints it, e.g. 1-1.4"
    )
    port: int = Field(ge=1, le=127)


class PduPower(_Switched):
    """A power distribution unit, by labgrid's power drivers (SNMP and HTTP models)."""

    kind: Literal["pdu"]
    model: str = Field(pattern=r"^[a-z0-9_]+$", description="labgrid's name of the model: apc, netio, simplehttp, ...")
    host: str = Field(min_length=1, description="host name, address, or URL for the HTTP models")
    port: int | None = Field(default=None, ge=1, le=65535)
    index: int = Field(ge=0, description="outlet, counted as the model counts")
    python: str | None = Field(
        default=None, min_length=1, description="Python interpreter that has labgrid; the harness's own when absent"
    )


PowerConfig = Annotated[CommandPower | UsbHubPower | PduPower, Field(discriminator="kind")]


class RecoveryStep(enum.StrEnum):
    """One thing to try when a board no longer answers."""

    RESET = "reset"
    POWER_CYCLE = "power-cycle"


class RecoveryConfig(_Strict):
    """What to try, in order, before a board counts as lost; each try is recorded in the results."""

    steps: tuple[RecoveryStep, ...] = (RecoveryStep.RESET,)
    attempts: int = Field(default=1, ge=1, le=5, description="tries of each step")
