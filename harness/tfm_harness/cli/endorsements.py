"""``tfm-harness evidence corim|appraise``: endorsements for verification services, and tokens judged by them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.cli.output import write
from tfm_harness.cli.verify_files import octets, read_evidence
from tfm_harness.errors import ConfigError
from tfm_harness.findings import Policy, Report

if TYPE_CHECKING:
    from tfm_harness.config.build import Build
    from tfm_harness.evidence.corim import Corim
    from tfm_harness.evidence.ear import Vector
    from tfm_harness.verify.components import ExpectedComponent
    from tfm_harness.verify.keys import PublicKey

__all__ = ["add_appraise", "add_corim", "add_ear_options", "write_wanted_ear"]

_FORMS = ("draft-jwt", "draft-cwt", "veraison")


def add_corim(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare ``corim``."""
    corim = actions.add_parser(
        "corim",
        help="reference values and trust anchors of a build, for a verification service",
        description="Write a CoRIM with PSA endorsements: a build's images as reference values, devices' keys as"
        " trust anchors.",
    )
    corim.add_argument("build", metavar="BUILD", help="a build: a name or a YAML file")
    corim.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help="where the CoRIM goes")
    corim.add_argument("--model", metavar="NAME", help="take this model's image only (default: those of all models)")
    corim.add_argument("--implementation-id", metavar="HEX", help="32 bytes; by default what the build says")
    corim.add_argument(
        "--iak",
        metavar="PUB",
        action="append",
        default=[],
        type=Path,
        help="a device's public attestation key, as a trust anchor; repeatable (default: the build's)",
    )
    corim.add_argument("--vendor", metavar="TEXT", default="", help="who makes the device")
    corim.add_argument("--device-model", metavar="TEXT", default="", help="what the device is called")
    corim.add_argument(
        "--sign", metavar="KEY", help="sign it (COSE_Sign1, ES256): a PEM file or a URI as for `evidence make`"
    )
    corim.add_argument("--public-key", metavar="FILE", type=Path, help="public key of a signer that is given by URI")
    corim.set_defaults(action=_corim)


def add_appraise(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare ``appraise``."""
    appraise = actions.add_parser(
        "appraise",
        help="judge a token by a CoRIM alone",
        description="Judge a PSA token as a verification service would: trust anchor and reference values come from"
        " a CoRIM.",
    )
    appraise.add_argument("token", metavar="TOKEN", help="the token, or '-' for standard input")
    appraise.add_argument("--corim", metavar="FILE", required=True, help="the CoRIM, unsigned or signed")
    appraise.add_argument(
        "--key",
        metavar="PUB",
        action="append",
        default=[],
        type=Path,
        help="public key of the CoRIM's signer; without it only an unsigned one is taken",
    )
    appraise.add_argument(
        "--challenge", metavar="HEX", help="the challenge that was sent; '@FILE' reads it from a file"
    )
    appraise.add_argument("--policy", choices=[str(policy) for policy in Policy], default="validation")
    add_ear_options(appraise)
    appraise.set_defaults(action=_appraise)


def add_ear_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that write an attestation result."""
    parser.add_argument("--ear", metavar="FILE", type=Path, help="write the attestation result (EAR) there")
    parser.add_argument(
        "--ear-key", metavar="KEY", help="who signs it: a PEM file (P-256) or a URI as for `evidence make`"
    )
    parser.add_argument(
        "--ear-form",
        choices=_FORMS,
        default="draft-jwt",
        help="the IETF draft's dialect as JWT or CWT, or Veraison's as JWT (default: draft-jwt)",
    )


def _corim(args: argparse.Namespace) -> int:
    from tfm_harness.config.loading import load_build
    from tfm_harness.evidence.corim import make_corim, read_corim, sign_corim
    from tfm_harness.evidence.signers import load_signer

    build = load_build(args.build, require_keys=False)
    said = build.attestation.implementation_id if build.attestation else None
    implementation = octets(args.implementation_id, "implementation id") or said
    if implementation is None:
        raise ConfigError(
            "a CoRIM is about an implementation id, and none is known",
            kind="corim-input",
            where=str(build.path or ""),
            hint="give --implementation-id, or say it in the build's `attestation`",
        )
    if args.model is not None and args.model not in build.models:
        raise ConfigError(
            "the model is one of the build's",
            kind="usage",
            seen=args.model,
            expected=", ".join(build.models) or "a build with models",
        )
    keys = list(_keys(args.iak or ([build.trust.iak] if isinstance(build.trust.iak, Path) else [])))
    data = make_corim(
        f"{build.name}",
        implementation,
        _components(build, args.model),
        keys=keys,
        vendor=args.vendor,
        model=args.device_model,
    )
    found = read_corim(data)  # what is given out is what a strict reader takes
    if args.sign is not None:
        signer = load_signer(args.sign, public=args.public_key)
        signer.require_es256("--sign")
        data = sign_corim(data, signer.sign, signer=signer.keyid)
    from tfm_harness.files import write_file

    write_file(args.output, data, "CoRIM")
    write(
        f"{args.output}: {len(found.reference_values)} reference values, {len(found.trust_anchors)} trust anchors"
        f"{', signed' if args.sign else ''}\n"
    )
    if not keys:
        write("no trust anchor: the build's attestation key is provisioned for each device; give --iak PUB\n")
    return 0


def _components(build: Build, model: str | None) -> list[ExpectedComponent]:
    """The build's components: with one model, or with each that can be the active one."""
    from tfm_harness.trust.expectations import build_components

    models: list[str | None] = [name for name, one in build.models.items() if one.image is not None]
    if model is not None or not models:
        models = [model]
    found = [one for name in models for one in build_components(build, model=name)]
    return list(dict.fromkeys(found))


def _keys(paths: list[Path]) -> list[PublicKey]:
    from tfm_harness.trust.expectations import read_key
    from tfm_harness.verify.keys import PublicKey

    found = []
    for path in paths:
        key = read_key(path)
        if not isinstance(key, PublicKey):
            raise ConfigError("a public key on P-256, P-384 or P-521", kind="key-file", where=str(path))
        found.append(key)
    return found


def _appraise(args: argparse.Namespace) -> int:
    from tfm_harness.evidence.appraise import appraise
    from tfm_harness.evidence.ear import status_of, trustworthiness
    from tfm_harness.verify.render import render_text

    report = Report(policy=Policy(args.policy))
    corim = _read_corim(args, report)
    challenge = octets(args.challenge, "challenge")
    token = read_evidence(args.token, what="token")
    found = appraise(token, corim, report, challenge=challenge)
    write(render_text("token", report, found.token))
    vector = trustworthiness(found.token, report)
    write(f"status: {status_of(vector)}\n")
    write_wanted_ear(args, vector, nonce=challenge, evidence=token)
    return 0 if report.ok else 1


def _read_corim(args: argparse.Namespace, report: Report) -> Corim:
    from tfm_harness.evidence.corim import open_corim

    return open_corim(read_evidence(args.corim, what="CoRIM"), _keys(args.key), report)


def write_wanted_ear(args: argparse.Namespace, vector: Vector, *, nonce: bytes | None, evidence: bytes) -> None:
    """Write the attestation result that the options ask for.

    Raises:
        ConfigError: no key, or one that cannot make ES256 signatures.
    """
    if args.ear is None:
        return
    from tfm_harness.evidence.results_file import encode_ear
    from tfm_harness.evidence.signers import load_signer
    from tfm_harness.files import write_file

    if args.ear_key is None:
        raise ConfigError("an attestation result is signed", kind="evidence-key", hint="name the key with --ear-key")
    signer = load_signer(args.ear_key)
    signer.require_es256("--ear-key")
    data = encode_ear(vector, signer.sign, args.ear_form, nonce=nonce, evidence=evidence)
    write_file(args.ear, data, "attestation result")
