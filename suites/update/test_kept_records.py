"""Kept memory may have a right checksum and still make no sense: the device must not believe it, or write by it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from tfm_harness import Bench, Check, Checks, Device, ModelUpdates, Refused, Verifier, VirtualBoard
from tfm_harness.protocol.smp import status_of
from tfm_harness.testing import NoObjectError, left_behind, with_object, with_objects_changed, with_sequences

pytestmark = pytest.mark.needs(
    "update",
    "models",
    "file-model-signing-key",
    "factory-reset",
    "signed-result",
    "nonvolatile",
    "nv-access",
    "cold-reset",
)

REFERENCE = "tfm-harness-reference"
COPIES = (0x0, 0x10000)
RESULT_OWNER, RESULT_UID = 261, 0x7465734C
STORE_OWNER, ACTIVE_UID = 260, 1
TABLE_UID = 0x50530001
"""Of the table that protected storage keeps."""
NOBODY = 999
"""A partition that there is not: what it keeps is never looked at."""

ABSURD = Check(
    id="update.nv-absurd",
    title="a copy whose checksum is right and whose objects are impossible is not believed",
    requirement="docs/protocol.md, Identity (NV area); CWE-20",
)
FORM = Check(
    id="update.nv-form",
    title="both copies of what is kept have the documented checksum, and hold nothing behind their objects",
    requirement="docs/reference-firmware.md, Internal trusted storage (two copies with CRC-32)",
)
ORDER = Check(
    id="update.nv-sequence",
    title="of two whole copies the newer one counts, also where the sequence number begins anew",
    requirement="docs/protocol.md, Identity (NV area); PSA Security Model 1.1 s.5.4",
)
ACTIVE = Check(
    id="update.nv-active-record",
    title="a record of the active model that names no slot or bank leads to the factory's model, not elsewhere",
    requirement="RFC 9019 s.3.4 (an update that fails leaves the device working); CWE-129",
)

NO_ROOM = Check(
    id="update.nv-no-room-no-result",
    title="where the result counter cannot be kept no two results have the same number, also over a reset",
    requirement="docs/protocol.md, label -70005 (never repeats over a reset); RFC 9334 s.10; CWE-252",
)

KEPT = Check(
    id="update.nv-no-room-no-promise",
    title="a selection or an object that cannot be kept is refused",
    requirement="docs/protocol.md, model-select (kept) and ps-set; PSA Secure Storage API 1.0 s.5.3; CWE-252",
)
NO_START = Check(
    id="update.nv-no-room-no-start",
    title="a non-secure image whose security counter cannot be kept is not started",
    requirement="docs/protocol.md, Identity (security counters); NIST SP 800-193 s.4.2.1.3; CWE-252",
)


def test_what_is_kept_is_whole_by_its_check(
    bench: Bench, updates: ModelUpdates, device: Device, virtual: VirtualBoard, checks: Checks
) -> None:
    """Checked with the documented checksum: a checksum of the device's own might accept anything."""
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: in which form this firmware keeps its objects is not known")
    device.infer_input(updates.input(1))
    try:
        behind = left_behind(virtual.nv.read())
    except NoObjectError as error:
        checks(FORM, False, expected="two whole copies", seen=str(error))
    else:
        checks.equal(FORM, behind, [], subject="behind objects, and in places that are not in use")


@pytest.fixture
def kept(bench: Bench, updates: ModelUpdates, device: Device, virtual: VirtualBoard) -> Iterator[VirtualBoard]:
    """A board that has counted something; what it keeps is forgotten afterwards."""
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: where this firmware keeps its objects is not known")
    device.infer_input(updates.input(1))
    try:
        with_objects_changed(virtual.nv.read(), lambda _: None)
    except NoObjectError as error:
        pytest.skip(f"not covered: {error}")
    yield virtual
    updates.changed = True


def counter_of(device: Device, verifier: Verifier, updates: ModelUpdates) -> int:
    """The counter of a result that is asked for now."""
    return verifier.apart().result(device.infer_input(updates.input(1))).counter or 0


def first_free(field: str, value: int) -> Callable[[], Callable[[dict[str, int]], None]]:
    """One object that is not in use gets another value in a field."""

    def make() -> Callable[[dict[str, int]], None]:
        done: list[bool] = []

        def change(head: dict[str, int]) -> None:
            if not done and not head["used"]:
                head[field] = value
                done.append(True)

        return change

    return make


def first_used(field: str, value: int) -> Callable[[], Callable[[dict[str, int]], None]]:
    """One object that is in use gets another value in a field."""

    def make() -> Callable[[dict[str, int]], None]:
        done: list[bool] = []

        def change(head: dict[str, int]) -> None:
            if not done and head["used"]:
                head[field] = value
                done.append(True)

        return change

    return make


CHANGES = {
    "an object of 129 bytes": first_used("size", 129),
    "an object of 2^32 - 1 bytes": first_used("size", 0xFFFFFFFF),
    "an unused object of 129 bytes": first_free("size", 129),
    "an object used twice": first_used("used", 2),
    "an object used 2^32 - 1 times": first_free("used", 0xFFFFFFFF),
}


@pytest.mark.thorough
def test_impossible_objects_are_not_believed(
    device: Device, verifier: Verifier, updates: ModelUpdates, kept: VirtualBoard, checks: Checks
) -> None:
    """In one copy: the device uses the other copy. In both: nothing is known, and the device stops."""
    before = counter_of(device, verifier, updates)
    whole = kept.nv.read()
    for subject, make in CHANGES.items():
        for copy in COPIES:
            content = with_objects_changed(whole, make(), [copy])
            words = f"{subject}, in copy {copy:#x}"
            if checks(ABSURD, kept.starts_with(content), expected="an answer", seen="none", subject=words):
                now = counter_of(device, verifier, updates)
                checks(ABSURD, now > before, expected=f"above {before}", seen=now, subject=words)
        both = with_objects_changed(with_objects_changed(whole, make(), COPIES[:1]), make(), COPIES[1:])
        answers, words = kept.starts_with(both), f"{subject}, in both copies"
        checks(ABSURD, not answers, expected="a device that stops", seen="an answer", subject=words)


@pytest.mark.thorough
def test_a_counter_of_another_size_is_no_counter(
    device: Device, verifier: Verifier, updates: ModelUpdates, kept: VirtualBoard, checks: Checks
) -> None:
    """The checksum is right, and the counter has only four bytes.

    A device that takes it for no counter begins again, and signs old numbers a second time.
    """
    before = counter_of(device, verifier, updates)

    def shorter(head: dict[str, int]) -> None:
        if head["used"] and (head["owner"], head["uid"]) == (RESULT_OWNER, RESULT_UID):
            head["size"] = 4

    content = with_objects_changed(kept.nv.read(), shorter)
    subject = "the results' counter of four bytes"
    if not kept.starts_with(content):
        return  # nothing is known, and the device has stopped
    try:
        now = counter_of(device, verifier, updates)
    except Refused:
        checks(ABSURD, True)
    else:
        checks(ABSURD, now > before, expected=f"no result, or one above {before}", seen=now, subject=subject)


@pytest.mark.thorough
def test_what_cannot_be_kept_is_not_promised(
    device: Device, verifier: Verifier, updates: ModelUpdates, kept: VirtualBoard, checks: Checks
) -> None:
    """Every place for kept objects is used by something else, so the device cannot keep what it is asked for.

    If it answered all the same, the next boot would have lost it: results would repeat old numbers, and a selection
    or a stored object would be gone.
    """
    names = {entry.slot: entry.name for entry in updates.valid()}
    other = names[max(names)]  # not the one that runs where no selection is known
    own = {(RESULT_OWNER, RESULT_UID), (STORE_OWNER, ACTIVE_UID)}

    def full(head: dict[str, int]) -> None:
        if not head["used"] or (head["owner"], head["uid"]) in own or head["uid"] == TABLE_UID:
            head.update(used=1, owner=NOBODY, uid=1)

    for name in (other, names[min(names)]):  # so that its security counter is kept, and has its place
        device.select_model(name)
    content = with_objects_changed(kept.nv.read(), full)
    promised: dict[str, Callable[[], object]] = {"a selection": lambda: device.select_model(other)}
    if not updates.bench.missing(["protected-storage"]):
        promised["a stored object"] = lambda: device.test_commands.ps_set(TABLE_UID, b"kept")
    seen: list[int] = []

    def starts(content: bytes) -> bool:
        """With this kept: whether it answers. Two results are asked for then."""
        if not kept.starts_with(content):
            return False  # a device that stops promises nothing
        for _ in range(2):
            with contextlib.suppress(Refused):
                seen.append(counter_of(device, verifier, updates))
        return True

    answered = starts(content)
    taken = {subject for subject, ask in promised.items() if status_of(ask) == 0} if answered else set()
    if answered and starts(kept.nv.read()):
        if "a selection" in taken:
            active = updates.active_or_none()
            checks.equal(KEPT, active and active.name, other, subject="active after a cold start, selected before")
        if "a stored object" in taken:
            status = status_of(device.test_commands.ps_get, TABLE_UID)
            checks.equal(KEPT, status, 0, subject="an object after a cold start, stored before")
    twice = sorted({number for number in seen if seen.count(number) > 1})
    checks.equal(NO_ROOM, twice, [], subject="numbers of results that came twice, no room for their counter")


@pytest.mark.thorough
def test_an_image_whose_counter_cannot_be_kept_is_not_started(kept: VirtualBoard, checks: Checks) -> None:
    """Every place is used by something else. If the image started all the same, an older image would start after it."""
    content = with_objects_changed(kept.nv.read(), lambda head: head.update(used=1, owner=NOBODY, uid=1))
    answers = kept.starts_with(content)
    checks(NO_START, not answers, expected="a device that stops", seen="an answer", subject="no room for its counter")


@pytest.mark.thorough
def test_the_newer_copy_counts_where_its_number_begins_anew(
    device: Device, verifier: Verifier, updates: ModelUpdates, kept: VirtualBoard, checks: Checks
) -> None:
    old = kept.nv.read()
    value = counter_of(device, verifier, updates)
    low, high = ((value + 100) * 2).to_bytes(8, "little"), ((value + 100) * 4).to_bytes(8, "little")
    contents = [with_object(old, RESULT_OWNER, RESULT_UID, data) for data in (low, high)]
    for first, second in ((0xFFFFFFFF, 0), (0, 0xFFFFFFFF), (0x7FFFFFFF, 0x80000000), (0x80000000, 0x7FFFFFFF)):
        newer = 0 if (first - second) % (1 << 32) < 1 << 31 else 1
        try:
            mixed = bytearray(with_sequences(contents[0], first, second))
            fresh = with_sequences(contents[1], first, second)
        except NoObjectError as error:
            checks(ORDER, False, expected="two whole copies", seen=error, subject="what is kept")
            return
        at = COPIES[newer]
        mixed[at : at + 0x10000] = fresh[at : at + 0x10000]
        subject = f"numbers {first:#x} and {second:#x}"
        if checks(ORDER, kept.starts_with(bytes(mixed)), expected="an answer", seen="none", subject=subject):
            wanted = int.from_bytes(high, "little") + 1
            checks.equal(ORDER, counter_of(device, verifier, updates), wanted, subject=subject)
            checks.equal(ORDER, counter_of(device, verifier, updates), wanted + 1, subject=f"{subject}, the next one")


@pytest.mark.thorough
def test_a_record_of_no_model_leads_to_the_factorys(
    device: Device, updates: ModelUpdates, kept: VirtualBoard, checks: Checks
) -> None:
    """The record is written when a model is selected; an impossible one must not be followed."""
    device.select_model(updates.other().name)
    whole = kept.nv.read()
    for slot, bank in ((5, 0), (0xFFFFFFFF, 0), (4, 2), (4, 0xFFFFFFFE), (3, 0), (0x80000000, 1)):
        record = slot.to_bytes(4, "little") + bank.to_bytes(4, "little")
        try:
            content = with_object(whole, STORE_OWNER, ACTIVE_UID, record)
        except NoObjectError as error:
            pytest.skip(f"not covered: {error}")
        subject = f"slot {slot:#x}, bank {bank:#x}"
        if not checks(ACTIVE, kept.starts_with(content), expected="an answer", seen="none", subject=subject):
            continue
        active = updates.active_or_none()
        checks.equal(ACTIVE, active.slot if active else None, 0, subject=f"{subject}: active slot")
        try:
            device.infer_input(updates.input(2))
        except Refused as refused:
            checks(ACTIVE, False, expected="a result", seen=refused.message, subject=subject)
