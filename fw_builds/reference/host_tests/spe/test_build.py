"""What the build says when something is missing or misspelt: one line that helps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import HERE

REFERENCE = HERE.parents[1]


def make(*variables: str, **environment: str) -> str:
    """The complaint of a build that must fail."""
    done = subprocess.run(
        ["make", "-s", "-C", str(REFERENCE), f"PYTHON={sys.executable}", *variables],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**{k: v for k, v in os.environ.items() if not k.startswith("MAKE")}, **environment},
    )
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize(
    ("variable", "complaint"),
    [
        ("CROSS_COMPILE=nobody-", "nobody-gcc is missing: apt-get install gcc-arm-none-eabi"),
        ("PYTHON=/bin/false", "/bin/false has no imgtool or cryptography"),
        ("MUTANT=NO_SUCH", "MUTANT=NO_SUCH: no such faulty build; mutants/*.patch are they"),
        ("BEARSSL_DIR=/no such folder", "make cannot work with folders that have a space in their name"),
        ("ATTEST_PROFILE=NO_SUCH", "there are PSA_2023_TFM and PSA_IOT_1"),
    ],
)
def test_complaints(tmp_path: Path, variable: str, complaint: str) -> None:
    assert complaint in make(f"OUT={tmp_path}", variable)


@pytest.mark.parametrize("program", ["qemu-system-arm", "gcc", "openssl"])
def test_complaint_of_the_check(tmp_path: Path, program: str) -> None:
    """A machine on which all is installed but one program of the tests."""
    for folder in filter(Path.is_dir, map(Path, os.get_exec_path())):
        for tool in folder.iterdir():
            if tool.name != program and not (tmp_path / tool.name).exists():
                (tmp_path / tool.name).symlink_to(tool)
    assert f"{program} is missing, for the tests: apt-get install" in make("check", PATH=str(tmp_path))


def test_complaint_of_an_interpreter_without_the_tests_packages(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncase "$2" in *pytest*) exit 1 ;; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    assert f"{python} has not all packages of the tests" in make("check", f"PYTHON={python}")


def test_bearssl_folder_without_bearssl(tmp_path: Path) -> None:
    assert "no BearSSL there" in make(f"OUT={tmp_path}/out", f"BEARSSL_DIR={tmp_path}")


def test_no_package_sources(tmp_path: Path) -> None:
    fetch = [str(REFERENCE / "tools" / "fetch_bearssl.sh"), str(tmp_path / "bearssl")]
    done = subprocess.run(
        fetch, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "APT_ETC": str(tmp_path)}
    )
    assert done.returncode == 1
    assert "BEARSSL_DIR=<folder>" in done.stderr
    assert list(tmp_path.iterdir()) == []  # nothing is left


def test_signing_without_a_key(tmp_path: Path) -> None:
    command = [sys.executable, str(REFERENCE / "tools" / "sign_image.py"), os.devnull, str(tmp_path / "x")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert "--key or --unsigned is needed" in done.stderr
