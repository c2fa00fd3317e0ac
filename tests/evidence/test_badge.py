"""Packs of psa-arch-tests runs: only what passed, and every changed byte is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from tfm_harness.cli.main import main

from tests.verify.verify_kit import RECORDINGS, needs_recordings

LOG = RECORDINGS / "tf-m/psa-arch-tests-attestation.uart"
pytestmark = needs_recordings


def pack(tmp_path: Path, key: str, log: Path = LOG) -> list[str]:
    image = tmp_path / "tfm_s.bin"
    image.write_bytes(b"image")
    return [
        "evidence",
        "badge",
        str(log),
        "--release",
        "v1.6",
        "--image",
        str(image),
        "--key",
        key,
        "-o",
        str(tmp_path / "pack"),
    ]


def test_a_passed_run_is_packed_and_judged_again(
    tmp_path: Path, signing_key: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    private, public = signing_key
    assert main(pack(tmp_path, private)) == 0
    verify = ["evidence", "verify", str(tmp_path / "pack"), "--key", str(public)]
    assert main(verify) == 0
    assert "the pack holds" in capsys.readouterr().out
    for path in sorted((tmp_path / "pack").iterdir()):
        data = path.read_bytes()
        for at in range(0, len(data), max(1, len(data) // 25)):
            changed = bytearray(data)
            changed[at] ^= 1
            path.write_bytes(changed)
            assert main(verify) == 1, f"{path.name}, byte {at}"
        path.write_bytes(data)
    (tmp_path / "pack/more").write_text("x")
    assert main(verify) == 1


def test_what_did_not_pass_is_not_packed(
    tmp_path: Path, signing_key: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.log"
    cut.write_bytes(LOG.read_bytes()[:-2000])
    assert main(pack(tmp_path, signing_key[0], cut)) == 4
    assert "badge-not-passed" in capsys.readouterr().err
    assert not (tmp_path / "pack").exists()
