"""The C tests, each a program that ends with 0 and under the sanitizers' eyes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "name", ["test_cbor", "test_frame", "test_server", "test_sensor", "test_result", "test_operations"]
)
def test_program(build: Path, name: str) -> None:
    done = subprocess.run([build / name], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"


def test_a_failing_check_fails(build: Path, tmp_path: Path) -> None:
    """The checks themselves: a program with a wrong one does not end with 0."""
    source = tmp_path / "wrong.c"
    source.write_text('#include "check.h"\nint main(void) { CHECK(1 == 2); return 0; }\n')
    subprocess.run(["gcc", "-I", build.parent, "-o", tmp_path / "wrong", source], check=True)
    done = subprocess.run([tmp_path / "wrong"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "1 == 2" in done.stderr
