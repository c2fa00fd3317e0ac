"""What a hostile device says in each field of each protocol, through a session and into everything that it leaves.

The requests are those of the table that every client is held to, so a request that is added later is covered here, too.
Each answer carries a payload in every field that it has; the test then fails, and prints the answer or the error.
"""

from __future__ import annotations

import datetime as dt
import json
from itertools import count, cycle

import pytest
from tfm_harness.history.database import Database
from tfm_harness.history.pages import Site
from tfm_harness.history.summary import summary as mail
from tfm_harness.report import load_run

from tests.campaigns.exports import every_export
from tests.plugin.conftest import Project, project
from tests.protocol.test_every_request_ends import CLIENTS
from tests.untrusted import PAYLOADS, troubles
from tests.untrusted_devices import DEVICES

__all__ = ["project"]

TEXTS = [text for name, text in PAYLOADS.items() if name not in {"lone surrogate", "long"}]


SUITE = """
import json
from pathlib import Path

import pytest
from tests.protocol.test_every_request_ends import CLIENTS, HostileConsole
from tests.untrusted_devices import DEVICES

CASES = json.loads(Path("cases.json").read_text())


@pytest.mark.parametrize("n", range(len(CASES)))
def test_request(bench, n):
    name, request, shape, payload = CASES[n]
    client = CLIENTS[name]
    console = HostileConsole(DEVICES[name][shape](payload), b"")
    driver = client.driver(console, timeout=2.0, watch=None, clock=console.clock)
    answer = client.requests[request](driver)
    print(answer)
    for exchange in getattr(driver, "exchanges", ()):
        print(exchange)
    assert answer == "another", console.tail()
"""

BOARD = """
import json
from pathlib import Path

import pytest
from tfm_harness.boards.base import BoardEvent
from tfm_harness.errors import ConfigError, InfrastructureError, ProductError

CASES = json.loads(Path("cases.json").read_text())


@pytest.mark.parametrize("n", range(len(CASES)))
def test_board(device, bench, n):
    what, payload = CASES[n]
    if what == "log":
        bench.board.console("ns").push(payload.encode() + b"\\n")
        assert device.echo("x") == "another"
    elif what == "panic":
        bench.board.console("secure").push(b"[SPE] PANIC " + payload.encode() + b"\\n")
    elif what == "secure":
        bench.board.console("secure").push(payload.encode() + b"\\n")
        assert device.echo("x") == payload
    elif what == "reset":
        bench.board._events.append(BoardEvent("guest-reset", payload, 1.5, {"ns": 10}))
    elif what == "echo":
        kept = bench.board.firmware.commands.get((0, 0))
        bench.board.firmware.commands[0, 0] = lambda _: {"r": payload}
        try:
            assert device.echo("x") == "x"
        finally:
            if kept is None:
                del bench.board.firmware.commands[0, 0]
            else:
                bench.board.firmware.commands[0, 0] = kept
    elif what == "product":
        raise ProductError(payload, kind="k", expected=payload, seen=payload, where=payload, hint=payload)
    elif what == "config":
        raise ConfigError(payload, kind="k", expected=payload, seen=payload, where=payload, hint=payload)
    else:
        raise ValueError(payload)
"""


def everything_left(project: Project, result: pytest.RunResult) -> dict[str, str]:
    """What the session printed and left but for the byte-exact transcripts, and all that is made of it later."""
    found = {"stdout.txt": "\n".join(result.outlines), "stderr.txt": "\n".join(result.errlines)}
    found["out.xml"] = (project.path / "out.xml").read_text()
    for path in (project.path / "run").rglob("*"):
        if path.is_file() and path.suffix not in {".log", ".events"}:
            found[path.name] = path.read_text(errors="surrogateescape")
    for name, text in every_export(load_run(project.path / "run")).items():
        found[f"export/{name}"] = text
    with Database(str(project.path / "s.sqlite")) as store:
        found["mail.md"] = mail(store, dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        Site(store).write(project.path / "pages", nights=4)
    for path in (project.path / "pages").rglob("*.html"):
        found[f"site/{path.name}"] = path.read_text()
    assert {"run.json", "report.html", "out.xml", "mail.md"} <= found.keys()
    assert any(name.startswith("site/") for name in found)
    return found


def held(project: Project, suite: str, least: int) -> None:
    project.test(suite)
    words = ["--junitxml", "out.xml", "--tfm-run-dir", "run", "--tb=short", "-rA", "--tfm-store", "s.sqlite"]
    project.limit = max(project.limit, least)
    result = project.run(*words)
    assert result.ret in {1, 3, 4}, result.outlines[-30:]
    found = everything_left(project, result)
    assert len(load_run(project.path / "run").tests) >= least
    wrong = [trouble for name, text in found.items() for trouble in troubles(name, text)]
    assert not wrong, "\n".join(sorted({w[:150] for w in wrong})[:60])


def every_case() -> list[list[tuple[str, str, int, str]]]:
    """Each request of each client, each form of an answer, each payload; a part for each client and form.

    In one session they would take 20 minutes: pytest looks through all reports of a session for each failed test.
    """
    return [
        [(name, request, shape, payload) for request in client.requests for payload in TEXTS]
        for name, client in CLIENTS.items()
        for shape in range(len(DEVICES[name]))
    ]


def some_cases() -> list[tuple[str, str, int, str]]:
    """Each request once; forms and payloads go round."""
    texts, number = cycle(TEXTS), count()
    return [
        (name, request, next(number) % len(DEVICES[name]), next(texts))
        for name, client in CLIENTS.items()
        for request in client.requests
    ]


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(some_cases(), id="some"),
        *(
            pytest.param(
                part, id=f"all-{part[0][0]}-{part[0][2]}", marks=[pytest.mark.nightly, pytest.mark.timeout(600)]
            )
            for part in every_case()
        ),
    ],
)
def test_each_field_of_each_protocol(project: Project, made: list[tuple[str, str, int, str]]) -> None:
    (project.path / "cases.json").write_text(json.dumps(made))
    held(project, SUITE, len(made))


WHERE = ("log", "panic", "secure", "reset", "echo", "product", "config", "raises")
ALL = [(what, payload) for payload in TEXTS for what in WHERE]


@pytest.mark.parametrize("made", [ALL[::3], pytest.param(ALL, marks=pytest.mark.nightly)], ids=["some", "all"])
def test_what_a_board_says_besides(project: Project, made: list[tuple[str, str]]) -> None:
    (project.path / "cases.json").write_text(json.dumps(made))
    held(project, BOARD, len(made))
