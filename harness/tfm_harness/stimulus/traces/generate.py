"""Writes the traces that come with the harness: a board at rest, a shaken board, a board under tampering.

They are synthetic, not recorded from a device, with sensor noise as in the data sheets: LSM303DLHC about 0.2 uT rms,
TMP105 about 0.04 degC. Run it from this folder: ``python generate.py``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

ROWS = 96
"""Three windows of 32 samples."""
FIELD = (58.2, 58.2, 65.35)
"""Microtesla at rest."""

_Columns = npt.NDArray[np.float64]


def _rest(rng: np.random.Generator) -> _Columns:
    columns = np.empty((ROWS, 4))
    columns[:, :3] = np.array(FIELD) + rng.normal(0.0, 0.2, size=(ROWS, 3))
    columns[:, 3] = 25.0 + np.linspace(0.0, 0.3, ROWS) + rng.normal(0.0, 0.04, size=ROWS)
    return columns


def _vibration(rng: np.random.Generator) -> _Columns:
    columns = _rest(rng)
    time = np.arange(ROWS)
    swing = np.sin(2 * np.pi * 0.21 * time) + 0.3 * np.sin(2 * np.pi * 0.42 * time + 1.0)
    columns[:, :3] += np.outer(swing, [5.0, 3.0, 4.0])
    return columns


def _tamper(rng: np.random.Generator) -> _Columns:
    """In the middle of each window a magnet comes near and stays; the lid is open, so that air cools the board."""
    columns = _rest(rng)
    time = np.arange(ROWS) % 32
    near = 1.0 / (1.0 + np.exp(-(time - 14.0) / 0.8))
    columns[:, :3] += np.outer(near, [21.0, -15.0, 18.0])
    columns[:, 3] -= np.maximum(time - 14, 0) / 32 * 3.0
    return columns


def main() -> None:
    """Write the three files."""
    for seed, (name, make) in enumerate((("idle", _rest), ("vibration", _vibration), ("tamper", _tamper))):
        columns = make(np.random.default_rng(1000 + seed))
        lines = [f"# {name}: synthetic, by generate.py; one row for each sample of the sensor window"]
        lines.append("mag.x[uT],mag.y[uT],mag.z[uT],temp[degC]")
        lines += [",".join(f"{value:.3f}" for value in row) for row in columns]
        Path(f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
