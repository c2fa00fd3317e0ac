"""TF-M's advisories against what builds say: each verdict from release and options, with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tfm_harness.cli.main import main
from tfm_harness.importer.advisories import ADVISORIES, Verdict, judge_advisories
from tfm_harness.importer.facts import Fact

IPC = {"CONFIG_TFM_SPM_BACKEND": "IPC", "TFM_ISOLATION_LEVEL": "2", "TFM_PLATFORM": "arm/mps3/corstone300/an547"}
FWU = {"TFM_PARTITION_FIRMWARE_UPDATE": "ON"}
NO_FWU = {"TFM_PARTITION_FIRMWARE_UPDATE": "OFF"}
MAILBOX = {"TFM_PARTITION_NS_AGENT_MAILBOX": "ON"}


def verdicts(version: str | None, **options: str) -> dict[str, Verdict]:
    said = options | ({} if version is None else {"TFM_VERSION": version})
    facts = {key: Fact(value, f"spe_config.cmake:{at}", Path()) for at, (key, value) in enumerate(said.items(), 1)}
    return {each.advisory.id: each.verdict for each in judge_advisories(facts)}


def test_there_are_all_of_them_and_each_has_a_page() -> None:
    assert [each.id for each in ADVISORIES] == [f"TFMV-{number}" for number in range(1, 15)]
    assert len({each.source for each in ADVISORIES}) == len(ADVISORIES)
    assert all(each.source.startswith("https://trustedfirmware-m.readthedocs.io/") for each in ADVISORIES)


@pytest.mark.parametrize(
    ("advisory", "version", "options", "verdict"),
    [
        ("TFMV-1", "1.1.0", {}, Verdict.AFFECTED),
        ("TFMV-1", "1.2.0", {}, Verdict.OUTSIDE),
        ("TFMV-1", "1.2.0-rc1", {}, Verdict.UNKNOWN),
        ("TFMV-1", "1.2.0-13-g01abcdef", {}, Verdict.OUTSIDE),
        ("TFMV-1", "1.3.0-rc1", {}, Verdict.OUTSIDE),
        ("TFMV-1", "TF-Mv1.1.0", {}, Verdict.AFFECTED),
        ("TFMV-9", "2.1.3-rc1", FWU, Verdict.UNKNOWN),
        ("TFMV-9", "2.1.3-rc1", NO_FWU, Verdict.NOT_BUILT),
        ("TFMV-9", "TF-Mv2.1.3", FWU, Verdict.MENDED),
        ("TFMV-9", "2.1.4-rc1", FWU, Verdict.MENDED),
        ("TFMV-9", "2.2.1-dev", FWU, Verdict.UNKNOWN),
        ("TFMV-9", "2.2.0-rc3", FWU, Verdict.AFFECTED),
        ("TFMV-9", "2.3.0-rc1", FWU, Verdict.UNKNOWN),
        ("TFMV-2", "1.2.0", {"TFM_PSA_API": "ON"}, Verdict.AFFECTED),
        ("TFMV-2", "1.2.0", {"TFM_PSA_API": "OFF"}, Verdict.NOT_BUILT),
        ("TFMV-2", "1.2.0", {}, Verdict.UNKNOWN),
        ("TFMV-2", "1.3.0", IPC, Verdict.OUTSIDE),
        ("TFMV-3", "1.3.0", {"TFM_PARTITION_CRYPTO": "ON"}, Verdict.AFFECTED),
        ("TFMV-3", "1.3.0", {"TFM_PARTITION_CRYPTO": "OFF"}, Verdict.NOT_BUILT),
        ("TFMV-4", "1.4.0", {"TFM_PROFILE": "profile_small"}, Verdict.AFFECTED),
        ("TFMV-4", "1.4.0", {"TFM_PROFILE": "profile_medium"}, Verdict.NOT_BUILT),
        ("TFMV-4", "1.4.0", {}, Verdict.NOT_BUILT),
        ("TFMV-4", "1.4.1", {"TFM_PROFILE": "profile_small"}, Verdict.OUTSIDE),
        ("TFMV-5", "1.4.1", IPC | FWU, Verdict.UNKNOWN),
        ("TFMV-5", "1.4.1", IPC | NO_FWU, Verdict.NOT_BUILT),
        ("TFMV-5", "1.6.0", IPC | FWU, Verdict.OUTSIDE),
        ("TFMV-6", "1.8.0", {"CC312_LEGACY_DRIVER_API_ENABLED": "OFF"}, Verdict.AFFECTED),
        ("TFMV-6", "1.8.0", {"CC312_LEGACY_DRIVER_API_ENABLED": "ON"}, Verdict.NOT_BUILT),
        ("TFMV-6", "1.8.0", {}, Verdict.NOT_BUILT),
        ("TFMV-6", "1.8.1", {"CC312_LEGACY_DRIVER_API_ENABLED": "OFF"}, Verdict.OUTSIDE),
        ("TFMV-7", "2.0.0", IPC | {"TFM_SP_LOG_RAW_ENABLED": "1"}, Verdict.AFFECTED),
        ("TFMV-7", "2.0.0", IPC, Verdict.NOT_BUILT),
        ("TFMV-7", "2.0.0", IPC | {"TFM_SP_LOG_RAW_ENABLED": "1", "TFM_ISOLATION_LEVEL": "1"}, Verdict.NOT_BUILT),
        ("TFMV-7", "2.1.0", IPC | {"TFM_SP_LOG_RAW_ENABLED": "1"}, Verdict.OUTSIDE),
        ("TFMV-8", "2.1.0", MAILBOX, Verdict.AFFECTED),
        ("TFMV-8", "2.1.1", MAILBOX, Verdict.OUTSIDE),
        ("TFMV-8", "2.1.0", {}, Verdict.NOT_BUILT),
        ("TFMV-9", "2.2.0", FWU, Verdict.AFFECTED),
        ("TFMV-9", "2.2.1", FWU, Verdict.OUTSIDE),
        ("TFMV-9", "2.1.2", FWU, Verdict.AFFECTED),
        ("TFMV-9", "2.1.3", FWU, Verdict.MENDED),
        ("TFMV-9", "2.1.4", FWU, Verdict.MENDED),
        ("TFMV-9", "1.8.1", NO_FWU, Verdict.NOT_BUILT),
        ("TFMV-9", "1.8.1", {}, Verdict.UNKNOWN),
        ("TFMV-9", "2.2.0", {"TFM_PARTITION_FIRMWARE_UPDATE": '"ON"'}, Verdict.AFFECTED),
        ("TFMV-9", "2.2.0", {"TFM_PARTITION_FIRMWARE_UPDATE": "2"}, Verdict.AFFECTED),
        ("TFMV-9", "2.2.0", {"TFM_PARTITION_FIRMWARE_UPDATE": "${FWU}"}, Verdict.UNKNOWN),
        ("TFMV-9", "2.2.0", {"TFM_PARTITION_FIRMWARE_UPDATE": "$<BOOL:1>"}, Verdict.UNKNOWN),
        ("TFMV-9", "2.2.0", {"TFM_PARTITION_FIRMWARE_UPDATE": "FWU-NOTFOUND"}, Verdict.NOT_BUILT),
        ("TFMV-9", "2.2.0", {"TFM_PARTITION_FIRMWARE_UPDATE": ""}, Verdict.NOT_BUILT),
        ("TFMV-2", "1.2.0", {"CONFIG_TFM_SPM_BACKEND": "y"}, Verdict.UNKNOWN),
        ("TFMV-2", "1.2.0", {"CONFIG_TFM_SPM_BACKEND": '"SFN"'}, Verdict.NOT_BUILT),
        ("TFMV-7", "2.0.0", IPC | {"TFM_SP_LOG_RAW_ENABLED": "1", "TFM_ISOLATION_LEVEL": '"3"'}, Verdict.AFFECTED),
        ("TFMV-7", "2.0.0", IPC | {"TFM_SP_LOG_RAW_ENABLED": "1", "TFM_ISOLATION_LEVEL": ""}, Verdict.UNKNOWN),
        ("TFMV-4", "1.4.0", {"TFM_PROFILE": "${PROFILE}"}, Verdict.UNKNOWN),
        ("TFMV-6", "1.8.0", {"CC312_LEGACY_DRIVER_API_ENABLED": "${OLD}"}, Verdict.UNKNOWN),
        ("TFMV-10", "2.3.0", {"TFM_PLATFORM": "${PLATFORM}"}, Verdict.UNKNOWN),
        ("TFMV-10", "2.3.0", {"TFM_PLATFORM": "rpi/rp2350"}, Verdict.AFFECTED),
        ("TFMV-10", "2.3.0", {"TFM_PLATFORM": "cypress/psoc64"}, Verdict.AFFECTED),
        ("TFMV-10", "2.3.0", IPC, Verdict.NOT_BUILT),
        ("TFMV-11", "2.2.0", {"TFM_PLATFORM": "arm/corstone1000"}, Verdict.AFFECTED),
        ("TFMV-11", "2.1.4", {"TFM_PLATFORM": "arm/corstone1000"}, Verdict.OUTSIDE),
        ("TFMV-12", "2.3.0", {"TFM_PLATFORM": "arm/rse/tc/tc4"}, Verdict.AFFECTED),
        ("TFMV-12", "2.3.0", IPC, Verdict.NOT_BUILT),
        ("TFMV-13", "2.3.0", {"TFM_PLATFORM": "arm/rse/neoverse_rd/rdv3"}, Verdict.AFFECTED),
        ("TFMV-13", "2.3.1", {"TFM_PLATFORM": "arm/rse/neoverse_rd/rdv3"}, Verdict.OUTSIDE),
        ("TFMV-14", "2.3.0", {"TFM_PLATFORM": "arm/corstone1000"}, Verdict.AFFECTED),
        ("TFMV-14", "2.2.0", {"TFM_PLATFORM": "arm/corstone1000"}, Verdict.OUTSIDE),
        ("TFMV-9", None, FWU, Verdict.UNKNOWN),
        ("TFMV-9", None, NO_FWU, Verdict.NOT_BUILT),
    ],
)
def test_each_verdict(advisory: str, version: str | None, options: dict[str, str], verdict: Verdict) -> None:
    assert verdicts(version, **options)[advisory] is verdict


def test_a_verdict_says_where_it_comes_from() -> None:
    facts = {
        "TFM_VERSION": Fact("2.2.0", "a.cmake:3", Path()),
        **{k: Fact(v, "a.cmake:7", Path()) for k, v in FWU.items()},
    }
    (found,) = [each for each in judge_advisories(facts) if each.advisory.id == "TFMV-9"]
    assert found.why == "TF-M 2.2.0 (a.cmake:3); TFM_PARTITION_FIRMWARE_UPDATE=ON (a.cmake:7)"


def config(folder: Path, version: str, fwu: str) -> Path:
    path = folder / "api_ns" / "cmake" / "spe_config.cmake"
    path.parent.mkdir(parents=True)
    lines = [f'set(TFM_VERSION {version} CACHE STRING "")', f'set(TFM_PARTITION_FIRMWARE_UPDATE {fwu} CACHE BOOL "")']
    lines += [f'set({key} {value} CACHE STRING "")' for key, value in IPC.items()]
    lines += ['set(TFM_PARTITION_CRYPTO ON CACHE BOOL "")']
    path.write_text("\n".join(lines) + "\n")
    return folder


def test_the_command_tells_and_its_status_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advisories", str(config(tmp_path / "bad", "2.2.0", "ON"))]) == 1
    said = capsys.readouterr().out
    assert "affected           TFMV-9 CVE-2025-53022" in said
    assert "spe_config.cmake:2" in said
    assert "fwu_tlv_payload_out_of_bounds_vulnerability.html" in said
    assert main(["advisories", str(config(tmp_path / "good", "2.1.4", "ON"))]) == 0
    assert "mended by backport TFMV-9" in capsys.readouterr().out
    assert main(["advisories", "--json", str(config(tmp_path / "unsure", "1.5.0", "ON"))]) == 1
    entries = json.loads(capsys.readouterr().out)
    assert [entry["id"] for entry in entries] == [each.id for each in ADVISORIES]
    assert {entry["id"]: entry["verdict"] for entry in entries}["TFMV-5"] == "unknown"


def test_a_folder_that_is_no_build_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advisories", str(tmp_path)]) == 4
    assert "spe_config.cmake" in capsys.readouterr().err
