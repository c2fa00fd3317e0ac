"""Train `sine`: three fully connected layers, 1-16-16-1, y = sin(x)."""

from __future__ import annotations

import numpy as np
import sine_data
import tensorflow as tf
import training

SEED = 11


def main() -> None:
    """Train, convert, report the error on held-out points."""
    training.start(SEED)
    decay = tf.keras.regularizers.L2(1e-4)  # even weights lose less when they are quantised per tensor
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input((1,)),
            tf.keras.layers.Dense(16, activation="relu", kernel_regularizer=decay),
            tf.keras.layers.Dense(16, activation="relu", kernel_regularizer=decay),
            tf.keras.layers.Dense(1, kernel_regularizer=decay),
        ]
    )
    epochs = 120
    schedule = tf.keras.optimizers.schedules.CosineDecay(0.01, 4000 // 64 * epochs)
    model.compile(optimizer=tf.keras.optimizers.Adam(schedule), loss="mse")
    x, y = sine_data.generate(SEED, 4000)
    model.fit(x, y, epochs=epochs, batch_size=64, verbose=0)

    calibration = np.linspace(0.0, sine_data.TWO_PI, 256, dtype=np.float32).reshape(-1, 1, 1)
    content = training.convert(model, calibration, "sine")

    details = tf.lite.Interpreter(model_content=content)
    (in_scale, in_zero) = details.get_input_details()[0]["quantization"]
    (out_scale, out_zero) = details.get_output_details()[0]["quantization"]
    x, y = sine_data.generate(SEED + 1, 2000)
    outputs = training.run(content, training.quantise(x, in_scale, in_zero))
    error = (outputs.astype(np.float64) - out_zero) * out_scale - y
    print(
        f"sine: {len(content)} bytes; held-out mean absolute error {np.abs(error).mean():.4f}, "
        f"max {np.abs(error).max():.4f}; input scale {in_scale!r} zero point {in_zero}, "
        f"output scale {out_scale!r} zero point {out_zero}"
    )


if __name__ == "__main__":
    main()
