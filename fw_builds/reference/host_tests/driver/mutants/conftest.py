"""Boards in QEMU, as for the other tests there."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_SPEC = importlib.util.spec_from_file_location("qemu_fixtures", Path(__file__).parents[1] / "qemu" / "conftest.py")
assert _SPEC is not None
assert _SPEC.loader is not None
_FIXTURES = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_FIXTURES)

images = _FIXTURES.images
identity = _FIXTURES.identity
boot = _FIXTURES.boot
