"""TF-M's security advisories, as far as calls from the non-secure side show them, on firmware that has the services."""

from __future__ import annotations

import contextlib
import hashlib
import struct
from collections.abc import Iterator, Sequence

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from tfm_harness import Bench, Check, Checks, Device, HarnessError, ProductError, ResetKind, ServiceConfig
from tfm_harness.protocol.smp import CRYPTO_FORMS, CryptoForm
from tfm_harness.testing import ImageRecipe, make_image

pytestmark = pytest.mark.needs("psa-call", "probe", "memory-map", "services", "describe")

NOT_SUPPORTED, GENERIC_ERROR = -134, -132
SHA_256, HMAC_SHA_256, CBC, CCM, GCM, CHACHA20_POLY1305 = (
    0x02000009, 0x03800009, 0x04404000, 0x05500100, 0x05500200, 0x05100500,
)  # fmt: skip
HMAC_KEY, AES_KEY, CHACHA20_KEY = 0x1100, 0x2400, 0x2004
EXPORT, ENCRYPT, DECRYPT, SIGN = 0x1, 0x100, 0x200, 0x1400
"""Of PSA Cryptography API 1.1: psa_algorithm_t, psa_key_type_t, psa_key_usage_t."""
CRYPTO_CALL = 0
START, WRITE, FINISH, CANCEL, INSTALL, CLEAN, REJECT = range(1001, 1008)
"""Message types of TF-M's Crypto and Firmware Update services (PSA Firmware Update API 1.0)."""
ROUNDS = 1000
TOGETHER = 10
NEIGHBOURS = 16
BUILT_IN_KEYS = range(0x7FFF815B, 0x7FFF815F)
"""TF-M's HUK, IAK and what follows (``tfm_builtin_key_ids.h``)."""
BLOCKS = (1025, 2048, 4096, 12288)
COMPONENTS = range(4)
DEPENDENCY, LONG = 0x40, 0x400
"""The TLV, whose value has 12 bytes where it is right (MCUboot, ``struct image_dependency``)."""
ROOM = 0x8000
PIECE = 512

ABORT = Check(
    id="advisory.abort-frees",
    title="operations that fail and are aborted use up nothing",
    requirement="TFMV-3 (CVE-2021-32032); PSA Cryptography API 1.1, multi-part operations",
)
OWNER = Check(
    id="advisory.keys-of-others",
    title="no key of another owner can be exported by its id",
    requirement="TFMV-4 (CVE-2021-40327); PSA Cryptography API 1.1, key identifiers",
)
BLOCK = Check(
    id="advisory.update-block",
    title="no block of an update is too large for the update service",
    requirement="TFMV-5 (CVE-2021-43619); PSA Firmware Update API 1.0, psa_fwu_write",
)
TAG = Check(
    id="advisory.whole-tag",
    title="every byte of a tag, of the ciphertext and of the additional data is authenticated",
    requirement="TFMV-6 (CVE-2023-40271); PSA Cryptography API 1.1, psa_aead_decrypt",
)
TLV = Check(
    id="advisory.dependency-length",
    title="an image with a dependency of a wrong length is refused, and the update service lives on",
    requirement="TFMV-9 (CVE-2025-53022)",
)


class Caller:
    """Calls one service with inputs that it writes into the tests' memory."""

    def __init__(self, bench: Bench, device: Device, service: ServiceConfig) -> None:
        scratch = bench.memory_map.scratch
        if scratch is None or scratch[1] < ROOM:
            pytest.skip(f"not covered: the memory map names no {ROOM} bytes of non-secure RAM that tests may use")
        self.bench, self.device, self.commands, self.handle = bench, device, device.test_commands, service.handle
        self.inputs, self.outputs = scratch[0], scratch[0] + 0x6000
        self.service = service

    def vectors(self, inputs: Sequence[bytes]) -> list[tuple[int, int]]:
        """Write them side by side; where each one is, and its length."""
        found, at = [], self.inputs
        for data in inputs:
            self.commands.poke(at, data)
            found.append((at, len(data)))
            at += (len(data) + 7) & ~7
        return found

    def room(self, *sizes: int) -> list[tuple[int, int]]:
        """Outputs of these sizes."""
        return [(self.outputs + 0x400 * number, size) for number, size in enumerate(sizes)]

    def output(self, number: int, size: int) -> bytes:
        """What a call wrote there."""
        return self.commands.peek(self.outputs + 0x400 * number, (size + 3) & ~3)[:size]

    def call(self, kind: int, inputs: Sequence[bytes], *outputs: int) -> int:
        """One call; its psa_status_t."""
        return self.commands.psa_call(self.handle, kind, self.vectors(inputs), self.room(*outputs))

    def serves(self) -> bool:
        """Whether the device answers, and the service's calls that the YAML names still work."""
        return all(self.call(one.type, one.inputs, *one.outputs) >= 0 for one in self.service.calls)


class Crypto(Caller):
    """TF-M's Crypto service, in the form in which this firmware gives a known answer."""

    form: CryptoForm

    def find_form(self) -> None:
        for self.form in CRYPTO_FORMS:
            if self.hashes():
                return
        pytest.skip(f"not covered: the crypto service hashes in none of the {len(CRYPTO_FORMS)} forms known of TF-M's")

    def ask(
        self, function: str, others: Sequence[bytes] = (), *outputs: int, key: int = 0, alg: int = 0, operation: int = 0
    ) -> int:
        """Call a function of the Crypto API."""
        packed = self.form.pack(function, key=key, alg=alg, operation=operation)
        return self.call(CRYPTO_CALL, [packed, *others], *outputs)

    def hashes(self) -> bool:
        """Whether SHA-256 of a text comes out right."""
        text = b"TF-M advisories"
        status = self.ask("hash_compute", [text], 32, alg=SHA_256)
        return status == 0 and self.output(0, 32) == hashlib.sha256(text).digest()

    @contextlib.contextmanager
    def key(self, kind: int, data: bytes, usage: int, alg: int) -> Iterator[int]:
        """A key of the non-secure side's own; its id."""
        statuses = []
        for attributes in self.form.attributes(kind, 8 * len(data), usage, alg):
            statuses.append(self.ask("import_key", [attributes, data], 4))
            if statuses[-1] == 0:
                break
        else:
            pytest.skip(f"not covered: the crypto service refuses such a key ({', '.join(map(str, statuses))})")
        number = int.from_bytes(self.output(0, 4), "little")
        try:
            yield number
        finally:
            self.ask("destroy_key", key=number)


@pytest.fixture
def crypto(bench: Bench, device: Device) -> Crypto:
    """Such a service."""
    service = bench.services.get("crypto")
    if service is None:
        pytest.skip("not covered: the firmware names no service `crypto` for non-secure clients")
    found = Crypto(bench, device, service)
    found.find_form()
    return found


@pytest.fixture
def update(bench: Bench, device: Device) -> Caller:
    """The Firmware Update service."""
    service = bench.services.get("firmware-update")
    if service is None:
        pytest.skip("not covered: the firmware names no service `firmware-update` for non-secure clients")
    if not service.calls:
        pytest.skip(
            "not covered: the YAML names no working call of `firmware-update` to show that the service still answers"
        )
    return Caller(bench, device, service)


def started_anew(bench: Bench, device: Device) -> bool:
    """The hardest reset of the board, after a call that killed the device; False where the board has no reset."""
    kinds = ("cold-reset", ResetKind.COLD), ("warm-reset", ResetKind.WARM)
    kind = next((kind for word, kind in kinds if not bench.missing([word])), None)
    if kind is not None:
        device.reset(kind)
    return kind is not None


def died(error: HarnessError) -> bool:
    """Whether the device may have died: a firmware that answered until this call is silent now."""
    return isinstance(error, ProductError) or error.kind == "smp-timeout"


OPERATIONS = {
    "hash": ("hash_setup", SHA_256, "hash_finish", "hash_abort", None),
    "MAC": ("mac_sign_setup", HMAC_SHA_256, "mac_sign_finish", "mac_abort", (HMAC_KEY, 32, SIGN)),
    "cipher": ("cipher_encrypt_setup", CBC, "cipher_finish", "cipher_abort", (AES_KEY, 16, ENCRYPT)),
}
"""A finish that must fail: a hash and a MAC into half the room, a cipher without its IV."""


@pytest.mark.thorough
@pytest.mark.parametrize("kind", OPERATIONS)
def test_aborted_operations_use_up_nothing(bench: Bench, crypto: Crypto, checks: Checks, kind: str) -> None:
    setup, alg, finish, abort, wanted = OPERATIONS[kind]
    with contextlib.ExitStack() as stack:
        number = 0
        if wanted is not None:
            key_kind, size, usage = wanted
            number = stack.enter_context(crypto.key(key_kind, bytes(range(size)), usage, alg))

        def one() -> tuple[tuple[int, int, int], int]:
            began = crypto.ask(setup, (), 4, key=number, alg=alg)
            handle = int.from_bytes(crypto.output(0, 4), "little")
            ended = crypto.ask(finish, (), 4, 16, operation=handle)
            return (began, ended, crypto.ask(abort, (), 4, operation=handle)), handle

        first, handle = one()
        if first[0] == NOT_SUPPORTED:
            pytest.skip(f"not covered: the crypto service has no {kind} in several parts")
        checks(ABORT, refused(first), expected="setup, a refused finish, abort", seen=first, subject=kind)
        second, again = one()
        done, statuses = 2, second
        try:
            while refused(statuses) and done < ROUNDS:
                if handle == again:  # so will it be the next time, and many can be sent together
                    packed = [crypto.form.pack(setup, key=number, alg=alg)]
                    packed += [crypto.form.pack(name, operation=handle) for name in (finish, abort)]
                    vectors, rooms = crypto.vectors(packed), (crypto.room(4), crypto.room(4, 16), crypto.room(4))
                    calls = [
                        (crypto.handle, CRYPTO_CALL, [vector], room)
                        for vector, room in zip(vectors, rooms, strict=True)
                    ]
                    crypto.commands.psa_call_many(calls * TOGETHER)
                    done += TOGETHER
                statuses, again = one()  # the verdict is from what is asked step by step
                done += 1
            served = crypto.hashes()
        except HarnessError as error:
            if not died(error):
                raise
            checks(ABORT, False, expected="answers", seen=error.message, subject=f"{kind}, round {done}")
            started_anew(bench, crypto.device)
            return
        checks(ABORT, refused(statuses), expected="as the first time", seen=statuses, subject=f"{kind}, round {done}")
    checks(ABORT, served, expected="a right hash", seen="none", subject=f"after {done} times {kind}")
    if not bench.missing(["psa-token"]):
        crypto.device.attest()


def refused(statuses: tuple[int, int, int]) -> bool:
    """Whether setup and abort succeeded, and the finish between them did not."""
    began, ended, aborted = statuses
    return began == 0 and ended < 0 and aborted == 0


def test_keys_of_others_stay_there(crypto: Crypto, checks: Checks) -> None:
    """Tries ids next to the caller's own key id, where another client's keys would be, and ids of built-in keys."""
    mine = bytes(range(100, 116))
    with crypto.key(AES_KEY, mine, EXPORT, CBC) as number:
        status = crypto.ask("export_key", (), 64, key=number)
        if status != 0 or crypto.output(0, 16) != mine:
            pytest.skip(f"not covered: the crypto service does not export a key to its owner ({status})")
        near = [number + step for step in range(-NEIGHBOURS, NEIGHBOURS + 1) if step and 0 < number + step < 1 << 32]
        given = []
        for other in (*near, *BUILT_IN_KEYS):
            crypto.commands.poke(crypto.inputs + crypto.form.key_id, struct.pack("<I", other))
            vector = [(crypto.inputs, crypto.form.size)]
            if crypto.commands.psa_call(crypto.handle, CRYPTO_CALL, vector, crypto.room(64)) == 0:
                given.append(f"{other:#x}")
    checks(
        OWNER, not given, expected="refusals", seen=", ".join(given),
        subject=f"{len(near)} ids beside {number:#x}, {len(BUILT_IN_KEYS)} built-in keys",
    )  # fmt: skip


AEADS: dict[str, tuple[int, int, int, int, type[ChaCha20Poly1305 | AESGCM | AESCCM]]] = {
    "ChaCha20-Poly1305": (CHACHA20_POLY1305, CHACHA20_KEY, 32, 12, ChaCha20Poly1305),
    "AES-GCM": (GCM, AES_KEY, 16, 12, AESGCM),
    "AES-CCM": (CCM, AES_KEY, 16, 13, AESCCM),
}


@pytest.mark.parametrize("name", AEADS)
def test_a_tag_is_compared_whole(crypto: Crypto, checks: Checks, name: str) -> None:
    alg, kind, size, nonce_size, cipher = AEADS[name]
    key, nonce, text, more = bytes(range(size)), bytes(range(nonce_size)), b"sixteen bytes ok", b"and more"
    sealed = cipher(key).encrypt(nonce, text, more)
    with crypto.key(kind, key, DECRYPT, alg) as number:
        packed = crypto.form.pack("aead_decrypt", key=number, alg=alg, nonce=nonce)
        vectors = crypto.vectors([packed, sealed, more])

        def opened() -> bool:
            return crypto.commands.psa_call(crypto.handle, CRYPTO_CALL, vectors, crypto.room(len(text))) >= 0

        if not opened() or crypto.output(0, len(text)) != text:
            pytest.skip(f"not covered: the crypto service does not open {name}")
        taken = []
        places = [("ciphertext", 1, 0), ("ciphertext", 1, 15), ("additional data", 2, 0), ("additional data", 2, 7)]
        for what, vector, at in (*places, *(("tag", 1, len(text) + byte) for byte in range(16))):
            data = (sealed, more)[vector - 1]
            word = data[at & ~3 : (at & ~3) + 4]
            wrong = bytes(byte ^ (n == at & 3) << at % 8 for n, byte in enumerate(word))
            crypto.commands.poke(vectors[vector][0] + (at & ~3), wrong)
            if opened():
                taken.append(f"{what}, byte {at - len(text) if what == 'tag' else at}")
            crypto.commands.poke(vectors[vector][0] + (at & ~3), word)
    checks(TAG, not taken, expected="refusals", seen="; ".join(taken), subject=f"{name}, one bit changed")


class Staging:
    """A component whose next image may be written; nothing of it is left afterwards."""

    def __init__(self, update: Caller) -> None:
        self.update = update
        statuses = []
        for self.component in COMPONENTS:
            statuses.append(self.ask(START, b""))
            if statuses[-1] == 0:
                return
        pytest.skip(f"not covered: no component's update can be started ({', '.join(map(str, statuses))})")

    def ask(self, kind: int, *others: bytes) -> int:
        """One call about this component."""
        return self.update.call(kind, [bytes([self.component]), *others])

    def write(self, offset: int, block: bytes) -> int:
        """One block."""
        return self.ask(WRITE, struct.pack("<I", offset), block)

    def give_up(self) -> None:
        """Whatever state it is in."""
        self.update.call(REJECT, [struct.pack("<i", GENERIC_ERROR)])
        self.ask(CANCEL)
        self.ask(CLEAN)


@contextlib.contextmanager
def survived(update: Caller, checks: Checks, check: Check, subject: str) -> Iterator[Staging]:
    """The device and its service must still work after what the block does with an update, which is then given up."""
    staging, alive = Staging(update), True
    try:
        yield staging
        checks(check, update.serves(), expected="a service that answers", seen="none", subject=subject)
    except HarnessError as error:
        if not died(error):
            raise
        checks(check, False, expected="an answer", seen=error.message, subject=subject)
        alive = started_anew(update.bench, update.device)
    finally:
        if alive:
            with contextlib.suppress(HarnessError):
                staging.give_up()
    if not alive:
        pytest.skip("not covered: the board has no reset, so nothing else of the service is tried")


def test_large_blocks_of_an_update(update: Caller, checks: Checks) -> None:
    """A large block is refused, or accepted where there is room. Memory behind the room stays unchanged."""
    for size in BLOCKS:
        with survived(update, checks, BLOCK, f"a block of {size} bytes") as staging:
            staging.write(0, b"\xa5" * size)


def test_a_dependency_of_a_wrong_length(update: Caller, checks: Checks) -> None:
    """The image is otherwise as MCUboot wants it, and is not signed."""
    recipe = ImageRecipe(payload=bytes(64), name="", protected=((DEPENDENCY, b"\xa5" * LONG),))
    image = make_image(recipe)
    with survived(update, checks, TLV, f"a dependency of {LONG} bytes") as staging:
        for at in range(0, len(image), PIECE):
            status = staging.write(at, image[at : at + PIECE])
            if status != 0:
                pytest.skip(f"not covered: the update service does not take an image ({status} at {at:#x})")
        finished = staging.ask(FINISH)
        if finished < 0:
            pytest.skip(f"not covered: the update service refuses the image before it is installed ({finished})")
        installed = update.call(INSTALL, [])
        if installed >= 0:
            pytest.skip(f"not covered: dependencies are not looked at before the restart ({installed})")
        checks(TLV, True, expected="a refusal", seen=installed, subject=f"a dependency of {LONG} bytes")
