"""What is going warns at the line that uses it, and still works."""

from __future__ import annotations

import sys
import types
import warnings
from pathlib import Path

import pytest
import tfm_harness
from tfm_harness.deprecation import Deprecation, HarnessDeprecationWarning, warn_deprecated
from tfm_harness.lazy import lazy_exports


def test_a_warning_says_since_when_until_when_and_what_instead() -> None:
    def old() -> None:
        warn_deprecated("old()", Deprecation("new()", "0.3", "1.0"))

    with pytest.warns(HarnessDeprecationWarning, match=r"old\(\) is deprecated .* 0\.3 .* 1\.0; use new\(\)") as seen:
        old()
    assert Path(seen[0].filename) == Path(__file__)
    assert issubclass(HarnessDeprecationWarning, DeprecationWarning)


def test_a_renamed_name_gives_the_new_one_and_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    package = types.ModuleType("acme_package")
    package.New = object()  # type: ignore[attr-defined] # a module takes any
    monkeypatch.setitem(sys.modules, "acme_package", package)
    get, _ = lazy_exports("acme_package", {}, {"Old": Deprecation("New", "0.3", "1.0")})
    with pytest.warns(HarnessDeprecationWarning, match=r"acme_package\.Old") as seen:
        assert get("Old") is package.New
    assert Path(seen[0].filename) == Path(__file__)
    with pytest.raises(AttributeError, match="no attribute 'Older'"):
        get("Older")


def test_nothing_public_warns_today() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", HarnessDeprecationWarning)
        for name in tfm_harness.__all__:
            getattr(tfm_harness, name)
