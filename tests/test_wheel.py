"""The wheel, without a checkout: what it carries, and the first commands of a user who has nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.reference_firmware import ROOT, needs_firmware

pytest.importorskip("hatchling", reason="hatchling is not installed (extra: dev)")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def tool(site: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The wheel's own command, far from any checkout."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("TFM_HARNESS_")}
    env |= {"PYTHONPATH": str(site), "XDG_STATE_HOME": str(cwd / "state"), "XDG_CONFIG_HOME": str(cwd / "config")}
    command = [sys.executable, "-m", "tfm_harness.cli.main", *words]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)


def test_what_it_carries(unpacked: Path) -> None:
    carried = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    inside = {path.removeprefix("tfm_harness/_bundled/") for path in carried}
    assert {
        "docs/index.md",
        "docs/schemas/target.schema.json",
        "docs/schemas/build.schema.json",
        "docs/boards/serial.md",
        "docs/protocol.cddl",
        "README.md",
        "LICENSE",
        "targets/qemu-an547.yaml",
        "suites/boot/test_boot.py",
        "fw_builds/reference/build.yaml",
        "fw_builds/linaro-zephyr/build.yaml",
    } <= inside
    assert not [path for path in carried if "__pycache__" in path or path.endswith((".o", ".map", ".pyc"))]
    package = ROOT / "harness"
    code = {str(path.relative_to(package)) for path in package.rglob("*.py")}
    assert code <= carried


def test_links_of_bundled_pages_lead_into_the_wheel(unpacked: Path) -> None:
    """Pages of docs/ that users read; a link to the sources of the firmware leads nowhere without a checkout."""
    from tests.docs.test_pages import LINK

    bundle = unpacked / "tfm_harness" / "_bundled"
    dead = set()
    for page in [bundle / "README.md", *sorted((bundle / "docs").rglob("*.md"))]:
        for link in LINK.findall(page.read_text(encoding="utf-8")):
            path = link.partition("#")[0]
            if path and "://" not in link and not (page.parent / path).exists():
                dead.add(os.path.normpath((page.parent / path).relative_to(bundle)))
    assert {path for path in dead if not path.startswith(("fw_builds/reference", "harness/", "benchmarks"))} == set()


@needs_firmware
@pytest.mark.qemu
def test_the_first_example_of_run_works(unpacked: Path, tmp_path: Path) -> None:
    """One test of it: the others differ in nothing that a wheel could lack."""
    words = ["run", "sensor", "--target", "qemu-an547", "--build", "reference", "--", "-k", "constants"]
    done = tool(unpacked, tmp_path, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert str(unpacked) in tool(unpacked, tmp_path, "docs", "--path").stdout


@needs_firmware
def test_a_project_from_the_wheel(unpacked: Path, tmp_path: Path) -> None:
    done = tool(unpacked, tmp_path, "init", "p")
    assert done.returncode == 0, done.stderr
    checked = tool(unpacked, tmp_path, "check", "p/targets/my-board.yaml", "p/fw_builds/my-firmware")
    assert checked.returncode == 0, checked.stderr
    assert (tmp_path / "p" / "fw_builds" / "my-firmware" / "LICENSE.BearSSL.txt").is_file()


def test_the_bill_of_materials_of_the_harness_itself(unpacked: Path) -> None:
    """CycloneDX 1.6, valid, and every requirement of pyproject.toml is in it."""
    text = (unpacked / "tfm_harness" / "_bundled" / "tfm-harness.cdx.json").read_text()
    bill = json.loads(text)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    names = {re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", word)[0]).lower() for word in wanted}  # type: ignore[index]
    parts = {part["name"]: part for part in bill["components"]}
    assert names | {"bearssl"} == parts.keys()
    assert parts["numpy"]["scope"] == "required"
    assert parts["mypy"]["scope"] == "optional"
    (own,) = bill["dependencies"]
    assert own["ref"] == bill["metadata"]["component"]["purl"]
    assert set(own["dependsOn"]) == {part["bom-ref"] for part in parts.values()}
    validation = pytest.importorskip("cyclonedx.validation.json", reason="extra evidence is not installed")
    from cyclonedx.schema import SchemaVersion

    assert validation.JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
