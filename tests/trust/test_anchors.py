"""What the host trusts is read anew, and parsed once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tfm_harness import verify
from tfm_harness.boards.base import Identity
from tfm_harness.config.build import Build
from tfm_harness.config.loading import load_build
from tfm_harness.trust import anchors
from tfm_harness.trust.anchors import Trust
from tfm_harness.verify.keyfiles import parse_key
from tfm_harness.verify.keys import VerificationKey

from tests.verify.verify_kit import KEY, OTHER_KEY

BUILD = "name: fw\nprotocol: smp\nimages: []\ntrust: {iak: key.pem, results: key.pem}\nresults: {profile: own.yaml}\n"
PROFILE = Path(verify.__file__).parent / "profiles" / "tfm-harness-reference.yaml"


@pytest.fixture
def build(tmp_path: Path) -> Build:
    (tmp_path / "build.yaml").write_text(BUILD)
    (tmp_path / "key.pem").write_text(KEY.pem)
    (tmp_path / "own.yaml").write_text(PROFILE.read_text())
    return load_build(tmp_path / "build.yaml")


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was parsed."""
    found: list[bytes] = []
    anchors._parsed.cache_clear()
    parse = parse_key

    def noted(data: bytes) -> VerificationKey:
        found.append(data)
        return parse(data)

    monkeypatch.setattr(anchors, "parse_key", noted)
    return found


def test_a_key_file_is_parsed_once(build: Build, parsed: list[bytes]) -> None:
    trust = Trust(build, Identity("board"))
    assert trust.key("iak") == trust.key("result") == trust.key("iak") == KEY
    assert trust.instance_id == frozenset(KEY.instance_ids)
    assert parsed == [KEY.pem.encode()]
    assert Trust(build, Identity("another board")).key("iak") is trust.key("iak")
    assert parsed == [KEY.pem.encode()]


def test_keys_that_are_kept_are_bounded(build: Build, parsed: list[bytes], tmp_path: Path) -> None:
    trust = Trust(build, Identity("board"))
    most = anchors._parsed.cache_info().maxsize
    assert most is not None
    for count in range(most + 2):
        (tmp_path / "key.pem").write_text(KEY.pem + "\n" * count)
        assert trust.key("iak") == KEY
    assert len(parsed) == most + 2
    assert anchors._parsed.cache_info().currsize == most


def test_a_key_file_that_changes_holds_another_key(build: Build, parsed: list[bytes], tmp_path: Path) -> None:
    trust = Trust(build, Identity("board"))
    assert trust.key("iak") == KEY
    (tmp_path / "key.pem").write_text(OTHER_KEY.pem)
    assert trust.key("iak") == OTHER_KEY
    (tmp_path / "key.pem").write_text(KEY.pem)
    assert trust.key("iak") == KEY
    assert len(parsed) == 2


def test_a_result_profile_is_read_once(build: Build, tmp_path: Path) -> None:
    """The verifier asks for it at each result."""
    trust = Trust(build, Identity("board"))
    profile = trust.result_profile
    (tmp_path / "own.yaml").unlink()
    assert trust.result_profile is profile
