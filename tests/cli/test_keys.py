"""First contact: a user without key files takes them from the device, and is told what that is worth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tfm_harness.cli.main import main
from tfm_harness.config.loading import load_build
from tfm_harness.errors import ConfigError

from tests.protocol.zephyr_shell.simulated import Server, Simulated, write_build

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "fw_builds" / "linaro-zephyr" / "build.yaml"

Collect = Callable[..., int]


@pytest.fixture
def device() -> Simulated:
    return Simulated()


@pytest.fixture
def build(tmp_path: Path, device: Simulated) -> Path:
    """The bundled description without its keys."""
    path = write_build(tmp_path / "build", device, BUILD, waived=False)
    for key in (path.parent / "keys").iterdir():
        key.unlink()
    return path


@pytest.fixture
def collect(tmp_path: Path, request: pytest.FixtureRequest) -> Collect:
    def run(device: Simulated, build: Path, *words: str) -> int:
        server = Server(device, device.boot)
        request.addfinalizer(server.stop)
        target = tmp_path / f"bench{server.port}.yaml"
        target.write_text(f"kind: attach\nconsoles:\n  ns: {{kind: tcp, host: 127.0.0.1, port: {server.port}}}\n")
        folders = ("--state-dir", str(tmp_path / "state"), "--run-dir", str(tmp_path / "runs"))
        return main(["keys", "collect", "--target", str(target), "--build", str(build), *folders, *words])

    return run


def test_keys_are_written_where_the_build_names_them(
    collect: Collect, device: Simulated, build: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert collect(device, build) == 0
    assert (build.parent / "keys" / "cose_5002_pub.pem").read_bytes() == device.pem(0x5002)
    assert (build.parent / "keys" / "client_tls_5001_pub.pem").read_bytes() == device.pem(0x5001)
    shown = capsys.readouterr()
    assert "Trust in them rests on this moment" in shown.err
    assert "results: " in shown.out
    load_build(build)  # nothing is missing any more
    assert collect(device, build) == 0  # the same keys once more


def test_another_device_does_not_replace_a_trusted_key(
    collect: Collect, device: Simulated, build: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert collect(device, build) == 0
    before = {path: path.read_bytes() for path in (build.parent / "keys").iterdir()}
    assert collect(Simulated(), build) == 4
    assert {path: path.read_bytes() for path in (build.parent / "keys").iterdir()} == before
    assert "shows another" in capsys.readouterr().err


def test_keys_that_the_build_does_not_name_go_to_a_folder(
    collect: Collect, device: Simulated, build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = build.read_text()
    start = text.index("trust:")
    build.write_text(text[:start] + text[text.index("results: {profile") :])
    assert collect(device, build, "--out", str(tmp_path / "out")) == 0
    assert (tmp_path / "out" / "keys" / "result_pub.pem").read_bytes() == device.pem(0x5002)
    assert "trust:\n  results: keys/result_pub.pem\n  client: keys/client_pub.pem" in capsys.readouterr().out


def test_the_hint_for_a_missing_key_is_how_to_get_it(build: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_build(build)
    assert "keys collect" in (caught.value.hint or "")
    assert "build the firmware" not in (caught.value.hint or "")
    (build.parent / "images" / "tfm_merged.hex").unlink()
    with pytest.raises(ConfigError) as caught:
        load_build(build)
    assert "keys collect" in (caught.value.hint or "")
    assert "build the firmware" in (caught.value.hint or "")


def test_a_waiver_for_what_cannot_be_waived_is_refused(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = build.read_text()
    build.write_text(text + '\nwaivers:\n  - {finding: cose.signature, reason: "we trust it nevertheless"}\n')
    assert main(["check", "--no-files", str(build)]) == 4
    with pytest.raises(ConfigError, match="cannot be waived"):
        load_build(build, require_files=False)
    for vain in ("boot.identity", "isolation.probe-works", "cose.sig*"):
        build.write_text(text + f'\nwaivers:\n  - {{finding: "{vain}", reason: "we trust it nevertheless"}}\n')
        assert main(["check", "--no-files", str(build)]) == 4
        assert f"{vain}: a finding that cannot be waived" in capsys.readouterr().err
    build.write_text(text + '\nwaivers:\n  - {finding: result.freshness, reason: "the protocol has no nonce"}\n')
    assert main(["check", "--no-files", str(build)]) == 0
