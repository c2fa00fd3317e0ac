"""Faulty builds of the pseudo-driver and the inference partition: each is a fault that one look from outside shows.

A check passes with the right build and fails with the faulty one. `make mutants` runs this; it builds a dozen images.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from board_types import REFERENCE, Boot
from cryptography.exceptions import InvalidSignature
from expected import Identity, verify_sign1, window_digest
from qemu_board import QemuBoard
from smp_device import Device

pytestmark = pytest.mark.qemu

Check = Callable[[QemuBoard, Identity], None]
DATA = bytes(range(128))
OUT = Path(__file__).parents[1] / "build" / "mutants"


def result(device: Device, identity: Identity, nonce: bytes = b"a nonce of mine!") -> dict[int, Any]:
    return verify_sign1(device.infer(nonce, DATA)["res"], identity.key(2))


def signature(board: QemuBoard, identity: Identity) -> None:
    result(board.device, identity)


def nonce(board: QemuBoard, identity: Identity) -> None:
    assert result(board.device, identity, b"some other nonce")[10] == b"some other nonce"


def nonces_in_a_row(board: QemuBoard, identity: Identity) -> None:
    for number in range(5):
        mine = bytes([number]) * 16
        assert result(board.device, identity, mine)[10] == mine


def counter_over_a_reset(board: QemuBoard, identity: Identity) -> None:
    before = result(board.device, identity)[-70005]
    board.device.reset()
    board.device.wait_ready()
    assert result(board.device, identity)[-70005] == before + 1


def outputs(board: QemuBoard, _identity: Identity) -> None:
    """Against the right build, whose outputs other tests hold against tflite-runtime."""
    inputs = bytes((n * 37 + n // 128 * 11) % 256 for n in range(128 * 20))
    assert board.device.batch(inputs) == RIGHT_OUTPUTS[0]


def played(board: QemuBoard, first: int, count: int) -> list[tuple[int, int, int, int]]:
    samples = []
    for n in range(first, first + count):
        sample = (n % 2048, n * 3 % 2048, n * 7 % 2048, n % 1000)
        board.set_sensors(*sample)
        board.device.sample()
        samples.append(sample)
    return samples


def window(board: QemuBoard, identity: Identity) -> None:
    for start in (0, 100):
        samples = played(board, start, 32)
        claims = verify_sign1(board.device.infer(bytes(16))["res"], identity.key(2))
        assert claims[-70003] == window_digest(samples)


def controller_out_of_reach(board: QemuBoard, identity: Identity) -> None:
    window(board, identity)  # what it reads is right: only the way it takes is wrong
    assert board.device.probe(0x49206000)["fault"], "the sensors' I2C controller is the non-secure side's"


def ticks(board: QemuBoard, identity: Identity) -> None:
    claims = result(board.device, identity)
    busy = claims[-70007] - claims[-70006]
    answer = board.device.write(11, {"n": 4, "warm": 0})
    series = [int.from_bytes(answer["t"][i : i + 4], "little") for i in range(0, 16, 4)]
    elapsed = answer["t1"] - answer["t0"]
    assert 4 * busy > 0.8 * elapsed
    assert sum(series) > 0.8 * elapsed


def every_answer(board: QemuBoard, _identity: Identity) -> None:
    for number in range(40):
        message = board.device.encode(2, 0, 0, {"d": str(number)})
        board.device.exchange(message, timeout=15.0)


MUTANTS: dict[str, Check] = {
    "RESULT_WRONG_KEY": signature,
    "RESULT_CHANGED_AFTER": signature,
    "RESULT_NONCE_IGNORED": nonce,
    "RESULT_REPLAYED": nonces_in_a_row,
    "RESULT_COUNTER_REPEATS": counter_over_a_reset,
    "MODEL_SWAPPED": outputs,
    "WEIGHT_CHANGED": outputs,
    "SENSOR_NONSECURE": controller_out_of_reach,
    "SENSOR_STUCK": window,
    "PREVIOUS_WINDOW": window,
    "TICKS_NOT_THE_WORK": ticks,
    "FRAMES_LOST": every_answer,
}
RIGHT_OUTPUTS: list[bytes] = []


@pytest.fixture(autouse=True)
def _right_outputs(boot: Boot) -> None:
    if not RIGHT_OUTPUTS:
        RIGHT_OUTPUTS.append(boot().device.batch(bytes((n * 37 + n // 128 * 11) % 256 for n in range(128 * 20))))


@pytest.mark.parametrize("check", list(dict.fromkeys(MUTANTS.values())))
def test_the_right_build_passes(boot: Boot, identity: Identity, check: Check) -> None:
    check(boot(), identity)


@pytest.mark.parametrize("name", MUTANTS)
def test_the_faulty_build_is_seen(boot: Boot, identity: Identity, name: str) -> None:
    folder = OUT / name
    subprocess.run(["make", "-s", "-C", REFERENCE, f"MUTANT={name}", f"OUT={folder}"], check=True)
    board = boot(images=folder)
    with pytest.raises((AssertionError, InvalidSignature, TimeoutError)):
        MUTANTS[name](board, identity)
    assert board.process.poll() is None
    assert "PANIC" not in board.secure_log()
