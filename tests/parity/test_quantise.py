"""Quantisation rules and the sensor front-end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tfm_harness.errors import ConfigError
from tfm_harness.parity.engine_choice import get_engine
from tfm_harness.parity.frontend import CHANNELS, WINDOW, get_frontend, window_records, window_tensor
from tfm_harness.parity.model_info import Quantisation, TensorInfo
from tfm_harness.parity.quantise import QuantisationRule, dequantise, quantise
from tfm_harness.stimulus.base import Sample

from tests.scripts import load_script

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def tensor(dtype: str = "int8", scale: float = 0.5, zero: int = 10) -> TensorInfo:
    return TensorInfo(0, "x", (1,), dtype, Quantisation((scale,), (zero,)))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (QuantisationRule.ROUND, [11, 9, 12, 8, 10]),
        (QuantisationRule.ROUND_EVEN, [10, 10, 12, 8, 10]),
        (QuantisationRule.TRUNCATE, [10, 9, 11, 8, 10]),
        (QuantisationRule.FLOOR, [10, 9, 11, 8, 10]),
    ],
)
def test_rules_differ_on_halves(rule: QuantisationRule, expected: list[int]) -> None:
    # x / 0.5 = 0.5, -0.5, 1.5, -1.5, 0.2
    assert quantise([0.25, -0.25, 0.75, -0.75, 0.1], tensor(), rule).tolist() == expected


def test_truncate_and_floor_differ_below_zero() -> None:
    values = [-5.25]  # / 0.5 + 10 = -0.5
    assert quantise(values, tensor(), QuantisationRule.TRUNCATE).tolist() == [0]
    assert quantise(values, tensor(), QuantisationRule.FLOOR).tolist() == [-1]


def test_values_are_clamped() -> None:
    assert quantise([1e9, -1e9], tensor()).tolist() == [127, -128]
    assert quantise([1e9, -1e9], tensor("int16")).tolist() == [32767, -32768]


def test_not_finite_and_not_quantisable_are_refused() -> None:
    with pytest.raises(ConfigError, match="NaN or infinity"):
        quantise([float("nan")], tensor())
    with pytest.raises(ConfigError, match="cannot be quantised"):
        quantise([1.0], TensorInfo(0, "x", (1,), "int8", None))


def test_dequantise_per_channel() -> None:
    info = TensorInfo(0, "w", (2, 2), "int8", Quantisation((1.0, 10.0), (0, 1), 0))
    assert dequantise(np.array([[[1, 2], [3, 4]]], dtype=np.int8), info).tolist() == [[[1, 2], [20, 30]]]


def test_the_rule_is_what_decides_on_a_recorded_device() -> None:
    """Real firmware truncates: with that rule all 360 values are bit-exact, with rounding about 200."""
    recording = SHARED / "recordings" / "linaro"
    if not recording.is_dir():
        pytest.skip("recordings of the sine firmware are not there (../shared/recordings/linaro)")
    device = np.array(json.loads((recording / "device_sine.json").read_text())["tflm"], dtype=np.float32)
    model = (recording / "hello_world.tflite").read_bytes()
    radians = (np.arange(360, dtype=np.float32) * np.float32(np.pi) / np.float32(180)).reshape(-1, 1, 1)
    with get_engine() as engine:
        info = engine.info(model, "hello_world")

        def exact(rule: QuantisationRule) -> int:
            out = engine.run(model, quantise(radians, info.inputs[0], rule))[0]
            return int((dequantise(out, info.outputs[0]).astype(np.float32).ravel() == device).sum())

        assert exact(QuantisationRule.TRUNCATE) == 360
        assert exact(QuantisationRule.ROUND) < 240


def test_front_end_by_hand() -> None:
    raw = np.zeros((WINDOW, CHANNELS), dtype=np.int32)
    raw[0] = (640, 642, 641, 400)  # bias; +2 rounds up to 1; +1 rounds down; bias
    raw[1] = (639, 637, 30000, 401)  # -1 -> 0; -3 -> -1; clamped; 1 + 1 >> 1 = 1
    raw[2] = (-32768, 638, 640, 398)
    out = window_tensor(raw)
    assert out[0].tolist() == [0, 1, 0, 0]
    assert out[1].tolist() == [0, -1, 127, 1]
    assert out[2].tolist() == [-128, 0, 0, -1]
    assert out.dtype == np.int8


def test_front_end_equals_the_training_scripts() -> None:
    path = Path(__file__).resolve().parents[2] / "fw_builds" / "reference" / "models" / "sensor_frontend.py"
    if not path.is_file():
        pytest.skip("fw_builds/reference/models/sensor_frontend.py is not there")
    module = load_script(path, "sensor_frontend_of_training")
    raw = np.random.default_rng(2).integers(-32768, 32768, (200, WINDOW, CHANNELS))
    assert (module.quantise_window(raw) == window_tensor(raw)).all()


def test_samples_become_windows() -> None:
    samples = [Sample(i, -i, 2 * i, 400) for i in range(WINDOW)]
    records = window_records(samples)
    assert records.shape == (WINDOW, CHANNELS)
    assert records[3].tolist() == [3, -3, 6, 400]
    with pytest.raises(ValueError, match="window is 32 samples"):
        window_tensor(records[:31])
    with pytest.raises(ValueError, match="int16"):
        window_records([Sample(40000, 0, 0, 0)])
    assert get_frontend("reference") is window_tensor
    with pytest.raises(ConfigError, match="no sensor front-end is called 'referense'"):
        get_frontend("referense")
