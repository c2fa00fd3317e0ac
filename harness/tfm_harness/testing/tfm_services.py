"""Simulates TF-M's Crypto and Firmware Update services for raw calls, correct or with the fault of an advisory.

It is for tests of checks that call services. Keys and answers are real; of the memory there is only what calls need.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tfm_harness.protocol.smp.crypto_forms import CRYPTO_FORMS, CryptoForm
from tfm_harness.testing.smp_firmware import SmpFirmware

__all__ = ["CRYPTO_HANDLE", "UPDATE_HANDLE", "TfmServices"]

CRYPTO_HANDLE: Final = 0x40000100
"""Handle of the simulated Crypto service, as TF-M gives it out."""
UPDATE_HANDLE: Final = 0x40000107
"""Handle of the simulated Firmware Update service."""
_BAD_STATE, _INVALID, _NOT_EXIST, _SMALL, _FORBIDDEN, _NOT_SUPPORTED = -137, -135, -140, -138, -133, -134
_NO_MEMORY, _SIGNATURE, _PROGRAMMER = -141, -149, -129
_GROUPS: Final = {"hash_setup": "hash", "mac_sign_setup": "mac", "cipher_encrypt_setup": "cipher"}
_SHA_256: Final = 0x02000009
_AEADS: Final = {0x05100500: "ChaCha20Poly1305", 0x05500200: "AESGCM", 0x05500100: "AESCCM"}
_EXPORT: Final = 1
_OWN, _OF_OTHERS = 0x40000001, 0x40000003
_HEAP: Final = 40  # operations that were not freed
_BLOCK: Final = 1024
_DEPENDENCY: Final = 0x40
_MAGIC: Final = 0x96F3B83D
_START, _WRITE, _FINISH, _CANCEL, _INSTALL, _CLEAN, _REJECT, _REBOOT, _ACCEPT, _QUERY = range(1001, 1011)

Vectors = Sequence[Sequence[int]]


class TfmServices:
    """Adds to a firmware the commands ``probe`` and ``psa-call``, memory for them, and the two services.

    Args:
        firmware: the firmware to which the commands are added.
        base, size: the memory that the non-secure side may use.
        form: how calls of the Crypto service are packed.
        affected: the advisories whose fault it has: ``TFMV-3``, ``-4``, ``-5``, ``-6``, ``-9``.
    """

    def __init__(
        self, firmware: SmpFirmware, base: int, size: int, *, form: CryptoForm = CRYPTO_FORMS[0],
        affected: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        self.base, self.memory, self.form, self.affected = base, bytearray(size), form, affected
        self.dead = False
        self.keys: dict[int, tuple[int, int, int, bytes]] = {_OF_OTHERS: (0x2400, _EXPORT, 0, b"of a secure service")}
        self.operations: dict[int, str] = {}
        self.leaked = 0
        self.state = "ready"
        self.staged = bytearray()
        self._names = {number: name for name, number in form.functions.items()}
        firmware.commands[64, 7] = self._probe
        firmware.commands[64, 9] = self._call

    def _probe(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        at, size = asked["addr"] - self.base, asked["size"]
        if not 0 <= at <= len(self.memory) - size:
            return {"fault": True, "n": 1}
        if asked["op"] == 1:
            self.memory[at : at + size] = asked["val"].to_bytes(size, "little")
            return {"fault": False, "n": 0}
        return {"fault": False, "n": 0, "val": int.from_bytes(self.memory[at : at + size], "little")}

    def _call(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        services: dict[int, Callable[[int, list[bytes], Vectors], int]] = {
            CRYPTO_HANDLE: self._crypto, UPDATE_HANDLE: self._update
        }  # fmt: skip
        inputs = [bytes(self.memory[at - self.base : at - self.base + size]) for at, size in asked["in"]]
        service = services.get(asked["h"])
        return {"st": _PROGRAMMER if service is None else service(asked["type"], inputs, asked["out"])}

    def _put(self, vector: Sequence[int], data: bytes) -> int:
        if len(data) > vector[1]:
            return _SMALL
        at = vector[0] - self.base
        self.memory[at : at + len(data)] = data
        return 0

    # -- crypto

    def _crypto(self, kind: int, inputs: list[bytes], outputs: Vectors) -> int:
        form = self.form
        if kind != 0 or not inputs or len(inputs[0]) != form.size:
            return _PROGRAMMER
        packed = inputs[0]
        key, alg, operation = (
            struct.unpack_from("<I", packed, at)[0] for at in (form.key_id, form.alg, form.operation)
        )
        name = self._names.get(struct.unpack_from("<H", packed, form.function)[0], "")
        if name == "hash_compute":
            return self._put(outputs[0], hashlib.sha256(inputs[1]).digest()) if alg == _SHA_256 else _NOT_SUPPORTED
        if name in _GROUPS or name.endswith(("_finish", "_abort")):
            return self._part(name, operation, outputs)
        if name == "aead_decrypt":
            return self._open(key, alg, packed, inputs, outputs)
        return self._key(name, key, inputs, outputs)

    def _part(self, name: str, operation: int, outputs: Vectors) -> int:
        """Setup, finish or abort. The finish called here always fails."""
        if name in _GROUPS:
            if self.leaked >= _HEAP:
                return _NO_MEMORY
            handle = next(number for number in range(1, 9) if number not in self.operations)
            self.operations[handle] = _GROUPS[name]
            return self._put(outputs[0], struct.pack("<I", handle))
        if name.endswith("_abort"):
            self.operations.pop(operation, None)
            return 0
        if operation not in self.operations:
            return _BAD_STATE
        if "TFMV-3" in self.affected:  # memory that the library has allocated is lost
            self.leaked += 1
        return _BAD_STATE if self.operations[operation] == "cipher" else _SMALL

    def _key(self, name: str, key: int, inputs: list[bytes], outputs: Vectors) -> int:
        if name == "import_key":
            if len(inputs[1]) != (24 if "2.1" in self.form.releases else 20):
                return _PROGRAMMER
            kind, _, _, first, second, third = struct.unpack_from("<HHIIII", inputs[1])
            usage, alg = (first, second) if len(inputs[1]) == 24 else (second, third)
            self.keys[_OWN] = (kind, usage, alg, inputs[2])
            return self._put(outputs[0], struct.pack("<I", _OWN))
        if key == _OF_OTHERS and "TFMV-4" not in self.affected:
            return _NOT_EXIST
        if key not in self.keys:
            return _NOT_EXIST
        if name == "destroy_key":
            del self.keys[key]
            return 0
        if name != "export_key":
            return _NOT_SUPPORTED
        return self._put(outputs[0], self.keys[key][3]) if self.keys[key][1] & _EXPORT else _FORBIDDEN

    def _open(self, key: int, alg: int, packed: bytes, inputs: list[bytes], outputs: Vectors) -> int:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers import aead

        if key not in self.keys or alg not in _AEADS:
            return _NOT_EXIST
        cipher = getattr(aead, _AEADS[alg])(self.keys[key][3])
        length = struct.unpack_from("<I", packed, self.form.aead + 16)[0]
        nonce, sealed, more = packed[self.form.aead : self.form.aead + length], inputs[1], inputs[2]
        if "TFMV-6" in self.affected and alg == next(iter(_AEADS)):  # four bytes of the tag are compared
            stream = cipher.encrypt(nonce, bytes(len(sealed) - 16), b"")[:-16]
            text = bytes(one ^ other for one, other in zip(sealed[:-16], stream, strict=True))
            right = cipher.encrypt(nonce, text, more)
            return self._put(outputs[0], text) if right[-16:-12] == sealed[-16:-12] else _SIGNATURE
        try:
            return self._put(outputs[0], cipher.decrypt(nonce, sealed, more))
        except InvalidTag:
            return _SIGNATURE

    # -- firmware update

    def _update(self, kind: int, inputs: list[bytes], outputs: Vectors) -> int:
        if kind == _QUERY:
            return self._put(outputs[0], bytes(60))
        if kind == _WRITE:
            return self._write(inputs)
        if kind == _INSTALL:
            return self._install() if self.state == "candidate" else _BAD_STATE
        moves = {
            _START: ({"ready"}, "writing"), _FINISH: ({"writing"}, "candidate"),
            _CANCEL: ({"writing", "candidate"}, "failed"), _CLEAN: ({"failed"}, "ready"),
            _REJECT: ({"staged"}, "failed"),
        }  # fmt: skip
        if kind not in moves or self.state not in moves[kind][0]:
            return _BAD_STATE
        self.state = moves[kind][1]
        if kind == _START:
            self.staged.clear()
        return 0

    def _write(self, inputs: list[bytes]) -> int:
        if self.state != "writing":
            return _BAD_STATE
        at, block = struct.unpack("<I", inputs[1])[0], inputs[2]
        if len(block) > _BLOCK:
            self.dead = "TFMV-5" in self.affected  # it wrote over its stack
            return _INVALID
        self.staged[at : at + len(block)] = block
        return 0

    def _install(self) -> int:
        """Check the dependencies of the image that was written, as TF-M does for MCUboot."""
        magic, _, header, protected, size = struct.unpack_from("<IIHHI", self.staged)
        if magic != _MAGIC:
            return _INVALID
        at = header + size + 4
        end = header + size + protected
        while at < end:
            kind, length = struct.unpack_from("<HH", self.staged, at)
            if kind == _DEPENDENCY and length != 12:
                self.dead = "TFMV-9" in self.affected
                return _INVALID
            at += 4 + length
        self.state = "staged"
        return 1
