"""The command line and the console output of Arm's Corstone FVPs.

Pure: arguments and text in, arguments and facts out. Sources: Fast Models FVP reference guide
(100966), "Command-line options"; TF-M's and Zephyr's published FVP command lines.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tfm_harness.errors import ConfigError, InfrastructureError

__all__ = [
    "ANNOUNCEMENT",
    "Application",
    "Data",
    "FvpCommand",
    "Terminal",
    "build_command",
    "check_parameters",
    "explain_failure",
    "find_iris",
    "find_terminals",
    "is_raw",
    "parse_banner",
    "parse_parameters",
    "terminals_of",
]

ANNOUNCEMENT = re.compile(
    rb"(?P<name>\w*telnetterminal(?P<number>\d+)): Listening for serial connection on port (?P<port>\d+)(?=\D)"
)  # the byte after the number has come, so the number is complete
_IRIS = re.compile(rb"(?i)iris[^\n]*\bport\D{0,3}(?P<port>\d+)(?=\D)")  # "Iris server started listening to port 7100"
_BANNER = re.compile(r"Fast Models \[(?P<version>[0-9.]+)[^\]]*\]")

TERMINALS = (0, 1, 2, 5)  # the terminals of the MPS3 board's model
_TRUE = frozenset({"1", "true", "yes"})


@dataclass(frozen=True, slots=True)
class Application:
    """An ELF to load on a core (``-a cpu0=FILE``)."""

    file: Path
    core: str = "cpu0"


@dataclass(frozen=True, slots=True)
class Data:
    """A raw file to load at an address (``--data cpu0=FILE@ADDRESS``)."""

    file: Path
    address: int
    core: str = "cpu0"


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal announced by the model: its number and its TCP port on this host."""

    number: int
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FvpCommand:
    """What to start.

    Attributes:
        binary: the FVP's executable.
        applications, data: images.
        parameters: ``-C`` parameters; the user's override the harness's.
        simulated_limit: ``--simlimit``, simulated seconds.
        wall_limit: ``--timelimit``, host seconds.
        board: the component prefix of the board's parameters.
        core: the core that boots.
        iris: start the debug server on a port that it announces, and start the simulation.
        v_path: the VSI folder, when the sensor is played through it.
        statistics: print ``--stat`` at the end.
        extra: further arguments, passed unchanged.
    """

    binary: Path
    applications: Sequence[Application] = ()
    data: Sequence[Data] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    simulated_limit: float | None = 900.0
    wall_limit: float | None = None
    board: str = "mps3_board"
    core: str = "cpu0"
    v_path: Path | None = None
    statistics: bool = True
    iris: bool = False
    extra: Sequence[str] = ()


def base_parameters(command: FvpCommand, known: Iterable[str] = ()) -> dict[str, str]:
    """The parameters the harness needs: raw terminals on announced ports, no window, no semihosting on any core."""
    board = command.board
    # Semihosting lets firmware open host files; the names of its parameters depend on the model.
    semihosting = sorted(name for name in known if name.endswith("semihosting-enable"))
    parameters = {f"{board}.visualisation.disable-visualisation": "1"}
    parameters |= dict.fromkeys(semihosting or [f"{command.core}.semihosting-enable"], "0")
    for number in TERMINALS:
        terminal = f"{board}.telnetterminal{number}"
        # start_telnet would open an xterm; raw is byte-transparent where telnet is not.
        parameters |= {f"{terminal}.start_telnet": "0", f"{terminal}.mode": "raw", f"{terminal}.quiet": "0"}
    if command.v_path is not None:
        parameters[f"{board}.v_path"] = str(command.v_path)
    return parameters


def build_command(command: FvpCommand, known: Iterable[str] | None = None) -> list[str]:
    """The whole argument vector.

    Args:
        command: what to start.
        known: parameter names of this binary (`parse_parameters`); with it, parameters that the binary does not have
            are dropped if the harness sets them, and refused if the user does.

    Raises:
        ConfigError: kind ``fvp-parameter``.
    """
    names = frozenset(known or ())
    ours = base_parameters(command, names)
    if known is not None:
        check_parameters(command.parameters, names)
        ours = {name: value for name, value in ours.items() if name in names}
    arguments = [str(command.binary)]
    for application in command.applications:
        arguments += ["-a", f"{application.core}={application.file}"]
    for data in command.data:
        arguments += ["--data", f"{data.core}={data.file}@0x{data.address:08x}"]
    for name, value in (ours | dict(command.parameters)).items():
        arguments += ["-C", f"{name}={value}"]
    if command.simulated_limit is not None:
        arguments += ["--simlimit", f"{command.simulated_limit:g}"]
    if command.wall_limit is not None:
        arguments += ["--timelimit", f"{command.wall_limit:g}"]
    if command.statistics:
        arguments.append("--stat")
    if command.iris:
        arguments += ["-I", "-R", "-p"]  # with only the server, the model waits until a debugger starts it
    return [*arguments, *command.extra]


def parse_parameters(listing: str) -> dict[str, str]:
    """Names and defaults from ``--list-params``: lines ``name=default   # (type, ...) description``."""
    found = {}
    for line in listing.splitlines():
        match = re.match(r"^\s*([A-Za-z_][\w.\-]*)\s*=\s*(.*?)\s*(?:#.*)?$", line)
        if match:
            found[match[1]] = match[2].strip('"')
    return found


def check_parameters(wanted: Mapping[str, str], known: Iterable[str]) -> None:
    """Refuse parameters that the binary does not have.

    Raises:
        ConfigError: kind ``fvp-parameter``, with the nearest name the binary knows.
    """
    names = list(known)
    for name in wanted:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            raise ConfigError(
                f"this FVP has no parameter {name!r}",
                kind="fvp-parameter",
                expected=f"one of the {len(names)} names that --list-params prints",
                seen=name,
                hint=f"did you mean {near[0]!r}?" if near else "run the FVP with --list-params and look",
            )


def parse_banner(output: str) -> str | None:
    """The Fast Models version of the banner ``Fast Models [11.22.39 (...)]``; None when there is none."""
    match = _BANNER.search(output)
    return match["version"] if match else None


def find_terminals(output: bytes) -> dict[int, Terminal]:
    """Announced terminals by number, in any order (the last announcement counts)."""
    return {
        int(match["number"]): Terminal(int(match["number"]), int(match["port"]))
        for match in ANNOUNCEMENT.finditer(output)
    }


def find_iris(output: bytes) -> int | None:
    """The port of the Iris server as the model announces it (``-p``); None before that."""
    match = _IRIS.search(output)
    return int(match["port"]) if match else None


def terminals_of(known: Mapping[str, str], board: str, parameters: Mapping[str, str]) -> set[int]:
    """Numbers of the terminals that this binary has and that `parameters` do not switch off."""
    found = set()
    for number in TERMINALS:
        terminal = f"{board}.telnetterminal{number}"
        quiet = parameters.get(f"{terminal}.quiet", "0").lower() in _TRUE
        if not quiet and any(name.startswith(f"{terminal}.") for name in known):
            found.add(number)
    return found


def is_raw(known: Mapping[str, str], board: str, number: int, parameters: Mapping[str, str]) -> bool:
    """Whether a terminal passes bytes unchanged; otherwise they are telnet data (the FVP's default)."""
    name = f"{board}.telnetterminal{number}.mode"
    return parameters.get(name, "raw" if name in known else "telnet").strip().lower() == "raw"


# What the model prints, what it means, what to do. Most specific first.
_FAILURES: tuple[tuple[str, str, str, str], ...] = (
    (
        (
            r"(?i)licen[sc]e.*(not found|expired|denied|invalid|failed|could not|unable)|failed to check ?out|armlmd|"
            r"UBL.*(error|fail)"
        ),
        "fvp-licence",
        "the FVP has no valid licence",
        "activate one (`armlm activate`), set ARMLMD_LICENSE_FILE, or use the Ecosystem FVP, which needs none",
    ),
    (
        r"cannot enable executable stack",
        "fvp-host",
        "the host's loader refuses the FVP's executable stack",
        "use a newer FVP, an older glibc (container), or clear the flag: `execstack -c LIBRARY`",
    ),
    (
        r"libpython3\.9.*cannot open|Could not load Python",
        "fvp-python",
        "the FVP cannot load Python 3.9 for the VSI scripts",
        "install libpython3.9 and set PYTHONHOME, or use an FVP build that ships it",
    ),
    (
        r"(?i)unknown (parameter|option)|parameter .* (not found|does not exist)|Parameter not found",
        "fvp-parameter",
        "the FVP does not know a parameter",
        "compare `parameters` in the target's YAML with `--list-params` of this version",
    ),
    (
        r"(?i)(could not|cannot|failed to) (open|load|find).*\.(elf|axf|bin|hex|out)",
        "fvp-image",
        "the FVP could not load an image",
        "check the image paths of the build",
    ),
    (
        r"error while loading shared libraries: (\S+)",
        "fvp-host",
        "the FVP misses a shared library",
        "install the library it names",
    ),
)


def explain_failure(output: str, returncode: int | None, binary: str) -> InfrastructureError:
    """The error for an FVP that ended by itself, from its last output."""
    tail = "\n".join(output.strip().splitlines()[-12:])
    for pattern, kind, message, hint in _FAILURES:
        match = re.search(pattern, output)
        if match:
            return InfrastructureError(
                message, kind=kind, expected="a running model", seen=match[0], where=f"{binary}:\n{tail}", hint=hint
            )
    return InfrastructureError(
        "the FVP ended on its own",
        kind="fvp-exit",
        expected="a running model",
        seen=f"exit code {returncode}",
        where=f"{binary}:\n{tail or '(no output)'}",
        hint="run the command line from the report by hand",
    )
