"""On the reference firmware in QEMU: the clean image is bit-exact, each wrong one is caught and its operator named."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from tfm_harness.boards.base import RunContext
from tfm_harness.boards.qemu.board import QemuBoard
from tfm_harness.boards.virtual import Burned
from tfm_harness.cli.main import main
from tfm_harness.config.build import Build
from tfm_harness.config.loading import load_build
from tfm_harness.config.qemu import QemuTarget
from tfm_harness.findings import Report
from tfm_harness.latency import (
    Clock,
    ClockQuality,
    CounterReading,
    Series,
    check_phases,
    check_rate,
    check_run_accounts,
)
from tfm_harness.parity.engine_choice import get_engine
from tfm_harness.parity.engines import ReferenceEngine
from tfm_harness.parity.firstop import check_trace
from tfm_harness.parity.generate import generate_inputs
from tfm_harness.parity.session import SessionResult, run_session
from tfm_harness.protocol.base import Source
from tfm_harness.protocol.smp.client import PHASES, SmpDriver

from tests.reference_firmware import FIRMWARE, needs_firmware

pytestmark = [pytest.mark.qemu, needs_firmware]

ASSEMBLY_AND_TEST = 0x1000
"""PSA lifecycle in which the firmware gives traces (docs/protocol.md)."""

Boot = Callable[..., AbstractContextManager[tuple[Build, SmpDriver]]]


@pytest.fixture(scope="module")
def engine() -> Iterator[ReferenceEngine]:
    with get_engine() as found:
        yield found


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes (once) the clean firmware or a mutant; returns the folder of its images."""
    made: dict[str, Path] = {}

    def make(mutant: str) -> Path:
        for tool in ("arm-none-eabi-gcc", "qemu-system-arm", "make"):
            if shutil.which(tool) is None:
                pytest.skip(f"{tool} is not installed")
        if mutant not in made:
            folder = tmp_path_factory.mktemp(mutant or "clean")
            words = ["make", "-C", str(FIRMWARE), f"OUT={folder}", f"PYTHON={sys.executable}"]
            words += [f"MUTANT={mutant}"] if mutant else []
            done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, done.stderr[-2000:]
            made[mutant] = folder
        return made[mutant]

    return make


def build_in(folder: Path) -> Build:
    """The reference build with its images taken from another folder."""
    build = load_build("reference")
    images = [image.model_copy(update={"file": folder / image.file.name}) for image in build.images]
    models = {
        name: model.model_copy(update={"image": folder / model.image.name if model.image else None})
        for name, model in build.models.items()
    }
    return build.model_copy(update={"images": tuple(images), "models": models})


@pytest.fixture
def boot(images: Callable[[str], Path], qemu_target: QemuTarget, tmp_path: Path) -> Boot:
    """Boots the clean firmware or a mutant in the lifecycle that allows traces."""

    @contextmanager
    def start(mutant: str, *, counted: bool = False) -> Iterator[tuple[Build, SmpDriver]]:
        build = build_in(images(mutant))
        context = RunContext(tmp_path / "run", tmp_path / "state", fresh_identity=True)
        with QemuBoard(qemu_target.model_copy(update={"name": "parity"}), context) as board:
            board.provision(Burned(lifecycle=ASSEMBLY_AND_TEST))
            board.count_instructions(counted)
            board.flash(build)
            client = SmpDriver(board.console(build.console), timeout=30)
            client.wait_ready(timeout=60)
            yield build, client

    return start


def session(
    engine: ReferenceEngine, build: Build, client: SmpDriver, name: str, count: int, report: Report, folder: Path
) -> SessionResult:
    """`count` generated vectors of one model."""
    client.select_model(name)
    path = build.model_file(name)
    model = path.read_bytes()
    info = engine.info(model, name)
    found = generate_inputs(info, lambda arrays: engine.run(model, arrays, name=name), count, seed=3)
    return run_session(
        engine,
        model,
        found.inputs,
        client.batch,
        report,
        name=name,
        trace=client,
        save_to=folder,
        seed=3,
        context={"model": str(path)},
    )


def failed(report: Report) -> set[str]:
    return {finding.id for finding in report.failed}


# An inference of keyword takes as long as a hundred others, and a trace is one for each operator: that at night.
@pytest.mark.parametrize(
    ("counts", "traced"),
    [
        ({"sine": 256, "tamper": 40, "keyword": 3}, {"sine", "tamper"}),
        pytest.param({"sine": 400, "tamper": 100, "keyword": 20}, {"keyword"}, marks=pytest.mark.nightly),
    ],
)
def test_the_clean_firmware_is_bit_exact(
    engine: ReferenceEngine, boot: Boot, tmp_path: Path, counts: dict[str, int], traced: set[str]
) -> None:
    with boot("") as (build, client):
        for name, count in counts.items():
            report = Report()
            result = session(engine, build, client, name, count, report, tmp_path)
            assert report.ok, [f"{f.id}: {f.seen}" for f in report.failed]
            assert result.comparison.exact
            assert result.comparison.vectors == count
            if name in traced:
                model = build.model_file(name).read_bytes()
                info = engine.info(model, name)
                shape = (1, *info.inputs[0].shape)
                vector = np.random.default_rng(4).integers(-128, 128, shape, dtype=np.int8)
                assert check_trace(engine, model, [vector], client, report, name=name) is None
                assert report.ok
    assert not list(tmp_path.glob("parity-*.json"))


@pytest.mark.parametrize("mutant", ["REQUANT_ROUNDING", "WEIGHT_CHANGED", "SOFTMAX_OFF_BY_ONE"])
def test_a_wrong_kernel_is_caught_and_named(
    engine: ReferenceEngine, boot: Boot, tmp_path: Path, mutant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with boot(mutant) as (build, client):
        report = Report()
        result = session(engine, build, client, "tamper", 60, report, tmp_path)
    assert "parity.bit-exact" in failed(report)
    assert "parity.op-outputs" in failed(report)
    assert "parity.model-graph" not in failed(report)
    assert result.first_op is not None
    named = next(f for f in report.failed if f.id == "parity.op-outputs").where
    assert named == str(result.first_op.operator)
    if mutant == "SOFTMAX_OFF_BY_ONE":
        assert result.first_op.operator.name == "SOFTMAX"
        assert result.first_op.max_lsb == 1
    else:
        assert result.first_op.operator.name != "SOFTMAX"
    assert result.failure is not None
    assert main(["replay", str(result.failure)]) == 1
    assert "the difference was made on the device" in capsys.readouterr().out


def test_another_model_is_caught(engine: ReferenceEngine, boot: Boot, tmp_path: Path) -> None:
    with boot("MODEL_SWAPPED") as (build, client):
        report = Report()
        session(engine, build, client, "tamper", 40, report, tmp_path)
    assert "parity.bit-exact" in failed(report)
    assert failed(report) & {"parity.op-outputs", "parity.model-graph"}


@pytest.mark.parametrize("mutant", ["", "TICKS_NOT_THE_WORK"])
def test_ticks_are_the_work(boot: Boot, mutant: str) -> None:
    """By counted instructions: time that a busy host takes is not in them."""
    with boot(mutant, counted=True) as (_, client):
        client.select_model("tamper")
        described = client.describe()
        clock = Clock(
            source="sse-counter",
            hz=described.clock_hz or 0,
            bits=64,
            quality=ClockQuality.DETERMINISTIC,
        )
        run = client.latency(8)
        series = Series(name="tamper", ticks=run.ticks, empty=run.empty, clock=clock)
        report = Report()
        check_run_accounts(series, start=run.start, end=run.end, report=report)
        size = described.raw["in"]
        assert isinstance(size, int)
        answer = client.infer(nonce=bytes(32), source=Source.HOST, data=bytes(size))
        marks = [answer.ticks[phase] for phase in PHASES]
        work = (run.end - run.start) / 8  # what an inference takes, whatever its own ticks say
        check_phases(
            marks,
            clock=clock,
            host_seconds=answer.host_seconds,
            report=report,
            bound=30,
            inference_ticks=work if mutant else min(work, *series.ticks),
        )
    if not mutant:
        assert report.ok, [f"{f.id}: {f.seen}" for f in report.failed]
    else:
        assert failed(report) & {"latency.run-accounts", "latency.result-ticks"}
        assert all(f.where == "inference" for f in report.failed)


def test_the_counters_rate_is_the_declared_one(boot: Boot) -> None:
    """And a clock constant that is 3 % off, or that of another board, is a finding on the same readings."""
    import time

    with boot("") as (_, client):
        client.select_model("sine")
        readings: list[CounterReading] = []
        end = time.monotonic() + 1.0
        while len(readings) < 2 or time.monotonic() < end:
            before = time.monotonic()
            ticks = client.latency(1).end
            readings.append(CounterReading(before, ticks, time.monotonic()))
        hz = client.describe().clock_hz
        assert hz is not None
    # The two tightest readings of each half bound the rate best.
    half = len(readings) // 2
    pair = [min(part, key=lambda r: r.after - r.before) for part in (readings[:half], readings[half:])]
    for declared, ok in ((hz, True), (25_000_000, False), (hz * 2, False)):
        report = Report()
        clock = Clock(source="sse-counter", hz=declared, bits=64, quality=ClockQuality.MEANINGLESS, tracks_host=True)
        check_rate(clock, pair, report)
        assert report.ok is ok, [f.seen for f in report]
