"""All pages of a store; they are rendered one by one for the server, or written as files."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
import shutil
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from markupsafe import Markup

from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.history.database import Database
from tfm_harness.history.pages import details, links
from tfm_harness.history.pages.views import LETTERS, short, tonight, whose
from tfm_harness.history.queries import Memory
from tfm_harness.order import natural
from tfm_harness.report.render import breakable, duration
from tfm_harness.report.storage import write_text
from tfm_harness.safe_text import safe
from tfm_harness.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["Site"]

_ALL: Final = 100_000
LARGEST_COPY: Final = 16 << 20
"""The most bytes of a run's file that is copied into a written site; larger files are not copied."""
SEARCH_ROWS: Final = 50


class Site:
    """The pages of a store.

    Args:
        database: the open store; the caller closes it.
        live: whether a server shows the pages: then there is a search form.
        changes: whether to show forms that change something (a server with a token).
    """

    def __init__(self, database: Database, *, live: bool = False, changes: bool = False) -> None:
        self.database, self.live, self.changes = database, live, changes
        self._by_slug: dict[str, dict[str, str]] = {}

    # -- one page

    def page(self, path: str, *, words: str = "") -> str | None:
        """A page by its path (``index.html``, ``board/b7.html``); None when there is none.

        Args:
            words: the words of a search.

        Raises:
            InfrastructureError: kind ``store-failed``.
        """
        folder, _, name = path.rpartition("/")
        name = name.removesuffix(".html")
        if folder == "":
            return self._top(name, words)
        maker = {
            "night": self._night, "grid": self._grid, "test": self._test, "board": self._board,
            "firmware": self._firmware, "run": self._run,
        }.get(folder)  # fmt: skip
        return maker(name) if maker else None

    def _top(self, name: str, words: str) -> str | None:
        memory = Memory(self.database)
        if name == "index":
            if not memory.nights(limit=1):
                return self._render("empty", "index.html", "No run yet")
            return self._render("night", "index.html", "Tonight", night=tonight(self.database), newest=True)
        if name == "grid":
            return self._grid("1")
        if name == "nights":
            return self._render("nights", "nights.html", "Nights", nights=details.nights_list(self.database))
        if name == "boards":
            nights = [row.name for row in memory.nights(limit=details.GRID_NIGHTS)]
            boards = sorted(memory.boards(nights=nights), key=lambda b: (-b.bench_share, natural(b.name)))
            return self._render("boards", "boards.html", "Boards", boards=boards, nights=nights)
        if name == "firmware":
            return self._render("firmwares", "firmware.html", "Firmware", rows=memory.firmware(limit=500))
        if name == "trends":
            rows, total = details.trends(self.database)
            return self._render("trends", "trends.html", "Latency and parity", trends=rows, total=total)
        if name == "issues":
            known = [(one, one.expires is None or one.expires >= _now()) for one in memory.known_issues()]
            return self._render("issues", "issues.html", "Known issues", issues=known)
        if name == "search":
            hits = details.search(self.database, words, limit=SEARCH_ROWS if self.live else _ALL)
            return self._render("search", "search.html", "Search", search=hits)
        return None

    def _night(self, name: str) -> str | None:
        for row in details.nights_list(self.database):
            if links.slug(row.name) == name:
                shown = tonight(self.database, row.name)
                return self._render("night", links.night_page(row.name), f"Night {row.name}", night=shown, newest=False)
        return None

    def _grid(self, name: str) -> str | None:
        found = details.grid(self.database, int(name)) if re.fullmatch(r"[0-9]{1,6}", name) else None
        return self._render("grid", links.grid_page(found.number), "Grid", grid=found) if found else None

    def _test(self, name: str) -> str | None:
        known = self._named("tests", name)
        found = details.test(self.database, known) if known is not None else None
        return self._render("test", links.test_page(found.name), short(found.name), test=found) if found else None

    def _board(self, name: str) -> str | None:
        known = self._named("boards", name)
        found = details.board(self.database, known) if known is not None else None
        return (
            self._render("board", links.board_page(found.row.name), f"Board {found.row.name}", board=found)
            if found
            else None
        )

    def _firmware(self, name: str) -> str | None:
        found = details.firmware(self.database, name) if re.fullmatch(r"[0-9a-f]{16,64}", name) else None
        if found is None:
            return None
        page = links.firmware_page(found.row.digest)
        return self._render("firmware", page, f"Firmware {found.row.build}", firmware=found)

    def _run(self, name: str) -> str | None:
        found = details.run(self.database, int(name)) if re.fullmatch(r"[0-9]{1,15}", name) else None
        return self._render("run", links.run_page(found.row.id), f"Run {found.row.name}", run=found) if found else None

    def _named(self, kind: Literal["tests", "boards"], slug: str) -> str | None:
        """The name that has this slug. All names are read again only if the slug is not known yet."""
        if slug not in self._by_slug.get(kind, {}):
            self._by_slug[kind] = {links.slug(name): name for name in Memory(self.database).names(kind)}
        return self._by_slug[kind].get(slug)

    def file(self, run_id: int, name: str) -> Path | None:
        """A run's own file (its page, record or a transcript); None when it has none of this name."""
        rows = Memory(self.database).runs(run_id=run_id)
        return details.evidence_files(self.database, rows[0]).get(name) if rows else None

    # -- all pages

    def write(self, folder: Path, *, nights: int = 14, files: bool = True) -> int:
        """Write the pages of the last nights as files; returns their number.

        Args:
            folder: created if it is missing; files of other names in it are not touched.
            nights: the number of nights that get pages, with their runs.
            files: also copy the runs' own files (page, record, transcripts up to `LARGEST_COPY` bytes).

        Raises:
            ConfigError: kind ``site-folder``: the folder holds something else.
            InfrastructureError: kinds ``report-write``, ``store-failed``.
        """
        _claim(folder)
        count = 0
        paths = list(dict.fromkeys(self._paths(nights)))
        written = {path.partition("#")[0] for path in paths}
        for path in paths:
            text = self.page(path)
            if text is not None:
                write_text(folder / path, _without_dead_links(text, written))
                count += 1
        if files:
            self._copy(folder, nights)
        return count

    def _paths(self, nights: int) -> Iterator[str]:
        memory = Memory(self.database)
        yield from (f"{name}.html" for name in ("index", "nights", "boards", "firmware", "trends", "issues", "search"))
        first = details.grid(self.database)
        yield from (links.grid_page(number) for number in range(1, (first.pages if first else 0) + 1))
        yield from (links.test_page(name) for name in memory.names("tests"))
        yield from (links.board_page(name) for name in memory.names("boards"))
        yield from (links.firmware_page(row.digest) for row in memory.firmware(limit=_ALL))
        for night in memory.nights(limit=nights):
            yield links.night_page(night.name)
            yield from (links.run_page(row.id) for row in memory.runs(night=night.name, limit=_ALL))

    def _copy(self, folder: Path, nights: int) -> None:
        memory = Memory(self.database)
        for night in memory.nights(limit=nights):
            for row in memory.runs(night=night.name, limit=_ALL):
                for name, path in details.evidence_files(self.database, row).items():
                    target = folder / "run" / str(row.id) / served_name(name)
                    try:
                        if path.stat().st_size <= LARGEST_COPY:
                            target.parent.mkdir(parents=True, exist_ok=True)
                            shutil.copyfile(path, target)
                    except OSError as error:
                        raise InfrastructureError(
                            "a run's file cannot be copied", kind="report-write", seen=str(error), where=str(path)
                        ) from error

    # -- markup

    def _render(self, template: str, path: str, title: str, **values: Any) -> str:  # noqa: ANN401 - the template's
        environment = _environment()
        style, script = (environment.get_template(name).render() for name in ("pages.css", "pages.js"))
        policy = (
            f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:;"
            f" form-action {chr(39) + 'self' + chr(39) if self.live else chr(39) + 'none' + chr(39)}; base-uri 'none'"
        )
        return environment.get_template(f"{template}.html.j2").render(
            title=title, root="../" if "/" in path else "", here=path, live=self.live, changes=self.changes,
            style=Markup(style), script=Markup(script), policy=policy, version=__version__,  # noqa: S704 - our own files
            written=_now().strftime("%Y-%m-%d %H:%M UTC"), store=self.database.shown, **values,
        )  # fmt: skip


def served_name(name: str) -> str:
    """The name under which a run's file is served: a transcript is text, whatever its ending is."""
    return name if name in {"report.html", "run.json"} or name.endswith(".txt") else f"{name}.txt"


_LINK: Final = re.compile(r'href="(?:\.\./)?((?:run|night)/[^"#/]+\.html)(?:#[^"]*)?"')


def _without_dead_links(text: str, written: set[str]) -> str:
    """The page without links to nights and runs that are too old to be written."""
    return _LINK.sub(lambda found: found[0] if found[1] in written else 'role="img" data-older', text)


def _claim(folder: Path) -> None:
    marker = folder / ".tfm-harness-site"
    try:
        if folder.exists() and not marker.exists() and any(folder.iterdir()):
            raise ConfigError(
                "the folder holds something else", kind="site-folder", expected="an empty or new folder, or a site",
                seen=f"{sum(1 for _ in folder.iterdir())} entries", where=str(folder),
            )  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        marker.write_text("pages of tfm-harness; written anew by `tfm-harness history export-site`\n")
    except OSError as error:
        raise InfrastructureError(
            "the pages cannot be written", kind="report-write", seen=str(error), where=str(folder)
        ) from error


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _shown(value: Any) -> Any:  # noqa: ANN401 - whatever a template shows
    """Make a text safe that a page shows; every text goes through this, because it may come from a device."""
    return safe(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _date(value: dt.datetime | None) -> str:
    return "" if value is None else value.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = resources.files("tfm_harness.history.pages") / "templates"
    environment = Environment(
        loader=FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    environment.filters |= {
        "duration": duration, "breakable": lambda text: breakable(safe(text)), "date": _date, "short": short,
        "whose": whose, "served": served_name,
    }  # fmt: skip
    environment.globals |= {"links": links, "letters": LETTERS}
    return environment
