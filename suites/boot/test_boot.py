"""Boot: what was flashed runs, and only what is signed runs."""

from __future__ import annotations

import pytest
from tfm_harness import Bench, Check, Checks, Device, ResetKind, check_build_images

IDENTITY = Check(
    id="boot.identity",
    title="the firmware that runs is the build that was flashed",
    requirement="PSA Security Model 1.1 s.5.3 (measured boot)",
    waivable=False,
)
LIFECYCLE = Check(
    id="boot.lifecycle",
    title="the lifecycle is the provisioned one",
    requirement="PSA Security Model 1.1 s.5.1; RFC 9783 s.4.3.1",
)
COUNTS = Check(
    id="boot.count",
    title="boots are counted since the cold start",
    requirement="docs/protocol.md, describe",
)
SEED_CHANGES = Check(
    id="boot.seed-changes",
    title="each boot has a new boot seed",
    requirement="RFC 9783 s.4.3.2",
)


@pytest.mark.needs("identity")
def test_the_build_that_was_flashed_runs(bench: Bench, device: Device, checks: Checks) -> None:
    said = device.describe().measurements
    for component in bench.trust.components(None):
        if component.type and component.type in said:
            checks.equal(IDENTITY, said[component.type], component.measurement, subject=component.type)


def test_the_images_are_signed_with_the_trusted_key(bench: Bench, checks: Checks) -> None:
    """The host's own look at the files, so that a device that accepts anything is not the only judge."""
    build = bench.combination.build
    if not any((build.trust.images, build.trust.models, *(image.key for image in build.images))):
        pytest.skip(f"not covered: {build.name} names no key that signs its images")
    if not check_build_images(build, checks.report):
        pytest.skip(f"not covered: {build.name} has no signed image")


@pytest.mark.needs("describe", "known-secrets")
def test_the_lifecycle_is_the_provisioned_one(bench: Bench, device: Device, checks: Checks) -> None:
    checks.equal(LIFECYCLE, device.describe().lifecycle, bench.board.identity.lifecycle)


@pytest.mark.needs("describe", "reset", "cold-reset", "warm-reset")
def test_boots_are_counted_and_seeds_change(device: Device, checks: Checks) -> None:
    seeds = []
    said = device.reset(ResetKind.COLD)
    checks.equal(COUNTS, said.boot, 0, subject="cold start")
    seeds.append(said.boot_seed)
    for number in (1, 2):
        said = device.reset(ResetKind.WARM)
        checks.equal(COUNTS, said.boot, number, subject=f"warm reset {number}")
        seeds.append(said.boot_seed)
    said = device.reset(ResetKind.COLD)
    checks.equal(COUNTS, said.boot, 0, subject="second cold start")
    seeds.append(said.boot_seed)
    checks(
        SEED_CHANGES,
        None not in seeds and len(set(seeds)) == len(seeds),
        expected=f"{len(seeds)} different seeds",
        seen=", ".join(seed.hex()[:16] if seed else "none" for seed in seeds),
    )


@pytest.mark.needs("describe", "reset")
def test_the_firmware_resets_itself_when_asked(bench: Bench, device: Device, checks: Checks) -> None:
    before = device.describe().boot
    after = bench.reset_by_request().boot
    checks(COUNTS, before is not None and after == before + 1, expected=f"boot after {before}", seen=after)
