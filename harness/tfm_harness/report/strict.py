"""The strict configuration of a record's parts: unknown fields and values of another type are refused."""

from __future__ import annotations

from typing import Final

from pydantic import ConfigDict

__all__ = ["STRICT"]

STRICT: Final = ConfigDict(extra="forbid", strict=True, ser_json_inf_nan="strings")
