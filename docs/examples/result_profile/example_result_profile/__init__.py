"""A result profile of its own: which claims the signed results of a firmware have."""

from __future__ import annotations

from pathlib import Path

PROFILE = Path(__file__).with_name("profile.yaml")
