"""Fuzzing of every parser of untrusted bytes: ``python -m tests.verify.fuzz_parsers --seconds 600``.

The only exceptions that may leave a parser are the harness's own. Two engines: ``atheris``
(coverage-guided, libFuzzer; the default where it is installed) and ``random`` (mutations of
valid evidence, repeatable by ``--seed``). Exit status 0: nothing found; 1: a foreign exception or (``random``) an
input that takes more than `SLOW` seconds of CPU time, with the input that causes it in hex; 2: usage. ``random`` goes
on after a finding, shows each place once, and ends with counts, CPU time and the largest memory.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import importlib.util
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfm_harness.errors import HarnessError

Target = Callable[[bytes], object]
SLOW = 5.0


def targets() -> dict[str, tuple[Target, list[bytes]]]:
    """Every parser with seeds: valid inputs from which mutations begin."""
    from tfm_harness.findings import Report
    from tfm_harness.provisioning import messages
    from tfm_harness.verify import cbor
    from tfm_harness.verify.certificates import verify_certificate
    from tfm_harness.verify.cose import verify_cose
    from tfm_harness.verify.csr import verify_csr
    from tfm_harness.verify.elf import measure
    from tfm_harness.verify.forms import UnknownFormError
    from tfm_harness.verify.forms import decode as decode_form
    from tfm_harness.verify.image_files import split_images
    from tfm_harness.verify.images import boot_record, expected_components, verify_mcuboot
    from tfm_harness.verify.key_relations import check_device_key
    from tfm_harness.verify.keyfiles import parse_image_key, parse_key, parse_spki
    from tfm_harness.verify.relations import TokenObservation, check_token_relations
    from tfm_harness.verify.render import render_json, render_text
    from tfm_harness.verify.result_relations import ResultObservation
    from tfm_harness.verify.results import check_result_relations, verify_result
    from tfm_harness.verify.token import TokenExpectations, verify_psa_token

    from tests.campaigns.parsers import more_targets
    from tests.verify import test_verify_csr_and_certificates as x509_kit
    from tests.verify import test_verify_images as image_kit
    from tests.verify import verify_kit as kit

    expected = TokenExpectations(
        caller="non-secure", implementation_id=bytes(32), lifecycle=frozenset({1}), components=(), max_size=500
    )

    def any_form(data: bytes) -> None:
        with contextlib.suppress(UnknownFormError):
            decode_form(data)

    def token(data: bytes) -> None:
        report = Report()
        parsed = verify_psa_token(data, keys=kit.KEY, challenge=kit.CHALLENGE, expected=expected, report=report)
        check_token_relations([TokenObservation(token=parsed, challenge=kit.CHALLENGE, boot=n) for n in (0, 1)], report)
        render_text("token", report, parsed)
        render_json("token", report, parsed)

    def result(data: bytes) -> None:
        for profile in ("tfm-harness-reference", "linaro-cai", "linaro-cai-token"):
            report = Report()
            parsed = verify_result(data, profile=profile, keys=kit.KEY, report=report)
            check_result_relations([ResultObservation(result=parsed, request=n) for n in (0, 1)], report)
            render_text("result", report, parsed)
            render_json("result", report, parsed)

    def image(data: bytes) -> None:
        report = Report()
        parsed = verify_mcuboot(data, kit.KEY, report)
        render_json("image", report, parsed)
        for item in split_images(data):
            expected_components([item])
            boot_record(item)

    def csr(data: bytes) -> None:
        report = Report()
        render_text("csr", report, verify_csr(data, expected_key=kit.KEY, expected_cn="x", report=report))

    def certificate(data: bytes) -> None:
        verify_certificate(data, issuer=x509_kit.CA, now=dt.datetime(2026, 6, 1, tzinfo=dt.UTC), report=Report())

    def bootstrap(data: bytes) -> None:
        for decode in (messages.decode_status, messages.decode_device_status, messages.decode_hub):
            try:
                decode(data)
            except HarnessError:
                continue
        for form in ("cbor", "json"):
            for either in (
                messages.decode_request, messages.decode_certificate_reply, messages.decode_stored_certificate,
            ):  # fmt: skip
                try:
                    either(data, form)
                except HarnessError:
                    continue

    claims = [kit.enc(c()) for c in (kit.rfc_claims, kit.p1_claims, kit.legacy_claims, kit.cca_claims)]
    tokens = [kit.message(payload) for payload in claims]
    tensor = [b"\x01\x02\x03", "int8", [1, 3], 0.5, -3]
    results = [
        kit.message(kit.enc({10: bytes(16), 256: bytes(33), 268: bytes(32), -70001: bytes(32), -70002: 0,
                             -70003: bytes(32), -70004: [tensor], -70005: 7, -70006: 1, -70007: 2, -70008: 3})),
        kit.message(kit.enc({-80000: b"\0\0\x80\x3f", -80005: bytes(4), -80006: bytes(4)})),
        kit.message(kit.enc({-80001: b"a" * 40, -80002: b"b" * 32, -80003: b"0.9", -80004: b"c" * 36})),
    ]  # fmt: skip
    keys = [*x509_kit_keys(), kit.KEY.cose_key, kit.KEY.spki, kit.KEY.point, kit.KEY.pem.encode()]
    requests = [x509_kit.GOOD, x509_kit.NULL_PARAMETERS]
    replies = [
        cbor.encode({1: 0, 2: b"cert"}),
        cbor.encode([b"csr"]),
        b'{"Status": 0, "Cert": "AAAA"}',
        b'{"CSR": "AA=="}',
    ]
    return {
        "cbor": (cbor.decode, claims),
        "cose": (lambda data: verify_cose(data, keys=kit.KEY, report=Report()), tokens),
        "token": (token, tokens),
        "result": (result, results),
        "key": (lambda data: check_device_key(data, report=Report()), keys),
        "key-file": (parse_key, keys),
        "image-key": (parse_image_key, keys),
        "spki": (parse_spki, keys),
        "image": (image, [image_kit.GOOD, image_kit.make(protected=(image_kit.tlv(0x60, image_kit.RECORD),))]),
        "elf": (measure, [image_kit.elf((1, 0, b"code"))]),
        "csr": (csr, requests),
        "certificate": (certificate, [x509_kit.GOOD_CERTIFICATE]),
        "bootstrap": (bootstrap, replies),
        **more_targets(),
        "file": (any_form, [tokens[0].hex().encode(), kit.KEY.pem.encode()]),
    }


def x509_kit_keys() -> list[bytes]:
    """Keys as JSON."""
    return [b'{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}', b'{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAA"}']


def mutate(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """One to eight changes of the kinds that break parsers."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(made) + 1)
        kind = rng.randrange(8)
        if kind == 0 and at < len(made):
            made[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(made):
            made[at] = rng.choice((0, 1, 0x17, 0x18, 0x1B, 0x1F, 0x5F, 0x7F, 0x80, 0x9F, 0xA0, 0xBF, 0xC0, 0xF6, 0xFF))
        elif kind == 2:
            del made[at : at + rng.randrange(1, 20)]
        elif kind == 3:
            made[at:at] = rng.randbytes(rng.randrange(1, 12))
        elif kind == 4:
            made[at:at] = made[at : at + rng.randrange(1, 40)]
        elif kind == 5:
            made[at : at + 8] = rng.choice((0, 1, 0x7F, 0xFFFFFFFF, (1 << 63) - 1, (1 << 64) - 1)).to_bytes(8, "big")
        elif kind == 6:
            del made[at:]
        else:
            made[at:] = rng.choice(others)[at:]
    return bytes(made)


class Findings:
    """What was found, each place once: places are told apart by the innermost line of the traceback."""

    def __init__(self) -> None:
        self.count = 0
        self._places: set[str] = set()

    def run(self, name: str, target: Target, data: bytes) -> None:
        """Let `target` have `data`; a foreign exception or a slow input is printed."""
        began = time.process_time()
        try:
            target(data)
        except HarnessError:
            pass
        except Exception as error:  # noqa: BLE001 -- finding these is what this is for
            inner = traceback.extract_tb(error.__traceback__)[-1]
            self._tell(f"{name} {type(error).__name__} {inner.filename}:{inner.lineno}", traceback.format_exc(), data)
        if (took := time.process_time() - began) > SLOW:
            self._tell(f"{name} slow", f"{took:.1f} s of CPU time\n", data)

    def _tell(self, place: str, said: str, data: bytes) -> None:
        self.count += 1
        if place not in self._places:
            self._places.add(place)
            sys.stderr.write(f"{said}{place}, input {data.hex()}\n")
            sys.stderr.flush()


def fuzz_random(chosen: dict[str, tuple[Target, list[bytes]]], seconds: float, seed: int) -> int:
    """Mutate valid evidence until the time is over."""
    rng = random.Random(seed)
    counts = dict.fromkeys(chosen, 0)
    findings = Findings()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, (target, seeds) in chosen.items():
            findings.run(name, target, mutate(rng, rng.choice(seeds), seeds))
            counts[name] += 1
    sys.stdout.write("".join(f"{name}: {count} inputs\n" for name, count in counts.items()))
    sys.stdout.write(
        f"{sum(counts.values())} inputs for {len(counts)} parsers, seed {seed}: {findings.count} findings; "
        f"{time.process_time():.0f} s of CPU time, "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB at most\n"
    )
    return 1 if findings.count else 0


def fuzz_atheris(names: list[str], seconds: int, seed: int) -> int:
    """Run libFuzzer in a child; its corpus folder is removed whatever happens."""
    with tempfile.TemporaryDirectory(prefix="tfm-harness-fuzz-") as folder:
        for index, name in enumerate(names):
            for number, data in enumerate(targets()[name][1]):
                Path(folder, f"{name}-{number}").write_bytes(bytes([index]) + data)
        command = [
            sys.executable, "-m", "tests.verify.fuzz_parsers", "--child", *names, "--",
            f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=4096", "-rss_limit_mb=1024", "-timeout=10",
            "-print_final_stats=1", f"-artifact_prefix={folder}/", folder,
        ]  # fmt: skip
        done = subprocess.run(command, check=False)
        for crash in Path(folder).glob("crash-*"):
            data = crash.read_bytes()
            sys.stderr.write(f"target {names[data[0] % len(names)]}, input {data[1:].hex()}\n")
        return 1 if done.returncode else 0


def child(arguments: list[str]) -> None:
    """libFuzzer's side: the first byte of an input chooses the target."""
    atheris: Any = importlib.import_module("atheris")
    split = arguments.index("--")
    with atheris.instrument_imports(include=["tfm_harness"]):
        every = targets()  # imports what is to be instrumented
    chosen = [every[name][0] for name in arguments[:split]]

    def one(data: bytes) -> None:
        if data:
            try:
                chosen[data[0] % len(chosen)](data[1:])
            except HarnessError:
                return

    atheris.Setup([sys.argv[0], *arguments[split + 1 :]], one)
    atheris.Fuzz()


def main(arguments: list[str]) -> int:
    """Parse the command line and fuzz."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    has_atheris = importlib.util.find_spec("atheris") is not None
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--engine", choices=("atheris", "random"), default="atheris" if has_atheris else "random")
    parser.add_argument("--target", action="append", choices=sorted(targets()), help="by default all")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(arguments)
    names = args.target or list(targets())
    if args.engine == "atheris":
        return fuzz_atheris(names, args.seconds, args.seed)
    return fuzz_random({name: targets()[name] for name in names}, args.seconds, args.seed)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2:])
    sys.exit(main(sys.argv[1:]))
