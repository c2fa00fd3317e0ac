"""Faulty builds of the reference firmware: patches on a copy of the sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tfm_harness.config.loading import load_build

from tests.reference_firmware import FIRMWARE, needs_firmware

COPY = FIRMWARE / "tools" / "faulty_sources.sh"
PARTS = ("partition", "spe", "pseudo_driver", "platform")
SHIPPED = ("partition", "spe", "pseudo_driver")
PATH = "a/fw_builds/reference/spe/x.c"
TEXT = "one\ntwo\nthree\nfour\nfive\nsix\nseven\n"


def patch(*, context: str = "three", path: str = PATH) -> str:
    """Changes "four" behind a line of context."""
    return f"--- {path}\n+++ {path.replace('a/', 'b/', 1)}\n@@ -3,3 +3,3 @@\n {context}\n-four\n+FOUR\n five\n"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    for part in PARTS:
        (tmp_path / "sources" / part).mkdir(parents=True)
    (tmp_path / "sources" / "spe" / "x.c").write_text(TEXT)
    return tmp_path / "sources"


def copied(sources: Path, text: str) -> subprocess.CompletedProcess[str]:
    fault = sources.parent / "FAULT.patch"
    fault.write_text(text)
    folder = sources.parent / "copy"
    return subprocess.run([COPY, sources, fault, folder], capture_output=True, text=True, timeout=60, check=False)


def test_the_copy_holds_the_fault_and_the_sources_do_not(sources: Path) -> None:
    assert copied(sources, patch()).returncode == 0
    assert "FOUR" in (sources.parent / "copy" / "spe" / "x.c").read_text()
    assert (sources / "spe" / "x.c").read_text() == TEXT


def test_a_patch_whose_place_moved_applies(sources: Path) -> None:
    (sources / "spe" / "x.c").write_text("zero\n" * 20 + TEXT)
    assert copied(sources, patch()).returncode == 0
    assert "FOUR" in (sources.parent / "copy" / "spe" / "x.c").read_text()


@pytest.mark.parametrize(
    "text",
    [
        patch(context="THREE"),  # GNU patch would apply it with fuzz
        patch(path="a/fw_builds/reference/spe/gone.c"),
        patch(path="a/fw_builds/reference/tools/x.c"),  # not copied
        patch() + patch(),  # there already
        "no patch\n",
    ],
    ids=["other context", "no such file", "other folder", "twice", "garbage"],
)
def test_a_patch_that_does_not_fit_fails_and_leaves_nothing(sources: Path, text: str) -> None:
    done = copied(sources, text)
    assert done.returncode == 1
    assert "FAULT.patch does not apply to the sources any more" in done.stderr
    assert sorted(path.name for path in sources.parent.iterdir()) == ["FAULT.patch", "sources"]


def test_the_copy_follows_its_sources(sources: Path) -> None:
    """The same again changes nothing; a changed source or patch does."""
    copy = sources.parent / "copy" / "spe" / "x.c"
    assert copied(sources, patch()).returncode == 0
    made = copy.stat().st_mtime_ns
    assert copied(sources, patch()).returncode == 0
    assert copy.stat().st_mtime_ns == made
    (sources / "spe" / "x.c").write_text(TEXT + "eight\n")
    assert copied(sources, patch()).returncode == 0
    assert copy.read_text().endswith("eight\n")


# That every patch fits the sources is part of the firmware's own check: `make check-patches` there.


def test_the_product_holds_no_fault() -> None:
    """No word of faulty builds in what a vendor takes."""
    for part in SHIPPED:
        for path in sorted((FIRMWARE / part).rglob("*")):
            if path.suffix in {".c", ".h", ".mk", ".txt", ".yaml"}:
                text = path.read_text()
                assert "MUTANT" not in text, path
                assert "aulty build" not in text, path


@needs_firmware
def test_the_manifest_of_a_faulty_build_is_one_that_the_harness_takes(tmp_path: Path) -> None:
    for tool in ("arm-none-eabi-gcc", "make"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = [
        "make",
        "-s",
        "-C",
        str(FIRMWARE),
        "MUTANT=LIFECYCLE_WRONG",
        f"OUT={tmp_path}",
        f"PYTHON={sys.executable}",
    ]
    subprocess.run(command, check=True, timeout=600, env=environment, capture_output=True)
    build, right = load_build(str(tmp_path / "build.yaml")), load_build("reference")
    assert build.name == "reference-LIFECYCLE-WRONG"
    assert build.attestation == right.attestation
    assert build.files == right.files
    assert build.trust == right.trust
    assert [model.file for model in build.models.values()] == [model.file for model in right.models.values()]
    assert {image.file.parent for image in build.images} == {tmp_path}
    assert all(image.file.is_file() for image in build.images)
