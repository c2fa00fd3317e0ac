"""The page of the public API is made from the docstrings, is up to date, and says something of each name."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from tfm_harness import errors
from tfm_harness.extensions import API_GROUP, API_VERSION, POINTS

from tests.scripts import load_script
from tests.test_public_api import PUBLIC

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made() -> ModuleType:
    return load_script(ROOT / ".ci" / "build_api.py")


def test_the_page_is_made_from_the_docstrings(made: ModuleType) -> None:
    assert (ROOT / "docs" / "api.md").read_text(encoding="utf-8") == made.page(), "run: python .ci/build_api.py"


def test_the_page_has_every_public_name(made: ModuleType) -> None:
    assert set(made.PUBLIC) == set(PUBLIC)
    text = made.page()
    for package in PUBLIC:
        for name in import_module(package).__all__:
            assert f"\n### {package}.{name}\n" in text


def test_every_public_name_says_what_it_is(made: ModuleType) -> None:
    silent = []
    for package in made.PUBLIC:
        for name, home in made.exported(package).items():
            lines = made.entry(name, home, package).splitlines()[1:]
            words = [line for line in lines if line and line[0] != "*" and not (line[0] == line[-1] == "`")]
            if not words:
                silent.append(f"{package}.{name}")
    assert silent == []


def test_the_tree_of_errors_is_the_one_in_the_code(made: ModuleType) -> None:
    tree = made.HEAD.partition("```text")[2].partition("```")[0]
    shown = set(re.findall(r"\b([A-Z]\w+(?:Error|Bug)|Refused)\b", tree))
    assert set(errors.__all__) - {"Responsibility"} <= shown
    assert issubclass(errors.ExtensionError, errors.ConfigError)


def test_the_page_on_extending_has_every_extension_point() -> None:
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| [\w -]+ \| `(tfm_harness\.\w+)` \|", text, re.MULTILINE)) == {
        point.group for point in POINTS.values()
    }
    for point in POINTS.values():
        assert point.thing in text
    versions = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")
    assert f'"{API_GROUP}"' in versions
    assert f'"v{API_VERSION}"' in versions
    assert re.search(rf"^\| {API_VERSION} \|", versions, re.MULTILINE)
