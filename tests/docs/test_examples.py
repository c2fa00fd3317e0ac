"""The example packages: installed as a user installs them, then used through what they add."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tfm_harness.config.result_profile import read_result_profile
from tfm_harness.errors import HarnessError
from tfm_harness.extensions import POINTS
from tfm_harness.parity import get_engine
from tfm_harness.parity.frontend import get_frontend
from tfm_harness.testing import classifier

from tests.warm import run_in

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PACKAGES = sorted(path.parent for path in EXAMPLES.glob("*/pyproject.toml"))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all examples installed, from copies: building leaves nothing in the sources."""
    pytest.importorskip("hatchling", reason="hatchling is not installed (extra: dev)")
    folder = tmp_path_factory.mktemp("site")
    sources = tmp_path_factory.mktemp("sources") / "examples"
    shutil.copytree(EXAMPLES, sources, ignore=shutil.ignore_patterns("__pycache__"))
    words = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    words += ["--disable-pip-version-check", "--target", str(folder)]
    done = subprocess.run(
        [*words, *(str(sources / path.name) for path in PACKAGES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


def run(site: Path, program: str, *words: str, cwd: Path, new: bool = False) -> subprocess.CompletedProcess[str]:
    """``pytest`` or ``tfm-harness``, with the examples; `new`: by a new interpreter, not by a fork of one."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("TFM_HARNESS_", "PYTEST_"))
    }
    environment |= {"PYTHONPATH": str(site), "TFM_HARNESS_STATE_DIR": str(cwd / "state"), "COLUMNS": "160"}
    if not new:
        return run_in(cwd, list(words), environment, 300, program)
    return subprocess.run(
        [sys.executable, "-m", {"tfm-harness": "tfm_harness.cli.main"}.get(program, program), *words],
        capture_output=True, text=True, check=False, cwd=cwd, env=environment, timeout=300,
    )  # fmt: skip


def test_there_is_an_example_for_each_extension_point(site: Path, tmp_path: Path) -> None:
    done = run(site, "tfm-harness", "extensions", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)["extensions"]
    assert {row["point"] for row in found} == set(POINTS)
    assert not [row for row in found if row["problem"]]
    assert all(row["distribution"].startswith("tfm-harness-example-") for row in found)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's project with the example firmware on the example board."""
    build = tmp_path / "fw_builds" / "example"
    build.mkdir(parents=True)
    shutil.copy(EXAMPLES / "firmware" / "firmware.py", build)
    code = "import firmware, sys; sys.stdout.buffer.write(firmware.cose_key())"
    key = subprocess.run([sys.executable, "-c", code], cwd=build, capture_output=True, check=True)
    (build / "results.TEST_ONLY.cose").write_bytes(key.stdout)
    (build / "build.yaml").write_text(
        "images: [{file: firmware.py, world: secure, at: 0}]\n"
        "protocol: example-lines\n"
        "trust: {results: results.TEST_ONLY.cose}\n"
        "results: {profile: example-mean}\n"
    )
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "example.yaml").write_text(
        "kind: example-process\n"
        "consoles: {ns: main}\n"
        "sensors: {air: {model: example-hygrometer}}\n"
        f"stimulus: {{kind: example-file, path: {build / 'sensors.json'}}}\n"
    )
    return tmp_path


WITHOUT = ("-pno:hypothesispytest", "-pno:anyio")  # of the development environment; half the time of such a run
SUITE = ("tfm-harness", "run", "example-suite", "--target=example", "--build=example", "--", "-q", *WITHOUT)


def test_the_suite_from_a_wheel_passes_on_the_right_firmware(site: Path, project: Path) -> None:
    done = run(site, *SUITE, cwd=project, new=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 passed" in done.stdout


FAULTS = [("mean", "example.mean"), ("sensor", "example.sensor"), ("nonce", "result.nonce")]


@pytest.mark.parametrize(("fault", "check"), FAULTS)
def test_the_suite_fails_wrong_firmware(site: Path, project: Path, fault: str, check: str) -> None:
    (project / "fw_builds" / "example" / "fault").write_text(fault)
    done = run(site, *SUITE, cwd=project)
    assert done.returncode == 1, done.stdout + done.stderr
    assert check in done.stdout


def test_the_suite_is_listed_and_its_table_read(site: Path, project: Path) -> None:
    assert "example-suite" in run(site, "tfm-harness", "run", "--list", cwd=project).stdout
    done = run(
        site,
        "tfm-harness",
        "coverage",
        "example-suite",
        "--build",
        "example",
        "--target",
        "example",
        cwd=project,
    )
    assert done.returncode == 0, done.stderr
    assert "2 of 2 requirements would be proven" in done.stdout


@pytest.mark.parametrize(("example", "fewest"), [("board", 14), ("protocol", 13)])
def test_board_and_protocol_keep_the_contract(site: Path, tmp_path: Path, example: str, fewest: int) -> None:
    folder = EXAMPLES / example / "tests"
    words = ("-q", "-p", "no:cacheprovider", *WITHOUT, "-rs", f"--rootdir={tmp_path}", str(folder))
    done = run(site, "pytest", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = int(re.findall(r"(\d+) passed", done.stdout)[0])
    assert passed >= fewest, done.stdout


def test_the_engine_gives_the_known_answers(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(site)
    try:
        engine = get_engine("example-tflite")
    except HarnessError as error:
        if error.kind == "engine-missing" and "No module named" in (error.seen or ""):
            pytest.skip("neither tflite-runtime nor ai-edge-litert is installed")
        raise
    model = classifier(seed=1)
    with engine, get_engine() as other:
        assert engine.record.name == "example-tflite"
        info = engine.info(model)
        inputs = np.random.default_rng(1).integers(-128, 128, (8, *info.inputs[0].shape), dtype=np.int8)
        assert np.array_equal(engine.run(model, inputs)[0], other.run(model, inputs)[0])


def test_the_front_end_makes_tensors(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(site)
    windows = np.arange(3 * 32 * 5, dtype=np.int32).reshape(3, 32, 5) - 200
    tensors = get_frontend("example-mean")(windows)
    assert tensors.shape == (3, 5)
    assert tensors[0, 0] == int(windows[0, :, 0].mean() // 1) >> 4


def test_the_console_suite_judges_what_unity_prints(site: Path, tmp_path: Path) -> None:
    text = "unity: led\nrun test_on\ntest_led.c:12:test_on:PASS\nrun test_off\ntest_led.c:20:test_off:{}\n{}\n"
    for outcome, last, code in (("PASS", "OK", 0), ("FAIL: it stays on", "FAIL", 1)):
        (tmp_path / "uart.log").write_text(text.format(outcome, last))
        done = run(site, "tfm-harness", "console-suite", "--suite", "example-unity", "uart.log", cwd=tmp_path)
        assert done.returncode == code, done.stdout + done.stderr


def test_the_result_profile_is_known_by_name(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(site)
    profile = read_result_profile("example-mean")
    assert profile.title == "Example firmware, signed mean"
    assert [claim.name for claim in profile.claims] == ["nonce", "mean", "counter"]
