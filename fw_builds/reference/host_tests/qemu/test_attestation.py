"""Attestation tokens against what a host knows: the HUK, the image files, the challenge."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from expected import Identity, _private_key, verify_sign1
from lab import PUBLIC_KEY, REFERENCE, Lab, resign
from smp_device import Refused
from virtual_board import LIFECYCLE_ASSEMBLY_AND_TEST, key_hash, make_otp

RFC9783 = {
    "nonce": 10,
    "instance": 256,
    "profile": 265,
    "seed": 268,
    "client": 2394,
    "lifecycle": 2395,
    "implementation": 2396,
    "certification": 2398,
    "components": 2399,
    "service": 2400,
}
PSA_IOT_1 = {
    "profile": -75000,
    "client": -75001,
    "lifecycle": -75002,
    "implementation": -75003,
    "seed": -75004,
    "certification": -75005,
    "components": -75006,
    "nonce": -75008,
    "instance": -75009,
    "service": -75010,
}
INVALID_ARGUMENT, BUFFER_TOO_SMALL = 135, 138


def spe_measurement(elf: Path) -> bytes:
    """SHA-256 of the file bytes of the PT_LOAD segments, in ascending order of physical address."""
    data = elf.read_bytes()
    table, size, count = struct.unpack_from("<I", data, 28)[0], *struct.unpack_from("<HH", data, 42)
    segments = []
    for n in range(count):
        kind, offset, _, physical, in_file = struct.unpack_from("<5I", data, table + n * size)
        if kind == 1 and in_file:
            segments.append((physical, data[offset : offset + in_file]))
    return hashlib.sha256(b"".join(content for _, content in sorted(segments))).digest()


def image_hash(path: Path) -> bytes:
    """An MCUboot image's digest: header, payload, protected TLVs."""
    data = path.read_bytes()
    header, protected, payload = *struct.unpack_from("<HH", data, 8), struct.unpack_from("<I", data, 12)[0]
    return hashlib.sha256(data[: header + protected + payload]).digest()


def named(claims: dict[int, object], keys: dict[str, int]) -> dict[str, object]:
    assert set(claims) <= set(keys.values()), claims
    return {name: claims[key] for name, key in keys.items() if key in claims}


def components(images: Path, nspe: Path, model: Path | None, version: str = "1.0.0") -> list[dict[int, object]]:
    signer = key_hash(PUBLIC_KEY.read_bytes())
    parts: list[dict[int, object]] = [
        {1: "SPE", 2: spe_measurement(images / "secure.elf"), 4: "1.0.0", 5: signer},
        {1: "NSPE", 2: image_hash(nspe), 4: version, 5: signer},
    ]
    if model is not None:
        parts.append({1: "MODEL", 2: image_hash(model), 4: "1.0.0", 5: signer})
    return parts


@pytest.mark.parametrize("size", [32, 48, 64])
def test_token(lab: Lab, images: Path, size: int) -> None:
    identity, challenge = Identity(lab.huk), os.urandom(size)
    with lab.boot() as board:
        seen = board.device.wait_ready()
        token = board.device.attest(challenge)
        assert board.device.read(4, {"len": size})["size"] == len(token)
    claims = named(verify_sign1(token, identity.key(1)), RFC9783)
    assert claims == {
        "nonce": challenge,
        "instance": identity.instance_id,
        "profile": "tag:psacertified.org,2023:psa#tfm",
        "seed": seen["seed"],
        "client": -1,
        "lifecycle": 0x3000,
        "implementation": b"TEST ONLY: reference firmware ID",
        "certification": "1234567890128-12345",
        "components": components(images, images / "nonsecure.signed.bin", images / "tamper.signed.bin"),
    }
    assert (seen["speh"], seen["nspe"]) == tuple(part[2] for part in claims["components"][:2])  # type: ignore[index]


def test_optional_claims_and_lifecycle(lab: Lab) -> None:
    otp = make_otp(
        lab.huk,
        lab.trusted,
        lifecycle=LIFECYCLE_ASSEMBLY_AND_TEST,
        implementation_id=b"\x5a" * 32,
        verification_service="https://verifier.example/",
    )
    with lab.boot(otp=otp) as board:
        assert board.device.wait_ready()["life"] == LIFECYCLE_ASSEMBLY_AND_TEST
        claims = named(verify_sign1(board.device.attest(bytes(32)), Identity(lab.huk).key(1)), RFC9783)
    assert claims["lifecycle"] == LIFECYCLE_ASSEMBLY_AND_TEST
    assert claims["implementation"] == b"\x5a" * 32
    assert claims["service"] == "https://verifier.example/"
    assert "certification" not in claims


def test_components_follow_the_images(lab: Lab, images: Path) -> None:
    nspe = resign(images / "nonsecure.bin", lab.path("nspe.bin"), version="3.4.5", counter=2)
    with lab.boot(nspe=nspe, models={0: images / "sine.signed.bin"}) as board:
        board.device.wait_ready()
        claims = verify_sign1(board.device.attest(bytes(32)), Identity(lab.huk).key(1))
        assert claims[2399] == components(images, nspe, images / "sine.signed.bin", "3.4.5")
        board.device.write(13, {"name": "keyword"})
        claims = verify_sign1(board.device.attest(bytes(32)), Identity(lab.huk).key(1))
        assert claims[2399] == components(images, nspe, images / "keyword.signed.bin", "3.4.5")
    lab.path("blank.bin").write_bytes(b"\xff" * 64)
    blanks = dict.fromkeys(range(3), lab.path("blank.bin"))
    with lab.boot(nspe=nspe, models=blanks) as board:
        board.device.wait_ready()
        claims = verify_sign1(board.device.attest(bytes(32)), Identity(lab.huk).key(1))
        assert claims[2399] == components(images, nspe, None, "3.4.5")


def test_refused_requests(lab: Lab) -> None:
    with lab.boot() as board:
        board.device.wait_ready()
        size = len(board.device.attest(bytes(32)))
        for length in (0, 1, 16, 31, 33, 47, 49, 63, 65, 1000):
            with pytest.raises(Refused) as refused:
                board.device.attest(bytes(length))
            assert refused.value.rc in (INVALID_ARGUMENT, 3), length
            with pytest.raises(Refused) as refused:
                board.device.read(4, {"len": length})
            assert refused.value.rc == INVALID_ARGUMENT, length
        for room in (0, 1, 100, size - 1):
            with pytest.raises(Refused) as refused:
                board.device.attest(bytes(32), buf=room)
            assert refused.value.rc == BUFFER_TOO_SMALL, room
        assert len(board.device.attest(bytes(32), buf=size)) == size


def test_same_request_same_token_in_one_boot(lab: Lab) -> None:
    """Deterministic signatures (RFC 6979); another boot has another seed."""
    with lab.boot() as board:
        board.device.wait_ready()
        first = board.device.attest(bytes(32))
        assert board.device.attest(bytes(32)) == first
        board.device.reset()
        board.device.wait_ready()
        assert board.device.attest(bytes(32)) != first


def deterministic_signature(message: bytes, huk: bytes, label: str) -> bytes:
    """The signature, r || s, that RFC 6979 gives for a COSE_Sign1's own Sig_structure."""
    protected, _, payload, _ = cbor2.loads(message).value
    der = _private_key(huk, f"tfm-harness/{label}/v1").sign(
        cbor2.dumps(["Signature1", protected, b"", payload]), ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    )
    return b"".join(number.to_bytes(32, "big") for number in utils.decode_dss_signature(der))


def test_signatures_are_those_of_rfc_6979(lab: Lab) -> None:
    with lab.boot() as board:
        board.device.wait_ready()
        token = board.device.attest(os.urandom(32))
        result = board.device.infer(os.urandom(32), bytes(128))["res"]
    assert token[-64:] == deterministic_signature(token, lab.huk, "iak")
    assert result[-64:] == deterministic_signature(result, lab.huk, "result")


def test_two_boards_have_two_identities(lab: Lab) -> None:
    seen = []
    for _ in range(2):
        with lab.boot() as board:
            uuid = board.device.wait_ready()["uuid"]
            assert uuid == Identity(lab.huk).uuid
            seen.append((uuid, *(board.device.public_key(n) for n in (1, 2, 3))))
        lab.huk = os.urandom(32)
    assert not set(seen[0]) & set(seen[1])


def test_no_private_key_in_the_log(lab: Lab) -> None:
    with lab.boot() as board:
        board.device.wait_ready()
        board.device.attest(bytes(32))
        board.device.infer(bytes(32), bytes(128))
        board.device.csr(3)
        log = board.secure_log().lower()
    assert lab.huk.hex() not in log
    for label in ("iak", "result", "client"):
        scalar = _private_key(lab.huk, f"tfm-harness/{label}/v1").private_numbers().private_value
        assert scalar.to_bytes(32).hex() not in log
    assert lab.entropy.hex() not in log


def test_psa_iot_profile_1(lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "build"
    subprocess.run(["make", "-s", "-C", REFERENCE, f"OUT={out}", "ATTEST_PROFILE=PSA_IOT_1"], check=True, timeout=300)
    lab.images = out
    challenge = os.urandom(32)
    with lab.boot() as board:
        seen = board.device.wait_ready()
        assert seen["prof"] == "PSA_IOT_PROFILE_1"
        claims = named(verify_sign1(board.device.attest(challenge), Identity(lab.huk).key(1)), PSA_IOT_1)
    assert claims == {
        "nonce": challenge,
        "instance": Identity(lab.huk).instance_id,
        "profile": "PSA_IOT_PROFILE_1",
        "seed": seen["seed"],
        "client": -1,
        "lifecycle": 0x3000,
        "implementation": b"TEST ONLY: reference firmware ID",
        "certification": "1234567890128-12345",
        "components": components(out, out / "nonsecure.signed.bin", out / "tamper.signed.bin"),
    }
