"""Model images: verified at boot and before activation, selected, updated, kept.

What the suite update shows as well, and takes long, is tried at night.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import tflite
from lab import NV_OFFSET, REFERENCE, Lab, flipped, resign
from qemu_board import QemuBoard
from smp_device import Refused
from test_verified_boot import other_key  # noqa: F401  # a fixture

INVALID_ARGUMENT, NOT_PERMITTED, DOES_NOT_EXIST = 135, 133, 140
STORAGE_FAILURE, INVALID_SIGNATURE = 146, 149
CHUNK = 2048


def model(name: str) -> Path:
    return REFERENCE / "models" / f"{name}.tflite"


def upload(board: QemuBoard, data: bytes, sha: bytes | None = None) -> bytes:
    sha = hashlib.sha256(data).digest() if sha is None else sha
    offset = 0
    while offset < len(data):
        body: dict[str, object] = {"off": offset, "data": data[offset : offset + CHUNK]}
        if offset == 0:
            body |= {"len": len(data), "sha": sha}
        after = board.device.write(14, body)["off"]
        assert after == offset + len(data[offset : offset + CHUNK])
        offset = after
    return sha


def activate(board: QemuBoard, data: bytes) -> dict[str, object]:
    return board.device.write(15, {"sha": upload(board, data)})


def refusal(board: QemuBoard, data: bytes) -> int:
    with pytest.raises(Refused) as refused:
        activate(board, data)
    assert refused.value.group == 64
    return refused.value.rc


def id_of(name: str) -> bytes:
    return hashlib.sha256(model(name).read_bytes()).digest()


def test_models_as_delivered(lab: Lab) -> None:
    with lab.boot() as board:
        assert board.device.wait_ready()["model"] == "tamper"
        seen = board.device.read(12)["models"]
        assert [(m["slot"], m["name"], m["st"], m["act"]) for m in seen] == [
            (0, "tamper", 0, True),
            (1, "sine", 0, False),
            (2, "keyword", 0, False),
        ]
        assert all(m["id"] == id_of(m["name"]) and m["len"] == model(m["name"]).stat().st_size for m in seen)


# The suite `update` offers all of these and more as updates; the way of the check at the boot is one for all.
@pytest.mark.parametrize(
    "how",
    [
        "tampered",
        "wrong key",
        *(pytest.param(how, marks=pytest.mark.nightly) for how in ("unsigned", "nspe", "garbage")),
    ],
)
def test_refused_at_boot(lab: Lab, images: Path, other_key: Path, how: str) -> None:  # noqa: F811
    good, bad = images / "tamper.signed.bin", lab.path("bad.bin")
    status, reason = INVALID_SIGNATURE, ""
    if how == "tampered":
        flipped(good, bad, 0x500)
        reason = "SHA-256 does not match the content"
    elif how == "unsigned":
        resign(model("tamper"), bad, key=None, name="tamper")
        reason = "not signed"
    elif how == "wrong key":
        resign(model("tamper"), bad, key=other_key, name="tamper")
        reason = "signed with another key"
    elif how == "nspe":
        bad.write_bytes((images / "nonsecure.signed.bin").read_bytes())
        status, reason = INVALID_ARGUMENT, "not an MCUboot image"
    else:
        bad.write_bytes(b"TFL3" * 1000)
        status, reason = INVALID_ARGUMENT, "not an MCUboot image"
    with lab.boot(models={0: bad}) as board:
        seen = board.device.wait_ready()
        assert seen["model"] == ""
        assert seen["mid"] == b""
        assert f"[BOOT] MODEL image in factory slot 0 refused: {reason}" in board.secure_log()
        assert "[BOOT] no model is active" in board.secure_log()
        assert board.device.read(12)["models"][0]["st"] in (status, -status)
        with pytest.raises(Refused):
            board.device.infer(bytes(32), bytes(128))
        assert board.device.write(13, {"name": "sine"})["mid"] == id_of("sine")
        with pytest.raises(Refused) as refused:
            board.device.write(13, {"name": "tamper"})
        assert refused.value.rc == DOES_NOT_EXIST


@pytest.mark.nightly
def test_select_is_kept(lab: Lab) -> None:
    with lab.boot(remember=True) as board:
        board.device.wait_ready()
        assert board.device.write(13, {"name": "sine"}) == {"name": "sine", "mid": id_of("sine")}
        board.device.reset()
        assert board.device.wait_ready()["model"] == "sine"
        for name in ("nobody", "", "x" * 16):
            with pytest.raises(Refused):
                board.device.write(13, {"name": name})
        assert board.device.describe()["model"] == "sine"
    with lab.boot(remember=True) as board:  # power was off
        assert board.device.wait_ready()["model"] == "sine"


@pytest.mark.nightly
def test_update(lab: Lab) -> None:
    newer = resign(model("sine"), lab.path("newer.bin"), counter=4, version="2.1.0", name="wave")
    with lab.boot(remember=True) as board:
        board.device.wait_ready()
        assert activate(board, newer.read_bytes()) == {"name": "wave", "mid": id_of("sine")}
        assert board.device.describe()["model"] == "wave"
        assert board.device.read(12)["models"][-1] == {
            "slot": 4,
            "name": "wave",
            "id": id_of("sine"),
            "ver": "2.1.0",
            "cnt": 4,
            "len": model("sine").stat().st_size,
            "st": 0,
            "act": True,
        }
        board.device.reset()
        assert board.device.wait_ready()["model"] == "wave"
        # the next update goes to the other bank; then it is the one that counts
        second = resign(model("keyword"), lab.path("second.bin"), counter=5, version="2.2.0", name="wave")
        assert activate(board, second.read_bytes())["mid"] == id_of("keyword")
        board.device.reset()
        assert board.device.wait_ready()["mid"] == id_of("keyword")
    with lab.boot(remember=True) as board:
        assert board.device.wait_ready()["mid"] == id_of("keyword")


def test_a_bank_changed_after_it_was_verified_is_not_run(lab: Lab, images: Path) -> None:
    """The banks are in external memory: what runs is a copy, and the copy is what the result names."""
    bank = NV_OFFSET + 0x100000
    with lab.boot(remember=True) as board:
        board.device.wait_ready()
        image = (images / "sine.signed.bin").read_bytes()
        assert activate(board, image)["mid"] == id_of("sine")
        with lab.nv.open("r+b") as file:
            file.seek(bank)
            assert file.read(len(image)) == image
            file.seek(bank + 0x400 + model("sine").stat().st_size - 1)
            last = file.read(1)[0]
            file.seek(-1, 1)
            file.write(bytes([last ^ 1]))
        with pytest.raises(Refused) as refused:
            board.device.infer(bytes(32), bytes(1))
        assert refused.value.rc == INVALID_SIGNATURE
        assert board.device.describe()["model"] == ""
        assert board.device.write(13, {"name": "tamper"})["mid"] == id_of("tamper")
        assert board.device.infer(bytes(32), bytes(128))


@pytest.mark.nightly
def test_refused_updates_change_nothing(lab: Lab, images: Path, other_key: Path) -> None:  # noqa: F811
    good = (images / "sine.signed.bin").read_bytes()

    def signed(name: str, **how: object) -> bytes:
        return resign(model("sine"), lab.path("update.bin"), name=name, **how).read_bytes()  # type: ignore[arg-type]

    with lab.boot() as board:
        board.device.wait_ready()
        assert activate(board, signed("tamper", counter=9))["name"] == "tamper"
        before = board.device.describe()
        tampered = bytearray(good)
        tampered[0x480] ^= 1
        assert refusal(board, bytes(tampered)) == INVALID_SIGNATURE
        assert refusal(board, signed("sine", key=other_key)) == INVALID_SIGNATURE
        assert refusal(board, signed("sine", key=None)) == INVALID_SIGNATURE
        assert refusal(board, signed("tamper", counter=8)) == NOT_PERMITTED
        assert refusal(board, (images / "nonsecure.signed.bin").read_bytes()) == INVALID_ARGUMENT
        assert refusal(board, good[:-1]) == INVALID_ARGUMENT
        assert refusal(board, b"\xff" * 500) == INVALID_ARGUMENT
        with pytest.raises(Refused) as refused:  # what arrived is not what was announced
            board.device.write(15, {"sha": upload(board, good, sha=bytes(32))})
        assert refused.value.rc == INVALID_SIGNATURE
        upload(board, good)
        with pytest.raises(Refused) as refused:
            board.device.write(15, {"sha": bytes(32)})
        assert refused.value.rc == DOES_NOT_EXIST
        assert board.device.describe() == before
        board.device.reset()
        assert board.device.wait_ready()["mid"] == before["mid"]
        assert "[BOOT] MODEL image tamper" in board.secure_log()


CUT, OTHER_OPERATOR, GARBAGE = "cut", "other operator", "garbage"


def signed_but_no_model(lab: Lab, how: str) -> bytes:
    """An image rightly signed, whose payload the interpreter does not take."""
    payload = bytearray(model("sine").read_bytes())
    if how == CUT:
        del payload[-200:]
    elif how == OTHER_OPERATOR:  # the first operator code, FULLY_CONNECTED, becomes LOGISTIC
        table = tflite.Model.GetRootAs(payload).OperatorCodes(0)._tab  # noqa: SLF001
        for slot in (4, 10):  # deprecated_builtin_code, builtin_code
            if table.Offset(slot):
                payload[table.Pos + table.Offset(slot)] = 14
    else:
        payload = bytearray(b"TFL3" * 500)
    path = lab.path("payload.tflite")
    path.write_bytes(payload)
    return resign(path, lab.path("no-model.bin"), name="no-model", counter=7).read_bytes()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (CUT, "not a well-formed .tflite model with one subgraph, one input and one output"),
        (OTHER_OPERATOR, "operator or operator option not supported"),
        (GARBAGE, "not a well-formed .tflite model with one subgraph, one input and one output"),
    ],
)
def test_a_signed_model_that_cannot_run_changes_nothing(lab: Lab, how: str, why: str) -> None:
    """Neither as an update, nor in a factory slot."""
    image = signed_but_no_model(lab, how)
    with lab.boot(remember=True) as board:
        before = board.device.wait_ready()
        outputs = board.device.batch(bytes(128))
        assert refusal(board, image) == INVALID_ARGUMENT
        assert f"[MODEL] no-model is signed, but no model for this device: {why}" in board.secure_log()
        assert board.device.describe() == before
        assert board.device.batch(bytes(128)) == outputs
        board.device.reset()
        assert board.device.wait_ready()["mid"] == before["mid"]
    with lab.boot(models={0: lab.path("no-model.bin")}) as board:
        assert board.device.wait_ready()["model"] == ""
        log = board.secure_log()
        assert "slot 0 refused: signed, but not a model that the interpreter takes" in log
        assert [m["st"] for m in board.device.read(12)["models"]] == [INVALID_ARGUMENT, 0, 0]
        assert board.device.write(13, {"name": "sine"})["mid"] == id_of("sine")
        assert board.device.infer(bytes(32), bytes(1))


@pytest.mark.nightly
def test_factory_model_rolled_back_by_an_update(lab: Lab) -> None:
    update = resign(model("tamper"), lab.path("update.bin"), counter=3, version="1.1.0", name="tamper")
    with lab.boot() as board:
        board.device.wait_ready()
        activate(board, update.read_bytes())
        board.device.write(13, {"name": "sine"})
        factory = board.device.read(12)["models"][0]
        assert factory["st"] in (NOT_PERMITTED, -NOT_PERMITTED)
        assert board.device.write(13, {"name": "tamper"})["name"] == "tamper"  # the update's
        assert [m["slot"] for m in board.device.read(12)["models"] if m["act"]] == [4]


@pytest.mark.nightly
def test_uploads_out_of_order(lab: Lab, images: Path) -> None:
    data = (images / "sine.signed.bin").read_bytes()
    sha = hashlib.sha256(data).digest()
    with lab.boot() as board:
        board.device.wait_ready()
        first = {"off": 0, "data": data[:100], "len": len(data), "sha": sha}
        assert board.device.write(14, first)["off"] == 100
        assert board.device.write(14, {"off": 500, "data": data[500:600]})["off"] == 100  # a gap
        assert board.device.write(14, first)["off"] == 100  # lost its answer: resume
        assert board.device.write(14, {"off": 100, "data": data[100:200]})["off"] == 200
        with pytest.raises(Refused):  # not all there yet
            board.device.write(15, {"sha": sha})
        with pytest.raises(Refused):  # more than announced
            board.device.write(14, {"off": 200, "data": bytes(len(data) - 100)[:3000] + bytes(3000)[:600]})
        for length in (0, 0x60001, 0xFFFFFFFF):
            with pytest.raises(Refused) as refused:
                board.device.write(14, {"off": 0, "data": b"x", "len": length, "sha": bytes(32)})
            assert refused.value.rc in (INVALID_ARGUMENT, 3)
        assert board.device.describe()["model"] == "tamper"


@pytest.mark.nightly
def test_no_room_for_another_security_counter(lab: Lab) -> None:
    """A model whose counter cannot be kept is refused; the one before stays, and stays over a reset."""
    payload = model("sine")
    with lab.boot() as board:
        board.device.wait_ready()
        installed = 14  # and the factory's one: 15 names
        for n in range(installed):
            activate(board, resign(payload, lab.path("m.bin"), name=f"m{n}").read_bytes())
        one_more = resign(payload, lab.path("m.bin"), name="one-more")
        assert refusal(board, one_more.read_bytes()) == STORAGE_FAILURE
        assert "[MODEL] not made active: its security counter cannot be stored" in board.secure_log()
        assert board.device.describe()["model"] == f"m{installed - 1}"
        newer = resign(payload, lab.path("m.bin"), name=f"m{installed - 1}", counter=2)
        assert activate(board, newer.read_bytes())["name"] == f"m{installed - 1}"  # its counter has a place
        board.device.reset()
        assert board.device.wait_ready()["model"] == f"m{installed - 1}"
        assert board.device.infer(bytes(32), bytes(1))
