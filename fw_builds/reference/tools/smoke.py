"""Boots the reference firmware in QEMU, tries everything it does, holds every message against docs/protocol.cddl.

    python tools/smoke.py [--images out] [--no-icount]

Prints a line for each check, then figures. Ends with 0 when all checks passed.
"""
# ruff: noqa: S101, D103 - asserts are what its checks are made of, and their names say what they check

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID
from expected import Identity, cose_key, verify_sign1, window_digest
from qemu_board import QemuBoard, board
from smp_device import GROUP_OS, Device, Refused
from virtual_board import LIFECYCLE_ASSEMBLY_AND_TEST, LIFECYCLE_SECURED, key_hash, make_entropy, make_otp
from wire_schema import WireSchema

HERE = Path(__file__).resolve().parent
INVALID_ARGUMENT, NOT_PERMITTED, BAD_STATE, DOES_NOT_EXIST, INVALID_SIGNATURE, NOT_SUPPORTED = (
    135,
    133,
    137,
    140,
    149,
    134,
)
MODELS = ("tamper", "sine", "keyword")

Check = Callable[["Bench"], None]
CHECKS: list[Check] = []


def check(function: Check) -> Check:
    """Add to the list of checks, in the order they stand."""
    CHECKS.append(function)
    return function


class Bench:
    """A running board and what is known of it."""

    def __init__(self, images: Path, running: QemuBoard, identity: Identity) -> None:
        self.images = images
        self.board = running
        self.device: Device = running.device
        self.identity = identity
        self.about = self.device.wait_ready()
        self.boot_seconds = time.monotonic() - running.started
        self.figures: dict[str, str] = {}
        self.last_counter = 0

    def refused(self, rc: int, action: Callable[[], object], *, group: int | None = 64) -> None:
        """`action` must be refused with this code."""
        try:
            answer = action()
        except Refused as error:
            if (error.group, error.rc) != (group, rc):
                raise AssertionError(f"expected group {group} rc {rc}, seen {error}") from None
        else:
            raise AssertionError(f"expected rc {rc}, seen the answer {answer!r}")

    def result(self, nonce: bytes, data: bytes | None = None) -> dict[int, Any]:
        """Claims of a verified result; what every result has in common is checked."""
        answer = self.device.infer(nonce, data)
        claims = verify_sign1(answer["res"], self.identity.key(2))
        assert claims[10] == nonce
        assert claims[256] == self.identity.instance_id
        assert claims[268] == self.device.describe()["seed"]
        assert claims[-70005] > self.last_counter
        self.last_counter = claims[-70005]
        assert claims[-70006] < claims[-70007]
        assert answer["ph"] == sorted(answer["ph"])
        assert answer["ph"][3:5] == [claims[-70006], claims[-70007]]
        return claims


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
    while (state := device.sample("free", ms=2))["n"] < 32:
        assert state["st"] == 0
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
        bench.refused(138, partial(device.attest, challenge, buf=short))
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


@check
def latency(bench: Bench) -> None:
    answer = bench.device.write(11, {"n": 20, "warm": 2})
    ticks = [int.from_bytes(answer["t"][i : i + 4], "little") for i in range(0, 80, 4)]
    empty = [int.from_bytes(answer["e"][i : i + 4], "little") for i in range(0, 64, 4)]
    assert len(answer["t"]) == 80
    assert sorted(ticks)[10] > 100 * sorted(empty)[8]
    assert sum(ticks) < answer["t1"] - answer["t0"]
    bench.refused(INVALID_ARGUMENT, lambda: bench.device.write(11, {"n": 0, "warm": 0}))
    bench.refused(INVALID_ARGUMENT, lambda: bench.device.write(11, {"n": 513, "warm": 0}))


@check
def every_model(bench: Bench) -> None:
    device = bench.device
    listed = device.read(12)["models"]
    assert [(m["name"], m["st"], m["act"]) for m in listed] == [(n, 0, n == "tamper") for n in MODELS]
    for name in (*MODELS[1:], MODELS[0]):
        chosen = device.write(13, {"name": name})
        about = device.describe()
        assert chosen == {"name": name, "mid": about["mid"]}
        size, out = about["in"], about["out"]
        count = max(1, min(3000 // size, 64))
        inputs = os.urandom(size * count)
        outputs = device.batch(inputs)
        assert len(outputs) == out * count
        data = inputs[-size:]
        claims = bench.result(bytes(16), data)
        assert claims[-70001] == about["mid"]
        assert claims[-70004][0][0] == outputs[-out:]
        bench.figures[f"{name}: ticks an inference"] = str(claims[-70007] - claims[-70006])
    bench.refused(DOES_NOT_EXIST, lambda: device.write(13, {"name": "nothing"}))
    device.write(13, {"name": "sine"})
    bench.refused(NOT_SUPPORTED, lambda: device.infer(bytes(8)))  # does not take a window
    device.write(13, {"name": "tamper"})


def upload(device: Device, image: bytes) -> dict[str, object]:
    """Upload an image in chunks, activate it."""
    digest, at = hashlib.sha256(image).digest(), 0
    while at < len(image):
        first = {"len": len(image), "sha": digest} if at == 0 else {}
        at = device.write(14, {"off": at, "data": image[at : at + 2048], **first})["off"]
    return device.write(15, {"sha": digest})


@check
def model_update(bench: Bench) -> None:
    device = bench.device
    image = (bench.images / "sine.signed.bin").read_bytes()
    broken = bytearray(image)
    broken[0x500] ^= 1
    bench.refused(INVALID_SIGNATURE, lambda: upload(device, bytes(broken)))
    bench.refused(INVALID_ARGUMENT, lambda: upload(device, os.urandom(3000)))
    bench.refused(DOES_NOT_EXIST, lambda: device.write(15, {"sha": bytes(32)}))
    assert device.describe()["model"] == "tamper", "a failed update changed the model"
    assert upload(device, image)["name"] == "sine"
    assert device.describe()["model"] == "sine"
    assert [m["slot"] for m in device.read(12)["models"] if m["act"]] == [4]
    bench.result(bytes(16), b"\x10")


@check
def trace_is_refused_in_the_field(bench: Bench) -> None:
    bench.refused(NOT_PERMITTED, lambda: bench.device.write(16, {"in": b"\x10"}))


@check
def log_lines_between_frames(bench: Bench) -> None:
    before = len(bench.device.log)
    bench.device.write(18, {"n": 50, "len": 120})
    lines = bench.device.log[before:]
    assert len(lines) == 50
    assert [int(line[:8], 16) for line in lines] == list(range(50))
    assert {len(line) for line in lines} == {120}


@check
def broken_frames_are_counted(bench: Bench) -> None:
    device = bench.device
    before = device.stats()
    device.send_raw(b"\x06\tAA9IZWxsbywgd29ybGQhet8=\n")  # CRC
    device.send_raw(b"\x06\tAA9IZWxsbywgd29ybGQ*et4=\n")  # base64
    device.send_raw(b"\x06\tEANI\n")  # longer than 4,096
    bench.refused(3, lambda: device.request(0, 64, 0, b"\xa1\x01\x02"), group=None)
    after = device.stats()
    seen = {name: after[name] - before[name] for name in before}
    assert seen == {"rx": 2, "crc": 1, "bad": 1, "big": 1, "cbor": 1, "ovr": 0, "tx": 2}


@check
def warm_reset(bench: Bench) -> None:
    device = bench.device
    seed = device.describe()["seed"]
    device.reset()
    about = device.wait_ready()
    assert about["boot"] == 1
    assert about["seed"] != seed
    assert about["model"] == "sine", "the active model is not kept"
    bench.result(bytes(16), b"\x10")  # its counter goes on
    assert device.sample("stop")["n"] == 0, "the window outlived the reset"
    device.write(13, {"name": "tamper"})


@check
def throughput(bench: Bench) -> None:
    device = bench.device
    data = os.urandom(128 * 24)
    start = time.monotonic()
    for _ in range(8):
        device.batch(data)
    seconds = time.monotonic() - start
    request = 8 * (len(data) * 4 / 3)
    bench.figures["batch: host to device, kB/s of base64"] = f"{request / seconds / 1000:.1f}"
    start = time.monotonic()
    for _ in range(200):
        device.echo("x")
    bench.figures["echo: ms a round trip"] = f"{(time.monotonic() - start) / 200 * 1000:.2f}"


def trace_in_the_factory(images: Path, otp: bytes, entropy: bytes, *, icount: bool) -> None:
    """In lifecycle "assembly and test" the trace shows every operator's output."""
    with board(images, [images / "sine.signed.bin"], otp=otp, entropy=entropy, icount=icount) as running:
        device = running.device
        device.wait_ready()
        ops = device.write(16, {"in": b"\x10"})["ops"]
        assert [op[0] for op in ops] == list(range(len(ops)))
        last = device.write(16, {"in": b"\x10", "op": len(ops) - 1})
        assert last == {"out": device.batch(b"\x10"), "len": 1}
        assert "trace" in device.describe()["feat"]


def run_checks(bench: Bench) -> int:
    """Run all checks; returns how many failed."""
    failures = 0
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        try:
            function(bench)
        except Exception:  # noqa: BLE001 - a failed check of whatever kind is counted, and the next one runs
            failures += 1
            print(f"FAIL {name}", flush=True)
            traceback.print_exc(chain=False)
        else:
            print(f"ok   {name}", flush=True)
    return failures


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=HERE.parent / "out", help="folder of the images")
    parser.add_argument("--no-icount", dest="icount", action="store_false", help="real time, not counted instructions")
    options = parser.parse_args()
    if not __debug__:
        parser.error("its checks are asserts: run it without -O")
    images = options.images.resolve()
    identity = Identity(os.urandom(32))
    key = key_hash((HERE.parent / "keys" / "image_signing_pub.pem").read_bytes())
    otp = {
        life: make_otp(identity.huk, key, lifecycle=life) for life in (LIFECYCLE_SECURED, LIFECYCLE_ASSEMBLY_AND_TEST)
    }
    entropy = make_entropy(os.urandom(32))
    models: list[Path | None] = [images / f"{name}.signed.bin" for name in MODELS]
    schema = WireSchema()
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        nv = Path(folder) / "nv.bin"
        with board(
            images, models, otp=otp[LIFECYCLE_SECURED], entropy=entropy, nv=nv, icount=options.icount
        ) as running:
            running.device.watch = schema.check
            bench = Bench(images, running, identity)
            failures = run_checks(bench)
            if failures:
                print("--- UART0, last lines\n" + "\n".join(bench.device.log[-10:]))
                print("--- UART1, last lines\n" + "\n".join(running.secure_log().splitlines()[-20:]))
    try:
        trace_in_the_factory(images, otp[LIFECYCLE_ASSEMBLY_AND_TEST], entropy, icount=options.icount)
        print("ok   trace in the factory")
    except Exception:  # noqa: BLE001 - as above
        failures += 1
        print("FAIL trace in the factory")
        traceback.print_exc()
    print(f"\nboot to describe: {bench.boot_seconds * 1000:.0f} ms; messages held against the CDDL: {schema.checked}")
    for name, value in bench.figures.items():
        print(f"{name}: {value}")
    print(f"\n{len(CHECKS) + 1 - failures} of {len(CHECKS) + 1} checks passed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
