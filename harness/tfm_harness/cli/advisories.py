"""``tfm-harness advisories PATH...``: TF-M's security advisories, held against a build tree."""

from __future__ import annotations

import argparse
from pathlib import Path

from tfm_harness.cli.output import say, write
from tfm_harness.errors import ConfigError
from tfm_harness.safe_text import safe_json

__all__ = ["add_parser", "run"]

_EPILOG = """\
PATH is a TF-M build's folder, as for import-build. TFMV-1 to TFMV-14 are judged by release and options; code
that a vendor has changed is not looked at. Each verdict says which file and line it rests on, and where the advisory is
published.

exit status: 0  no advisory affects the build
             1  at least one does
             2  wrong usage
             4  nothing to judge, contradictions, unreadable files
             5  none surely affects it, but for some of them the build does not say enough
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "advisories",
        help="which of TF-M's security advisories affect a build tree",
        description="Say which of TF-M's security advisories affect a build tree, which do not, and why.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="build folders")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print a verdict for each advisory; returns the exit status.

    Raises:
        ConfigError: ``advisories-nothing``: no configuration of a TF-M build, or `import-...` kinds.
    """
    from tfm_harness.importer.advisories import Verdict, judge_advisories
    from tfm_harness.importer.facts import read_facts
    from tfm_harness.importer.scan import scan

    found = scan(args.paths)
    facts = read_facts(found, {})
    if not facts:
        raise ConfigError(
            "nothing here says how TF-M was built",
            kind="advisories-nothing",
            expected="spe_config.cmake, CMakeCache.txt or tfm_version.h of a TF-M build",
            where=", ".join(map(str, args.paths)),
        )
    verdicts = judge_advisories(facts)
    if args.json:
        entries = [
            {
                "id": each.advisory.id,
                "cve": each.advisory.cve or None,
                "title": each.advisory.title,
                "verdict": each.verdict.value,
                "why": each.why,
                "source": each.advisory.source,
            }
            for each in verdicts
        ]
        say(safe_json(entries, indent=2))
    else:
        for each in verdicts:
            name = f"{each.advisory.id} {each.advisory.cve}".rstrip()
            write(f"{each.verdict.value:18} {name:24} {each.advisory.title}\n{'':18} {each.why}\n")
            if each.verdict in {Verdict.AFFECTED, Verdict.UNKNOWN}:
                write(f"{'':18} {each.advisory.source}\n")
    seen = {each.verdict for each in verdicts}
    return 1 if Verdict.AFFECTED in seen else 5 if Verdict.UNKNOWN in seen else 0
