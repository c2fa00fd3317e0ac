"""Every option of every command that takes a file, and every such key of a YAML file, with things that are no file.

The options are found by walking the command line's parser, the keys by walking the models: one that is added later is
tried without a word here. Whatever is named: an error at once that names it, no waiting, no memory.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tfm_harness.cli.main import main, make_parser
from tfm_harness.safe_text import safe

from tests.evidence.conftest import make_run, pem
from tests.no_file import KINDS, make_no_file
from tests.reference_firmware import ROOT, needs_firmware
from tests.verify.test_verify_csr_and_certificates import request
from tests.verify.test_verify_images import make as make_image
from tests.verify.verify_kit import TEST_ONLY_P256, enc, message, rfc_claims

pytestmark = needs_firmware

MEMORY: Final = 1 << 30
"""Bytes that a command may take besides what the process has."""

NO_SUBJECT: Final = {
    ("run", "*"): "becomes a pytest of its own: each would take seconds; those that take a file were tried by hand",
    ("console", "*"): "opens a board; its target and build are read as those of `check`",
    ("completion", "*"): "takes no file",
    ("night", "--store"): "would begin a night; `history` opens stores in the same way",
    ("night", "--engine"): "an address",
    ("verify session", "*"): "needs a build with recorded keys; its file is read as a console's transcript is",
    ("replay", "--target"): "read only when the reference gives what it gave; as `check` reads them",
    ("replay", "--build"): "likewise",
    ("evidence badge", "--image"): "read only of a run that passed on a real board; as `verify image` reads one",
    ("evidence make", "--public-key"): "only read with a key behind a URI",
    ("evidence corim", "--public-key"): "only read with a key behind a URI",
    ("evidence badge", "--public-key"): "only read with a key behind a URI",
}
TEXTS: Final = {
    "--answer-timeout", "--board", "--boot-timeout", "--cn", "--device-model", "--expect", "--forget",
    "--allow-fault", "--allow-host", "--allow-reset", "--fail-under-coverage", "--policy", "--engine", "--profile",
    "--implementation-id", "--link", "--listen", "--map", "--name", "--night", "--ou", "--platform", "--reason",
    "--release", "--resume", "--search", "--suite", "--test", "--tsa", "--vendor", "--jobs", "--skips", "--only",
    "--challenge", "page", "state", "board", "console", "suite",
}  # fmt: skip
"""What is plain text. It is given the path as well, and must only not break on it."""
OUTPUTS: Final = {
    "--output", "--out", "--ear", "--store", "--svg", "--query", "--run-dir", "--state-dir", "output", "folder",
    "--ledger",
}  # fmt: skip
"""Where a command writes, or makes a folder: a device or a pipe is a place to write to."""
GOOD: Final = {
    "--build": "reference", "--target": "qemu-an547", "build": "reference", "--suite": "ztest",
    "--key": "private.pem", "--reason": "r", "--release": "v1", "state": "Good", "board": "b", "--format": "csv",
    "suite": "boot", "--challenge": "00" * 32, "--corim": "right.corim", "run_dir": "night", "before": "night",
    "after": "night", "runs": "night", "--run": "night", "accepted_run": "night", "trace": "trace.csv",
    "token": "token.cbor", "--sign": "private.pem", "--public-key": "public.pem", "--output": "made.out",
    "output": "made.csv", "log": "console.log", "--image": "image.bin", "bundle": "bundle",
}  # fmt: skip
"""What else a command needs; the files are made by `files`."""
MORE: Final = {
    "verify": ["--key", "public.pem"],
    "evidence make": ["--key", "private.pem", "--output", "bundle2"],
    "evidence make --tsa-ca": ["--tsa", "http://127.0.0.1:9"],
    "evidence verify": ["--key", "public.pem"],
    "evidence corim": ["--iak", "public.pem", "--implementation-id", "00" * 32],
    "evidence corim --public-key": ["--sign", "private.pem"],
    "evidence timestamp": ["--reply", "good.bin"],
    "evidence badge": ["--key", "private.pem"],
    "history prune": ["--keep-nights", "3"],
}
"""Options that a command asks for as well; each is left out where it is there already."""
FILES: Final = {
    "token": "token.cbor", "result": "token.cbor", "csr": "csr.der", "image": "image.bin", "key": "public.pem",
    "replay": "parity.json", "check": "target.yaml",
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one right file of each kind."""
    folder = tmp_path_factory.mktemp("right")
    public = TEST_ONLY_P256.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, data in {
        "good.bin": b"plain\n", "token.cbor": message(enc(rfc_claims())), "public.pem": public,
        "private.pem": pem(TEST_ONLY_P256), "csr.der": request(), "image.bin": make_image(),
        "trace.csv": b"time_s,mag.x\n0,1\n1,2\n", "target.yaml": (ROOT / "targets/qemu-an547.yaml").read_bytes(),
        "console.log": b"no suite\n",
    }.items():  # fmt: skip
        (folder / name).write_bytes(data)
    night = make_run(folder)
    kept = next(path for path in night.iterdir() if path.name.startswith("vectors") and path.suffix == ".json")
    (folder / "parity.json").write_bytes(kept.read_bytes())
    with contextlib.redirect_stdout(io.StringIO()):
        key = ["--key", str(folder / "private.pem")]
        assert main(["evidence", "make", str(night), *key, "--output", str(folder / "bundle")]) == 0
        corim = ["--iak", str(folder / "public.pem"), "--implementation-id", "00" * 32]
        assert main(["evidence", "corim", "reference", *corim, "-o", str(folder / "right.corim")]) == 0
    return folder


@dataclass(frozen=True)
class Subject:
    """An option or argument, with the command that it belongs to."""

    command: tuple[str, ...]
    action: argparse.Action
    parser: argparse.ArgumentParser

    @property
    def name(self) -> str:
        return max(self.action.option_strings, key=len, default="") if self.action.option_strings else self.action.dest

    def __str__(self) -> str:
        return " ".join((*self.command, self.name))

    def words(self, hostile: str) -> list[str]:
        """The command's words: what must stand there, right, and this one hostile."""
        words = list(self.command)
        for action in self.parser._actions:
            if isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
                continue
            good = FILES.get(self.command[-1], "good.bin") if action.dest == "file" else "good.bin"
            value = hostile if action is self.action else GOOD.get(_name(action), good)
            if not action.option_strings:
                if action is self.action or action.nargs not in {"*", "?"}:
                    words.append(value)
            elif action is self.action or action.required:
                words += [_name(action), *([value] if action.nargs != 0 else [])]
        for command, more in MORE.items():
            if str(self).startswith(command):
                for option, value in zip(more[::2], more[1::2], strict=True):
                    words += [option, value] if option not in words else []
        if self.name == "--ear-key":
            words += ["--ear", "ear.out"]
        return words


def _name(action: argparse.Action) -> str:
    return max(action.option_strings, key=len) if action.option_strings else action.dest


def _walk(parser: argparse.ArgumentParser, command: tuple[str, ...] = ()) -> Iterator[Subject]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from _walk(inner, (*command, name))
        elif command and action.nargs != 0 and not action.choices and action.type not in {int, float}:
            yield Subject(command, action, parser)


def _left_out(subject: Subject) -> bool:
    commands = {subject.command[0], " ".join(subject.command)}
    return any((command, name) in NO_SUBJECT for command in commands for name in ("*", subject.name))


SUBJECTS = [subject for subject in _walk(make_parser()) if not _left_out(subject)]


NO_READABLE: Final = {"FIFO", "endless", "loop", "missing", "forbidden", "socket"}
"""Nothing can be read from these, so no command may go on as if it had read something."""


@pytest.fixture
def here(tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder in which commands run, with one right file of each kind, and little memory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: None)  # the dashboard would serve
    monkeypatch.setenv("TFM_HARNESS_STATE_DIR", str(tmp_path / "state"))
    for path in files.iterdir():
        (tmp_path / path.name).symlink_to(path)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, limits[1]))
    try:
        yield tmp_path
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def run(words: Sequence[str]) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as end:  # argparse
            code = int(str(end.code or 0))
    return code, out.getvalue() + err.getvalue()


def made(kind: str, folder: Path) -> Path:
    """What is no file of the kind that is wanted, with a name that says so."""
    path = folder / f"thing-{kind}"
    make_no_file(kind, path)
    return path


def names(said: str, path: Path) -> bool:
    """Whether what a command said names the path, or what it leads to."""
    return path.name in said.replace("\n", "").replace(" ", "") or "/dev/zero" in said


def wrong_with(subject: Subject, kind: str, here: Path) -> str:
    """What is wrong with what a command did; empty when nothing is."""
    if kind == "FIFO" and subject.name in OUTPUTS:
        return ""  # a reader may come
    path = made(kind, here)
    words = subject.words(str(path))
    code, said = run(words)
    bisect = {125} if subject.command[0] == "bisect" else set()  # tells `git bisect` to skip
    if code not in {0, 1, 2, 4, 5, 10, *bisect} or "Traceback" in said:
        return f"{subject}, {kind}: {code}, {said[-400:]}"
    if subject.name in OUTPUTS or subject.name in TEXTS or kind not in NO_READABLE:
        return ""
    if code not in {2, 4, 10, *bisect}:
        return f"{subject}, {kind}: {code}, as if it had been read: {said[-300:]}"
    if not names(said, path):
        return f"{subject}, {kind}: {code}, does not name it: {said[-300:]}"
    return ""


def kinds_here(kinds: Sequence[str]) -> list[str]:
    return [kind for kind in kinds if kind != "forbidden" or os.geteuid() != 0]  # root may read everything


@pytest.mark.timeout(60)
@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_an_option_with_what_is_no_file(subject: Subject, here: Path) -> None:
    """Two kinds that never end, and two others in turn; all of them at night."""
    position = SUBJECTS.index(subject)
    others = [KINDS[2 + (position + turn) % (len(KINDS) - 2)] for turn in (0, 3)]
    wrong = [wrong_with(subject, kind, here) for kind in kinds_here([*KINDS[:2], *others])]
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.mark.nightly
@pytest.mark.timeout(300)
@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_an_option_with_all_that_is_no_file(subject: Subject, here: Path) -> None:
    wrong = [wrong_with(subject, kind, here) for kind in kinds_here(KINDS)]
    assert not any(wrong), "\n".join(filter(None, wrong))


HOSTILE: Final = "name\x1b[2J\u202e\x07\n::error::end"
"""A name that clears a terminal, turns the text's direction, rings, and gives a CI system a command."""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("exists", [True, False], ids=["a file with this name", "no such file"])
@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_a_name_that_a_user_typed_does_nothing_to_the_terminal(subject: Subject, exists: bool, here: Path) -> None:
    if exists and subject.name not in OUTPUTS:
        right = FILES.get(subject.command[-1], "good.bin") if subject.name == "file" else "good.bin"
        (here / HOSTILE.replace("/", "")).symlink_to(here / GOOD.get(subject.name, right))
    _, said = run(subject.words(HOSTILE))
    assert "Traceback" not in said
    assert said == safe(said)


def test_every_text_and_output_is_an_option() -> None:
    named = {_name(subject.action) for subject in _walk(make_parser())}
    assert named >= TEXTS | OUTPUTS, sorted((TEXTS | OUTPUTS) - named)
    assert len(SUBJECTS) > 100
