"""tfm-harness: proves that a board doing confidential AI under TF-M really does it.

Suites and extensions may use the names below. They are imported on first use, so that importing this
package costs next to nothing. Further public packages: `tfm_harness.latency`, `tfm_harness.parity`,
`tfm_harness.verify`, `tfm_harness.console_suites`, `tfm_harness.protocol.mlperf_tiny`, `tfm_harness.protocol.smp` and
`tfm_harness.protocol.zephyr_shell` (the wire protocols), `tfm_harness.provisioning`, `tfm_harness.testing`. Everything
else may change in any version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfm_harness.lazy import lazy_exports

if TYPE_CHECKING:
    from tfm_harness.bench.combination import TargetBuild
    from tfm_harness.bench.device import Device, Inference
    from tfm_harness.bench.not_covered import NotCovered
    from tfm_harness.bench.probing import Access
    from tfm_harness.bench.random_calls import RandomCall, RandomCalls, simplest
    from tfm_harness.bench.reference import Reference
    from tfm_harness.bench.verifier import Verifier
    from tfm_harness.bench.virtual import VirtualBoard
    from tfm_harness.boards.base import Board, BoardEvent, Identity, PowerState, ResetKind, RunContext
    from tfm_harness.boards.emulated_cpu import Debugger, RegisterAccess, StoppedCpu
    from tfm_harness.boards.locks import BoardLock, board_locks
    from tfm_harness.boards.otp_layout import make_otp
    from tfm_harness.boards.supervisor import Child, spawn
    from tfm_harness.boards.virtual import Burned
    from tfm_harness.config.build import Build
    from tfm_harness.config.fields import Name, Strict
    from tfm_harness.config.memory_map import MemoryMap, MemoryRegion, ServiceCall, ServiceConfig, service_of
    from tfm_harness.config.result_profile import build_result_profile
    from tfm_harness.config.sensors import SensorBase
    from tfm_harness.config.stimulus import StimulusBase
    from tfm_harness.config.target import TargetBase
    from tfm_harness.console.base import Console, Mark, Match
    from tfm_harness.console.stream import StreamConsole
    from tfm_harness.console.transport import FdTransport, SocketTransport, Transport
    from tfm_harness.deprecation import HarnessDeprecationWarning
    from tfm_harness.errors import (
        ConfigError,
        ExtensionError,
        HarnessBug,
        HarnessError,
        InfrastructureError,
        ProductError,
        Responsibility,
    )
    from tfm_harness.findings import Check, Finding, Policy, Report, Severity, Status, Waiver
    from tfm_harness.latency.clock import ClockQuality
    from tfm_harness.plugin.bench import Bench
    from tfm_harness.plugin.checks import Checks
    from tfm_harness.plugin.console_run import run_console_suite
    from tfm_harness.plugin.image_trials import ImageTrials, SignedImage
    from tfm_harness.plugin.latency import Latency
    from tfm_harness.plugin.secret_search import SecretSearch
    from tfm_harness.plugin.secret_work import SecretWork
    from tfm_harness.plugin.skips import SkipCampaign
    from tfm_harness.plugin.stored_objects import StorageFlash, StoredObjects, storage_flash
    from tfm_harness.plugin.updates import ModelUpdates
    from tfm_harness.protocol.base import Description, Exchange, Feature, InferResult, PseudoDriver, Source, fresh_nonce
    from tfm_harness.protocol.smp.answers import Refused
    from tfm_harness.protocol.smp.client import SmpDriver
    from tfm_harness.protocol.zephyr_shell.client import ZephyrShellDriver
    from tfm_harness.stimulus.base import Sample, Stimulus, StimulusBackend
    from tfm_harness.stimulus.listener import BusListener
    from tfm_harness.stimulus.models import SensorModel
    from tfm_harness.stimulus.player import PlayedStimulus
    from tfm_harness.stimulus.real import make_stimulus
    from tfm_harness.stimulus.sensors import LSM303DLHC, TMP105, Axis
    from tfm_harness.trust.anchors import Trust
    from tfm_harness.trust.expectations import check_build_images
    from tfm_harness.version import __version__

_HOMES = {
    "stimulus.sensors": ("LSM303DLHC", "TMP105", "Axis"),
    "bench.combination": ("TargetBuild",),
    "bench.device": ("Device", "Inference"),
    "bench.not_covered": ("NotCovered",),
    "bench.probing": ("Access",),
    "bench.random_calls": ("RandomCall", "RandomCalls", "simplest"),
    "bench.reference": ("Reference",),
    "bench.verifier": ("Verifier",),
    "bench.virtual": ("VirtualBoard",),
    "boards.base": ("Board", "BoardEvent", "Identity", "PowerState", "ResetKind", "RunContext"),
    "boards.emulated_cpu": ("Debugger", "RegisterAccess", "StoppedCpu"),
    "boards.otp_layout": ("make_otp",),
    "boards.virtual": ("Burned",),
    "config.build": ("Build",),
    "config.fields": ("Name", "Strict"),
    "config.memory_map": ("MemoryMap", "MemoryRegion", "ServiceCall", "ServiceConfig", "service_of"),
    "config.result_profile": ("build_result_profile",),
    "config.sensors": ("SensorBase",),
    "config.stimulus": ("StimulusBase",),
    "config.target": ("TargetBase",),
    "boards.locks": ("BoardLock", "board_locks"),
    "console.base": ("Console", "Mark", "Match"),
    "boards.supervisor": ("Child", "spawn"),
    "console.stream": ("StreamConsole",),
    "console.transport": ("FdTransport", "SocketTransport", "Transport"),
    "deprecation": ("HarnessDeprecationWarning",),
    "errors": (
        "ConfigError",
        "ExtensionError",
        "HarnessBug",
        "HarnessError",
        "InfrastructureError",
        "ProductError",
        "Responsibility",
    ),
    "findings": ("Check", "Finding", "Policy", "Report", "Severity", "Status", "Waiver"),
    "latency.clock": ("ClockQuality",),
    "plugin.bench": ("Bench",),
    "plugin.checks": ("Checks",),
    "plugin.console_run": ("run_console_suite",),
    "plugin.image_trials": ("ImageTrials", "SignedImage"),
    "plugin.latency": ("Latency",),
    "plugin.secret_search": ("SecretSearch",),
    "plugin.secret_work": ("SecretWork",),
    "plugin.skips": ("SkipCampaign",),
    "plugin.stored_objects": ("StorageFlash", "StoredObjects", "storage_flash"),
    "plugin.updates": ("ModelUpdates",),
    "protocol.base": ("Description", "Exchange", "Feature", "InferResult", "PseudoDriver", "Source", "fresh_nonce"),
    "protocol.smp.answers": ("Refused",),
    "protocol.smp.client": ("SmpDriver",),
    "protocol.zephyr_shell.client": ("ZephyrShellDriver",),
    "stimulus.base": ("Sample", "Stimulus", "StimulusBackend"),
    "stimulus.listener": ("BusListener",),
    "stimulus.models": ("SensorModel",),
    "stimulus.player": ("PlayedStimulus",),
    "stimulus.real": ("make_stimulus",),
    "trust.anchors": ("Trust",),
    "trust.expectations": ("check_build_images",),
    "version": ("__version__",),
}

__all__ = [
    "LSM303DLHC",
    "TMP105",
    "Access",
    "Axis",
    "Bench",
    "Board",
    "BoardEvent",
    "BoardLock",
    "Build",
    "Burned",
    "BusListener",
    "Check",
    "Checks",
    "Child",
    "ClockQuality",
    "ConfigError",
    "Console",
    "Debugger",
    "Description",
    "Device",
    "Exchange",
    "ExtensionError",
    "FdTransport",
    "Feature",
    "Finding",
    "HarnessBug",
    "HarnessDeprecationWarning",
    "HarnessError",
    "Identity",
    "ImageTrials",
    "InferResult",
    "Inference",
    "InfrastructureError",
    "Latency",
    "Mark",
    "Match",
    "MemoryMap",
    "MemoryRegion",
    "ModelUpdates",
    "Name",
    "NotCovered",
    "PlayedStimulus",
    "Policy",
    "PowerState",
    "ProductError",
    "PseudoDriver",
    "RandomCall",
    "RandomCalls",
    "Reference",
    "Refused",
    "RegisterAccess",
    "Report",
    "ResetKind",
    "Responsibility",
    "RunContext",
    "Sample",
    "SecretSearch",
    "SecretWork",
    "SensorBase",
    "SensorModel",
    "ServiceCall",
    "ServiceConfig",
    "Severity",
    "SignedImage",
    "SkipCampaign",
    "SmpDriver",
    "SocketTransport",
    "Source",
    "Status",
    "Stimulus",
    "StimulusBackend",
    "StimulusBase",
    "StoppedCpu",
    "StorageFlash",
    "StoredObjects",
    "StreamConsole",
    "Strict",
    "TargetBase",
    "TargetBuild",
    "Transport",
    "Trust",
    "Verifier",
    "VirtualBoard",
    "Waiver",
    "ZephyrShellDriver",
    "__version__",
    "board_locks",
    "build_result_profile",
    "check_build_images",
    "fresh_nonce",
    "make_otp",
    "make_stimulus",
    "run_console_suite",
    "service_of",
    "simplest",
    "spawn",
    "storage_flash",
]

__getattr__, __dir__ = lazy_exports(__name__, _HOMES)
