"""The checks of the smoke run: results and what stands behind them - sensors, keys, attestation, isolation."""
# ruff: noqa: S101, D103 - asserts are what its checks are made of, and their names say what they check

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from functools import partial

from cryptography import x509
from cryptography.x509.oid import NameOID
from expected import cose_key, verify_sign1, window_digest
from smoke_bench import BAD_STATE, BUFFER_TOO_SMALL, DOES_NOT_EXIST, INVALID_ARGUMENT, Bench, check
from smp_device import GROUP_OS
from virtual_board import LIFECYCLE_SECURED


@check
def describe(bench: Bench) -> None:
    about = bench.about
    assert about["otp"] == "ok"
    assert about["life"] == LIFECYCLE_SECURED
    assert about["uuid"] == bench.identity.uuid
    assert about["boot"] == 0
    assert (about["model"], about["in"], about["out"]) == ("tamper", 128, 3)
    assert "trace" not in about["feat"]


@check
def os_group(bench: Bench) -> None:
    for text in ("", "hi", "ä" * 700):
        assert bench.device.echo(text) == text
    assert bench.device.request(0, GROUP_OS, 6, {}) == {"buf_size": 4096, "buf_count": 2}
    bench.refused(8, lambda: bench.device.request(0, GROUP_OS, 2, {}), group=None)
    bench.refused(8, lambda: bench.device.request(0, 77, 0, {}), group=None)


@check
def window_of_samples(bench: Bench) -> None:
    device = bench.device
    bench.refused(BAD_STATE, lambda: device.infer(bytes(8)))
    samples = []
    for i in range(40):
        sample = (i * 50, 2047 - i * 50, (i * 37) % 2048, -2000 + i * 90)
        bench.board.set_sensors(*sample)
        assert device.sample() == {"st": 0, "n": min(i + 1, 32), "seq": i + 1}
        samples.append(sample)
    claims = bench.result(b"nonce of 16 byte")
    assert claims[-70002] == 0
    assert claims[-70003] == window_digest(samples[-32:]), "the secure side has read something else"
    assert device.sample("clear")["n"] == 0
    bench.refused(BAD_STATE, lambda: device.infer(bytes(8)))


@check
def free_running(bench: Bench) -> None:
    device = bench.device
    bench.board.set_sensors(700, 600, 500, 420)
    device.sample("clear")
    before = device.sample("free", ms=2)["seq"]
    end = time.monotonic() + 60
    while (state := device.sample("free", ms=2))["n"] < 32:
        assert state["st"] == 0
        assert time.monotonic() < end, "the timer takes no samples"
        time.sleep(0.01)
    stopped = device.sample("stop")
    assert stopped["seq"] >= before + 32
    assert device.sample("stop") == stopped, "samples are taken although sampling was stopped"
    claims = bench.result(bytes(range(64)))
    assert claims[-70003] == window_digest([(700, 600, 500, 420)] * 32)
    bench.refused(INVALID_ARGUMENT, lambda: device.sample("free", ms=0))
    bench.refused(INVALID_ARGUMENT, lambda: device.sample("sometimes"))


@check
def inputs_from_the_host(bench: Bench) -> None:
    device = bench.device
    data = bytes(range(128))
    claims = bench.result(b"12345678", data)
    assert claims[-70002] == 1
    assert claims[-70003] == hashlib.sha256(data).digest()
    (output,) = claims[-70004]
    assert output[0] == device.batch(data)
    assert output[1:3] == ["int8", [1, 3]]
    for nonce in (b"", bytes(7), bytes(65)):
        bench.refused(INVALID_ARGUMENT, partial(device.infer, nonce, data))
    bench.refused(INVALID_ARGUMENT, lambda: device.infer(bytes(8), data[1:]))
    bench.refused(DOES_NOT_EXIST, lambda: device.infer(bytes(8), data, mid=bytes(32)))
    assert device.infer(bytes(8), data, mid=device.describe()["mid"])


@check
def attestation(bench: Bench) -> None:
    device, about = bench.device, bench.about
    for size in (32, 48, 64):
        challenge = os.urandom(size)
        token = device.attest(challenge)
        claims = verify_sign1(token, bench.identity.key(1))
        assert challenge in claims.values()
        assert bench.identity.instance_id in claims.values()
        assert device.read(4, {"len": size}) == {"size": len(token)}
        assert device.attest(challenge, buf=len(token)) == token
        short = len(token) - 1
        bench.refused(BUFFER_TOO_SMALL, partial(device.attest, challenge, buf=short))
        components = [c[2] for c in claims[2399]]
        assert components[:2] == [about["speh"], about["nspe"]]
    for size in (0, 31, 33, 47, 63, 65, 1000):
        bench.refused(INVALID_ARGUMENT, partial(device.attest, bytes(size)))
        bench.refused(INVALID_ARGUMENT, partial(device.read, 4, {"len": size}))


@check
def keys_and_requests(bench: Bench) -> None:
    for number in (1, 2, 3):
        assert bench.device.public_key(number) == cose_key(bench.identity.key(number))
    for number in (0, 4, 1 << 32):
        bench.refused(INVALID_ARGUMENT, partial(bench.device.public_key, number))
    for number in (2, 3):
        der = bench.device.csr(number)
        request = x509.load_der_x509_csr(der)
        assert request.is_signature_valid
        assert request.public_key() == bench.identity.key(number)
        names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert [name.value for name in names] == [bench.identity.uuid]
        openssl = ["openssl", "req", "-inform", "DER", "-verify", "-noout", "-subject"]
        done = subprocess.run(openssl, input=der, capture_output=True, check=True)
        assert b"verify OK" in done.stdout + done.stderr
        assert bench.identity.uuid.encode() in done.stdout
    bench.refused(INVALID_ARGUMENT, lambda: bench.device.csr(1))


@check
def isolation(bench: Bench) -> None:
    device = bench.device
    forbidden = {
        0x10000000: "SecureFault",  # secure code
        0x30000000: "SecureFault",  # secure data
        0x31200000: "SecureFault",  # sensor window, secure alias
        0x21200000: "BusFault",  # the same behind the MPC
        0x38000000: "SecureFault",  # OTP
        0x49206000: "PPC",  # the sensors' I2C controller
    }
    for address, kind in forbidden.items():
        for value in (None, 0x5A5A5A5A):
            seen = device.probe(address, value=value)
            assert seen["fault"], f"{address:#x} is in reach"
            assert seen["info"]["t"] == kind, seen
            assert seen["info"]["ns"]
    allowed = device.probe(0x01000400)  # its own vectors
    assert not allowed["fault"]
    assert allowed["n"] == 2 * len(forbidden)
    assert device.read(8)["n"] == allowed["n"]
    secure = 0x30000000
    for vectors in ([[secure, 4]], [[0xFFFFFFFF, 2]], [[0x21000000, 0xFFFFFFFF]]):
        assert device.psa_call(0x40000105, 5, vectors, [[0x21000000, 96]]) != 0
