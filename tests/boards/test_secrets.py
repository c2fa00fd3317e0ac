"""Passwords and keys: in no argument, no child's environment, no error, and nothing that a run leaves."""

from __future__ import annotations

import datetime as dt
import json
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tfm_harness.boards.base import PowerState, RunContext
from tfm_harness.boards.board_store import sweep
from tfm_harness.boards.fvp.board import FvpBoard
from tfm_harness.boards.power import make_power
from tfm_harness.cli.main import main
from tfm_harness.config.build import Build
from tfm_harness.config.fvp import FvpTarget
from tfm_harness.config.loading import load_target
from tfm_harness.config.power import PduPower
from tfm_harness.errors import InfrastructureError
from tfm_harness.history.database import Database
from tfm_harness.history.pages import Site
from tfm_harness.history.summary import summary as mail
from tfm_harness.report import load_run
from tfm_harness.safe_text import hide_secrets
from tfm_harness.testing.simulators import fvp as simulator

from tests.campaigns.exports import every_export
from tests.evidence.conftest import TEST_ONLY_SIGNING, pem
from tests.farm.test_command import FarmProject
from tests.plugin.conftest import Project, project

__all__ = ["project"]

PLANTED = [f"S3CRET-{number:02d}-TESTONLY" for number in range(12)]
FORMS = (
    "http://admin:{}@pdu.lab/outlet",
    "https://user:{}@pdu.lab",
    "admin:{}@pdu.lab",
    "rfc2217://user:{}@[fe80::1]:2217",
    "rfc2217://lab:2217?password={}&ign_set_control",
    "postgresql://ci:{}@db/baseline",
    "postgresql+psycopg://ci@db/baseline?sslmode=require&password={}",
    "postgresql://db/baseline?passwd={}&user=ci",
    "ws://:{}@coordinator:20408/ws",
    "pdu.lab/control?outlet=3;pwd={}",
    "switch --password={} --outlet 3",
    "curl http://x/?api_key={}",
)


@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_a_password_passes_an_error(form: str) -> None:
    for secret in (PLANTED[0], "p@ss%2Fwörd", "a:b"):
        text = form.replace("{}", secret)
        error = InfrastructureError(text, kind="k", expected=text, seen=f"seen {text} there", where=text, hint=text)
        assert secret not in str(error) + repr(error.args)
        assert secret not in hide_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "expected: sha256:00ff@0x1000",
        "image.bin@0x10000000",
        "token: 412 bytes",
        "key = 3, token = 4",
        "user@host: no route",
        "http://host:4001/path@2",
        "suites/boot/test_boot.py::test_it[a@b]",
        "a mail to ci@lab.example, port 80:",
    ],
)
def test_what_is_no_password_stays(text: str) -> None:
    assert hide_secrets(text) == text


def test_a_pdus_password_is_in_no_argument_and_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = tmp_path / "python"
    spy.write_text(
        f"#!{sys.executable}\nimport sys, os, json\n"
        f"json.dump([sys.argv, dict(os.environ)], open({str(tmp_path / 'seen')!r}, 'w'))\n"
        "host = json.load(sys.stdin)[1]\n"
        "print(json.dumps(['error', 'ConnectionError: ' + host]))\n"
    )
    spy.chmod(0o755)
    monkeypatch.setenv("TFM_HARNESS_BASELINE", f"postgresql://ci:{PLANTED[5]}@db/x")
    monkeypatch.setenv("PGPASSWORD", PLANTED[6])
    config = PduPower(
        kind="pdu", model="rest", host=f"http://admin:{PLANTED[0]}@127.0.0.1:9/x?password={PLANTED[1]}", index=1,
        python=str(spy),
    )  # fmt: skip
    with pytest.raises(InfrastructureError) as caught:
        make_power(config).set(PowerState.ON)
    everything = (tmp_path / "seen").read_text() + str(caught.value)
    assert "127.0.0.1:9" in str(caught.value), "the spy was asked"
    assert not [secret for secret in PLANTED if secret in everything]


def test_nothing_that_a_run_leaves_holds_a_planted_secret(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that meets each of them in errors, logs, record, page and JUnit."""
    lines = [form.format(secret) for form, secret in zip(FORMS, PLANTED, strict=True)]
    monkeypatch.setenv("TFM_HARNESS_BASELINE", f"sqlite:///{project.path}/b.sqlite?password={PLANTED[0]}")
    project.test(
        "import json, pytest\nfrom pathlib import Path\n"
        "from tfm_harness.errors import InfrastructureError, ProductError\n"
        f"LINES = json.loads(Path({str(project.path / 'lines')!r}).read_text())\n"
        "@pytest.mark.parametrize('n', range(12))\n"
        "def test_bench(device, n):\n"
        "    raise InfrastructureError(LINES[n], kind='port-refused', seen=LINES[n], where=LINES[n], hint=LINES[n])\n"
    )
    (project.path / "lines").write_text(json.dumps(lines))
    result = project.run("--junitxml", "out.xml", "--tfm-run-dir", "run", "--tb=short", "--tfm-store", "s.sqlite")
    assert result.ret == 10
    left = {"stdout": "\n".join(result.outlines), "stderr": "\n".join(result.errlines)}
    left |= made_of(project.path / "run", project.path / "s.sqlite", project.path)
    left |= files_in(project.path / "out.xml", project.path / "run", project.path / "state", project.path / "s.sqlite")
    assert {"run.json", "report.html", "out.xml", "s.sqlite", "index.html"} <= left.keys()
    assert "***" in left["run.json"]
    assert not found_in(left)


def files_in(*places: Path) -> dict[str, str]:
    """The text of every file of these folders, by name."""
    paths = [path for place in places for path in (place, *place.rglob("*")) if path.is_file()]
    return {path.name: path.read_bytes().decode(errors="replace") for path in paths}


def found_in(left: Mapping[str, str]) -> list[tuple[str, str]]:
    """Each output with the secret that it holds."""
    return [(name, secret) for name, text in left.items() for secret in PLANTED if secret in text]


def made_of(run: Path, store: Path, folder: Path) -> dict[str, str]:
    """All that is made of a run later: exports, the store's pages and mail, a bundle of evidence."""
    made = {f"export/{name}": text for name, text in every_export(load_run(run)).items()}
    with Database(str(store)) as database:
        made["mail.md"] = mail(database, dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        Site(database).write(folder / "pages", nights=4)
    (folder / "TEST_ONLY_key.pem").write_bytes(pem(TEST_ONLY_SIGNING))
    words = ["--key", str(folder / "TEST_ONLY_key.pem"), "--output", str(folder / "bundle")]
    assert main(["evidence", "make", str(run), *words, "--leave-out", "images", "--leave-out", "models"]) == 0
    return made | files_in(folder / "pages", folder / "bundle")


STORES = ("postgresql://ci:{}@127.0.0.1:9/x", "postgresql+psycopg://ci@127.0.0.1:9/x?password={}")
COMMANDS = (
    ["history", "runs", "--store"], ["history", "show", "--store"], ["history", "summary", "--store"],
    ["baseline", "show", "--store"], ["boards", "health", "--store"], ["dashboard", "--store"],
    ["history", "export-site", "pages", "--store"], ["history", "prune", "--keep-nights", "1", "--store"],
)  # fmt: skip


@pytest.mark.parametrize("form", STORES)
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_stores_password_is_in_no_words_of_a_command(
    words: list[str], form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFM_HARNESS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: None)
    main([*words, form.format(PLANTED[3])])
    said = capsys.readouterr()
    assert not found_in({"stdout": said.out, "stderr": said.err, **files_in(tmp_path)})


@pytest.mark.nightly
@pytest.mark.timeout(300)
def test_nothing_that_a_night_leaves_holds_a_planted_secret(tmp_path: Path) -> None:
    """Sessions that meet each of them, and a store that cannot be reached."""
    farm = FarmProject(tmp_path)
    lines = [form.format(secret) for form, secret in zip(FORMS, PLANTED, strict=True)]
    (tmp_path / "lines").write_text(json.dumps(lines))
    (tmp_path / "suites" / "mine" / "test_mine.py").write_text(
        "import json, pytest\nfrom pathlib import Path\n"
        "from tfm_harness.errors import InfrastructureError, ProductError\n"
        f"LINES = json.loads(Path({str(tmp_path / 'lines')!r}).read_text())\n"
        "@pytest.mark.parametrize('n', range(12))\n"
        "def test_product(device, n):\n"
        "    raise ProductError(LINES[n], kind='k', seen=LINES[n], where=LINES[n], hint=LINES[n])\n"
    )
    (tmp_path / "farm.yaml").write_text(
        "builds: [right]\npools: {hall: {targets: [a]}}\nsuites: [mine]\n"
        "golden: {build: gold, suites: [prove]}\nstate_dir: state\n"
    )
    done = farm.run("night", "farm.yaml")
    assert done.returncode == 1, done.stdout + done.stderr
    left = {"stdout": done.stdout, "stderr": done.stderr, **files_in(tmp_path / "nights", tmp_path / "state")}
    assert {"night.json", "run.json", "store.sqlite", "junit.xml"} <= left.keys()
    assert not found_in(left)
    refused = farm.run("night", "farm.yaml", "--store", STORES[0].format(PLANTED[4]))
    assert refused.returncode not in {0, 1}
    assert not found_in({"stdout": refused.stdout, "stderr": refused.stderr, **files_in(tmp_path / "nights")})


@pytest.mark.qemu
def test_an_fvps_fuses_are_not_in_the_runs_folder(tmp_path: Path, probe_build: Build) -> None:
    """They lie in the state folder, for their owner alone; what a killed run left is swept."""
    (tmp_path / "fvp").mkdir()
    binary = simulator.install(tmp_path / "fvp")
    target = load_target("fvp-corstone300").model_copy(update={"name": "fvp", "binary": str(binary)})
    assert isinstance(target, FvpTarget)
    left = tmp_path / "state" / "burned" / "fvp.4194305"  # above the kernel's largest number of a process
    left.mkdir(parents=True)
    (left / "otp.bin").write_bytes(b"huk")
    with FvpBoard(target, RunContext(tmp_path / "run", tmp_path / "state")) as board:
        assert not left.exists()
        board.flash(probe_build)
        huk = board.identity.huk
        assert huk is not None
        holders = [
            p for p in tmp_path.rglob("*") if p.is_file() and p.stat().st_size < 1 << 20 and huk in p.read_bytes()
        ]
        assert holders
        for path in holders:
            assert path.is_relative_to(tmp_path / "state")
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list((tmp_path / "state" / "burned").iterdir())


def test_only_what_the_dead_left_is_swept(tmp_path: Path) -> None:
    for name in (f"a.{os.getpid()}", "b.4194305", "plain", "c.x"):
        (tmp_path / name).mkdir()
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([f"a.{os.getpid()}", "c.x", "plain"])


@pytest.mark.parametrize("mask", [0o077, 0o027, 0o022])
def test_the_umask_is_respected(project: Project, mask: int) -> None:
    project.test("def test_it(device): device.describe()\n")
    before = os.umask(mask)
    try:
        project.run("--tfm-run-dir", "run")
    finally:
        os.umask(before)
    wrong = [path for path in (project.path / "run").rglob("*") if stat.S_IMODE(path.stat().st_mode) & mask]
    assert not wrong
