"""For tests of boards, protocols and suites: simulators of boards, images made on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfm_harness.lazy import lazy_exports

if TYPE_CHECKING:
    from tfm_harness.testing.distributions import make_distribution
    from tfm_harness.testing.images import ImageRecipe, load_signing_key, make_image
    from tfm_harness.testing.model_variants import with_other_weights
    from tfm_harness.testing.reference_nv import NoObjectError, with_object

_HOMES = {
    "distributions": ("make_distribution",),
    "reference_nv": ("NoObjectError", "with_object"),
    "model_variants": ("with_other_weights",),
    "images": ("ImageRecipe", "load_signing_key", "make_image"),
}

__all__ = [
    "ImageRecipe",
    "NoObjectError",
    "load_signing_key",
    "make_distribution",
    "make_image",
    "with_object",
    "with_other_weights",
]

__getattr__, __dir__ = lazy_exports(__name__, _HOMES)
