"""CoRIM, appraisal by it alone, and attestation results; Veraison's examples are judged as its index says."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from tfm_harness.cli.main import main
from tfm_harness.evidence.appraise import appraise
from tfm_harness.evidence.corim import (
    OLDER_PROFILE,
    PROFILE,
    Corim,
    CorimError,
    ReferenceValue,
    TrustAnchor,
    make_corim,
    open_corim,
    read_corim,
)
from tfm_harness.evidence.ear import CLAIMS, Ear, sign_cwt, sign_jwt, status_of, trustworthiness
from tfm_harness.evidence.tagged_cbor import Tagged, decode_tagged, encode_tagged
from tfm_harness.findings import Policy, Report
from tfm_harness.verify.cbor import CborError
from tfm_harness.verify.components import ExpectedComponent
from tfm_harness.verify.cose import verify_cose
from tfm_harness.verify.keys import PublicKey

from tests.evidence.conftest import MODEL, TEST_ONLY_SIGNING, pem
from tests.verify.test_verify_images import RECORD
from tests.verify.test_verify_images import make as make_image
from tests.verify.test_verify_images import tlv as image_tlv
from tests.verify.verify_kit import (
    CHALLENGE,
    COMPONENTS,
    IMPLEMENTATION_ID,
    KEY,
    OTHER_KEY,
    TEST_ONLY_OTHER_P256,
    TEST_ONLY_P256,
    VECTORS,
    enc,
    message,
    needs_vectors,
    rfc_claims,
)

PROTECTED = (image_tlv(0x50, b"\1\0\0\0"), image_tlv(0x60, RECORD))
CORIMS = VECTORS / "corim"
ENTRIES = json.loads((VECTORS / "index.json").read_text())["entries"] if VECTORS.is_dir() else []


def components() -> list[ExpectedComponent]:
    return [
        ExpectedComponent(type=one[1], measurement=one[2], signer_ids=frozenset({one[5]}), version=one[4])  # type: ignore[arg-type]
        for one in COMPONENTS
    ]


def ours(**changes: Any) -> bytes:
    return make_corim("unit", IMPLEMENTATION_ID, components(), **{"keys": [KEY], **changes})


@needs_vectors
@pytest.mark.parametrize("entry", [e for e in ENTRIES if e["kind"] == "corim/psa"], ids=lambda e: Path(e["file"]).name)
def test_veraisons_corims(entry: dict[str, Any]) -> None:
    data = (VECTORS / entry["file"]).read_bytes()
    if entry["expected"] == "accept":
        found = read_corim(data)
        assert found.reference_values
        assert found.trust_anchors
        return
    with pytest.raises(CorimError) as caught:
        read_corim(data)
    assert ("names no profile" in caught.value.message) is (entry["expected"] == "no-profile")


def test_what_is_made_is_read_back() -> None:
    found = read_corim(ours(vendor="vendor", model="model"))
    assert found.profile == PROFILE
    assert found.trust_anchors == (
        TrustAnchor(implementation_id=IMPLEMENTATION_ID, instance_id=KEY.instance_id, key=KEY),
    )
    assert [(value.type, value.digest, value.version) for value in found.reference_values] == [
        (one[1], one[2], one[4]) for one in COMPONENTS
    ]
    assert cbor2.loads(ours()).tag == 501  # a plain reader takes it as well


def test_a_changed_byte_is_refused_or_says_something_else() -> None:
    data, right = ours(), read_corim(ours())
    for at in range(len(data)):
        for bit in (0, 3, 7):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            try:
                assert read_corim(bytes(changed)) != right, f"byte {at}, bit {bit}"
            except CorimError:
                continue


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xd9\x01\xf5",
        b"\xd9\x01\xf5\xa0",
        b"\xa0",
        b"\x9f",
        bytes(100),
        b"\xd9\x01\xf5" * 40,
        b"\x9b" + b"\xff" * 8,
    ],
)
def test_garbage(data: bytes) -> None:
    with pytest.raises(CorimError):
        read_corim(data)


@pytest.mark.parametrize("wrong", ["implementation", "signer", "nothing"])
def test_what_cannot_be_made(wrong: str) -> None:
    identity = b"short" if wrong == "implementation" else IMPLEMENTATION_ID
    unsigned = [ExpectedComponent(type="SPE", measurement=bytes(32))]
    parts = {"implementation": components(), "signer": unsigned, "nothing": []}[wrong]
    with pytest.raises(CorimError):
        make_corim("x", identity, parts)


def test_tagged_cbor() -> None:
    value = Tagged(501, {0: [b"a", "b", -7, Tagged(1, None)], "x": True})
    assert decode_tagged(encode_tagged(value)) == value
    for broken in (b"\xc1", b"\x81" * 100 + b"\0", b"\xa2\0\0\0\0", b"\xa1\xf5\0", b"\0\0", bytes(2 << 20)):
        with pytest.raises(CborError):
            decode_tagged(broken)


# -- appraisal


def judge(token: bytes, corim: Corim, challenge: bytes = CHALLENGE) -> tuple[dict[str, int], Report]:
    report = Report(policy=Policy.PRODUCTION)
    found = appraise(token, corim, report, challenge=challenge)
    return dict(trustworthiness(found.token, report)), report


def signed(**changes: Any) -> bytes:
    claims = {
        label: value for label, value in {**rfc_claims(), **changes.pop("claims", {})}.items() if value is not None
    }
    return message(enc(claims), **changes)


ALL_FAILED = dict.fromkeys(CLAIMS, 99)
GOOD = {
    "instance-identity": 2,
    "configuration": 0,
    "executables": 2,
    "file-system": 0,
    "hardware": 2,
    "runtime-opaque": 2,
    "storage-opaque": 2,
    "sourced-data": 0,
}


def _tampered() -> bytes:
    data = bytearray(signed())
    data[-1] ^= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("token", "challenge", "vector"),
    [
        (signed(), CHALLENGE, GOOD),
        (
            signed(claims={2399: [{**COMPONENTS[0], 2: bytes(32)}, COMPONENTS[1]]}),
            CHALLENGE,
            {**GOOD, "executables": 33},
        ),
        (signed(claims={2399: [{**COMPONENTS[0], 5: bytes(32)}]}), CHALLENGE, {**GOOD, "executables": 33}),
        (signed(claims={2399: [{**COMPONENTS[0], 4: "9.9"}]}), CHALLENGE, {**GOOD, "executables": 33}),
        (signed(claims={2396: bytes(32)}), CHALLENGE, {**GOOD, "hardware": 97, "executables": 0}),
        (
            signed(claims={2395: 0x1000}),
            CHALLENGE,
            {**GOOD, "instance-identity": 96, "runtime-opaque": 96, "storage-opaque": 96},
        ),
        (signed(), bytes(32), ALL_FAILED),
        (_tampered(), CHALLENGE, ALL_FAILED),
        (signed(key=TEST_ONLY_OTHER_P256), CHALLENGE, ALL_FAILED),
        (signed(claims={256: OTHER_KEY.instance_id}), CHALLENGE, ALL_FAILED),
        (signed(claims={256: None}), CHALLENGE, ALL_FAILED),
        (b"junk", CHALLENGE, ALL_FAILED),
    ],
    ids=[
        "good",
        "measurement",
        "signer",
        "version",
        "implementation",
        "lifecycle",
        "nonce",
        "signature",
        "key",
        "instance",
        "no-instance",
        "junk",
    ],
)
def test_appraisal_by_a_corim_alone(token: bytes, challenge: bytes, vector: dict[str, int]) -> None:
    found, report = judge(token, read_corim(ours()), challenge)
    assert found == vector
    assert report.ok is (vector == GOOD), report.failed


@needs_vectors
def test_veraisons_six_results() -> None:
    """Equal evidence where its key is public; else the same claims under a key for tests."""
    endorsed = read_corim((CORIMS / "services-psa-endorsements.cbor").read_bytes())
    assert endorsed.profile == OLDER_PROFILE
    evidence = (CORIMS / "services-psa-evidence.cbor").read_bytes()
    claims = cbor2.loads(cbor2.loads(evidence).value[2])
    nonce = bytes(claims[10])
    flipped = bytearray(evidence)
    flipped[-1] ^= 1
    test_key = Corim(
        id="test",
        trust_anchors=(TrustAnchor(implementation_id=claims[2396], instance_id=claims[256], key=KEY),),
        reference_values=tuple(
            ReferenceValue(
                implementation_id=v.implementation_id,
                signer_id=v.signer_id,
                type=v.type,
                version=v.version,
                digest=b"\xde\xad" + v.digest[2:] if v.type == "BL" else v.digest,
            )
            for v in endorsed.reference_values
        ),
    )
    again = message(enc(claims), key=TEST_ONLY_P256)
    without = message(enc({label: value for label, value in claims.items() if label != 256}), key=TEST_ONLY_P256)
    cases = {
        "good": (evidence, endorsed, nonce),
        "badcrypto": (bytes(flipped), endorsed, nonce),
        "badinstance": (evidence, Corim(id="none", reference_values=endorsed.reference_values), nonce),
        "badswcomp": (again, test_key, nonce),
        "freshness-fail": (evidence, endorsed, bytes(32)),
        "noident": (without, test_key, nonce),
    }
    for name, (token, corim, challenge) in cases.items():
        expected = json.loads((VECTORS / "ear" / f"psa.{name}.json").read_text())["PSA_IOT"]
        vector, _ = judge(token, corim, challenge)
        assert vector == expected["ear.trustworthiness-vector"], name
        ear = Ear(vector=vector, issued=1, build="test").plain("veraison")["submods"]["PSA_IOT"]
        assert ear.items() <= expected.items(), name


# -- results


def test_a_sensor_verdict_is_sourced_data() -> None:
    report = Report(policy=Policy.DEV)
    found = appraise(signed(), read_corim(ours()), report, challenge=CHALLENGE)
    good, bad = Report(), Report()
    good.extend(report.findings[:1])
    assert trustworthiness(found.token, report, results=good)["sourced-data"] == 2
    assert trustworthiness(found.token, report, results=bad)["sourced-data"] == 96
    assert status_of({"sourced-data": 96}) == "contraindicated"
    assert status_of({}) == "none"


def signs(data: bytes) -> bytes:
    return TEST_ONLY_P256.sign(data, ec.ECDSA(hashes.SHA256()))


def _part(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


@pytest.mark.parametrize("dialect", ["draft", "veraison"])
def test_jwt(dialect: Any) -> None:
    ear = Ear(vector=GOOD, issued=1_700_000_000, build="tfm-harness 1", nonce=CHALLENGE, evidence=b"token")
    text = sign_jwt(ear, signs, dialect)
    header, claims, signature = text.split(".")
    assert _part(header) == {"alg": "ES256", "typ": "JWT"}
    found = _part(claims)
    submodule = found["submods"]["PSA_IOT"]
    name = "ear_status" if dialect == "draft" else "ear.status"
    assert submodule[name] == "affirming"
    assert found["ear_verifier_id" if dialect == "draft" else "ear.verifier-id"]["build"] == "tfm-harness 1"
    raw = base64.urlsafe_b64decode(signature + "==")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    TEST_ONLY_P256.public_key().verify(der, f"{header}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))


def test_cwt_is_a_cose_message_that_our_verifier_takes() -> None:
    data = sign_cwt(Ear(vector=GOOD, issued=1, build="b", nonce=CHALLENGE), signs)
    report = Report(policy=Policy.DEV)
    assert verify_cose(data, keys=[KEY], report=report).verified
    claims = cbor2.loads(cbor2.loads(data).value[2])
    assert claims[265] == "tag:ietf.org,2026:rats/ear#03"
    assert claims[266]["PSA_IOT"][1000] == 2
    assert claims[266]["PSA_IOT"][1001] == dict(enumerate(GOOD.values()))
    assert PublicKey.from_handle(TEST_ONLY_P256.public_key()) == KEY


# -- the commands


@pytest.fixture
def build(tmp_path: Path) -> Path:
    (tmp_path / "ns.signed.bin").write_bytes(make_image(protected=PROTECTED))
    (tmp_path / "image.pem").write_text(KEY.pem)
    (tmp_path / "build.yaml").write_text(
        "images: [{file: ns.signed.bin, world: nonsecure, at: 0x01000000, component: NSPE}]\nprotocol: none\n"
        f"trust: {{images: image.pem}}\nattestation: {{implementation_id: {IMPLEMENTATION_ID.hex()}}}\n"
    )
    (tmp_path / "device.pem").write_text(KEY.pem)
    (tmp_path / "TEST_ONLY_signing.pem").write_bytes(pem(TEST_ONLY_SIGNING))
    (tmp_path / "signing-public.pem").write_text(PublicKey.from_handle(TEST_ONLY_SIGNING.public_key()).pem)
    return tmp_path


def test_a_build_is_endorsed_and_its_token_appraised(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corim, key = build / "x.corim", str(build / "TEST_ONLY_signing.pem")
    words = ["evidence", "corim", str(build / "build.yaml"), "-o", str(corim)]
    assert main([*words, "--iak", str(build / "device.pem"), "--sign", key]) == 0
    assert "1 reference values, 1 trust anchors, signed" in capsys.readouterr().out
    endorsed = open_corim(corim.read_bytes(), [PublicKey.from_handle(TEST_ONLY_SIGNING.public_key())], Report())
    value = endorsed.reference_values[0]
    component = {1: "NSPE", 2: value.digest, 4: value.version, 5: value.signer_id}
    for changed, status in (({}, 0), ({2: bytes(32)}, 1)):
        (build / "token").write_bytes(signed(claims={2399: [{**component, **changed}]}))
        ear = build / "ear"
        command = [
            "evidence",
            "appraise",
            str(build / "token"),
            "--corim",
            str(corim),
            "--key",
            str(build / "signing-public.pem"),
            "--challenge",
            CHALLENGE.hex(),
            "--ear",
            str(ear),
            "--ear-key",
            key,
            "--ear-form",
        ]
        assert main([*command, "draft-jwt"]) == status
        claims = _part(ear.read_text().split(".")[1])
        assert claims["submods"]["PSA_IOT"]["ear_status"] == ("affirming" if status == 0 else "warning")
        assert main([*command, "draft-cwt"]) == status
        assert verify_cose(
            ear.read_bytes(), keys=[PublicKey.from_handle(TEST_ONLY_SIGNING.public_key())], report=Report()
        ).verified
    capsys.readouterr()
    unsigned = build / "unsigned.corim"
    assert main([*words[:3], "-o", str(unsigned)]) == 0
    assert "give --iak" in capsys.readouterr().out
    for file, keys, kind in (
        (corim, [], "no-key"),
        (corim, ["--key", str(build / "device.pem")], "corim"),
        (unsigned, ["--key", str(build / "device.pem")], "corim-unsigned"),
    ):
        assert main(["evidence", "appraise", str(build / "token"), "--corim", str(file), *keys]) == 4
        assert f"[configuration:{kind}]" in capsys.readouterr().err


@pytest.mark.parametrize(("chosen", "values"), [(None, 3), ("one", 2), ("two", 2)])
def test_every_model_that_may_be_active_has_its_reference_value(
    build: Path, capsys: pytest.CaptureFixture[str], chosen: str | None, values: int
) -> None:
    models = []
    for name in ("one", "two"):
        (build / f"{name}.signed.bin").write_bytes(make_image(payload=name.encode() * 64, protected=PROTECTED))
        (build / f"{name}.tflite").write_bytes(MODEL.read_bytes())
        models.append(f"{name}: {{file: {name}.tflite, image: {name}.signed.bin, input: host}}")
    plain = (build / "build.yaml").read_text()
    (build / "build.yaml").write_text(f"{plain}models: {{{', '.join(models)}}}\n")
    words = ["evidence", "corim", str(build / "build.yaml"), "-o", str(build / "x.corim")]
    assert main([*words, *(["--model", chosen] if chosen else [])]) == 0
    assert f"{values} reference values" in capsys.readouterr().out
    found = read_corim((build / "x.corim").read_bytes())
    assert len({one.digest for one in found.reference_values}) == values


def test_verify_token_writes_a_result(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (build / "token").write_bytes(signed())
    ear = build / "ear"
    words = ["verify", "token", str(build / "token"), "--key", str(build / "device.pem"), "--ear", str(ear)]
    assert main(words) == 4
    assert "--ear-key" in capsys.readouterr().err
    main(
        [
            *words,
            "--challenge",
            CHALLENGE.hex(),
            "--ear-key",
            str(build / "TEST_ONLY_signing.pem"),
            "--ear-form",
            "veraison",
        ]
    )
    found = _part(ear.read_text().split(".")[1])
    assert found["eat_profile"] == "tag:github.com,2023:veraison/ear"
    assert found["submods"]["PSA_IOT"]["ear.trustworthiness-vector"]["hardware"] == 2


def test_what_is_made_fits_the_cddl() -> None:
    from pycddl import Schema, ValidationError  # type: ignore[import-untyped]  # it ships no types

    rules = (Path(__file__).parent / "psa_corim.cddl").read_text()
    whole, inner = Schema(rules), Schema(f"start = comid-map\n{rules}")  # it does not look into .cbor in an array
    data = ours(vendor="vendor", model="model")
    whole.validate_cbor(data)
    comid = decode_tagged(data).value[1][0].value
    inner.validate_cbor(comid)
    for schema, wrong in (
        (whole, encode_tagged(Tagged(501, {0: "x", 1: [], 3: Tagged(32, PROFILE)}))),
        (inner, comid.replace(b"psa.software", b"psa.hardware")),
    ):
        with pytest.raises(ValidationError):
            schema.validate_cbor(wrong)
