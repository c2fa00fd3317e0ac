"""Failing inputs, kept in one file that ``tfm-harness replay FILE`` runs again.

JSON with base64 arrays: readable, self-contained, no code in it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.files import read_file, whole_file

__all__ = ["SCHEMA", "Failure", "load_failure", "save_failure", "save_json"]

SCHEMA = "tfm-harness-parity-failure/1"
MAX_FILE = 256 << 20
_DTYPES = {"int8", "uint8", "int16", "int32", "int64", "float32", "bool"}

Arrays = tuple[npt.NDArray[Any], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Failure:
    """Vectors on which device and reference disagreed.

    Attributes:
        vectors: their numbers in the session that found them.
        inputs, reference, device: one array (n, *shape) for each tensor.
        engine: `EngineRecord.as_dict` of the engine that computed the reference.
        seed: seed of generated inputs.
        context: target, build, model file and the like.
        state: for a stateful model: ``per-vector``, or ``sequence``: then the file holds all vectors from the first on.
    """

    model: str
    model_sha256: str
    vectors: tuple[int, ...]
    inputs: Arrays
    reference: Arrays
    device: Arrays
    engine: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    state: str = ""


def save_failure(folder: Path, failure: Failure, *, prefix: str = "parity") -> Path:
    """Write the file ``PREFIX-MODEL-DIGEST.json``; whole or not at all.

    Args:
        folder: the folder of the file.
        failure: vectors with outputs; also those of a whole session, for a later comparison.
        prefix: the beginning of the file's name.

    Raises:
        InfrastructureError: kind ``replay-write``: the disk is full or the folder cannot be written.
    """
    data = {
        "schema": SCHEMA,
        "model": failure.model,
        "model_sha256": failure.model_sha256,
        "vectors": list(failure.vectors),
        "engine": dict(failure.engine),
        "seed": failure.seed,
        "context": dict(failure.context),
        "state": failure.state,
        "inputs": [_encode(a) for a in failure.inputs],
        "reference": [_encode(a) for a in failure.reference],
        "device": [_encode(a) for a in failure.device],
    }
    return save_json(folder, data, prefix, failure.model, failure.inputs + failure.device)


def save_json(
    folder: Path, data: Mapping[str, Any], prefix: str, model: str, arrays: Sequence[npt.NDArray[Any]]
) -> Path:
    """Write ``PREFIX-MODEL-DIGEST.json``, whole or not at all; the digest is that of `arrays`.

    Raises:
        InfrastructureError: kind ``replay-write``.
    """
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in model)[:60] or "model"
    path = folder / f"{prefix}-{safe}-{hash_arrays(tuple(arrays)):08x}.json"
    try:
        with whole_file(path, ".parity-") as out:
            out.writelines(part.encode() for part in json.JSONEncoder(indent=1).iterencode(data))
    except OSError as exc:
        raise InfrastructureError(
            "failing vectors cannot be saved", kind="replay-write", seen=str(exc), where=str(path)
        ) from exc
    return path


def load_failure(path: Path, content: bytes | None = None) -> Failure:
    """Read a file that `save_failure` wrote.

    Args:
        path: the file.
        content: its bytes, if they have been read already.

    Raises:
        ConfigError: kind ``replay-file``: missing, damaged, too large or of another schema.
    """
    try:
        size = path.stat().st_size if content is None else len(content)
        _need(size <= MAX_FILE, f"{size} bytes, at most {MAX_FILE}")
        data = json.loads((read_file(path, MAX_FILE) if content is None else content).decode())
        _need(
            isinstance(data, dict) and data.get("schema") == SCHEMA,
            f"schema {data.get('schema') if isinstance(data, dict) else None!r}",
        )
        failure = Failure(
            model=str(data["model"]),
            model_sha256=str(data["model_sha256"]),
            vectors=tuple(int(v) for v in data["vectors"]),
            inputs=tuple(_decode(a) for a in data["inputs"]),
            reference=tuple(_decode(a) for a in data["reference"]),
            device=tuple(_decode(a) for a in data["device"]),
            engine=dict(data["engine"]),
            seed=None if data["seed"] is None else int(data["seed"]),
            context={str(k): str(v) for k, v in data["context"].items()},
            state=str(data.get("state", "")),
        )
        _need(failure.state in {"", "per-vector", "sequence"}, f"state {failure.state!r}")
        lengths = {len(a) for a in (*failure.inputs, *failure.reference, *failure.device)} | {len(failure.vectors)}
        _need(len(lengths) == 1 and bool(failure.inputs and failure.reference), f"arrays of {sorted(lengths)} vectors")
    except OSError as exc:
        raise _bad(path, str(exc)) from exc
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise _bad(path, f"{type(exc).__name__}: {exc}") from exc
    return failure


def hash_arrays(arrays: Arrays) -> int:
    """CRC-32 over all bytes, for file names."""
    crc = 0
    for array in arrays:
        crc = binascii.crc32(np.ascontiguousarray(array).tobytes(), crc)
    return crc


def _need(condition: bool, seen: str) -> None:
    if not condition:
        raise ValueError(seen)


def _bad(path: Path, seen: str) -> ConfigError:
    return ConfigError(
        "not a parity failure file",
        kind="replay-file",
        expected=f"a JSON file of schema {SCHEMA}",
        seen=seen,
        where=str(path),
        hint="give a file named parity-MODEL-*.json from a run's folder",
    )


def _encode(array: npt.NDArray[Any]) -> dict[str, Any]:
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "data": base64.b64encode(little.tobytes()).decode("ascii"),
    }


def _decode(value: Mapping[str, Any]) -> npt.NDArray[Any]:
    if value["dtype"] not in _DTYPES:
        raise ValueError(f"type {value['dtype']!r}")
    raw = base64.b64decode(value["data"], validate=True)
    dtype = np.dtype(value["dtype"])
    return np.frombuffer(raw, dtype=dtype.newbyteorder("<")).astype(dtype).reshape([int(n) for n in value["shape"]])
