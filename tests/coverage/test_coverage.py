"""What a build covers: read from the suites without running them."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest
from tfm_harness.cli import coverage as cli_coverage
from tfm_harness.config.build import Build
from tfm_harness.config.loading import load_build, load_target
from tfm_harness.coverage.suites import cover, read_suite
from tfm_harness.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]

README = """\
# mine

| check | what it proves | asked for by |
|---|---|---|
| `mine.first` | the first thing | RFC 1 |
| `mine.second`, `result.*` | the second thing | RFC 2 |
| `mine.third` | the third thing | RFC 3 |
"""
MODULE = """\
import pytest
from tfm_harness.findings import Check

pytestmark = pytest.mark.needs("infer")
FIRST = Check(id="mine.first", title="t", requirement="r")
THIRD = Check(id="mine.third", title="t", requirement="r")


def helper(checks):
    checks(THIRD, True)


@pytest.mark.needs("reset")
def test_first(checks):
    checks(FIRST, True)


def test_second(device, verifier):
    verifier.result(device.infer_input(b""))


@pytest.mark.needs("reset", "probe")
def test_third(checks):
    helper(checks)


def test_third_with_a_probe(checks):
    pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    made.mkdir()
    (made / "README.md").write_text(README)
    (made / "test_mine.py").write_text(MODULE)
    return made


def test_each_requirement_follows_from_the_tests_that_check_it(folder: Path) -> None:
    suite = read_suite(folder)
    assert [(t.name, sorted(t.needs)) for t in suite.tests] == [
        ("test_first", ["infer", "reset"]),
        ("test_second", ["infer"]),
        ("test_third", ["infer", "probe", "reset"]),
        ("test_third_with_a_probe", ["infer"]),
    ]
    first, second, third = cover([suite], frozenset({"infer"})).rows
    assert (first.covered, first.missing) == (False, ("reset",))
    assert (second.covered, second.tests) == (True, 1)
    assert (third.covered, third.missing) == (False, ("probe", "reset"))
    assert all(row.covered for row in cover([suite], frozenset({"infer", "reset", "probe"})).rows)
    assert not any(row.covered for row in cover([suite], frozenset()).rows)


def test_checks_that_no_table_names(folder: Path) -> None:
    coverage = cover([read_suite(folder)], frozenset(), ["mine.first", "result.nonce", "key.trusted"])
    assert coverage.unclaimed == ("key.trusted",)


def test_a_suite_must_say_what_it_proves(folder: Path) -> None:
    (folder / "README.md").write_text("# nothing\n")
    with pytest.raises(ConfigError, match="does not say what it proves"):
        read_suite(folder)
    (folder / "README.md").write_text(README)
    (folder / "test_mine.py").write_text("def broken(:\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_suite(folder)


@pytest.mark.parametrize("path", sorted((ROOT / "suites").iterdir()), ids=lambda path: path.name)
def test_every_suite_can_be_read_and_each_row_has_its_tests(path: Path) -> None:
    if not path.is_dir() or path.name.startswith((".", "_")):
        pytest.skip("not a suite's folder")
    suite = read_suite(path)
    assert suite.tests
    everything = frozenset(need for test in suite.tests for need in test.needs)
    assert all(row.covered for row in cover([suite], everything).rows)


def command(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    cli_coverage.add_parser(parser.add_subparsers())
    args = parser.parse_args(["coverage", *argv])
    return int(args.run(args))


def test_other_firmware_covers_less(capsys: pytest.CaptureFixture[str]) -> None:
    def covered(build: str) -> set[tuple[str, str]]:
        assert command("--build", build, "--json") == 0
        document = json.loads(capsys.readouterr().out)
        return {(row["suite"], row["proves"]) for row in document["requirements"] if row["covered"]}

    reference = covered(str(ROOT / "fw_builds" / "reference"))
    linaro = covered(str(ROOT / "fw_builds" / "linaro-zephyr"))
    assert {suite for suite, _ in reference} >= {"attestation", "isolation", "results", "sensor"}
    assert "attestation" not in {suite for suite, _ in linaro}
    assert any(suite == "application_evidence" for suite, _ in linaro)


def test_text_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(ROOT / "fw_builds" / "linaro-zephyr")
    assert command("--build", path, "--missing", "attestation") == 0
    out = capsys.readouterr().out
    assert "NOT COVERED" in out
    assert "needs psa-token, trusted-iak" in out
    assert re.search(r"^0 of (\d+) requirements would be proven, \1 not covered$", out, re.MULTILINE)


def test_every_check_of_a_device_stands_in_some_suites_table(capsys: pytest.CaptureFixture[str]) -> None:
    """What the suites verify, their tables say: nothing is left over."""
    assert command("--build", str(ROOT / "fw_builds" / "reference"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["checks_of_no_suite"] == []


def test_features_of_descriptions() -> None:
    build = load_build(ROOT / "fw_builds" / "reference", require_files=False)
    on_qemu = cli_coverage.build_features(build, load_target(ROOT / "targets" / "qemu-an547.yaml"))
    attached = cli_coverage.build_features(build, load_target(ROOT / "targets" / "attach-example.yaml"))
    assert {"stimulus", "known-secrets", "fast-flash", "target-qemu", "trusted-iak"} <= on_qemu
    assert "stimulus" not in attached
    assert "sensor" not in attached
    assert "reset" in on_qemu
    assert "reset" not in attached  # the example gives no command for it
    nothing = cli_coverage.build_features(Build(name="x"), load_target(ROOT / "targets" / "attach-example.yaml"))
    assert nothing == {"target-attach", "nonvolatile"}
    assert {"cold-reset", "warm-reset", "factory-reset", "nonvolatile"} <= on_qemu
    assert not {"cold-reset", "warm-reset"} & attached
    fvp = cli_coverage.build_features(build, load_target(ROOT / "targets" / "fvp-corstone300.yaml"))
    assert "cold-reset" in fvp
    assert not {"warm-reset", "factory-reset", "nonvolatile"} & fvp
