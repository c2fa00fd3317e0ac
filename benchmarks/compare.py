"""Two runs of the benchmarks side by side: ``python -m benchmarks.compare BEFORE AFTER`` (folders or JSON files).

With one folder: a table of its figures, as docs/benchmarks.md has it (``--markdown``). Ends with status 1 when a figure
that kept its limit before misses it after, 2 when a file is no result.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.results import SCHEMA

__all__ = ["main"]

Figures = dict[tuple[str, str], Mapping[str, Any]]


def load(place: Path) -> Figures:
    """Every figure by benchmark and name.

    Raises:
        SystemExit: status 2; a file is no result of a benchmark.
    """
    found: Figures = {}
    files = sorted(place.glob("*.json")) if place.is_dir() else [place]
    for file in files:
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
            if said["schema"] != SCHEMA:
                print(f"{file}: its schema is {said['schema']!r}, not {SCHEMA!r}", file=sys.stderr)
                raise SystemExit(2)
            for figure in said["figures"]:
                found[said["benchmark"], figure["name"]] = {**figure, "value": float(figure["value"])}
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"{file}: no results of a benchmark: {error!r}", file=sys.stderr)
            raise SystemExit(2) from None
    if not found:
        print(f"{place}: no figures", file=sys.stderr)
        raise SystemExit(2)
    return found


def shown(figure: Mapping[str, Any] | None) -> str:
    """A value with its unit."""
    if figure is None:
        return "-"
    return f"{figure['value']:.3g} {figure['unit']}".strip()


def limit(figure: Mapping[str, Any]) -> str:
    """What is held."""
    if figure["at_most"] is not None:
        return f"at most {figure['at_most']:g}"
    return "" if figure["at_least"] is None else f"at least {figure['at_least']:g}"


def table(figures: Figures) -> str:
    """One run, in Markdown."""
    lines = ["| benchmark | figure | value | ratio to | limit |", "|---|---|---|---|---|"]
    for (benchmark, name), figure in figures.items():
        value = shown(figure) + ("" if figure["met"] else " (missed)")
        lines.append(f"| {benchmark} | {name} | {value} | {figure['to']} | {limit(figure)} |")
    return "\n".join(lines) + "\n"


def compare(before: Figures, after: Figures) -> int:
    """Print both, and the change; 1 when a limit is missed that was kept."""
    worse = 0
    width = max(len(f"{benchmark} {name}") for benchmark, name in {**before, **after})
    print(f"{'':<{width}}  {'before':>14} {'after':>14} {'change':>8}  limit")
    for key in {**before, **after}:
        old, new = before.get(key), after.get(key)
        change = ""
        if old is not None and new is not None and old["value"]:
            change = f"{(new['value'] / old['value'] - 1) * 100:+.1f} %"
        newly = new is not None and not new["met"] and (old is None or bool(old["met"]))
        worse += newly
        held = limit(new or old or {})
        print(f"{' '.join(key):<{width}}  {shown(old):>14} {shown(new):>14} {change:>8}  {held}{' MISSED' * newly}")
    return 1 if worse else 0


def main(words: list[str] | None = None) -> int:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path, nargs="?")
    parser.add_argument("--markdown", action="store_true", help="with one folder: the table of docs/benchmarks.md")
    args = parser.parse_args(words)
    before = load(args.before)
    if args.after is None:
        print(
            table(before) if args.markdown else "\n".join(f"{' '.join(key)}: {shown(f)}" for key, f in before.items())
        )
        return 0
    return compare(before, load(args.after))


if __name__ == "__main__":
    sys.exit(main())
