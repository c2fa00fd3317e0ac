"""Nights on many hosts: a scheduler and three workers on loopback, with the certificates that docs/nights.md makes."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tfm_harness.config.farm import EngineConfig
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.farm.engines.base import Finished, Job
from tfm_harness.farm.engines.local import LocalEngine
from tfm_harness.farm.engines.packed import pack, unpack
from tfm_harness.farm.engines.process import Session
from tfm_harness.farm.engines.remote import run_with
from tfm_harness.farm.storage import load_night

from tests.farm.farms import write
from tests.farm.test_command import FARM, FarmProject
from tests.reference_firmware import ROOT

PAGE = (ROOT / "docs" / "nights.md").read_text(encoding="utf-8")
LOOPBACK = "tls://127.0.0.1:0"


def until(holds: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


# -- a session's process


def job(body: str, session: str = "N.001.a.fw", seconds: float = 60.0) -> Job:
    write(Path("job_module.py"), body)
    return Job(session=session, board="a", command=("job_module", "{run}"), only=("x", "y"), seconds=seconds)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_a_session_has_its_folder_its_tests_and_its_output(here: Path) -> None:
    engine = LocalEngine(environment={"ADDED": "yes"})
    body = "import os, pathlib, sys\nprint(os.environ['ADDED'], pathlib.Path(sys.argv[1], 'only.txt').read_text())\n"
    body += "sys.exit(7)\n"
    engine.start(job(body), here / "s")
    done = wait(engine)
    assert (done.code, done.ended) == (7, "")
    assert (here / "s" / "output.txt").read_text().split() == ["yes", "x", "y"]


def wait(engine: LocalEngine) -> Finished:
    found: list[Finished] = []

    def ended() -> bool:
        found.extend(engine.wait(1.0))
        return bool(found)

    until(ended)
    return found[0]


POLITE = """
import pathlib, signal, sys, time
run = pathlib.Path(sys.argv[1])
try:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    (run / "began").touch()
    while True:
        time.sleep(0.05)
except KeyboardInterrupt:
    (run / "ended").touch()
    sys.exit(2)
"""


def test_a_session_that_is_stopped_ends_as_with_ctrl_c(here: Path) -> None:
    engine = LocalEngine()
    engine.start(job(POLITE), here / "s")
    until((here / "s" / "began").exists)
    engine.stop(["N.001.a.fw", "unknown"])
    done = wait(engine)
    assert (done.code, done.ended) == (2, "night")
    assert (here / "s" / "ended").exists()


def test_a_session_that_takes_too_long_is_ended_and_one_that_will_not_end_is_killed(here: Path) -> None:
    clock = iter(range(0, 100_000, 20)).__next__
    deaf = POLITE.replace("except KeyboardInterrupt:", "except SystemExit:").replace(
        "signal.default_int_handler", "signal.SIG_IGN"
    )
    session = Session(job(deaf, seconds=30.0), here / "s", clock=lambda: float(clock()))
    until((here / "s" / "began").exists)
    found: list[Finished] = []

    def ended() -> bool:
        found.extend(done for done in [session.poll()] if done is not None)
        return bool(found)

    until(ended)
    assert (found[0].code, found[0].ended) == (-signal.SIGKILL, "time")


def test_the_nights_own_settings_do_not_reach_a_session(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFM_HARNESS_QUICK", "1")
    monkeypatch.setenv("TFM_HARNESS_ANSWER_TIMEOUT", "20")
    monkeypatch.setenv("TFM_HARNESS_BASELINE", "postgresql://u:secret@h/d")
    engine = LocalEngine()
    engine.start(job("import os\nprint(sorted(k for k in os.environ if k.startswith('TFM_HARNESS_')))\n"), here / "s")
    wait(engine)
    said = (here / "s" / "output.txt").read_text()
    assert "QUICK" not in said
    assert "ANSWER_TIMEOUT" in said
    assert "BASELINE" in said  # a session of ours keeps its baselines where the night does


def test_closing_an_engine_leaves_nothing(here: Path) -> None:
    engine = LocalEngine()
    engine.start(job(POLITE), here / "s")
    until((here / "s" / "began").exists)
    process = engine._running["N.001.a.fw"].process
    engine.close()
    assert process.poll() is not None


# -- a session on another host


def test_a_session_of_a_silent_night_ends(here: Path) -> None:
    done = run_with(job(POLITE), lambda: {"beat": 1, "stop": []}, {}, 3.0)
    assert done["ended"] == "night"
    assert "output.txt" in zipfile.ZipFile(io.BytesIO(done["folder"])).namelist()


def test_a_session_that_the_night_stops_ends(here: Path) -> None:
    beats = iter(range(1000))
    done = run_with(job(POLITE), lambda: {"beat": next(beats), "stop": ["N.001.a.fw"]}, {}, 60.0)
    assert done["ended"] == "night"
    assert done["code"] in {2, -signal.SIGTERM}  # it may be so early that Python does not handle it yet


def test_without_a_scheduler_the_lease_runs_out(here: Path) -> None:
    assert run_with(job(POLITE), lambda: None, {}, 1.0)["ended"] == "night"


def test_nothing_of_a_session_stays_on_its_host(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(here / "tmp"))
    (here / "tmp").mkdir()
    run_with(job("print('x')"), lambda: None, {}, 60.0)
    assert list((here / "tmp").iterdir()) == []


# -- packed folders


def test_a_folder_travels_whole(tmp_path: Path) -> None:
    for name in ("run.json", "a/b/ns.log", "output.txt"):
        write(tmp_path / "from" / name, name * 100)
    data, message = pack(tmp_path / "from")
    unpack(data, tmp_path / "to")
    assert message == ""
    names = sorted(str(path.relative_to(tmp_path / "to")) for path in (tmp_path / "to").rglob("*") if path.is_file())
    assert names == ["a/b/ns.log", "output.txt", "run.json"]
    assert (tmp_path / "to" / "run.json").read_text() == "run.json" * 100


def test_what_is_too_large_stays_behind_and_the_record_goes_first(tmp_path: Path) -> None:
    write(tmp_path / "from" / "a.log", "x" * 1000)
    write(tmp_path / "from" / "run.json", "y" * 500)
    data, message = pack(tmp_path / "from", most=1200)
    assert zipfile.ZipFile(io.BytesIO(data)).namelist() == ["run.json"]
    assert "1 files were too large" in message


def archive(**names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, text in names.items():
            made.writestr(name, text)
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"nonsense", archive(**{"../out": "x"}), archive(**{"/out": "x"}), archive(**{"a/../../out": "x"}),
        archive(**{"a\\..\\out": "x"}), archive(big="x" * 2000), archive(a="x" * 100)[:-30],
    ],
)  # fmt: skip
def test_what_a_host_may_not_send(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InfrastructureError) as caught:
        unpack(data, tmp_path / "in" / "to", most=1000)
    assert caught.value.kind == "session-files"
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "in" / "out").exists()


# -- Dask


def shown(command: str, other: dict[str, str]) -> list[str]:
    """A command of the page, with some of its words replaced."""
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"dask {command} ")]
    words = shlex.split(line)[1:]
    assert set(other) <= set(words)
    return [other.get(word, word) for word in words]


class Hosts:
    """A scheduler and workers in processes of their own, as docs/nights.md starts them."""

    def __init__(self, project: FarmProject) -> None:
        self.project = project
        self.address = ""
        self.started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *words: str) -> Path:
        log = self.project.path / f"{name}.log"
        environment = {**self.project.environment(), "XDG_STATE_HOME": str(self.project.path / f"state-of-{name}")}
        with log.open("wb") as out:
            self.started[name] = subprocess.Popen(
                [sys.executable, "-m", "dask", *words], cwd=self.project.path, stdout=out, stderr=out,
                env=environment, start_new_session=True,
            )  # fmt: skip
        return log

    def scheduler(self) -> None:
        log = self.start("scheduler", *shown("scheduler", {"8786": "0"}), "--host", "127.0.0.1")
        until(lambda: re.search(rb"Scheduler at:\s+(tls://\S+)", log.read_bytes()))
        found = re.search(rb"Scheduler at:\s+(tls://\S+)", log.read_bytes())
        assert found is not None
        self.address = found[1].decode()

    def worker(self, name: str, *boards: str) -> None:
        resources = ",".join(f"{board}=1" for board in boards)
        here = {"tls://scheduler:8786": self.address, "mps3-1=1,mps3-2=1": resources}
        log = self.start(name, *shown("worker", here), "--no-nanny", "--name", name)
        until(lambda: b"Registered to:" in log.read_bytes())

    def kill(self, name: str) -> None:
        os.killpg(self.started[name].pid, signal.SIGKILL)
        self.started[name].wait()

    def end(self) -> None:
        for name, process in self.started.items():
            if process.poll() is None:
                self.kill(name)


def commands() -> list[str]:
    return [line for line in PAGE.splitlines() if line.startswith("openssl ")]


def make_certificates(folder: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    for command in commands():
        subprocess.run(command, shell=True, cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    pytest.importorskip("distributed", reason="Dask is not installed (extra: farm)")
    project = FarmProject(tmp_path)
    make_certificates(tmp_path)
    made = Hosts(project)
    try:
        made.scheduler()
        yield made
    finally:
        made.end()


def test_the_page_shows_all_three_commands() -> None:
    assert len(commands()) == 3


def test_the_farm_files_mistakes_about_engines(tmp_path: Path) -> None:
    project = FarmProject(tmp_path)
    write(tmp_path / "farm.yaml", FARM + "engine: {scheduler: 'tls://host:8786', ca: a, certificate: b, key: c}\n")
    done = project.run("night", "farm.yaml", "--no-store")
    assert done.returncode == 4
    assert "engine.ca is no file" in done.stderr or "Dask is not installed" in done.stderr
    assert not (tmp_path / "nights").exists()
    write(tmp_path / "farm.yaml", FARM)
    done = project.run("night", "farm.yaml", "--no-store", "--engine", "tls://host:8786")
    assert "--engine needs certificates" in done.stderr


@pytest.mark.nightly
def test_a_night_on_three_hosts_of_which_one_is_killed_in_the_middle(hosts: Hosts) -> None:
    project = hosts.project
    project.target("c")
    for name, board in (("one", "a"), ("two", "b"), ("three", "c")):
        hosts.worker(name, board)
    slow = (
        "import time\nfrom pathlib import Path\n\ndef test_quick(device):\n    assert device.describe()\n\n"
        "def test_waits(device, bench):\n    Path(f'waits-{bench.board.name}').touch()\n"
        "    while not Path('go').exists():\n        time.sleep(0.05)\n"
    )
    write(project.path / "suites" / "mine" / "test_mine.py", slow)
    write(
        project.path / "farm.yaml",
        FARM.replace("state_dir: state\n", "").replace("at_once: 2", "at_once: 3")
        + f"engine: {{scheduler: '{hosts.address}', ca: ca.pem, certificate: farm.pem, key: farm-key.pem}}\n",
    )
    process = project.start("night", "farm.yaml", "--no-store")
    try:
        until(lambda: len(list(project.path.glob("waits-*"))) == 2)
        victim = next(iter(project.path.glob("waits-*"))).name.removeprefix("waits-")
        hosts.kill({"a": "one", "b": "two", "c": "three"}[victim])
        (project.path / "go").touch()
        said, _ = process.communicate(timeout=240)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 0, said
    record = load_night(project.night)
    assert record.verdict == "passed"
    assert sum(count.outcomes.get("passed", 0) for count in record.counts) == 4
    lost = [session for session in record.sessions if session.trouble == "worker-lost"]
    assert [session.board for session in lost] == [victim]
    assert "worker-lost" in said
    assert {board.name: board.state for board in record.boards}[victim] == "Good"
    again = [session for session in record.sessions if session.tried]
    assert again[0].board != victim


@pytest.mark.nightly
def test_what_is_refused_before_a_night_begins(hosts: Hosts, tmp_path: Path) -> None:
    from tfm_harness.farm.engines.dask import DaskEngine

    hosts.worker("one", "board-1")
    folder = hosts.project.path
    config = EngineConfig(
        scheduler=hosts.address, ca=folder / "ca.pem", certificate=folder / "farm.pem", key=folder / "farm-key.pem"
    )
    DaskEngine(config, ["board-1"]).close()
    with pytest.raises(ConfigError, match="no worker offers the board 'bord-1'; did you mean 'board-1'"):
        DaskEngine(config, ["bord-1"])
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    make_certificates(stranger)
    for update in (
        {"certificate": stranger / "farm.pem", "key": stranger / "farm-key.pem"},
        {"scheduler": "tls://127.0.0.1:1"},
        {"ca": stranger / "ca.pem"},
    ):
        with pytest.raises(InfrastructureError) as caught:
            DaskEngine(config.model_copy(update=update), ["board-1"])
        assert caught.value.kind == "engine-unreachable"
