"""The reference interpreter joined with what the bench knows: models, front-end, tolerances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError
from harness.findings import Report
from harness.plugin.device import Inference
from harness.protocol.base import Source

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.parity.compare import Comparison
    from harness.parity.engines import ReferenceEngine
    from harness.parity.model_info import ModelInfo
    from harness.parity.session import SessionResult
    from harness.plugin.bench import Bench

__all__ = ["Reference"]


class Reference:
    """What the numbers should be; findings go to the test's report."""

    def __init__(self, bench: Bench, report: Report) -> None:
        self._bench = bench
        self.report = report

    @property
    def engine(self) -> ReferenceEngine:
        """The interpreter, in a process of its own."""
        return self._bench.engine

    def model(self, name: str | None) -> tuple[bytes, ModelInfo]:
        """A model's bytes and what they say.

        Raises:
            ConfigError: ``no-model``: the build names no file for it.
        """
        config = self._bench.pair.build.models.get(name or "")
        if config is None or name is None:
            known = ", ".join(self._bench.pair.build.models) or "none"
            raise ConfigError(
                f"the build names no model file for {name!r}, which is active on the device",
                kind="no-model",
                expected=f"one of {known}",
                where=str(self._bench.pair.build.path or ""),
            )
        data = config.file.read_bytes()
        return data, self.engine.info(data, name)

    def input_of(self, inference: Inference) -> bytes:
        """The input tensor that the device must have used, computed by the host (bytes of one inference)."""
        if inference.answer.source is Source.HOST:
            return inference.data or b""
        from harness.parity.frontend import window_records, window_tensor

        return window_tensor(window_records(inference.samples)).tobytes()

    def matches(self, inference: Inference, *, subject: str = "") -> Comparison:
        """The result's output tensors are the reference interpreter's for the same input.

        The signature is the verifier's business; here only numbers are judged.
        """
        import numpy as np

        model, info = self.model(inference.model)
        inputs = self.unpack_inputs(info, [self.input_of(inference)])
        reference = self.engine.run(model, inputs, name=info.name)
        device = [
            np.frombuffer(data, dtype=np.dtype(dtype).newbyteorder("<")).reshape(1, *shape)
            for data, dtype, shape in self._outputs(inference)
        ]
        if inference.samples:
            self._keep_trace(inference, info, device)
        return self._compare(info, reference, device, subject)

    def agrees(self, name: str, inputs: Sequence[npt.NDArray[Any]] | None = None, *, count: int = 0) -> SessionResult:
        """Many inputs at once: the outputs of the device's batch command are the reference interpreter's.

        Failing inputs are saved in the run's folder; `tfm-harness replay` runs them again.

        Args:
            name: the model, active on the device.
            inputs: one array for each input tensor, each (n, *shape); default: the files of the build's
                ``parity.inputs``, else `count` vectors generated from its seed, many distinct outputs among them.
            count: how many to generate (default: the build's ``parity.vectors``).
        """
        from harness.parity.generate import generate_inputs
        from harness.parity.session import run_session

        build = self._bench.pair.build
        model, info = self.model(name)
        lab = self._bench.device.lab
        seed = None
        if inputs is None and name in build.parity.inputs:
            from harness.parity.inputs import load_inputs

            inputs = load_inputs(build.parity.inputs[name], info, rule=build.parity.rule(name))
        if inputs is None:
            seed = build.parity.seed
            found = generate_inputs(
                info,
                lambda arrays: self.engine.run(model, arrays, name=info.name),
                count or build.parity.vectors,
                seed=seed,
            )
            inputs = found.inputs
        traces = (self._bench.description.lifecycle or 0) >> 8 == 0x10
        result = run_session(
            self.engine,
            model,
            list(inputs),
            lab.batch,
            self.report,
            name=name,
            tolerances=build.parity.granted(build.document),
            trace=lab if traces else None,
            save_to=self._bench.context.run_dir,
            seed=seed,
            context={
                "target": self._bench.pair.target.name,
                "build": build.name,
                "model": str(build.models[name].file),
            },
            min_distinct=build.parity.min_distinct,
            max_saturated=build.parity.max_saturated,
        )
        self._bench.parity.append(result.as_dict())
        return result

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

    def check_tolerances(self) -> None:
        """Every tolerance the build grants speaks of an output of one of its models."""
        from harness.parity.compare import unused_tolerances

        build = self._bench.pair.build
        if granted := build.parity.granted(build.document):
            unused_tolerances(granted, [self.model(name)[1] for name in build.models], self.report)

    def _compare(
        self,
        info: ModelInfo,
        reference: Sequence[npt.NDArray[Any]],
        device: Sequence[npt.NDArray[Any]],
        subject: str,
    ) -> Comparison:
        from harness.parity.compare import compare

        build = self._bench.pair.build
        tolerances = build.parity.granted(build.document)
        return compare(list(reference), list(device), tolerances, self.report, info=info, subject=subject)

    def _keep_trace(self, inference: Inference, info: ModelInfo, device: Sequence[npt.NDArray[Any]]) -> None:
        """What the sensor showed and what the device made of it, for the report page."""
        scale = info.outputs[0].quantisation
        values = [float(value) for value in device[0].ravel()]
        if scale is not None:
            values = [(value - scale.zero_points[0]) * scale.scales[0] for value in values]
        samples = inference.samples
        self._bench.traces.append(
            {
                "name": f"window {len(self._bench.traces) + 1}, model {info.name}",
                "channels": {
                    **{f"mag.{axis} [counts]": [float(getattr(s, axis)) for s in samples] for axis in "xyz"},
                    "temp [degC]": [s.t / 16 for s in samples],
                },
                "outputs": [(len(samples) - 1, values)],
                "labels": [f"output {index}" for index in range(len(values))],
            }
        )

    def _outputs(self, inference: Inference) -> list[tuple[bytes, str, tuple[int, ...]]]:
        from harness.verify.results import verify_result

        build = self._bench.pair.build
        profile = build.results.profile if build.results else "tfm-harness-reference"
        key = self._bench.trust.key("result")
        unjudged = Report()  # the verifier judges the envelope; here only its tensors are read
        result = verify_result(inference.answer.message, profile=profile, keys=[key] if key else None, report=unjudged)
        return [(tensor.data, tensor.type, tensor.shape) for tensor in result.outputs]
