"""Reference engines: what they prove, refuse and survive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tfm_harness.errors import ConfigError, HarnessError, InfrastructureError
from tfm_harness.parity import small_models, testkit
from tfm_harness.parity.engine_choice import get_engine, second_oracle
from tfm_harness.parity.engine_names import DEFAULT_ENGINES
from tfm_harness.parity.engines import ReferenceEngine
from tfm_harness.parity.process import WorkerProcess
from tfm_harness.parity.selftest import load_vectors, prove

from tests.lent_engines import own_workers
from tests.parity.installed import OPTIMISED, TFLITE, needs_optimised, needs_tflite

__all__ = ["own_workers"]

pytestmark = pytest.mark.usefixtures("own_workers")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def engine(own_workers: None) -> Iterator[ReferenceEngine]:
    with get_engine() as found:
        yield found


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processor_ticks(pid: int) -> int:
    """User time of a process in clock ticks."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def worker_of(engine: ReferenceEngine) -> WorkerProcess:
    assert engine._worker is not None
    return engine._worker


def test_record_names_the_oracle(engine: ReferenceEngine) -> None:
    record = engine.record
    assert record.name in DEFAULT_ENGINES
    if TFLITE:
        assert record.name == TFLITE
        assert record.resolver == "BUILTIN_REF"
        assert record.version in {"2.14.0", "1.2.0"}
    assert record.threads == 1
    assert record.as_dict()["python"]


def test_known_vectors_pass_and_cover_the_types() -> None:
    vectors = load_vectors()
    assert {"int8-classifier", "int16-dense", "float32-dense"} == set(vectors)
    for _, _, outputs in vectors.values():
        rows = np.concatenate([o.reshape(len(o), -1) for o in outputs], axis=1)
        assert len(np.unique(rows, axis=0)) == len(rows), "a self-test of equal outputs proves little"


@needs_optimised
def test_wrong_resolver_fails_the_self_test() -> None:
    """The same package with its optimised kernels is no oracle and must be refused."""
    engine = ReferenceEngine(OPTIMISED, self_test=False)
    with engine, pytest.raises(InfrastructureError) as caught:
        prove(engine)
    assert caught.value.kind == "engine-refused"
    assert "elements differ" in str(caught.value.seen)


def test_float_models_run_bit_for_bit(engine: ReferenceEngine) -> None:
    model = small_models.dense("float32", width=3, units=1, layers=1, seed=4)
    info = engine.info(model)
    rng = np.random.default_rng(4)
    weights, bias = rng.normal(size=(1, 3)).astype(np.float32), rng.normal(size=1).astype(np.float32)
    x = np.array([[[1.0, 2.0, -0.5]]], dtype=np.float32)
    expected = x.reshape(1, 3) @ weights.T + bias
    (out,) = engine.run(model, x)
    assert out.shape == (1, *info.outputs[0].shape)
    assert np.allclose(out.reshape(1, 1), expected, rtol=1e-6)


def test_several_inputs_and_outputs(engine: ReferenceEngine) -> None:
    model = small_models.two_in_two_out()
    inputs = [np.full((3, 1, 6), value, dtype=np.int8) for value in (10, 20)]
    total, dense = engine.run(model, inputs, name="pair")
    # real: 10 * 0.1 + (20 - 2) * 0.07 = 2.26; / 0.15 - 1 = 14.07
    assert (total == 14).all()
    assert dense.shape == (3, 1, 4)


def test_outputs_are_computed_while_a_block_runs(engine: ReferenceEngine) -> None:
    model = small_models.dense("int8", width=3, units=1, layers=1, seed=4)
    x = np.arange(300, dtype=np.int8).reshape(100, 1, 3)
    with engine.computing(model, x, name="beside") as right:
        pass
    assert right.done()
    assert np.array_equal(right.result()[0], engine.run(model, x)[0])
    with engine.computing(model, x.astype(np.int32), name="beside") as wrong:
        assert isinstance(wrong.exception(), ConfigError)
    with pytest.raises(ZeroDivisionError), engine.computing(model, x) as left:
        raise ZeroDivisionError
    assert left.done()


def test_intermediate_tensors_are_available(engine: ReferenceEngine) -> None:
    model = small_models.classifier()
    info = engine.info(model)
    inputs = np.random.default_rng(1).integers(-128, 128, (1, 1, 1, 96, 2), dtype=np.int8)
    found = engine.tensors(model, [inputs], [op.outputs[0] for op in info.operators])
    outputs = engine.run(model, [inputs])
    assert (found[-1] == outputs[1][0]).all()
    assert (found[-2] == outputs[0][0]).all()
    assert found[0].size == 94 * 4


def skip_model(*, with_add: bool) -> bytes:
    """A dense layer, and (`with_add`) the sum of its output and the input."""
    m = testkit.ModelBuilder()
    source = m.tensor([1, 6], scale=0.1)
    out = m.dense(source, 6, np.random.default_rng(5), scale=0.3)
    m.inputs = [source]
    if with_add:
        total = m.tensor([1, 6], scale=0.4)
        m.op("ADD", [out, source], [total])
        out = total
    m.outputs = [out]
    return m.build()


def test_what_is_computed_in_place_is_not_lost() -> None:
    """TFLite's ADD writes over its first input, even when asked to preserve all tensors."""
    inputs = np.random.default_rng(2).integers(-128, 128, (1, 1, 6), dtype=np.int8)
    oracles = [get_engine(), *([o] if (o := second_oracle()) else [])]
    for engine in oracles:
        with engine:
            model = skip_model(with_add=True)
            dense, total = engine.tensors(model, inputs, [op.outputs[0] for op in engine.info(model).operators])
            (alone,) = engine.run(skip_model(with_add=False), inputs)
            assert (dense == alone[0]).all()
            assert (total == engine.run(model, inputs)[0][0]).all()
            assert (total != dense).any()


def test_second_oracle_agrees_with_the_first() -> None:
    oracle = second_oracle()
    if oracle is None:
        pytest.skip("the tflite-micro wheel is not installed (extra: second-oracle)")
    with oracle:
        assert oracle.record.name == ("tflite-micro" if find_spec("tflite_micro") else "numpy-reference")
        prove(oracle)


def test_no_vectors_give_no_outputs(engine: ReferenceEngine) -> None:
    (out,) = engine.run(small_models.dense(), np.empty((0, 1, 16), dtype=np.int8))
    assert out.shape == (0, 1, 8)


@pytest.mark.parametrize(
    ("inputs", "kind"),
    [
        (np.zeros((2, 1, 16), dtype=np.float32), "input-type"),
        (np.zeros((2, 1, 15), dtype=np.int8), "input-shape"),
        ([np.zeros((2, 1, 16), dtype=np.int8)] * 2, "input-count"),
    ],
)
def test_wrong_inputs_are_the_callers_fault(engine: ReferenceEngine, inputs: object, kind: str) -> None:
    with pytest.raises(ConfigError) as caught:
        engine.run(small_models.dense(), inputs)  # type: ignore[arg-type]  # wrong on purpose
    assert caught.value.kind == kind


def test_unknown_engine_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no reference engine is called 'tensorflow'"):
        get_engine("tensorflow")


def test_missing_package_is_infrastructure(tmp_path: Path) -> None:
    import venv

    venv.create(tmp_path / "empty", with_pip=False, symlinks=True)
    with pytest.raises(InfrastructureError) as caught:
        get_engine("tflite-runtime", python=str(tmp_path / "empty" / "bin" / "python"))
    assert caught.value.kind == "engine-missing"
    assert caught.value.hint


def test_no_engine_at_all_says_what_each_said() -> None:
    with pytest.raises(InfrastructureError) as caught:
        get_engine(None, python="/nonexistent/python")
    assert caught.value.kind == "engine-start"
    assert "tflite-runtime" in str(caught.value)
    assert "ai-edge-litert" in str(caught.value)


def test_model_the_interpreter_refuses_is_not_covered(engine: ReferenceEngine) -> None:
    builder = testkit.ModelBuilder()
    source, out = builder.tensor([1, 4]), builder.tensor([1, 4])
    builder.op("EthosU", [source], [out])
    builder.inputs, builder.outputs = [source], [out]
    with pytest.raises(InfrastructureError) as caught:
        engine.run(builder.build(), np.zeros((1, 1, 4), np.int8), name="vela-model")
    assert caught.value.kind == "engine-refused-model"
    assert "vela-model" in str(caught.value)
    said = str(caught.value)
    assert "EthosU" in said or "op code CUSTOM" in said, "each interpreter says what it lacks in its own words"
    # and the engine lives on
    assert engine.run(small_models.dense(), np.zeros((1, 1, 16), np.int8))[0].shape == (1, 1, 8)


def test_crash_names_the_model_and_the_signal(engine: ReferenceEngine) -> None:
    model, inputs = small_models.dense(), np.zeros((1, 1, 16), np.int8)
    engine.run(model, inputs)
    os.kill(worker_of(engine).pid, signal.SIGSEGV)
    with pytest.raises(InfrastructureError) as caught:
        engine.run(model, inputs, name="scrambled")
    assert caught.value.kind == "engine-crash"
    assert "SIGSEGV" in str(caught.value)
    assert engine.run(model, inputs)[0].shape == (1, 1, 8), "the next call starts a new worker"


@needs_tflite
def test_damaged_models_crash_the_worker_and_nothing_else() -> None:
    """Some of these end the interpreter with SIGSEGV; all of them are our own errors, with the model's name."""
    base = small_models.two_in_two_out()
    errors: dict[str, HarnessError] = {}
    with ReferenceEngine(TFLITE, self_test=False, time_limit=5) as engine:
        for seed in range(220, 300):
            rng = np.random.default_rng(seed)
            damaged = bytearray(base)
            for _ in range(int(rng.integers(1, 4))):
                damaged[int(rng.integers(8, len(damaged)))] = int(rng.integers(256))
            name = f"damaged-{seed}"
            try:
                info = engine.info(bytes(damaged), name)
                engine.run(bytes(damaged), [np.zeros((1, *t.shape), t.dtype) for t in info.inputs], name=name)
            except HarnessError as error:
                errors[name] = error
        assert engine.run(small_models.dense(), np.zeros((1, 1, 16), np.int8))[0].shape == (1, 1, 8)
        crashes = {"engine-crash"} if engine.record.name == "tflite-runtime" else set()  # others refuse these models
    assert all(name in str(error) for name, error in errors.items())
    assert {"model-malformed", "engine-refused-model"} | crashes <= {e.kind for e in errors.values()}
    assert all("SIG" in str(e.seen) for e in errors.values() if e.kind == "engine-crash")


ADAPTER = '''
import os, signal
import numpy as np


class Engine:
    """Counts the models that its process has loaded: what one leaves behind is what the next one answers."""

    record = {"version": "1", "resolver": "none"}
    loaded = 0

    def load(self, model):
        Engine.loaded += 1
        return model

    def details(self, loaded):
        one = [{"shape": [1], "dtype": "int32"}]
        return one, one

    def invoke(self, loaded, inputs):
        self.value = np.array([1000 * Engine.loaded], np.int32)
        if loaded == b"crash":
            os.kill(os.getpid(), signal.SIGFPE)

    def output(self, loaded, detail, position):
        return self.value
'''


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[WorkerProcess]:
    (tmp_path / "leaves_traces.py").write_text(ADAPTER)
    worker = WorkerProcess("counting", adapter="leaves_traces:Engine", folder=str(tmp_path))
    yield worker
    worker.forget()


def load_and_run(worker: WorkerProcess, model: bytes) -> int:
    def header(op: str, array: np.ndarray[Any, Any]) -> dict[str, object]:
        described = {"dtype": array.dtype.name, "shape": list(array.shape), "bytes": array.nbytes}
        return {"op": op, "sha": model.decode(), "arrays": [described]}

    given, value = np.frombuffer(model, np.uint8), np.zeros((1, 1), np.int32)
    worker.request(header("load", given), [given.tobytes()], what="m", limit=20)
    return int(worker.request(header("run", value), [value.tobytes()], what="m", limit=20)[1][0][0, 0])


def test_what_a_model_leaves_behind_does_not_reach_the_next(counting: WorkerProcess) -> None:
    """keyword_scrambled of TFLM's examples damages the interpreter's memory; the model after it crashed."""
    assert [load_and_run(counting, name) for name in (b"one", b"two", b"three")] == [1000, 1000, 1000]


def test_a_crash_in_a_models_process_is_told_as_its_own(counting: WorkerProcess) -> None:
    assert load_and_run(counting, b"one") == 1000
    (child,) = children(counting.pid)
    with pytest.raises(InfrastructureError) as caught:
        load_and_run(counting, b"crash")
    assert caught.value.kind == "engine-crash"
    assert "SIGFPE" in str(caught.value)
    assert not alive(child)
    assert not alive(counting.pid)


def test_a_models_process_ends_with_the_worker(counting: WorkerProcess) -> None:
    load_and_run(counting, b"one")
    (child,) = children(counting.pid)
    os.kill(counting.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while alive(child) and time.monotonic() < deadline:
        pass
    assert not alive(child)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_hang_ends_at_the_time_limit(engine: ReferenceEngine) -> None:
    with ReferenceEngine(engine.name, self_test=False, time_limit=0.2) as hurried:
        slow = small_models.dense(width=1024, units=1024, layers=24)
        with pytest.raises(InfrastructureError) as caught:
            hurried.run(slow, np.zeros((256, 1, 1024), np.int8), name="slow-model")
        assert caught.value.kind == "engine-timeout"
        assert "slow-model" in str(caught.value)


def test_the_time_limit_is_not_for_all_vectors_together(
    engine: ReferenceEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of vectors go in parts, each with the limit to itself; the outputs are those of one call each."""
    model = small_models.two_in_two_out()
    inputs = [np.random.default_rng(n).integers(-128, 128, (300, 1, 6), dtype=np.int8) for n in (1, 2)]
    asked: list[int] = []
    original = WorkerProcess.request

    def request(self: WorkerProcess, header: dict[str, Any], blobs: list[bytes], *, what: str, limit: float) -> Any:
        if header["op"] == "run":
            asked.append(header["arrays"][0]["shape"][0])
        return original(self, header, blobs, what=what, limit=limit)

    monkeypatch.setattr(WorkerProcess, "request", request)
    outputs = engine.run(model, inputs)
    assert sum(asked) == 300
    assert max(asked) <= 64
    for row in (0, 63, 64, 299):
        alone = engine.run(model, [array[row : row + 1] for array in inputs])
        assert [o[row].tolist() for o in outputs] == [o[0].tolist() for o in alone]


def test_a_version_known_to_differ_is_refused_whatever_it_computes(tmp_path: Path) -> None:
    """A package that calls itself ai-edge-litert 1.3.0 and computes what 1.2.0 does is refused by its version."""
    pytest.importorskip("tflite_runtime")
    import site
    import venv

    for version, refused in (("1.2.0", False), ("1.3.0", True), ("2.1.4", True)):
        folder = tmp_path / version
        venv.create(folder, with_pip=False, symlinks=True)
        packages = next((folder / "lib").glob("python*")) / "site-packages"
        (packages / "here.pth").write_text("\n".join(site.getsitepackages()))
        (packages / "ai_edge_litert").mkdir()
        (packages / "ai_edge_litert" / "__init__.py").write_text(f"__version__ = {version!r}\n")
        (packages / "ai_edge_litert" / "interpreter.py").write_text(
            "from tflite_runtime.interpreter import Interpreter, OpResolverType\n"
        )
        python = str(folder / "bin" / "python")
        if not refused:
            with ReferenceEngine("ai-edge-litert", python=python) as engine:
                assert engine.record.version == version
            continue
        with pytest.raises(InfrastructureError) as caught:
            ReferenceEngine("ai-edge-litert", python=python)
        assert caught.value.kind == "engine-refused"
        assert version in str(caught.value)


def test_stopped_worker_is_killed_by_the_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that cannot even take its own alarm (stopped) is ended from outside."""
    monkeypatch.setattr("tfm_harness.parity.process._GRACE", 0.1)
    with get_engine(time_limit=20) as engine:
        worker = worker_of(engine)
        os.kill(worker.pid, signal.SIGSTOP)
        engine.time_limit = 0.1
        with pytest.raises(InfrastructureError) as caught:
            engine.run(small_models.dense(), np.zeros((1, 1, 16), np.int8), name="stuck")
        assert caught.value.kind == "engine-timeout"
        assert not alive(worker.pid)


def test_memory_limit_is_infrastructure(engine: ReferenceEngine) -> None:
    builder = testkit.ModelBuilder()
    row, column = builder.tensor([1, 7000], scale=0.1), builder.tensor([7000, 1], scale=0.1)
    table = builder.tensor([7000, 7000], scale=0.2)
    builder.op("ADD", [row, column], [table])
    builder.inputs, builder.outputs = [row, column], [table]
    enough = int(Path(f"/proc/{worker_of(engine).pid}/statm").read_text().split()[0]) * 4096 + (24 << 20)
    inputs = [np.zeros((1, 1, 7000), np.int8), np.zeros((1, 7000, 1), np.int8)]
    with get_engine(memory_limit=enough) as small, pytest.raises(InfrastructureError) as caught:
        small.run(builder.build(), inputs, name="greedy")
    assert caught.value.kind in {"engine-refused-model", "engine-crash"}
    assert "greedy" in str(caught.value)


def test_close_leaves_no_process_and_may_be_called_twice() -> None:
    engine = get_engine()
    pid = worker_of(engine).pid
    engine.close()
    engine.close()
    assert not alive(pid)
    assert engine.run(small_models.dense(), np.zeros((1, 1, 16), np.int8))[0].shape == (1, 1, 8)
    engine.close()


@pytest.mark.parametrize("busy", [False, True])
def test_worker_ends_with_a_killed_parent(engine: ReferenceEngine, busy: bool) -> None:
    script = textwrap.dedent(
        """
        import sys, numpy as np
        from tfm_harness.parity import testkit, small_models
        from tfm_harness.parity.engines import ReferenceEngine
        engine = ReferenceEngine(sys.argv[2], self_test=False, time_limit=60)
        print(engine._worker.pid, flush=True)
        if sys.argv[1] == "True":
            engine.run(small_models.dense(width=512, units=512, layers=6), np.zeros((200_000, 1, 512), np.int8))
        sys.stdin.read()
        """
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(busy), engine.name], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        computing = [worker]
        if busy:  # wait until the model's process computes: its processor time grows
            while not (found := children(worker)) and parent.poll() is None:
                pass
            computing += found
            start = processor_ticks(found[0])
            while processor_ticks(found[0]) - start < 5 and parent.poll() is None:
                pass
        parent.kill()
        deadline = time.monotonic() + 10
        while any(map(alive, computing)) and time.monotonic() < deadline:
            pass
        assert not any(map(alive, computing))
    finally:
        parent.kill()
        parent.communicate()


def test_worker_outlives_the_thread_that_asked_for_it() -> None:
    """The kernel ends it with the thread that started it: that one must live as long as the process."""
    found: list[ReferenceEngine] = []
    thread = threading.Thread(target=lambda: found.append(get_engine()))
    thread.start()
    thread.join()
    (engine,) = found
    with engine:
        pid = worker_of(engine).pid
        assert engine.run(small_models.dense(), np.zeros((1, 1, 16), np.int8))[0].shape == (1, 1, 8)
        assert worker_of(engine).pid == pid


def test_worker_whose_parent_is_gone_ends_at_once() -> None:
    """It may have ended before the kernel was asked to watch it: then the number given is not the parent's."""
    worker = ROOT / "harness" / "tfm_harness" / "parity" / "worker.py"
    command = [sys.executable, "-I", str(worker), "tflite-runtime", str(4 << 30), "1"]
    done = subprocess.run(command, stdin=subprocess.PIPE, capture_output=True, timeout=60, check=True)
    assert done.stdout == b""


def test_worker_asks_for_no_signals_on_its_pipe(engine: ReferenceEngine) -> None:
    """The signal of the parent's last write could come after the request had been read, and end the worker."""
    engine.run(small_models.dense(), np.zeros((64, 1, 16), np.int8))
    flags = Path(f"/proc/{worker_of(engine).pid}/fdinfo/0").read_text().split("flags:")[1].split()[0]
    assert int(flags, 8) & os.O_ASYNC == 0
