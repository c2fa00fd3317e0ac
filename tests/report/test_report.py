"""The page: content, hostile text, missing parts; and as a browser sees it."""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.report import RunRecord, load_run, render_html, save_run, svg, write_html
from tfm_harness.report.harmless import harmless
from tfm_harness.report.record import ParityDifference, TimingEntry
from tfm_harness.report.render import duration, tail

from tests.browser import Browser


class Balance(HTMLParser):
    """Counts open elements; a page whose text broke out of its element does not balance."""

    VOID = frozenset({"meta", "link", "br", "wbr", "img", "rect", "circle", "line", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.stack, f"</{tag}> without a start"
            assert self.stack.pop() == tag, f"</{tag}> closes something else"


def test_page_is_well_formed_and_alone(sample_run: RunRecord) -> None:
    page = render_html(sample_run)
    parser = Balance()
    parser.feed(page)
    assert parser.stack == []
    assert {"svg", "table", "details"} <= set(parser.seen)
    assert "script" not in parser.seen
    assert "img" not in parser.seen
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page), "the page loads nothing"
    assert not re.search(r"url\(|@import", page)


def test_verdict_comes_first_and_evidence_is_there(sample_run: RunRecord) -> None:
    page = render_html(sample_run)
    text = re.sub(r"<wbr>", "", page)
    assert page.index('id="verdict"') < page.index('id="broken"') < page.index('id="suites"')
    for words in (
        "<strong>Failed</strong>",
        "parity.bit-exact",
        "vector 17, index [0, 2]: reference -12, device -11",
        "First differing operator: <code>op 11 SOFTMAX",
        "tfm-harness replay run/parity-tamper-00c0ffee.json",
        "deterministic emulation: change detection only",
        "budget p99 6.8 ms, not judged",
        "baseline 2026-11-20 nightly",
        "development board, keys are public by design",
        "fw_builds/reference/build.yaml:41",
        "console-closed",
        "(200 lines before)",
        "3 not covered, skipped, blocked or not run",
        "tflite-runtime 2.14.0 BUILTIN_REF",
    ):
        assert words in text, words


def test_device_text_cannot_become_markup(sample_run: RunRecord) -> None:
    page = render_html(sample_run)
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "\x1b" not in page
    assert "\x00" not in page
    assert "\x07" not in page
    hostile = replace(sample_run, name="<b>x</b>", headline="<i>y</i>", environment={"<k>": "<v>"})
    page = render_html(hostile)
    assert "<b>x</b>" not in page
    assert "<i>y</i>" not in page
    assert "<v>" not in page


@pytest.mark.parametrize(
    "verdict",
    [
        "passed",
        "failed",
        "infrastructure",
        "configuration",
        "test",
        "harness",
        "nothing proved",
        "interrupted",
        "too little proved",
    ],
)
def test_empty_runs_have_a_page(verdict: Any) -> None:
    page = render_html(RunRecord(name="empty", verdict=verdict))
    assert "No test ran." in page
    assert ("Passed" in page) is (verdict == "passed")


def test_a_series_without_values_has_a_page(sample_run: RunRecord) -> None:
    entry = sample_run.latency[1]
    hollow = replace(entry, series=replace(entry.series, ticks=()))
    constant = replace(entry, series=replace(entry.series, ticks=(5000,) * 9, empty=()))
    assert "Latency" in render_html(replace(sample_run, latency=(hollow, constant)))


@pytest.mark.parametrize(
    ("t", "words"), [(0.0, "even: |t| 0.00"), (-4.6, "suspicious: |t| 4.60"), (float("inf"), "certain: |t| inf")]
)
def test_timings_are_drawn_and_kept(sample_run: RunRecord, tmp_path: Path, t: float, words: str) -> None:
    entry = TimingEntry(
        combination="b", board="b0", name="tag of <x>", check="latency.dudect-tag", fixed=5000, random=5100,
        means=(700.0, 701.5), values=(("raw", 1.0), ("99.9%", t), ("2nd", 0.5)), limits=(4.5, 10.0),
    )  # fmt: skip
    if not t:
        entry = replace(entry, values=(("raw", 0.0),))
    run = replace(sample_run, timings=(entry,))
    assert entry.words.startswith(words)
    page = render_html(run)
    assert 'href="#timings"' in page
    section = page.partition('id="timings"')[2].partition("</section>")[0]
    assert section.count("<circle") == len(entry.values)
    assert "tag of &lt;x&gt;" in section
    assert ("cell failed" in section) is (abs(t) > 4.5)
    save_run(run, tmp_path / "run.json")
    assert load_run(tmp_path).timings == run.timings
    assert 'href="#timings"' not in render_html(sample_run)


def test_record_survives_its_file(sample_run: RunRecord, tmp_path: Path) -> None:
    save_run(sample_run, tmp_path / "run.json")
    assert load_run(tmp_path) == load_run(tmp_path / "run.json")
    again = load_run(tmp_path)
    assert render_html(again) == render_html(sample_run)
    assert again == harmless(sample_run).record
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "tfm-harness-run/3"},
        {"surprise": 1},
        {"tests": {}},
        {"tests": [{"nodeid": 1}]},
        {"tests": [{}]},
        {"tests": [{"nodeid": "x", "new": 1}]},
        {"seconds": "long"},
        {"seconds": True},
        {"traces": [{"combination": "b", "name": "n", "channels": {"a": [1]}, "outputs": [[1]]}]},
        {"environment": []},
        {"verdict": None},
    ],
)
def test_other_records_are_refused(sample_run: RunRecord, tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "run.json"
    save_run(sample_run, path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ConfigError) as caught:
        load_run(path)
    assert caught.value.kind == "run-file"


def test_missing_and_unwritable_files(sample_run: RunRecord, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load_run(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError) as caught:
        write_html(sample_run, tmp_path / "file" / "report.html")
    assert caught.value.kind == "report-write"


def test_figures_that_are_no_numbers_survive_and_are_shown(sample_run: RunRecord, tmp_path: Path) -> None:
    """A float model may answer NaN, and where the reference is zero no relative error is finite."""
    parity = sample_run.parity[0]
    output = replace(
        parity.outputs[0],
        histogram={},
        max_abs=math.inf,
        max_rel=math.inf,
        sqnr_db=-math.inf,
        cosine_min=math.nan,
        first=ParityDifference(vector=3, index=(0, 2), reference=0.5, device=math.nan),
    )
    trace = replace(
        sample_run.traces[0], channels={"x [uT]": (1.0, math.nan, math.inf, 2.0)}, outputs=((3, (math.nan,)),)
    )
    run = replace(sample_run, parity=(replace(parity, outputs=(output,)),), traces=(trace,))
    save_run(run, tmp_path / "run.json")
    json.loads((tmp_path / "run.json").read_text(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    read = load_run(tmp_path)
    assert math.isnan(read.traces[0].channels["x [uT]"][1])
    page = render_html(read)
    assert "abs ∞, rel ∞" in page
    assert "-∞ dB" in page
    assert "vector 3, index [0, 2]: reference 0.5, device NaN" in page
    assert "nan," not in page
    assert 'points=""' not in page


def test_edges_of_the_arithmetic_are_shown(sample_run: RunRecord, tmp_path: Path) -> None:
    from tfm_harness.plugin.junit import facts_of_run

    edges = {"op 0 CONV_2D": {"negative tie": 4, "clamped high": 0}, "op 11 SOFTMAX": {"softmax tail": 31}}
    run = replace(sample_run, parity=(replace(sample_run.parity[1], edges=edges),))
    name = f"harness.parity.{run.parity[0].combination}.sine.edges"
    assert facts_of_run(run)[name] == "2 of 3; not op 0 CONV_2D: clamped high"
    assert name not in facts_of_run(sample_run)  # nothing was followed
    page = render_html(run)
    assert "Edges of the arithmetic: 2 of 3 reached" in page
    cells = page.partition("Edges of the arithmetic")[2].partition("</table>")[0]
    assert [cells.count(f">{word}</") for word in ("negative tie", "softmax tail", "31")] == [1, 1, 1]
    assert '<span class="cell noted">0</span>' in cells
    assert "Edges of the arithmetic" not in render_html(sample_run)
    save_run(run, tmp_path / "run.json")
    assert load_run(tmp_path).parity[0].edges == edges


def test_text_helpers() -> None:
    assert tail("a\nb\nc", 2) == "(1 lines before)\nb\nc"
    assert tail("x" * 1000).endswith("(1000 characters)")
    assert [duration(s) for s in (0.0123, 12.34, 200)] == ["12 ms", "12.3 s", "3 min 20 s"]


def test_charts_keep_their_promises() -> None:
    assert svg.ecdf([], [], unit="ms", title="t") == ""
    assert svg.histogram({}, title="t") == ""
    assert svg.traces({}, [], [], title="t") == ""
    assert svg.phases({"a": 0.0}, title="t") == ""
    assert "beyond +32 LSB: 7" in svg.histogram({0: 10, 40: 4, 90: 3}, title="t")
    one = svg.traces({"x [uT]": [1, 2], "t [degC]": [3, 3]}, [(1, [0.25])], ["<a>"], title="t")
    assert one.count("<svg") == 2
    assert "Inference after sample 1: &lt;a&gt; 0.25" in one
    assert len(svg.ecdf([("a", "s0", list(range(50_000)))], [], unit="ms", title="t")) < 60_000
    assert [text for _, text in svg.nice_ticks(0, 1)] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert svg.nice_ticks(5, 5) == [(5, "5")]
    assert len(svg.nice_ticks(-1e-9, 1e12)) < 12


# --- in a browser ----------------------------------------------------------------------------------


def test_browser_shows_the_page_without_complaint(sample_run: RunRecord, tmp_path: Path, browser: Browser) -> None:
    page = tmp_path / "report.html"
    write_html(sample_run, page)
    with browser.show(page) as shown:
        assert shown.complaints() == []
        html = shown.html()
    assert "<title>Failed: 2026-11-23T02-00-00 nightly</title>" in html
    assert html.count("<svg") == 7
    assert "owned" not in html.split("</title>")[0]


def test_the_browser_check_can_fail(sample_run: RunRecord, tmp_path: Path, browser: Browser) -> None:
    page = tmp_path / "broken.html"
    page.write_text(render_html(sample_run).replace("</main>", "<img src='https://example.org/x.png'></main>"))
    with browser.show(page) as shown:
        assert shown.complaints()
    page.write_text(render_html(sample_run).replace("</main>", "<hr style='width:400px'></main>"))
    with browser.show(page, width=390) as shown:
        assert shown.width() > 390


@pytest.mark.parametrize(
    ("name", "width", "height", "dark"),
    [("desktop", 1200, 3600, False), ("dark", 1200, 3600, True), ("phone", 390, 5200, False)],
)
def test_screenshots_are_kept(
    sample_run: RunRecord, tmp_path: Path, browser: Browser, name: str, width: int, height: int, dark: bool
) -> None:
    """Kept in TFM_HARNESS_ARTIFACTS (`make unit`, and so CI, sets it), else in the test's own folder."""
    page = tmp_path / "report.html"
    write_html(sample_run, page)
    folder = Path(os.environ.get("TFM_HARNESS_ARTIFACTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / f"report-{name}.png"
    with browser.show(page, width=width, height=height, dark=dark) as shown:
        picture.write_bytes(shown.picture())
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert picture.stat().st_size > 50_000, "an empty page compresses to less"


def test_nothing_is_wider_than_a_phone(sample_run: RunRecord, tmp_path: Path, browser: Browser) -> None:
    page = tmp_path / "report.html"
    write_html(sample_run, page)
    with browser.show(page, width=390, height=800) as shown:
        assert shown.width() <= 390


def test_page_prints(sample_run: RunRecord, tmp_path: Path, browser: Browser) -> None:
    page = tmp_path / "report.html"
    write_html(sample_run, page)
    with browser.show(page) as shown:
        assert shown.printed()[:5] == b"%PDF-"
