"""Whatever stands in a file, the answer is a configuration or a clear error with file and line."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tfm_harness.config.loading import check_combination, load_build, load_target, target_names
from tfm_harness.errors import ConfigError

from tests.examples import few

ROOT = Path(__file__).resolve().parents[2]
TARGETS = sorted(path for path in target_names().values() if path.parent == ROOT / "targets")
BUILDS = sorted((ROOT / "fw_builds").glob("*/build.yaml"))

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20),
    st.sampled_from(["uart0", "0x10", "../..", "/dev/null", "*", "provisioned", "-1", "2G", "(", "\u202e", "a" * 5000]),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.sampled_from(["kind", "model", "file", "at", "x"]), st.integers(), max_size=3),
)


def places(data: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path] if path else []
    if isinstance(data, dict):
        for key, value in data.items():
            found += places(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            found += places(value, (*path, index))
    return found


def put(data: Any, path: tuple[str | int, ...], value: object) -> None:
    for part in path[:-1]:
        data = data[part]
    data[path[-1]] = value


def remove(data: Any, path: tuple[str | int, ...]) -> None:
    for part in path[:-1]:
        data = data[part]
    del data[path[-1]]


def mutate(original: dict[str, Any], draw: st.DataObject) -> dict[str, Any]:
    data = copy.deepcopy(original)
    for _ in range(draw.draw(st.integers(1, 3))):
        spots = places(data)
        if not spots:
            break
        spot = draw.draw(st.sampled_from(spots))
        match draw.draw(st.sampled_from(["put", "remove", "rename"])):
            case "remove":
                remove(data, spot)
            case "rename" if isinstance(spot[-1], str):
                put(data, (*spot[:-1], draw.draw(st.sampled_from([spot[-1] + "s", spot[-1][1:] or "x", "name"]))), 1)
            case _:
                put(data, spot, draw.draw(VALUES))
    return data


def check_error(error: ConfigError, path: Path) -> None:
    assert error.message
    assert error.where, error
    if error.kind in {"target-invalid", "build-invalid", "yaml"}:
        assert re.search(rf"{re.escape(path.name)}:\d+", str(error)), error
    assert len(str(error)) < 20_000


@pytest.mark.examples
@pytest.mark.parametrize("source", TARGETS, ids=lambda path: str(path.stem))
@settings(max_examples=few(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=st.data())
def test_mutated_targets(source: Path, tmp_path: Path, draw: st.DataObject) -> None:
    path = tmp_path / "mutated.yaml"
    path.write_text(yaml.safe_dump(mutate(yaml.safe_load(source.read_text()), draw), allow_unicode=True))
    try:
        assert load_target(path).consoles
    except ConfigError as error:
        check_error(error, path)


@pytest.mark.examples
@pytest.mark.parametrize("source", BUILDS, ids=lambda path: str(path.parent.name))
@settings(max_examples=few(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=st.data())
def test_mutated_builds(source: Path, tmp_path: Path, draw: st.DataObject) -> None:
    path = tmp_path / "mutated.yaml"
    path.write_text(yaml.safe_dump(mutate(yaml.safe_load(source.read_text()), draw), allow_unicode=True))
    try:
        build = load_build(path, require_files=False)
        build.granted()
        build.all_files()
        check_combination(load_target("qemu-an547"), build)
    except ConfigError as error:
        check_error(error, path)


def test_there_is_something_to_mutate() -> None:
    assert TARGETS
    assert BUILDS
