"""Makes a plan of a farm file: everything that the file names is found, read and matched before anything runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tfm_harness.boards.pool import members_of
from tfm_harness.config.build import Build
from tfm_harness.config.farm import Farm, FarmPool, Golden
from tfm_harness.config.loading import check_combination, check_targets, load_build, load_target
from tfm_harness.config.nearest import did_you_mean
from tfm_harness.config.problems import Problem, fail
from tfm_harness.config.target import TargetBase
from tfm_harness.errors import ConfigError
from tfm_harness.farm.tasks import GoldenPlan, Plan, PlannedBuild, PoolPlan, Task, Times, name_of
from tfm_harness.order import natural

__all__ = ["OpenedFarm", "make_plan", "open_farm"]

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class OpenedFarm:
    """A farm whose targets, builds and suites have all been found.

    Attributes:
        pools: in the file's order, `targets` first.
        builds: builds under test, in the file's order.
        golden: golden builds by their source.
        suites: the night's suites.
        kinds: the kind of each board.
    """

    farm: Farm
    pools: tuple[PoolPlan, ...]
    builds: tuple[PlannedBuild, ...]
    golden: Mapping[str, PlannedBuild]
    allowed: Mapping[str, tuple[str, ...]]
    suites: Mapping[str, tuple[str, ...]]
    kinds: Mapping[str, str]


class _Problems:
    """The problems of the whole file, each with its line, so that the user can fix all of them at once."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self.found: list[Problem] = []

    def add(self, place: Place, text: str) -> None:
        document = self._farm.document
        self.found.append((document.where(place) if document else self._farm.name, text))

    def take(self, place: Place, error: ConfigError) -> None:
        """Add the error of another file, with its own places."""
        self.add(place, str(error).replace("\n", "\n    "))

    def raise_any(self) -> None:
        if self.found:
            file = self._farm.document.file if self._farm.document else self._farm.name
            raise fail("farm-invalid", f"{file} cannot be run", self.found)


def open_farm(
    farm: Farm, known_suites: Mapping[str, Path], *, digests: Callable[[Build], Mapping[str, str]]
) -> OpenedFarm:
    """Find, read and match everything that the farm file names. Touches no board.

    Args:
        farm: the file.
        known_suites: suites by name.
        digests: digest of each file of a build, by its name in it.

    Raises:
        ConfigError: kind ``farm-invalid`` with every problem, each at its line.
    """
    problems = _Problems(farm)
    pools = _pools(farm)
    targets = _load_targets(pools, problems)
    builds = _load_builds(farm, problems)
    golden = _load_golden(pools, problems)
    _check_suites(farm, pools, known_suites, problems)
    _check_boards(targets, problems)
    names = [build.name for _, build, _ in builds]
    _check_twice(builds, golden, pools, problems)
    for pool in pools:
        for index, name in enumerate(pool.config.builds or ()):
            if name not in names:
                problems.add((*pool.place, "builds", index), f"no build of this farm is called {name!r}"
                             + (did_you_mean(name, names) or f"; it has {', '.join(names)}"))  # fmt: skip
        wanted = [(source, build, place) for source, build, place in builds if _allowed(pool.config, build.name)]
        proves = golden.get(pool.golden.build)
        wanted += [(pool.golden.build, proves, (*pool.golden_place, "build"))] if proves else []
        for _, build, place in wanted:
            _check_fits(targets.get(pool.name, ()), build, place, problems)
    problems.raise_any()
    all_suites = tuple(farm.suites) or tuple(known_suites)
    planned = tuple(PlannedBuild(name=b.name, source=source, files=digests(b)) for source, b, _ in builds)
    plans = tuple(_pool_plan(pool, targets[pool.name], golden[pool.golden.build].name) for pool in pools)
    return OpenedFarm(
        farm=farm,
        pools=plans,
        builds=planned,
        golden={
            source: PlannedBuild(name=build.name, source=source, files=digests(build))
            for source, build in golden.items()
        },
        allowed={pool.name: pool.config.builds or tuple(names) for pool in pools},
        suites={pool.name: tuple(pool.config.suites or all_suites) for pool in pools},
        kinds={board.name: board.kind for pool in pools for board in members_of(targets[pool.name])},
    )


@dataclass(frozen=True, slots=True)
class _Pool:
    name: str
    config: FarmPool
    golden: Golden
    place: Place
    golden_place: Place
    target_places: tuple[Place, ...]


def _pools(farm: Farm) -> list[_Pool]:
    found = []
    for index, target in enumerate(farm.targets):
        place: Place = ("targets", index)
        found.append(
            _Pool(name_of(target), FarmPool(targets=(target,), each=True), farm.golden, place, ("golden",), (place,))
        )
    for name, pool in farm.pools.items():
        place = ("pools", name)
        found.append(
            _Pool(name, pool, pool.golden or farm.golden, place, (*place, "golden") if pool.golden else ("golden",),
                  tuple((*place, "targets", index) for index in range(len(pool.targets))))
        )  # fmt: skip
    return found


def _load_targets(pools: Sequence[_Pool], problems: _Problems) -> dict[str, list[TargetBase]]:
    found: dict[str, list[TargetBase]] = {}
    for pool in pools:
        if pool.name in found:
            problems.add(pool.place, f"{pool.name!r} appears twice: as a target and as a pool, or as two targets")
        found[pool.name] = []
        for source, place in zip(pool.config.targets, pool.target_places, strict=True):
            try:
                found[pool.name].append(load_target(source))
            except ConfigError as error:
                problems.take(place, error)
        try:
            members_of(found[pool.name])
        except ConfigError as error:
            problems.take(pool.place, error)
    return found


def _load_builds(farm: Farm, problems: _Problems) -> list[tuple[str, Build, Place]]:
    found: list[tuple[str, Build, Place]] = []
    for index, source in enumerate(farm.builds):
        place: Place = ("builds", index)
        sources: Iterable[str] = (source.build,) if source.build is not None else ()
        if source.folder is not None:
            sources = [str(path) for path in _builds_in(source.folder, source.newest)]
            if not sources:
                what = "no build.yaml in it" if source.folder.is_dir() else "no such folder"
                problems.add((*place, "folder"), f"{source.folder}: {what}")
        for each in sources:
            try:
                found.append((each, load_build(each), place))
            except ConfigError as error:
                problems.take(place, error)
    return found


def _builds_in(folder: Path, newest: int | None) -> list[Path]:
    """The builds in a folder, by name; or the youngest ones, youngest first."""
    try:
        builds = (path for path in (folder / "build.yaml", *folder.glob("*/build.yaml")) if path.is_file())
        found = sorted(builds, key=lambda path: natural(str(path.parent)))
        if newest is not None:
            found = sorted(found, key=lambda path: (-path.stat().st_mtime, natural(str(path))))[:newest]
    except OSError:
        return []
    return found


def _load_golden(pools: Sequence[_Pool], problems: _Problems) -> dict[str, Build]:
    found: dict[str, Build] = {}
    failed: set[str] = set()
    for pool in pools:
        source = pool.golden.build
        if source in found or source in failed:
            continue
        try:
            found[source] = load_build(source)
        except ConfigError as error:
            failed.add(source)
            problems.take((*pool.golden_place, "build"), error)
    return found


def _check_suites(farm: Farm, pools: Sequence[_Pool], known: Mapping[str, Path], problems: _Problems) -> None:
    def places() -> Iterator[tuple[Place, str]]:
        yield from ((("suites", index), name) for index, name in enumerate(farm.suites))
        seen: set[Place] = set()
        for pool in pools:
            for index, name in enumerate(pool.config.suites or ()):
                yield (*pool.place, "suites", index), name
            if pool.golden_place not in seen:
                seen.add(pool.golden_place)
                yield from (
                    ((*pool.golden_place, "suites", index), name) for index, name in enumerate(pool.golden.suites)
                )

    for place, name in places():
        if name in known or (os.sep in name and Path(name).exists()):
            continue
        problems.add(
            place, f"no suite is called {name!r}" + (did_you_mean(name, known) or f"; known: {', '.join(known)}")
        )


def _check_boards(targets: Mapping[str, Sequence[TargetBase]], problems: _Problems) -> None:
    try:
        check_targets([target for pool in targets.values() for target in pool])
    except ConfigError as error:
        problems.take((), error)
    owners: dict[str, str] = {}
    for pool, group in targets.items():
        for target in group:
            other = owners.setdefault(target.name, pool)
            if other != pool:
                problems.add(("pools", pool), f"target {target.name!r} is in {other!r} already: a board has one place")


def _check_twice(
    builds: Sequence[tuple[str, Build, Place]], golden: Mapping[str, Build], pools: Sequence[_Pool], problems: _Problems
) -> None:
    """Report a name that two builds share: in a night's records, a name identifies one build."""
    seen: dict[str, tuple[str, Path | None]] = {}
    for source, build, place in builds:
        if build.name not in seen:
            seen[build.name] = (source, build.path)
            continue
        other, path = seen[build.name]
        if path == build.path:
            problems.add(place, f"the build {build.name!r} appears twice")
        else:
            words = f"two builds are called {build.name!r}: {other} and {source}"
            problems.add(place, f"{words}; give one of them another `name`")
    places = {pool.golden.build: (*pool.golden_place, "build") for pool in pools}
    for source, build in golden.items():
        other, path = seen.setdefault(build.name, (source, build.path))
        if path != build.path:
            problems.add(places[source], f"the golden build {build.name!r} is another build than {other} of that name")


def _check_fits(targets: Sequence[TargetBase], build: Build, place: Place, problems: _Problems) -> None:
    for target in targets:
        try:
            check_combination(target, build)
        except ConfigError as error:
            problems.take(place, error)


def _allowed(pool: FarmPool, build: str) -> bool:
    return pool.builds is None or build in pool.builds


def _pool_plan(pool: _Pool, targets: Sequence[TargetBase], golden: str) -> PoolPlan:
    return PoolPlan(
        name=pool.name,
        targets=tuple(pool.config.targets),
        boards=tuple(member.name for member in members_of(targets)),
        each=pool.config.each,
        golden=GoldenPlan(
            source=pool.golden.build, build=golden, suites=tuple(pool.golden.suites), quick=pool.golden.quick,
            every=pool.golden.every, loops=pool.golden.loops,
        ),
    )  # fmt: skip


def make_plan(opened: OpenedFarm, times: Times) -> Plan:
    """The plan: every session of the night, in order.

    Args:
        opened: the farm.
        times: the durations of earlier nights.
    """
    farm = opened.farm
    wanted = [
        (build, pool, board)
        for build in opened.builds
        for pool in opened.pools
        if build.name in opened.allowed[pool.name]
        for board in (pool.boards if pool.each else ("",))
    ]
    if farm.order == "boards":
        pools = [pool.name for pool in opened.pools]
        wanted.sort(key=lambda each: (pools.index(each[1].name), each[1].boards.index(each[2]) if each[2] else 0))
    tasks = [
        Task(
            id=0, pool=pool.name, build=build.name, suites=opened.suites[pool.name], home=board, quick=farm.quick,
            deterministic=farm.deterministic, expected=times.expected(pool.name, build.name, golden=False),
        )
        for build, pool, board in wanted
    ]  # fmt: skip
    if farm.order == "longest":
        tasks.sort(key=lambda task: -(task.expected if task.expected is not None else float("inf")))
    return Plan(
        pools={pool.name: pool for pool in opened.pools},
        builds={build.name: build for build in (*opened.golden.values(), *opened.builds)},
        tasks=tuple(replace(task, id=number) for number, task in enumerate(tasks, 1)),
        tries=farm.limits.tries,
        night=farm.limits.night,
        session=farm.limits.session,
        at_once=farm.limits.at_once or (len(opened.kinds) if farm.engine else os.cpu_count()) or 1,
        state=str(farm.state_dir or ""),
    )
