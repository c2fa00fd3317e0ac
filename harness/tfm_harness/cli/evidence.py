"""``tfm-harness evidence``: a run's evidence, signed, for others to check; endorsements and attestation results."""

from __future__ import annotations

import argparse
import contextlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.cli.badge import add_badge
from tfm_harness.cli.endorsements import add_appraise, add_corim
from tfm_harness.cli.output import say, write
from tfm_harness.cli.timestamp import add_make_options, add_timestamp, authorities, stamper
from tfm_harness.errors import ConfigError, HarnessError
from tfm_harness.files import resolved
from tfm_harness.findings import Policy
from tfm_harness.safe_text import safe_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tfm_harness.evidence.dsse import SigningKey
    from tfm_harness.evidence.signers import LibraryEnvelopeSigner
    from tfm_harness.evidence.verified import Verified
    from tfm_harness.findings import Report
    from tfm_harness.parity.engines import ReferenceEngine

__all__ = ["add_parser", "run"]

EPILOG = """examples:
  tfm-harness evidence make runs/2026-11-28_10-00-00 --key signing.pem
  tfm-harness evidence make RUN --throwaway-key --leave-out images
  tfm-harness evidence timestamp RUN.evidence --tsa http://tsa.example.org
  tfm-harness evidence verify RUN.evidence --key signing-public.pem --tsa-ca tsa-root.pem
  tfm-harness evidence corim BUILD --iak device.pem --implementation-id HEX -o build.corim
  tfm-harness evidence appraise token.cbor --corim build.corim --challenge HEX
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "evidence",
        help="signed bundles of a run's evidence; endorsements and attestation results",
        description="Make and verify signed bundles of evidence: in-toto statements in DSSE envelopes.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_make(actions)
    _add_verify(actions)
    add_corim(actions)
    add_appraise(actions)
    add_timestamp(actions)
    add_badge(actions)
    return parser


def _add_make(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    make = actions.add_parser(
        "make", help="make and sign a bundle of a run", description="Make and sign a bundle of a run."
    )
    make.add_argument("run_dir", metavar="RUN", type=Path, help="the run's folder, with run.json")
    who = make.add_mutually_exclusive_group(required=True)
    who.add_argument(
        "--key",
        metavar="KEY",
        action="append",
        default=[],
        help="who signs: a PEM file with a private key (ECDSA or Ed25519), or a URI of a PKCS#11 token (hsm:) or"
        " a key management service (awskms:, azurekms:, gcpkms:, hv:); may be given several times",
    )
    who.add_argument(
        "--throwaway-key",
        action="store_true",
        help="sign with a new key that is forgotten at once; its public half is written beside the bundle."
        " For demonstrations: it shows that nothing changed since, and not who signed",
    )
    make.add_argument("--public-key", metavar="FILE", type=Path, help="public key of a signer that is given by URI")
    make.add_argument("-o", "--output", metavar="DIR", type=Path, help="the bundle's folder (default: RUN.evidence)")
    make.add_argument(
        "--leave-out",
        metavar="WHAT",
        action="append",
        default=[],
        choices=("images", "models", "transcripts"),
        help="name these by digest only: images, models, transcripts; may be given several times",
    )
    add_make_options(make)
    make.set_defaults(action=_make)


def _add_verify(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verify = actions.add_parser(
        "verify",
        help="verify a bundle, and judge its raw evidence again",
        description="Verify a bundle offline: every signature and digest, then everything judged again.",
    )
    verify.add_argument("bundle", metavar="BUNDLE", type=Path, help="the bundle's folder, or its .intoto.jsonl")
    verify.add_argument(
        "--key",
        metavar="PUB",
        action="append",
        default=[],
        type=Path,
        help="public key of a signer (PEM, DER, JWK or COSE_Key); may be given several times",
    )
    verify.add_argument(
        "--run",
        metavar="DIR",
        type=Path,
        dest="run_dir",
        help="the run's folder, for files that the bundle does not hold",
    )
    verify.add_argument(
        "--tsa-ca",
        metavar="FILE",
        type=Path,
        help="root certificates (PEM) of time-stamping authorities; the bundle must then have a stamp by one of them",
    )
    verify.add_argument("--no-reference", action="store_true", help="do not run the reference interpreter again")
    verify.add_argument("--json", action="store_true", help="print JSON for programs")
    verify.set_defaults(action=_verify)


def run(args: argparse.Namespace) -> int:
    """Make or verify a bundle; returns the exit status.

    Raises:
        ConfigError: no key, no run, no bundle.
    """
    status: int = args.action(args)
    return status


def _make(args: argparse.Namespace) -> int:
    from tfm_harness.evidence.bundle import write_public_key
    from tfm_harness.evidence.make import make_whole_bundle

    run_dir = args.run_dir.parent if args.run_dir.name == "run.json" else args.run_dir
    output = args.output or run_dir.with_name(resolved(run_dir).name + ".evidence")
    signers, public = _signers(args, output)
    run = make_whole_bundle(run_dir, signers, output, leave_out=args.leave_out, stamp=stamper(args))
    if public is not None:
        path = write_public_key(output, public)
        write(f"signed with a throw-away key: its public half is {path}\n")
    write(f"bundle: {output} (run {run.name}, verdict {run.verdict})\n")
    if public is not None:
        write(f"verify it: tfm-harness evidence verify {output} --key {path}\n")
    return 0


def _signers(args: argparse.Namespace, output: Path) -> tuple[list[LibraryEnvelopeSigner], str | None]:
    from tfm_harness.evidence.signers import load_signer, throwaway_signer

    if args.throwaway_key:
        signer, public = throwaway_signer()
        return [signer], public
    signers = [load_signer(name, public=args.public_key) for name in args.key]
    if len({signer.keyid for signer in signers}) != len(signers):
        raise ConfigError("the same key signs twice", kind="evidence-key", where=str(output))
    return signers, None


def _verify(args: argparse.Namespace) -> int:
    from tfm_harness.evidence.badge import STATEMENT_NAME
    from tfm_harness.evidence.signers import load_verification_keys
    from tfm_harness.evidence.verified import verify_bundle
    from tfm_harness.findings import Report

    report = Report(policy=Policy.PRODUCTION)
    keys = load_verification_keys(args.key)
    roots = authorities(args.tsa_ca)
    if args.run_dir is not None and not args.run_dir.is_dir():
        raise ConfigError(
            "the run's folder is no folder",
            kind="evidence-file",
            expected="the folder in which the run left its files",
            where=str(args.run_dir),
        )
    if (args.bundle / STATEMENT_NAME).is_file():
        return _verify_pack(args.bundle, keys, report)
    with contextlib.ExitStack() as stack:
        engine = cache(lambda: None if args.no_reference else _engine(stack))
        found = verify_bundle(args.bundle, keys, report, run_dir=args.run_dir, engine=engine, authorities=roots)
    write(_json(found, report) if args.json else _text(found, report))
    return 0 if report.ok and found.run is not None else 1


def _verify_pack(folder: Path, keys: Mapping[str, SigningKey], report: Report) -> int:
    from tfm_harness.evidence.badge import verify_badge

    judgement = verify_badge(folder, keys, report)
    lines = [f"FAILED {finding.id}: {finding.seen} (at {finding.where})" for finding in report.failed]
    if judgement is not None:
        lines.append(f"judged again: {len(judgement.cases)} cases, {judgement.verdict}")
    holds = report.ok and judgement is not None
    lines.append("the pack holds" if holds else "THE PACK DOES NOT HOLD")
    say("\n".join(lines))
    return 0 if holds else 1


def _engine(stack: contextlib.ExitStack) -> ReferenceEngine | None:
    """The reference interpreter, started when it is wanted; None where none is installed."""
    from tfm_harness.parity.engine_choice import get_engine

    try:
        engine = get_engine(None)
    except HarnessError:
        return None
    stack.callback(engine.close)
    return engine


def _text(found: Verified, report: Report) -> str:
    from tfm_harness.safe_text import safe

    lines = []
    for finding in report.failed:
        about = f" ({finding.subject})" if finding.subject else ""
        lines += [
            f"FAILED {finding.id}: {finding.check.title}",
            f"  at {finding.where}{about}",
            f"  expected: {finding.expected}",
            f"  seen:     {finding.seen}",
        ]
    held = sum(finding.passed for finding in report)
    lines.append(f"{held} of {len(report.findings)} checks held")
    if found.run is not None:
        lines.append("judged again: " + (", ".join(f"{n} {kind}" for kind, n in found.judged.items()) or "nothing"))
        lines += [f"not judged again: {count} ({reason})" for reason, count in found.left.items()]
        lines += [safe(f"signed before {one.time}, says {one.authority}") for one in found.stamps]
        lines.append(safe(f"run {found.run.name}: {found.run.headline or found.run.verdict}"))
    lines.append("the bundle holds" if report.ok and found.run is not None else "THE BUNDLE DOES NOT HOLD")
    return "\n".join(lines) + "\n"


def _json(found: Verified, report: Report) -> str:
    plain = {
        "schema": "tfm-harness/evidence/1",
        "holds": report.ok and found.run is not None,
        "run": found.run.name if found.run else None,
        "verdict": found.run.verdict if found.run else None,
        "judged_again": dict(found.judged),
        "not_judged_again": dict(found.left),
        "time_stamps": [{"time": one.time, "authority": one.authority} for one in found.stamps],
        "failed": [
            {
                "check": f.id,
                "title": f.check.title,
                "where": f.where,
                "subject": f.subject,
                "expected": f.expected,
                "seen": f.seen,
            }
            for f in report.failed
        ],
    }
    return safe_json(plain) + "\n"
