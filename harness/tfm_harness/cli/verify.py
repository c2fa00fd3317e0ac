"""``tfm-harness verify token|result|image|csr|session|key|checks``: judge evidence in files and folders."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.cli.output import write
from tfm_harness.cli.verify_files import (
    MAX_FILE,
    MAX_IMAGE_FILE,
    octets,
    read_evidence,
)
from tfm_harness.cli.verify_judges import JUDGES, load_named_build
from tfm_harness.cli.verify_options import EPILOG, add_kinds
from tfm_harness.errors import InfrastructureError
from tfm_harness.findings import Policy

if TYPE_CHECKING:
    from tfm_harness.findings import Report
    from tfm_harness.verify.token import PsaToken

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "verify",
        help="judge tokens, signed results, images, signing requests and keys in files",
        description="Judge evidence with the code that judges live runs; all findings at once.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_kinds(parser)
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Judge and print; returns the exit status.

    Raises:
        ConfigError: no key, an unreadable file, an unknown build.
    """
    if args.evidence == "checks":
        from tfm_harness.verify.tables import render_checks

        write(render_checks(args.format))
        return 0
    from tfm_harness.findings import Report
    from tfm_harness.verify.render import DescribesItself, render_json, render_text
    from tfm_harness.verify.token import PsaToken

    build = load_named_build(args.build)
    policy = Policy(args.policy) if args.policy else (build.policy if build and build.policy else Policy.VALIDATION)
    if args.evidence in {"token", "result"} and args.file != "-" and Path(args.file).is_dir():
        from tfm_harness.cli.verify_many import default_jobs, judge_folder

        return judge_folder(args, policy, args.jobs or default_jobs())
    report = Report(policy=policy, waivers=build.granted() if build else ())
    limit = MAX_IMAGE_FILE if args.evidence == "image" else MAX_FILE
    as_it_is = args.evidence == "session"  # its form is its own
    data = b"" if as_it_is else read_evidence(args.file, limit=limit, what=args.evidence)
    content = JUDGES[args.evidence](args, data, build, report)
    write(render_json(args.evidence, report, content) if args.json else render_text(args.evidence, report, content))
    if isinstance(content, PsaToken) and args.evidence == "token":
        _write_ear(args, content, data, report)
    if report.ok and isinstance(content, DescribesItself) and content.to_json().get("damaged"):
        raise InfrastructureError(
            "a part of the recording could not be read, so that nothing is said about it", kind="reply-damaged",
            where=args.file, hint="bytes were lost while it was recorded, or it was cut: record it again",
        )  # fmt: skip
    return 0 if report.ok else 1


def _write_ear(args: argparse.Namespace, token: PsaToken, data: bytes, report: Report) -> None:
    if args.ear is not None:
        from tfm_harness.cli.endorsements import write_wanted_ear
        from tfm_harness.evidence.ear import trustworthiness

        vector = trustworthiness(token, report)
        write_wanted_ear(args, vector, nonce=octets(args.challenge, "challenge"), evidence=data)
