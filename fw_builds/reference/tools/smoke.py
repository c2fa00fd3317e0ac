"""Boots the reference firmware in QEMU, tries everything it does, holds every message against docs/protocol.cddl.

    python tools/smoke.py [--images out] [--no-icount]

Prints a line for each check, then figures. Ends with 0 when all checks passed.
"""
# ruff: noqa: S101 - asserts are what its checks are made of

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
from pathlib import Path

import smoke_checks  # noqa: F401 - adds its checks
import smoke_more_checks  # noqa: F401 - adds its checks
from expected import Identity
from qemu_board import board
from smoke_bench import CHECKS, MODELS, Bench
from virtual_board import LIFECYCLE_ASSEMBLY_AND_TEST, LIFECYCLE_SECURED, key_hash, make_entropy, make_otp
from wire_schema import WireSchema

HERE = Path(__file__).resolve().parent


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
