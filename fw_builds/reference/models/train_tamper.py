"""Train `tamper`: 32 samples of magnetometer and temperature to idle, vibration or tamper."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tamper_data
import tensorflow as tf
import training
from sensor_frontend import CHANNELS, WINDOW, quantise_window

SEED = 21
INPUT_SCALE = 1.0 / 64.0
"""An int8 value q from the front-end stands for q / 64; the zero point is 0, so q goes in unchanged."""


def build() -> tf.keras.Model:
    """Convolutions along time with one residual block; the peak over time goes into the classifier."""
    layers = tf.keras.layers
    inputs = layers.Input((WINDOW, 1, CHANNELS))
    x = layers.Conv2D(12, (5, 1), padding="same", use_bias=False)(inputs)
    x = layers.BatchNormalization()(x)
    x = stem = layers.ReLU(6.0)(x)
    x = layers.DepthwiseConv2D((5, 1), padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    x = layers.Conv2D(12, 1, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Add()([x, stem])
    x = layers.MaxPooling2D((2, 1))(x)
    x = layers.ZeroPadding2D(((2, 1), (0, 0)))(x)
    x = layers.Conv2D(16, (4, 1), strides=(2, 1), activation="relu")(x)
    x = layers.AveragePooling2D((2, 1))(x)
    x = layers.Conv2D(24, (3, 1), activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(inputs, layers.Dense(len(tamper_data.LABELS), activation="softmax")(x))


def features(raw: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    """The front-end's int8 values as the real numbers that they stand for, shape (count, 32, 1, 4)."""
    return (quantise_window(raw).astype(np.float32) * np.float32(INPUT_SCALE))[:, :, None, :]


def main() -> None:
    """Train, convert, report held-out accuracy and the confusion matrix."""
    training.start(SEED)
    model = build()
    raw, labels = tamper_data.generate(SEED, 24000)
    steps = 24000 // 128 * 30
    # Smoothed labels keep the classifier from saturating: outputs then tell more than the winner.
    model.compile(
        optimizer=tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(0.004, steps)),
        loss=tf.keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        metrics=["accuracy"],
    )
    model.fit(features(raw), tf.one_hot(labels, len(tamper_data.LABELS)), epochs=30, batch_size=128, verbose=2)

    # The two extreme windows pin the input's range to exactly [-128/64, 127/64]: scale 1/64, zero point 0.
    extremes = [np.full((1, WINDOW, 1, CHANNELS), q * INPUT_SCALE, dtype=np.float32) for q in (-128, 127)]
    raw, _ = tamper_data.generate(SEED + 1, 400)
    content = training.convert(model, [*extremes, *features(raw)[:, None]], "tamper")

    details = tf.lite.Interpreter(model_content=content)
    quantisation = details.get_input_details()[0]["quantization"]
    if quantisation != (INPUT_SCALE, 0):
        raise SystemExit(f"input quantisation must be ({INPUT_SCALE}, 0), the converter chose {quantisation}")
    raw, labels = tamper_data.generate(SEED + 2, 6000)
    outputs = training.run(content, quantise_window(raw))
    predicted = outputs.argmax(axis=1)
    confusion = np.zeros((3, 3), dtype=int)
    np.add.at(confusion, (labels, predicted), 1)
    print(f"tamper: {len(content)} bytes; held-out accuracy {(predicted == labels).mean():.4f}")
    print("confusion (rows: truth idle, vibration, tamper):", confusion.tolist())


if __name__ == "__main__":
    main()
