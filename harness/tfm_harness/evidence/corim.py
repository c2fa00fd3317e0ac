"""CoRIM with PSA endorsements: reference values and trust anchors, made and read strictly.

Profile ``tag:arm.com,2025:psa#1.0.0`` (draft-fdb-rats-psa-endorsements, draft-ietf-rats-corim). The layout before it,
profile ``http://arm.com/psa/iot/1`` with tags 600 and 601, is read as well: Veraison's services still produce it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tfm_harness.errors import ConfigError
from tfm_harness.evidence.checks import CORIM_SIGNATURE
from tfm_harness.evidence.ear import Sign, sign_cose
from tfm_harness.evidence.tagged_cbor import MAX_SIZE, Tagged, decode_tagged, encode_tagged
from tfm_harness.findings import Report
from tfm_harness.verify.cbor import CborError
from tfm_harness.verify.components import ExpectedComponent
from tfm_harness.verify.cose import verify_cose
from tfm_harness.verify.keyfiles import parse_key
from tfm_harness.verify.keys import KeyFormatError, PublicKey

__all__ = [
    "OLDER_PROFILE",
    "PROFILE",
    "Corim",
    "CorimError",
    "ReferenceValue",
    "TrustAnchor",
    "make_corim",
    "read_corim",
]

CONTENT_TYPE: Final = "application/rim+cbor"
PROFILE: Final = "tag:arm.com,2025:psa#1.0.0"
OLDER_PROFILE: Final = "http://arm.com/psa/iot/1"
_CORIM, _COMID, _URI, _BYTES, _UEID, _PKIX_KEY = 501, 506, 32, 560, 550, 554
_OLD_IMPLEMENTATION, _OLD_REFERENCE = 600, 601
_MEASUREMENT_KEY: Final = "psa.software-component"
_HASH_SIZES: Final = (32, 48, 64)
_DIGESTS: Final = {1: 32, 7: 48, 8: 64, "sha-256": 32, "sha-384": 48, "sha-512": 64}
"""Length of a digest in bytes by its algorithm: number in the IANA named information registry, or name."""


class CorimError(ConfigError):
    """The bytes are no CoRIM of the PSA profile; `where` names the part."""

    def __init__(self, message: str, *, where: str = "", seen: object = "") -> None:
        super().__init__(message, kind="corim", where=where, seen=f"{seen!r}"[:120] if seen != "" else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceValue:
    """The reference value of one software component.

    Attributes:
        implementation_id: 32 bytes.
        signer_id: 32, 48 or 64 bytes.
        digest: 32, 48 or 64 bytes.
        type: measurement type, ``SPE`` for instance; None when absent.
        version: the version as text; None when absent.
    """

    implementation_id: bytes
    signer_id: bytes
    digest: bytes
    type: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustAnchor:
    """The attestation key of one device; `instance_id` has 33 bytes."""

    implementation_id: bytes
    instance_id: bytes
    key: PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Corim:
    """The content of a CoRIM; `comids` are the ids of the CoMIDs in it."""

    id: str
    comids: tuple[str, ...] = ()
    profile: str = PROFILE
    reference_values: tuple[ReferenceValue, ...] = ()
    trust_anchors: tuple[TrustAnchor, ...] = field(default=())


# -- making


def make_corim(
    name: str,
    implementation_id: bytes,
    components: Sequence[ExpectedComponent],
    *,
    keys: Sequence[PublicKey] = (),
    vendor: str = "",
    model: str = "",
) -> bytes:
    """An unsigned CoRIM: one CoMID with reference values, and one trust anchor for each key.

    Args:
        name: the CoRIM's id.
        implementation_id: 32 bytes.
        components: each with a measurement and exactly one signer id.
        keys: attestation keys of devices; the instance id is derived from the key (``cose-key`` scheme).
        vendor, model: for people.

    Raises:
        CorimError: an implementation id of another size, or a component without signer.
    """
    if len(implementation_id) != 32:
        raise CorimError("an implementation id has 32 bytes", seen=implementation_id)
    klass: dict[int, object] = {0: Tagged(_BYTES, implementation_id)}
    klass |= {number: text for number, text in ((1, vendor), (2, model)) if text}
    triples: dict[int, object] = {}
    if components:
        triples[0] = [[{0: klass}, [_measurement(component) for component in components]]]
    if keys:
        triples[3] = [
            [{0: klass, 1: Tagged(_UEID, key.instance_id)}, [Tagged(_PKIX_KEY, key.pem.strip())]] for key in keys
        ]
    if not triples:
        raise CorimError("a CoRIM needs a reference value or a trust anchor")
    comid = {1: {0: f"{name}/comid"}, 4: triples}
    whole = {0: name, 1: [Tagged(_COMID, encode_tagged(comid))], 3: Tagged(_URI, PROFILE)}
    return encode_tagged(Tagged(_CORIM, whole))


def _measurement(component: ExpectedComponent) -> dict[int, object]:
    if len(component.signer_ids) != 1:
        raise CorimError(
            "a reference value names exactly one signer", where=str(component), seen=len(component.signer_ids)
        )
    (signer,) = component.signer_ids
    algorithm = {32: 1, 48: 7, 64: 8}[len(component.measurement)]
    value: dict[int, object] = {2: [[algorithm, component.measurement]], 13: [Tagged(_BYTES, signer)]}
    if component.version:
        value[0] = {0: component.version}
    if component.type:
        value[11] = component.type
    return {0: _MEASUREMENT_KEY, 1: value}


def sign_corim(data: bytes, sign: Sign, *, signer: str) -> bytes:
    """A signed CoRIM: COSE_Sign1 under ES256 over the tagged CoRIM (draft-ietf-rats-corim s.4.2).

    Args:
        data: from `make_corim`.
        sign: ECDSA on P-256 with SHA-256; DER.
        signer: the signer's name.
    """
    meta = encode_tagged({0: {0: signer}})
    return sign_cose(data, sign, {1: -7, 3: CONTENT_TYPE, 8: meta})


# -- reading


def open_corim(data: bytes, keys: Sequence[PublicKey], report: Report) -> Corim:
    """Read a CoRIM, unsigned or signed. If keys are given, one of them must have signed it.

    Raises:
        ConfigError: kind ``corim-unsigned``: it is not signed, or its signer is not known.
        CorimError: no CoRIM.
    """
    signed = data[:1] == b"\xd2"
    if not signed:
        if keys:
            raise ConfigError("the CoRIM is not signed, and a signer was named", kind="corim-unsigned",
                              hint="leave --key out to take its content as it is")  # fmt: skip
        return read_corim(data)
    if not keys:
        raise ConfigError("the CoRIM is signed, and no key was given to verify it with", kind="no-key",
                          hint="name the signer's public key with --key")  # fmt: skip
    found = verify_cose(data, keys=keys, report=Report(), max_size=MAX_SIZE)
    message = found.message
    held = message is not None and found.verified and message.protected.get(3) == CONTENT_TYPE
    report.add(CORIM_SIGNATURE, held, expected=" or ".join(map(str, keys)), seen="" if held else "it does not verify")
    if message is None or not held:
        raise CorimError("the CoRIM's signature does not verify with a given key")
    return read_corim(message.payload)


def read_corim(data: bytes) -> Corim:
    """Read an unsigned CoRIM strictly.

    Raises:
        CorimError: no CoRIM, or one that breaks the profile's rules.
    """
    try:
        outer = decode_tagged(data)
    except CborError as error:
        raise CorimError(f"not CBOR: {error.message}", where=error.where or "") from None
    if not isinstance(outer, Tagged) or outer.tag != _CORIM:
        raise CorimError("a CoRIM begins with tag 501", seen=outer)
    whole = _map(outer.value, "corim", {0, 1}, {0, 1, 2, 3, 4, 5})
    profile = _profile(whole.get(3))
    if not isinstance(whole[0], str | bytes) or not whole[0]:
        raise CorimError("the CoRIM's id is a text", where="corim, key 0", seen=whole[0])
    values: list[ReferenceValue] = []
    anchors: list[TrustAnchor] = []
    comids: list[str] = []
    tags = whole[1]
    if not isinstance(tags, list) or not tags:
        raise CorimError("the CoRIM holds no tags", where="corim, key 1", seen=tags)
    for index, tag in enumerate(tags):
        where = f"tag {index}"
        if not isinstance(tag, Tagged) or tag.tag != _COMID or not isinstance(tag.value, bytes):
            raise CorimError("only CoMIDs are known", where=where, seen=tag)
        try:
            comid = _map(decode_tagged(tag.value), where, {1, 4}, {0, 1, 2, 3, 4})
        except CborError as error:
            raise CorimError(f"not CBOR: {error.message}", where=f"{where}, {error.where}") from None
        comids.append(str(_map(comid[1], where, {0}, {0, 1})[0]))
        _read_triples(comid[4], where, profile == OLDER_PROFILE, values, anchors)
    name = whole[0] if isinstance(whole[0], str) else whole[0].hex()
    return Corim(
        id=name, profile=profile, comids=tuple(comids), reference_values=tuple(values), trust_anchors=tuple(anchors)
    )


def _profile(said: object) -> str:
    """The profile's name: a URI in tag 32; in the older layout a plain text."""
    name = said.value if isinstance(said, Tagged) and said.tag == _URI else said if said == OLDER_PROFILE else None
    if name is None:
        raise CorimError("the CoRIM names no profile", where="corim, key 3", seen=said)
    if name not in {PROFILE, OLDER_PROFILE}:
        raise CorimError("another profile", where="corim, key 3", seen=name)
    return str(name)


def _read_triples(
    triples: object, where: str, older: bool, values: list[ReferenceValue], anchors: list[TrustAnchor]
) -> None:
    found = _map(triples, where, set(), {0, 3})
    if not found:
        raise CorimError("neither reference values nor trust anchors", where=where)
    for number, triple in enumerate(_list(found.get(0, []), f"{where}, reference values")):
        place = f"{where}, reference value {number}"
        environment, measurements = _pair(triple, place)
        if 1 in environment:
            raise CorimError("a reference value names no instance", where=place)
        implementation = _implementation(environment, place, older)
        held = _list(measurements, place)
        if not held:
            raise CorimError("no measurement", where=place)
        read = _older_measurement if older else _new_measurement
        values += [read(one, implementation, f"{place}, measurement {index}") for index, one in enumerate(held)]
    for number, triple in enumerate(_list(found.get(3, []), f"{where}, trust anchors")):
        place = f"{where}, trust anchor {number}"
        environment, keys = _pair(triple, place)
        instance = environment.get(1)
        if not isinstance(instance, Tagged) or instance.tag != _UEID or not isinstance(instance.value, bytes):
            raise CorimError("an instance is a UEID (tag 550)", where=place, seen=instance)
        if len(instance.value) != 33 or instance.value[0] != 1:
            raise CorimError("an instance id has 33 bytes and begins with 01", where=place, seen=instance.value)
        anchors.append(
            TrustAnchor(
                implementation_id=_implementation(environment, place, older),
                instance_id=instance.value,
                key=_key(keys, place),
            )
        )


def _new_measurement(one: object, implementation: bytes, where: str) -> ReferenceValue:
    outer = _map(one, where, {0, 1}, {0, 1, 2})
    if outer[0] != _MEASUREMENT_KEY:
        raise CorimError(f"the measurement's key is {_MEASUREMENT_KEY!r}", where=where, seen=outer[0])
    value = _map(outer[1], where, {2, 13}, {0, 2, 11, 13})
    signers = _list(value[13], where)
    if len(signers) != 1 or not isinstance(signers[0], Tagged) or signers[0].tag != _BYTES:
        raise CorimError("exactly one signer id (tag 560)", where=where, seen=signers)
    version = _map(value.get(0, {0: None}), where, {0}, {0, 1})[0]
    return ReferenceValue(
        implementation_id=implementation,
        signer_id=_hash(signers[0].value, where),
        digest=_digest(value[2], where),
        type=_text(value.get(11), where),
        version=_text(version, where),
    )


def _older_measurement(one: object, implementation: bytes, where: str) -> ReferenceValue:
    outer = _map(one, where, {0, 1}, {0, 1})
    if not isinstance(outer[0], Tagged) or outer[0].tag != _OLD_REFERENCE:
        raise CorimError("the measurement's key is a PSA reference value id (tag 601)", where=where, seen=outer[0])
    key = _map(outer[0].value, where, {5}, {1, 4, 5})
    value = _map(outer[1], where, {2}, {2})
    return ReferenceValue(
        implementation_id=implementation,
        signer_id=_hash(key[5], where),
        digest=_digest(value[2], where),
        type=_text(key.get(1), where),
        version=_text(key.get(4), where),
    )


def _implementation(environment: dict[Any, Any], where: str, older: bool) -> bytes:
    klass = _map(environment.get(0), f"{where}, class", {0}, {0, 1, 2, 3, 4})
    said = klass[0]
    tag = _OLD_IMPLEMENTATION if older else _BYTES
    if not isinstance(said, Tagged) or said.tag != tag or not isinstance(said.value, bytes):
        raise CorimError(f"an implementation id is bytes in tag {tag}", where=where, seen=said)
    if len(said.value) != 32:
        raise CorimError("an implementation id has 32 bytes", where=where, seen=said.value)
    return said.value


def _key(keys: object, where: str) -> PublicKey:
    held = _list(keys, where)
    if (
        len(held) != 1
        or not isinstance(held[0], Tagged)
        or held[0].tag != _PKIX_KEY
        or not isinstance(held[0].value, str)
    ):
        raise CorimError("exactly one public key (tag 554)", where=where, seen=held)
    try:
        key = parse_key(held[0].value.encode())
    except KeyFormatError as error:
        raise CorimError(f"no public key: {error.message}", where=where, seen=error.seen or "") from None
    if not isinstance(key, PublicKey):
        raise CorimError("an attestation key is an elliptic-curve key", where=where)
    if key.pem.strip() != held[0].value.strip():
        raise CorimError("a public key in another PEM form than RFC 7468 s.13", where=where)
    return key


def _digest(digests: object, where: str) -> bytes:
    held = _list(digests, where)
    if len(held) != 1:  # a verifier expects one digest for each measurement
        raise CorimError("exactly one digest", where=where, seen=held)
    pair = _list(held[0], where)
    if len(pair) != 2 or not isinstance(pair[0], int | str) or not isinstance(pair[1], bytes):
        raise CorimError("a digest is an algorithm and bytes", where=where, seen=pair)
    if _DIGESTS.get(pair[0]) != len(pair[1]):
        raise CorimError("a digest of SHA-256, SHA-384 or SHA-512 with its length", where=where, seen=pair)
    return pair[1]


def _hash(value: object, where: str) -> bytes:
    if not isinstance(value, bytes) or len(value) not in _HASH_SIZES:
        raise CorimError("a signer id has 32, 48 or 64 bytes", where=where, seen=value)
    return value


def _text(value: object, where: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise CorimError("a text", where=where, seen=value)
    return value


def _map(value: object, where: str, needed: set[int], known: set[int]) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise CorimError("a map", where=where, seen=value)
    if missing := needed - value.keys():
        raise CorimError(f"without key {', '.join(map(str, sorted(missing)))}", where=where)
    if strange := value.keys() - known:
        raise CorimError(f"unknown key {', '.join(map(str, strange))}", where=where)
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise CorimError("a list", where=where, seen=value)
    return value


def _pair(value: object, where: str) -> tuple[dict[Any, Any], object]:
    held = _list(value, where)
    if len(held) != 2:
        raise CorimError("a pair of environment and content", where=where, seen=held)
    return _map(held[0], f"{where}, environment", {0}, {0, 1, 2}), held[1]
