"""What an FVP's executable reports: its version, its parameters, the ports of its terminals and its debug server."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Self

from tfm_harness.boards.fvp import model as fvp_model
from tfm_harness.boards.qemu.command import older
from tfm_harness.boards.supervisor import Child, wait_until
from tfm_harness.boards.tools import run_tool
from tfm_harness.errors import InfrastructureError

__all__ = ["FvpBinary", "await_terminals", "reset_through_iris"]

_ASK_TIMEOUT: Final = 60.0
_START_TIMEOUT: Final = 60.0  # an FVP with a licence server takes its time
_REST_TIMEOUT: Final = 5.0  # all announcements come together

# Runs in this interpreter with the FVP's Iris package on its path.
_IRIS_RESET: Final = (
    "import sys, iris.debug as d; m = d.NetworkModel('localhost', int(sys.argv[1])); m.reset(allow_partial_reset=True)"
)


@dataclass(frozen=True, slots=True)
class FvpBinary:
    """What an executable says about itself.

    Attributes:
        version: of Fast Models.
        parameters: name to default, from ``--list-params``.
        simulator: whether it is the harness's simulator (`tfm_harness.testing.simulators.fvp`).
    """

    version: str
    parameters: dict[str, str]
    simulator: bool

    @classmethod
    def ask(cls, binary: str, minimum: str) -> Self:
        """Run `binary` with ``--version`` and ``--list-params``; an unchanged file is run only once.

        Raises:
            InfrastructureError: kind ``tool-missing``, ``tool-start``, ``tool-hung``, ``fvp-version``, ...
        """
        stamp = _stamp(binary)
        banner = _said(binary, "--version", stamp)
        version = fvp_model.parse_banner(banner)
        if version is None:
            raise InfrastructureError(
                f"{binary} does not say which version it is",
                kind="fvp-version",
                expected="a banner like: Fast Models [11.22.39 (...)]",
                seen=banner.strip()[:200] or "nothing",
                where=binary,
                hint="check that `binary` in the target is an FVP",
            )
        if older(version, minimum):
            raise InfrastructureError(
                f"FVP {version} is too old",
                kind="fvp-version",
                expected=f"{minimum} or newer",
                seen=version,
                where=binary,
                hint="install a newer FVP, or lower `minimum_version` if you know what you miss",
            )
        parameters = fvp_model.parse_parameters(_said(binary, "--list-params", stamp))
        return cls(version, parameters, "simulator" in banner)


def _stamp(binary: str) -> tuple[int, int, int, int]:
    """Values that change when the file is replaced; zeros if there is no file."""
    try:
        found = os.stat(shutil.which(binary) or binary)  # noqa: PTH116 - a name on the PATH is no path yet
    except OSError:
        return (0, 0, 0, 0)
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=16)
def _said(binary: str, option: str, stamp: tuple[int, int, int, int]) -> str:
    """The binary's output, cached because an FVP takes a second or more to start. Errors are not cached."""
    del stamp
    hint = (
        "put the FVP on the PATH, or its path into `binary` (Arm's Ecosystem FVPs need no licence); "
        "when it hangs, a licence server that does not answer is the usual cause"
    )
    said = run_tool([binary, option], _ASK_TIMEOUT, what="or `binary` with its path", hint=hint)
    if said.code:
        raise fvp_model.explain_failure(said.out + said.err, said.code, binary)
    return said.out


def await_terminals(child: Child, wanted: set[int], everything: set[int]) -> dict[int, fvp_model.Terminal]:
    """Wait until all `wanted` are announced, or the FVP ended, and a little for the rest; returns those announced."""

    def announced() -> dict[int, fvp_model.Terminal]:
        return fvp_model.find_terminals(child.stderr_path.read_bytes())

    # The FVP announces its terminals only by these lines.
    wait_until(lambda: wanted <= announced().keys() or child.poll() is not None, _START_TIMEOUT)
    wait_until(lambda: everything <= announced().keys() or child.poll() is not None, _REST_TIMEOUT)
    return announced()


def reset_through_iris(child: Child, python_path: Path) -> None:
    """A warm reset of the running model.

    Raises:
        InfrastructureError: kind ``iris-failed``, ``tool-hung``.
    """
    port = fvp_model.find_iris(child.stderr_path.read_bytes())
    if port is None:
        raise InfrastructureError(
            "the FVP did not announce its Iris server",
            kind="iris-failed",
            expected="a line like: Iris server started listening to port 7100",
            where=f"{child.stderr_path}\n{child.last_words()}",
            hint="check that this version has the options -I, -R and -p",
        )
    environment = {"PYTHONPATH": str(python_path), "PATH": "/usr/bin:/bin"}
    said = run_tool([sys.executable, "-c", _IRIS_RESET, str(port)], _ASK_TIMEOUT, env=environment)
    if said.code:
        raise InfrastructureError(
            "the reset through Iris failed",
            kind="iris-failed",
            expected="iris.debug to reset the model",
            seen=(said.err.strip().splitlines() or ["no words"])[-1],
            where=f"{python_path}, port {port}",
            hint="check that python_path is the folder Iris/Python of this FVP's installation",
        )
