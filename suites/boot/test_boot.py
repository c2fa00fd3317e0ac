"""Boot: what was flashed runs, and only what is signed runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tfm_harness import Bench, Build, Check, Checks, Device, HarnessError, Mark, ResetKind, check_build_images

REFUSAL = b"refused"

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
REFUSED = Check(
    id="boot.tampered-image-refused",
    title="an image that is not as it was signed does not run",
    requirement="PSA Security Model 1.1 s.5.3 (verified boot); MCUboot design, Image Integrity",
)
SAID = Check(
    id="boot.refusal-said",
    title="the secure console says why an image was refused",
    requirement="docs/protocol.md, OTP area (the device can say what is wrong)",
)


@pytest.mark.needs("identity")
def test_the_build_that_was_flashed_runs(bench: Bench, device: Device, checks: Checks) -> None:
    said = device.describe().measurements
    for component in bench.trust.components(None):
        if component.type and component.type in said:
            checks.equal(IDENTITY, said[component.type], component.measurement, subject=component.type)


def test_the_images_are_signed_with_the_trusted_key(bench: Bench, checks: Checks) -> None:
    """The host's own look at the files, so that a device that accepts anything is not the only judge."""
    build = bench.pair.build
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


def flip(at: int) -> Callable[[bytes], bytes]:
    """Change one bit of an image."""
    return lambda image: image[:at] + bytes([image[at] ^ 1]) + image[at + 1 :]


TAMPERED: dict[str, Callable[[bytes], bytes]] = {
    "one bit of the code": flip(0x400 + 0x120),
    "one bit of the header's version": flip(20),
    "one bit of the last TLV (the signature)": flip(-8),
    "cut off in the middle": lambda image: image[: len(image) // 2],
    "no signature": lambda image: image[:-80] + b"\xff" * 80,
}


@pytest.fixture
def restored(bench: Bench, device: Device) -> Iterator[None]:
    """Whatever the test flashes, the next one finds the build under test."""
    del device  # ready before anything is changed
    yield
    bench.flash_again()


@pytest.mark.needs("fast-flash", "identity")
@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("change", TAMPERED)
def test_a_tampered_image_does_not_run(bench: Bench, checks: Checks, tmp_path: Path, change: str) -> None:
    build = bench.pair.build
    image = next((image for image in build.images if image.world == "nonsecure" and image.kind == "bin"), None)
    if image is None:
        pytest.skip(f"not covered: {build.name} has no signed non-secure image")
    path = tmp_path / "tampered.bin"
    path.write_bytes(TAMPERED[change](image.file.read_bytes()))
    images = tuple(other.model_copy(update={"file": path}) if other is image else other for other in build.images)
    variant: Build = build.model_copy(update={"images": images})
    marks = {name: console.mark() for name, console in bench.board.consoles.items()}
    bench.flash_variant(variant)
    said = wait_for_refusal(bench, marks)
    checks(SAID, said is not None, expected="a line with 'refused'", seen=said or "nothing", subject=change)
    checks(REFUSED, bench.stays_silent(), expected="no answer", seen="the tampered image answers", subject=change)


def wait_for_refusal(bench: Bench, marks: dict[str, Mark]) -> str | None:
    """The line that says so, on another console than the protocol's; None after five seconds."""
    name = next((name for name in marks if name != bench.pair.build.console), bench.pair.build.console)
    console = bench.board.console(name)
    try:
        with bench.booting():
            match = console.wait_for(REFUSAL, timeout=5.0, since=marks[name])
    except HarnessError:
        return None
    return match.data.decode()
