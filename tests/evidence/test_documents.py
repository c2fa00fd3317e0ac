"""Documents of a bundle: bill of materials, attestation results, the run's own option."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tfm_harness.errors import HarnessBug
from tfm_harness.evidence.bom import bom_bytes, check_bom, make_bom
from tfm_harness.evidence.bundle import Extra, make_bundle
from tfm_harness.evidence.make import make_whole_bundle
from tfm_harness.evidence.results_again import boards_of
from tfm_harness.evidence.results_file import SUFFIXES, Form, encode_ear
from tfm_harness.evidence.signers import load_signer, load_verification_keys, throwaway_signer
from tfm_harness.evidence.verified import verify_bundle
from tfm_harness.findings import Policy, Report
from tfm_harness.latency.clock import ClockQuality
from tfm_harness.report.digests import package_digest
from tfm_harness.report.storage import load_run, save_run
from tfm_harness.trust.kept import read_kept

from tests.evidence.conftest import COMBINATION, MODEL

IMPORTED = {COMBINATION: {"source": "tf-m", "version": "2.1.4", "platform": "arm/mps3", "partitions": ("a", "b")}}


def made(run_dir: Path, **changes: Any) -> dict[str, Any]:
    run = replace(load_run(run_dir), **changes)
    return make_bom(run, {file.sha256: Path(file.path).read_bytes() for file in run.combinations[0].files
                          if file.role in {"image", "model"}}, IMPORTED, record_sha256="ab" * 32)  # fmt: skip


def by_type(bom: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(one for one in bom["components"] if one["type"] == kind)


def test_what_a_bill_of_materials_says(run_dir: Path) -> None:
    bom = made(run_dir)
    check_bom(bom_bytes(bom))
    assert by_type(bom, "firmware")["version"] == "1.2.3"
    model = by_type(bom, "machine-learning-model")
    assert model["hashes"][0]["content"] in json.dumps(bom)
    assert model["modelCard"]["modelParameters"]["inputs"]
    metrics = {one["type"]: one["value"] for one in model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]}
    assert metrics["parity: output elements bit-exact with the reference"] == "40 of 40"
    assert metrics["latency median"].startswith("0.0010")
    assert by_type(bom, "framework")["version"] == "2.1.4"
    (row,) = bom["declarations"]["attestations"][0]["map"]
    assert row["conformance"]["score"] == 1.0
    assert MODEL.name == model["name"]


def test_no_latency_from_a_clock_that_means_nothing(run_dir: Path) -> None:
    entry = load_run(run_dir).latency[0]
    clock = replace(entry.series.clock, quality=ClockQuality.MEANINGLESS)
    bom = made(run_dir, latency=(replace(entry, series=replace(entry.series, clock=clock)),))
    assert "latency" not in json.dumps(by_type(bom, "machine-learning-model"))


def test_a_requirement_that_failed_is_no_claim(run_dir: Path) -> None:
    row = replace(load_run(run_dir).requirements[0], state="failed")
    bom = made(run_dir, requirements=(row,))
    check_bom(bom_bytes(bom))
    (said,) = bom["declarations"]["attestations"][0]["map"]
    assert "claims" not in said
    assert said["conformance"]["score"] == 0.0


def test_the_schema_is_a_check_that_can_fail(run_dir: Path) -> None:
    with pytest.raises(HarnessBug):
        check_bom(bom_bytes({**made(run_dir), "components": [{"type": "nonsense"}]}))


def test_a_whole_bundle(run_dir: Path, signing_key: tuple[str, Path], tmp_path: Path) -> None:
    output = tmp_path / "whole.evidence"
    make_whole_bundle(run_dir, [load_signer(signing_key[0])], output)
    report = Report(policy=Policy.PRODUCTION)
    found = verify_bundle(output, load_verification_keys([signing_key[1]]), report)
    assert report.ok, report.failed
    assert found.run is not None
    assert found.judged["attestation results"] == 3
    assert len(list((output / "documents").glob("ear-*"))) == 3
    (ear,) = set((output / "documents").glob("ear-*.jwt")) - set((output / "documents").glob("ear-*.veraison.jwt"))
    text = ear.read_text().split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert claims["submods"]["PSA_IOT"]["ear_status"] == "affirming"
    check_bom((output / "documents/bom.cdx.json").read_bytes())
    (output / "documents/bom.cdx.json").write_bytes(b"{}")
    report = Report(policy=Policy.PRODUCTION)
    verify_bundle(output, load_verification_keys([signing_key[1]]), report)
    assert [finding.id for finding in report.failed] == ["evidence.file-digest"]


@pytest.mark.parametrize("form", ["draft-jwt", "draft-cwt", "veraison"])
@pytest.mark.parametrize("lie", ["vector", "token", "key", "board", "garbage"])
def test_an_attestation_result_that_does_not_follow(
    run_dir: Path, signing_key: tuple[str, Path], tmp_path: Path, form: Form, lie: str
) -> None:
    """The signer signs what the evidence does not say: the bundle's digests hold, and the result does not."""
    signer = load_signer(signing_key[0])
    items = list(read_kept(run_dir / "evidence.jsonl"))
    ((name, (vector, token, challenge)),) = boards_of(load_run(run_dir), items).items()
    sign = signer.sign
    if lie == "vector":
        vector = {**vector, "sourced-data": 2}
    elif lie == "token":
        token = token[:-1] + bytes([token[-1] ^ 1])
    elif lie == "key":
        sign = throwaway_signer()[0].sign
    elif lie == "board":
        name = "ear-other+reference"
    data = encode_ear(vector, sign, form, nonce=challenge, evidence=token)
    if lie == "garbage":
        data = b"a.b.c"
    extra = Extra(name=name + SUFFIXES[form], role="attestation result", data=data)
    make_bundle(run_dir, [signer], tmp_path / "lie.evidence", extras=lambda *_: [extra])
    report = Report(policy=Policy.PRODUCTION)
    verify_bundle(tmp_path / "lie.evidence", load_verification_keys([signing_key[1]]), report)
    assert [finding.id for finding in report.failed] == ["evidence.results-again"], report.failed


@pytest.mark.parametrize("lie", [False, True])
def test_a_bill_of_materials_that_says_something_else_is_named(
    run_dir: Path, signing_key: tuple[str, Path], tmp_path: Path, lie: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_run(replace(load_run(run_dir), package_sha256=package_digest()), run_dir / "run.json")
    with monkeypatch.context() as patched:
        if lie:
            real = make_bom

            def better(*args: Any, **options: Any) -> dict[str, Any]:
                plain: dict[str, Any] = json.loads(json.dumps(real(*args, **options)).replace("40 of 40", "41 of 41"))
                return plain

            patched.setattr("tfm_harness.evidence.documents.make_bom", better)
        make_whole_bundle(run_dir, [load_signer(signing_key[0])], tmp_path / "x.evidence")
    report = Report(policy=Policy.PRODUCTION)
    found = verify_bundle(tmp_path / "x.evidence", load_verification_keys([signing_key[1]]), report)
    assert found.judged["bills of materials"] == 1
    assert {one.id for one in report.failed} == ({"evidence.bom-again"} if lie else set())
    assert not lie or "41 of 41" in report.failed[0].seen
