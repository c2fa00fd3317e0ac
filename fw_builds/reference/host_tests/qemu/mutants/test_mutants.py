"""Faulty builds of the SPE: each is a fault that one look from outside shows.

A check passes with the right build and fails with the faulty one. `make check-mutants` runs this; it builds a dozen
images.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from expected import Identity, _private_key, verify_sign1
from lab import REFERENCE, Lab, resign, wait_for_log
from qemu_board import QemuBoard
from smp_device import Refused
from test_attestation import components
from test_models import activate, model

Check = Callable[[Lab], None]
WINDOW, MODEL_COPY, SENSOR_I2C = 0x21200000, 0x21210000, 0x49206000
PROGRAMMER_ERROR = -129


def claims_of(lab: Lab, board: QemuBoard) -> dict[int, object]:
    return verify_sign1(board.device.attest(os.urandom(32)), Identity(lab.huk).key(1))


def fresh_seed(lab: Lab) -> None:
    with lab.boot() as board:
        first = board.device.wait_ready()["seed"]
        board.device.reset()
        assert board.device.wait_ready()["seed"] != first


def measured_software(lab: Lab) -> None:
    with lab.boot() as board:
        board.device.wait_ready()
        seen = claims_of(lab, board)[2399]
    assert seen == components(lab.images, lab.images / "nonsecure.signed.bin", lab.images / "tamper.signed.bin")


def instance_id(lab: Lab) -> None:
    with lab.boot() as board:
        board.device.wait_ready()
        assert claims_of(lab, board)[256] == Identity(lab.huk).instance_id


def client_id(lab: Lab) -> None:
    with lab.boot() as board:
        board.device.wait_ready()
        assert claims_of(lab, board)[2394] == -1


def lifecycle(lab: Lab) -> None:
    for value in (0x1000, 0x3000):
        with lab.boot(otp=lab.otp(lifecycle=value)) as board:
            board.device.wait_ready()
            assert claims_of(lab, board)[2395] == value


def nonce_of_signatures(lab: Lab) -> None:
    with lab.boot() as board:
        board.device.wait_ready()
        tokens = [board.device.attest(os.urandom(32)) for _ in range(2)]
    for token in tokens:
        verify_sign1(token, Identity(lab.huk).key(1))
    assert tokens[0][-64:-32] != tokens[1][-64:-32], "two signatures with one r: the private key can be computed"


def out_of_reach(address: int) -> Check:
    def check(lab: Lab) -> None:
        with lab.boot() as board:
            board.device.wait_ready()
            board.device.infer(bytes(32), bytes(128))
            assert board.device.probe(address)["fault"]

    return check


def pointers(lab: Lab) -> None:
    with lab.boot() as board:
        board.device.wait_ready()
        # the challenge of a token from secure memory: its nonce would give the bytes away
        assert board.device.psa_call(0x40000103, 1001, [[0x38000010, 32]], [[0x21100000, 1024]]) == PROGRAMMER_ERROR


def no_key_in_the_log(lab: Lab) -> None:
    with lab.boot() as board:
        board.device.wait_ready()
        board.device.attest(bytes(32))
        board.device.infer(bytes(32), bytes(128))
        log = board.secure_log()
    for label in ("iak", "result", "client"):
        key = _private_key(lab.huk, f"tfm-harness/{label}/v1").private_numbers().private_value
        assert key.to_bytes(32).hex() not in log


def rollback(lab: Lab) -> None:
    newer = resign(lab.images / "nonsecure.bin", lab.path("newer.bin"), counter=5)
    with lab.boot(nspe=newer, remember=True) as board:
        board.device.wait_ready()
        activate(board, resign(model("sine"), lab.path("new.bin"), counter=5, name="wave").read_bytes())
        with pytest.raises(Refused):
            activate(board, resign(model("sine"), lab.path("old.bin"), counter=4, name="wave").read_bytes())
    with lab.boot(remember=True) as board:
        log = wait_for_log(board, "starting the non-secure image", "halted")
    assert "rolled back" in log


def unsigned_model(lab: Lab) -> None:
    unsigned = resign(model("sine"), lab.path("unsigned.bin"), key=None, name="wave")
    with lab.boot() as board:
        board.device.wait_ready()
        with pytest.raises(Refused):
            activate(board, unsigned.read_bytes())


MUTANTS: dict[str, Check] = {
    "BOOT_SEED_CONSTANT": fresh_seed,
    "ATTEST_OTHER_IMAGE": measured_software,
    "MODEL_NOT_MEASURED": measured_software,
    "INSTANCE_ID_NOT_KEYS": instance_id,
    "CLIENT_ID_POSITIVE": client_id,
    "LIFECYCLE_WRONG": lifecycle,
    "ECDSA_NONCE_REUSED": nonce_of_signatures,
    "MPC_BLOCK_NONSECURE": out_of_reach(WINDOW),
    "MODEL_READABLE": out_of_reach(MODEL_COPY),
    "SENSOR_NONSECURE": out_of_reach(SENSOR_I2C),
    "NS_POINTER_UNCHECKED": pointers,
    "KEY_IN_LOG": no_key_in_the_log,
    "ROLLBACK_ACCEPTED": rollback,
    "UNSIGNED_MODEL_ACCEPTED": unsigned_model,
}


@pytest.fixture(scope="session")
def right(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("NONE", tmp_path_factory.mktemp("right"))


def built(mutant: str, folder: Path) -> Path:
    command = ["make", "-s", "-j2", "-C", str(REFERENCE), f"MUTANT={mutant}", f"OUT={folder}"]
    subprocess.run(command, check=True, timeout=600)
    return folder


@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutant(mutant: str, right: Path, tmp_path: Path) -> None:
    (tmp_path / "right").mkdir()
    (tmp_path / "faulty").mkdir()
    MUTANTS[mutant](Lab(right, tmp_path / "right"))
    faulty = Lab(built(mutant, tmp_path / "out"), tmp_path / "faulty")
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        MUTANTS[mutant](faulty)
