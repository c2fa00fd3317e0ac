"""Boot: what was flashed runs, and only what is signed runs."""

from __future__ import annotations

import hashlib
import re

import pytest
from tfm_harness import (
    Bench,
    Burned,
    Check,
    Checks,
    Console,
    Device,
    Mark,
    Reference,
    ResetKind,
    VirtualBoard,
    check_build_images,
)
from tfm_harness.testing import NoObjectError, with_object
from tfm_harness.verify import boot_seed, parse_mcuboot

REFERENCE = "tfm-harness-reference"
COUNT_OWNER, COUNT_UID = 259, 1
ALIKE = (2688, 90288)
"""Numbers of entropy areas whose digests begin with the same four bytes."""
NV_COPIES = 0x20000
"""Bytes of the NV area that hold both copies of what is kept."""
FEATURES = (
    "describe", "identity", "infer", "signed-result", "nonce", "psa-token", "public-keys", "csr", "sensor",
    "free-running", "batch", "latency", "probe", "psa-call", "models", "update", "reset", "stats", "log", "hold",
    "input-upload", "encrypted-result", "protected-storage",
)  # fmt: skip
"""Of the reference firmware in every lifecycle but *assembly and test*."""

DESCRIBED = Check(
    id="boot.described",
    title="the firmware describes itself as it is: versions, limits, lifecycle, the active model and its sizes",
    requirement="docs/protocol.md, describe",
)
LOGGED = Check(
    id="boot.log-true",
    title="what the secure console says about a boot is true",
    requirement="PSA Security Model 1.1 s.4.9 (secure events are logged)",
)
FRAME = (b"\x06\x09", b"\x04\x14")
"""How the lines of an SMP frame begin (docs/protocol.md, Transport)."""
LINE, MOST_BEFORE = 5.0, 1 << 16
"""Seconds for a boot's first line, once the board was told to reset; bytes of frames before it, at most."""
READY = Check(
    id="boot.ready-said",
    title="after each boot the first line on the firmware's own console is the documented one",
    requirement="docs/protocol.md, Transport (after a boot the first line is `[NS] ready`)",
)
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
COUNT_WIDTH = Check(
    id="boot.count-width",
    title="boots are counted across 8, 16 and 31 bits, and each of them has a seed of its own",
    requirement="docs/protocol.md, describe; RFC 9783 s.4.3.2 (the boot seed identifies the boot)",
)
COMES_BACK = Check(
    id="boot.reset-on-request",
    title="the firmware resets when it is asked to, and answers again",
    requirement="docs/protocol.md, reset",
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
    """The host checks the files itself: a device that accepts anything must not be the only judge."""
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
    counts = counts_boots(device)
    seeds = []
    for kind, number in ((ResetKind.COLD, 0), (ResetKind.WARM, 1), (ResetKind.WARM, 2), (ResetKind.COLD, 0)):
        said = device.reset(kind)
        seeds.append(said.boot_seed)
        if counts:
            checks.equal(COUNTS, said.boot, number, subject=f"{kind} reset {len(seeds)}")
    checks(
        SEED_CHANGES,
        None not in seeds and len(set(seeds)) == len(seeds),
        expected=f"{len(seeds)} different seeds",
        seen=", ".join(seed.hex()[:16] if seed else "none" for seed in seeds),
    )


@pytest.mark.needs("describe", "reset")
def test_the_firmware_resets_itself_when_asked(bench: Bench, device: Device, checks: Checks) -> None:
    before = device.describe().boot
    after = bench.reset_by_request()  # fails where it does not reset, or does not come back
    checks(COMES_BACK, True)
    if before is not None:
        checks.equal(COUNTS, after.boot, before + 1)


def counts_boots(device: Device) -> bool:
    """Whether the firmware counts its boots: TF-M has no such number, and `describe` then leaves it out."""
    return device.describe().boot is not None


@pytest.mark.needs("describe", "known-secrets", "models", "cold-reset")
def test_the_firmware_describes_itself_as_it_is(
    bench: Bench, device: Device, reference: Reference, checks: Checks
) -> None:
    """Compares every field with the build, the target and the files, for each model that is active."""
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: what this firmware says of itself is documented elsewhere")
    build, target = bench.combination.build, bench.combination.target
    image = next((image for image in build.images if image.component == "NSPE"), None)
    for name in build.models:
        device.select_model(name)
        raw = device.describe().raw
        _, info = reference.model(name)
        wanted: dict[str, object] = {
            "proto": 1, "fw": REFERENCE, "mtu": 4096, "win": 32, "life": bench.board.identity.lifecycle, "otp": "ok",
            "hz": target.clock.hz if target.clock else raw.get("hz"), "model": name, "mid": bytes.fromhex(info.sha256),
            "in": info.input_bytes, "out": info.output_bytes,
            "prof": build.attestation.profile if build.attestation else raw.get("prof"),
        }  # fmt: skip
        if image is not None:
            wanted["ver"] = parse_mcuboot(image.file.read_bytes()).version_text.partition("+")[0]
        for key, value in wanted.items():
            checks.equal(DESCRIBED, raw.get(key), value, subject=f"{name}: {key}")
    features = device.describe().raw.get("feat")
    assert isinstance(features, list)
    checks.equal(DESCRIBED, len(set(features)), len(features), subject="features, each once")
    checks.equal(DESCRIBED, sorted(map(str, features)), sorted(FEATURES), subject="features of a secured device")


@pytest.mark.needs("describe", "cold-reset", "warm-reset")
def test_the_first_line_after_a_boot_is_the_documented_one(bench: Bench, device: Device, checks: Checks) -> None:
    """To the byte: who reads the line by machine finds nothing else in it.

    Where a reset takes a moment, the boot before may still answer a request; such an answer is a frame, and no line.
    """
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: what this firmware says first is not known")
    console = bench.board.console(bench.combination.build.console)
    for kind in (ResetKind.COLD, ResetKind.WARM):
        mark = console.mark()
        device.reset(kind)
        checks.equal(READY, first_line(console, mark), b"[NS] ready", subject=str(kind))


def first_line(console: Console, mark: Mark) -> bytes:
    """The first whole line since the mark that is no frame, waited for as long as something comes within seconds."""
    while True:
        text = console.read_from(mark, limit=MOST_BEFORE)
        said = [line for line in text.split(b"\n")[:-1] if not line.startswith(FRAME)]
        if said or len(text) == MOST_BEFORE or not console.wait_data(Mark(mark.offset + len(text)), timeout=LINE):
            return said[0] if said else b""


@pytest.mark.needs("describe", "known-secrets", "cold-reset", "warm-reset", "stats")
def test_the_secure_console_tells_the_truth(bench: Bench, device: Device, checks: Checks) -> None:
    """What is logged at a boot is what an operator believes: measurement, versions, counters, lifecycle, boots."""
    if bench.description.firmware != REFERENCE or len(bench.board.consoles) < 2:
        pytest.skip("not covered: no secure console of the reference firmware")
    own = bench.combination.build.console
    console = bench.board.console(next(name for name in bench.board.consoles if name != own))
    for number, kind in ((1, ResetKind.COLD), (2, ResetKind.WARM), (3, ResetKind.WARM)):
        mark = console.mark()
        said = device.reset(kind)
        console.wait_for(re.compile(rb"starting the non-secure image at tick [0-9]+\n"), timeout=30, since=mark)
        log = console.read_from(mark).decode("ascii", "replace")
        entry = next(entry for entry in device.test_commands.models() if entry.active)
        expected = {
            "lifecycle": f"OTP ok, lifecycle {said.lifecycle:08x}\n",
            "boots": f"boot {number} of this board since power on\n",
            "measurement": f"measurement {said.measurements['SPE'].hex()}\n",
            "image": f"NSPE image {said.raw['ver']} verified, security counter ",
            "model": f"MODEL image {entry.name} {entry.version} verified, security counter {entry.counter}\n",
        }
        refusals = [line for line in log.splitlines() if "refused" in line or "corrupt" in line]
        checks.equal(LOGGED, refusals, [], subject=f"{kind} {number}: nothing was refused")
        for subject, line in expected.items():
            checks(LOGGED, line in log, expected=line.strip(), seen=log[-600:], subject=f"{kind} {number}: {subject}")


@pytest.mark.thorough
@pytest.mark.needs("describe", "nv-access", "warm-reset", "cold-reset", "nonvolatile")
def test_boots_are_counted_beyond_every_width(
    bench: Bench, device: Device, virtual: VirtualBoard, checks: Checks
) -> None:
    """If the counter began again at zero, the seed of an earlier boot would come back, and with it old attestations."""
    source = bench.seed_source
    if bench.description.firmware != REFERENCE or source is None:
        pytest.skip("not covered: where this firmware counts its boots, or what its seeds follow from, is not known")
    entropy = source[0]
    digest = hashlib.sha256(b"TFME" + bytes(4) + entropy + bytes(24)).digest()  # docs/protocol.md, Entropy area
    with virtual.keeping():
        for bits in (8, 16, 31):
            before = (1 << bits) - 2
            record = digest + before.to_bytes(4, "little")
            try:
                content = with_object(virtual.nv.read(), COUNT_OWNER, COUNT_UID, record)
            except NoObjectError as error:
                pytest.skip(f"not covered: {error}")
            virtual.nv.write(0, content[:NV_COPIES])
            for number in range(before + 1, before + 4):
                said = device.reset(ResetKind.WARM)
                checks.equal(COUNT_WIDTH, said.boot, number, subject=f"boot {number:#x}")
                checks.equal(COUNT_WIDTH, said.boot_seed, boot_seed(entropy, number), subject=f"seed {number:#x}")


@pytest.mark.thorough
@pytest.mark.needs("describe", "provision", "cold-reset")
def test_a_cold_start_is_told_by_all_of_its_entropy(
    bench: Bench, device: Device, virtual: VirtualBoard, checks: Checks
) -> None:
    """Two cold starts whose entropy has a partly equal digest.

    A firmware that takes the second one for a warm reset goes on counting.
    """
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: by what this firmware tells a cold start from a reset is not known")
    with virtual.fuses() as burn:
        for number in ALIKE:
            entropy = hashlib.sha256(f"TEST_ONLY entropy {number}".encode()).digest()
            burn(Burned(entropy=b"TFME" + bytes(4) + entropy + bytes(24)))
            said = device.describe()
            checks.equal(COUNTS, said.boot, 0, subject=f"entropy {number}")
            checks.equal(COUNT_WIDTH, said.boot_seed, boot_seed(entropy, 0), subject=f"seed of entropy {number}")
