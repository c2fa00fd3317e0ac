"""The checks of the smoke run: time, models and their update, the link, resets."""
# ruff: noqa: S101, D103 - asserts are what its checks are made of, and their names say what they check

from __future__ import annotations

import hashlib
import os
import time

from smoke_bench import (
    DOES_NOT_EXIST,
    INVALID_ARGUMENT,
    INVALID_SIGNATURE,
    MODELS,
    NOT_PERMITTED,
    NOT_SUPPORTED,
    Bench,
    check,
)
from smp_device import Device


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
