"""What is installed is named exactly, with hashes, from no host; the wheel tells what it needs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = {"demo": ("firmware", "evidence"), "test": ("firmware", "evidence", "dev")}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", EXTRAS)
def test_every_requirement_is_pinned_with_hashes_and_no_host_is_named(name: str) -> None:
    text = (ROOT / ".ci" / f"constraints-{name}.txt").read_text()
    assert "://" not in text
    assert "index" not in text
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    pinned = set()
    for block in blocks:
        first = block.splitlines()[0]
        found = re.match(r"([A-Za-z0-9._-]+)==[^ ;]+", first)
        assert found, first
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), first
        pinned.add(normal(found[1]))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(r for extra in EXTRAS[name] for r in project["optional-dependencies"][extra])]
    names = {normal(re.match(r"[A-Za-z0-9._-]+", requirement)[0]) for requirement in wanted}  # type: ignore[index]
    assert names <= pinned, f"make lock: {sorted(names - pinned)}"


def test_the_extras_are_those_of_the_set_up() -> None:
    script = (ROOT / ".ci" / "setup.sh").read_text()
    for extras in EXTRAS.values():
        assert ",".join(extras) in script
