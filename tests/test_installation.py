"""A package that is not installed is the installation's fault: no bug, no verdict; it is said what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tfm_harness.installation import missing_package
from tfm_harness.plugin.net import bug_of

WITHOUT = """
import sys
sys.modules[{module!r}] = None  # as when it is not installed
from tfm_harness.cli.main import main
sys.exit(main({words!r}))
"""
ROOT = Path(__file__).resolve().parents[1]


def without(module: str, words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    code = WITHOUT.format(module=module, words=words)
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize(
    ("module", "words", "package"),
    [
        ("alembic", ["history", "show", "--store", "s.sqlite"], "alembic>="),
        ("yaml", ["check", str(ROOT / "targets" / "qemu-an547.yaml")], "pyyaml>="),
        ("cryptography", ["verify", "token", str(ROOT / "README.md")], "cryptography>="),
        ("pydantic", ["builds"], "pydantic>="),
        ("sqlalchemy", ["baseline", "show", "--store", "s.sqlite"], "sqlalchemy>="),
    ],
)
def test_a_command_without_a_package_says_what_to_install(
    module: str, words: list[str], package: str, tmp_path: Path
) -> None:
    done = without(module, words, tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == 10, said
    assert "[infrastructure:package-missing]" in said
    assert f"-m pip install '{package}" in said
    assert "report this text" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("module", ["pydantic", "yaml"])
def test_tests_do_not_begin_without_a_package(module: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(device):\n    assert device.describe()\n")
    (tmp_path / "fw.yaml").write_text("protocol: smp\ntrust: {iak: provisioned, results: provisioned}\n")
    (tmp_path / "board.yaml").write_text("kind: attach\nconsoles: {ns: {kind: tcp, port: 1}}\n")
    code = f"import pytest, sys; sys.modules[{module!r}] = None; sys.exit(pytest.main(sys.argv[1:]))"
    words = ["--tfm-target", "board.yaml", "--tfm-build", "fw.yaml", "-p", "no:cacheprovider", "test_it.py"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    said = done.stdout + done.stderr
    assert done.returncode == 10, said
    assert "[infrastructure:package-missing]" in said
    assert "an error that the harness did not expect" not in said


def test_a_hook_without_a_package_is_no_bug_either() -> None:
    error = bug_of(ModuleNotFoundError("No module named 'smp'", name="smp"), "pytest_runtest_setup")
    assert error.kind == "package-missing"
    assert "pip install 'smp>=" in str(error)


def test_an_extra_is_named_where_the_package_belongs_to_one() -> None:
    error = missing_package(ModuleNotFoundError("No module named 'distributed'", name="distributed.client"))
    assert error is not None
    assert "pip install 'tfm-harness[farm]'" in str(error)


def test_a_package_that_cannot_be_loaded_is_upgraded() -> None:
    error = missing_package(ImportError("cannot import name 'Self' from 'sqlalchemy'", name="sqlalchemy"))
    assert error is not None
    assert "cannot be loaded: sqlalchemy" in str(error)
    assert "pip install --upgrade 'sqlalchemy>=2'" in str(error)


def test_a_part_of_python_is_not_to_be_installed_with_pip() -> None:
    error = missing_package(ModuleNotFoundError("No module named '_sqlite3'", name="_sqlite3"))
    assert error is not None
    assert "pip install" not in str(error)


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'tfm_harness.farm.gone'", name="tfm_harness.farm.gone"),
        ImportError("cannot import name 'x' from 'tfm_harness.farm'", name="tfm_harness.farm"),
        ImportError("raised by hand"),
        KeyError("alembic"),
    ],
)
def test_a_bug_stays_a_bug(error: Exception) -> None:
    assert missing_package(error) is None
