"""Checks that the build says enough about a model's state to judge its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfm_harness.bench.not_covered import NotCovered
from tfm_harness.config.build import Build
from tfm_harness.errors import ConfigError

if TYPE_CHECKING:
    from tfm_harness.parity.engines import State
    from tfm_harness.parity.model_info import ModelInfo

__all__ = ["covered_state"]


def covered_state(build: Build, info: ModelInfo, name: str, *, single: bool = False) -> State | None:
    """The build's setting for a model's state; None for a model without any state.

    Args:
        build: names the models.
        info: the model.
        name: its name in the build.
        single: whether a single result is judged.

    Raises:
        NotCovered: the model has state, or several signatures, and the build has no setting for that.
    """
    from tfm_harness.parity.session import require_state

    config = build.models.get(name)
    if info.entries > 1:
        keys = ", ".join(repr(key) for key, _ in info.signatures)
        raise NotCovered(f"model {info.name} has {len(info.signatures)} signatures ({keys}), and the build does not"
                         " say which one the device runs: say `signature`")  # fmt: skip
    state = config.state if config is not None else None
    try:
        require_state(info, state)
    except ConfigError as error:
        raise NotCovered(f"{error.message} ({error.seen}): say `state: per-vector` or `state: sequence`") from None
    if single and info.stateful and state == "sequence":
        raise NotCovered(f"model {info.name} keeps its state: one result alone does not tell what went before it")
    return state
