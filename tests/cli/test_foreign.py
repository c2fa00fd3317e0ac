"""Files, paths and outputs that are none: a command ends with 3, 4 or 10, and says why; never with 1 or a traceback."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tfm_harness.cli.main import main

FILES = {
    "empty": b"",
    "zeros": bytes(4096),
    "not utf-8": b"\xff\xfe\xfa name: \x80\n",
    "nul": b"a\x00b: 1\n",
    "number": b"17\n",
    "list": b"[1, 2, 3]\n",
    "null": b"null\n",
    "text": b'"text"\n',
    "deep": b"[" * 20000,
    "wrong types": b'{"schema": 7, "tests": "x", "boards": 3, "verdict": [], "name": {}, "images": 1, "kind": []}',
    "nan": b'{"schema": NaN, "tests": [NaN], "started": 1e999}',
    "surrogate": b'{"schema": "\\ud800", "tests": [{"name": "\\udfff"}]}',
    "npy": b"\x93NUMPY\x01\x00\xff\xff{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,)}\n",
    "npy code": b"\x93NUMPY\x01\x00\x20\x00__import__('os').system('false')",
    "zip": b"PK\x03\x04" + bytes(40),
    "pem": "-----BEGIN PUBLIC KEY-----\nMFk\u00e9\n-----END PUBLIC KEY-----\n".encode(),
    "yaml tag": b"!!python/object/apply:os.system [false]\n",
    "yaml alias": b"a: &a [x]\nb: *a\n",
    "cbor": b"\xbf\xff\xd9\xd9\xf7",
    "elf": b"\x7fELF\x02\x01\x01" + bytes(60),
}
COMMANDS = (
    ["check", "{}"],
    ["verify", "token", "{}"],
    ["verify", "result", "{}"],
    ["verify", "token", "{}", "--key", "{}"],
    ["verify", "image", "{}", "--key", "{}"],
    ["verify", "csr", "{}"],
    ["verify", "key", "{}"],
    ["console-suite", "tfm-regression", "{}"],
    ["console-suite", "ztest", "{}"],
    ["compare", "{}", "{}"],
    ["trace", "{}"],
    ["import-build", "{}"],
    ["coverage", "--build", "{}"],
    ["check-requirements", "{}"],
    ["keys", "--target", "{}", "--build", "{}"],
    ["replay", "{}", "--target", "{}", "--build", "{}"],
    ["baseline", "show", "--store", "{}"],
    ["evidence", "verify", "{}"],
    ["extensions"],
    ["boards", "--state-dir", "{}"],
)


@contextlib.contextmanager
def quiet() -> Iterator[tuple[io.StringIO, io.StringIO]]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield out, err


def run(words: list[str]) -> tuple[int, str]:
    with quiet() as (out, err):
        try:
            code = main(words)
        except SystemExit as end:  # argparse
            code = int(str(end.code or 0))
    return code, out.getvalue() + err.getvalue()


def put(words: list[str], path: str) -> list[str]:
    return [path if word == "{}" else word for word in words]


JUDGES = {"verify", "console-suite", "compare", "check-requirements", "coverage", "baseline"}
"""Commands whose 1 is a verdict: on a file, the evidence is bad."""


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words).replace("{}", "F"))
def test_no_file_brings_out_a_foreign_exception(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = []
    for name, content in FILES.items():
        for suffix in ("", ".json", ".yaml", ".npy"):
            path = tmp_path / f"{name}{suffix}"
            path.write_bytes(content)
            code, said = run(put(words, str(path)))
            verdict = code == 1 and words[0] in JUDGES
            if code not in {0, 2, 4, 5, 10} and not verdict:
                wrong.append((name + suffix, code, said[-400:]))
    assert not wrong, "\n".join(map(str, wrong[:5]))


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words).replace("{}", "F"))
def test_no_path_brings_out_a_foreign_exception(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fifo, folder = tmp_path / "fifo", tmp_path / "folder"
    os.mkfifo(fifo)
    folder.mkdir()
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    paths = [
        "x" * 5000,
        "a\0b",
        "",
        "\udcff",
        "/dev/zero",
        "/dev/full",
        str(fifo),
        str(loop),
        "nowhere/at/all",
        str(folder),
    ]
    wrong = []
    for path in paths:
        code, said = run(put(words, path))
        if code not in {0, 2, 4, 5, 10} and not (code == 1 and words[0] in JUDGES and path == str(folder)):
            wrong.append((path[:20], code, said[-400:]))
    assert not wrong, "\n".join(map(str, wrong[:5]))


@pytest.mark.parametrize(("redirect", "codes"), [(">/dev/full", {10}), (">&-", {0, 10}), (">&- 2>&-", {0, 10})])
def test_an_output_that_cannot_be_written(redirect: str, codes: set[int]) -> None:
    words = f"exec {sys.executable} -m tfm_harness.cli.main targets {redirect}"
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in codes, done
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_an_output_that_cannot_say_everything(tmp_path: Path, encoding: str) -> None:
    """A plot in a C or Latin-1 locale; and a name that is no text."""
    path = tmp_path / os.fsdecode(b"tr\xffce\xc3\xa9.csv")
    path.write_text("time_s,mag.x\n0,1\n1,2\n")
    done = subprocess.run(
        [sys.executable, "-m", "tfm_harness.cli.main", "trace", "show", str(path)],
        capture_output=True, timeout=60, check=False, env={**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"2 samples, 1 s" in done.stdout
    assert b"\\udcff" in done.stdout
    full_block = "\u2588".encode() if encoding == "utf-8" else b"\\u2588"
    assert full_block in done.stdout


def test_a_bug_is_told_with_what_a_report_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise LookupError("what \x1b[2J\n::error::nobody expected")

    monkeypatch.setattr("tfm_harness.cli.main.check_environment", broken)
    code, said = run(["targets"])
    assert code == 3
    for part in ("LookupError", "test_foreign.py:", "in broken", "Python 3.", "report"):
        assert part in said
    assert "\x1b" not in said
    assert "\n::error" not in said
