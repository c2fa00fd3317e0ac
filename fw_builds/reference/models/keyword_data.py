"""Synthetic utterances of the `keyword` model: 49 frames of 10 cepstral coefficients.

No recording is used. Each of ten made-up words is a fixed string of phones; a phone is a fixed vector of ten
coefficients, so that what the model learns is what a keyword spotter learns: the order of spectral shapes under
changes of speed, speaker, loudness, channel and background noise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["COEFFICIENTS", "FRAMES", "LABELS", "generate"]

FRAMES = 49
COEFFICIENTS = 10

_PHONE_SEED = 20260
_PHONES = 8
_LANGUAGE = np.random.default_rng(_PHONE_SEED).normal(0.0, 1.0, size=(_PHONES, COEFFICIENTS))

# Words share phones and beginnings, so that no single frame gives a word away.
_WORDS = {
    "silence": (),
    "noise": (),
    "baro": (0, 1, 2),
    "bori": (0, 2, 3),
    "dane": (4, 1, 5),
    "deno": (4, 5, 2),
    "kuvi": (6, 7, 3),
    "kivu": (6, 3, 7),
    "tobe": (2, 0, 5),
    "turo": (7, 1, 2),
}
LABELS = tuple(_WORDS)

_Utterance = npt.NDArray[np.float64]


def _speak(rng: np.random.Generator, phones: tuple[int, ...]) -> _Utterance:
    """A word: phones of random length joined by glides, somewhere in the window."""
    lengths = rng.uniform(6.0, 12.0, size=len(phones))
    start = rng.uniform(1.0, FRAMES - 2.0 - lengths.sum()) if lengths.sum() < FRAMES - 3 else 1.0
    centres = start + np.cumsum(lengths) - lengths / 2
    frames = np.arange(FRAMES)[:, None]
    weights = np.exp(-(((frames - centres) / (0.45 * lengths)) ** 2))
    speaker = 1.0 + rng.normal(0.0, 0.12, size=(len(phones), COEFFICIENTS))
    return np.asarray(weights @ (_LANGUAGE[list(phones)] * speaker)) * rng.uniform(0.8, 1.3)


def _babble(rng: np.random.Generator) -> _Utterance:
    """Speech-like noise: phones in no word's order, fading in and out."""
    phones = tuple(int(p) for p in rng.permutation(_PHONES)[:2])
    return _speak(rng, phones) * rng.uniform(0.4, 1.0)


def generate(seed: int, count: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Draw utterances: features of shape (count, 49, 10, 1) and the word of each (index into `LABELS`)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(LABELS), size=count)
    features = np.empty((count, FRAMES, COEFFICIENTS, 1), dtype=np.float32)
    for index, label in enumerate(labels):
        name = LABELS[label]
        if name == "silence":
            clean = np.zeros((FRAMES, COEFFICIENTS))
        elif name == "noise":
            clean = _babble(rng)
        else:
            clean = _speak(rng, _WORDS[name])
        channel = rng.normal(0.0, 0.15, size=COEFFICIENTS)
        noise = rng.normal(0.0, rng.uniform(0.15, 0.45), size=clean.shape)
        features[index, :, :, 0] = clean + channel + noise
    return features, labels
