"""Small charts as inline SVG. Pure: numbers in, markup out; colours come from the page's style.

Every chart has a title for screen readers, scales with its column, and names its axes and units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

__all__ = ["ecdf", "histogram", "phases", "standing_alone", "t_values", "traces", "trend"]

WIDTH, HEIGHT, SMALL = 440, 190, 140  # narrow, so that text stays readable when a phone shrinks a chart
LEFT, RIGHT, TOP, BOTTOM = 66, 14, 24, 38
SERIES_CLASSES = ("s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7")


def ecdf(
    curves: Sequence[tuple[str, str, Sequence[float]]], limits: Sequence[tuple[str, float]], *, unit: str, title: str
) -> Markup:
    """Empirical distribution functions with limits as vertical lines.

    Args:
        curves: (label, css class, values).
        limits: (label, value); far-away limits are named at the edge instead of squeezing the curves.
    """
    values = [v for _, _, vs in curves for v in vs]
    if not values:
        return Markup("")
    low, high = min(values), max(values)
    span = (high - low) or abs(high) * 0.02 or 1.0
    near = [v for _, v in limits if v <= high + 2 * span]
    low, high = low - 0.05 * span, max([high, *near]) + 0.08 * span
    plot = _Plot((low, high), (0.0, 1.0), unit, "share of inferences", title)
    for label, value in limits:
        plot.vertical(value, label)
    for label, css, vs in curves:
        ordered = sorted(vs)
        points = [(low, 0.0)]
        for rank, value in enumerate(_thinned(ordered), 1):
            share_before, share = (rank - 1) / min(len(ordered), 400), rank / min(len(ordered), 400)
            points += [(value, share_before), (value, share)]
        points.append((high, 1.0))
        plot.line(points, css, label)
    return plot.markup([(label, css) for label, css, _ in curves])


def histogram(counts: Mapping[int, int], *, title: str) -> Markup:
    """Elements by LSB difference, logarithmic counts, zero in the middle."""
    if not counts:
        return Markup("")
    reach = max(3, min(32, max(abs(k) for k in counts)))
    bars: dict[int, int] = {}
    for key, count in counts.items():
        bars[max(-reach, min(reach, key))] = bars.get(max(-reach, min(reach, key)), 0) + count
    top = math.log10(max(bars.values())) + 0.35
    plot = _Plot((-reach - 0.7, reach + 0.7), (-0.3, top), "LSB difference (device - reference)", "elements", title)
    plot.ticks_y = [(math.log10(10**p), f"{10**p:,}") for p in range(int(top) + 1)]
    plot.ticks_x = [(float(k), f"{k:+d}" if k else "0") for k in range(-reach, reach + 1, max(1, reach // 4))]
    for key, count in sorted(bars.items()):
        edge = "beyond " if abs(key) == reach and max(abs(k) for k in counts) > reach else ""
        plot.bar(key, math.log10(count), "exact" if key == 0 else "wrong", f"{edge}{key:+d} LSB: {count:,} elements")
    return plot.markup([])


def traces(
    channels: Mapping[str, Sequence[float]],
    outputs: Sequence[tuple[int, Sequence[float]]],
    labels: Sequence[str],
    *,
    title: str,
) -> Markup:
    """Sensor channels over samples, one plot for each unit, and below them the outputs of the inferences.

    A channel's name ends with its unit in brackets. A single inference is shown in words.
    """
    count = max((len(v) for v in channels.values()), default=0)
    if not count:
        return Markup("")
    last = max([count - 1, *(at for at, _ in outputs)], default=1) or 1
    by_unit: dict[str, list[tuple[str, str]]] = {}
    for css, name in zip(_cycle(), channels, strict=False):
        by_unit.setdefault(name.partition("[")[2].rstrip("]"), []).append((name, css))
    figures = []
    for unit, members in by_unit.items():
        bounds = _padded([v for name, _ in members for v in channels[name]])
        plot = _Plot((0, last), bounds, "sample", unit or "sensor", title, height=SMALL)
        for name, css in members:
            plot.line([(float(i), v) for i, v in enumerate(channels[name])], css, name)
        figures.append(plot.markup(members))
    if len(outputs) == 1:
        at, values = outputs[0]
        words = ", ".join(f"{_label(labels, e)} {v:.4g}" for e, v in enumerate(values))
        figures.append(Markup("<p>Inference after sample {}: {}</p>").format(at, words))
    elif outputs:
        bounds = _padded([v for _, vs in outputs for v in vs])
        plot = _Plot((0, last), bounds, "sample", "output", f"{title}: outputs", height=SMALL)
        legend = []
        for element, css in zip(range(max(len(o) for _, o in outputs)), _cycle(), strict=False):
            points = [(float(at), float(vs[element])) for at, vs in outputs if element < len(vs)]
            plot.line(points, css, _label(labels, element), markers=len(points) <= 60)
            legend.append((_label(labels, element), css))
        figures.append(plot.markup(legend))
    return Markup("").join(figures)


def _label(labels: Sequence[str], element: int) -> str:
    return labels[element] if element < len(labels) else f"output {element}"


def _padded(values: Sequence[float]) -> tuple[float, float]:
    finite = [v for v in values if math.isfinite(v)] or [0.0]
    low, high = min(finite), max(finite)
    pad = (high - low) * 0.08 or abs(high) * 0.02 or 1.0
    return low - pad, high + pad


def phases(seconds: Mapping[str, float], *, title: str) -> Markup:
    """One request's time as a bar of phases."""
    total = sum(max(0.0, v) for v in seconds.values())
    if total <= 0:
        return Markup("")
    x, parts, legend = 0.0, [], []
    for css, (name, value) in zip(_cycle(), seconds.items(), strict=False):
        width = max(0.0, value) / total * WIDTH
        parts.append(
            f'<rect class="fill {css}" x="{x:.2f}" y="4" width="{width:.2f}" height="28">'
            f"<title>{escape(name)}: {value * 1e3:.3f} ms ({max(0.0, value) / total:.1%})</title></rect>"
        )
        legend.append((f"{name} {value * 1e3:.3g} ms", css))
        x += width
    legend.append(
        (f"together {sum(seconds.values()) * 1e3:.4g} ms" + (" = host time" if "wire" in seconds else ""), "")
    )
    return Markup(  # noqa: S704 - numbers formatted here, names escaped above
        f'<figure><svg viewBox="0 0 {WIDTH} 36" role="img"><title>{escape(title)}</title>{"".join(parts)}</svg>'
        f"{_legend(legend)}</figure>"
    )


class _Plot:
    """Axes and marks in data coordinates."""

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        xlabel: str,
        ylabel: str,
        title: str,
        *,
        height: int = HEIGHT,
    ) -> None:
        self.x, self.y, self.xlabel, self.ylabel, self.title = x, y, xlabel, ylabel, title
        self.height = height
        self.ticks_x, self.ticks_y = nice_ticks(*x), nice_ticks(*y, 5 if height == HEIGHT else 3)
        self.marks: list[str] = []

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixel position."""
        across = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1)
        up = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1)
        return LEFT + across * (WIDTH - LEFT - RIGHT), self.height - BOTTOM - up * (self.height - TOP - BOTTOM)

    def line(self, points: Sequence[tuple[float, float]], css: str, label: str, *, markers: bool = False) -> None:
        """A polyline; points that are not finite are left out."""
        pixels = [self.at(*p) for p in points if math.isfinite(p[1])]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in pixels)
        self.marks.append(f'<polyline class="line {css}" points="{path}"><title>{escape(label)}</title></polyline>')
        if markers:
            self.marks += [f'<circle class="fill {css}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in pixels]

    def bar(self, x: float, height: float, css: str, label: str) -> None:
        """A bar from the axis, one unit wide less a gap."""
        left, top = self.at(x - 0.4, height)
        right, bottom = self.at(x + 0.4, self.y[0])
        self.marks.append(
            f'<rect class="fill {css}" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
            f'height="{bottom - top:.1f}"><title>{escape(label)}</title></rect>'
        )

    def dot(self, x: float, y: float, css: str, label: str, *, large: bool = False) -> None:
        """A point with its words."""
        across, down = self.at(x, y)
        self.marks.append(
            f'<circle class="fill {css}" cx="{across:.1f}" cy="{down:.1f}" r="{5 if large else 2.5}">'
            f"<title>{escape(label)}</title></circle>"
        )

    def vertical(self, x: float, label: str) -> None:
        """A limit; beyond the right edge it becomes a note there."""
        if x > self.x[1]:
            edge = f'x="{WIDTH - RIGHT}" y="{TOP - 8}" text-anchor="end"'
            self.marks.append(f'<text class="limit" {edge}>{escape(label)} &#8594;</text>')
            return
        at, _ = self.at(x, 0)
        anchor, shift = ("end", -5) if at > WIDTH / 2 else ("start", 5)
        self.marks.append(
            f'<line class="limit" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{self.height - BOTTOM}"/>'
            f'<text class="limit" x="{at + shift:.1f}" y="{TOP - 8}" text-anchor="{anchor}">{escape(label)}</text>'
        )

    def markup(self, legend: Sequence[tuple[str, str]]) -> Markup:
        """The figure."""
        parts = [f'<svg viewBox="0 0 {WIDTH} {self.height}" role="img"><title>{escape(self.title)}</title>']
        for value, text in self.ticks_y:
            _, y = self.at(self.x[0], value)
            parts.append(
                f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>'
            )
        for value, text in self.ticks_x:
            x, _ = self.at(value, self.y[0])
            parts.append(
                f'<text x="{x:.1f}" y="{self.height - BOTTOM + 15}" text-anchor="middle">{escape(text)}</text>'
            )
        floor = self.height - BOTTOM
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{floor}" y2="{floor}"/>')
        parts += self.marks
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(
            f'<text class="label" x="{middle}" y="{self.height - 4}" text-anchor="middle">{escape(self.xlabel)}</text>'
        )
        turned = (TOP + self.height - BOTTOM) / 2
        parts.append(
            f'<text class="label" transform="translate(12 {turned}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.ylabel)}</text></svg>"
        )
        return Markup(f"<figure>{''.join(parts)}{_legend(legend)}</figure>")  # noqa: S704 - all text escaped above


def nice_ticks(low: float, high: float, about: int = 5) -> list[tuple[float, str]]:
    """Round numbers inside a range, with as many digits as they need."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [(low, f"{low:g}")]
    raw = span / about
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    digits = max(0, -math.floor(math.log10(step)) + (1 if f"{step / power:g}" == "2.5" else 0))
    first = math.ceil(low / step - 1e-9)
    ticks: list[tuple[float, str]] = []
    while first * step <= high + 1e-9 * span and len(ticks) < 20:
        value = first * step
        ticks.append((value, f"{value:,.{min(digits, 9)}f}"))
        first += 1
    return ticks


def _thinned(ordered: Sequence[float], most: int = 400) -> list[float]:
    """At most `most` values with the same distribution: the quantile in the middle of each share."""
    if len(ordered) <= most:
        return list(ordered)
    picked = [ordered[int((i + 0.5) * len(ordered) / most)] for i in range(most)]
    picked[0], picked[-1] = ordered[0], ordered[-1]
    return picked


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    if not entries:
        return ""
    keys = {css: f'<i class="key {css}"></i>' if css else "" for _, css in entries}
    items = "".join(f"<span>{keys[css]}{escape(label)}</span>" for label, css in entries)
    return f"<figcaption>{items}</figcaption>"


def _cycle() -> Sequence[str]:
    return SERIES_CLASSES * 8


def trend(points: Sequence[tuple[str, float, bool]], *, unit: str, title: str) -> Markup:
    """A figure over nights; marked points are red and larger, so that their form differs as well as their colour.

    Args:
        points: (night, value, marked), oldest first.
    """
    finite = [point for point in points if math.isfinite(point[1])]
    if not finite:
        return Markup("")
    plot = _Plot(
        (0, max(1, len(finite) - 1)), _padded([value for _, value, _ in finite]), "night", unit, title, height=SMALL
    )
    step = max(1, len(finite) // 4)
    plot.ticks_x = [(float(at), finite[at][0]) for at in range(0, len(finite), step)]
    plot.line([(float(at), value) for at, (_, value, _) in enumerate(finite)], "s0", title)
    for at, (night, value, marked) in enumerate(finite):
        plot.dot(at, value, "wrong" if marked else "s0", f"{night}: {value:.6g}", large=marked)
    return plot.markup([])


def t_values(values: Sequence[tuple[str, float]], limits: Sequence[float], *, title: str) -> Markup:
    """|t| of each test of two classes of times, on a logarithmic axis, with limits as horizontal lines.

    Args:
        values: (test, t), in order; infinite values are drawn at the top.
        limits: values of |t| from which on a difference is suspicious, and certain.
        title: the timed operation.
    """
    if not values:
        return Markup("")
    finite = [abs(t) for _, t in values if math.isfinite(t)]
    top = math.log10(max([*finite, *limits]) * 3)
    plot = _Plot((-0.7, len(values) - 0.3), (-1.0, top), "test", "|t|", title)
    plot.ticks_y = [(float(power), f"{10.0**power:g}") for power in range(-1, int(top) + 1)]
    step = max(1, len(values) // 6)
    plot.ticks_x = [(float(at), values[at][0]) for at in range(0, len(values), step)]
    for limit in limits:
        height = math.log10(limit)
        plot.line([(-0.7, height), (len(values) - 0.3, height)], "limit", f"|t| {limit:g}")
    for at, (name, t) in enumerate(values):
        size = top if not math.isfinite(t) else max(-1.0, math.log10(abs(t)) if t else -1.0)
        plot.dot(at, size, "wrong" if abs(t) > min(limits) else "s0", f"{name}: t {t:+.2f}", large=abs(t) > min(limits))
    return plot.markup([])


def standing_alone(figure: Markup) -> str:
    """A chart of this module as a separate file, which contains the style that it needs."""
    begin, end = figure.index("<svg"), figure.index("</svg>") + len("</svg>")
    style = (
        "<style>svg{font:11px sans-serif;background:#fff}.line{fill:none;stroke:#236}.limit{stroke:#c33}"
        ".grid{stroke:#ddd}.axis{stroke:#333}.s0{fill:#236}.wrong{fill:#c33}.line.limit{fill:none}</style>"
    )
    markup = str(figure)[begin:end].replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    head, _, rest = markup.partition("</title>")
    return f"{head}</title>{style}{rest}"
