"""OTP, entropy and identity of virtual boards."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest
from tfm_harness.boards.board_store import BoardStore
from tfm_harness.boards.otp_layout import ENTROPY_SIZE, OTP_SIZE, default_implementation_id, make_entropy, make_otp
from tfm_harness.boards.provision import key_hash
from tfm_harness.errors import InfrastructureError

from tests.scripts import load_script

ROOT = Path(__file__).resolve().parents[2]
KEY = b"""-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt
6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==
-----END PUBLIC KEY-----
"""
"""P-256's generator: a public key whose private part is 1, TEST_ONLY."""
HUK = bytes(range(32))
IMPLEMENTATION = bytes(range(100, 132))


def test_layout_is_that_of_the_protocol_page() -> None:
    otp = make_otp(
        huk=HUK,
        lifecycle=0x3000,
        implementation_id=IMPLEMENTATION,
        certification_reference="1234567890123-12345",
        verification_service="https://verifier.example",
        image_key_hash=b"\x11" * 32,
        model_key_hash=b"\x22" * 32,
    )
    assert len(otp) == OTP_SIZE
    assert otp[:16].hex() == "54464d4f010000010030000000000000"
    assert otp[0x10:0x30] == HUK
    assert otp[0x30:0x50] == IMPLEMENTATION
    assert otp[0x50:0x64] == b"1234567890123-12345\0"
    assert otp[0x64:0xA0] == b"https://verifier.example".ljust(60, b"\0")
    assert otp[0xA0:0xE0] == b"\x11" * 32 + b"\x22" * 32
    assert otp[0xE0:] == hashlib.sha256(otp[:0xE0]).digest()
    plain = make_otp(huk=HUK, lifecycle=0x3000, implementation_id=IMPLEMENTATION)
    assert plain[0x50:0xE0] == bytes(0x90)


@pytest.mark.parametrize(
    "wrong",
    [
        {"huk": HUK[:31]},
        {"implementation_id": b""},
        {"lifecycle": 0x10000},
        {"lifecycle": -1},
        {"certification_reference": "1" * 21},
        {"verification_service": "x" * 61},
        {"verification_service": "https://vérifier"},
        {"image_key_hash": b"1"},
    ],
)
def test_fields_that_do_not_fit(wrong: dict[str, object]) -> None:
    fields: dict[str, object] = {"huk": HUK, "lifecycle": 0x3000, "implementation_id": IMPLEMENTATION, **wrong}
    with pytest.raises(ValueError, match=r"must|at most|ascii"):
        make_otp(**fields)  # type: ignore[arg-type]


def test_entropy_is_fresh_unless_given() -> None:
    assert make_entropy(HUK) == b"TFME" + bytes(4) + HUK + bytes(24)
    assert len(make_entropy()) == ENTROPY_SIZE
    assert make_entropy() != make_entropy()
    with pytest.raises(ValueError, match="32 bytes"):
        make_entropy(b"short")


def test_the_firmwares_own_tool_makes_the_same_bytes(tmp_path: Path) -> None:
    tool = ROOT / "fw_builds" / "reference" / "tools" / "virtual_board.py"
    module = load_script(tool, "firmware_virtual_board")
    theirs = module.make_otp(HUK, module.key_hash(KEY), lifecycle=0x1000, implementation_id=IMPLEMENTATION)
    key_file = tmp_path / "key.pem"
    key_file.write_bytes(KEY)
    digest = key_hash(key_file)
    assert theirs == make_otp(
        huk=HUK, lifecycle=0x1000, implementation_id=IMPLEMENTATION, image_key_hash=digest, model_key_hash=digest
    )
    assert module.make_entropy(HUK) == make_entropy(HUK)


def test_identities(tmp_path: Path) -> None:
    stores = [BoardStore(tmp_path / "boards" / name) for name in ("a", "b")]
    for store in stores:
        store.open()
    first, second = (store.huk() for store in stores)
    assert first != second
    assert BoardStore(tmp_path / "boards" / "a").huk() == first
    for path in stores[0].folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    stores[0].remove()
    stores[0].open()
    assert stores[0].huk() not in {first, second}
    assert default_implementation_id("m1") != default_implementation_id("m2")


@pytest.mark.parametrize("content", [b"", b"short", bytes(32), b"\xff" * 32, bytes(range(33))])
def test_damaged_identity_is_not_used(tmp_path: Path, content: bytes) -> None:
    store = BoardStore(tmp_path / "a")
    store.open()
    store.huk()
    (tmp_path / "a" / "huk.TEST_ONLY.bin").write_bytes(content)
    with pytest.raises(InfrastructureError, match="damaged") as caught:
        store.huk()
    assert caught.value.kind == "identity"


def first_bytes(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(7)


def test_nv_memory_is_sparse_and_kept(tmp_path: Path) -> None:
    store = BoardStore(tmp_path / "a")
    store.open()
    path = store.nv(2 << 30)
    assert path.stat().st_size == 2 << 30
    assert path.stat().st_blocks * 512 < 1 << 20
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with path.open("r+b") as stream:
        stream.write(b"counter")
    assert first_bytes(store.nv(2 << 30)) == b"counter"
    assert first_bytes(store.nv(1 << 30)) == bytes(7)  # another size is another memory
    store.erase_nv()
    store.erase_nv()
    assert not path.exists()


def test_state_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError, match="state-dir"):
        BoardStore(tmp_path / "file" / "board").open()
