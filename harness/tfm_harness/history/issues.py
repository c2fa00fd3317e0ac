"""Known issues, from a YAML file: ticket, pattern of the test, last day, and more."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tfm_harness.config.plain_yaml import PlainLoader
from tfm_harness.errors import ConfigError
from tfm_harness.files import TEXT_LIMIT, read_file
from tfm_harness.history.classify import KnownIssue

__all__ = ["load_issues"]


class _Issue(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    ticket: str = Field(min_length=1)
    test: str = Field(min_length=1)
    combination: str = "*"
    until: dt.date
    intermittent: bool = False


_ADAPTER = TypeAdapter(list[_Issue])


def load_issues(path: Path) -> tuple[KnownIssue, ...]:
    """Read a file of known issues. Each one needs a last day: an issue without end would hide a defect for ever.

    Raises:
        ConfigError: kind ``known-issues``: unreadable, or not of this form.
    """
    import yaml

    try:
        plain = yaml.load(read_file(path, TEXT_LIMIT).decode(), Loader=PlainLoader)  # noqa: S506 - a safe loader
        found = _ADAPTER.validate_python(plain or [])
    except ValidationError as error:
        first = error.errors()[0]
        seen = f"entry {'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        seen = str(error).splitlines()[0]
    else:
        return tuple(KnownIssue(**issue.model_dump()) for issue in found)
    raise ConfigError(
        "the known issues cannot be used", kind="known-issues", seen=seen, where=str(path),
        expected="a list of {ticket, test, until: YYYY-MM-DD, combination, intermittent}",
    )  # fmt: skip
