"""The folders of a run: what an earlier run in the same folder has seen counts for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tfm_harness.bench.context import BOARD_KEYS, NONCES, begin_anew
from tfm_harness.errors import InfrastructureError
from tfm_harness.plugin.combinations import run_context
from tfm_harness.plugin.options import OPTIONS, Setting
from tfm_harness.trust.board_keys import remember_key


def begun(folder: Path, *, worker: str = "") -> Path:
    """A run in that folder, or one of its test processes."""
    given = {"run-dir": str(folder / "run"), "state-dir": str(folder / "state")}
    options = {option.name: Setting((given.get(option.name, ""),), "the test", option) for option in OPTIONS}
    shared = str(folder / "run") if worker else ""
    context = run_context(options, worker=worker, shared=shared)
    return context.shared_dir or context.run_dir


def test_keys_are_compared_within_a_run_alone(tmp_path: Path) -> None:
    """By all test processes of it, and by none of a later one in the same folder."""
    keys = begun(tmp_path) / BOARD_KEYS
    assert remember_key(keys, board="first", thumbprint=b"a") is None
    assert begun(tmp_path, worker="gw1") / BOARD_KEYS == keys
    assert remember_key(keys, board="second", thumbprint=b"a") == ("first",)
    (keys.parent / "console.log").write_bytes(b"kept")
    (keys.parent / NONCES).write_bytes(b"")
    begun(tmp_path)
    assert [path.name for path in keys.parent.iterdir() if path.is_file()] == ["console.log"]
    assert remember_key(keys, board="third", thumbprint=b"a") is None


def test_a_file_of_an_earlier_run_that_stays_is_told(tmp_path: Path) -> None:
    (tmp_path / NONCES).mkdir()
    with pytest.raises(InfrastructureError, match="earlier run that cannot be removed") as caught:
        begin_anew(tmp_path)
    assert caught.value.kind == "run-dir"
    assert str(tmp_path / NONCES) in str(caught.value.where)
