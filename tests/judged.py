"""A reference that judges a simulated board, for tests of what the bench makes of a build's models."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tfm_harness.bench.instruments import Instruments
from tfm_harness.bench.metrics import Metrics, Unkept
from tfm_harness.bench.reference import Reference
from tfm_harness.boards.base import Identity
from tfm_harness.config.build import Build
from tfm_harness.config.sensors import SensorConfig
from tfm_harness.findings import Report
from tfm_harness.trust.anchors import Trust

__all__ = ["MakeReference", "references"]

MakeReference = Callable[..., Reference]


@contextlib.contextmanager
def references(folder: Path) -> Iterator[MakeReference]:
    """Makes references of a build and a simulated board, with a report of their own; ends their interpreters."""
    opened: list[Instruments] = []

    def made(
        build: Build, board: Any, measured: Metrics | None = None, sensors: Mapping[str, SensorConfig] | None = None
    ) -> Reference:
        opened.append(Instruments(build, folder))
        state: Any = SimpleNamespace(trust=Trust(build, Identity(board_id="board")))
        target: Any = SimpleNamespace(name="board", sensors=sensors or {})
        return Reference(
            lambda: state, Report(), instruments=opened[-1], runner=board, target=target, run_dir=folder,
            measured=measured or Unkept(),
        )  # fmt: skip

    try:
        yield made
    finally:
        for instruments in opened:
            instruments.close()
