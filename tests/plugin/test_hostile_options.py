"""Every option of the plugin, which are those of ``tfm-harness run``, with what is no file and with impossible values.

A session ends as documented: it says what is wrong with a setting (4) or what the host refuses (10). It does not hang,
shows no traceback, and never looks as if a product had been judged and had failed (1).
"""

from __future__ import annotations

import os
from typing import Final

import pytest
from tfm_harness.plugin.options import OPTIONS

from tests.no_file import KINDS, make_no_file
from tests.plugin.conftest import Project

READ: Final = ("target", "build", "only", "evidence")
"""Options whose file is read."""
WRITTEN: Final = ("run-dir", "state-dir", "html-report", "store")
"""Options that name where something is written, or a folder."""
NOTHING_THERE: Final = {"FIFO", "endless", "loop", "missing", "forbidden", "socket", "huge"}
VALUES: Final = (
    "x" * 5000, "\udcff", "é\u202e", "NaN", "1e999", "9" * 400, "-1", "a\nb", "~nobody/x", "http://[", "/dev/full",
    "postgresql://u:p@[", "pkcs11:%ZZ", "{name}%s", "../" * 40, "٣", "*",
)  # fmt: skip
TEXTS: Final = [option.name for option in OPTIONS if option.kind != "flag"]
ENDS: Final = {0, 2, 4, 5, 10}


def wrong_with(project: Project, name: str, value: str) -> tuple[str, int, str]:
    """What is wrong with how a session with this value ended (empty: nothing), its exit status, and what it said."""
    words = [f"--tfm-{name}={value}", "--tfm-html-report=page.html"]
    result = project.run(*words, **({name: ""} if name in {"target", "build"} else {}))
    said = result.stdout.str() + result.stderr.str()
    if int(result.ret) in ENDS and "Traceback" not in said and "INTERNALERROR" not in said:
        return "", int(result.ret), said
    return f"{name} {value[:60]!a}: {result.ret}\n{said[-1500:]}", int(result.ret), said


def wrong_with_kind(project: Project, name: str, kind: str) -> str:
    """The same for what is no file."""
    path = project.path / f"thing-{name}-{kind}"
    make_no_file(kind, path)
    wrong, code, said = wrong_with(project, name, str(path))
    if wrong or name not in READ or kind not in NOTHING_THERE:
        return wrong
    if code not in {4, 10}:
        return f"{name} {kind}: {code}, as if it had been read\n{said[-1500:]}"
    together = said.replace("\n", "").replace(" ", "")
    return "" if path.name in together or "/dev/zero" in together else f"{name} {kind}: not named\n{said[-1500:]}"


def kinds_here() -> list[str]:
    return [kind for kind in KINDS if kind != "forbidden" or os.geteuid() != 0]  # root may read everything


@pytest.fixture
def suite(project: Project) -> Project:
    """One test that passes."""
    project.test("def test_it(device):\n    assert device.describe()\n")
    return project


@pytest.mark.parametrize("name", READ + WRITTEN)
def test_what_is_no_file(suite: Project, name: str) -> None:
    """Two kinds each, in turn; all of them at night."""
    kinds = kinds_here()
    first = 2 * (READ + WRITTEN).index(name)
    chosen = [kinds[(first + more) % len(kinds)] for more in (0, 1)]
    wrong = [wrong_with_kind(suite, name, kind) for kind in chosen if kind != "FIFO" or name in READ]
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", READ + WRITTEN)
def test_all_that_is_no_file(suite: Project, name: str) -> None:
    wrong = [wrong_with_kind(suite, name, kind) for kind in kinds_here() if kind != "FIFO" or name in READ]
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.mark.parametrize("name", ["store", "evidence"])
def test_a_value_that_cannot_be(suite: Project, name: str) -> None:
    """Two options, two values; all of them at night."""
    first = 2 * ["store", "evidence"].index(name)
    wrong = [wrong_with(suite, name, value)[0] for value in VALUES[first : first + 2]]
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", TEXTS)
def test_all_values_that_cannot_be(suite: Project, name: str) -> None:
    wrong = [wrong_with(suite, name, value)[0] for value in VALUES]
    assert not any(wrong), "\n".join(filter(None, wrong))


def test_a_file_that_grows_is_not_followed(suite: Project) -> None:
    """A list of tests that never ends: bytes come as fast as they are read."""
    path = suite.path / "grows"
    path.symlink_to("/dev/urandom")
    wrong, code, _ = wrong_with(suite, "only", str(path))
    assert not wrong
    assert code in {4, 10}
