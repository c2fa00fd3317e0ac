"""Rules for all code of the harness: no wait renews its own end, and what others wrote is read with a limit."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "harness" / "tfm_harness"
CLOCKS = {"monotonic", "_clock", "clock", "perf_counter", "time"}
RENEWED = {
    "protocol/smp/link.py:request": "one for each attempt; there are at most `attempts`",
    "protocol/smp/test_commands.py:trace_output": "once, when the first answer tells the length",
    "stimulus/pico/link.py:request": "one for each attempt; there are at most `attempts`",
    "protocol/smp/link.py:burst": "one for each answer that was asked for; at most 64",
}
"""Where a loop makes a deadline, and what bounds the loop."""
UNBOUNDED = {
    "boards/": "files of the board's own folder, of /proc, of an emulator or a card; a card's are mounted media",
    "stimulus/vsi": "runs inside the model; the folder is the run's own",
    "testing/": "simulators and stand-ins; what they read the tests have written",
    "parity/worker.py": "its own pipes",
    "processes.py": "/proc",
    "history/pages/site.py": "the package's own templates",
    "coverage/": "READMEs and modules of suites, which Python imports and runs as well",
    "report/claims.py": "modules of suites, which Python has imported and run",
    "cli/init.py": "the package's own files",
    "cli/docs.py": "the package's own pages",
    "cli/boards.py": "/proc",
}
"""Who may read without `files.read_file`, and why."""
READS = {"read_text", "read_bytes"}


def sources(*words: str) -> Iterator[tuple[str, ast.Module]]:
    """The modules in which one of these words stands: to parse and walk all of the harness takes seconds."""
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text()
        if any(word in text for word in words):
            yield path.relative_to(PACKAGE).as_posix(), ast.parse(text)


def ends_made_in_loops(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Function and line of each deadline that is computed from the present moment inside a loop.

    The earlier one of two moments, ``min(deadline, now + slice)``, is no new end.
    """
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for loop in ast.walk(function):
            if isinstance(loop, ast.While | ast.For):
                yield from ((function.name, line) for line in _ends(loop))


def _ends(node: ast.AST) -> Iterator[int]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            called = _last_words(child.func)
            if called == ("", "min") and len(child.args) > 1:
                continue
            if called == ("Deadline", "after"):
                yield child.lineno
        if (
            isinstance(child, ast.BinOp)
            and isinstance(child.op, ast.Add)
            and any(map(_is_now, (child.left, child.right)))
        ):
            yield child.lineno
        yield from _ends(child)


def _last_words(called: ast.expr) -> tuple[str, str]:
    """The last two of the dotted words by which something is called."""
    if isinstance(called, ast.Attribute):
        return _last_words(called.value)[1], called.attr
    return "", called.id if isinstance(called, ast.Name) else ""


def _is_now(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _last_words(node.func)[1] in CLOCKS


def test_no_wait_renews_its_end() -> None:
    words = (*(f"{clock}(" for clock in CLOCKS), "Deadline.after")
    found = {f"{name}:{function}" for name, tree in sources(*words) for function, _ in ends_made_in_loops(tree)}
    assert found == set(RENEWED)


@pytest.mark.parametrize(
    ("body", "renews"),
    [
        ("while busy(): end = Deadline.after(2.0)", True),
        ("for line in lines: until = time.monotonic() + 3", True),
        ("while busy(): until = 3 + self._clock()", True),
        ("while busy(): until = min(end, self._clock() + 3)", False),
        ("end = Deadline.after(2.0)\n while not end.passed: end.sooner(1)", False),
        ("while busy(): spent = time.monotonic() - began", False),
    ],
)
def test_the_rule_about_waits_sees_what_it_must(body: str, renews: bool) -> None:
    tree = ast.parse(f"def wait():\n {body}\n")
    assert bool(list(ends_made_in_loops(tree))) == renews


def test_what_others_wrote_is_read_with_a_limit() -> None:
    wrong = []
    for name, tree in sources(*READS):
        if name == "files.py" or any(name.startswith(known) for known in UNBOUNDED):
            continue
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if not isinstance(call.func, ast.Attribute) or call.func.attr not in READS:
                continue
            if "resources.files" in ast.unparse(call.func):  # the package's own data
                continue
            wrong.append(f"{name}:{call.lineno}: {ast.unparse(call)[:60]}")
    assert not wrong, "read with tfm_harness.files.read_file:\n" + "\n".join(wrong)
