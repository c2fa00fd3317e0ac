"""Every setting of the plugin, declared once: flag, ini key, environment variable, help, default.

All names begin with ``tfm``, because other plugins use the short ones (pytest-embedded has ``--target``).

The command line wins over the environment, the environment over the ini file. A value keeps
its origin, so that an error can say where it came from.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tfm_harness.config.environment import PREFIX, check_environment
from tfm_harness.errors import ConfigError
from tfm_harness.findings import RENAMED_POLICIES

if TYPE_CHECKING:
    import pytest

__all__ = ["OPTIONS", "Option", "Setting", "add_options", "check_names", "check_old_flags", "setting", "settings"]


_BOARDS: Final = re.compile(r"[1-9]|[1-5][0-9]|6[0-4]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One setting.

    Attributes:
        name: with dashes; the flag is ``--tfm-name``, the ini key ``tfm_name``, the environment
            variable ``TFM_HARNESS_`` and the name in capitals. ``tfm-harness run`` takes ``--name``.
        kind: ``text``, ``list`` (repeatable), ``flag``, ``seconds``, ``percent``, ``boards`` or ``choice``.
    """

    name: str
    help: str
    kind: str = "text"
    default: str = ""
    metavar: str = "TEXT"
    choices: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        """The command line flag."""
        return f"--tfm-{self.name}"

    @property
    def key(self) -> str:
        """The ini key; also the attribute in ``config.option``."""
        return "tfm_" + self.name.replace("-", "_")

    @property
    def env(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.replace("-", "_").upper()


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and where it came from, in words."""

    values: tuple[str, ...]
    origin: str
    option: Option

    @property
    def text(self) -> str:
        """The one value of a setting that is no list."""
        return self.values[-1] if self.values else ""

    @property
    def on(self) -> bool:
        """A flag's value."""
        return self.text.lower() in {"1", "true", "yes", "on"}

    @property
    def seconds(self) -> float:
        """A number of seconds."""
        return float(self.text)


OPTIONS = (
    Option(
        name="target",
        kind="list",
        metavar="NAME|FILE",
        help="target to run on: a name (see `tfm-harness targets`) or a YAML file (write paths with `=`); repeatable",
    ),
    Option(
        name="build",
        kind="list",
        metavar="NAME|FILE",
        help="firmware build to flash: a name (see `tfm-harness builds`) or a YAML file (likewise); repeatable,"
        " every test then runs for each combination of target and build",
    ),
    Option(
        name="pool",
        kind="flag",
        help="the targets are alternatives: each test runs once, on whichever board is free",
    ),
    Option(
        name="board",
        kind="list",
        metavar="NAME",
        help="use only this board of a pool, or of a target with a `count`; repeatable",
    ),
    Option(
        name="count",
        kind="boards",
        metavar="N",
        help="run on so many virtual boards like each target at once; it replaces the target's `count`",
    ),
    Option(
        name="only",
        metavar="FILE",
        help="run only the tests whose ids stand in this file, one a line, as a run's record has them",
    ),
    Option(
        name="policy",
        kind="choice",
        choices=("dev", "validation", "production"),
        metavar="POLICY",
        help="how strictly findings are judged: dev, validation or production (default: the build's, else validation)",
    ),
    Option(
        name="run-dir",
        metavar="DIR",
        help="where transcripts and records of this run go (default: runs/<date and time>)",
    ),
    Option(
        name="state-dir",
        metavar="DIR",
        help="where virtual boards' identities and locks live (default: $XDG_STATE_HOME/tfm-harness)",
    ),
    Option(name="fresh-identity", kind="flag", help="give virtual boards a new identity instead of the kept one"),
    Option(
        name="deterministic",
        kind="flag",
        help="run emulators in their deterministic counter mode: ticks repeat, but everything is slower",
    ),
    Option(
        name="quick",
        kind="flag",
        help="leave out the tests marked `thorough`; they are counted as not run, and nothing is claimed of them",
    ),
    Option(
        name="skips",
        default="sample",
        metavar="WHICH",
        help="instructions to skip in suites that do: a bounded `sample` (default), `all` of them (minutes),"
        " or all of some functions, by name with commas between",
    ),
    Option(
        name="answer-timeout",
        kind="seconds",
        default="10",
        metavar="SECONDS",
        help="how long the firmware may take for an answer that needs no long work (default: 10)",
    ),
    Option(
        name="boot-timeout",
        kind="seconds",
        metavar="SECONDS",
        help="how long the firmware may take from reset to its first answer (default: the build's, else the target's)",
    ),
    Option(
        name="fail-under-coverage",
        kind="percent",
        metavar="PERCENT",
        help="exit code 5 when fewer requirements of the suites that take part are proven than this percentage",
    ),
    Option(name="html-report", metavar="FILE", help="write a self-contained report page there"),
    Option(
        name="store",
        metavar="URL|PATH",
        help="keep the run in this store of all runs, and take latency baselines from there: a path, or"
        " postgresql://user@host/database (default: runs are not kept; baselines in the state folder)",
    ),
    Option(
        name="evidence",
        metavar="KEY",
        help="make a signed bundle of the run's evidence beside its folder: a private key's file or URI as for"
        " `tfm-harness evidence make`, or `throwaway`",
    ),
)
_BY_NAME = {option.name: option for option in OPTIONS}
_KEYS = tuple(option.key for option in OPTIONS)
_OLD_FLAGS = {f"--{option.name}": option for option in OPTIONS}
_OLD_KEYS = {"harness_" + option.name.replace("-", "_"): option for option in OPTIONS}


def add_options(parser: pytest.Parser) -> None:
    """Declare all settings to pytest."""
    group = parser.getgroup("tfm-harness", "tfm-harness: boards with confidential AI")
    for option in OPTIONS:
        text = f"{option.help} [ini: {option.key}, environment: {option.env}]"
        if option.kind == "flag":
            group.addoption(option.flag, dest=option.key, action="store_const", const="1", default=None, help=text)
        elif option.kind == "list":
            group.addoption(
                option.flag, dest=option.key, action="append", default=None, metavar=option.metavar, help=text
            )
        else:
            group.addoption(option.flag, dest=option.key, default=None, metavar=option.metavar, help=text)
        if option.kind == "list":
            parser.addini(option.key, text, type="linelist", default=None)
        else:
            parser.addini(option.key, text, type="string", default=None)


def check_names(config: pytest.Config) -> None:
    """Refuse names that have no effect: old ini keys, misspelt ini keys and environment variables.

    Raises:
        ConfigError: the text gives the right name.
    """
    check_environment(option.env for option in OPTIONS)
    # pytest has no public list of the keys in the file: without this attribute it warns about unknown keys itself.
    ini = vars(config).get("_inicfg") or vars(config).get("inicfg") or {}
    for key in sorted(map(str, ini)):
        if key in _OLD_KEYS:
            new = _OLD_KEYS[key].key
            raise ConfigError(
                f"the ini key {key} is now called {new}",
                kind="option-renamed",
                expected=new,
                seen=key,
                where=str(config.inipath or "the ini file"),
                hint=f"rename {key} to {new}",
            )
        if key.startswith("tfm_") and not _is_declared(config, key):
            from tfm_harness.config.nearest import nearest

            near = nearest(key, _KEYS)
            raise ConfigError(
                f"unknown ini key {key}" + (f"; did you mean {near}?" if near else ""),
                kind="option-unknown",
                expected="one of " + ", ".join(_KEYS),
                seen=key,
                where=str(config.inipath or "the ini file"),
            )


def _is_declared(config: pytest.Config, key: str) -> bool:
    try:
        config.getini(key)
    except ValueError:
        return False
    return True


def check_old_flags(parser: pytest.Parser, arguments: Sequence[str]) -> None:
    """Refuse the options' old names, unless another plugin has declared an option of that name.

    Args:
        parser: knows what plugins and conftest files have declared.
        arguments: the command line, with what ini file and environment add.

    Raises:
        ConfigError: kind ``option-renamed``; the text gives the new name.
    """
    if not any(word.partition("=")[0] in _OLD_FLAGS for word in arguments):
        return
    _, unknown = parser.parse_known_and_unknown_args(list(arguments))
    for word in unknown:
        name = word.partition("=")[0]
        if name in _OLD_FLAGS:
            new = _OLD_FLAGS[name].flag
            raise ConfigError(
                f"the option {name} is now called {new}",
                kind="option-renamed",
                expected=new,
                seen=word,
                where="the command line",
                hint=f"write {new} for pytest; `tfm-harness run` takes {name}",
            )


def settings(config: pytest.Config) -> dict[str, Setting]:
    """All settings by name.

    Raises:
        ConfigError: a value that cannot be, with its origin.
    """
    return {option.name: setting(config, option.name) for option in OPTIONS}


def setting(config: pytest.Config, name: str) -> Setting:
    """One setting with its origin.

    Raises:
        ConfigError: a value that cannot be, with its origin.
    """
    option = _BY_NAME[name]
    found = _find(config, option)
    if option.kind == "choice" and found.text and found.text not in option.choices:
        new = RENAMED_POLICIES.get(found.text)
        renamed = f"; {found.text!r} is now called {new!r}" if new else ""
        raise _wrong(found, "one of " + ", ".join(option.choices) + renamed)
    if option.kind == "seconds" and found.text:
        try:
            valid = 0 < found.seconds < float("inf")
        except ValueError:
            valid = False
        if not valid:
            raise _wrong(found, "a positive number of seconds")
    if option.kind == "percent" and found.text:
        try:
            valid = 0 <= float(found.text) <= 100
        except ValueError:
            valid = False
        if not valid:
            raise _wrong(found, "a percentage, 0 to 100")
    if option.kind == "boards" and found.text and not _BOARDS.fullmatch(found.text):
        raise _wrong(found, "a number of boards, 1 to 64")
    if option.kind == "flag" and found.text.lower() not in {"", "0", "1", "true", "false", "yes", "no", "on", "off"}:
        raise _wrong(found, "true or false")
    return found


def _wrong(found: Setting, expected: str) -> Exception:
    return ConfigError(
        f"{found.option.name} cannot be {found.text!r}",
        kind="bad-option",
        expected=expected,
        seen=found.text,
        where=found.origin,
    )


def _find(config: pytest.Config, option: Option) -> Setting:
    given = getattr(config.option, option.key, None)
    if given:
        values = tuple(given) if isinstance(given, list) else (str(given),)
        return Setting(values, f"{option.flag} on the command line", option)
    env = os.environ.get(option.env, "")
    if env.strip():
        parts = tuple(part.strip() for part in env.split(",") if part.strip()) if option.kind == "list" else (env,)
        return Setting(parts, f"environment variable {option.env}", option)
    ini = config.getini(option.key)
    if ini:
        values = tuple(ini) if isinstance(ini, list) else (str(ini),)
        return Setting(values, f"{option.key} in {config.inipath or Path('the ini file')}", option)
    return Setting((option.default,) if option.default else (), "default", option)
