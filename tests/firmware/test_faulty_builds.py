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
CHECK = FIRMWARE / "tools" / "check_patches.sh"
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


MISFITS = {
    "other context": patch(context="THREE"),  # GNU patch would apply it with fuzz
    "no such file": patch(path="a/fw_builds/reference/spe/gone.c"),
    "other folder": patch(path="a/fw_builds/reference/tools/x.c"),  # not copied
    "twice": patch() + patch(),  # there already
    "garbage": "no patch\n",
}


@pytest.mark.parametrize("text", MISFITS.values(), ids=MISFITS)
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


# That every patch fits the sources is part of the firmware's own check: `make check-patches` there, which is this.
def test_the_check_of_all_patches_names_each_that_does_not_fit(sources: Path, tmp_path: Path) -> None:
    """Whatever stands before and behind it; a patch that fits does so behind one that does not."""
    patches = []
    for name, text in MISFITS.items():
        for path, content in ((f"{name} 1.patch", patch()), (f"{name} 2.patch", text), (f"{name} 3.patch", patch())):
            patches.append(tmp_path / path)
            patches[-1].write_text(content)
    checked = [CHECK, sources, *patches, tmp_path / "gone.patch"]
    done = subprocess.run(checked, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    unfit = [line for line in done.stderr.splitlines() if line.startswith(str(tmp_path))]
    assert [line.partition(".patch")[0] for line in unfit] == [*(f"{tmp_path / name} 2" for name in MISFITS),
                                                              f"{tmp_path / 'gone'}"]  # fmt: skip
    assert (sources / "spe" / "x.c").read_text() == TEXT
    subprocess.run([*checked[:2], tmp_path / "twice 1.patch", tmp_path / "garbage 3.patch"], check=True, timeout=60)


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
