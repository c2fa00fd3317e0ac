"""PSA attestation tokens (RFC 9783 and its predecessors): parsed, verified, judged.

One call lists every finding at once; nothing stops at the first. Claims of a token whose
signature did not verify are shown for people and are worth nothing else: see
`PsaToken.verified`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tfm_harness.findings import Report
from tfm_harness.verify import cbor
from tfm_harness.verify.checks import attestation as check
from tfm_harness.verify.claims import check_claims
from tfm_harness.verify.components import check_components, parse_components
from tfm_harness.verify.cose import Refused, check_headers, check_signature, record_oddities, record_parse
from tfm_harness.verify.cose_message import decode_payload
from tfm_harness.verify.judge import Judge
from tfm_harness.verify.keys import KeyRing, PublicKey, SymmetricKey, VerificationKey, as_ring
from tfm_harness.verify.other_signers import judge_other_signer
from tfm_harness.verify.profiles_psa import LEGACY, PROFILES, RFC9783, ClaimProfile, identify
from tfm_harness.verify.psa_token import PsaToken
from tfm_harness.verify.published import EXAMPLE_KEYS
from tfm_harness.verify.token_expected import PSA_PROFILES, TokenExpectations, check_expected, check_sizes
from tfm_harness.verify.token_shapes import TokenShapes

__all__ = ["PSA_PROFILES", "PsaToken", "TokenExpectations", "verify_claims", "verify_psa_token"]

_NOTHING_KNOWN = TokenExpectations()
_SHAPES = TokenShapes()


def verify_psa_token(
    token: bytes,
    *,
    keys: KeyRing | PublicKey | SymmetricKey | Iterable[VerificationKey] | None,
    challenge: bytes | None = None,
    expected: TokenExpectations | None = None,
    report: Report,
    subject: str = "",
) -> PsaToken:
    """Judge one token: encoding, envelope, signature, claims, and the host's expectations.

    Args:
        token: the bytes as received.
        keys: what is trusted for this board.
        challenge: the challenge that was sent; without it freshness is not judged, and the report says so.
        expected: what else the host knows.
        report: gets the findings.
        subject: named in findings.

    Returns:
        The parsed token; `verified` tells whether its claims are backed by a signature.

    Raises:
        ConfigError: no key (kind ``no-key``).
    """
    ring = as_ring(keys)
    expected = expected or _NOTHING_KNOWN
    if subject:  # every finding holds it
        return judge_token(token, ring, challenge, expected, Judge(report, subject))
    known = _SHAPES.judge(token, ring, challenge, expected, report)
    if isinstance(known, PsaToken):
        return known
    own = Report()  # another thread may append to the caller's
    parsed = judge_token(token, ring, challenge, expected, Judge(own), refused=known)
    report.findings.extend(own.findings)
    _SHAPES.learn(parsed, challenge, expected, own.findings)
    return parsed


def judge_token(
    token: bytes,
    ring: KeyRing,
    challenge: bytes | None,
    expected: TokenExpectations,
    judge: Judge,
    *,
    refused: Refused | None = None,
) -> PsaToken:
    """Like `verify_psa_token`, without the short way for similar tokens; `refused` is as in `check_signature`."""
    message = record_parse(token, judge)
    if message is None:
        return PsaToken(token)
    algorithm = check_headers(message, judge)
    decoded = decode_payload(message, check.CLAIMS_MAP, judge)
    if decoded is None:
        key = check_signature(message, algorithm, ring, judge)
        return PsaToken(token, message, key=key)
    claims, oddities = decoded
    profile, problem = identify(claims)
    instance_id = claims.get(profile.labels["instance_id"])
    named = (instance_id,) if isinstance(instance_id, bytes) else ()
    key = check_signature(message, algorithm, ring, judge, identifiers=named, refused=refused)
    if key is None:
        roles = {"other_role": check.KEY_SEPARATE, "published": check.DUMMY_KEY}
        judge_other_signer(message, algorithm, expected.other_keys, judge, **roles)
    record_oddities((*message.oddities, *oddities), judge)
    scheme = key.instance_ids.get(instance_id) if key and isinstance(instance_id, bytes) else None
    parsed = PsaToken(token, message, profile, claims, key, scheme)
    _judge_claims(claims, profile, problem, judge, challenge=challenge, expected=expected)
    if key is not None:
        _check_key_relations(parsed, key, judge)
    if expected is not _NOTHING_KNOWN:
        check_sizes(token, expected, judge)
    return parsed


def verify_claims(
    claims: Mapping[int | str | bytes, cbor.CborValue],
    *,
    report: Report,
    challenge: bytes | None = None,
    expected: TokenExpectations | None = None,
    subject: str = "",
) -> ClaimProfile:
    """Judge a claims map by itself: form, policy and expectations, no signature.

    For claims that come without an envelope, such as test vectors; a pass says nothing
    about who made them. Returns the profile whose rules were applied.
    """
    profile, problem = identify(claims)
    judge = Judge(report, subject)
    _judge_claims(claims, profile, problem, judge, challenge=challenge, expected=expected or _NOTHING_KNOWN)
    return profile


def _judge_claims(
    claims: Mapping[int | str | bytes, cbor.CborValue],
    profile: ClaimProfile,
    problem: str,
    judge: Judge,
    *,
    challenge: bytes | None,
    expected: TokenExpectations,
) -> None:
    """Judge claims by `profile`; `problem` is what `identify` found wrong with the profile claim."""
    _check_profile(profile, problem, expected.profiles, judge)
    check_claims(claims, profile, judge, challenge=challenge)
    if expected is not _NOTHING_KNOWN:
        check_expected(claims, profile, expected, judge)
    if expected.components is None:
        judge.not_given(check.COMPONENTS_GIVEN, "the build's images")
    else:
        judge.passed(check.COMPONENTS_GIVEN)
        label = profile.labels["software_components"]
        check_components(parse_components(claims.get(label)), expected.components, judge)


_PROFILE_RULES = (check.PROFILE_KNOWN, check.PROFILE_EXPECTED, check.PROFILE_LEGACY)


def _check_profile(profile: ClaimProfile, problem: str, wanted: frozenset[str], judge: Judge) -> None:
    """Judge the token's profile claim; `problem` is from `identify`."""
    if not problem and profile is not LEGACY and profile.value in wanted:
        judge.passed_all(_PROFILE_RULES)
        return
    where = f"claim {profile.labels['profile']}"
    judge.judge(check.PROFILE_KNOWN, not problem, expected=f"one of {', '.join(PROFILES)}", seen=problem, where=where)
    if problem:
        return
    judge.judge(
        check.PROFILE_EXPECTED,
        profile.value in wanted,
        expected=" or ".join(sorted(wanted)),
        seen=f"{profile.value} ({profile.name})",
        where=where,
    )
    judge.judge(check.PROFILE_LEGACY, profile is not LEGACY, expected=RFC9783.value, seen=profile.value, where=where)


def _check_key_relations(token: PsaToken, key: VerificationKey, judge: Judge) -> None:
    if isinstance(token.get("instance_id"), bytes):
        held = token.instance_id_scheme is not None
        example = not held and key.published_as in EXAMPLE_KEYS
        judge.judge(
            check.INSTANCE_ID_EXAMPLE if example else check.INSTANCE_ID_KEY,
            held,
            expected=" or ".join(f"{i.hex()} ({scheme})" for i, scheme in key.instance_ids.items()) if not held else "",
            seen=(token.instance_id or b"").hex() if not held else "",
        )
        if token.instance_id_scheme is not None:
            judge.judge(
                check.INSTANCE_ID_SCHEME,
                token.instance_id_scheme != "point",
                expected="0x01 || SHA-256(COSE_Key)",
                seen="0x01 || SHA-256(04 || X || Y)",
            )
    kid = token.message.kid if token.message else None
    if kid is not None:
        judge.judge(check.KID, kid == key.thumbprint, expected=key.thumbprint.hex(), seen=kid.hex()[:128])
    judge.judge(check.DUMMY_KEY, key.published_as is None, expected="a key of the board's own", seen=key.published_as)
