"""The reference interpreter joined with what the bench knows: models, front-end, tolerances."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfm_harness.bench.device import Inference
from tfm_harness.bench.not_covered import NotCovered
from tfm_harness.boards.base import ResetKind
from tfm_harness.errors import ConfigError
from tfm_harness.findings import Report
from tfm_harness.protocol.base import Feature, Source
from tfm_harness.protocol.smp.test_commands import TRACE_LIFECYCLE

if TYPE_CHECKING:
    import numpy.typing as npt

    from tfm_harness.bench.live import LiveCombination
    from tfm_harness.parity.compare import Comparison
    from tfm_harness.parity.engines import ReferenceEngine, State
    from tfm_harness.parity.firstop import DeviceTrace
    from tfm_harness.parity.model_info import ModelInfo
    from tfm_harness.parity.session import SessionResult
    from tfm_harness.protocol.smp.client import SmpDriver

__all__ = ["Reference"]


class _LateTrace:
    """The trace command of a board that gives none in its lifecycle: started in one that does at the first use."""

    def __init__(self, bench: LiveCombination, stack: contextlib.ExitStack) -> None:
        self._bench, self._stack, self._ready = bench, stack, False

    def _lab(self) -> SmpDriver:
        if not self._ready:
            self._stack.enter_context(self._bench.provisioned(TRACE_LIFECYCLE))
            self._ready = True
        return self._bench.device.lab

    def trace(self, data: bytes) -> Sequence[tuple[int, int, int, int]]:
        """See `DeviceTrace`."""
        return self._lab().trace(data)

    def trace_output(self, data: bytes, op: int) -> bytes:
        """See `DeviceTrace`."""
        return self._lab().trace_output(data, op)


class Reference:
    """What the numbers should be; findings go to the test's report."""

    def __init__(self, bench: LiveCombination, report: Report) -> None:
        self._bench = bench
        self.report = report

    @property
    def engine(self) -> ReferenceEngine:
        """The interpreter, in a process of its own."""
        return self._bench.instruments.engine

    def model(self, name: str | None) -> tuple[bytes, ModelInfo]:
        """A model's bytes and what they say.

        Raises:
            ConfigError: ``no-model``: the build names no file for it.
        """
        config = self._bench.combination.build.models.get(name or "")
        if config is None or name is None or config.file is None:
            known = ", ".join(self._bench.combination.build.models) or "none"
            raise ConfigError(
                f"the build names no model file for {name!r}, which is active on the device",
                kind="no-model",
                expected=f"one of {known}",
                where=str(self._bench.combination.build.path or ""),
            )
        data = self._bench.trust.model_bytes(name)
        return data, self.engine.info(data, name)

    def input_of(self, inference: Inference) -> bytes:
        """The input tensor that the device must have used, computed by the host (bytes of one inference)."""
        if inference.answer.source is Source.HOST:
            return inference.data or b""
        from tfm_harness.parity.frontend import get_frontend, window_records

        config = self._bench.combination.build.models.get(inference.model or "")
        frontend = get_frontend((config.frontend if config else None) or "reference")
        return frontend(window_records(inference.samples)).tobytes()

    def matches(self, inference: Inference, *, subject: str = "") -> Comparison:
        """The result's output tensors are the reference interpreter's for the same input.

        The signature is the verifier's business; here only numbers are judged.
        """
        import numpy as np

        model, info = self.model(inference.model)
        inputs = self.unpack_inputs(info, [self.input_of(inference)])
        self._covers(info, inference.model or "", single=True)
        reference = self.engine.run(model, inputs, name=info.name)
        device = [
            np.frombuffer(data, dtype=np.dtype(dtype).newbyteorder("<")).reshape(1, *shape)
            for data, dtype, shape in self._outputs(inference)
        ]
        if inference.samples:
            self._keep_trace(inference, info, device)
        found = self._compare(info, reference, device, subject)
        if not found.exact:
            self._explain(inference, info, reference, device, subject)
        return found

    def _explain(
        self,
        inference: Inference,
        info: ModelInfo,
        reference: Sequence[npt.NDArray[Any]],
        device: Sequence[npt.NDArray[Any]],
        subject: str,
    ) -> None:
        """Say of outputs that differ which part of the way is to blame: the input, its path, or the arithmetic."""
        from tfm_harness.parity.catalogue import INPUT_PATH

        def same(one: Sequence[npt.NDArray[Any]], other: bytes) -> bool:
            return b"".join(array.tobytes() for array in one) == other

        seen = ""
        before = inference.before
        if before is not None and (before.model, before.boot) == (inference.model, inference.boot):
            model, _ = self.model(before.model)
            inputs = self.unpack_inputs(info, [self.input_of(before)])
            earlier = self.engine.run(model, inputs, name=info.name)
            if same(earlier, b"".join(array.tobytes() for array in device)):
                seen = "this is the output of the inference before"
        if not seen and not self._bench.missing(["batch"]):
            size = sum(array.nbytes for array in reference)
            batch = self._bench.device.lab.batch([self.input_of(inference)], size)[0]
            path = "window or front-end" if inference.samples else "signed request's"
            if same(reference, batch):
                seen = f"the batch path is exact for the same input: the {path} path gave the model another one"
        self.report.add(
            INPUT_PATH, not seen, expected="numbers of this request's input", seen=seen, subject=subject or info.name
        )

    def agrees(self, name: str, inputs: Sequence[npt.NDArray[Any]] | None = None, *, count: int = 0) -> SessionResult:
        """Many inputs at once: the outputs of the device's batch command are the reference interpreter's.

        Failing inputs are saved in the run's folder; `tfm-harness replay` runs them again. The first operator that
        goes wrong is named from the device's own trace where it gives one (a virtual board is started again in the
        lifecycle that allows it), else from the second oracle.

        Args:
            name: the model, active on the device.
            inputs: one array for each input tensor, each (n, *shape); default: the files of the build's
                ``parity.inputs``, else windows of recorded traces for sensor models, and vectors generated from
                the build's seed, with many distinct outputs among them.
            count: how many, where they are not given (default: the build's ``parity.vectors``).
        """
        from tfm_harness.parity.session import run_session

        bench = self._bench
        build = bench.combination.build
        model, info = self.model(name)
        state = self._covers(info, name)
        if info.stateful and state == "sequence":
            bench.reset(ResetKind.WARM)  # the device's sequence begins here, as the reference's does
            bench.select_again(name)
        seed, source = None, "given by the test"
        if inputs is None:
            inputs, seed, source = self._inputs(name, model, info, count or build.parity.vectors)
        with contextlib.ExitStack() as stack:
            result = run_session(
                self.engine,
                model,
                list(inputs),
                bench.device.lab.batch,
                self.report,
                name=name,
                tolerances=build.parity.granted(build.document),
                trace=self._trace(stack),
                oracle=lambda: bench.instruments.oracle,
                progress=bench.progress(f"parity {name}, vectors"),
                save_to=bench.context.run_dir,
                keep_to=bench.context.run_dir,
                seed=seed,
                context={
                    "target": bench.combination.target.name,
                    "build": build.name,
                    "model": str(build.models[name].file),
                    "inputs": source,
                },
                min_distinct=build.parity.min_distinct,
                max_saturated=build.parity.max_saturated,
                state=state,
            )
        bench.measured.parity.append({**result.as_dict(), "inputs": source})
        return result

    def _covers(self, info: ModelInfo, name: str, *, single: bool = False) -> State | None:
        """What the build says of a model's state; a stateful model about which it says nothing is not covered."""
        from tfm_harness.parity.session import require_state

        config = self._bench.combination.build.models.get(name)
        state = config.state if config is not None else None
        try:
            require_state(info, state)
        except ConfigError as error:
            raise NotCovered(f"{error.message} ({error.seen}): say `state: per-vector` or `state: sequence`") from None
        if single and info.stateful and state == "sequence":
            raise NotCovered(f"model {info.name} keeps its state: one result alone does not tell what went before it")
        return state

    def _inputs(
        self, name: str, model: bytes, info: ModelInfo, count: int
    ) -> tuple[list[npt.NDArray[Any]], int | None, str]:
        """Vectors for a model, the seed when they were generated, and where they come from in words."""
        import numpy as np

        from tfm_harness.parity.generate import generate_inputs
        from tfm_harness.parity.inputs import load_inputs

        build = self._bench.combination.build
        if files := build.parity.inputs.get(name):
            return load_inputs(files, info, rule=build.quantisation(name)), None, ", ".join(path.name for path in files)
        recorded, words = self._recorded(name, info)
        recorded = recorded[: max(1, count // 2)] if len(recorded) else recorded
        seed = build.parity.seed
        found = generate_inputs(
            info,
            lambda arrays: self.engine.run(model, arrays, name=info.name, state=build.models[name].state),
            max(1, count - len(recorded)),
            seed=seed,
            like=[recorded] if len(recorded) else (),
        )
        source = f"{len(found.inputs[0])} generated"
        if not len(recorded):
            return found.inputs, seed, source
        return [np.concatenate([recorded, found.inputs[0]])], seed, f"{len(recorded)} windows of {words}, {source}"

    def _recorded(self, name: str, info: ModelInfo) -> tuple[npt.NDArray[Any], str]:
        """A sensor model's input tensors for each window of the recorded traces; none where it has no front-end."""
        import numpy as np

        from tfm_harness.bench.windows import BUNDLED, trace_windows
        from tfm_harness.parity.frontend import get_frontend

        build = self._bench.combination.build
        config = build.models[name]
        nothing: npt.NDArray[Any] = np.empty((0, *info.inputs[0].shape), dtype=info.inputs[0].dtype)
        if config.frontend is None or len(info.inputs) != 1:
            return nothing, ""
        declared = build.parity.traces.get(name)
        traces = declared or dict.fromkeys([*BUNDLED, *([config.trace] if config.trace else [])])
        try:
            windows = trace_windows(traces, self._bench.combination.target.sensors)
        except ConfigError:
            if declared:
                raise
            return nothing, ""  # this target's sensors are not those of the bundled traces
        tensors = get_frontend(config.frontend)(windows).reshape(-1, *info.inputs[0].shape)
        return tensors, ", ".join(traces)

    def _trace(self, stack: contextlib.ExitStack) -> DeviceTrace | None:
        """The device's trace command; on a virtual board that must first be started in another lifecycle, when used."""
        bench = self._bench
        if not bench.missing(["trace"]):
            return bench.device.lab
        # A firmware that gives traces says so only in the lifecycle in which it does.
        late = Feature.TRACE in bench.client.features and not bench.missing(["provision"])
        return _LateTrace(bench, stack) if late else None

    @staticmethod
    def unpack_inputs(info: ModelInfo, inputs: Sequence[bytes]) -> list[npt.NDArray[Any]]:
        """Bytes of n inferences to one array (n, *shape) for each input tensor."""
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

        build = self._bench.combination.build
        tolerances = build.parity.granted(build.document)
        return compare(list(reference), list(device), tolerances, self.report, info=info, subject=subject)

    def _keep_trace(self, inference: Inference, info: ModelInfo, device: Sequence[npt.NDArray[Any]]) -> None:
        """What the sensor showed and what the device made of it, for the report page."""
        scale = info.outputs[0].quantisation
        values = [float(value) for value in device[0].ravel()]
        if scale is not None:
            values = [(value - scale.zero_points[0]) * scale.scales[0] for value in values]
        samples = inference.samples
        self._bench.measured.traces.append(
            {
                "name": f"window {len(self._bench.measured.traces) + 1}, model {info.name}",
                "channels": {
                    **{f"mag.{axis} [counts]": [float(getattr(s, axis)) for s in samples] for axis in "xyz"},
                    "temp [degC]": [s.t / 16 for s in samples],
                },
                "outputs": [(len(samples) - 1, values)],
                "labels": [f"output {index}" for index in range(len(values))],
            }
        )

    def _outputs(self, inference: Inference) -> list[tuple[bytes, str, tuple[int, ...]]]:
        from tfm_harness.verify.results import verify_result

        build = self._bench.combination.build
        profile = build.results.profile if build.results else "tfm-harness-reference"
        key = self._bench.trust.key("result")
        unjudged = Report()  # the verifier judges the envelope; here only its tensors are read
        result = verify_result(inference.answer.message, profile=profile, keys=[key] if key else None, report=unjudged)
        return [(tensor.data, tensor.type, tensor.shape) for tensor in result.outputs]
