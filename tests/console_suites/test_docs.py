"""The pages say what the code does."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from tfm_harness.config.loading import load_build, load_target
from tfm_harness.console_suites.model import PROBLEM_KINDS
from tfm_harness.verify.catalogue import ALL

ROOT = Path(__file__).resolve().parents[2]


def test_every_kind_of_problem_is_described() -> None:
    page = (ROOT / "docs" / "console-suites.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \| (failed|incomplete) \| (.+) \|$", page, re.MULTILINE)
    assert {kind: (verdict, words) for kind, verdict, words in rows} == {
        kind: (str(verdict), words) for kind, (verdict, words) in PROBLEM_KINDS.items()
    }


def test_waivers_on_offer_name_checks_that_exist() -> None:
    ids = {check.id: check for check in ALL}
    for path in (ROOT / "fw_builds").glob("*/build.yaml"):
        for finding in re.findall(r"^#\s+- \{finding: ([a-z.*-]+),", path.read_text(), re.MULTILINE):
            named = [check for name, check in ids.items() if fnmatchcase(name, finding)]
            assert named, f"{path}: {finding}"
            assert any(check.waivable for check in named), f"{path}: {finding} cannot be waived"


@pytest.mark.parametrize("name", ["tf-m-regression", "tf-m-psa-arch-tests", "linaro-zephyr"])
def test_bundled_builds_fit_their_targets(name: str) -> None:
    build = load_build(ROOT / "fw_builds" / name, require_files=False)
    target = load_target(ROOT / "targets" / "qemu-an521.yaml")
    assert target.check_build(build) == []


def test_pages_link_to_pages_that_exist() -> None:
    for name in ("console-suites", "import-build", "other-firmware", "porting"):
        page = (ROOT / "docs" / f"{name}.md").read_text()
        for link in re.findall(r"\]\(([a-z-]+\.md)\)", page):
            assert (ROOT / "docs" / link).is_file(), f"{name}.md -> {link}"
        for path in re.findall(r"`((?:fw_builds|targets|spe)/[\w./-]+[\w])`", page):
            base = ROOT / "fw_builds" / "reference" if path.startswith("spe/") else ROOT
            found = (base / path).exists() or list(base.glob(path + "*"))
            assert found, f"{name}.md names {path}"
