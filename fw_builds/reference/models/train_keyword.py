"""Train `keyword`: a depthwise-separable CNN on 49 x 10 cepstral features, ten classes."""

from __future__ import annotations

import keyword_data
import numpy as np
import tensorflow as tf
import training

SEED = 31
CHANNELS = 48
BLOCKS = 4


def build() -> tf.keras.Model:
    """DS-CNN (Zhang et al. 2017, "Hello Edge"): one convolution, four separable blocks, mean, classifier."""
    layers = tf.keras.layers
    inputs = layers.Input((keyword_data.FRAMES, keyword_data.COEFFICIENTS, 1))
    x = layers.Conv2D(CHANNELS, (10, 4), strides=(2, 2), padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    for _ in range(BLOCKS):
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Conv2D(CHANNELS, 1, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.AveragePooling2D((25, 5))(x)
    x = layers.Dropout(0.2)(layers.Flatten()(x))
    return tf.keras.Model(inputs, layers.Dense(len(keyword_data.LABELS), activation="softmax")(x))


def main() -> None:
    """Train, convert, report held-out accuracy."""
    training.start(SEED)
    model = build()
    features, labels = keyword_data.generate(SEED, 8000)
    epochs = 8
    # Smoothed labels keep the classifier from saturating: outputs then tell more than the winner.
    model.compile(
        optimizer=tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(0.003, 8000 // 64 * epochs)),
        loss=tf.keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        metrics=["accuracy"],
    )
    model.fit(features, tf.one_hot(labels, len(keyword_data.LABELS)), epochs=epochs, batch_size=64, verbose=2)

    calibration, _ = keyword_data.generate(SEED + 1, 300)
    content = training.convert(model, list(calibration[:, None]), "keyword")

    details = tf.lite.Interpreter(model_content=content)
    (in_scale, in_zero) = details.get_input_details()[0]["quantization"]
    features, labels = keyword_data.generate(SEED + 2, 2000)
    outputs = training.run(content, training.quantise(features, in_scale, in_zero))
    print(
        f"keyword: {len(content)} bytes; held-out accuracy {(outputs.argmax(axis=1) == labels).mean():.4f}; "
        f"input scale {in_scale!r} zero point {in_zero}; {np.unique(outputs, axis=0).shape[0]} distinct outputs"
    )


if __name__ == "__main__":
    main()
