"""The options of ``tfm-harness verify``, kind by kind."""

from __future__ import annotations

import argparse
from pathlib import Path

from tfm_harness.cli.endorsements import add_ear_options
from tfm_harness.encodings import whole_number
from tfm_harness.findings import RENAMED_POLICIES, Policy

__all__ = ["EPILOG", "add_kinds"]

EPILOG = """\
FILE may be binary, hex, base64(url), PEM, a C array, a hex dump, Intel HEX or S-records; '-' reads standard
input. Text in any other form is an error of its own, never a verdict. KEY is a public key: PEM, DER, COSE_Key, JWK,
an uncompressed point (binary forms as hex or base64 as well), or the certificate that holds it; it may be
repeated. Without a key nothing is judged, and that is an error. Where FILE is a folder, every file in it is judged
(token and result), and all of them together for an r of ECDSA that comes twice.

exit status: 0  the evidence holds under the policy
             1  it does not
             2  wrong usage
             4  no key, a file that cannot be read, an unknown build
             10 the signature ledger cannot be used

The checks, their clauses and severities: `tfm-harness verify checks`, or docs/verification.md, which
describes the JSON as well.
"""


def add_kinds(parser: argparse.ArgumentParser) -> None:
    """Add a subcommand for each kind of evidence."""
    kinds = parser.add_subparsers(dest="evidence", required=True, metavar="KIND")
    token = _kind(kinds, "token", "a PSA attestation token (COSE_Sign1 or COSE_Mac0)")
    token.add_argument("--mac-key", metavar="FILE", type=Path, help="the raw bytes of an HMAC key, for COSE_Mac0")
    token.add_argument("--challenge", metavar="HEX", help="the challenge that was sent; '@FILE' reads it from a file")
    token.add_argument("--caller", choices=("non-secure", "secure"), help="who asked for the token")
    token.add_argument(
        "--profile",
        metavar="NAME",
        action="append",
        help="the profile claim it must have (repeatable); a CCA token's, too",
    )
    token.add_argument("--model", metavar="NAME", help="the active model of the build, whose image must be measured")
    add_ear_options(token)
    result = _kind(kinds, "result", "a signed inference result")
    result.add_argument(
        "--profile", metavar="NAME|FILE", help="result profile; by default the build's, else tfm-harness-reference"
    )
    result.add_argument(
        "--nonce", "--challenge", metavar="HEX", help="the nonce that was sent; '@FILE' reads it from a file"
    )
    result.add_argument("--model", metavar="FILE", type=Path, help="the .tflite file that should have run")
    result.add_argument("--input", metavar="FILE", type=Path, help="the input bytes whose digest the result must carry")
    for signed in (token, result):
        _ledger_option(signed)
        signed.add_argument("-j", "--jobs", type=_positive, metavar="N",
                            help="processes that judge a folder's files (default: one for each CPU)")  # fmt: skip
    image = _kind(kinds, "image", "a MCUboot image, or several in one file")
    image.set_defaults(evidence="image")
    csr = _kind(kinds, "csr", "a PKCS#10 certification request", expects="the device's key, which must be in it")
    csr.add_argument(
        "--any-key", action="store_true",
        help="judge without --key: the maker of the request holds its key, but who that is stays unknown",
    )  # fmt: skip
    csr.add_argument("--cn", metavar="TEXT", help="the common name it must have: the device's UUID")
    csr.add_argument("--ou", metavar="TEXT", help="the organizational unit it must have")
    _ledger_option(csr)
    session = _kind(kinds, "session", "a recorded session with zephyr_secure_inference, by a build's description",
                    expects="the key trusted for results, where it is not the build's")  # fmt: skip
    session.set_defaults(evidence="session")
    key = _kind(kinds, "key", "a public key that a device showed", expects="public key that it should be")
    key.set_defaults(evidence="key")
    checks = kinds.add_parser("checks", help="list every check with its clause and severities")
    checks.add_argument("--format", choices=("text", "markdown", "json"), default="text")


def _kind(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    what: str,
    *,
    expects: str = "public key that is trusted",
) -> argparse.ArgumentParser:
    parser = kinds.add_parser(
        name, help=f"judge {what}", description=f"Judge {what}.", epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("file", metavar="FILE", help="the evidence, or '-' for standard input")
    parser.add_argument("--key", metavar="KEY", type=Path, action="append", default=[], help=expects)
    parser.add_argument("--build", metavar="BUILD", help="a build: its keys, images, profile, policy and waivers")
    parser.add_argument(
        "--policy",
        type=_policy,
        metavar="|".join(Policy),
        help="how strict; by default the build's, else validation",
    )
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    return parser


def _positive(text: str) -> int:
    number = whole_number(text)
    if not number:
        raise argparse.ArgumentTypeError("a number, 1 or more")
    return number


def _policy(text: str) -> Policy:
    if text in RENAMED_POLICIES:
        raise argparse.ArgumentTypeError(f"the policy {text!r} is now called {RENAMED_POLICIES[text]!r}")
    if text not in set(Policy):
        raise argparse.ArgumentTypeError(f"unknown policy {text!r} (choose from {', '.join(Policy)})")
    return Policy(text)


def _ledger_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ledger", metavar="FILE", type=Path, help="remember the signature and look for a repeated r")
