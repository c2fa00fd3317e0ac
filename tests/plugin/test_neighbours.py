"""Other plugins of people who test boards, installed together with ours in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
import tfm_harness

from tests.plugin.conftest import Project

NEIGHBOURS = (
    "pytest-embedded>=2.9.3",  # declares --target, --port and --build-dir
    "labgrid==26.0.1",
    "pytest-xdist",
    "pytest-timeout",
    "pytest-rerunfailures",
    "pytest-html",
    "pytest-randomly",
    "pytest-cov",
)
WITHOUT = ("-pno:hypothesispytest", "-pno:anyio")  # come with our development environment, and only cost time
UNREACHABLE = ("after connection broken by", "Temporary failure in name resolution", "NewConnectionError")
SUITE = """
import pytest
from tfm_harness.findings import Check

WORKS = Check(id="neighbours.works", title="the plugins work together", requirement="TEST")

@pytest.mark.parametrize("number", range(4))
def test_asks(device, checks, number):
    checks(WORKS, device.describe() is not None)

def test_needs_no_board(tmp_path):
    assert tmp_path.is_dir()
"""


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment: ours below it, the other plugins in it."""
    folder = tmp_path_factory.mktemp("neighbours") / "venv"
    venv.create(folder)
    found = folder / "bin" / "python"
    site = next((folder / "lib").glob("python*/site-packages"))
    package = Path(tfm_harness.__file__).parents[1]
    (site / "zz_ours.pth").write_text(f"{sysconfig.get_path('purelib')}\n{package}\n")
    command = [sys.executable, "-m", "pip", f"--python={found}", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-compile", *NEIGHBOURS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode and any(words in done.stderr for words in UNREACHABLE):
        pytest.skip("the package registry cannot be reached: the other plugins could not be installed")
    assert done.returncode == 0, done.stderr
    return found


@pytest.fixture
def start(project: Project, python: Path) -> Callable[..., pytest.RunResult]:
    """Runs pytest in the user's folder with every plugin that is installed."""

    def start(*words: str) -> pytest.RunResult:
        command = (str(python), "-m", "pytest", "-p", "no:cacheprovider", *WITHOUT, *words)
        return project.pytester.run(*command, timeout=300)

    return start


BOARDS = ("--tfm-target=bench", "--tfm-build=fw")


def test_all_are_loaded_and_a_suite_runs(project: Project, start: Callable[..., pytest.RunResult]) -> None:
    project.test(SUITE)
    result = start(*BOARDS, "--timeout=120", "--reruns=1", "--html=page.html", "--cov=mine", "-v", "--junitxml=out.xml")
    result.assert_outcomes(passed=5)
    assert result.ret == 0
    text = result.stdout.str()
    for name in ("embedded", "labgrid", "xdist", "timeout", "rerunfailures", "html", "randomly", "cov", "tfm-harness"):
        assert f"{name}-" in text, f"{name} was not loaded"
    assert project.life() == ["acquire", "flash", "release"]
    assert "test_asks" in (project.path / "page.html").read_text()
    assert "harness.board" in (project.path / "out.xml").read_text() or "bench+fw" in text


@pytest.mark.nightly
def test_options_of_the_same_word_are_each_plugins_own(
    project: Project, start: Callable[..., pytest.RunResult]
) -> None:
    project.test("def test_it(device, request): assert request.config.getoption('target') == 'esp32'\n")
    result = start(*BOARDS, "--target=esp32", "--port=/dev/null")
    result.assert_outcomes(passed=1)


@pytest.mark.nightly
def test_workers_hold_a_board_each(project: Project, start: Callable[..., pytest.RunResult]) -> None:
    project.test(SUITE)
    project.target("second")
    result = start(*BOARDS, "--tfm-target=second", "--tfm-pool", "-n", "2", "--timeout=120", "--cov=mine", "--reruns=1")
    result.assert_outcomes(passed=5)
    assert result.ret == 0
    lives = project.life() + project.life("second")
    assert lives.count("acquire") == lives.count("release") >= 1


def test_a_failed_test_is_rerun_and_its_failure_is_the_products(
    project: Project, start: Callable[..., pytest.RunResult]
) -> None:
    project.test(SUITE.replace("is not None)", "is None)").replace("range(4)", "range(1)"))
    result = start(*BOARDS, "--reruns=2", "--html=page.html")
    assert result.ret == 1
    outcomes = result.parseoutcomes()
    assert (outcomes["failed"], outcomes["rerun"], outcomes["passed"]) == (1, 2, 1)
    result.stdout.fnmatch_lines(["*neighbours.works*"])
