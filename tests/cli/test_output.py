"""Commands write by `cli/output.py` alone, so that no text acts on the terminal."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tfm_harness import cli
from tfm_harness.cli.output import say, warn, write, write_exactly

EXACT = {"completion.py", "docs.py", "export.py"}
"""Commands that print a file's content as it is: a shell's script, the project's own pages, exports of records."""
MODULES = sorted(path for path in Path(cli.__file__).parent.glob("*.py") if path.name != "output.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_command_writes_safe_text(path: Path) -> None:
    calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not [call for call in calls if call == "print" or call.startswith(("sys.stdout.write", "sys.stderr.write"))]
    assert ("write_exactly" in calls) == (path.name in EXACT)


def test_what_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[2J")
    write("b\x07\n")
    warn(ValueError("c\u202e"))
    write_exactly("::d")
    assert tuple(capsys.readouterr()) == ("a\\x1b[2J\nb\\x07\n::d", "c\\u202e\n")
