"""What is named as a file and is none: every reader refuses it at once, with an error of ours."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tfm_harness.boards.image_bytes import segments
from tfm_harness.boards.provision import key_hash
from tfm_harness.cli.main import main
from tfm_harness.config.loading import load_build, load_target
from tfm_harness.config.plain_yaml import PlainLoader
from tfm_harness.config.result_profile import read_result_profile
from tfm_harness.console_suites.transcripts import judge_file
from tfm_harness.errors import ConfigError
from tfm_harness.files import expanded, home, open_file, read_end, read_file, resolved, whole_file
from tfm_harness.parity.inputs import load_inputs
from tfm_harness.parity.model_parser import parse_model
from tfm_harness.parity.replay import load_failure
from tfm_harness.report import load_run
from tfm_harness.stimulus.trace import load_trace
from tfm_harness.testing.images import load_signing_key
from tfm_harness.trust.expectations import read_key

from tests.no_file import make_no_file

ROOT = Path(__file__).resolve().parents[1]
MODEL = (ROOT / "fw_builds" / "reference" / "models" / "sine.tflite").read_bytes()


def inputs(path: Path) -> object:
    return load_inputs(path, parse_model(MODEL))


READERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "target": (load_target, "t.yaml"),
    "build": (load_build, "b.yaml"),
    "trace": (load_trace, "t.csv"),
    "trace archive": (load_trace, "t.npz"),
    "inputs csv": (inputs, "i.csv"),
    "inputs npy": (inputs, "i.npy"),
    "inputs npz": (inputs, "i.npz"),
    "run": (load_run, "run.json"),
    "failure": (load_failure, "f.json"),
    "transcript": (lambda path: judge_file(path, "ztest"), "u.log"),
    "key": (read_key, "k.pem"),
    "image key": (key_hash, "k.pem"),
    "profile": (lambda path: read_result_profile(str(path)), "p.yaml"),
    "signing key": (load_signing_key, "TEST_ONLY_k.pem"),
    "raw image": (lambda path: segments(path, "bin", 0), "i.bin"),
    "ELF image": (lambda path: segments(path, "elf", None), "i.elf"),
}
COMMANDS = {
    "verify token": ["verify", "token", "FILE", "--key", "FILE"],
    "verify image": ["verify", "image", "FILE", "--key", "FILE"],
    "verify key": ["verify", "key", "FILE"],
    "console-suite": ["console-suite", "FILE", "--suite", "ztest"],
    "check": ["check", "FILE.yaml"],
    "compare": ["compare", "FILE", "FILE"],
    "replay": ["replay", "FILE"],
}
KINDS = ("FIFO", "endless", "folder", "huge", "loop", "missing")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", READERS)
def test_each_reader(reader: str, kind: str, tmp_path: Path) -> None:
    read, name = READERS[reader]
    path = tmp_path / name
    make_no_file(kind, path)
    with pytest.raises((ConfigError, OSError)) as caught:
        read(path)
    assert str(path) in str(caught.value) or name in str(caught.value)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", COMMANDS)
def test_each_command(command: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word.replace("FILE", str(tmp_path / "file")) for word in COMMANDS[command]]
    make_no_file(kind, Path(words[2] if command.startswith("verify") else words[1]))
    assert main(words) in {2, 4}
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert str(tmp_path) in said


def test_a_file_that_grows_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "grows"
    path.write_bytes(b"x" * 10)
    with open_file(path) as file, path.open("ab") as more:
        more.write(b"y" * 100)
        more.flush()
        assert len(file.read(50)) == 50
    assert read_file(path, 110) == b"x" * 10 + b"y" * 100
    with pytest.raises(OSError, match="longer than 109"):
        read_file(path, 109)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join(['*' + old] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("text", [BOMB, "[" * 40 + "]" * 40, "[" + "1," * 200_000 + "1]"])
def test_yaml_that_would_grow(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        yaml.load(text, Loader=PlainLoader)
    assert yaml.load("a: [1, {b: c}]", Loader=PlainLoader) == {"a": [1, {"b": "c"}]}


def test_a_transcript_line_that_would_grow(tmp_path: Path) -> None:
    """Aliases in one line of LAVA's output.yaml: 402 bytes took 1.1 GB once."""
    line = '- {"dt": "2026-01-01T00:00:00", "lvl": "target", "msg": [&a [x,x,x,x,x,x,x,x,x,x]'
    for old, new in zip("abcdefgh", "bcdefghi", strict=True):
        line += f", &{new} [{','.join(['*' + old] * 10)}]"
    path = tmp_path / "output.yaml"
    path.write_text((line + "]}\n") * 20)
    assert judge_file(path, "ztest").verdict != "passed"


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a"
    with whole_file(path, ".a-") as out:
        out.write(b"first")
        assert not path.exists()
    with pytest.raises(TypeError), whole_file(path, ".a-") as out:
        out.writelines([b"second", None])  # type: ignore[list-item]
    assert [(each.name, each.read_bytes()) for each in path.parent.iterdir()] == [("a", b"first")]


def test_a_loop_of_links_is_told_by_what_opens_it(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert resolved(loop).name == "loop"
    with pytest.raises(OSError, match="symbolic links"):
        read_file(resolved(loop), 10)


def test_links_and_dots_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    monkeypatch.chdir(tmp_path)
    assert resolved(Path("link/../link/x")) == tmp_path.resolve() / "a" / "x"


def test_a_home_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert expanded(Path("~/x")) == Path("/somewhere/x")
    assert home() == Path("/somewhere")
    with pytest.raises(ConfigError) as caught:
        expanded(Path("~nobody-of-this-name/x"))
    assert caught.value.kind == "no-home"
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", dict[int, object]().__getitem__)  # a user without an entry
    with pytest.raises(ConfigError):
        home()


@pytest.mark.parametrize(("size", "expected"), [(0, b""), (3, b"def"), (6, b"abcdef"), (99, b"abcdef")])
def test_the_end_of_a_file(tmp_path: Path, size: int, expected: bytes) -> None:
    (tmp_path / "file").write_bytes(b"abcdef")
    assert read_end(tmp_path / "file", size) == expected


def test_the_end_of_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, why in (tmp_path / "pipe", "not a file"), (tmp_path, "directory"), (tmp_path / "none", "No such file"):
        with pytest.raises(OSError, match=why):
            read_end(path, 9)
