"""Pairs of target and build: loaded, validated and matched before any board is touched."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tfm_harness.boards.base import RunContext
from tfm_harness.boards.pool import members_of
from tfm_harness.config.build import Build
from tfm_harness.config.loading import check_pair, check_targets, load_build, load_target
from tfm_harness.config.state_folder import state_dir
from tfm_harness.config.target import TargetBase
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.findings import Policy
from tfm_harness.plugin.options import Setting

T = TypeVar("T")

__all__ = ["Pair", "load_pairs", "run_context"]


@dataclass(frozen=True, slots=True)
class Pair:
    """One target with one build.

    Attributes:
        target: what the board is; of a pool, its first member.
        build: what runs on it.
        policy: how strictly its findings are judged.
        members: the boards that may serve, each as good as the others.
        pool: the pool's name; empty when the target's own is meant.
    """

    target: TargetBase
    build: Build
    policy: Policy
    members: tuple[TargetBase, ...] = ()
    pool: str = ""

    @property
    def name(self) -> str:
        """As in test ids: ``qemu-an547+reference``."""
        return f"{self.pool or self.target.name}+{self.build.name}"

    def build_summary(self) -> str:
        """The build in a line of the header."""
        models = ", ".join(self.build.models) or "no models"
        identity = "".join(f", {name} {digest}" for name, digest in self.identity().items())
        return f"build {self.build.name}{identity}, protocol {self.build.protocol}, {models}; policy {self.policy}"

    def identity(self) -> dict[str, str]:
        """The firmware's identity by its files: the first digits of each component's measurement."""
        from tfm_harness.boards.base import Identity
        from tfm_harness.errors import HarnessError
        from tfm_harness.plugin.trust import Trust

        try:
            components = Trust(self.build, Identity(self.target.name)).components(None)
        except (HarnessError, OSError):
            return {}  # the header is no place to judge files
        return {component.type: component.measurement.hex()[:12] for component in components if component.type}


def load_pairs(targets: Setting, builds: Setting, policy: Setting, *, pool: bool = False) -> tuple[Pair, ...]:
    """Every target with every build; with `pool` the targets are alternatives to each other.

    Raises:
        ConfigError: one of the two is missing, a file is wrong, a name is given twice, two
            targets share a physical board, or a build cannot run on a target.
    """
    for given, other in ((targets, builds), (builds, targets)):
        if not given.values:
            raise ConfigError(
                f"no {given.option.name} was given",
                kind="option-missing",
                expected=f"{given.option.flag} NAME, {given.option.key} in the ini file or {given.option.env}",
                seen=f"{other.option.name} {', '.join(other.values)} from {other.origin}",
                hint=f"`tfm-harness {given.option.name}s` lists what is known",
            )
    loaded_targets = [_from(targets, value, load_target) for value in _unique(targets)]
    loaded_builds = [_from(builds, value, load_build) for value in _unique(builds)]
    check_targets(loaded_targets)
    pairs = []
    groups = [loaded_targets] if pool else [[target] for target in loaded_targets]
    for group in groups:
        members = members_of(group)
        name = "|".join(target.name for target in group) if len(group) > 1 else ""
        for build in loaded_builds:
            for target in group:
                check_pair(target, build)
            chosen = Policy(policy.text) if policy.text else build.policy or Policy.VALIDATION
            pairs.append(Pair(group[0], build, chosen, members, name))
    return tuple(pairs)


def run_context(options: Mapping[str, Setting], *, worker: str = "", shared: str = "") -> RunContext:
    """Folders of this run, created.

    Args:
        options: the plugin's settings.
        worker: the test process's name, empty when there is only one.
        shared: the folder that the controlling process has made for the run.

    Raises:
        InfrastructureError: ``run-dir``: a folder cannot be made.
    """
    given = shared or options["run-dir"].text
    run_dir = Path(given) if given else Path("runs") / time.strftime("%Y-%m-%d_%H-%M-%S")
    state = state_dir(options["state-dir"].text)
    try:
        run_dir = _fresh(run_dir) if not given else run_dir
        whole = run_dir.resolve()
        run_dir = whole / worker if worker else whole
        run_dir.mkdir(parents=True, exist_ok=True)
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InfrastructureError(
            "the folder for this run's transcripts cannot be made",
            kind="run-dir",
            seen=str(error),
            where=f"{run_dir} ({options['run-dir'].origin}), {state} ({options['state-dir'].origin})",
            hint="free space, or name another folder with --tfm-run-dir or --tfm-state-dir",
        ) from None
    return RunContext(
        run_dir=run_dir,
        state_dir=state,
        shared_dir=whole if worker else None,
        fresh_identity=options["fresh-identity"].on,
        deterministic=options["deterministic"].on,
    )


def _fresh(run_dir: Path) -> Path:
    """A folder of its own also for two runs that begin in the same second."""
    candidate, number = run_dir, 1
    while True:
        try:
            candidate.mkdir(parents=True)
        except FileExistsError:
            number += 1
            candidate = run_dir.with_name(f"{run_dir.name}_{number}")
        else:
            return candidate


def _unique(given: Setting) -> tuple[str, ...]:
    twice = {value for value in given.values if given.values.count(value) > 1}
    if twice:
        raise ConfigError(
            f"{given.option.name} {', '.join(sorted(twice))} is given twice", kind="option-twice", where=given.origin
        )
    return given.values


def _from(given: Setting, value: str, load: Callable[[str], T]) -> T:
    try:
        return load(value)
    except ConfigError as error:
        error.where = f"{error.where}; from {given.origin}" if error.where else given.origin
        raise
