"""``tfm-harness verify token|result|image|csr|key|checks``: judge evidence in files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ConfigError
from harness.findings import Policy

if TYPE_CHECKING:
    from harness.config.build import Build
    from harness.findings import Report
    from harness.verify.keys import KeyRing

__all__ = ["add_parser", "run"]

_EPILOG = """\
FILE may be binary, hex, base64 or PEM; '-' reads standard input. KEY is a public key: PEM, DER, COSE_Key,
JWK, or the certificate that holds it; it may be repeated. Without a key nothing is judged, and that is an error.

exit status: 0  the evidence holds under the policy
             1  it does not
             2  wrong usage
             4  no key, a file that cannot be read, an unknown build

The checks, their clauses and severities: `tfm-harness verify checks`, or docs/verification.md, which
describes the JSON as well.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "verify",
        help="judge tokens, signed results, images, signing requests and keys in files",
        description="Judge evidence with the code that judges live runs; all findings at once.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(dest="evidence", required=True, metavar="KIND")
    token = _kind(kinds, "token", "a PSA attestation token (COSE_Sign1 or COSE_Mac0)")
    token.add_argument("--mac-key", metavar="FILE", type=Path, help="the raw bytes of an HMAC key, for COSE_Mac0")
    token.add_argument("--challenge", metavar="HEX", help="the challenge that was sent; '@FILE' reads it from a file")
    token.add_argument("--caller", choices=("non-secure", "secure"), help="who asked for the token")
    token.add_argument("--model", metavar="NAME", help="the active model of the build, whose image must be measured")
    result = _kind(kinds, "result", "a signed inference result")
    result.add_argument(
        "--profile", metavar="NAME|FILE", help="result profile; by default the build's, else tfm-harness-reference"
    )
    result.add_argument("--nonce", metavar="HEX", help="the nonce that was sent; '@FILE' reads it from a file")
    result.add_argument("--model", metavar="FILE", type=Path, help="the .tflite file that should have run")
    result.add_argument("--input", metavar="FILE", type=Path, help="the input bytes whose digest the result must carry")
    result.add_argument("--ledger", metavar="FILE", type=Path, help="remember the signature and look for a repeated r")
    image = _kind(kinds, "image", "a MCUboot image, or several in one file")
    image.set_defaults(evidence="image")
    csr = _kind(kinds, "csr", "a PKCS#10 certification request", key_needed=False)
    csr.add_argument("--cn", metavar="TEXT", help="the common name it must have: the device's UUID")
    csr.add_argument("--ou", metavar="TEXT", help="the organizational unit it must have")
    key = _kind(kinds, "key", "a public key that a device showed", key_needed=False)
    key.set_defaults(evidence="key")
    checks = kinds.add_parser("checks", help="list every check with its clause and severities")
    checks.add_argument("--format", choices=("text", "markdown", "json"), default="text")
    parser.set_defaults(run=run)
    return parser


def _kind(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser], name: str, what: str, *, key_needed: bool = True
) -> argparse.ArgumentParser:
    parser = kinds.add_parser(
        name, help=f"judge {what}", description=f"Judge {what}.", epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("file", metavar="FILE", help="the evidence, or '-' for standard input")
    parser.add_argument(
        "--key", metavar="KEY", type=Path, action="append", default=[],
        help="public key that is trusted" if key_needed else "public key that is expected in it",
    )  # fmt: skip
    parser.add_argument("--build", metavar="BUILD", help="a build: its keys, images, profile, policy and waivers")
    parser.add_argument(
        "--policy", choices=[p.value for p in Policy], help="how strict; by default the build's, else port"
    )
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    return parser


def run(args: argparse.Namespace) -> int:
    """Judge and print; returns the exit status.

    Raises:
        ConfigError: no key, an unreadable file, an unknown build.
    """
    if args.evidence == "checks":
        from harness.verify.tables import render_checks

        sys.stdout.write(render_checks(args.format))
        return 0
    from harness.findings import Report
    from harness.verify.render import render_json, render_text

    build = _build(args.build)
    policy = Policy(args.policy) if args.policy else (build.policy if build and build.policy else Policy.PORT)
    report = Report(policy=policy, waivers=build.granted() if build else ())
    data = read_evidence(args.file)
    content = _JUDGES[args.evidence](args, data, build, report)
    sys.stdout.write(
        render_json(args.evidence, report, content) if args.json else render_text(args.evidence, report, content)
    )
    return 0 if report.ok else 1


def _build(name: str | None) -> Build | None:
    if name is None:
        return None
    from harness.config.loading import load_build

    return load_build(name)


def read_evidence(name: str) -> bytes:
    """The bytes of a file: as they are, or decoded from hex, base64 or PEM.

    Raises:
        ConfigError: it cannot be read, or holds nothing.
    """
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the evidence: {error.strerror}", kind="unreadable", where=name) from error
    if not data:
        raise ConfigError("the file is empty", kind="empty", where=name)
    return decode_text(data)


def decode_text(data: bytes) -> bytes:
    """Bytes from PEM, hex or base64 text; anything else is returned as it is."""
    import base64
    import binascii
    import re

    pem = re.search(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", data, re.DOTALL)
    try:
        if pem is not None:
            return base64.b64decode(b"".join(pem.group(2).split()), validate=True)
        packed = b"".join(data.split())
        if len(packed) >= 8 and re.fullmatch(rb"(?:[0-9a-fA-F]{2})+", packed):
            return bytes.fromhex(packed.decode())
        if len(packed) >= 8 and re.fullmatch(rb"[A-Za-z0-9+/]+={0,2}", packed):
            return base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        return data
    return data


def _octets(text: str | None, what: str) -> bytes | None:
    if text is None:
        return None
    if text.startswith("@"):
        try:
            return Path(text[1:]).read_bytes()
        except OSError as error:
            raise ConfigError(f"cannot read the {what}: {error.strerror}", kind="unreadable", where=text[1:]) from error
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ConfigError(
            f"the {what} is given in hex", kind="hex", seen=text[:80], hint="an even number of 0-9, a-f; or @FILE"
        ) from None


def _ring(args: argparse.Namespace, build: Build | None, role: str) -> KeyRing:
    from harness.build_evidence import read_key
    from harness.verify.keys import KeyRing, SymmetricKey

    keys = [read_key(path) for path in args.key]
    mac = getattr(args, "mac_key", None)
    if mac is not None:
        try:
            keys.append(SymmetricKey(mac.read_bytes()))
        except OSError as error:
            raise ConfigError(f"cannot read the key: {error.strerror}", kind="unreadable", where=str(mac)) from error
    if not keys and build is not None:
        named = getattr(build.trust, role)
        if isinstance(named, Path):
            keys.append(read_key(named))
        elif named == "provisioned":
            raise ConfigError(
                f"build {build.name!r} trusts a key that is provisioned for each board", kind="no-key",
                hint="give the board's public key with --key",
            )  # fmt: skip
    return KeyRing(keys)


def _judge_token(args: argparse.Namespace, data: bytes, build: Build | None, report: Report) -> object:
    import dataclasses

    from harness.build_evidence import build_token_expectations
    from harness.verify.token import TokenExpectations, verify_psa_token

    expected = build_token_expectations(build, caller=args.caller, model=args.model) if build else TokenExpectations()
    expected = dataclasses.replace(expected, caller=args.caller)
    challenge = _octets(args.challenge, "challenge")
    return verify_psa_token(data, keys=_ring(args, build, "iak"), challenge=challenge, expected=expected, report=report)


def _judge_result(args: argparse.Namespace, data: bytes, build: Build | None, report: Report) -> object:
    import hashlib

    from harness.build_evidence import build_result_profile, read_result_profile
    from harness.ledger import FileLedger
    from harness.verify.keys import PublicKey
    from harness.verify.results import ResultExpectations, verify_result
    from harness.verify.signatures import check_signatures, record_signature

    if args.profile:
        profile = read_result_profile(args.profile)
    else:
        profile = build_result_profile(build) if build else read_result_profile("tfm-harness-reference")
    expected = ResultExpectations(
        nonce=_octets(args.nonce, "nonce"),
        model_id=hashlib.sha256(_file(args.model)).digest() if args.model else None,
        input_data=_file(args.input) if args.input else None,
    )
    result = verify_result(data, profile=profile, keys=_ring(args, build, "results"), expected=expected, report=report)
    if args.ledger and result.message is not None and isinstance(result.key, PublicKey):
        record = record_signature(result.message, result.key, where=args.file)
        with FileLedger(args.ledger) as ledger:
            check_signatures([(record, result.key)], report, ledger=ledger)
    return result


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the file: {error.strerror}", kind="unreadable", where=str(path)) from error


def _judge_image(args: argparse.Namespace, data: bytes, build: Build | None, report: Report) -> object:
    from harness.build_evidence import read_image_key
    from harness.verify.images import verify_mcuboot
    from harness.verify.mcuboot import ImageFormatError, split_images

    paths = args.key or ([build.trust.images] if build and build.trust.images else [])
    if len(paths) != 1:
        raise ConfigError(
            "an image is judged with one key" if paths else "no verification key was given, so nothing can be verified",
            kind="no-key", hint="name the public key that signs the image with --key",
        )  # fmt: skip
    key = read_image_key(paths[0])
    try:
        images = split_images(data)
    except ImageFormatError:
        images = []
    if len(images) > 1:
        return [verify_mcuboot(image, key, report, subject=f"image {index}") for index, image in enumerate(images)]
    return verify_mcuboot(data, key, report)


def _expected_key(args: argparse.Namespace) -> object:
    from harness.build_evidence import read_key
    from harness.verify.keys import PublicKey

    if len(args.key) > 1:
        raise ConfigError("one key at most is expected in it", kind="usage")
    key = read_key(args.key[0]) if args.key else None
    if key is not None and not isinstance(key, PublicKey):
        raise ConfigError("the expected key is a public key", kind="key-file", where=str(args.key[0]))
    return key


def _judge_csr(args: argparse.Namespace, data: bytes, _build: Build | None, report: Report) -> object:
    from harness.verify.csr import verify_csr

    return verify_csr(
        data, expected_key=_expected_key(args), expected_cn=args.cn, expected_ou=args.ou, report=report  # type: ignore[arg-type]  # None or a PublicKey
    )  # fmt: skip


def _judge_key(args: argparse.Namespace, data: bytes, _build: Build | None, report: Report) -> object:
    from harness.verify.key_relations import check_device_key

    return check_device_key(data, expected=_expected_key(args), report=report)  # type: ignore[arg-type]  # None or a PublicKey


_JUDGES = {
    "token": _judge_token,
    "result": _judge_result,
    "image": _judge_image,
    "csr": _judge_csr,
    "key": _judge_key,
}
