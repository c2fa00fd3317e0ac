"""The C test programs, compiled with address and undefined-behaviour sanitizers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from shown_figures import ShowFigure
from spe_images import KEY, image, key_file
from virtual_board import make_otp

from conftest import HERE

BUILD = HERE / "build"


def run(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("program", ["test_its", "test_ps", "test_iovec", "test_key_range", "test_wipe"])
def test_program(program: str, show_figure: ShowFigure) -> None:
    show_figure(run(BUILD / program).strip())


def test_a_wipe_left_out_is_noticed() -> None:
    done = subprocess.run([BUILD / "test_wipe.left_out"], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert "on_the_stack" in done.stderr


def test_otp(tmp_path: Path, show_figure: ShowFigure) -> None:
    area = tmp_path / "otp.bin"
    area.write_bytes(
        make_otp(
            b"\x11" * 32,
            b"\x33" * 32,
            model_key=b"\x44" * 32,
            implementation_id=b"\x22" * 32,
            certification_reference="1234567890128-12345",
            verification_service="https://verifier.example/",
        )
    )
    show_figure(run(BUILD / "test_otp", area).strip())


def test_no_broken_image_is_accepted(tmp_path: Path, show_figure: ShowFigure) -> None:
    signed = tmp_path / "image.bin"
    signed.write_bytes(image(payload=bytes(range(256)) * 4, key=KEY, name="sine"))
    output = run(BUILD / "mutate_image", signed, key_file(tmp_path, KEY), 20000)
    show_figure(f"images: {output.strip()}")
    assert "all refused" in output
    for kind in ("not an MCUboot image", "SHA-256 does not match", "another key", "signature does not verify"):
        assert kind in output, f"the mutations did not try: {kind}"


def test_the_mutator_notices_an_image_that_is_not_signed(tmp_path: Path) -> None:
    """The program's own verdict: the unbroken image must verify, or it proves nothing."""
    unsigned = tmp_path / "image.bin"
    unsigned.write_bytes(image(payload=b"model" * 100, key=None, name="sine"))
    done = subprocess.run(
        [BUILD / "mutate_image", unsigned, key_file(tmp_path, KEY), "1"], capture_output=True, timeout=300, check=False
    )
    assert done.returncode == 1
