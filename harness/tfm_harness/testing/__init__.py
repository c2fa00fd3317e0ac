"""For tests of boards, protocols and suites: simulators of boards, images made on the host."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfm_harness.testing.images import ImageRecipe, load_signing_key, make_image
    from tfm_harness.testing.model_variants import with_other_weights
    from tfm_harness.testing.reference_nv import NoObjectError, with_object

_HOMES = {
    "reference_nv": ("NoObjectError", "with_object"),
    "model_variants": ("with_other_weights",),
    "images": ("ImageRecipe", "load_signing_key", "make_image"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ImageRecipe",
    "NoObjectError",
    "load_signing_key",
    "make_image",
    "with_object",
    "with_other_weights",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
