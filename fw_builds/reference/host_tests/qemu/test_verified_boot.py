"""Verified boot: which non-secure images start, and what is said of the others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import cbor2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from expected import Identity, verify_sign1
from lab import ITS_COPIES, Lab, flipped, resign, wait_for_log
from qemu_board import QemuBoard
from smp import packet
from smp_device import Refused

REFUSED = "[BOOT] NSPE image refused: "
BAD_STATE = 137


@pytest.fixture
def other_key(tmp_path: Path) -> Path:
    path = tmp_path / "TEST_ONLY_other.pem"
    path.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


def test_the_image_as_built_starts(lab: Lab) -> None:
    with lab.boot() as board:
        assert board.device.wait_ready()["otp"] == "ok"
        assert "[BOOT] NSPE image 1.0.0 verified, security counter 1" in board.secure_log()


# The suite `boot` tries every part of an image and of the fuses: of those here one or two each, the others at night.
@pytest.mark.parametrize("at", [0x400, *(pytest.param(at, marks=pytest.mark.nightly) for at in (0x1000, -0x200))])
def test_tampered_payload(lab: Lab, images: Path, at: int) -> None:
    bad = flipped(images / "nonsecure.signed.bin", lab.path("bad.bin"), at)
    assert REFUSED + "SHA-256 does not match the content" in lab.log_of_refused_boot(nspe=bad)


def test_tampered_signature(lab: Lab, images: Path) -> None:
    bad = flipped(images / "nonsecure.signed.bin", lab.path("bad.bin"), -5)
    assert REFUSED + "signature does not verify" in lab.log_of_refused_boot(nspe=bad)


def test_unsigned(lab: Lab, images: Path) -> None:
    bad = resign(images / "nonsecure.bin", lab.path("bad.bin"), key=None)
    assert REFUSED + "not signed" in lab.log_of_refused_boot(nspe=bad)


def test_wrong_key(lab: Lab, images: Path, other_key: Path) -> None:
    bad = resign(images / "nonsecure.bin", lab.path("bad.bin"), key=other_key)
    assert REFUSED + "signed with another key" in lab.log_of_refused_boot(nspe=bad)


def test_truncated(lab: Lab, images: Path) -> None:
    data = (images / "nonsecure.signed.bin").read_bytes()
    for cut in (8, 0x400, len(data) // 2, len(data) - 1):
        lab.path("bad.bin").write_bytes(data[:cut])
        assert REFUSED in lab.log_of_refused_boot(nspe=lab.path("bad.bin"))


def test_blank(lab: Lab) -> None:
    lab.path("blank.bin").write_bytes(b"\xff" * 64)
    assert REFUSED + "no image" in lab.log_of_refused_boot(nspe=lab.path("blank.bin"))


def test_model_image_as_nspe(lab: Lab, images: Path) -> None:
    assert REFUSED + "it is a model image" in lab.log_of_refused_boot(nspe=images / "tamper.signed.bin")


def test_signed_but_vectors_point_elsewhere(lab: Lab) -> None:
    for vectors in (
        (0x30001000, 0x01000411),  # stack in secure memory
        (0x21001000, 0x10000101),  # reset handler in secure code
        (0x21001000, 0x01000410),  # not Thumb
        (0x21001004, 0x01000411),  # stack not aligned
    ):
        payload = lab.path("payload.bin")
        payload.write_bytes(b"".join(word.to_bytes(4, "little") for word in vectors) + bytes(64))
        bad = resign(payload, lab.path("bad.bin"))
        assert REFUSED + "its vectors point outside its memory" in lab.log_of_refused_boot(nspe=bad)


def test_rollback(lab: Lab, images: Path) -> None:
    newer = resign(images / "nonsecure.bin", lab.path("newer.bin"), counter=5, version="2.0.0")
    same = resign(images / "nonsecure.bin", lab.path("same.bin"), counter=5, version="2.0.1")
    with lab.boot(nspe=newer, remember=True) as board:
        assert board.device.wait_ready()["ver"] == "2.0.0"
    log = lab.log_of_refused_boot(remember=True)
    assert REFUSED + "rolled back (security counter too low)" in log
    assert "[BOOT] NSPE image: security counter 1, this device has seen 5" in log
    with lab.boot(nspe=same, remember=True) as board:
        assert board.device.wait_ready()["ver"] == "2.0.1"
    with lab.boot() as board:  # another board, that has never seen the newer one
        assert board.device.wait_ready()["ver"] == "1.0.0"


def test_key_of_another_owner_in_otp(lab: Lab) -> None:
    log = lab.log_of_refused_boot(otp=lab.otp(nspe_key=bytes(range(32)), model_key=lab.trusted))
    assert REFUSED + "signed with another key" in log
    assert f"[BOOT] NSPE image: key hash {lab.trusted[:4].hex()}..., trusted 00010203..." in log


def assert_refuses_to_sign(board: QemuBoard) -> None:
    device = board.device
    requests: tuple[Callable[[], object], ...] = (
        lambda: device.attest(os.urandom(32)),
        lambda: device.read(4, {"len": 32}),
        lambda: device.csr(2),
        lambda: device.csr(3),
        lambda: device.infer(os.urandom(32), bytes(128)),
    )
    for request in requests:
        with pytest.raises(Refused) as refused:
            request()
        assert (refused.value.group, refused.value.rc) == (64, BAD_STATE)


@pytest.mark.parametrize("fill", [b"\x00", b"\xff"])
def test_empty_otp(lab: Lab, fill: bytes) -> None:
    with lab.boot(otp=fill * 256) as board:
        seen = board.device.wait_ready()
        assert seen["otp"] == "empty"
        assert seen["uuid"] == ""
        assert "[SPE] OTP empty: no identity, signing refused" in board.secure_log()
        assert_refuses_to_sign(board)
        with pytest.raises(Refused) as refused:
            board.device.public_key(1)
        assert refused.value.rc == BAD_STATE


@pytest.mark.parametrize(
    "bit",
    [
        0,
        8 * 0x30 + 3,
        *(pytest.param(bit, marks=pytest.mark.nightly) for bit in (8 * 0x10, 8 * 0xA0, 8 * 0xDF + 7, 8 * 0xFF + 7)),
    ],
)
def test_flipped_otp_bit(lab: Lab, bit: int) -> None:
    otp = bytearray(lab.otp())
    otp[bit // 8] ^= 1 << bit % 8
    with lab.boot(otp=bytes(otp)) as board:
        assert board.device.wait_ready()["otp"] == "corrupt"
        assert "[SPE] OTP corrupt: no identity, signing refused" in board.secure_log()
        assert_refuses_to_sign(board)


def test_no_entropy(lab: Lab) -> None:
    with lab.boot(entropy=bytes(64)) as board:
        seen = board.device.wait_ready()
        assert seen["seed"] == b""
        assert "[SPE] no entropy: no boot seed, signing refused" in board.secure_log()
        assert_refuses_to_sign(board)
        assert board.device.public_key(1)  # known all the same


def test_boot_count_and_seed(lab: Lab) -> None:
    seeds = []
    with lab.boot(remember=True) as board:
        for boot in range(3):
            seen = board.device.wait_ready()
            assert seen["boot"] == boot
            seeds.append(seen["seed"])
            board.device.reset()
    lab.entropy = os.urandom(32)
    with lab.boot(remember=True) as board:
        seen = board.device.wait_ready()
        assert seen["boot"] == 0
        seeds.append(seen["seed"])
    assert len(set(seeds)) == 4


def test_corrupt_nv_memory_stops_the_device(lab: Lab) -> None:
    """Its security counters are in there: going on without them would allow a rollback."""
    with lab.boot(remember=True) as board:
        board.device.wait_ready()
    with lab.nv.open("r+b") as file:
        for copy in ITS_COPIES:
            damage(file, copy)
    assert "halted: NV area corrupt" in lab.log_of_refused_boot(remember=True)


def counter_of(board: QemuBoard, lab: Lab) -> int:
    """The monotonic counter of a new result."""
    size = board.device.describe()["in"]
    result = board.device.infer(os.urandom(16), bytes(size))["res"]
    return int(verify_sign1(result, Identity(lab.huk).key(2))[-70005])


def damage(file: BinaryIO, copy: int) -> None:
    file.seek(copy + 16)
    byte = file.read(1)[0]
    file.seek(copy + 16)
    file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("copy", ITS_COPIES)
def test_one_damaged_nv_copy_loses_nothing(lab: Lab, copy: int) -> None:
    """Neither the model chosen, nor a count of boots: a seed or a result's counter would come twice."""
    with lab.boot(remember=True) as board:
        board.device.wait_ready()
        board.device.write(13, {"name": "sine"})
        before = counter_of(board, lab)
    with lab.nv.open("r+b") as file:
        damage(file, copy)
    with lab.boot(remember=True) as board:  # the same entropy: for the device it is the next boot
        seen = board.device.wait_ready()
        assert (seen["model"], seen["boot"]) == ("sine", 1)
        assert counter_of(board, lab) == before + 1


def test_nv_memory_without_its_marks_is_not_taken_for_new(lab: Lab) -> None:
    with lab.boot(remember=True) as board:
        board.device.wait_ready()
    with lab.nv.open("r+b") as file:
        for copy in ITS_COPIES:
            file.seek(copy)
            file.write(bytes(4))
    assert "halted: NV area corrupt" in lab.log_of_refused_boot(remember=True)


def test_power_cuts_never_repeat_a_counter(lab: Lab) -> None:
    """The power goes while a result is made: before, in, or after the write of its counter."""
    highest = 0
    for cut in range(6):
        with lab.boot(remember=True) as board:
            device = board.device
            device.wait_ready()
            counter = counter_of(board, lab)
            assert counter > highest
            highest = counter
            for _ in range(cut):
                request = device.encode(2, 64, 2, {"nonce": bytes(16), "src": 1, "in": bytes(128)})
                device.send_raw(b"".join(packet.encode(request)))
            if cut % 2:
                answer = cbor2.loads(device.receive()[8:])
                highest = verify_sign1(answer["res"], Identity(lab.huk).key(2))[-70005]
            # leaving the block kills QEMU, whatever it is at


def test_log_of_a_boot(lab: Lab) -> None:
    with lab.boot() as board:
        board.device.wait_ready()
        log = wait_for_log(board, "starting the non-secure image")
    lines = log.split("\n")
    assert lines[-1] == ""
    assert all(line.startswith(("[SPE] ", "[BOOT] ")) for line in lines[:-1]), log
