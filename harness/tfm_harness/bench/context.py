"""The folders of a run."""

from __future__ import annotations

import time
from pathlib import Path

from tfm_harness.boards.base import RunContext
from tfm_harness.config.state_folder import state_dir
from tfm_harness.errors import InfrastructureError
from tfm_harness.files import resolved

__all__ = ["BOARD_KEYS", "NONCES", "begin_anew", "make_context"]

BOARD_KEYS, NONCES = "keys.sqlite", "nonces.sqlite"
"""Files in the run's folder with the keys and nonces that its boards have shown; all of its processes compare them."""


def make_context(
    run_dir: str = "",
    state: str = "",
    *,
    worker: str = "",
    origins: tuple[str, str] = ("", ""),
    fresh_identity: bool = False,
    deterministic: bool = False,
    store: str = "",
) -> RunContext:
    """Create the folders of a run.

    Args:
        run_dir: the folder of transcripts and records; empty: a new folder ``runs/<date and time>``.
        state: the folder of locks and identities; empty: the user's own.
        worker: the test process's name, empty when there is only one.
        origins: the sources of the two names, in words, for the error.
        fresh_identity, deterministic, store: as in `RunContext`.

    Raises:
        InfrastructureError: ``run-dir``: a folder cannot be made.
    """
    folder = Path(run_dir) if run_dir else Path("runs") / time.strftime("%Y-%m-%d_%H-%M-%S")
    states = state_dir(state)
    try:
        folder = folder if run_dir else _fresh(folder)
        whole = resolved(folder)
        folder = whole / worker if worker else whole
        folder.mkdir(parents=True, exist_ok=True)
        states.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        said = [
            f"{path} ({origin})" if origin else str(path)
            for path, origin in zip((folder, states), origins, strict=True)
        ]
        raise InfrastructureError(
            "the folder for this run's transcripts cannot be made",
            kind="run-dir",
            seen=str(error),
            where=", ".join(said),
            hint="free space, or name another run folder or state folder",
        ) from None
    return RunContext(
        run_dir=folder,
        state_dir=states,
        shared_dir=whole if worker else None,
        fresh_identity=fresh_identity,
        deterministic=deterministic,
        store=store,
    )


def begin_anew(run_dir: Path) -> None:
    """Delete the keys and nonces of an earlier run in the same folder: its secrets may belong to other boards now.

    Raises:
        InfrastructureError: ``run-dir``: a file of that run cannot be removed.
    """
    for name in (BOARD_KEYS, NONCES):
        for path in (run_dir / name, run_dir / f"{name}-journal"):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise InfrastructureError(
                    "the folder for this run's transcripts holds a file of an earlier run that cannot be removed",
                    kind="run-dir",
                    seen=str(error),
                    where=str(path),
                    hint="remove it, or name another run folder",
                ) from None


def _fresh(run_dir: Path) -> Path:
    """A new folder, even if two runs begin in the same second."""
    candidate, number = run_dir, 1
    while True:
        try:
            candidate.mkdir(parents=True)
        except FileExistsError:
            number += 1
            candidate = run_dir.with_name(f"{run_dir.name}_{number}")
        else:
            return candidate
