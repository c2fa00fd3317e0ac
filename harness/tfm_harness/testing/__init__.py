"""For tests of boards, protocols, suites and extensions: fakes, simulators, fault injection, conformance suites.

* Time and wires: `FakeClock`, `MemoryConsole`, `ScriptedConsole`, `FaultyWire` with faults such as `flip`.
* Devices: `FakeBoard` runs a `SimulatedFirmware`; `SmpFirmware` answers SMP requests by a table,
  `ReferenceFirmware` signs results and tokens with real keys that are for tests only; `MlperfTinyFirmware` speaks
  MLPerf Tiny's protocol, with one of the `MlperfTinyFault` on demand; `TfmServices` adds TF-M's Crypto and Firmware
  Update services to a firmware, correct or affected by an advisory.
* Files: `ImageRecipe` and `make_image` for MCUboot images, `ModelBuilder` and `Graph` for .tflite models,
  `make_distribution` for installed packages.
* Conformance: `BoardConformance` and `ProtocolConformance`, base classes for tests of a board kind or a protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfm_harness.lazy import lazy_exports

if TYPE_CHECKING:
    from tfm_harness.testing.boards import FakeBoard, FakeTarget, SimulatedFirmware
    from tfm_harness.testing.clock import FakeClock
    from tfm_harness.testing.conformance.board import BoardConformance
    from tfm_harness.testing.conformance.protocol import ProtocolConformance
    from tfm_harness.testing.conformance.requirement import ConformanceError, promised_kinds
    from tfm_harness.testing.consoles import MemoryConsole, ScriptedConsole
    from tfm_harness.testing.damaged_models import damaged_models
    from tfm_harness.testing.distributions import make_distribution
    from tfm_harness.testing.images import ImageRecipe, image_key_hash, load_signing_key, make_image
    from tfm_harness.testing.line_firmware import ask_line, wait_until_ready
    from tfm_harness.testing.mlperf_tiny_firmware import MlperfTinyFault, MlperfTinyFirmware
    from tfm_harness.testing.model_corners import CORNERS, full_memory, of_size, of_work
    from tfm_harness.testing.model_variants import with_other_weights
    from tfm_harness.testing.models import ModelBuilder, classifier, dense, remembers, two_in_two_out
    from tfm_harness.testing.nv_changes import changed_words, spread
    from tfm_harness.testing.one_operator import GENERATORS, NEWEST_VERSIONS, at_the_edges
    from tfm_harness.testing.reference_nv import (
        NoObjectError,
        left_behind,
        object_in,
        with_object,
        with_objects_changed,
        with_sequences,
    )
    from tfm_harness.testing.right_models import RIGHT_MODELS
    from tfm_harness.testing.smp_firmware import ReferenceFirmware, SmpFirmware, smp_frame
    from tfm_harness.testing.tflite_builder import Graph, Op, Tensor
    from tfm_harness.testing.tfm_services import CRYPTO_HANDLE, UPDATE_HANDLE, TfmServices
    from tfm_harness.testing.wide_models import WIDE
    from tfm_harness.testing.wire import (
        FaultyWire,
        WireFault,
        delete,
        each_position,
        flip,
        insert,
        overwrite,
        repeat,
        silence,
        truncate,
    )
    from tfm_harness.testing.wrong_models import WRONG_MODELS, wrong_model

_HOMES = {
    "boards": (
        "FakeBoard",
        "FakeTarget",
        "SimulatedFirmware",
    ),
    "clock": ("FakeClock",),
    "conformance.board": ("BoardConformance",),
    "conformance.protocol": ("ProtocolConformance",),
    "conformance.requirement": (
        "ConformanceError",
        "promised_kinds",
    ),
    "consoles": (
        "MemoryConsole",
        "ScriptedConsole",
    ),
    "damaged_models": ("damaged_models",),
    "distributions": ("make_distribution",),
    "images": (
        "ImageRecipe",
        "image_key_hash",
        "load_signing_key",
        "make_image",
    ),
    "line_firmware": (
        "ask_line",
        "wait_until_ready",
    ),
    "mlperf_tiny_firmware": (
        "MlperfTinyFault",
        "MlperfTinyFirmware",
    ),
    "model_corners": (
        "CORNERS",
        "full_memory",
        "of_size",
        "of_work",
    ),
    "model_variants": ("with_other_weights",),
    "models": (
        "ModelBuilder",
        "classifier",
        "dense",
        "remembers",
        "two_in_two_out",
    ),
    "nv_changes": ("changed_words", "spread"),
    "one_operator": (
        "GENERATORS",
        "NEWEST_VERSIONS",
        "at_the_edges",
    ),
    "reference_nv": (
        "NoObjectError",
        "left_behind",
        "object_in",
        "with_object",
        "with_objects_changed",
        "with_sequences",
    ),
    "right_models": ("RIGHT_MODELS",),
    "smp_firmware": (
        "ReferenceFirmware",
        "SmpFirmware",
        "smp_frame",
    ),
    "tflite_builder": (
        "Graph",
        "Op",
        "Tensor",
    ),
    "tfm_services": (
        "CRYPTO_HANDLE",
        "UPDATE_HANDLE",
        "TfmServices",
    ),
    "wide_models": ("WIDE",),
    "wire": (
        "FaultyWire",
        "WireFault",
        "delete",
        "each_position",
        "flip",
        "insert",
        "overwrite",
        "repeat",
        "silence",
        "truncate",
    ),
    "wrong_models": ("WRONG_MODELS", "wrong_model"),
}

__all__ = [
    "CORNERS",
    "CRYPTO_HANDLE",
    "GENERATORS",
    "NEWEST_VERSIONS",
    "RIGHT_MODELS",
    "UPDATE_HANDLE",
    "WIDE",
    "WRONG_MODELS",
    "BoardConformance",
    "ConformanceError",
    "FakeBoard",
    "FakeClock",
    "FakeTarget",
    "FaultyWire",
    "Graph",
    "ImageRecipe",
    "MemoryConsole",
    "MlperfTinyFault",
    "MlperfTinyFirmware",
    "ModelBuilder",
    "NoObjectError",
    "Op",
    "ProtocolConformance",
    "ReferenceFirmware",
    "ScriptedConsole",
    "SimulatedFirmware",
    "SmpFirmware",
    "Tensor",
    "TfmServices",
    "WireFault",
    "ask_line",
    "at_the_edges",
    "changed_words",
    "classifier",
    "damaged_models",
    "delete",
    "dense",
    "each_position",
    "flip",
    "full_memory",
    "image_key_hash",
    "insert",
    "left_behind",
    "load_signing_key",
    "make_distribution",
    "make_image",
    "object_in",
    "of_size",
    "of_work",
    "overwrite",
    "promised_kinds",
    "remembers",
    "repeat",
    "silence",
    "smp_frame",
    "spread",
    "truncate",
    "two_in_two_out",
    "wait_until_ready",
    "with_object",
    "with_objects_changed",
    "with_other_weights",
    "with_sequences",
    "wrong_model",
]

__getattr__, __dir__ = lazy_exports(__name__, _HOMES)
