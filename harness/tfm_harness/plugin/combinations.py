"""Pairs of target and build: loaded, validated and matched before any board is touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from tfm_harness.bench.combination import TargetBuild
from tfm_harness.bench.context import begin_anew, make_context
from tfm_harness.boards.base import RunContext
from tfm_harness.boards.pool import members_of
from tfm_harness.config.loading import check_combination, check_targets, load_build, load_target
from tfm_harness.config.nearest import did_you_mean
from tfm_harness.config.target import TargetBase
from tfm_harness.errors import ConfigError
from tfm_harness.findings import Policy
from tfm_harness.plugin.options import Setting
from tfm_harness.trust.signers import refuse_other_signers

T = TypeVar("T")


__all__ = ["load_combinations", "run_context"]


def load_combinations(
    targets: Setting,
    builds: Setting,
    policy: Setting,
    *,
    pool: bool = False,
    boards: Setting | None = None,
    count: Setting | None = None,
) -> tuple[TargetBuild, ...]:
    """Every target with every build; with `pool` the targets are alternatives to each other.

    Args:
        targets, builds, policy: what was asked for.
        pool: whether the targets are alternatives.
        boards: names of the only boards that may serve; None or none: all.
        count: how many boards like each target there are; None or empty: as the target says.

    Raises:
        ConfigError: one of the two is missing, a file is wrong, a name is given twice, an image is broken or signed by
            another key than the build names, two targets share a physical board, a build cannot run on a target, or
            no such board.
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
    if count is not None and count.text:
        loaded_targets = [target.model_copy(update={"count": int(count.text)}) for target in loaded_targets]
    loaded_builds = [_from(builds, value, load_build) for value in _unique(builds)]
    for build in loaded_builds:
        refuse_other_signers(build, without_key=False)  # the suite boot asks for the key
    check_targets(loaded_targets)
    combinations = []
    groups = [loaded_targets] if pool else [[target] for target in loaded_targets]
    for group in groups:
        members = _chosen(members_of(group), boards)
        name = "|".join(target.name for target in group) if len(group) > 1 else ""
        for build in loaded_builds:
            for target in group:
                check_combination(target, build)
            chosen = Policy(policy.text) if policy.text else build.policy or Policy.VALIDATION
            combinations.append(TargetBuild(group[0], build, chosen, members, name))
    return tuple(combinations)


def _chosen(members: tuple[TargetBase, ...], boards: Setting | None) -> tuple[TargetBase, ...]:
    """The boards that were asked for by name."""
    wanted = boards.values if boards is not None else ()
    if not wanted:
        return members
    names = [member.name for member in members]
    for name in wanted:
        if name not in names:
            raise ConfigError(
                f"there is no board {name!r}{did_you_mean(name, names)}",
                kind="board-unknown",
                expected=f"one of {', '.join(names)}",
                seen=name,
                where=boards.origin if boards is not None else None,
                hint="the boards of a target with `count: N` are called NAME.1 to NAME.N",
            )
    return tuple(member for member in members if member.name in wanted)


def run_context(options: Mapping[str, Setting], *, worker: str = "", shared: str = "") -> RunContext:
    """Folders of this run, created.

    Args:
        options: the plugin's settings.
        worker: the test process's name, empty when there is only one.
        shared: the folder that the controlling process has made for the run.

    Raises:
        InfrastructureError: ``run-dir``: a folder cannot be made, or holds what cannot be removed.
    """
    context = make_context(
        shared or options["run-dir"].text,
        options["state-dir"].text,
        worker=worker,
        origins=(options["run-dir"].origin, options["state-dir"].origin),
        fresh_identity=options["fresh-identity"].on,
        deterministic=options["deterministic"].on,
        store=options["store"].text,
    )
    if not worker:
        begin_anew(context.run_dir)
    return context


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
