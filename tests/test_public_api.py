"""What suites may import: the list is complete, every name is there, and the suites keep to it."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PUBLIC = (
    "tfm_harness",
    "tfm_harness.console_suites",
    "tfm_harness.extensions",
    "tfm_harness.latency",
    "tfm_harness.parity",
    "tfm_harness.protocol.mlperf_tiny",
    "tfm_harness.protocol.smp",
    "tfm_harness.protocol.zephyr_shell",
    "tfm_harness.provisioning",
    "tfm_harness.testing",
    "tfm_harness.verify",
)
MODULES = {"cbor", "parse"}
"""Public modules of these packages."""
SUITES = sorted((ROOT / "suites").rglob("*.py"))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_exported_name_is_there(name: str) -> None:
    package = import_module(name)
    assert len(package.__all__) == len(set(package.__all__))
    for item in package.__all__:
        assert getattr(package, item) is not None
    homes = getattr(package, "_HOMES", None)
    if homes is not None:
        assert {name for names in homes.values() for name in names} == set(package.__all__)
        assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        package.nonsense  # noqa: B018 - the look-up itself is tested


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, tfm_harness; print([m for m in sys.modules if m.startswith('tfm_harness.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['tfm_harness.lazy']"


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_suites_use_the_public_names_only(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            assert not any(item.name.startswith("tfm_harness") for item in node.names)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tfm_harness"):
            assert node.module in PUBLIC, f"{path.name}:{node.lineno}: {node.module} is not public"
            package = import_module(node.module)
            for item in node.names:
                assert item.name in package.__all__ or item.name in MODULES, f"{path.name}:{node.lineno}: {item.name}"
