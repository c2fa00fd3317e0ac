"""A board in memory whose firmware speaks MLPerf Tiny's protocol and runs the build's first model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

import numpy as np
from tfm_harness.boards.base import RunContext
from tfm_harness.config.build import Build
from tfm_harness.config.target import TargetBase
from tfm_harness.parity.dataset import input_bytes, tensors_of
from tfm_harness.parity.model_parser import parse_model
from tfm_harness.parity.numpy_reference.interpreter import Interpreter
from tfm_harness.parity.quantise import QuantisationRule, dequantise
from tfm_harness.testing import FakeBoard, MlperfTinyFault, MlperfTinyFirmware


class MlperfTarget(TargetBase):
    kind: Literal["mlperf-board"]
    fault: str = ""


class MlperfBoard(FakeBoard):
    kind = "mlperf-board"
    config_model = MlperfTarget

    def __init__(self, target: TargetBase, context: RunContext) -> None:
        self.build: Build | None = None
        super().__init__(target, context)

    def flash(self, build: Build) -> None:
        self.build = build
        super().flash(build)

    def make_firmware(self) -> MlperfTinyFirmware:
        if self.build is None:
            return MlperfTinyFirmware()
        assert isinstance(self.target, MlperfTarget)
        fault = self.target.fault
        (name, config), *_ = self.build.models.items()
        assert config.file is not None
        data = config.file.read_bytes()
        info = parse_model(data, name=name)
        interpreter = Interpreter(data)

        def infer(given: bytes) -> Sequence[float]:
            tensor = tensors_of([given], info, config.takes, QuantisationRule.ROUND)
            (out,) = interpreter.run([tensor])
            if fault == "one-step":  # the last output is one step off now and then: a kernel that rounds wrong
                out = out.copy()
                out.flat[-1] = int(out.flat[-1]) + (-1 if out.flat[-1] > 0 else 1) * (
                    int(tensor.astype(int).sum()) % 3 == 0
                )
            if fault == "always-first":
                out = out.copy()
                out.flat[0] = 127
            real = dequantise(out, info.outputs[0])
            if config.gives == "reconstruction-error":
                numbers = np.frombuffer(given, dtype="<f4")
                return [float(((real.reshape(-1) - numbers) ** 2).mean())]
            return [float(value) for value in real.reshape(-1)]

        known = {each.name: each for each in MlperfTinyFault}
        size = input_bytes(info, config.takes)
        return MlperfTinyFirmware(
            name,
            infer,
            input_bytes=size,
            clock=(lambda: time.monotonic_ns() // 1000) if fault == "true-counter" else None,
            fault=known.get(fault),
        )
