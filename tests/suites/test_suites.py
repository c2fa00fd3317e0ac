"""What holds for every suite, and for the proof that they see faults."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from tfm_harness.bundled import SUITES
from tfm_harness.config.loading import harness_checks
from tfm_harness.coverage import helper_checks
from tfm_harness.errors import ConfigError
from tfm_harness.findings import Report
from tfm_harness.testing.images import ImageRecipe, load_signing_key, make_image
from tfm_harness.verify.images import parse_mcuboot, verify_mcuboot
from tfm_harness.verify.keyfiles import parse_image_key

from tests.scripts import load_script

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "fw_builds" / "reference"
DECLARED = re.compile(r'id="([a-z-]+\.[a-z-]+)"')


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    return load_script(FIRMWARE / "run_mutants.py", listed=True)


def declared(suite: str) -> set[str]:
    """Check ids that a suite's modules declare."""
    text = "".join(path.read_text() for path in (ROOT / "suites" / suite).glob("*.py"))
    return set(DECLARED.findall(text))


@pytest.mark.parametrize("suite", sorted(SUITES))
def test_each_suite_says_what_it_proves_and_names_its_checks(suite: str) -> None:
    readme = (ROOT / "suites" / suite / "README.md").read_text()
    assert readme.startswith(f"# {suite}\n")
    named = {name for group in re.findall(r"`([a-z-]+\.[a-z*-]+)`", readme) for name in [group]}
    for check in declared(suite):
        covered = any(re.fullmatch(name.replace(".", r"\.").replace("*", ".*"), check) for name in named)
        assert covered, f"{check} is not in the README"


def test_no_two_modules_of_suites_have_one_name() -> None:
    """Python would take one for the other in a project whose suites are no packages (pytest's import mode prepend)."""
    names = [path.stem for path in (ROOT / "suites").glob("*/test_*.py")]
    assert {name for name in names if names.count(name) > 1} == set()


def test_each_mutant_is_claimed_by_a_check_that_exists(runner: ModuleType) -> None:
    known = set(harness_checks())
    package = ROOT / "harness" / "tfm_harness"
    text = (package / "latency" / "catalogue.py").read_text()
    known |= {f"latency.{slug}" for slug in re.findall(r'"([a-z]+-[a-z-]+)"', text)}
    known |= {check.id for check in helper_checks.ALL}
    claims = runner.claims()
    assert len(claims) >= 70
    for claim in claims.values():
        if claim.host_test:
            folder, program = claim.host_test.split("/")
            assert (FIRMWARE / "host_tests" / folder / f"{program}.c").is_file()
        if claim.not_run or claim.host_test:
            continue
        assert claim.suite in SUITES
        assert claim.check in known | declared(claim.suite), f"{claim.name}: no check {claim.check}"


def test_the_runner_tells_caught_from_survived_and_from_caught_by_others(runner: ModuleType) -> None:
    claim = runner.Claim("M", "a fault", "results", "result.nonce")
    assert runner.verdict(claim, runner.Outcome("M", failed={"results": {"result.nonce"}})) == ""
    assert "SURVIVES" in runner.verdict(claim, runner.Outcome("M", passed={"results": 9}))
    spoiled = runner.verdict(claim, runner.Outcome("M", errors=["results: blocked: no board"]))
    assert "SURVIVES" not in spoiled
    assert "no board" in spoiled
    others = runner.verdict(claim, runner.Outcome("M", failed={"parity": {"result.nonce"}, "results": {"cose.alg"}}))
    assert "not caught by results/result.nonce, only by" in others
    assert runner.verdict(claim, runner.Outcome("M", broken="does not build")) == "does not build"
    named = runner.Claim("M", "a fault", "parity", "parity.bit-exact", "op 3 ADD")
    caught = {
        "failed": {"parity": {"parity.bit-exact"}},
        "places": {"parity": {"output of op SOFTMAX", "op 2 CONV_2D"}},
    }
    assert "does not name 'op 3 ADD'" in runner.verdict(named, runner.Outcome("M", **caught))
    caught["places"]["parity"].add("op 3 ADD")
    assert runner.verdict(named, runner.Outcome("M", **caught)) == ""


def test_the_runner_refuses_claims_that_do_not_fit_the_firmware(
    runner: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mutants"
    folder.mkdir()
    claims = folder / "mutants.yaml"
    for name in ("ONE", "TWO"):
        (folder / f"{name}.patch").write_text("")
    monkeypatch.setattr(runner, "HERE", tmp_path)
    one = {"fault": "f", "suite": "boot", "check": "boot.x"}
    claims.write_text(yaml.safe_dump({"ONE": one}))
    with pytest.raises(SystemExit, match="disagree about TWO"):
        runner.claims()
    claims.write_text(yaml.safe_dump({"ONE": one, "TWO": {"fault": "f", "suite": "boot"}}))
    with pytest.raises(SystemExit, match="TWO: check missing"):
        runner.claims()
    claims.write_text(yaml.safe_dump({"ONE": {**one, "chek": "boot.x"}, "TWO": one}))
    with pytest.raises(SystemExit, match="ONE: chek missing or not known"):
        runner.claims()
    claims.write_text(yaml.safe_dump({"ONE": {**one, "check": "pending"}, "TWO": {"fault": "f", "unseen": "why"}}))
    assert [claim.not_run for claim in runner.claims().values()] == [
        "no check sees it yet",
        "not to be seen in QEMU: why",
    ]


def test_images_made_for_update_tests_are_what_imgtool_and_the_verifier_call_right(tmp_path: Path) -> None:
    path = FIRMWARE / "keys" / "TEST_ONLY_image_signing.pem"
    recipe = ImageRecipe(
        payload=b"model" * 100, name="tamper", counter=7, version=(1, 2, 3), key=load_signing_key(path)
    )
    image = make_image(recipe)
    report = Report()
    key = parse_image_key((FIRMWARE / "keys" / "image_signing_pub.pem").read_bytes())
    parsed = verify_mcuboot(image, key, report)
    assert report.findings
    assert not report.failed
    assert parsed is not None
    assert (parsed.payload, parsed.security_counter, parsed.version_text) == (b"model" * 100, 7, "1.2.3")
    (tmp_path / "image.bin").write_bytes(image)
    command = [sys.executable, "-m", "imgtool.main", "verify", "--key", str(path), str(tmp_path / "image.bin")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "Image was correctly validated" in done.stdout, done.stderr


def test_images_made_wrong_are_wrong() -> None:
    signing = load_signing_key(FIRMWARE / "keys" / "TEST_ONLY_image_signing.pem")
    key = parse_image_key((FIRMWARE / "keys" / "image_signing_pub.pem").read_bytes())
    right = ImageRecipe(payload=b"model" * 100, name="tamper", key=signing)
    for wrong, check in (
        (right.but(key=None, named_key=signing.public_key()), "image.signature"),
        (right.but(key=None), "image.key-hash"),
        (right.but(hash_of=b"something else"), "image.hash"),
        (right.but(counter=None), "image.security-counter"),
    ):
        report = Report()
        verify_mcuboot(make_image(wrong), key, report)
        assert check in {finding.id for finding in report if not finding.passed}
    assert parse_mcuboot(make_image(right.but(counter=None))).security_counter is None


def test_only_keys_made_for_tests_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "production.pem"
    path.write_bytes((FIRMWARE / "keys" / "TEST_ONLY_image_signing.pem").read_bytes())
    with pytest.raises(ConfigError, match="only keys made for tests"):
        load_signing_key(path)


def test_the_readme_says_how_many_faulty_builds_there_are(runner: ModuleType) -> None:
    told = re.search(r"all of them, about (\d+)\.", " ".join((ROOT / "README.md").read_text().split()))
    assert told is not None
    assert abs(int(told[1]) - len(runner.claims())) < 50
