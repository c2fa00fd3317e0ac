"""What the secure console says about updates and selections: an operator sees only there what was tried."""

from __future__ import annotations

import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tfm_harness import Bench, Check, Console, Device, InfrastructureError, Mark, ModelUpdates, Refused, VirtualBoard
from tfm_harness.testing import NoObjectError, flip, image_key_hash, make_image, with_objects_changed

pytestmark = pytest.mark.needs("update", "models", "file-model-signing-key", "factory-reset")

REFERENCE = "tfm-harness-reference"
NOBODY = 999
"""A partition that there is not."""
LINE = 5.0
"""Seconds for a line, once the answer of the request that it is about has come."""

LOGGED = Check(
    id="update.log-true",
    title="each update and selection, taken or refused, is logged on the secure console with the right numbers",
    requirement="PSA Security Model 1.1 s.4.9 (secure events are logged); docs/reference-firmware.md, Boot",
)


class Log:
    """The secure console's lines since the last look."""

    def __init__(self, console: Console, updates: ModelUpdates) -> None:
        self._console, self._updates = console, updates
        self._mark: Mark = console.mark()
        self._patience = LINE

    def says(self, subject: str, *lines: str) -> None:
        """Each of the lines comes, whole, in this order."""
        wanted = "".join(f"{line}\n" for line in lines)
        try:
            self._console.wait_for(wanted.encode(), timeout=self._patience, since=self._mark)
            seen = wanted
        except InfrastructureError:
            self._patience = 0.0  # what has failed need not be waited for again
            seen = self._console.read_from(self._mark).decode("ascii", "backslashreplace")
        self._updates.checks(LOGGED, seen == wanted, expected=wanted, seen=seen[-600:], subject=subject)
        self._mark = self._console.mark()


def short_hash(key: ec.EllipticCurvePublicKey) -> str:
    """The begin of a key's hash, as the log has it."""
    return image_key_hash(key).hex()[:8]


@pytest.fixture
def log(updates: ModelUpdates, bench: Bench) -> Log:
    """The secure console of the reference firmware."""
    console = bench.board.consoles.get("secure")
    if bench.description.firmware != REFERENCE or console is None:
        pytest.skip("not covered: the lines of this firmware's secure console are not known, or there is none")
    return Log(console, updates)


def test_the_secure_console_says_what_became_of_updates(
    updates: ModelUpdates, bench: Bench, device: Device, log: Log
) -> None:
    """Updates that are taken, updates that are refused for each reason, and selections; each with its numbers."""
    name, other = updates.entry.name, updates.other()
    right, stranger = updates.recipe(ahead=3), ec.generate_private_key(ec.SECP256R1())
    counter, wrong = updates.entry.counter, updates.recipe(ahead=5)
    updates.attempt(make_image(right.but(version=(7, 8, 9))))
    log.says("a newer one", f"[MODEL] {name} 7.8.9 is active, security counter {counter + 3}")
    odd, high = "%s%x%u%n", 0xFFFF_FFFB  # a name is no format, a counter is not signed
    for words, counter_of_it in (("a name of per cent signs", 4), ("a counter of ten digits", high)):
        updates.attempt(make_image(right.but(name=odd, version=(0, 0, 1), counter=counter_of_it)))
        log.says(words, f"[MODEL] {odd} 0.0.1 is active, security counter {counter_of_it}")
    updates.attempt(make_image(right.but(version=(7, 8, 9))))
    log.says("the newer one again", f"[MODEL] {name} 7.8.9 is active, security counter {counter + 3}")
    updates.attempt(make_image(right.but(counter=counter + 1)))
    log.says(
        "an older one",
        "[MODEL] update refused: rolled back (security counter too low)",
        f"[MODEL] update: security counter {counter + 1}, this device has seen {counter + 3}",
    )
    updates.attempt(make_image(wrong.but(key=stranger)))
    log.says(
        "signed with another key",
        "[MODEL] update refused: signed with another key",
        f"[MODEL] update: key hash {short_hash(stranger.public_key())}..., "
        f"trusted {short_hash(updates.key.public_key())}...",
    )
    named = updates.key.public_key()
    for subject, image, why in (
        ("signed with another key, under the right one's name", make_image(wrong.but(key=stranger, named_key=named)),
         "signature does not verify"),
        ("not signed", make_image(wrong.but(key=None, named_key=named)), "not signed (no signature)"),
        ("not signed, no key named", make_image(wrong.but(key=None)), "not signed (no key hash)"),
        ("a changed byte", flip(ModelUpdates.HEADER_SIZE + 64)(make_image(wrong)),
         "SHA-256 does not match the content"),
        ("no security counter", make_image(wrong.but(counter=None)), "no security counter"),
        ("no image", b"not an image " * 9, "not an MCUboot image, or a damaged one"),
        ("no model", make_image(wrong.but(payload=b"not a model " * 9)),
         "signed, but not a model that the interpreter takes"),
    ):  # fmt: skip
        updates.attempt(image)
        log.says(subject, f"[MODEL] update refused: {why}")
    device.select_model(other.name)
    log.says("selected", f"[MODEL] {other.name} {other.version} is active, security counter {other.counter}")
    device.select_model(name)
    log.says("the update selected", f"[MODEL] {name} 7.8.9 is active, security counter {counter + 3}")
    bench.reset_by_request()
    log.says("a reset by request", "[SPE] reset requested")


@pytest.mark.thorough
@pytest.mark.needs("nv-access", "cold-reset")
def test_the_secure_console_says_which_models_a_boot_refuses(
    updates: ModelUpdates, virtual: VirtualBoard, log: Log
) -> None:
    """The active update is damaged, and the factory's first model is older than the update was: both are said."""
    first = next((entry for entry in updates.valid() if entry.slot == 0), None)
    if first is None:
        pytest.skip("not covered: no valid model in factory slot 0")
    image = make_image(updates.recipe(ahead=1, of=first))
    updates.attempt(image)
    log.says("taken", f"[MODEL] {first.name} 1.0.{first.counter + 1} is active, security counter {first.counter + 1}")
    with virtual.off():
        updates.damage_kept(virtual, image, first.length)
    slot = "MODEL image in factory slot 0"
    log.says(
        "at the boot",
        "[BOOT] MODEL image in the update slot refused: SHA-256 does not match the content",
        f"[BOOT] {slot} refused: rolled back (security counter too low)",
        f"[BOOT] {slot}: security counter {first.counter}, this device has seen {first.counter + 1}",
        "[BOOT] no model is active",
    )
    other = updates.valid()[0]
    with contextlib.suppress(Refused):
        updates.device.test_commands.select_model(other.name)
    line = f"[MODEL] {other.name} {other.version} is active, security counter {other.counter}"
    log.says("another one selected, while none is active", line)


@pytest.mark.thorough
@pytest.mark.needs("nv-access", "cold-reset")
def test_the_secure_console_says_that_a_counter_has_no_room_and_that_a_board_is_new(
    updates: ModelUpdates, device: Device, virtual: VirtualBoard, log: Log
) -> None:
    """A right update that is not taken, because kept objects leave no room for its counter."""
    device.select_model(updates.other().name)

    def fill(head: dict[str, int]) -> None:
        if not head["used"]:
            head.update(used=1, owner=NOBODY, uid=1)

    try:
        content = with_objects_changed(virtual.nv.read(), fill)
    except NoObjectError as error:
        pytest.skip(f"not covered: {error}")
    try:
        virtual.restart_with(content)
        updates.attempt(updates.image(ahead=1, name="newcomer"))
        log.says("no room", "[MODEL] not made active: its security counter cannot be stored")
    finally:
        updates.bench.factory_reset()
    log.says("a new board", "[SPE] NV area blank: a new board")
