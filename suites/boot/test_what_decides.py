"""By which key images are verified (the one in the fuses), and when (at every reset)."""

from __future__ import annotations

import pytest
from tfm_harness import (
    Bench,
    Burned,
    Check,
    Checks,
    Device,
    ImageTrials,
    ResetKind,
    StoppedCpu,
    VirtualBoard,
)
from tfm_harness.testing import flip
from tfm_harness.verify import TlvType

REFERENCE = "tfm-harness-reference"
FUSED_KEY = Check(
    id="boot.fused-key",
    title="images and models that another key has signed than the one in the fuses are refused",
    requirement="PSA Security Model 1.1 s.5.3 (immutable root of trust); docs/protocol.md, OTP area",
)
EVERY_RESET = Check(
    id="boot.verified-at-every-reset",
    title="the image is verified at every start, after a warm reset too",
    requirement="PSA Security Model 1.1 s.5.3 (verified boot); CWE-367",
)


@pytest.mark.needs("provision", "nv-access", "known-secrets")
def test_the_key_that_the_fuses_name_is_the_one_that_counts(
    bench: Bench, device: Device, virtual: VirtualBoard, checks: Checks, trial: ImageTrials
) -> None:
    """A board of another vendor, or of another product line, runs none of this build's images.

    What is in its fuses differs in the last byte, or the first: no part of a hash is enough.
    """
    if bench.missing(["identity"]):
        pytest.skip("not covered: no identity")
    own = next((tlv.value for tlv in trial.signed.parts.tlvs if tlv.type == TlvType.KEYHASH), bytes(range(100, 132)))
    last, first = flip(len(own) - 1)(own), flip(0)(own)
    with virtual.fuses() as burn:
        burn(Burned(image_key_hash=last), answers=False)
        checks(FUSED_KEY, bench.stays_silent(), expected="no answer", seen="the image answers", subject="image key")
        burn(Burned(model_key_hash=first), answers=False)
        if checks(FUSED_KEY, bench.answers(), expected="an answer", seen="none", subject="model key: the image runs"):
            active = [entry.name for entry in device.test_commands.models() if entry.active]
            checks.equal(FUSED_KEY, active, [], subject="model key: active models")


@pytest.mark.needs("nv-access", "write-stops", "warm-reset", "cold-reset", "identity")
def test_an_image_is_verified_at_every_reset(
    bench: Bench, device: Device, trial: ImageTrials, virtual: VirtualBoard, checks: Checks
) -> None:
    """The image changes during a boot, before the secure side verifies it. After a warm reset it must verify, too."""
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: at which write to what it keeps this firmware has not verified yet is not known")
    image = next(
        image for image in bench.combination.build.images if image.world == "nonsecure" and image.kind == "bin"
    )
    before = virtual.nv.read()
    device.reset(ResetKind.WARM)
    after = virtual.nv.read()
    at = next((n for n in range(0, len(after), 4) if after[n : n + 4] != before[n : n + 4]), None)
    if at is None or image.at is None:
        pytest.skip("not covered: a boot changes nothing that is kept, so that there is no place to stop at")
    place = image.at + trial.signed.code - 4  # signed, and never run: what is not verified goes on as if nothing were
    silent: list[bool] = []

    def change(cpu: StoppedCpu) -> None:
        word = cpu.read(place, 4)
        cpu.write(place, bytes([word[0] ^ 1]) + word[1:])

    def restart() -> None:
        device.test_commands.request_reset()  # a reset from outside would stop the CPU as well
        bench.reset_monitor.await_reset(30.0)
        silent.append(bench.stays_silent())

    try:
        with bench.reset_monitor.expected_reset():
            stopped = virtual.in_secure_code(restart, virtual.nv.address + at, change)
        if not stopped:
            pytest.skip("not covered: the secure side could not be stopped before it verifies")
        checks(EVERY_RESET, silent == [True], expected="no answer", seen="the changed image runs")
    finally:
        device.reset(ResetKind.COLD)
