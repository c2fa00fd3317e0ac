"""The kinds of errors that are promised: one table, one page, and the sources agree."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.scripts import load_script

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made() -> ModuleType:
    return load_script(ROOT / ".ci" / "error_table.py")


def test_every_kind_that_is_raised_is_promised_and_the_other_way_round(made: ModuleType) -> None:
    raised, promised = set(made.raised()), set(made.table())
    assert raised - promised == set(), "add these to harness/tfm_harness/error_kinds.yaml"
    assert promised - raised == set(), "these are raised no more"


def test_each_has_a_cause_and_a_remedy_in_sentences(made: ModuleType) -> None:
    for kind, row in made.table().items():
        assert set(row) == {"cause", "remedy"}, kind
        for text in row.values():
            assert text.endswith("."), f"{kind}: {text}"
            assert text[0].isupper() or text[0] == "`", f"{kind}: {text}"


def test_the_page_is_made_from_the_table(made: ModuleType) -> None:
    assert (ROOT / "docs" / "errors.md").read_text() == made.page(), "run: python .ci/error_table.py"
