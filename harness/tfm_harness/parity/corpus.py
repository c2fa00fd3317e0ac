"""A model's corpus: inputs on which two implementations differed. They come first in every later session.

One file for each model, named by its digest; NumPy's format without pickled objects.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.files import whole_file
from tfm_harness.parity.arrays import Arrays, join
from tfm_harness.parity.model_info import ModelInfo

__all__ = ["keep", "kept"]

MAX_VECTORS: Final = 128
_MAX_FILE: Final = 64 << 20


def _path(folder: Path, info: ModelInfo) -> Path:
    return folder / f"{info.sha256[:32]}.npz"


def kept(folder: Path, info: ModelInfo) -> Arrays:
    """The corpus of a model: one array (n, *shape) for each input, n from 0.

    Raises:
        ConfigError: kind ``corpus-file``: damaged, or made for other tensors.
    """
    path = _path(folder, info)
    if not path.exists():
        return join([], info.inputs)
    try:
        if (size := path.stat().st_size) > _MAX_FILE:
            raise _bad(path, f"{size} bytes")
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            arrays = [np.asarray(stored[f"input{n}"]) for n in range(len(info.inputs))]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as exc:
        raise _bad(path, f"{type(exc).__name__}: {exc}") from exc
    expected = [((len(arrays[0]), *t.shape), t.dtype) for t in info.inputs]
    seen = [(a.shape, a.dtype.name) for a in arrays]
    if seen != expected or len(arrays[0]) > MAX_VECTORS:
        raise _bad(path, str(seen))
    return arrays


def keep(folder: Path, info: ModelInfo, inputs: Sequence[npt.NDArray[Any]]) -> int:
    """Add vectors to a model's corpus, new ones first, each once, at most 128; all of them or none.

    Returns:
        The number of vectors in the corpus now.

    Raises:
        ConfigError: as `kept`.
        InfrastructureError: kind ``corpus-write``.
    """
    before = kept(folder, info)
    joined = [np.concatenate([np.asarray(new, old.dtype), old]) for new, old in zip(inputs, before, strict=True)]
    first: dict[bytes, int] = {}
    for number in range(len(joined[0])):
        first.setdefault(b"".join(array[number].tobytes() for array in joined), number)
    chosen = sorted(first.values())[:MAX_VECTORS]
    path = _path(folder, info)
    try:
        with whole_file(path, ".corpus-") as stream:
            np.savez_compressed(stream, **{f"input{n}": array[chosen] for n, array in enumerate(joined)})
    except OSError as exc:
        raise InfrastructureError(
            "inputs for a model's corpus cannot be saved", kind="corpus-write", seen=str(exc), where=str(path)
        ) from exc
    return len(chosen)


def _bad(path: Path, seen: str) -> ConfigError:
    return ConfigError(
        "a model's corpus of inputs cannot be used", kind="corpus-file", where=str(path), seen=seen,
        expected=f"a .npz with one array of at most {MAX_VECTORS} vectors for each input",
        hint="delete the file: it is made anew when inputs split two implementations",
    )  # fmt: skip
