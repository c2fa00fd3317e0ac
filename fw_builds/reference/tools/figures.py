"""Print the figures of docs/reference-firmware.md: sizes, boot, inference, signature, under counted instructions.

figures.py [--images out]
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qemu_board import QemuBoard, board
from virtual_board import key_hash, make_entropy, make_otp

HERE = Path(__file__).resolve().parent
MODELS = ("sine", "tamper", "keyword")
TICKS_PER_MS = 32000


@contextmanager
def fresh(images: Path, *, icount: bool = True) -> Iterator[QemuBoard]:
    """A board as delivered."""
    key = key_hash((HERE.parent / "keys" / "image_signing_pub.pem").read_bytes())
    slots: list[Path | None] = [images / f"{name}.signed.bin" for name in ("tamper", "sine", "keyword")]
    otp, entropy = make_otp(os.urandom(32), key), make_entropy(os.urandom(32))
    with board(images, slots, otp=otp, entropy=entropy, icount=icount) as running:
        yield running


def ticks(samples: list[int]) -> str:
    """Median and spread of a series of ticks."""
    middle = statistics.median(samples)
    return f"{middle:,.0f} ticks ({middle / TICKS_PER_MS:,.2f} ms), spread {max(samples) - min(samples)}"


def sizes(images: Path) -> None:
    """Text, data and bss of both sides; bytes of the signed files."""
    for name in ("secure.elf", "nonsecure.elf"):
        done = subprocess.run(
            ["arm-none-eabi-size", str(images / name)], check=True, capture_output=True, text=True, timeout=30
        )
        text, data, bss = done.stdout.splitlines()[1].split()[:3]
        print(f"{name}: text {text}, data {data}, bss {bss}")
    for path in sorted(images.glob("*.signed.bin")):
        print(f"{path.name}: {path.stat().st_size} bytes")


def boots(images: Path) -> None:
    """From reset to the non-secure image, in ticks; from starting QEMU to the answer to describe, in real time."""
    starts, elapsed = [], []
    for icount in (True,) * 5 + (False,) * 5:
        begun = time.monotonic()
        with fresh(images, icount=icount) as running:
            running.device.wait_ready()
            if not icount:
                elapsed.append(1000 * (time.monotonic() - begun))
                continue
            found = re.search(r"starting the non-secure image at tick (\d+)", running.secure_log())
            assert found is not None  # noqa: S101  # it is running
            starts.append(int(found[1]))
    print(f"boot: reset to non-secure image: {ticks(starts)}")
    print(f"boot: QEMU started to describe answered: {statistics.median(elapsed):.0f} ms of this host")


def inferences(running: QemuBoard) -> None:
    """Ticks of the inference alone, for each model."""
    for name in MODELS:
        running.device.write(13, {"name": name})
        answer = running.device.write(11, {"n": 5 if name == "keyword" else 50, "warm": 1})
        series = [int.from_bytes(answer["t"][at : at + 4], "little") for at in range(0, len(answer["t"]), 4)]
        print(f"inference, {name}: {ticks(series)}")


def signatures(running: QemuBoard) -> None:
    """Ticks from start to end of a result's signature, once its key is derived."""
    running.device.write(13, {"name": "sine"})
    running.device.infer(bytes(32), bytes(1))
    phases = [running.device.infer(os.urandom(32), bytes(1))["ph"] for _ in range(10)]
    print(f"signature: {ticks([phase[6] - phase[5] for phase in phases])}")
    print(f"signed inference of sine, request to response: {ticks([phase[7] - phase[0] for phase in phases])}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Print the figures of docs/reference-firmware.md.")
    parser.add_argument("--images", type=Path, default=HERE.parent / "out", help="folder of the images")
    images = parser.parse_args().images
    sizes(images)
    boots(images)
    with fresh(images) as running:
        running.device.wait_ready()
        inferences(running)
        signatures(running)


if __name__ == "__main__":
    main()
