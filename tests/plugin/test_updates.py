"""Updates are tried on a device that has models; one that takes none of the build's for valid fails."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tfm_harness.bench.not_covered import NotCovered
from tfm_harness.errors import ProductError
from tfm_harness.plugin.updates import ModelUpdates


def updates(*valid: str, slots: tuple[int | None, ...] = (0, 1)) -> ModelUpdates:
    """Of a device that takes these models for valid."""
    named = zip(("tamper", "sine"), slots, strict=True)
    models: dict[str, Any] = {
        name: SimpleNamespace(image=None if slot is None else f"{name}.bin", slot=slot) for name, slot in named
    }
    entries = [SimpleNamespace(name=name, status=0 if name in valid else -133, length=len(name)) for name in models]
    found = object.__new__(ModelUpdates)
    found.bench = SimpleNamespace(combination=SimpleNamespace(build=SimpleNamespace(models=models)))  # type: ignore[assignment]
    found.device = SimpleNamespace(test_commands=SimpleNamespace(models=lambda: entries))  # type: ignore[assignment]
    return found


def test_the_smallest_model_is_used() -> None:
    assert updates("tamper", "sine")._smallest() == "sine"


@pytest.mark.parametrize("valid", [(), ("sine",)])
def test_a_device_that_refuses_the_builds_own_models_fails(valid: tuple[str, ...]) -> None:
    with pytest.raises(ProductError) as caught:
        updates(*valid)._smallest()
    assert caught.value.kind == "model-refused"


def test_a_build_with_one_model_is_not_covered() -> None:
    with pytest.raises(NotCovered):
        updates("tamper", slots=(0, None))._smallest()
