"""The fixtures that tests use. Light: what stands behind them is imported when a board was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tfm_harness.bench.combination import TargetBuild
    from tfm_harness.bench.device import Device
    from tfm_harness.bench.reference import Reference
    from tfm_harness.bench.verifier import Verifier
    from tfm_harness.bench.virtual import VirtualBoard
    from tfm_harness.boards.base import Board
    from tfm_harness.plugin.bench import Bench
    from tfm_harness.plugin.checks import Checks
    from tfm_harness.plugin.latency import Latency
    from tfm_harness.plugin.skips import SkipCampaign
    from tfm_harness.plugin.updates import ModelUpdates
    from tfm_harness.protocol.smp.client import SmpDriver
    from tfm_harness.stimulus.base import Stimulus

__all__ = [
    "bench",
    "board",
    "build_model",
    "checks",
    "device",
    "latency",
    "reference",
    "skips",
    "stimulus",
    "test_commands",
    "tfm_combination",
    "updates",
    "verifier",
    "virtual",
]


def wants_board(item: pytest.Item) -> bool:
    """Whether a test uses the fixtures of this module (not namesakes of its own project)."""
    info = getattr(item, "_fixtureinfo", None)
    definitions = (info.name2fixturedefs.get("tfm_combination") if info else None) or ()
    return any(definition.func.__module__ == __name__ for definition in definitions[-1:])


@pytest.fixture(scope="session")
def tfm_combination(request: pytest.FixtureRequest) -> TargetBuild:
    """The combination of target and build that a test runs for."""
    combination: TargetBuild = request.param
    return combination


@pytest.fixture(scope="session")
def bench(request: pytest.FixtureRequest, tfm_combination: TargetBuild) -> Iterator[Bench]:
    """Board, firmware, client, stimulus and everything known about them; one for each combination."""
    from tfm_harness.plugin.keys import PLUGIN

    yield from request.config.stash[PLUGIN].open_bench(tfm_combination)


@pytest.fixture
def board(bench: Bench) -> Board:
    """The live board: acquired, flashed, proved to run the build."""
    return bench.board


def skip_uncovered(item: pytest.Item, bench: Bench) -> None:
    """Skip a test that needs what its combination has not."""
    missing = bench.missing(name for marker in item.iter_markers("needs") for name in marker.args)
    if missing:
        item.user_properties.append(("harness.not-covered", ", ".join(missing)))
        pytest.skip(f"not covered: {bench.combination.name} has no {', '.join(missing)}")


@pytest.fixture
def device(bench: Bench, request: pytest.FixtureRequest) -> Device:
    """The firmware, ready to be asked."""
    skip_uncovered(request.node, bench)  # before fixtures of the test's own, which may rely on it
    bench.ensure_ready()
    return bench.device


@pytest.fixture
def build_model(request: pytest.FixtureRequest, device: Device) -> str:
    """A model that the build declares, active on the device; the test runs once for each of them.

    Where the device does not hold the model, or cannot run it, the test is not covered.
    """
    name: str = request.param
    device.use_model(name)
    return name


@pytest.fixture
def test_commands(device: Device) -> SmpDriver:
    """The reference firmware's whole protocol (docs/protocol.md), beyond what every firmware has."""
    return device.test_commands


@pytest.fixture
def stimulus(bench: Bench) -> Stimulus:
    """Plays the sensor; at rest when the test begins."""
    return bench.rested_stimulus()


@pytest.fixture
def checks(bench: Bench, request: pytest.FixtureRequest) -> Checks:
    """Collects findings; the test fails at its end with all that failed."""
    from tfm_harness.plugin.checks import Checks

    return Checks(bench.report_for(request.node))


@pytest.fixture
def verifier(bench: Bench, request: pytest.FixtureRequest) -> Verifier:
    """Verifies results, tokens, keys and requests; findings are collected as by `checks`."""
    return bench.verifier(bench.report_for(request.node), test=request.node.nodeid)


@pytest.fixture
def reference(bench: Bench, request: pytest.FixtureRequest) -> Reference:
    """The reference interpreter; findings are collected as by `checks`."""
    return bench.reference(bench.report_for(request.node))


@pytest.fixture
def virtual(bench: Bench, device: Device) -> VirtualBoard:  # noqa: ARG001 - skips first what the board has not
    """What only a virtual board lets a test do; tests that use it need ``provision``, ``nv-access`` or both."""
    from tfm_harness.bench.virtual import VirtualBoard

    return VirtualBoard(bench)


@pytest.fixture
def skips(request: pytest.FixtureRequest, bench: Bench, device: Device, checks: Checks) -> SkipCampaign:
    """Runs with instructions left out; tests that use it need ``debugger``."""
    del device  # skips first what the board has not
    from tfm_harness.plugin.keys import PLUGIN
    from tfm_harness.plugin.skips import QUICK_SAMPLE, SAMPLE, SkipCampaign

    options = request.config.stash[PLUGIN].options
    sample = QUICK_SAMPLE if options["quick"].on else SAMPLE
    first_only = request.config.option.maxfail == 1
    which = options["skips"].text
    names = () if which in {"sample", "all"} else tuple(name.strip() for name in which.split(","))
    return SkipCampaign(
        bench, checks, everything=which != "sample", only=names, sample=sample, first_only=first_only
    )  # fmt: skip


@pytest.fixture
def updates(bench: Bench, device: Device, checks: Checks, verifier: Verifier) -> Iterator[ModelUpdates]:
    """Makes model images and tries them; tests that use it need ``update``, ``models``, ``file-model-signing-key``.

    What was activated, and the counters that it raised, is forgotten afterwards (``factory-reset``).
    """
    from tfm_harness.plugin.updates import ModelUpdates

    found = ModelUpdates(bench, device, checks, verifier)
    yield found
    if found.changed:
        bench.factory_reset()


@pytest.fixture
def latency(bench: Bench, request: pytest.FixtureRequest, device: Device) -> Latency:
    """Times models; findings are collected as by `checks`."""
    del device  # the firmware is ready, and has what the test needs
    from tfm_harness.plugin.latency import Latency

    return Latency(bench, bench.report_for(request.node))
