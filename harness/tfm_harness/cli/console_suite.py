"""``tfm-harness console-suite FILE``: judge a saved console transcript."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tfm_harness.cli.output import say, write
from tfm_harness.console_suites.model import Expectations, Judgement, Outcome, Verdict
from tfm_harness.safe_text import safe, safe_json

__all__ = ["add_parser", "run"]

_EPILOG = """\
The transcript may be a raw UART capture, a CI log with a stamp before every line, LAVA's output.yaml, cat -v,
or UTF-16; '-' reads standard input. Line numbers are those of the file.

exit status: 0  all that the suite promised ran and passed
             1  something failed, or did not run to its end
             2  wrong usage
             4  unknown suite, or a file that cannot be read

The JSON is described in docs/console-suites.md.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "console-suite",
        help="judge a saved console transcript of a test suite (TF-M regression, psa-arch-tests, ztest)",
        description="Judge what a console test suite printed, with the code that judges live runs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="the transcript, or '-' for standard input")
    parser.add_argument("--suite", required=True, metavar="NAME", help="tf-m, psa-arch-tests, ztest, or an added one")
    parser.add_argument("--json", action="store_true", help="print the judgement as JSON")
    parser.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="SUITE",
        help="what must have been seen: a suite (name, id in its brackets, shell pattern) or an area; may be repeated",
    )
    parser.add_argument("--min-cases", type=_natural, default=0, metavar="N", help="fewest cases that must have run")
    parser.add_argument("--allow-skipped", action="store_true", help="skipped cases do not make the run incomplete")
    parser.add_argument(
        "--allow-resets",
        action="store_true",
        help="the tests reset the device on purpose (psa-arch-tests' panic tests)",
    )
    parser.add_argument(
        "--allow-reset",
        action="append",
        default=[],
        metavar="CASE",
        help="this case resets the device on purpose (its id, SUITE.CASE or a shell pattern); may be repeated",
    )
    parser.add_argument(
        "--allow-fault",
        action="append",
        default=[],
        metavar="CASE",
        help="this case provokes a fault on purpose and handles it itself; may be repeated",
    )
    parser.add_argument("--allow-repeats", action="store_true", help="suites and cases run more than once on purpose")
    parser.add_argument(
        "--no-eot",
        action="store_true",
        help="do not ask for TF-M's end marker EOT: the recorder drops control characters",
    )
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Judge and print; returns the exit status.

    Raises:
        ConfigError: the file cannot be read, or the suite is unknown.
    """
    from tfm_harness.console_suites.transcripts import judge_file, judge_stream

    expectations = Expectations(
        suites=tuple(args.expect),
        min_cases=args.min_cases,
        allow_skipped=args.allow_skipped,
        allow_resets=args.allow_resets or tuple(args.allow_reset),
        allow_faults=tuple(args.allow_fault),
        allow_repeats=args.allow_repeats,
        need_eot=not args.no_eot,
    )
    if args.file == "-":
        judgement = judge_stream(sys.stdin.buffer, args.suite, expectations)
    else:
        judgement = judge_file(Path(args.file), args.suite, expectations)
    if args.json:
        document = {"file": args.file, **judgement.to_json()}
        say(safe_json(document, indent=2))
    else:
        write(describe(judgement, args.file))
    return 0 if judgement.verdict is Verdict.PASSED else 1


def describe(judgement: Judgement, file: str) -> str:
    """The judgement for people: suites, what went wrong with file and line, totals, verdict."""
    out: list[str] = []
    for record in judgement.suites:
        cases = [c for c in judgement.cases if record.line <= c.line and (c.suite, c.area) == (record.name, record.area)
                 and (record.end_line is None or c.line <= record.end_line)]  # fmt: skip
        counts = ", ".join(
            f"{number} {outcome}"
            for outcome in Outcome
            if (number := sum(case.outcome is outcome for case in cases)) or outcome is Outcome.PASSED
        )
        area = f"[{record.area}] " if record.area else ""
        ended = "" if record.end_line is not None else "  (did not end)"
        out.append(f"  {area}{record.name}: {counts}{ended}")
    for case in judgement.cases:
        if case.outcome in {Outcome.PASSED, Outcome.SKIPPED}:
            continue
        out.append(
            f"{file}:{case.line}: {case.id} {case.outcome}" + (f": {case.description}" if case.description else "")
        )
        out.extend(f"    {text}" for text in case.detail)
    for problem in judgement.problems:
        if problem.kind == "case-failed":
            continue  # shown above, with its detail
        where = f"{file}:{problem.line}" if problem.line is not None else file
        out.append(f"{where}: {problem.kind}: {problem.message}")
        if problem.hint:
            out.append(f"    what to do: {problem.hint}")
    out.extend(f"note: {note}" for note in judgement.notes)
    totals = ", ".join(f"{judgement.count(outcome)} {outcome}" for outcome in Outcome)
    out.append(f"{judgement.kind}: {judgement.verdict}: {len(judgement.cases)} cases: {totals}")
    return safe("\n".join(out)) + "\n"


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is negative")
    return value
