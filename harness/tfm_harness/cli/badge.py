"""``tfm-harness evidence badge``: a passed run of psa-arch-tests, packed and signed."""

from __future__ import annotations

import argparse
from pathlib import Path

from tfm_harness.cli.output import write

__all__ = ["add_badge"]


def add_badge(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare ``badge``."""
    badge = actions.add_parser(
        "badge",
        help="pack a passed run of psa-arch-tests: log, release tag, image digests, signature",
        description="Judge a log of psa-arch-tests and pack it for a PSA Functional API certification. Only a run that"
        " passed is packed. `evidence verify` takes the pack.",
    )
    badge.add_argument("log", metavar="LOG", type=Path, help="the console's transcript")
    badge.add_argument("--release", metavar="TAG", required=True, help="release tag of psa-arch-tests")
    badge.add_argument(
        "--image", metavar="FILE", type=Path, action="append", required=True, help="an image; repeatable"
    )
    badge.add_argument("--key", metavar="KEY", action="append", required=True, help="who signs, as for `evidence make`")
    badge.add_argument("--public-key", metavar="FILE", type=Path, help="public key of a signer that is given by URI")
    badge.add_argument(
        "--allow-resets", action="store_true", help="the tests reset the device on purpose (panic tests)"
    )
    badge.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="the pack's folder")
    badge.set_defaults(action=_badge)


def _badge(args: argparse.Namespace) -> int:
    from tfm_harness.evidence.badge import make_badge
    from tfm_harness.evidence.signers import load_signer

    signers = [load_signer(name, public=args.public_key) for name in args.key]
    judgement = make_badge(args.log, args.image, args.release, signers, args.output, resets=args.allow_resets)
    write(f"{args.output}: {len(judgement.cases)} cases of psa-arch-tests {args.release}, passed\n")
    return 0
