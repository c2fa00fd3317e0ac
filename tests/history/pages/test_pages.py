"""The pages: what they say, that device text does nothing on them, that everybody can use them."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import replace
from html import unescape
from importlib import resources
from pathlib import Path

import pytest
from tfm_harness.cli.main import main
from tfm_harness.errors import ConfigError
from tfm_harness.history.database import Database
from tfm_harness.history.pages import Site, links
from tfm_harness.report.storage import save_run

from tests.browser import Browser
from tests.history.pages.farm import BOARDS, NIGHTS, record
from tests.history.pages.rules import Page, broken_rules, colours, contrast

SIGNED = "suites/results/test_results.py::test_signed"


def words(text: str) -> str:
    """What a reader sees, on one line."""
    without = re.sub(r"<(style|script)>.*?</\1>", "", text, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<wbr>|<[^>]*>", lambda m: "" if m[0] == "<wbr>" else " ", without)).split())


def page(farm: Database, path: str, **more: str) -> str:
    text = Site(farm, live=True).page(path, **more)
    assert text is not None, path
    return text


def section(text: str, title: str) -> str:
    """A section of a page by its heading."""
    found = [part for part in text.split("<section") if re.search(rf"<h2[^>]*>(<span[^>]*>)?{title}", part)]
    assert len(found) == 1, title
    return words("<section" + found[0])


# -- what they say


def test_tonight_tells_each_story_in_its_class(farm: Database) -> None:
    text = page(farm, "index.html")
    assert "1 new failure" in words(text).partition("The newest night")[0]
    new = section(text, "new failure")
    assert "test_token" in new
    assert "the product" in new
    assert "since" in new
    assert "night-6 with SPE:0c0c0c0c0c0c" in new
    assert "last good in night-5" in new
    assert "bench-b failed" in section(text, "boards disagree")
    assert "bench-a passed" in section(text, "boards disagree")
    still = section(text, "still failing")
    assert "test_signed" in still
    assert "night-3 with SPE:0b0b0b0b0b0b" in still
    assert "test_reset" in section(text, "fixed")
    assert re.search(r"fails in \d+% \(\d+% to \d+%\)", section(text, "flaky"))
    assert "bench-c console-closed 14" in section(text, "the bench")
    assert "Bad the golden build did not boot" in section(text, "Boards that need somebody")
    assert "latency of tamper mps3+app" in section(text, "Figures")
    assert "slower +9 % beside night-1" in section(text, "Figures")
    assert "first at SOFTMAX" in section(text, "Figures")
    assert "mps3+bootloader" in section(text, "By build")


def test_another_night_is_judged_by_what_was_known_then(farm: Database) -> None:
    text = page(farm, "night/night-3.html")
    assert "test_signed" in section(text, "new failure")
    assert "test_token" not in words(text).partition("By build")[0]


def test_the_grid_leads_to_the_evidence(farm: Database) -> None:
    text = page(farm, "grid.html")
    squares = [one for one in Page(text).all("a") if one.get("class", "").startswith("sq")]
    failed = next(one for one in squares if one["class"] == "sq failed" and "night-6" in one["aria-label"])
    assert failed["text"] == "F"
    assert "1 failed" in failed["aria-label"]
    assert "failed" in page(farm, failed["href"])
    assert Site(farm).page("grid/2.html") is None
    assert Site(farm).page("grid/x.html") is None


def test_a_test_has_its_history(farm: Database) -> None:
    text = page(farm, links.test_page(SIGNED))
    assert "mps3+bootloader 0 21 0.0%" in words(text)
    assert "61.9% (40.9% to 79.2%)" in words(text)
    row = next(part for part in text.split("<tr>") if "bench-a" in part and 'class="strip"' in part)
    assert re.findall(r">(.)</a>", row.partition('class="strip"')[2]) == list("PPFFFF")


def test_a_board_has_health_share_and_lost_time(farm: Database) -> None:
    text = words(page(farm, "board/bench-c.html"))
    assert "Board bench-c: Bad" in text
    assert "failed 42 of its 84 tests (50.0 %) and lost 3 min 0 s" in text
    assert "health check" in text
    assert "Board Odd board/../<b>: Unknown" in words(page(farm, links.board_page(BOARDS[3])))


def test_firmware_has_its_measurements_and_what_was_proved(farm: Database) -> None:
    listed = Page(page(farm, "firmware.html"))
    first = next(one["href"] for one in listed.all("a") if one.get("href", "").startswith("firmware/"))
    text = words(page(farm, first))
    assert "measurement SPE " + "0c" * 32 in text
    assert "The boot holds. proved 1 of 1" in text
    assert "night-6" in text


def test_a_run_shows_findings_tries_and_its_files(farm: Database) -> None:
    number = next(row[0] for row in rows(farm, "SELECT id FROM harness_run WHERE name = 'night-6.0.app'"))
    text = page(farm, f"run/{number}.html")
    said = words(text)
    assert "results.test_signed: the result is signed (RFC 9052 s.4.4)" in said
    assert "where byte 17" in said
    assert "Earlier try 1: error on bench-c, the bench" in said
    hrefs = {one["href"] for one in Page(text).all("a") if "href" in one}
    assert {f"../run/{number}/{name}" for name in ("report.html", "run.json", "ns.log.txt")} <= hrefs
    assert Site(farm).page("run/999.html") is None
    assert Site(farm).page("run/../index.html") is None


def test_trends_have_a_chart_and_the_gates_verdict(farm: Database) -> None:
    text = page(farm, "trends.html")
    assert "latency of tamper: slower" in words(text)
    assert text.count('class="fill wrong"') >= 2
    assert "parity of tamper: failed" in words(text)


def test_search_finds_by_all_words(farm: Database) -> None:
    text = page(farm, "search.html", words="signed results")
    assert links.test_page(SIGNED) in text
    assert "bench-a" in words(page(farm, "search.html", words="BENCH-A"))
    assert "Nothing has all of these words" in page(farm, "search.html", words="signed nowhere")
    assert "nowhere&lt;b&gt;" in page(farm, "search.html", words="nowhere<b>")


def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    with Database(str(tmp_path / "s.sqlite")) as empty:
        site = Site(empty)
        for path in ("index.html", "nights.html", "grid.html", "boards.html", "trends.html", "search.html"):
            text = site.page(path)
            assert text is not None, path
            assert broken_rules(text) == [], path
        assert "history import" in (site.page("index.html") or "")


def rows(farm: Database, query: str) -> list[tuple[int]]:
    with sqlite3.connect(farm.url.removeprefix("sqlite:///")) as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    return found


# -- rules


def test_all_pages_keep_the_rules(written: Path) -> None:
    pages = [path for path in written.rglob("*.html") if path.name != "report.html"]
    assert len(pages) > 50
    wrong = {str(path.relative_to(written)): found for path in pages if (found := broken_rules(path.read_text()))}
    assert wrong == {}


def test_pages_with_forms_keep_the_rules_and_pages_without_a_token_have_none(farm: Database) -> None:
    for path in ("board/bench-a.html", links.test_page(SIGNED), "issues.html", "run/41.html"):
        with_forms = Site(farm, live=True, changes=True).page(path) or ""
        assert broken_rules(with_forms) == [], path
        assert 'method="post"' in with_forms, path
        assert 'method="post"' not in page(farm, path)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('lang="en"', "", "language"),
        ("</table>", "</p>", "closes nothing"),
        ('scope="col"', "", "scope"),
        ("<caption>", "<caption hidden></caption><caption>", "caption"),
        ('aria-label="Pages"', "", "without a name"),
        ("</main>", "<input name=x></main>", "label"),
        ("</main>", "<a href=x></a></main>", "without words"),
        ("</main>", "<p style='color:red'>x</p></main>", "style"),
        ("</main>", "<i id=main></i></main>", "twice"),
        ("</main>", "<h5>x</h5></main>", "level"),
    ],
)
def test_the_rules_see_a_page_that_breaks_them(farm: Database, before: str, after: str, says: str) -> None:
    text = page(farm, "boards.html")
    assert before in text
    assert any(says in problem for problem in broken_rules(text.replace(before, after))), says


def test_colours_are_readable_in_both_themes() -> None:
    css = (resources.files("tfm_harness.history.pages") / "templates" / "pages.css").read_text()
    for theme, found in colours(css).items():
        pairs = [
            (ink, ground) for ink in ("ink", "dim", "link", "good", "bad", "warn", "bench") for ground in ("card", "bg")
        ]
        pairs += [(kind, f"{kind}-bg") for kind in ("good", "bad", "warn", "bench", "calm")]
        pairs += [("ink", "code")]
        low = {pair: round(value, 2) for pair in pairs if (value := contrast(found[pair[0]], found[pair[1]])) < 4.5}
        assert low == {}, theme
        assert contrast(found["s0"], found["card"]) >= 3, "lines of charts"
    assert contrast("#777777", "#ffffff") < 4.5 < contrast("#767676", "#ffffff"), "the known border of the formula"


def test_device_text_does_nothing(written: Path) -> None:
    for path in written.rglob("*.html"):
        text = path.read_text()
        assert "<script>document" not in text, path
        assert "<img" not in text, path
        assert "\x1b" not in text, path
        assert "\u202e" not in text, path
        assert "::error" not in re.sub(r"<wbr>", "", text) or "x::error" not in text
    everything = "".join(path.read_text() for path in written.rglob("*.html"))
    assert "&lt;script&gt;document.title" in everything, "it is shown"


def test_every_link_leads_to_a_file(written: Path) -> None:
    missing, seen = set(), 0
    for path in written.rglob("*.html"):
        if path.name == "report.html":
            continue
        here = Page(path.read_text())
        for one in here.all("a"):
            target, _, fragment = one.get("href", "").partition("#")
            if not target:
                continue
            seen += 1
            file = (path.parent / target).resolve()
            there = file.is_file() and file.is_relative_to(written.resolve())
            if not there or (fragment and f'id="{fragment}"' not in file.read_text()):
                missing.add(one["href"])
    assert missing == set()
    assert seen > 1000
    assert not (written / "night/night-2.html").exists(), "only the last nights were asked for"
    assert (written / "night/night-3.html").exists()


def test_only_files_of_the_run_itself_are_copied(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret-word")
    folder = tmp_path / "run"
    made = record(1, BOARDS[0], "app")
    boards = tuple(
        type(board)(combination=board.combination, name=board.name, transcripts=paths)
        for board in made.boards
        for paths in [("../secret.txt", str(tmp_path / "secret.txt"), "link", "consoles/ns.log", "gone.log", "a\0b")]
    )
    save_run(replace(made, boards=boards), folder / "run.json")
    (folder / "link").symlink_to(tmp_path / "secret.txt")
    (folder / "consoles").mkdir()
    (folder / "consoles" / "ns.log").write_text("console")
    store = ["--store", str(tmp_path / "s.sqlite")]
    assert main(["history", "import", str(folder), *store]) == 0
    assert main(["history", "export-site", str(tmp_path / "site"), *store]) == 0
    copied = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site" / "run").rglob("*")}
    assert {"run/1.html", "run/1/run.json", "run/1/consoles/ns.log.txt"} <= copied
    assert not any("secret-word" in p.read_text() for p in (tmp_path / "site").rglob("*") if p.is_file())


def test_slugs_are_plain_and_never_the_same() -> None:
    names = [
        "b7",
        "B7",
        "b 7",
        "b/7",
        "../b7",
        "..",
        "",
        ".",
        "b7.",
        "b7.html",
        "é",
        "e",
        "a" * 300,
        "a" * 301,
        "con\0",
    ]
    slugs = [links.slug(name) for name in names]
    assert len({slug.lower() for slug in slugs}) == len(names)
    assert all(re.fullmatch(r"[a-z0-9_-][a-z0-9_.-]{0,80}", slug) for slug in slugs), slugs


def test_the_command_writes_pages_and_leaves_other_folders_alone(
    farm: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    store = ["--store", farm.url, "--nights", "1", "--no-files"]
    assert main(["history", "export-site", str(tmp_path / "mine"), *store]) == 4
    assert "site-folder" in capsys.readouterr().err
    assert main(["history", "export-site", str(tmp_path / "new"), *store]) == 0
    assert main(["history", "export-site", str(tmp_path / "new"), *store]) == 0, "its own pages are written anew"
    assert "index.html" in capsys.readouterr().out
    assert not list((tmp_path / "new").rglob("report.html"))
    with pytest.raises(ConfigError):
        Site(farm).write(tmp_path / "mine")


# -- in a browser


def test_a_browser_shows_tonight_without_complaint(written: Path, browser: Browser) -> None:
    with browser.show(written / "index.html") as shown:
        assert shown.complaints() == []
        html = shown.html()
    assert "<title>Tonight - tfm-harness</title>" in html
    assert '<button type="button">test</button>' in html, "the script runs under the page's own policy"
    wrong = written / "wrong.html"
    wrong.write_text((written / "index.html").read_text().replace("</main>", "<script>1</script></main>"))
    with browser.show(wrong) as shown:
        assert shown.complaints(), "a script of anybody else does not"
    wrong.unlink()


@pytest.mark.parametrize("name", ["index", "grid", "trends"])
def test_nothing_is_wider_than_a_phone(written: Path, browser: Browser, name: str) -> None:
    with browser.show(written / f"{name}.html", width=390, height=800) as shown:
        assert shown.width() <= 390


@pytest.mark.parametrize(
    ("name", "height", "dark"), [("tonight", 1600, False), ("tonight-dark", 1600, True), ("grid", 700, False)]
)
def test_screenshots_are_kept(
    written: Path, tmp_path: Path, browser: Browser, name: str, height: int, dark: bool
) -> None:
    """Kept in TFM_HARNESS_ARTIFACTS where that is set, else in the test's own folder."""
    import os

    folder = Path(os.environ.get("TFM_HARNESS_ARTIFACTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / f"pages-{name}.png"
    source = written / ("grid.html" if name == "grid" else "index.html")
    with browser.show(source, height=height, dark=dark) as shown:
        picture.write_bytes(shown.picture())
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert picture.stat().st_size > 40_000, "an empty page compresses to less"


def test_the_farm_of_these_tests_has_all_its_nights(farm: Database) -> None:
    assert rows(farm, "SELECT COUNT(DISTINCT night) FROM harness_run") == [(NIGHTS,)]
