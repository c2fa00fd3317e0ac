"""Power is cut at any moment of an update or of a counter, or kept memory is damaged: nothing goes back."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator

import pytest
from tfm_harness import Bench, Burned, Check, Checks, Device, ModelUpdates, Refused, Verifier, VirtualBoard
from tfm_harness.protocol.smp import Command
from tfm_harness.testing import changed_words, spread

pytestmark = pytest.mark.needs(
    "update", "models", "file-model-signing-key", "factory-reset", "signed-result", "trusted-results", "nonvolatile"
)

REFERENCE = "tfm-harness-reference"
DOES_NOT_EXIST, NOT_PERMITTED = -140, -133
HALTED = b"[BOOT] halted: NV area corrupt: security counters lost\n"
PAGE = 0x10000
TWICE = "all of it, twice begun"
"""Of an upload: all of another file, and then all of this one."""
NUMBER = range(4, 8)
"""Where a copy of the reference firmware has its number, which says how new it is."""

CUT_UPLOAD = Check(
    id="update.power-cut-upload",
    title="after a power cut between two chunks the old model runs, nothing can be activated, and an upload succeeds",
    requirement="RFC 9019 s.3.4 (an update that is interrupted leaves the device working)",
)
CUT_BOOTS = Check(
    id="update.power-cut-boots",
    title="after a power cut in the middle of any write the device boots",
    requirement="RFC 9019 s.3.4; PSA Security Model 1.1 s.5.4",
)
CUT_MODEL = Check(
    id="update.power-cut-model",
    title="after a power cut in the middle of an activation the old model runs or the new one, whole",
    requirement="RFC 9019 s.3.4 (an update that is interrupted leaves the device working)",
)
CUT_COUNTER = Check(
    id="update.power-cut-counter",
    title="after a power cut in the middle of any write no counter has gone back",
    requirement="PSA Security Model 1.1 s.5.4 (anti-rollback); docs/protocol.md, label -70005",
)
DAMAGE = Check(
    id="update.nv-damage",
    title="damage to one copy of what is kept loses nothing: the device boots, and no counter goes back",
    requirement="docs/protocol.md, Identity (NV area); PSA Security Model 1.1 s.5.4",
)
LOST = Check(
    id="update.nv-lost-halts",
    title="when no copy of what is kept is whole, the device does not start again with counters of zero",
    requirement="docs/protocol.md, Identity (NV area); PSA Security Model 1.1 s.5.4",
)
STALE = Check(
    id="update.nv-newest-copy",
    title="of two whole copies the newer one counts, whichever of them it is",
    requirement="docs/protocol.md, Identity (NV area); PSA Security Model 1.1 s.5.4",
)


@pytest.fixture
def kept(updates: ModelUpdates, virtual: VirtualBoard) -> Iterator[VirtualBoard]:
    """A board whose kept memory the test may spoil. It is erased afterwards, and the board answers again."""
    yield virtual
    updates.changed = True


class Counter:
    """The result counter: no result may ever show a value that was seen before."""

    def __init__(self, device: Device, verifier: Verifier, updates: ModelUpdates, checks: Checks) -> None:
        self._device, self._verifier, self._updates, self._checks = device, verifier, updates, checks
        self.last = 0

    def ask(self, subject: str) -> int:
        """Ask for a result; its counter."""
        result = self._verifier.result(self._device.infer_input(self._updates.input(1)), subject=subject)
        return result.counter or 0

    def give(self, subject: str) -> None:
        """A result that the client got."""
        self.last = self.ask(subject)

    def rises(self, check: Check, subject: str) -> None:
        """The next result's counter is above all that were given."""
        value = self.ask(subject)
        self._checks(check, value > self.last, expected=f"above {self.last}", seen=value, subject=subject)


@pytest.fixture
def counter(device: Device, verifier: Verifier, updates: ModelUpdates, checks: Checks) -> Counter:
    """The result counter."""
    return Counter(device, verifier, updates, checks)


def copies(content: bytes) -> list[int]:
    """Offsets of the pages that hold the same bytes: the copies of one state."""
    pages: dict[bytes, list[int]] = {}
    for at in range(0, len(content), PAGE):
        page = content[at : at + PAGE]
        if any(page):
            pages.setdefault(page, []).append(at)
    return next((places for places in pages.values() if len(places) > 1), [])


def known_copies(updates: ModelUpdates, check: Check, content: bytes) -> list[int]:
    """Offsets of the copies. A firmware that documents two copies and keeps one fails the check."""
    places = copies(content)
    if not places and updates.bench.description.firmware == REFERENCE:
        updates.checks(check, False, expected="two copies", seen="no two pages that hold the same", subject="kept")
        pytest.fail("what is kept is not kept twice")
    if not places:
        pytest.skip("not covered: no two pages of the NV area hold the same, so there are no copies to change")
    return places


@pytest.mark.needs("cold-reset", "nv-access")
@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(("half",), id="half"),
        pytest.param(("all", "nothing", "the first chunk", TWICE), id="others", marks=pytest.mark.thorough),
    ],
)
def test_power_cut_between_chunks(
    updates: ModelUpdates, device: Device, virtual: VirtualBoard, parts: tuple[str, ...]
) -> None:
    """First over a factory's model, then over the update that was taken in the round before."""
    for taken, part in enumerate(parts):
        cut_after(updates, device, virtual, part, taken)


def cut_after(updates: ModelUpdates, device: Device, virtual: VirtualBoard, part: str, taken: int) -> None:
    """The power is cut after this part of an upload, over the `taken`-th update; then the whole of it comes."""
    image = updates.image(ahead=taken + 1)
    digest = device.test_commands.upload_model(updates.image(ahead=taken + 7)) if part == TWICE else b""
    sent = {"nothing": 0, "the first chunk": 256, "half": len(image) // 2}.get(part, len(image))
    at = 0
    while at < sent:
        size = min(1024, sent - at)
        announced = {"len": len(image), "sha": updates.digest(image)} if at == 0 else {}
        device.test_commands.ask(Command.MODEL_UPLOAD, {"off": at, "data": image[at : at + size], **announced})
        at += size
    with virtual.off():
        pass
    updates.checks.equal(
        CUT_UPLOAD, updates.active().counter, updates.entry.counter + taken, subject=f"{part}: counter"
    )
    for wanted in filter(None, (updates.digest(image), digest)):
        status = updates.activated(wanted)
        updates.changed |= status == 0
        updates.checks.equal(CUT_UPLOAD, status, DOES_NOT_EXIST, subject=f"{part}: activation")
    device.select_model(updates.entry.name)
    updates.old_model_works(f"power cut after {part}")
    updates.checks.equal(CUT_UPLOAD, updates.attempt(image), 0, subject=f"{part}: the whole upload again")
    updates.old_model_works(f"updated after {part}")


@pytest.mark.thorough
@pytest.mark.needs("cold-reset", "nv-access", "write-stops")
def test_power_cut_in_the_middle_of_an_activation(
    updates: ModelUpdates, bench: Bench, device: Device, kept: VirtualBoard, counter: Counter
) -> None:
    """The CPU is stopped in the middle of its writes; each state of the memory is what a power cut leaves."""
    base, words = kept.nv.address, []
    for ahead in (1, 2):  # an update goes to one place, the next one to another
        before = kept.nv.read()
        updates.checks.equal(CUT_MODEL, updates.attempt(updates.image(ahead=ahead)), 0, subject="untouched")
        words += changed_words(before, kept.nv.read(), base, page=PAGE)
    counter.give("before")
    old = updates.image(ahead=2)
    new = updates.image(ahead=3)
    states = kept.torn(lambda: updates.attempt(new), words)
    updates.checks(CUT_MODEL, len(states) > 3, expected="states in the middle", seen=f"{len(states)} states")
    for number in spread(len(states), 10):
        subject = f"state {number} of {len(states)}"
        if not updates.checks(
            CUT_BOOTS, kept.starts_with(states[number]), expected="an answer", seen="none", subject=subject
        ):
            break
        entry = updates.active_or_none()
        seen = (entry.name, entry.counter) if entry else None
        wanted = {(updates.entry.name, updates.entry.counter + ahead): image for ahead, image in ((2, old), (3, new))}
        held = seen in wanted
        updates.checks(CUT_MODEL, held, expected=" or ".join(map(str, wanted)), seen=seen, subject=subject)
        if held and seen is not None:
            bench.trust.installed(updates.entry.name, wanted[seen])
            counter.rises(CUT_COUNTER, subject)
            older = updates.attempt(updates.image(ahead=1))
            updates.checks.equal(CUT_COUNTER, older, NOT_PERMITTED, subject=f"{subject}: an older model")
            updates.checks.equal(CUT_MODEL, updates.attempt(new), 0, subject=f"{subject}: the update again")


@pytest.mark.thorough
@pytest.mark.needs("cold-reset", "nv-access", "write-stops")
def test_power_cut_in_the_middle_of_a_counter(
    device: Device, kept: VirtualBoard, counter: Counter, checks: Checks
) -> None:
    before = kept.nv.read()
    counter.give("first")
    words = changed_words(before, kept.nv.read(), kept.nv.address, page=PAGE)
    counter.give("before")
    states = kept.torn(lambda: counter.ask("traced"), words)
    checks(CUT_COUNTER, len(states) > 1, expected="states in the middle", seen=f"{len(states)} states")
    for number in spread(len(states), 8):
        subject = f"state {number} of {len(states)}"
        if not checks(CUT_BOOTS, kept.starts_with(states[number]), expected="an answer", seen="none", subject=subject):
            break
        counter.rises(CUT_COUNTER, subject)


@pytest.mark.thorough
@pytest.mark.needs("cold-reset", "nv-access", "write-stops", "reset")
def test_a_second_power_cut_in_the_boot_after_a_first_one(
    bench: Bench, kept: VirtualBoard, counter: Counter, updates: ModelUpdates, checks: Checks
) -> None:
    """The first one left one copy damaged. What a boot writes goes there, and not over the only whole copy."""
    counter.give("before")
    whole = kept.nv.read()
    places = known_copies(updates, CUT_BOOTS, whole)

    for damaged, good in itertools.permutations(places[:2]):
        words = f"copy at {damaged:#x} damaged"
        held = next(at for at in range(damaged, damaged + PAGE) if whole[at])
        kept.nv.write(0, whole[:held] + bytes([whole[held] ^ 1]) + whole[held + 1 :])
        # A reset from outside would stop the CPU as well.
        states = kept.torn(bench.reset_by_request, [kept.nv.address + good])
        checks(CUT_BOOTS, bool(states), expected="writes to the other copy", seen="none", subject=words)
        for number, state in enumerate(states[:2]):
            subject = f"{words}, then cut again in write {number} of the other one"
            if checks(CUT_BOOTS, kept.starts_with(state), expected="an answer", seen="none", subject=subject):
                counter.rises(CUT_COUNTER, subject)


Damage = Callable[[bytes], bytes]


def flipped(at: int, bit: int = 4) -> Damage:
    """One bit of the byte at `at` (from the end where negative)."""

    def apply(page: bytes) -> bytes:
        index = at % len(page)
        return page[:index] + bytes([page[index] ^ 1 << bit]) + page[index + 1 :]

    return apply


def damages(page: bytes) -> dict[str, Damage]:
    """Ways in which a copy can be damaged: at its ends, in each part that holds anything, as a whole."""
    held = [at for at, value in enumerate(page) if value]
    rng = random.Random(len(held))  # noqa: S311 - the same places in each run
    places = {"first byte": held[0], "last byte": held[-1]}
    places |= {f"byte {at:#x}": at for at in sorted(rng.sample(held, min(6, len(held))))}
    # A bit in what was zero as well: an object that was not there.
    places["a zero byte"] = next(at for at in range(held[-1]) if not page[at])
    found: dict[str, Damage] = {f"one bit of {name}": flipped(at) for name, at in places.items()}
    return found | {
        "erased to zeros": lambda data: bytes(len(data)),
        "erased to ones": lambda data: b"\xff" * len(data),
        "its second half lost": lambda data: data[: held[-1] // 2] + bytes(len(data) - held[-1] // 2),
    }


@pytest.mark.needs("cold-reset", "nv-access")
@pytest.mark.parametrize(
    "extent",
    [
        pytest.param("ends", id="ends"),
        pytest.param("everywhere", id="everywhere", marks=pytest.mark.thorough(extent="ends")),
    ],
)
def test_damage_to_one_copy_loses_nothing(
    updates: ModelUpdates, kept: VirtualBoard, counter: Counter, checks: Checks, extent: str
) -> None:
    updates.checks.equal(DAMAGE, updates.attempt(updates.image(ahead=2)), 0, subject="raised before")
    raised = updates.image(ahead=2)
    counter.give("before")
    whole = kept.nv.read()
    places = known_copies(updates, DAMAGE, whole)
    ways = damages(whole[places[0] : places[0] + PAGE])
    for place in places:
        for name, damage in ways.items():
            if extent == "ends" and name != ("one bit of last byte" if place == places[0] else "erased to zeros"):
                continue
            subject = f"copy at {place:#x}, {name}"
            content = whole[:place] + damage(whole[place : place + PAGE]) + whole[place + PAGE :]
            if not checks(DAMAGE, kept.starts_with(content), expected="an answer", seen="none", subject=subject):
                continue
            checks.equal(DAMAGE, updates.active().counter, updates.entry.counter + 2, subject=subject)
            updates.bench.trust.installed(updates.entry.name, raised)
            counter.rises(DAMAGE, subject)
    status = updates.attempt(updates.image(ahead=1))
    checks.equal(DAMAGE, status, NOT_PERMITTED, subject="an older model after all of it")


@pytest.mark.needs("cold-reset", "nv-access", "provision")
@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param({"last bytes": None}, id="own lifecycle"),
        pytest.param(
            {"first bytes": 0x1000, "one erased, one damaged": 0x2000, "first words erased": 0x4000, "ones": 0x5000,
             "elsewhere": 0x6000},
            id="other lifecycles", marks=pytest.mark.thorough,
        ),
    ],
)  # fmt: skip
def test_damage_to_every_copy_stops_the_device(
    updates: ModelUpdates, bench: Bench, kept: VirtualBoard, counter: Counter, checks: Checks,
    kinds: dict[str, int | None],
) -> None:  # fmt: skip
    """A device must not count on from a counter that it does not know.

    Two copies of zeros are a new board: not covered.
    """
    counter.give("before")
    whole = kept.nv.read()
    places = known_copies(updates, LOST, whole)
    page = whole[places[0] : places[0] + PAGE]
    held = [at for at, value in enumerate(page) if value]
    ways: dict[str, list[Damage]] = {
        "first bytes": [flipped(held[0])] * 2,
        "last bytes": [flipped(held[-1])] * 2,
        "one erased, one damaged": [lambda data: bytes(len(data)), flipped(held[len(held) // 2])],
        "first words erased": [lambda data: bytes(4) + data[4:]] * 2,
        "ones": [lambda data: b"\xff" * len(data)] * 2,
        "elsewhere": [flipped(held[len(held) // 3]), flipped(held[2 * len(held) // 3])],
    }
    secure = bench.board.consoles.get("secure") if bench.description.firmware == REFERENCE else None
    with kept.burning() as provision:
        for kind, lifecycle in kinds.items():
            content = whole
            for place, damage in zip(places, ways[kind] * len(places), strict=False):
                content = content[:place] + damage(content[place : place + PAGE]) + content[place + PAGE :]
            mark = secure.mark() if secure is not None else None
            provision(Burned(lifecycle=lifecycle))
            if kept.starts_with(content):  # then it must know what it counted, or refuse to count
                try:
                    counter.rises(LOST, kind)
                except Refused:
                    checks(LOST, True)
                continue
            checks(LOST, True)
            if secure is not None and mark is not None:
                said = secure.read_from(mark)
                checks(LOST, HALTED in said, expected=HALTED.decode(), seen=said[-300:], subject=f"{kind}: said")


@pytest.mark.needs("cold-reset", "nv-access")
@pytest.mark.thorough
def test_the_newer_copy_counts(updates: ModelUpdates, kept: VirtualBoard, counter: Counter, checks: Checks) -> None:
    """A power cut between the writes of two copies leaves one that is whole and old."""
    updates.checks.equal(STALE, updates.attempt(updates.image(ahead=1)), 0, subject="raised before")
    counter.give("before")
    old = kept.nv.read()
    for number in range(3):
        counter.give(f"result {number}")
    new = kept.nv.read()
    for place in known_copies(updates, STALE, old):
        content = new[:place] + old[place : place + PAGE] + new[place + PAGE :]
        subject = f"copy at {place:#x} from before"
        if checks(STALE, kept.starts_with(content), expected="an answer", seen="none", subject=subject):
            counter.rises(STALE, subject)


@pytest.mark.thorough
@pytest.mark.needs("cold-reset", "nv-access")
def test_an_old_copy_is_not_made_the_newer_one(
    updates: ModelUpdates, kept: VirtualBoard, counter: Counter, checks: Checks
) -> None:
    """The number that says which copy is newer is under the checksum, too: a changed bit of it counts as damage."""
    counter.give("before")
    old = kept.nv.read()
    for number in range(3):
        counter.give(f"result {number}")
    places = known_copies(updates, STALE, old)
    new = kept.nv.read()
    for place in places:
        for at in NUMBER:
            page = bytearray(old[place : place + PAGE])
            page[at] ^= 0x40
            content = new[:place] + bytes(page) + new[place + PAGE :]
            subject = f"an old copy at {place:#x}, a bit of byte {at} changed"
            if checks(STALE, kept.starts_with(content), expected="an answer", seen="none", subject=subject):
                counter.rises(STALE, subject)


@pytest.mark.thorough
@pytest.mark.needs("cold-reset", "nv-access")
def test_no_update_of_many_is_written_over_the_active_one(
    updates: ModelUpdates, kept: VirtualBoard, checks: Checks
) -> None:
    """Update after update, with selections in between: the one before stays whole until the new one is active.

    Also while a factory's model is the active one, for updates to each of their places.
    """
    last = b""
    for number in range(1, 9):
        image = updates.image(ahead=number)
        if number in {7, 8}:
            updates.device.select_model(updates.other().name)
        status = updates.attempt(image)
        checks.equal(CUT_MODEL, status, 0, subject=f"update {number}")
        if number == 5:
            updates.device.select_model(updates.other().name)
            updates.device.select_model(updates.entry.name)
        content = kept.nv.read()
        if number == 1 and image not in content:
            pytest.skip("not covered: what this firmware keeps of an image is not its file")
        if last:
            checks(
                CUT_MODEL, last in content, expected="the image of before, whole", seen="none",
                subject=f"what is kept while update {number} is written and after it",
            )  # fmt: skip
        last = image
