"""For tests of boards, protocols and suites: simulators of boards, images and models made on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfm_harness.lazy import lazy_exports

if TYPE_CHECKING:
    from tfm_harness.testing.distributions import make_distribution
    from tfm_harness.testing.images import ImageRecipe, load_signing_key, make_image
    from tfm_harness.testing.model_corners import CORNERS, full_memory, of_work
    from tfm_harness.testing.model_variants import with_other_weights
    from tfm_harness.testing.one_operator import GENERATORS, at_the_edges
    from tfm_harness.testing.reference_nv import NoObjectError, with_object, with_objects_changed, with_sequences
    from tfm_harness.testing.tflite_builder import Graph, Op, Tensor
    from tfm_harness.testing.wrong_models import RIGHT_MODELS, WRONG_MODELS, damaged_models, wrong_model

_HOMES = {
    "distributions": ("make_distribution",),
    "reference_nv": ("NoObjectError", "with_object", "with_objects_changed", "with_sequences"),
    "model_variants": ("with_other_weights",),
    "model_corners": ("CORNERS", "full_memory", "of_work"),
    "one_operator": ("GENERATORS", "at_the_edges"),
    "tflite_builder": ("Graph", "Op", "Tensor"),
    "wrong_models": ("RIGHT_MODELS", "WRONG_MODELS", "damaged_models", "wrong_model"),
    "images": ("ImageRecipe", "load_signing_key", "make_image"),
}

__all__ = [
    "CORNERS",
    "GENERATORS",
    "RIGHT_MODELS",
    "WRONG_MODELS",
    "Graph",
    "ImageRecipe",
    "NoObjectError",
    "Op",
    "Tensor",
    "at_the_edges",
    "damaged_models",
    "full_memory",
    "load_signing_key",
    "make_distribution",
    "make_image",
    "of_work",
    "with_object",
    "with_objects_changed",
    "with_other_weights",
    "with_sequences",
    "wrong_model",
]

__getattr__, __dir__ = lazy_exports(__name__, _HOMES)
