"""What the training scripts share: repeatable set-up, int8 conversion, evaluation of the converted file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_DETERMINISTIC_OPS", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import numpy.typing as npt
import tensorflow as tf

__all__ = ["HERE", "convert", "quantise", "run", "start"]

HERE = Path(__file__).resolve().parent


def start(seed: int) -> None:
    """Seed every generator and keep to one thread, so that two runs give the same file."""
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def convert(model: tf.keras.Model, calibration: Iterable[npt.NDArray[np.float32]], name: str) -> bytes:
    """Convert to a fully int8 model with static batch 1 and write `name`.tflite beside this file.

    Args:
        model: trained; its input has a batch axis.
        calibration: inputs, each with a batch axis of 1, that span the range of every tensor.
        name: file stem.
    """
    shape = [1, *model.input_shape[1:]]
    function = tf.function(lambda x: model(x, training=False)).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample] for sample in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    content = bytes(converter.convert())
    (HERE / f"{name}.tflite").write_bytes(content)
    return content


def quantise(values: npt.NDArray[np.float32], scale: float, zero_point: int) -> npt.NDArray[np.int8]:
    """Real values to int8 with the given affine parameters, rounding half to even, saturating."""
    return np.clip(np.rint(values / scale) + zero_point, -128, 127).astype(np.int8)


def run(content: bytes, inputs: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Run the reference kernels on each row of `inputs`; returns the outputs, one row each."""
    interpreter = tf.lite.Interpreter(
        model_content=content,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    sink = interpreter.get_output_details()[0]
    outputs = []
    for row in inputs:
        interpreter.set_tensor(source["index"], row.reshape(source["shape"]))
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(sink["index"]).reshape(-1))
    return np.array(outputs)
