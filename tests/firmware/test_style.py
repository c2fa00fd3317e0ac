"""One style, one licence line, and names that do not collide: the reference firmware's C."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "fw_builds" / "reference"
FOLDERS = ("partition", "spe", "pseudo_driver", "platform", "host_tests")
SOURCES = sorted(
    path
    for folder in FOLDERS
    for path in (FIRMWARE / folder).rglob("*.[ch]")
    if "build" not in path.relative_to(FIRMWARE).parts
)

PREFIXES = ("nn_", "tfm_", "psa_", "spe_", "spm_", "target_")
"""Of names that several files share."""
OWN_PREFIX = {
    "cbor_encode": "cbor_",
    "nn_flatbuffer": "fb_",
    "platform_client": "platform_",
    "mcuboot_image": "mcuboot_",
    "nspe_boot": "nspe_",
    "builtin_keys": "builtin_",
    "key_derivation": "derive_",
    "its_store": "its_",
    "ps_store": "ps_",
    "iovec": "iovecs_",
}
"""Where a file's prefix is not its own name."""
GIVEN = re.compile(r"(\w+_Handler|sampling_timer_flih|__acle_se_\w+|__\w+)$")
"""Names that CMSIS, TF-M's manifest and the linker script give."""


def test_each_file_has_its_licence_line() -> None:
    assert len(SOURCES) > 150
    bad = [path for path in SOURCES if not path.read_text().startswith("/* SPDX-License-Identifier: Apache-2.0 */\n")]
    assert bad == []


def test_the_formatter_has_nothing_to_do() -> None:
    formatter = ROOT / ".venv" / "bin" / "clang-format"
    if not formatter.exists():
        pytest.skip("clang-format is not installed (.ci/setup.sh test)")
    done = subprocess.run(
        [str(formatter), "--dry-run", "-Werror", *map(str, SOURCES)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[:2000]


def has_prefix(name: str, stem: str) -> bool:
    own = OWN_PREFIX.get(stem, f"{stem}_")
    return name in {stem, own.rstrip("_")} or name.startswith((own, f"{stem.removesuffix('s')}_", *PREFIXES))


def test_globals_of_the_secure_image_have_their_files_prefix() -> None:
    nm = shutil.which("arm-none-eabi-nm")
    image = FIRMWARE / "out" / "secure.map"
    if nm is None or not image.is_file():
        pytest.skip("the firmware is not built: make firmware")
    objects = sorted(set(re.findall(r"(?m)^LOAD (\S+/secure/(?:spe|partition|platform)/\S+\.o)$", image.read_text())))
    assert len(objects) > 50
    bad = []
    for path in objects:
        done = subprocess.run([nm, "-g", "--defined-only", path], capture_output=True, text=True, check=True)
        stem = Path(path).stem
        names = re.findall(r"(?m)^\S+ [A-Z] (\S+)$", done.stdout)
        bad += [f"{stem}: {name}" for name in names if not GIVEN.match(name) and not has_prefix(name, stem)]
    assert bad == []


def test_the_prefix_check_sees_a_name_without_one() -> None:
    assert has_prefix("sampler_step", "sampler")
    assert has_prefix("wipe", "wipe")
    assert not has_prefix("step", "sampler")
    assert not has_prefix("infer", "result")
