"""Uploads: every offset and length of a chunk, the announcement and the file, and what may be activated."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest
from tfm_harness import Check, Device, ModelUpdates, Refused
from tfm_harness.protocol.smp import Command, status_of
from tfm_harness.testing import flip

pytestmark = pytest.mark.needs("update", "models", "file-model-signing-key", "factory-reset")

INVALID_SIGNATURE, INVALID_ARGUMENT, DOES_NOT_EXIST = -149, -135, -140
MALFORMED = 3
"""SMP's EINVAL: a number or map that the request cannot hold."""
ROOM = 0x60000
"""Bytes of an update bank (docs/protocol.md)."""

OFFSET = Check(
    id="update.offset-checked",
    title="a chunk at an offset that is not the next one is not taken, wherever it points",
    requirement="MCUmgr SMP image upload (`off`: the offset expected next); CWE-787",
)
LENGTH = Check(
    id="update.chunk-length-checked",
    title="a chunk that goes beyond the announced length is refused and changes nothing",
    requirement="MCUmgr SMP image upload (`len`); CWE-787",
)
FIRST_CHUNK = Check(
    id="update.announcement-needed",
    title="the first chunk announces length and digest, and only the first does",
    requirement="docs/protocol.md, model-upload",
)
RESUMED = Check(
    id="update.upload-resumes",
    title="the same announcement goes on where the upload stopped, another one begins anew",
    requirement="MCUmgr SMP image upload (`sha`: resuming)",
)
TIMES = 33
"""Activations in one boot."""
WHOLE = Check(
    id="update.upload-survives",
    title="after chunks that were not taken the right upload still succeeds, byte for byte",
    requirement="RFC 9019 s.3.4 (failed updates are recoverable)",
)
AGAIN = Check(
    id="update.activated-again",
    title="what was uploaded is activated as often as it is asked for, in one boot",
    requirement="RFC 9019 s.3.4; PSA Security Model 1.1 s.4.9 (availability)",
)
ANNOUNCED = Check(
    id="update.announced-digest",
    title="what was uploaded is activated only under the digest that was announced and that it has",
    requirement="docs/protocol.md, model-activate; RFC 9019 s.3",
)
INCOMPLETE = Check(
    id="update.incomplete-not-activated",
    title="an upload that is not complete cannot be activated",
    requirement="RFC 9019 s.3.4 (incomplete updates)",
)


class Answer(NamedTuple):
    """The answer to one chunk: the next offset, or the refusal's status or error number."""

    offset: int | None
    refusal: int | None


def chunk(device: Device, off: int, data: bytes, **announced: object) -> Answer:
    """Send one chunk."""
    try:
        answer, _ = device.test_commands.ask(Command.MODEL_UPLOAD, {"off": off, "data": data, **announced})
    except Refused as refused:
        return Answer(None, refused.status if refused.status is not None else refused.rc)
    offset = answer.get("off")
    return Answer(offset if isinstance(offset, int) else None, None)


def test_chunks_at_other_offsets_are_not_taken(updates: ModelUpdates, device: Device) -> None:
    image = updates.image(ahead=1)
    digest = updates.digest(image)
    first, junk = 512, b"\xa5" * 512
    updates.checks.equal(WHOLE, chunk(device, 0, image[:first], len=len(image), sha=digest), Answer(first, None))
    for off in (
        1, first - 1, first + 1, 2 * first, len(image) - 1, len(image), len(image) + 1, ROOM - 512, ROOM - 1, ROOM,
        ROOM + 4, 1 << 20, 0x7FFFFFFF, 0x80000000, 0xFFFFFE00, 0xFFFFFFFF, 1 << 32, (1 << 32) + first, (1 << 64) - 1,
    ):  # fmt: skip
        answer = chunk(device, off, junk)
        # Either it says which offset it expects, or it refuses the number.
        held = answer.offset == first if answer.refusal is None else answer.refusal in {INVALID_ARGUMENT, MALFORMED}
        updates.checks(
            OFFSET, held, expected=f"offset {first} wanted, or -135", seen=answer, subject=f"offset {off:#x}"
        )
    # What is refused beside it takes nothing away of what has come.
    digests = {
        "another digest activated": flip(0)(digest),
        "its own, too early": digest,
        "a digest too short": b"short",
    }
    besides: dict[str, Callable[[], int | None]] = {
        "a chunk beyond the end": lambda: chunk(device, first, image[first:] + junk[:1]).refusal,
        "an announcement without a length": lambda: chunk(device, 0, junk, sha=digest).refusal,
        "an announcement of nothing": lambda: chunk(device, 0, junk, len=0, sha=digest).refusal,
        "an announcement beyond the bank": lambda: chunk(device, 0, junk, len=ROOM + 1, sha=digest).refusal,
        "a selection of nobody": lambda: status_of(device.test_commands.select_model, "nobody"),
        "a result": lambda: status_of(device.test_commands.ask, Command.INFER, {"nonce": b"short", "src": 1}),
    } | {subject: partial(updates.activated, wrong) for subject, wrong in digests.items()}
    for subject, ask in besides.items():
        refused = ask()
        updates.checks(WHOLE, bool(refused), expected="a refusal", seen=refused, subject=subject)
        updates.checks.equal(WHOLE, chunk(device, 1, junk), Answer(first, None), subject=f"offset after {subject}")
    # Nor does what is answered: whoever serves it may have its work memory where the upload waits.
    between: dict[str, Callable[[], object]] = {
        f"the selection of {name}": partial(device.select_model, name)
        for name in (updates.other().name, updates.entry.name)
    }
    between |= device.requests(updates.input(9))
    for subject, request in between.items():
        request()
        updates.checks.equal(WHOLE, chunk(device, 1, junk), Answer(first, None), subject=f"offset after {subject}")
    answer = chunk(device, first, image[first:])
    updates.checks.equal(WHOLE, answer, Answer(len(image), None), subject="the rest")
    for request in between.values():
        request()
    updates.changed = True
    updates.checks.equal(WHOLE, updates.activated(digest), 0, subject="activated")
    updates.bench.trust.installed(updates.entry.name, image)
    device.describe()
    updates.old_model_works()


def test_chunks_of_every_length_are_taken_as_they_are(updates: ModelUpdates, device: Device) -> None:
    """Lengths that are no multiple of a word or a block, the empty one, and one byte."""
    image = updates.image(ahead=1)
    digest = updates.digest(image)
    updates.changed = True
    at = 0
    sizes = [0, 1, 2, 3, 5, 8, 31, 64, 127, 255, 256, 257, 511, 512, 1021]
    rest = max(0, len(image) - sum(sizes))
    for size in (*sizes, *[2048] * (rest // 2048), rest % 2048):  # a message has no room for any model's rest at once
        part = image[at : at + size]
        announced = {"len": len(image), "sha": digest} if at == 0 else {}
        at += len(part)
        updates.checks.equal(
            WHOLE, chunk(device, at - len(part), part, **announced), Answer(at, None), subject=f"{size}"
        )
    updates.checks.equal(WHOLE, updates.activated(digest), 0, subject="activated")
    # Again, but for its last byte, which lies there from before.
    for begin in range(0, len(image) - 1, 2048):
        announced = {"len": len(image), "sha": digest} if begin == 0 else {}
        chunk(device, begin, image[begin : min(begin + 2048, len(image) - 1)], **announced)
    updates.checks.equal(INCOMPLETE, updates.activated(digest), DOES_NOT_EXIST, subject="all but the last byte")


@pytest.mark.thorough
def test_chunks_beyond_the_announced_length_are_refused(updates: ModelUpdates, device: Device) -> None:
    image = updates.image(ahead=1)
    for announced in (1, 511, 512, len(image) - 1):
        answer = chunk(device, 0, image, len=announced, sha=hashlib.sha256(image[:announced]).digest())
        subject = f"{len(image)} bytes of {announced}"
        updates.checks.equal(LENGTH, answer, Answer(None, INVALID_ARGUMENT), subject=subject)
        rest = chunk(device, 0, image[:announced], len=announced, sha=hashlib.sha256(image[:announced]).digest())
        updates.checks.equal(LENGTH, rest, Answer(announced, None), subject=f"{subject}, then what was announced")
        beyond = chunk(device, announced, b"x")
        held = beyond.refusal == INVALID_ARGUMENT or beyond.offset == announced
        updates.checks(LENGTH, held, expected="not taken", seen=beyond, subject=f"one more than {announced}")
    updates.old_model_works()


def test_announcements_are_needed_once(updates: ModelUpdates, device: Device) -> None:
    image = updates.image(ahead=1)
    digest = updates.digest(image)
    for subject, announced in (
        ("nothing", {}),
        ("no digest", {"len": len(image)}),
        ("no length", {"sha": digest}),
        ("a digest of 31 bytes", {"len": len(image), "sha": digest[:31]}),
        ("a digest of 33 bytes", {"len": len(image), "sha": digest + b"\0"}),
        ("an empty digest", {"len": len(image), "sha": b""}),
        ("length 0", {"len": 0, "sha": digest}),
    ):
        answer = chunk(device, 0, image[:16], **announced)
        updates.checks.equal(FIRST_CHUNK, answer, Answer(None, INVALID_ARGUMENT), subject=subject)
    updates.checks.equal(FIRST_CHUNK, chunk(device, 0, image[:16], len=len(image), sha=digest), Answer(16, None))
    again = chunk(device, 16, image[16:32], len=len(image), sha=digest)
    updates.checks.equal(FIRST_CHUNK, again, Answer(None, INVALID_ARGUMENT), subject="announced in the second chunk")


@pytest.mark.thorough
def test_uploads_resume_and_begin_anew(updates: ModelUpdates, device: Device) -> None:
    image, other = updates.image(ahead=1), updates.image(ahead=2)
    announced: dict[str, object] = {"len": len(image), "sha": updates.digest(image)}
    updates.checks.equal(RESUMED, chunk(device, 0, image[:256], **announced), Answer(256, None), subject="begun")
    # A client that lost the answer sends the chunk again: it is told where to go on.
    updates.checks.equal(RESUMED, chunk(device, 0, image[:256], **announced), Answer(256, None), subject="sent again")
    updates.checks.equal(RESUMED, chunk(device, 256, image[256:511]), Answer(511, None), subject="went on")
    updates.checks.equal(RESUMED, chunk(device, 256, image[256:511]), Answer(511, None), subject="second one again")
    device.select_model(updates.entry.name)
    device.infer_input(updates.input())
    device.test_commands.models()
    updates.checks.equal(RESUMED, chunk(device, 511, image[511:640]), Answer(640, None), subject="after other requests")
    digest = updates.digest(image)
    others = {"a byte more under the same digest": announced | {"len": len(image) + 1}}
    others |= {f"another byte {at} of the digest": announced | {"sha": flip(at)(digest)} for at in (0, 15, 16, 31)}
    for subject, keys in others.items():
        begun = chunk(device, 0, image[:100], **keys)
        updates.checks.equal(RESUMED, begun, Answer(100, None), subject=f"{subject}: begun anew")
        updates.checks.equal(RESUMED, chunk(device, 100, image[100:200]), Answer(200, None), subject=f"{subject}: on")
    new: dict[str, object] = {"len": len(other), "sha": updates.digest(other)}
    updates.checks.equal(RESUMED, chunk(device, 0, other[:100], **new), Answer(100, None), subject="another file")
    updates.checks.equal(
        INCOMPLETE, updates.activated(updates.digest(image)), DOES_NOT_EXIST, subject="the one given up"
    )
    updates.checks.equal(INCOMPLETE, updates.activated(updates.digest(other)), DOES_NOT_EXIST, subject="the one begun")
    updates.checks.equal(RESUMED, chunk(device, 100, other[100:]), Answer(len(other), None), subject="its rest")
    updates.changed = True
    updates.checks.equal(RESUMED, updates.activated(updates.digest(other)), 0, subject="activated")


@pytest.mark.thorough
def test_the_digest_is_of_the_whole_of_a_large_file(updates: ModelUpdates, device: Device) -> None:
    """A byte behind the image, at the end of a large file, differs. The digest covers it; the signature does not."""
    image = updates.image(ahead=1)
    for size in (0x8001, 0x18001):
        file = image + bytes(size - len(image))
        announced = hashlib.sha256(file).digest()
        sent = file[:-1] + b"\1"
        for at in range(0, size, 3072):
            keys: dict[str, object] = {"len": size, "sha": announced} if at == 0 else {}
            chunk(device, at, sent[at : at + 3072], **keys)
        status = updates.activated(announced)
        updates.changed |= status == 0
        updates.checks.equal(ANNOUNCED, status, INVALID_SIGNATURE, subject=f"its last byte is another, {size} bytes")


def test_only_the_announced_digest_activates(updates: ModelUpdates, device: Device) -> None:
    image, other = updates.image(ahead=1), updates.image(ahead=2)
    right, lie = updates.digest(image), updates.digest(other)
    near = flip(31)(right)
    before = updates.active()
    chunk(device, 0, image, len=len(image), sha=lie)
    updates.checks.equal(ANNOUNCED, updates.activated(right), DOES_NOT_EXIST, subject="its own digest, not announced")
    updates.checks.equal(ANNOUNCED, updates.activated(lie), INVALID_SIGNATURE, subject="announced, not its digest")
    chunk(device, 0, image, len=len(image), sha=right)
    for digest, subject in (
        (bytes(32), "zeros"),
        (b"\xff" * 32, "ones"),
        (near, "one bit off"),
        (lie, "the one before"),
    ):
        updates.checks.equal(ANNOUNCED, updates.activated(digest), DOES_NOT_EXIST, subject=subject)
    for size in (0, 1, 31, 33, 64):
        digest = (right * 2)[:size]
        updates.checks.equal(ANNOUNCED, updates.activated(digest), INVALID_ARGUMENT, subject=f"{size} bytes of it")
    # The model id is not the image's digest.
    updates.checks.equal(ANNOUNCED, updates.activated(before.id), DOES_NOT_EXIST, subject="the active model's id")
    updates.unchanged(before)
    chunk(device, 0, image, len=len(image), sha=near)
    updates.checks.equal(ANNOUNCED, updates.activated(near), INVALID_SIGNATURE, subject="announced one bit off")
    updates.unchanged(before)
    updates.old_model_works()
    # What went wrong on its way is sent again, under the same announcement.
    for data, wanted in ((flip(64)(other), INVALID_SIGNATURE), (other, 0)):
        subject = f"announced twice, {'at first with other bytes' if wanted else 'then with its own'}"
        answer = chunk(device, 0, data, len=len(other), sha=lie)
        updates.checks.equal(WHOLE, answer, Answer(len(other), None), subject=subject)
        updates.changed |= wanted == 0
        updates.checks.equal(WHOLE, updates.activated(lie), wanted, subject=subject)


@pytest.mark.thorough
def test_what_was_uploaded_is_activated_as_often_as_it_is_asked_for(updates: ModelUpdates, device: Device) -> None:
    """In one boot: if each activation kept something, memory would run out."""
    image = updates.image(ahead=1)
    updates.checks.equal(AGAIN, updates.attempt(image), 0, subject="the first time")
    digest = updates.digest(image)
    statuses = [updates.activated(digest) for _ in range(TIMES)]
    failed = {number: status for number, status in enumerate(statuses, 2) if status}
    updates.checks.equal(AGAIN, failed, {}, subject=f"{TIMES} times more")
