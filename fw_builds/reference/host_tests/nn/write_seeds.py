"""Writes one-operator models and the small real ones as seeds for the fuzzer: `write_seeds.py FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from engines import MODELS
from tfm_harness.testing.one_operator import GENERATORS

SEEDS_EACH = 12


def main() -> None:
    """Fill the folder."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, generate in GENERATORS.items():
        for index in range(SEEDS_EACH):
            (folder / f"{name}.{index}").write_bytes(generate(np.random.default_rng([3, index])).build())
    for name in ("sine", "tamper"):
        (folder / name).write_bytes((MODELS / f"{name}.tflite").read_bytes())


if __name__ == "__main__":
    main()
