"""Signed inference results: one at a time (`verify_result`) and together (`result_relations`)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tfm_harness.findings import Check, Report
from tfm_harness.verify import cbor
from tfm_harness.verify.algorithms import Algorithm
from tfm_harness.verify.checks import result as check
from tfm_harness.verify.cose import CoseMessage, check_headers, check_signature, record_oddities, record_parse
from tfm_harness.verify.cose_message import decode_payload
from tfm_harness.verify.judge import Judge, matches, show
from tfm_harness.verify.keys import KeyRing, PublicKey, SymmetricKey, VerificationKey, as_ring
from tfm_harness.verify.other_signers import judge_other_signer
from tfm_harness.verify.result_profile import ResultProfile, load_profile
from tfm_harness.verify.result_relations import ResultObservation, check_result_relations
from tfm_harness.verify.result_values import ClaimValueError, OutputTensor, Read, StrayBytesError, read_value
from tfm_harness.verify.signatures import SignatureRecord, record_signature
from tfm_harness.verify.signed_result import SignedResult

__all__ = [
    "OutputTensor",
    "ResultExpectations",
    "ResultObservation",
    "ResultProfile",
    "SignedResult",
    "TensorSpec",
    "check_result_relations",
    "load_profile",
    "verify_result",
]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What an output tensor must look like, from the model; None members are not compared."""

    type: str
    shape: tuple[int, ...]
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultExpectations:
    """What the host knows beforehand about a result; None means: not known, not compared.

    Attributes:
        nonce: the nonce that was sent.
        instance_id: 33 bytes, from the attestation key that is trusted for the board, or all forms
            that count (its `PublicKey.instance_ids`).
        boot_seed: from the attestation token of the same boot.
        model_id: SHA-256 of the model file, 32 bytes.
        input_source: number from the profile's ``values``.
        input_data: the bytes whose SHA-256 the digest must be (sensor records or input tensor).
        input_digest: the digest itself, where the data is not at hand.
        outputs: type, shape and quantisation of each output tensor.
        attestation_key: the IAK; results must not be signed with it.
        other_keys: further keys of the device by name; a finding names one that signed in place of the trusted key.
        tick_hz: the counter's frequency.
        waited: seconds the host waited for the answer; the inference cannot have taken longer.
    """

    nonce: bytes | None = None
    instance_id: bytes | frozenset[bytes] | None = None
    boot_seed: bytes | None = None
    model_id: bytes | None = None
    input_source: int | None = None
    input_data: bytes | None = field(default=None, repr=False)
    input_digest: bytes | None = None
    outputs: tuple[TensorSpec, ...] | None = None
    attestation_key: PublicKey | None = None
    other_keys: Mapping[str, PublicKey] = field(default_factory=dict)
    tick_hz: int | None = None
    waited: float | None = None


_NOTHING_KNOWN = ResultExpectations()


def signature_of_result(
    message: bytes, *, profile: ResultProfile | str | Mapping[str, object], key: PublicKey
) -> SignatureRecord | None:
    """The signature of a result that `key` has signed; None for any other message. Nothing is judged here.

    Raises:
        ConfigError: a profile that breaks the form.
    """
    result = verify_result(message, profile=profile, keys=[key], report=Report())
    return record_signature(result.message, key) if result.message is not None and result.verified else None


def verify_result(
    message: bytes,
    *,
    profile: ResultProfile | str | Mapping[str, object],
    keys: KeyRing | PublicKey | SymmetricKey | Iterable[VerificationKey] | None,
    expected: ResultExpectations | None = None,
    report: Report,
    subject: str = "",
) -> SignedResult:
    """Judge one signed result: encoding, envelope, signature, the profile's rules, expectations.

    Args:
        message: the bytes as received.
        profile: a `ResultProfile`, the name of a built-in one, or a vendor's mapping.
        keys: what is trusted for this board.
        expected: what the host knows.
        report: gets the findings.
        subject: named in findings.

    Returns:
        The parsed result; `verified` tells whether it is backed by a signature.

    Raises:
        ConfigError: no key (kind ``no-key``), or a profile that breaks the form.
    """
    if not isinstance(profile, ResultProfile):
        profile = load_profile(profile)
    ring = as_ring(keys)
    wanted = expected or _NOTHING_KNOWN
    judge = Judge(report, subject)
    envelope = record_parse(message, judge)
    if envelope is None:
        return SignedResult(message, profile)
    algorithm = check_headers(envelope, judge, algorithms=profile.algorithms)
    decoded = decode_payload(envelope, check.PAYLOAD_MAP, judge)
    key = check_signature(envelope, algorithm, ring, judge)
    if key is None:
        _name_signer(envelope, algorithm, wanted, judge)
    if decoded is None:
        return SignedResult(message, profile, envelope, key=key)
    claims, oddities = decoded
    record_oddities((*envelope.oddities, *oddities), judge)
    _check_form(envelope, oddities, profile, judge)
    values = _check_claims(claims, profile, judge)
    result = SignedResult(message, profile, envelope, claims, values, key)
    _check_expected(result, wanted, judge)
    _check_key(result, wanted, judge)
    return result


def _check_form(
    message: CoseMessage, in_payload: tuple[cbor.Oddity, ...], profile: ResultProfile, judge: Judge
) -> None:
    """Check the profile's promises beyond the standards: one result has only one encoding."""
    if profile.headers is not None:
        seen = {**message.protected, **message.unprotected}
        if seen.keys() == profile.headers:
            judge.passed(check.HEADERS)
        else:
            wanted = ", ".join(map(str, sorted(profile.headers, key=str)))
            shown = ", ".join(map(repr, seen))[:120] or "none"
            judge.failed(check.HEADERS, expected=f"label(s) {wanted}", seen=shown)
    if profile.deterministic_encoding:
        odd = (*message.oddities, *in_payload)
        if odd:
            judge.failed(
                check.ENCODING, expected="shortest heads, keys in bytewise order", seen=f"{len(odd)} place(s)",
                where=f"byte {odd[0].offset}",
            )  # fmt: skip
        else:
            judge.passed(check.ENCODING)


def _check_claims(
    claims: Mapping[int | str | bytes, cbor.CborValue], profile: ResultProfile, judge: Judge
) -> dict[str, Read]:
    """Check every claim by its rule; the values by role (or name) of those that hold."""
    if profile.required <= claims.keys() <= profile.labels:
        judge.passed_all(_LABEL_RULES)
    else:
        _judge_labels(claims, profile, judge)
    values: dict[str, Read] = {}
    wrong: list[str] = []
    stray: dict[tuple[object, str], str] = {}
    outputs: list[str] = []
    for rule in profile.claims:
        if rule.label not in claims:
            continue
        try:
            values[rule.role or rule.name] = read_value(rule, claims[rule.label])
        except StrayBytesError as problem:
            stray[rule.label, rule.name] = str(problem)
        except ClaimValueError as problem:
            (outputs if rule.type == "tensors" else wrong).append(f"{rule.name} ({rule.label}): {problem}")
    _judge_values(check.TYPES, wrong, "types and ranges of the profile", judge)
    for place, leaked in stray.items():
        judge.failed(check.STRAY_BYTES, expected="text only", seen=leaked[:400], where=place)
    if not stray and not profile.types.isdisjoint(_TEXTS):
        judge.passed(check.STRAY_BYTES)
    if "tensors" in profile.types:
        _judge_values(check.OUTPUTS, outputs, "well-formed tensors", judge)
    return values


def _judge_values(which: Check, problems: list[str], expected: str, judge: Judge) -> None:
    if problems:
        judge.failed(which, expected=expected, seen="; ".join(problems)[:400])
    else:
        judge.passed(which)


_LABEL_RULES = (check.MANDATORY, check.UNKNOWN)
_TEXTS = frozenset({"text", "text-bytes"})


def _judge_labels(claims: Mapping[int | str | bytes, cbor.CborValue], profile: ResultProfile, judge: Judge) -> None:
    """Judge which claims are missing, and which claims the profile does not know."""
    missing = [
        f"{rule.name} ({rule.label})" for rule in profile.claims if rule.label not in claims and not rule.optional
    ]
    judge.judge(
        check.MANDATORY, not missing, expected=f"the claims of {profile.name}", seen=f"without {', '.join(missing)}"
    )
    unknown = [f"{label!r}" for label in claims if label not in profile.labels]
    judge.judge(
        check.UNKNOWN, not unknown, expected=f"the claims of {profile.name} only", seen=", ".join(unknown)[:200]
    )


def _check_expected(result: SignedResult, expected: ResultExpectations, judge: Judge) -> None:
    if result.profile.rule("nonce") is None:
        without = f"{result.profile.name} has none: replay is possible"
        judge.failed(check.FRESHNESS, expected="a nonce", seen=without)
    else:
        judge.passed(check.FRESHNESS)
        if expected.nonce is not None:
            judge.passed(check.NONCE_GIVEN)
        else:
            judge.not_given(check.NONCE_GIVEN, "the nonce that was sent")
    digest = expected.input_digest
    if expected.input_data is not None:
        digest = hashlib.sha256(expected.input_data).digest()
    for role, wanted, which in (
        ("nonce", expected.nonce, check.NONCE),
        ("instance_id", expected.instance_id, check.INSTANCE_ID),
        ("boot_seed", expected.boot_seed, check.BOOT_SEED),
        ("model_id", expected.model_id, check.MODEL_ID),
        ("input_source", expected.input_source, check.INPUT_SOURCE),
        ("input_digest", digest, check.INPUT_DIGEST),
    ):
        # The product need not send a claim that the profile does not define.
        if wanted is not None and result.profile.rule(role) is not None:
            seen = result.values.get(role)
            judge.judge(which, matches(seen, wanted), expected=show(wanted), seen=seen, show=show)
    if expected.outputs is not None and "tensors" in result.profile.types:
        _check_outputs(result.outputs, expected.outputs, judge)
    _check_ticks(result, expected, judge)


def _check_outputs(seen: tuple[OutputTensor, ...], wanted: tuple[TensorSpec, ...], judge: Judge) -> None:
    problems = []
    if len(seen) != len(wanted):
        problems.append(f"{len(seen)} tensors in place of {len(wanted)}")
    for index, (tensor, spec) in enumerate(zip(seen, wanted, strict=False)):
        for what, have, want in (
            ("type", tensor.type, spec.type), ("shape", tensor.shape, tuple(spec.shape)),
            ("scale", tensor.scale, spec.scale), ("zero point", tensor.zero_point, spec.zero_point),
        ):  # fmt: skip
            if want is not None and have != want:
                problems.append(f"tensor {index}: {what} {have}, the model has {want}")
    judge.judge(check.OUTPUT_EXPECTED, not problems, expected="the model's outputs", seen="; ".join(problems)[:400])


def _check_ticks(result: SignedResult, expected: ResultExpectations, judge: Judge) -> None:
    if result.profile.rule("start_ticks") is None or result.profile.rule("end_ticks") is None:
        return
    start, end, hz = result.integer("start_ticks"), result.integer("end_ticks"), result.integer("tick_hz")
    problem = ""
    if start is None or end is None:
        problem = "start or end ticks cannot be read"
    elif end <= start:
        problem = f"end {end} is not after start {start}"
    elif expected.tick_hz is not None and hz is not None and hz != expected.tick_hz:
        problem = f"{hz} ticks per second, the target has {expected.tick_hz}"
    else:
        rate = expected.tick_hz or hz
        if rate and expected.waited is not None and (end - start) / rate > expected.waited:
            problem = f"{(end - start) / rate:.6f} s of inference within {expected.waited:.6f} s of waiting"
    judge.judge(check.TICKS, not problem, expected="end after start, within the time waited", seen=problem)


def _name_signer(message: CoseMessage, algorithm: Algorithm | None, expected: ResultExpectations, judge: Judge) -> None:
    others = dict(expected.other_keys)
    if expected.attestation_key is not None:
        others = {"the attestation key": expected.attestation_key, **others}
    roles = {"other_role": check.KEY_SEPARATE, "published": check.DUMMY_KEY}
    judge_other_signer(message, algorithm, others, judge, **roles)


def _check_key(result: SignedResult, expected: ResultExpectations, judge: Judge) -> None:
    if result.key is None:
        return
    published = result.key.published_as
    judge.judge(check.DUMMY_KEY, published is None, expected="a key of the board's own", seen=published)
    if expected.attestation_key is not None:
        held = result.key != expected.attestation_key
        judge.judge(check.KEY_SEPARATE, held, expected="a key of its own", seen=f"the attestation key, {result.key}")
