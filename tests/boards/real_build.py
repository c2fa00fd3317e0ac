"""The reference firmware as a real board has it: fuses are an image, keys are files, the harness draws nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from tfm_harness.boards.otp_layout import default_implementation_id, make_entropy, make_otp
from tfm_harness.boards.provision import key_hash
from tfm_harness.verify.derive import reference_private_key

from tests.reference_firmware import FIRMWARE, ROOT
from tests.warm import run_in

HUK_TEST_ONLY: Final = bytes(range(32))


def write_build(folder: Path, *, huk: bytes = HUK_TEST_ONLY, entropy: bool = False) -> Path:
    """A build whose every byte has an address; with `entropy`, for boards that have none. Returns its build.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    image_key = key_hash(FIRMWARE / "keys" / "image_signing_pub.pem")
    otp = make_otp(
        huk=huk,
        lifecycle=0x3000,
        implementation_id=default_implementation_id("bench"),
        image_key_hash=image_key,
        model_key_hash=image_key,
    )
    (folder / "otp.bin").write_bytes(otp)
    (folder / "entropy.bin").write_bytes(make_entropy())
    extra = "  - {file: entropy.bin, world: data, at: 0x38001000}\n" if entropy else ""
    for role in ("iak", "result", "client"):
        public = reference_private_key(huk, role).public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{role}.pem").write_bytes(pem)
    out, models = FIRMWARE / "out", FIRMWARE / "models"
    (folder / "build.yaml").write_text(
        f"""\
name: bench
images:
  - {{file: {out}/secure.elf, world: secure, component: SPE}}
  - {{file: {out}/nonsecure.signed.bin, world: nonsecure, at: 0x01000000, component: NSPE}}
  - {{file: otp.bin, world: data, at: 0x38000000}}
{extra}  - {{file: {out}/tamper.signed.bin, world: model, at: 0x38100000}}
  - {{file: {out}/sine.signed.bin, world: model, at: 0x38160000}}
  - {{file: {out}/keyword.signed.bin, world: model, at: 0x381C0000}}
protocol: smp
models:
  tamper: {{file: {models}/tamper.tflite, image: {out}/tamper.signed.bin, input: sensor, frontend: reference}}
  sine: {{file: {models}/sine.tflite, image: {out}/sine.signed.bin}}
  keyword: {{file: {models}/keyword.tflite, image: {out}/keyword.signed.bin}}
trust: {{iak: iak.pem, results: result.pem, client: client.pem, images: {FIRMWARE}/keys/image_signing_pub.pem}}
attestation: {{profile: "tag:psacertified.org,2023:psa#tfm"}}
results: {{profile: tfm-harness-reference}}
"""
    )
    return folder / "build.yaml"


def run_suites(
    folder: Path, target: Path, build: Path | str, *suites: str, timeout: float = 500
) -> subprocess.CompletedProcess[str]:
    """The suites as users run them, without the thorough tests: what a board kind does shows in the others."""
    words = ["-q", "-rs", "-p", "no:cacheprovider", f"--tfm-target={target}"]
    words += [f"--tfm-build={build}", f"--tfm-run-dir={folder}/run", f"--tfm-state-dir={folder}/state"]
    words += ["--tfm-quick", *(str(ROOT / "suites" / suite) for suite in suites)]
    return run_in(ROOT, words, os.environ, timeout)
