"""Connects the reference interpreter with the bench's facts: models, front-end, tolerances."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfm_harness.bench.device import Inference
from tfm_harness.bench.instruments import Instruments
from tfm_harness.bench.metrics import Metrics
from tfm_harness.bench.not_covered import NotCovered
from tfm_harness.bench.state import DeviceState
from tfm_harness.bench.vectors import parity_vectors
from tfm_harness.bench.widening import Widened, keep_failing, widened, with_corpus
from tfm_harness.bench.window_trace import window_trace
from tfm_harness.beside import beside
from tfm_harness.boards.base import ResetKind
from tfm_harness.errors import ConfigError
from tfm_harness.files import MODEL_LIMIT, read_file
from tfm_harness.findings import Report
from tfm_harness.protocol.base import Source

if TYPE_CHECKING:
    import numpy.typing as npt

    from tfm_harness.config.build import Build
    from tfm_harness.config.reference import ReferenceConfig, TensorConfig
    from tfm_harness.config.target import TargetBase
    from tfm_harness.parity.accuracy import AccuracyResult
    from tfm_harness.parity.compare import Comparison
    from tfm_harness.parity.engines import ReferenceEngine
    from tfm_harness.parity.model_info import ModelInfo
    from tfm_harness.parity.printed import PrintedComparison
    from tfm_harness.parity.session import SessionResult
from tfm_harness.bench.covered_state import covered_state
from tfm_harness.bench.device_trace import Runner, device_trace
from tfm_harness.bench.differences import explain_difference

__all__ = ["Reference", "onnx_blob"]

_TRIED = 64
"""The number of inputs from which the reference chooses those for a firmware with a slow wire."""


def onnx_blob(said: ReferenceConfig) -> bytes:
    """A declared ONNX model in the form for engines: the file, with the device's formats."""
    from tfm_harness.parity.onnx_model import TensorFormat, pack

    def formats(declared: Mapping[str, TensorConfig]) -> dict[str, TensorFormat]:
        return {
            name: TensorFormat(each.dtype or "", each.scale, each.zero_point, each.shape, each.permute, each.round)
            for name, each in declared.items()
        }

    data = read_file(said.source, MODEL_LIMIT)
    return pack(data, str(said.source.parent), formats(said.inputs), formats(said.outputs))


class Reference:
    """The reference for a device's numbers; findings go to the test's report.

    Args:
        state: gives the known facts about the device; called for each judgement.
        report: gets the findings.
        instruments: the reference interpreter and the second oracle.
        runner: runs batches on the device.
        target: its sensors play recorded traces; its name goes into the record.
        run_dir: the folder for inputs that gave wrong numbers.
        measured: keeps the comparisons.
    """

    def __init__(
        self,
        state: Callable[[], DeviceState],
        report: Report,
        *,
        instruments: Instruments,
        runner: Runner,
        target: TargetBase,
        run_dir: Path,
        measured: Metrics,
    ) -> None:
        self._state = state
        self.report = report
        self._instruments = instruments
        self._runner = runner
        self._target = target
        self._run_dir = run_dir
        self._measured = measured

    @property
    def _build(self) -> Build:
        return self._state().trust.build

    @property
    def engine(self) -> ReferenceEngine:
        """The interpreter, in a process of its own."""
        return self._instruments.engine

    def model(self, name: str | None) -> tuple[bytes, ModelInfo]:
        """The model that determines the right numbers: its bytes, and its parsed contents.

        It is the file on the device, except for a model that Vela compiled: then it is the one before Vela.

        Raises:
            ConfigError: ``no-model``: the build names no file for it.
        """
        config = self._build.models.get(name or "")
        if config is None or name is None or config.judged_by is None:
            known = ", ".join(self._build.models) or "none"
            raise ConfigError(
                f"the build names no model file for {name!r}, which is active on the device",
                kind="no-model",
                expected=f"one of {known}",
                where=str(self._build.path or ""),
            )
        trust, engine = self._state().trust, self._instruments.engine_of(name)
        if trust.is_installed(name):
            if config.judged_by != config.file:
                raise NotCovered(f"another image was put in the place of {name}: its reference is not known")
            data = trust.model_bytes(name)
        elif config.reference is not None and config.reference.kind == "onnx":
            data = onnx_blob(config.reference)
        else:
            data = read_file(config.judged_by, MODEL_LIMIT)
        if config.signature is not None and not trust.is_installed(name):
            from tfm_harness.parity.model_rewriting import select_signature

            data = select_signature(data, config.signature, name=name)
        return data, engine.info(data, name)

    def belongs(self, name: str) -> None:
        """Judge that a model that Vela compiled has the commands that Vela makes of its reference."""
        self._recompiled(name, self.report)

    def estimate(self, name: str) -> float | None:
        """Vela's own estimate of one inference of a model in seconds; None without Vela, or when it gives none."""
        return self._recompiled(name, Report())

    def _recompiled(self, name: str, report: Report) -> float | None:
        from tfm_harness.parity.compiled import read_compiled
        from tfm_harness.parity.vela import judge_compiled

        config, trust = self._build.models[name], self._state().trust
        if not config.for_npu or config.compiled is None or trust.is_installed(name):
            return None
        before, info = self.model(name)
        said = config.vela
        made = judge_compiled(
            read_compiled(trust.model_bytes(name), name=config.compiled.name),
            info,
            before,
            report,
            name=name,
            version=said.version if said else "",
            options=said.options if said else None,
            time_limit=self._build.parity.time_limit,
        )
        return made.seconds if made else None

    def input_of(self, inference: Inference) -> bytes:
        """The input tensor that the device must have used, computed by the host (bytes of one inference)."""
        if inference.answer.source is Source.HOST:
            return inference.data or b""
        from tfm_harness.parity.frontend import get_frontend, window_records

        config = self._build.models.get(inference.model or "")
        frontend = get_frontend((config.frontend if config else None) or "reference")
        return frontend(window_records(inference.samples)).tobytes()

    def matches(self, inference: Inference, *, subject: str = "") -> Comparison:
        """Judge that the result's output tensors are those of the reference interpreter for the same input.

        The verifier judges the signature; here only numbers are judged.
        """
        import numpy as np

        _, info = self.model(inference.model)
        covered_state(self._build, info, inference.model or "", single=True)
        reference = self._expected(inference, info)
        device = [
            np.frombuffer(data, dtype=np.dtype(dtype).newbyteorder("<")).reshape(1, *shape)
            for data, dtype, shape in self._outputs(inference)
        ]
        if inference.samples:
            traces = self._measured.traces
            traces.append(window_trace(len(traces) + 1, inference, info, device[0]))
        found = self._compare(info, reference, device, subject)
        if not found.exact:
            explain_difference(
                inference, reference, device, run=lambda asked: self._expected(asked, info),
                input_of=self.input_of, runner=self._runner, report=self.report, subject=subject or info.name,
            )  # fmt: skip
        return found

    def _expected(self, inference: Inference, info: ModelInfo) -> Sequence[npt.NDArray[Any]]:
        """The reference's outputs for the input of an inference."""
        model, _ = self.model(inference.model)
        inputs = self.unpack_inputs(info, [self.input_of(inference)])
        return self._instruments.engine_of(inference.model or "").run(model, inputs, name=info.name)

    def agrees(self, name: str, inputs: Sequence[npt.NDArray[Any]] | None = None, *, count: int = 0) -> SessionResult:
        """Judge, for many inputs, that the outputs of the device's batch command are the reference interpreter's.

        Failing inputs are saved in the run's folder; `tfm-harness replay` runs them again. The first operator that
        goes wrong is named from the device's own trace, if it gives one (a virtual board is started again in the
        lifecycle that allows it), else from the second oracle.

        Args:
            name: the model, active on the device.
            inputs: one array for each input tensor, each (n, *shape); default: the files of the build's
                ``parity.inputs``, else windows of recorded traces for sensor models, and vectors generated from
                the build's seed, with many distinct outputs among them.
            count: the number of inputs, if none are given (default: the build's ``parity.vectors``).
        """
        from tfm_harness.parity.session import run_session

        build = self._build
        model, info = self.model(name)
        state = covered_state(self._build, info, name)
        engine = self._instruments.engine_of(name)
        self.belongs(name)
        from tfm_harness.parity.engine_names import ONNX_ENGINES
        from tfm_harness.parity.onnx_model import formats_of

        if info.stateful and state == "sequence":
            self._runner.reset(ResetKind.WARM)  # the device's sequence begins here, as the reference's does
            self._runner.select_again(name)
        seed, source = None, "given by the test"
        wider: Widened | None = None

        def run(arrays: Sequence[npt.NDArray[Any]]) -> Sequence[npt.NDArray[Any]]:
            return engine.run(model, arrays, name=info.name, state=build.models[name].state)

        if inputs is None:
            inputs, seed, source = parity_vectors(
                build, name, info, count or build.parity.vectors, run=run, sensors=self._target.sensors
            )
            if seed is not None and not info.stateful:
                inputs, words = with_corpus(self._instruments.corpus, info, inputs)
                source += words
        onnx = engine.name in ONNX_ENGINES
        context = self._context(name, source, formats_of(model) if onnx else None)
        with contextlib.ExitStack() as stack:
            second_half = None
            if seed is not None and not info.stateful and build.parity.edges and not onnx:
                search = partial(
                    widened, self._instruments, model, info, inputs, seed=seed, count=build.parity.edges,
                    run_dir=self._run_dir,
                )  # fmt: skip
                found = stack.enter_context(beside(search))

                def second_half() -> list[npt.NDArray[Any]]:
                    nonlocal wider
                    wider = found.result()
                    wider.judge(info, self.report)
                    context["inputs"] += f", {wider.words}"
                    return [array[len(array) // 2 :] for array in wider.inputs]

            result = run_session(
                engine,
                model,
                list(inputs),
                self._runner.device.test_commands.batch,
                self.report,
                name=name,
                tolerances=build.parity.granted(build.document),
                # A compiled model has other operators: no trace shows which of the reference's operators went wrong.
                trace=None if build.models[name].reference else device_trace(self._runner, stack),
                oracle=lambda: self._instruments.oracle_of(name),
                progress=self._runner.progress(f"parity {name}, vectors"),
                save_to=self._run_dir,
                keep_to=self._run_dir,
                seed=seed,
                context=context,
                min_distinct=build.parity.min_distinct,
                max_saturated=build.parity.max_saturated,
                state=state,
                second_half=second_half,
            )
        if not info.stateful:
            tried = inputs if wider is None else wider.inputs
            keep_failing(self._instruments.corpus, info, list(tried), result.comparison.failing)
        edges = {} if wider is None else wider.edges
        self._measured.parity.append({**result.as_dict(), "inputs": context["inputs"], "edges": edges})
        return result

    def _context(self, name: str, source: str, formats: object) -> dict[str, Any]:
        """What the files of a session say of it; `formats` are those of an ONNX model."""
        config = self._build.models[name]
        found = {
            "target": self._target.name, "build": self._build.name, "model": str(config.judged_by), "inputs": source,
        }  # fmt: skip
        return (
            found
            | ({"signature": config.signature} if config.signature else {})
            | ({"onnx": formats} if formats is not None else {})
        )

    def printed(self, name: str, *, count: int = 0) -> PrintedComparison:
        """Judge that results which the firmware prints as decimal text are the reference's, to the printed decimals.

        Args:
            name: the model that the device runs.
            count: the number of inputs (default: the build's ``parity.vectors``).
        """
        from tfm_harness.bench.labelled import judge_printed
        from tfm_harness.parity.vacuity import check_vacuity, most_distinct

        build, (model, info) = self._build, self.model(name)
        covered_state(self._build, info, name, single=True)
        run = self._run_of(name, model, info)
        count = count or build.parity.vectors
        given = name in build.parity.inputs
        # The host tries more inputs than it sends over the slow wire, and chooses those with the most distinct outputs.
        tried = count if given else max(count, min(_TRIED, 4 * count))
        inputs, _, _ = parity_vectors(
            build, name, info, tried, run=lambda arrays: [run(arrays[0])], sensors=self._target.sensors
        )
        tensors, outputs = inputs[0], run(inputs[0])
        if not given:
            chosen = most_distinct(outputs, count)
            tensors, outputs = tensors[chosen], outputs[chosen]
        check_vacuity(
            [tensors], [outputs], self.report, subject=name, max_saturated=build.parity.max_saturated,
            min_distinct=min(build.parity.min_distinct, max(2, len(tensors) // 2)),
        )  # fmt: skip
        return judge_printed(
            self._runner.device, tensors, name=name, config=build.models[name], info=info, run=run,
            rule=build.quantisation(name), report=self.report,
            progress=self._runner.progress(f"printed results {name}, inputs"),
        )  # fmt: skip

    def accuracy(self, name: str) -> AccuracyResult:
        """Judge the accuracy of the device and the reference on the labelled data that the build names for a model.

        Args:
            name: the model, active on the device.

        Raises:
            ConfigError: ``dataset``: the data set cannot be used.
        """
        from tfm_harness.bench.labelled import judge_accuracy

        build, (model, info) = self._build, self.model(name)
        covered_state(self._build, info, name, single=True)
        found = judge_accuracy(
            self._runner.device, name=name, config=build.models[name], info=info,
            run=self._run_of(name, model, info), rule=build.quantisation(name), report=self.report,
            progress=self._runner.progress(f"accuracy {name}, inputs"), sensors=self._target.sensors,
        )  # fmt: skip
        self._measured.accuracy.append(dict(found.as_dict()))
        return found

    def _run_of(self, name: str, model: bytes, info: ModelInfo) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
        """A function from input tensors to the reference's first output, for a model with one input and one output."""
        if len(info.inputs) != 1:
            raise NotCovered(f"model {name!r} has {len(info.inputs)} inputs; one is wanted here")
        engine = self._instruments.engine_of(name)
        return lambda tensors: engine.run(model, [tensors], name=info.name, state=self._build.models[name].state)[0]

    @staticmethod
    def unpack_inputs(info: ModelInfo, inputs: Sequence[bytes]) -> list[npt.NDArray[Any]]:
        """Convert the bytes of n inferences into one array (n, *shape) for each input tensor."""
        import numpy as np

        rows = np.frombuffer(b"".join(inputs), dtype=np.uint8).reshape(len(inputs), info.input_bytes)
        arrays, at = [], 0
        for tensor in info.inputs:
            part = np.ascontiguousarray(rows[:, at : at + tensor.nbytes])
            arrays.append(part.view(np.dtype(tensor.dtype).newbyteorder("<")).reshape(len(inputs), *tensor.shape))
            at += tensor.nbytes
        return arrays

    def _compare(
        self,
        info: ModelInfo,
        reference: Sequence[npt.NDArray[Any]],
        device: Sequence[npt.NDArray[Any]],
        subject: str,
    ) -> Comparison:
        from tfm_harness.parity.compare import compare

        build = self._build
        tolerances = build.parity.granted(build.document)
        return compare(list(reference), list(device), tolerances, self.report, info=info, subject=subject)

    def _outputs(self, inference: Inference) -> list[tuple[bytes, str, tuple[int, ...]]]:
        from tfm_harness.verify.results import verify_result

        build = self._build
        profile = build.results.profile if build.results else "tfm-harness-reference"
        key = self._state().trust.key("result")
        unjudged = Report()  # the verifier judges the envelope; here only its tensors are read
        result = verify_result(inference.answer.message, profile=profile, keys=[key] if key else None, report=unjudged)
        return [(tensor.data, tensor.type, tensor.shape) for tensor in result.outputs]
