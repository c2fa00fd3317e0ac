"""The pages over HTTP: what is read, what is refused, what a token may change."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

pytest.importorskip("starlette", reason="starlette is not installed (extra: dashboard)")

from tfm_harness.boards.supervisor import wait_until
from tfm_harness.cli.main import main
from tfm_harness.history import BaselineKey, BaselineStore
from tfm_harness.history.database import Database
from tfm_harness.history.pages import links
from tfm_harness.history.pages.server import MOST_FORM, make_app
from tfm_harness.history.queries import Memory

from tests.history.pages.farm import BOARDS, fill, record
from tests.history.pages.rules import broken_rules

TOKEN = "TEST_ONLY-token-of-the-dashboard"
SIGNED = "suites/results/test_results.py::test_signed[5]"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(
    app: Any, path: str, *, method: str = "GET", form: dict[str, str] | bytes | None = None,
    host: str = "localhost:8017", headers: tuple[tuple[bytes, bytes], ...] = (),
) -> Answer:  # fmt: skip
    """One request, as a server hands it to the application."""
    body = urlencode(form).encode() if isinstance(form, dict) else form or b""
    parts = urlsplit(path)
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": parts.path, "raw_path": parts.path.encode(), "query_string": parts.query.encode(), "root_path": "",
        "headers": [(b"host", host.encode()), *headers], "server": ("127.0.0.1", 8017), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    sent: list[dict[str, Any]] = []
    given = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(given, {"type": "http.disconnect"})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    head = sent[0]
    return Answer(
        head["status"], {name.decode(): value.decode() for name, value in head["headers"]},
        b"".join(message.get("body", b"") for message in sent[1:]),
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    with Database(str(tmp_path / "s.sqlite")) as database:
        yield database


@pytest.fixture(scope="module")
def app(farm: Database) -> Any:
    return make_app(farm.url)


def test_pages_are_served_with_their_policy(app: Any) -> None:
    answer = ask(app, "/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "1 new failure" in answer.text
    assert "default-src &#39;none&#39;" in answer.text
    for path in (
        "/grid.html",
        "/boards.html",
        "/board/bench-c.html",
        "/trends.html",
        f"/{links.board_page(BOARDS[3])}",
    ):
        assert broken_rules(ask(app, path).text) == [], path
    found = ask(app, "/search.html?q=signed+%3Cb%3E")
    assert "Search: signed &lt;b&gt;" in found.text
    assert ask(app, "/search.html?q=" + "a" * 100_000).status == 200
    assert ask(app, "/", method="HEAD").status == 200


@pytest.mark.parametrize(
    "path",
    ["/nowhere.html", "/board/nobody.html", "/run/0.html", "/run/x.html", "/run/99999999999999999999.html",
     "/night/x.html", "/../etc/passwd", "/test/..%2f..%2fetc.html", "/firmware/zz.html", "/firmware/00.html",
     "/grid/0.html", "/grid/99.html",
     "/run/1/../../secret", "/run/1//etc/passwd", "/run/1/..", "/run/999/run.json"],
)  # fmt: skip
def test_what_is_not_there_is_404(app: Any, path: str) -> None:
    answer = ask(app, path)
    assert answer.status == 404, answer.text


def test_a_runs_files_are_data(app: Any, farm: Database) -> None:
    (run,) = Memory(farm).runs(run="night-6.0.app")
    page = ask(app, f"/run/{run.id}/report.html")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    console = ask(app, f"/run/{run.id}/ns.log.txt")
    assert console.status == 200
    assert console.headers["content-type"].startswith("text/plain")
    assert ask(app, f"/run/{run.id}/run.json").headers["content-type"] == "application/json"
    assert ask(app, f"/run/{run.id}/ns.log").status == 404, "only under the name that makes it text"
    assert ask(app, f"/run/{run.id}/other.txt").status == 404


def test_a_page_of_elsewhere_cannot_ask_under_its_own_name(app: Any, farm: Database) -> None:
    assert ask(app, "/", host="evil.example.org").status == 421
    assert ask(app, "/", host="127.0.0.1:8017").status == 200
    assert ask(app, "/", host="[::1]:8017").status == 200
    assert ask(make_app(farm.url, hosts=frozenset({"farm.example.org"})), "/", host="farm.example.org").status == 200


def test_without_a_token_nothing_changes(app: Any) -> None:
    form = {"board": "bench-a", "health": "Bad", "reason": "x", "token": ""}
    assert ask(app, "/change/board", method="POST", form=form).status == 403
    assert ask(app, "/", method="POST").status == 405
    assert ask(app, "/board/bench-a.html", method="DELETE").status == 405


def test_changes_need_the_token(store: Database) -> None:
    app = make_app(store.url, token=TOKEN)
    form = {"board": "b7", "health": "Maintenance", "reason": "new cable", "by": "somebody"}
    for bad in ("", "x", TOKEN[:-1], TOKEN + "x", "é"):
        assert ask(app, "/change/board", method="POST", form={**form, "token": bad}).status == 403
    assert Memory(store).boards() == []
    assert ask(app, "/change/board", form={**form, "token": TOKEN}).status == 404, "a link changes nothing"
    done = ask(app, "/change/board", method="POST", form={**form, "token": TOKEN})
    assert (done.status, done.headers["location"]) == (303, "/board/b7.html")
    (event,) = Memory(store).board_events("b7")
    assert (event.health, event.reason, event.by) == ("Maintenance", "new cable", "somebody")
    header = ((b"authorization", f"Bearer {TOKEN}".encode()),)
    assert ask(app, "/change/board", method="POST", form={**form, "health": "Good"}, headers=header).status == 303
    wrong = ask(app, "/change/board", method="POST", form={**form, "health": "ill", "token": TOKEN})
    assert wrong.status == 400
    assert "Good, Unknown, Looping" in wrong.text
    assert ask(app, "/change/nothing", method="POST", form={"token": TOKEN}).status == 404
    assert ask(app, "/change/board", method="POST", form=b"a" * (MOST_FORM + 1)).status == 413


def test_a_known_issue_is_kept_and_ended(store: Database, tmp_path: Path) -> None:
    fill(store, tmp_path / "runs")
    app = make_app(store.url, token=TOKEN)
    form = {
        "ticket": "BUG-7", "test": "suites/attestation/test_attestation.py::test_token", "until": "2999-01-01",
        "token": TOKEN,
    }  # fmt: skip
    assert "1 new failure" in ask(app, "/").text
    assert ask(app, "/change/issue", method="POST", form={**form, "until": "soon"}).status == 400
    assert ask(app, "/change/issue", method="POST", form={**form, "until": "2001-01-01"}).status == 400
    assert ask(app, "/change/issue", method="POST", form=form).status == 303
    tonight = ask(app, "/").text
    assert "1 known issue" in tonight
    assert "BUG-7" in tonight
    (issue,) = Memory(store).known_issues()
    assert ask(app, "/change/issue-end", method="POST", form={"id": "x", "token": TOKEN}).status == 400
    assert ask(app, "/change/issue-end", method="POST", form={"id": "77", "token": TOKEN}).status == 400
    assert ask(app, "/change/issue-end", method="POST", form={"id": str(issue.id), "token": TOKEN}).status == 303
    assert len(Memory(store).known_issues()) == 1, "it stays on record"
    assert ">over<" in ask(app, "/issues.html").text


def test_brackets_of_a_test_mean_themselves(store: Database) -> None:
    from fnmatch import fnmatchcase

    app = make_app(store.url, token=TOKEN)
    form = {"ticket": "B", "test": SIGNED, "until": "2999-01-01", "token": TOKEN}
    assert ask(app, "/change/issue", method="POST", form=form).status == 303
    (issue,) = Memory(store).known_issues()
    assert fnmatchcase(SIGNED, issue.test)
    assert not fnmatchcase(SIGNED.replace("[5]", "5"), issue.test)


def test_a_baseline_is_accepted(store: Database) -> None:
    series = record(1, BOARDS[0], "app").latency[0].series
    with BaselineStore(store.url) as baselines:
        baselines.add("night-1", series)
    app = make_app(store.url, token=TOKEN)
    form = {"run": "night-1", "reason": "release", "token": TOKEN}
    assert ask(app, "/change/baseline", method="POST", form={**form, "reason": " "}).status == 400
    assert ask(app, "/change/baseline", method="POST", form={**form, "run": "other"}).status == 400
    assert ask(app, "/change/baseline", method="POST", form=form).status == 303
    with BaselineStore(store.url) as baselines:
        (accepted,) = baselines.baselines()
    assert (accepted.reason, BaselineKey.of(accepted.series)) == ("release", BaselineKey.of(series))


def test_a_broken_store_is_the_benchs(store: Database, tmp_path: Path) -> None:
    app = make_app(store.url)
    (tmp_path / "s.sqlite").write_bytes(b"no database " * 1000)
    assert ask(app, "/").status == 503


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--listen", "nowhere"], 4, "bad-option"),
        (["--listen", "127.0.0.1:99999"], 4, "bad-option"),
        (["--token-file", "missing"], 4, "dashboard-token"),
        (["--token-file", "short"], 4, "dashboard-token"),
        (["--token-file", "open"], 4, "dashboard-token"),
    ],
)
def test_wrong_options(
    options: list[str], code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name, text, mode in (("short", "x", 0o600), ("open", TOKEN, 0o644)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    assert main(["dashboard", "--store", str(tmp_path / "s.sqlite"), *options]) == code
    assert says in capsys.readouterr().err


def test_the_command_serves_and_ends(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    code = "import sys; from tfm_harness.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "dashboard", "--listen", f"127.0.0.1:{port}"]
    with subprocess.Popen(
        [*command, "--store", str(tmp_path / "s.sqlite")], stderr=subprocess.PIPE, text=True
    ) as process:
        try:

            def answers() -> bool:
                assert process.poll() is None, process.stderr and process.stderr.read()
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                        return b"No run yet" in answer.read()
                except OSError:
                    return False

            assert wait_until(answers, 60, step=0.05)
            again = subprocess.run(
                [*command, "--store", str(tmp_path / "t.sqlite")],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert again.returncode == 10, again.stderr
            assert "dashboard-listen" in again.stderr
        finally:
            process.terminate()
            process.wait(30)
