"""Serves the pages over HTTP: they are read only, except for changes by somebody who has the token."""

from __future__ import annotations

import datetime as dt
import hmac
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from tfm_harness.errors import ConfigError, HarnessError, InfrastructureError
from tfm_harness.history.database import Database
from tfm_harness.history.health import set_health
from tfm_harness.history.known import add_issue, end_issue
from tfm_harness.history.pages import links
from tfm_harness.history.pages.site import Site, served_name
from tfm_harness.history.store import BaselineStore
from tfm_harness.safe_text import safe

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["make_app"]

MOST_FORM: Final = 1 << 16
"""The most bytes of a form."""
LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1", "testserver"})
_HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
}  # fmt: skip


def make_app(url: str, *, token: str = "", hosts: frozenset[str] = LOCAL) -> ASGIApp:
    """The application.

    Args:
        url: the URL of the store.
        token: the token that a change must have; empty: nothing can be changed.
        hosts: names under which requests are answered; empty: any. Another name in a request to this host comes from
            a foreign web page that tries to read it (DNS rebinding).
    """
    database = Database(url)
    site = Site(database, live=True, changes=bool(token))
    app = Starlette(
        routes=[
            Route("/", partial(_page, site), methods=["GET"]),
            Route("/run/{run_id:int}/{name:path}", partial(_file, site), methods=["GET"]),
            Route("/change/{what}", partial(_change, database, token), methods=["POST"]),
            Route("/{path:path}", partial(_page, site), methods=["GET"]),
        ]
    )
    return _Guard(app, hosts)


class _Guard:
    """Checks the host's name in each request, and sets the headers of every answer."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        host = Request(scope).url.hostname or ""
        if self.hosts and host not in self.hosts:
            refused = PlainTextResponse("asked under a name that is not this server's; see --allow-host\n", 421)
            await refused(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self.app(scope, receive, with_headers)


async def _page(site: Site, request: Request) -> Response:
    path = request.path_params.get("path") or "index.html"
    words = request.query_params.get("q", "")[:200]
    try:
        text = await run_in_threadpool(site.page, path, words=words)
    except InfrastructureError as error:
        return PlainTextResponse(f"{error}\n", 503)
    if text is None:
        return PlainTextResponse("there is no such page\n", 404)
    return Response(text, media_type="text/html")


async def _file(site: Site, request: Request) -> Response:
    wanted = request.path_params["name"]
    try:
        path = None
        for name in (wanted, wanted.removesuffix(".txt")):  # a transcript is served as text
            if path is None and served_name(name) == wanted:
                path = await run_in_threadpool(site.file, request.path_params["run_id"], name)
    except InfrastructureError as error:
        return PlainTextResponse(f"{error}\n", 503)
    if path is None:
        return PlainTextResponse("the run has no such file\n", 404)
    kinds = {"report.html": "text/html", "run.json": "application/json"}
    # A run's page comes from a run's folder: whoever wrote it, no script in it may run.
    policy = {"Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"}
    return FileResponse(path, media_type=kinds.get(wanted, "text/plain"), headers=policy)


async def _change(database: Database, token: str, request: Request) -> Response:
    what = request.path_params["what"]
    if not token:
        return PlainTextResponse("this server only reads; start it with --token-file to change something\n", 403)
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_FORM:
            return PlainTextResponse("the form is too long\n", 413)
    form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=50))
    given = form.pop("token", "") or request.headers.get("authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(given.encode(), token.encode()):
        return PlainTextResponse("the token is not the server's\n", 403)
    if what not in CHANGES:
        return PlainTextResponse("there is no such change\n", 404)
    try:
        page = await run_in_threadpool(CHANGES[what], database, form)
    except HarnessError as error:
        return PlainTextResponse(f"{safe(str(error))}\n", 400 if isinstance(error, ConfigError) else 503)
    return RedirectResponse(f"/{page}", 303)


def _board(database: Database, form: Mapping[str, str]) -> str:
    name = form.get("board", "")
    set_health(
        database, name, form.get("health", ""), reason=form.get("reason", ""), by=form.get("by", "") or "dashboard"
    )
    return links.board_page(name.strip())


def _issue(database: Database, form: Mapping[str, str]) -> str:
    try:
        until = dt.date.fromisoformat(form.get("until", ""))
    except ValueError:
        raise ConfigError(
            "a known issue needs its last day", kind="known-issues", expected="YYYY-MM-DD", seen=form.get("until", "")
        ) from None
    add_issue(
        database, ticket=form.get("ticket", ""), test=_pattern(form.get("test", "")), until=until,
        environment=form.get("environment", "*"), by=form.get("by", "") or "dashboard",
        intermittent=form.get("intermittent") == "1",
    )  # fmt: skip
    return "issues.html"


def _pattern(test: str) -> str:
    """A pattern that matches exactly this test: the brackets of its parameters are no set of characters."""
    return test.replace("[", "[[]") if "[" in test and "[[]" not in test else test


def _issue_end(database: Database, form: Mapping[str, str]) -> str:
    number = form.get("id", "")
    if not number.isascii() or not number.isdigit() or len(number) > 15:
        raise ConfigError("no such known issue", kind="known-issues", seen=number)
    end_issue(database, int(number))
    return "issues.html"


def _baseline(database: Database, form: Mapping[str, str]) -> str:
    with BaselineStore(database.url) as store:
        store.accept(form.get("run", ""), reason=form.get("reason", ""))
    return "trends.html"


CHANGES: Final[Mapping[str, Callable[[Database, Mapping[str, str]], str]]] = {
    "board": _board,
    "issue": _issue,
    "issue-end": _issue_end,
    "baseline": _baseline,
}
