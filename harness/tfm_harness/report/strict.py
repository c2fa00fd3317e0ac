"""How the parts of a record are read: what they do not know, or what is of another type, is refused."""

from __future__ import annotations

from typing import Final

from pydantic import ConfigDict

__all__ = ["STRICT"]

STRICT: Final = ConfigDict(extra="forbid", strict=True, ser_json_inf_nan="strings")
