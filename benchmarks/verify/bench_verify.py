"""Verdicts a second, as ratios to raw `cryptography` ECDSA verifications and to other libraries.

``python -m benchmarks.verify.bench_verify [--peer] [--check]``. All rates are of CPU time and are measured
in turn, round by round, so that a busy machine slows them alike; the median ratio counts. ``--peer``
measures pycose and cwt as well, in environments of their own (needs a package index the first time).
``--check`` exits with 1 when a ratio misses its bar.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from tfm_harness.findings import Report
from tfm_harness.verify import cbor
from tfm_harness.verify.cose import verify_cose
from tfm_harness.verify.keys import KeyRing, PublicKey
from tfm_harness.verify.results import verify_result
from tfm_harness.verify.token import verify_psa_token

from benchmarks.helper import Helper
from benchmarks.peers import venv
from benchmarks.results import Results

BARS = {"COSE_Sign1 ES256": 0.7, "whole PSA token": 0.7, "PSA tokens of many firmwares": 0.5, "signed result": 0.55}
PEERS = {"pycose": 20.0, "cwt": 1.0}
"""Least ratio to each peer."""
TEST_ONLY_KEY = ec.derive_private_key(0x1F5E_D0A1_0001, ec.SECP256R1())
KEY = PublicKey.from_handle(TEST_ONLY_KEY.public_key())
MESSAGES = 64
"""Different messages of each kind, as a farm stores them: of one firmware, each with a nonce and a boot of its own."""
FIRMWARES = 1024
"""Tokens of as many firmwares, more than the verifier remembers: none is like one that was judged before."""


def sign1(payload: bytes) -> tuple[bytes, bytes, bytes]:
    """A COSE_Sign1 message, the DER signature and what was signed."""
    protected = cbor.encode({1: -7})
    signed = cbor.encode(["Signature1", protected, b"", payload])
    der = TEST_ONLY_KEY.sign(signed, ec.ECDSA(hashes.SHA256()))
    raw = b"".join(part.to_bytes(32, "big") for part in decode_dss_signature(der))
    return b"\xd2" + cbor.encode([protected, {}, payload, raw]), der, signed


def nonce(number: int) -> bytes:
    return hashlib.sha256(b"nonce %d" % number).digest()


def token_payload(number: int, firmware: int = 0) -> bytes:
    measured = hashlib.sha256(b"firmware %d" % firmware).digest()
    component = {1: "SPE", 2: measured, 4: "2.1.4", 5: bytes(range(32, 64)), 6: "SHA256"}
    return cbor.encode({
        10: nonce(number), 268: hashlib.sha256(b"boot %d" % number).digest(), 256: KEY.instance_id,
        2396: bytes(range(2, 34)), 2394: -1, 2395: 0x3000,
        2399: [component, {**component, 1: "NSPE"}],
        265: "tag:psacertified.org,2023:psa#tfm",
        2400: "https://verifier.example", 2398: "1234567890123-12345",
    })  # fmt: skip


def result_payload(number: int) -> bytes:
    claims = {10: nonce(number), 256: KEY.instance_id, 268: bytes(32), -70001: bytes(32), -70002: 0, -70003: bytes(32)}
    numbers = {-70005: 1000 + number, -70006: 100_000 + number, -70007: 133_000 + number, -70008: 32_000_000}
    tensor = b"\x81\x85\x43\x01\x02\x03\x64int8\x82\x01\x03\xfa\x3f\x00\x00\x00\x22"
    pairs = {cbor.encode(label): cbor.encode(value) for label, value in (claims | numbers).items()}
    pairs[cbor.encode(-70004)] = tensor  # the encoder takes no floats
    return bytes([0xA0 + len(pairs)]) + b"".join(label + pairs[label] for label in sorted(pairs))


def rate(work: Callable[[int], object], messages: int, seconds: float) -> float:
    """Calls a second of CPU time; each is told the number of its message."""
    count, start = 0, time.process_time()
    while True:
        for number in range(messages):
            work(number)
        count += messages
        spent = time.process_time() - start
        if spent >= seconds:
            return count / spent


def checked(work: Callable[[int, Report], object]) -> Callable[[int], None]:
    """A verdict that must be a pass: a benchmark of refusals would be fast and useless."""

    def once(number: int) -> None:
        report = Report()
        work(number, report)
        if not report.ok:
            raise SystemExit(f"the benchmark's own evidence fails: {report.failed}")

    return once


@contextlib.contextmanager
def peer(name: str, message: bytes, seconds: float) -> Iterator[Callable[[], float]]:
    """Something that measures a peer, in an environment of its own, each time it is called."""
    helper = Helper(f"benchmarks.verify.peer_{name}", python=venv(name))

    def measure() -> float:
        helper.tell("go")
        return float(helper.hear())

    try:
        helper.tell(json.dumps({"message": message.hex(), "x": KEY.x.hex(), "y": KEY.y.hex(), "seconds": seconds}))
        yield measure
    finally:
        helper.end()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.25, help="CPU seconds for each measurement of a round")
    parser.add_argument("--peer", action="store_true", help=f"measure {' and '.join(PEERS)} as well")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a ratio misses its bar")
    args = parser.parse_args()
    ring = KeyRing([KEY])
    tokens = [sign1(token_payload(number)) for number in range(MESSAGES)]
    many = [sign1(token_payload(number, number))[0] for number in range(FIRMWARES)]
    signed_results = [sign1(result_payload(number))[0] for number in range(MESSAGES)]
    ecdsa = ec.ECDSA(hashes.SHA256())

    def raw(number: int) -> None:
        _, der, signed = tokens[number]
        KEY.handle.verify(der, signed, ecdsa)

    def token(number: int, report: Report) -> None:
        verify_psa_token(tokens[number][0], keys=ring, challenge=nonces[number], report=report)

    def of_many(number: int, report: Report) -> None:
        verify_psa_token(many[number], keys=ring, challenge=many_nonces[number], report=report)

    def result(number: int, report: Report) -> None:
        verify_result(signed_results[number], profile="tfm-harness-reference", keys=ring, report=report)

    nonces = [nonce(number) for number in range(MESSAGES)]
    many_nonces = [nonce(number) for number in range(FIRMWARES)]
    work: dict[str, Callable[[int], object]] = {
        "raw ECDSA": raw,
        "COSE_Sign1 ES256": checked(lambda number, report: verify_cose(tokens[number][0], keys=ring, report=report)),
        "whole PSA token": checked(token),
        "PSA tokens of many firmwares": checked(of_many),
        "signed result": checked(result),
    }
    results = Results("verify")
    with contextlib.ExitStack() as stack:
        measures: dict[str, Callable[[], float]] = {}
        for name in PEERS if args.peer else ():
            try:
                measures[name] = stack.enter_context(peer(name, tokens[0][0], args.seconds))
            except (subprocess.CalledProcessError, OSError) as error:
                results.leave_out(name, f"cannot be installed here: {error}")
        rounds = []
        for _ in range(args.rounds):
            rounds.append(
                {
                    name: rate(call, FIRMWARES if "many" in name else MESSAGES, args.seconds)
                    for name, call in work.items()
                }
            )
            rounds[-1] |= {name: measure() for name, measure in measures.items()}
    print(f"{'verdict':<28} {'a second':>9}")
    for name in work:
        print(f"{name:<28} {statistics.median(r[name] for r in rounds):>9.0f}")
        if name != "raw ECDSA":
            ratio = statistics.median(r[name] / r["raw ECDSA"] for r in rounds)
            results.add(f"{name}, a second", ratio, to="raw ECDSA", at_least=BARS.get(name))
    for name in measures:
        times = statistics.median(r["COSE_Sign1 ES256"] / r[name] for r in rounds)
        results.add(f"COSE_Sign1 ES256, a second, against {name}", times, to=name, at_least=PEERS[name])
    if args.peer:
        results.leave_out("iat-verifier", "no package index has it; what it checks stands in docs/verification.md")
    code = results.finish()
    return code if args.check else 0


if __name__ == "__main__":
    sys.exit(main())
