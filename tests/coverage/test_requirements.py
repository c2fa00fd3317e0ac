"""Catalogues of requirements: their checks exist, and a run proves what its findings prove."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from tfm_harness.cli.main import main
from tfm_harness.coverage.requirements import catalogue_names, judge_items, load_catalogue
from tfm_harness.coverage.suites import read_suite
from tfm_harness.errors import ConfigError
from tfm_harness.report.record import FindingEntry, RunRecord, TestEntry
from tfm_harness.report.storage import save_run
from tfm_harness.verify.catalogue import ALL

SUITES = Path(__file__).resolve().parents[2] / "suites"


@pytest.fixture(scope="module")
def known() -> set[str]:
    """Every check of the catalogue, and every id and pattern that a suite's table names."""
    suites = [read_suite(folder) for folder in SUITES.iterdir() if (folder / "README.md").is_file()]
    return {check.id for check in ALL} | {name for suite in suites for row in suite.rows for name in row[0]}


@pytest.mark.parametrize("name", catalogue_names())
def test_every_check_exists_and_every_item_has_one_or_a_reason(name: str, known: set[str]) -> None:
    for item in load_catalogue(name).items:
        assert item.checks or item.cannot, item.id
        for pattern in item.checks:
            assert any(fnmatchcase(check, pattern) or fnmatchcase(pattern, check) for check in known), (
                f"{item.id}: {pattern}"
            )


FORM = "name: x\ntitle: x\nsource: x\nitems:\n"


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        ({"a.one": ["passed"], "a.two": ["passed"]}, "proven"),
        ({"a.one": ["passed"]}, "partly"),
        ({"a.one": ["passed", "failed"], "a.two": ["passed"]}, "failed"),
        ({"a.one": ["passed"], "a.two": ["waived"]}, "excused"),
        ({"a.one": ["passed"], "a.two": ["noted"]}, "excused"),
        ({"b.one": ["passed"]}, "not run"),
        ({}, "not run"),
    ],
)
def test_states(tmp_path: Path, statuses: dict[str, list[str]], state: str) -> None:
    (tmp_path / "x.yaml").write_text(
        FORM + "  - {id: R1, title: t, checks: [a.one, a.t*]}\n  - {id: R2, title: t, cannot: nothing does}\n"
    )
    first, second = judge_items(load_catalogue(str(tmp_path / "x.yaml")), statuses)
    assert first.state == state
    assert second.state == "no test"


@pytest.mark.parametrize(
    "text",
    ["", "[]", FORM, FORM + "  - {id: R1}\n", FORM + "  - {id: R1, title: t, chcks: []}\n", "a: [", "\t",
     FORM + "  - {id: R1, title: t}\n  - {id: R1, title: u}\n"],
)  # fmt: skip
def test_wrong_files(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_catalogue(str(tmp_path / "x.yaml"))
    assert caught.value.kind == "catalogue"


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-requirements"]) == 0
    said = capsys.readouterr().out
    assert "would be proven by" in said
    assert "items: " not in said  # nothing ran: nothing is counted as proven
    findings = (FindingEntry(id="boot.rollback-refused"), FindingEntry(id="isolation.peripheral", status="failed"))
    record = RunRecord(name="r", verdict="failed", tests=(TestEntry(nodeid="t", outcome="failed", findings=findings),))
    save_run(record, tmp_path / "run.json")
    assert main(["check-requirements", "tf-m-threats", "--run", str(tmp_path), "--json"]) == 1
    (catalogue,) = json.loads(capsys.readouterr().out)["catalogues"]
    states = {item["id"]: item["state"] for item in catalogue["items"]}
    assert states["TFM-GENERIC-NS-INIT-T-2"] == "proven"
    assert states["TFM-GENERIC-NS-INIT-T-I-2"] == "failed"
    assert states["TFM-GENERIC-NS-INIT-T-1"] == "not run"
    assert states["TFM-GENERIC-FP-VLLDM"] == "no test"
    assert main(["check-requirements", "missing"]) == 4
    assert main(["check-requirements", "--run", str(tmp_path / "nowhere")]) == 4
