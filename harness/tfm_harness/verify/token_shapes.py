"""A fast way for tokens that differ from an earlier one only in nonce, instance id, boot seed and signature.

A farm stores a million tokens of few firmwares. A token's judgement depends on its bytes, the trusted keys, the
challenge and the expectations. So if a token was judged in full, another one that is equal outside these four parts,
judged with the same expectations, gets the same findings from all rules that do not look into the four parts. The
other rules are judged anew for each token, the signature included; `TokenShapes.judge` lists them. If one of them does
not hold, nothing is recorded, and the token is judged in full, from its first byte.

The four parts are contents of byte strings. The CBOR decoder does not look into these, so their bytes cannot move
anything else. A token is remembered only if all checks hold, except for a few notes about other bytes (`_NOTES`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfm_harness.findings import Finding, Report
from tfm_harness.verify.algorithms import ALGORITHMS, Algorithm
from tfm_harness.verify.cbor import CborValue
from tfm_harness.verify.checks import attestation, envelope
from tfm_harness.verify.claims import DUMMY_BOOT_SEED
from tfm_harness.verify.components import ExpectedComponent
from tfm_harness.verify.cose import CoseMessage, Refused, holds, to_be_signed
from tfm_harness.verify.judge import matches
from tfm_harness.verify.keys import KeyRing, PublicKey
from tfm_harness.verify.profiles_psa import ClaimProfile
from tfm_harness.verify.psa_token import PsaToken
from tfm_harness.verify.token_expected import TokenExpectations

__all__ = ["TokenShapes"]

_MOST, _MOST_LENGTHS, _LONGEST = 256, 64, 4096
"""The most tokens that are remembered, the most lengths of them, and the size in bytes of the longest one."""
_PATIENCE = 16
"""After so many tokens of a length with their parts in other places, the places of the latest replace the known ones.
While hardly any token is like an earlier one, only one of so many tokens is remembered."""
_CREDIT = 64
"""So many tokens are remembered although none was like an earlier one; each token that is like one gives one back."""

_NOTES = frozenset(check.id for check in (
    envelope.PREFERRED, envelope.MAP_ORDER, attestation.PROFILE_LEGACY, attestation.UNKNOWN_CLAIMS,
    attestation.CHALLENGE_GIVEN, attestation.COMPONENTS_GIVEN, attestation.INSTANCE_ID_SCHEME,
    attestation.DUMMY_IMPLEMENTATION_ID, attestation.DUMMY_CERTIFICATION,
))  # fmt: skip
"""Checks that a device may break in each of its tokens. Their findings depend neither on the four parts nor on the key,
except on the scheme of its instance id, which must be the same."""

_Claims = dict[int | str | bytes, CborValue]
_Name = tuple[bytes, bool, int]
"""What must be equal: the bytes outside the four parts, whether there is a challenge, and the expectations."""


@dataclass(frozen=True, slots=True)
class _Places:
    """The places of the parts in tokens of one length. `kept` are the stretches between the parts that differ."""

    kept: tuple[slice, slice, slice, slice]
    nonce: slice
    instance_id: slice
    boot_seed: slice
    payload: slice
    signature: slice


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a token shares with one that was judged; `scheme` is its instance id's, `labels` are those of the parts."""

    places: _Places
    expected: TokenExpectations
    profile: ClaimProfile
    algorithm: Algorithm
    scheme: str
    tag: int
    protected_raw: bytes
    signed_start: bytes
    claims: _Claims
    nested: tuple[tuple[int | str | bytes, CborValue], ...]
    labels: tuple[int, int, int | None]
    findings: tuple[Finding, ...]


class TokenShapes:
    """Recently judged tokens that kept every rule. Threads may share it: at worst a token is remembered twice."""

    def __init__(self) -> None:
        self._places: dict[int, _Places] = {}
        self._clashes: dict[int, int] = {}
        self._young: dict[_Name, _Shape] = {}
        self._old: dict[_Name, _Shape] = {}
        self._credit, self._left_out = _CREDIT, 0

    def judge(
        self, token: bytes, ring: KeyRing, challenge: bytes | None, expected: TokenExpectations, report: Report
    ) -> PsaToken | Refused | None:
        """The token, with the same findings in `report` as a full judgement gives; else nothing is added to `report`.

        In that case it returns the signature that did not verify, or None when no signature was tried.
        """
        shape = self._find(token, challenge is not None, expected)
        if shape is None:
            return None
        places = shape.places
        nonce, instance_id, boot_seed = token[places.nonce], token[places.instance_id], token[places.boot_seed]
        key = ring.find(instance_id)
        if (
            not isinstance(key, PublicKey)
            or not key.suits(shape.algorithm)
            or key.published_as is not None
            or key.instance_ids.get(instance_id) != shape.scheme
            or (challenge is not None and nonce != challenge)
            or boot_seed == DUMMY_BOOT_SEED
            or (expected.boot_seed is not None and not matches(boot_seed, expected.boot_seed))
            or (expected.instance_id is not None and not matches(instance_id, expected.instance_id))
        ):
            return None
        payload, signature = token[places.payload], token[places.signature]
        structure = shape.signed_start + payload
        if not holds(key, structure, signature, shape.algorithm):
            return Refused(key, structure, signature, shape.algorithm)
        message = CoseMessage(
            shape.tag, shape.protected_raw, {1: shape.algorithm.cose}, {}, payload, places.payload.start, signature, (),
            token,
        )  # fmt: skip
        claims = shape.claims.copy()
        for label, value in shape.nested:
            claims[label] = _copied(value)
        nonce_label, instance_label, seed_label = shape.labels
        claims[nonce_label] = nonce
        claims[instance_label] = instance_id
        if seed_label is not None:
            claims[seed_label] = boot_seed
        report.findings.extend(shape.findings)
        return PsaToken(token, message, shape.profile, claims, key, shape.scheme)

    def _find(self, token: bytes, challenged: bool, expected: TokenExpectations) -> _Shape | None:
        places = self._places.get(len(token))
        if places is None or type(token) is not bytes:
            return None
        first, second, third, fourth = places.kept
        kept = token[first] + token[second] + token[third] + token[fourth]
        name = kept, challenged, id(expected)
        shape = self._young.get(name)
        if shape is None:
            shape = self._old.get(name)
            if shape is None:
                return None
            self._keep(name, shape)
        # A remembered shape keeps its expectation alive, so that no other object has the same id.
        if shape.expected is not expected or shape.places is not places:
            return None
        if self._credit < _CREDIT:
            self._credit += 1
        return shape

    def _keep(self, name: _Name, shape: _Shape) -> None:
        if len(self._young) >= _MOST // 2:
            self._old, self._young = self._young, {}
        self._young[name] = shape

    def learn(
        self, token: PsaToken, challenge: bytes | None, expected: TokenExpectations, findings: Sequence[Finding]
    ) -> None:
        """Remember a token that was judged in full, with these findings, if every check held."""
        if self._credit:
            self._credit -= 1
        else:  # the tokens share nothing: to remember each would only cost time
            self._left_out += 1
            if self._left_out % _PATIENCE:
                return
        if not (all(map(_may_be_shared, findings)) and _cannot_change(expected)):
            return
        places = _places(token)
        if places is None:
            return
        places = self._of_this_length(len(token.raw), places)
        shape = None if places is None else _shape(token, places, expected, findings)
        if places is not None and shape is not None:
            kept = b"".join([token.raw[part] for part in places.kept])
            self._keep((kept, challenge is not None, id(expected)), shape)

    def _of_this_length(self, length: int, places: _Places) -> _Places | None:
        """The places remembered for tokens of this length; None when this token has other places."""
        known = self._places.get(length)
        if known == places:
            return known
        if known is not None:
            clashes = self._clashes[length] = self._clashes.get(length, 0) + 1
            if clashes % _PATIENCE:
                return None
        elif len(self._places) >= _MOST_LENGTHS:
            self._places.clear()
            self._clashes.clear()
        self._places[length] = places
        return places


def _may_be_shared(finding: Finding) -> bool:
    """Whether a finding says the same of all tokens of a shape."""
    if finding.passed:
        return not (finding.expected or finding.seen or finding.where or finding.subject)
    return finding.id in _NOTES and not finding.subject


def _places(token: PsaToken) -> _Places | None:
    """The places of the parts; None when the bytes leave a doubt about one of them."""
    message, data = token.message, token.raw
    if type(data) is not bytes or len(data) > _LONGEST or message is None or message.unprotected:
        return None
    if list(message.protected) != [1] or message.oddities:
        return None
    signature = slice(len(data) - len(message.signature), len(data))
    payload = slice(message.payload_at, message.payload_at + len(message.payload))
    nonce, instance_id = (_place(data, content) for content in (token.nonce, token.instance_id))
    boot_seed = slice(0, 0) if token.boot_seed is None else _place(data, token.boot_seed)
    if nonce is None or instance_id is None or boot_seed is None or data[signature] != message.signature:
        return None
    one, two, three = sorted((nonce, instance_id, boot_seed), key=lambda place: place.start)
    kept = (
        slice(0, one.start), slice(one.stop, two.start), slice(two.stop, three.start),
        slice(three.stop, signature.start),
    )  # fmt: skip
    return _Places(kept, nonce, instance_id, boot_seed, payload, signature)


def _place(data: bytes, content: bytes | None) -> slice | None:
    """The place of a claim's content; None unless exactly one place holds these bytes."""
    at = -1 if not content else data.find(content)
    if content is None or at < 0 or data.find(content, at + 1) >= 0:
        return None
    return slice(at, at + len(content))


def _shape(token: PsaToken, places: _Places, expected: TokenExpectations, findings: Sequence[Finding]) -> _Shape | None:
    message, profile, key, scheme = token.message, token.profile, token.key, token.instance_id_scheme
    if message is None or profile is None or scheme is None or not isinstance(key, PublicKey):
        return None
    number = message.protected[1]
    algorithm = ALGORITHMS.get(number) if type(number) is int else None
    if algorithm is None or not key.suits(algorithm):
        return None
    claims: _Claims = {label: _copied(value) for label, value in token.claims.items()}
    nested = tuple((label, value) for label, value in claims.items() if isinstance(value, list | dict))
    labels = profile.labels
    seed_label = None if token.boot_seed is None else labels["boot_seed"]
    structure = to_be_signed(message)
    return _Shape(
        places, expected, profile, algorithm, scheme, message.tag, message.protected_raw,
        structure[: len(structure) - len(message.payload)], claims, nested,
        (labels["nonce"], labels["instance_id"], seed_label), tuple(findings),
    )  # fmt: skip


def _copied(value: CborValue) -> CborValue:
    """A deep copy of the value's lists and maps, which the caller may change."""
    if isinstance(value, dict):
        return {key: _copied(item) if isinstance(item, list | dict) else item for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) if isinstance(item, list | dict) else item for item in value]
    return value


def _cannot_change(expected: TokenExpectations) -> bool:
    """Whether the compared values cannot change. `other_keys` may: they matter only where no signature verifies."""
    components: object = () if expected.components is None else expected.components
    if type(expected) is not TokenExpectations or type(components) is not tuple:
        return False
    sets: list[object] = [component.signer_ids for component in components if type(component) is ExpectedComponent]
    return len(sets) == len(components) and all(
        one is None or type(one) is frozenset for one in (*sets, expected.profiles, expected.lifecycle)
    )
