"""What ``tfm-harness verify`` judges each kind of evidence with."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.cli.verify_files import build_key, mac_key, octets, read_bytes
from tfm_harness.errors import ConfigError

if TYPE_CHECKING:
    from tfm_harness.config.build import Build
    from tfm_harness.findings import Report
    from tfm_harness.verify.cose import CoseMessage
    from tfm_harness.verify.keys import KeyRing, PublicKey, VerificationKey
    from tfm_harness.verify.result_profile import ResultProfile
    from tfm_harness.verify.results import ResultExpectations
    from tfm_harness.verify.signatures import SignatureRecord
    from tfm_harness.verify.token import TokenExpectations

__all__ = ["JUDGES", "load_named_build", "require_keys"]


def load_named_build(name: str | None) -> Build | None:
    """The build that an option names; None when it names none.

    Raises:
        ConfigError: an unknown build.
    """
    if name is None:
        return None
    from tfm_harness.config.loading import load_build

    return load_build(name)


def require_keys(args: argparse.Namespace, build: Build | None) -> None:
    """Find out whether there is a key to judge with.

    Raises:
        ConfigError: there is none, or one that cannot be used.
    """
    _ring(args, build, "iak" if args.evidence == "token" else "results")


def _ring(args: argparse.Namespace, build: Build | None, role: str) -> KeyRing:
    """The trusted keys, read once, however many files are judged with them."""
    from tfm_harness.trust.expectations import read_key
    from tfm_harness.verify.keys import KeyRing

    known: KeyRing | None = getattr(args, "ring", None)
    if known is not None:
        return known
    keys = [read_key(path) for path in args.key]
    mac = getattr(args, "mac_key", None)
    if mac is not None:
        keys.append(mac_key(mac))
    if not keys and build is not None and (named := build_key(build, role)) is not None:
        keys.append(read_key(named))
    args.ring = ring = KeyRing(keys)
    return ring


def _judge_token(args: argparse.Namespace, data: bytes, build: Build | None, report: Report) -> object:
    import dataclasses

    from tfm_harness.trust.expectations import build_token_expectations
    from tfm_harness.verify.token import TokenExpectations, verify_psa_token

    if args.model is not None and (build is None or args.model not in build.models):
        raise ConfigError(
            "the active model is one of the build's", kind="usage", seen=args.model,
            expected=", ".join(build.models) or "a build with models" if build else "--build as well",
        )  # fmt: skip
    expected: TokenExpectations | None = getattr(args, "expected_token", None)  # made once for a whole folder
    if expected is None and build is None:
        expected = TokenExpectations(caller=args.caller)
    elif expected is None and build is not None:
        # A build's tokens come through its pseudo-driver, which is non-secure, unless somebody says otherwise.
        expected = build_token_expectations(build, caller=args.caller or "non-secure", model=args.model)
    assert expected is not None  # noqa: S101 - one of the two made it
    if args.profile and getattr(args, "expected_token", None) is None:
        expected = dataclasses.replace(expected, profiles=frozenset(args.profile))
    args.expected_token = expected
    challenge = octets(args.challenge, "challenge")
    token = verify_psa_token(
        data, keys=_ring(args, build, "iak"), challenge=challenge, expected=expected, report=report
    )  # fmt: skip
    _remember_message(args, token.message, token.key, report, new_each_time=False)
    return token


def _judge_result(args: argparse.Namespace, data: bytes, build: Build | None, report: Report) -> object:
    import hashlib

    from tfm_harness.config.result_profile import build_result_profile, read_result_profile
    from tfm_harness.verify.results import ResultExpectations, verify_result

    known: tuple[ResultProfile, ResultExpectations] | None = getattr(args, "expected_result", None)
    if known is None:
        if args.profile or build is None:
            profile = read_result_profile(args.profile or "tfm-harness-reference")
        else:
            profile = build_result_profile(build)
        expected = ResultExpectations(
            nonce=octets(args.nonce, "nonce"),
            model_id=hashlib.sha256(read_bytes(args.model, "model")).digest() if args.model else None,
            input_data=read_bytes(args.input, "input") if args.input else None,
        )
        known = args.expected_result = profile, expected  # made once for a whole folder
    profile, expected = known
    result = verify_result(data, profile=profile, keys=_ring(args, build, "results"), expected=expected, report=report)
    _remember_message(args, result.message, result.key, report, new_each_time=not result.may_repeat)
    return result


def _remember_message(
    args: argparse.Namespace,
    message: CoseMessage | None,
    key: VerificationKey | None,
    report: Report,
    *,
    new_each_time: bool,
) -> None:
    if not args.ledger:
        return
    from tfm_harness.verify.keys import PublicKey
    from tfm_harness.verify.signatures import record_signature

    if message is not None and isinstance(key, PublicKey):
        _remember(args, record_signature(message, key, where=args.file), key, report, new_each_time=new_each_time)


def _remember(
    args: argparse.Namespace, record: SignatureRecord, key: PublicKey, report: Report, *, new_each_time: bool = False
) -> None:
    from tfm_harness.trust.ledger import FileLedger
    from tfm_harness.verify.signatures import check_seen_before, check_signatures

    if args.ledger:
        with FileLedger(args.ledger) as ledger:
            check_signatures([(record, key)], report, ledger=ledger)
            if new_each_time:
                check_seen_before(record, report, ledger=ledger)


def _judge_image(args: argparse.Namespace, data: bytes, build: Build | None, report: Report) -> object:
    from tfm_harness.trust.expectations import read_image_key
    from tfm_harness.verify.image_files import split_images
    from tfm_harness.verify.images import verify_mcuboot
    from tfm_harness.verify.mcuboot import ImageFormatError

    paths = args.key or ([build.trust.images] if build and build.trust.images else [])
    if not paths:
        raise ConfigError(
            "no verification key was given, so nothing can be verified",
            kind="no-key", hint="name the public key that signs the image with --key",
        )  # fmt: skip
    key = [read_image_key(path) for path in paths]
    try:
        images = split_images(data)
    except ImageFormatError:
        images = []
    if len(images) > 1:
        return [verify_mcuboot(image, key, report, subject=f"image {index}") for index, image in enumerate(images)]
    return verify_mcuboot(data, key, report)


def _expected_key(paths: list[Path]) -> PublicKey | None:
    from tfm_harness.trust.expectations import read_key
    from tfm_harness.verify.keys import PublicKey

    if len(paths) > 1:
        raise ConfigError("one key at most is expected in it", kind="usage")
    key = read_key(paths[0]) if paths else None
    if key is not None and not isinstance(key, PublicKey):
        raise ConfigError("the expected key is a public key", kind="key-file", where=str(paths[0]))
    return key


def _judge_csr(args: argparse.Namespace, data: bytes, build: Build | None, report: Report) -> object:
    from tfm_harness.verify.csr import verify_csr
    from tfm_harness.verify.signatures import record_request

    paths = list(args.key)
    if args.any_key and paths:
        raise ConfigError("--key and --any-key exclude each other", kind="usage")
    if not paths and not args.any_key:
        named = build_key(build, "client") if build else None
        if named is None:
            raise ConfigError(
                "no key was given: a request by anybody would do", kind="no-key",
                hint="name the device's public key with --key, or say --any-key to judge the form and the proof of "
                "possession alone",
            )  # fmt: skip
        paths.append(named)
    key = _expected_key(paths)
    request = verify_csr(data, expected_key=key, expected_cn=args.cn, expected_ou=args.ou, report=report)
    record = record_request(request, where=args.file) if request else None
    if record is not None and request is not None and request.key is not None:
        _remember(args, record, request.key, report)
    return request


def _judge_key(args: argparse.Namespace, data: bytes, _build: Build | None, report: Report) -> object:
    from tfm_harness.verify.key_relations import check_device_key

    return check_device_key(data, expected=_expected_key(args.key), report=report)


def _judge_session(args: argparse.Namespace, _data: bytes, build: Build | None, report: Report) -> object:
    from tfm_harness.bench.recorded_session import judge_session
    from tfm_harness.protocol.zephyr_shell.recording import read_session, read_transcript, replies
    from tfm_harness.trust.expectations import read_key

    if build is None:
        raise ConfigError("a session is judged by a build's description", kind="usage", expected="--build BUILD")
    path = Path(args.file)
    data, events = read_bytes(path, "recording"), path.with_name(path.name + ".events")
    roles = {"result": "results", "client": "client"}
    keys = {name: read_key(found) for name, role in roles.items() if (found := build_key(build, role)) is not None}
    if args.key:
        keys["result"] = read_key(args.key[0])
    if "result" not in keys:
        raise ConfigError(
            "the build names no key for results, so nothing can be verified", kind="no-key",
            hint="name its file in the build (trust: {results: FILE}) or with --key",
        )  # fmt: skip
    pieces = read_transcript(data, read_bytes(events, "events")) if events.is_file() else read_session(data)
    recorded = list(replies(pieces))
    if not recorded:
        raise ConfigError(
            "the recording holds no command with its reply", kind="recording-unreadable", where=args.file,
            hint="check that it is a session with a Zephyr shell, and that it holds what was sent",
        )  # fmt: skip
    content = judge_session(recorded, build, keys, report)
    if not report.findings:
        raise ConfigError(
            "the recording holds nothing that is judged", kind="recording-unreadable", where=args.file,
            expected="replies to 'infer ...' and 'keys ...'", seen=f"{content.commands} commands",
        )  # fmt: skip
    return content


JUDGES = {
    "token": _judge_token,
    "result": _judge_result,
    "image": _judge_image,
    "csr": _judge_csr,
    "session": _judge_session,
    "key": _judge_key,
}
