"""Calls that no client library would make: random ones, and calls during which another bus master changes memory."""

from __future__ import annotations

import secrets
import struct
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import pytest
from tfm_harness import (
    Bench,
    Check,
    Checks,
    Device,
    HarnessError,
    ProductError,
    RandomCall,
    RandomCalls,
    ResetKind,
    Severity,
    VirtualBoard,
    simplest,
)
from tfm_harness.protocol.smp import run_request
from tfm_harness.verify import Leak, Scanner, device_secrets

pytestmark = pytest.mark.needs("psa-call", "probe", "memory-map", "services", "describe")

AT_A_TIME = 32
LOOKS = 16
"""What so many looks at memory found is searched in one go: a search costs more by itself than by the byte."""
PSA_STATUSES = frozenset({0, *range(-152, -128), *range(-166, -154)})
"""PSA_SUCCESS, and the errors of the PSA status code API 1.0 s.3 and of Firmware Update 1.0."""
MOST_FINDINGS = 5
SHRINKING = 60.0
"""Seconds for making a call smaller that stops the device."""
BLOCK = 1024
EVIL_LENGTH = struct.pack("<I", 0x7FFF_FFF0)
RUN, RESULT_ROOM, SMALL_ROOM, BUFFER_TOO_SMALL = 3, 3072, 16, -138
REFERENCE = "tfm-harness-reference"

ANSWERED = Check(
    id="abuse.status-is-psa",
    title="every call is answered with a status of the PSA APIs, or one that its service is documented to have",
    requirement="PSA Firmware Framework 1.0 s.4.3.3 (psa_call); PSA Status Codes API 1.0 s.3",
)
SURVIVES = Check(
    id="abuse.survives",
    title="no call makes the secure side halt, reset or fall silent",
    requirement="PSA Security Model 1.1 s.4.9 (availability); PSA Firmware Framework 1.0 s.3.3",
)
REFUSED = Check(
    id="abuse.wrong-call-refused",
    title="a call with a vector that is not the caller's, an unknown handle or type, or too many vectors fails",
    requirement="PSA Firmware Framework 1.0 s.3.3.2, s.4.3.3",
)
RESERVED_BITS = Check(
    id="abuse.handle-reserved-bits",
    title="a handle with a reserved bit set names no service (TF-M ignores some of these bits and serves the call)",
    requirement="PSA Firmware Framework 1.0 s.4.3.3",
    dev=Severity.INFO,
    validation=Severity.INFO,
    production=Severity.WARNING,
)
NO_LEAK = Check(
    id="abuse.no-secret-in-outputs",
    title="what the calls wrote to non-secure memory holds no secret",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of secrets)",
)
SERVES = Check(
    id="abuse.serves-afterwards",
    title="after all these calls the device signs and attests as before",
    requirement="PSA Security Model 1.1 s.4.9 (availability)",
)
READ_ONCE = Check(
    id="abuse.double-fetch",
    title="what is changed right after the secure side read it has no effect: it is read once",
    requirement="PSA Firmware Framework 1.0 s.3.3.2; CWE-367",
)
WORKS = Check(
    id="abuse.calls-work",
    title="some random calls succeed, and races reach the secure side",
    requirement="tfm-harness: calls that are all refused at the door prove little",
    waivable=False,
)


class Look(NamedTuple):
    """Blocks of memory that some calls changed: their bytes, where each stood, and the calls."""

    data: bytes
    places: list[int]
    calls: Sequence[RandomCall]


class Abuser:
    """Makes the calls of one seed, and remembers what went wrong.

    What the calls wrote is searched in a thread of `pool`, while the device answers the next calls.
    """

    def __init__(self, bench: Bench, device: Device, checks: Checks, seed: int, pool: ThreadPoolExecutor) -> None:
        self.bench, self.device, self.checks, self.seed, self.pool = bench, device, checks, seed, pool
        try:
            self.calls = RandomCalls(bench.memory_map, bench.services, seed)
        except ValueError as error:
            pytest.skip(f"not covered: {error}")
        self.content = self.calls.content()
        self.good = 0
        self.found = 0
        self.inference = bench.services.get("inference")
        self.seen = b""
        self.looks: list[Look] = []
        self.searched: tuple[list[Look], Future[list[Leak]]] | None = None
        self.scanner: Scanner | None = None
        if not bench.missing(["memory-dump", "known-secrets"]):
            huk = bench.board.identity.huk
            assert huk is not None
            self.scanner = Scanner(device_secrets(huk))
        self.prepare()

    def prepare(self) -> None:
        """Write the content from which calls take their inputs; a reset may have lost it."""
        scratch = self.bench.memory_map.scratch
        assert scratch is not None
        self.device.test_commands.poke(scratch[0], self.content)

    def run(self, calls: Sequence[RandomCall]) -> None:
        """Make so many calls close together: the bytes of the later ones interrupt the earlier ones."""
        try:
            statuses = self.device.test_commands.psa_call_many([self.raw(call) for call in calls])
        except ProductError as error:
            self.revive()
            self.blame(calls, error)
            return
        for call, status in zip(calls, statuses, strict=True):
            self.judge(call, status)
        self.look(calls)

    def look(self, calls: Sequence[RandomCall]) -> None:
        """Keep what the calls wrote, before later ones write over it."""
        scratch = self.bench.memory_map.scratch
        if self.scanner is None or scratch is None:
            return
        now = self.bench.board.read_memory(*scratch)
        self.looks.append(Look(*changed(self.seen, now), calls))
        self.seen = now
        if len(self.looks) == LOOKS:
            self.search()

    def search(self) -> None:
        """Begin to search what has been kept, and judge the search before this one."""
        self.judge_search()
        looks, self.looks = self.looks, []
        if self.scanner is not None and looks:
            data = b"".join(look.data for look in looks)
            self.searched = looks, self.pool.submit(self.scanner.scan, data, text=False)

    def judge_search(self) -> None:
        """Judge what was found in what had been kept."""
        searched, self.searched = self.searched, None
        scratch = self.bench.memory_map.scratch
        if searched is None or scratch is None:
            return
        looks, leaks = searched[0], searched[1].result()
        for leak in leaks[:1]:
            at, look = leak.at, looks[0]
            for look in looks:
                if at < len(look.data):
                    break
                at -= len(look.data)
            at = scratch[0] + look.places[at // BLOCK] + at % BLOCK
            by = [call for call in look.calls if any(begin <= at < begin + size for begin, size in call.outputs)]
            subject = self.words(by[-1]) if by else f"seed {self.seed}"
            self.checks(NO_LEAK, False, expected="nothing", seen="; ".join(map(str, leaks[:4])), subject=subject)
            self.scanner = None  # it stays there, and would be found again and again

    @staticmethod
    def raw(call: RandomCall) -> tuple[int, int, list[tuple[int, int]], list[tuple[int, int]]]:
        """The call in the form in which the client takes it."""
        return call.handle, call.type, list(call.inputs), list(call.outputs)

    def judge(self, call: RandomCall, status: int) -> None:
        """Judge one call that was answered."""
        self.good += status == 0
        self.count_result(call, status)
        for check in (ANSWERED, REFUSED):
            why = self.wrong(check, call, status)
            if why and self.found < MOST_FINDINGS:
                self.found += 1
                small = simplest(call, partial(self.fails, check))
                self.checks(check, False, expected="a PSA error", seen=f"{status}: {why}", subject=self.words(small))
        service = self.calls.service(call.handle)
        if service is not None and service.has_alias(call.handle):
            bits = f"bits {call.handle ^ service.handle:#x}"
            self.checks(RESERVED_BITS, service.refuses(status), expected="a PSA error", seen=status, subject=bits)

    def count_result(self, call: RandomCall, status: int) -> None:
        """Count a result that was signed, whoever asked for it."""
        signed = self.inference is not None and self.calls.service(call.handle) is self.inference and call.type == RUN
        self.bench.asked_results += status == 0 and signed

    def wrong(self, check: Check, call: RandomCall, status: int) -> str:
        """Why this answer fails the check; empty when it does not fail."""
        service = self.calls.service(call.handle)
        own = service.own_errors if service is not None else ()
        if check is ANSWERED:
            return "" if status in PSA_STATUSES or status in own else "no status of the PSA APIs"
        return self.calls.must_fail(call) if check is REFUSED and status >= 0 and status not in own else ""

    def fails(self, check: Check, call: RandomCall) -> bool:
        """Whether a smaller call fails in the same way."""
        try:
            (status,) = self.device.test_commands.psa_call_many([self.raw(call)])
        except ProductError:
            self.revive()
            return check is SURVIVES
        self.count_result(call, status)
        return bool(self.wrong(check, call, status))

    def blame(self, calls: Sequence[RandomCall], error: ProductError) -> None:
        """Find the call, of those made together, that caused the failure."""
        self.found = MOST_FINDINGS  # each further one would cost minutes
        deadline = time.monotonic() + SHRINKING
        for call in calls:
            if self.fails(SURVIVES, call):
                small = simplest(call, lambda tried: time.monotonic() < deadline and self.fails(SURVIVES, tried))
                self.checks(SURVIVES, False, expected="an answer", seen=error.message, subject=self.words(small))
                return
        subject = f"{len(calls)} calls together, the first {self.words(calls[0])}"
        self.checks(SURVIVES, False, expected="answers", seen=error.message, subject=subject)

    def words(self, call: RandomCall) -> str:
        return f"{call}; seed {self.seed}"

    def revive(self) -> None:
        """The board starts anew."""
        start_anew(self.bench, self.device)
        self.prepare()


def changed(before: bytes, now: bytes) -> tuple[bytes, list[int]]:
    """The blocks of memory that differ, with the one behind each: their bytes, and where each stood."""
    differ = {at for at in range(0, len(now), BLOCK) if now[at : at + BLOCK] != before[at : at + BLOCK]}
    places = sorted(differ | {at + BLOCK for at in differ if at + BLOCK < len(now)})
    return b"".join(now[at : at + BLOCK] for at in places), places


def start_anew(bench: Bench, device: Device) -> None:
    """Reset the board in the hardest way that it has."""
    kinds = ("cold-reset", ResetKind.COLD), ("warm-reset", ResetKind.WARM)
    kind = next((kind for word, kind in kinds if not bench.missing([word])), None)
    if kind is None:
        pytest.skip("not covered: the board has no reset, so it is not abused any further")
    device.reset(kind)


def clean_up(bench: Bench, device: Device) -> None:
    """Stop sampling, which a call may have started, and clear the window."""
    if not bench.missing(["sensor"]):
        device.test_commands.sample("stop")
        device.test_commands.sample("clear")


@pytest.fixture
def abused(bench: Bench, device: Device) -> Iterator[Device]:
    """The device; afterwards it is in the state that it was in before."""
    active = bench.description.model
    yield device
    try:
        clean_up(bench, device)
        if active is not None and not bench.missing(["models"]):
            device.select_model(active)
    except HarnessError:  # it no longer serves, which a check has said
        start_anew(bench, device)


@pytest.mark.parametrize("count", [320, pytest.param(10_000, marks=pytest.mark.thorough(count=320))])
def test_random_calls(bench: Bench, abused: Device, checks: Checks, count: int) -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="search") as pool:
        abuser = Abuser(bench, abused, checks, count, pool)
        made = list(abuser.calls.calls(count))
        for at in range(0, count, AT_A_TIME):
            abuser.run(made[at : at + AT_A_TIME])
            if abuser.found >= MOST_FINDINGS:
                break
        abuser.search()
        abuser.judge_search()
    checks(SURVIVES, True, expected="answers", seen="answers", subject=f"{count} calls of seed {abuser.seed}")
    checks(WORKS, abuser.good > 0, expected="some succeed", seen=abuser.good, subject=f"{count} calls")
    try:
        clean_up(bench, abused)
        abused.infer_input(abused.any_input())
        answers = True
    except HarnessError as error:
        answers = False
        checks(SERVES, False, expected="a signed result", seen=error.message)
    if answers and not bench.missing(["psa-token"]):
        abused.attest()
    checks(SERVES, answers, expected="a signed result, and a token", seen="none", subject=f"after {count} calls")
    if abuser.scanner is not None:
        checks(NO_LEAK, True, expected="nothing", seen="nothing", subject="outputs of the calls")


@pytest.mark.needs("infer", "signed-result", "register-stops", "nonce")
@pytest.mark.parametrize(
    "what",
    [
        "length of the request",
        "address of the result",
        "length of the result",
        "length of the nonce",
        "room that is too small",
        pytest.param("address of the request", marks=pytest.mark.thorough),
        pytest.param("length of the input", marks=pytest.mark.thorough),
        pytest.param("address of the input", marks=pytest.mark.thorough),
        pytest.param("nonce", marks=pytest.mark.thorough),
    ],
)
def test_what_changes_right_after_it_was_read(
    bench: Bench, abused: Device, virtual: VirtualBoard, checks: Checks, what: str
) -> None:
    """A second bus master changes a vector, or the request, after the service checked it and before it uses it."""
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: the requests of this firmware's services are not known")
    commands, scratch = abused.test_commands, bench.memory_map.scratch
    if scratch is None or "inference" not in bench.services:
        pytest.skip("not covered: no memory for tests, or no inference service")
    base = scratch[0]
    in_array, out_array, data, answers, elsewhere = (base + at for at in (0, 0x100, 0x1000, 0x10000, 0x18000))
    nonce = secrets.token_bytes(16)
    request = run_request(nonce=nonce, nonce_length=len(nonce))
    inputs = [(data, len(request)), (data + 0x2000, bench.description.input_bytes)]
    small = what == "room that is too small"
    outputs = [(answers, SMALL_ROOM if small else RESULT_ROOM), (answers + 0x4000, 48)]
    commands.poke(data, request)
    commands.poke(data + 0x2000, bytes(64))
    for at, vectors in ((in_array, inputs), (out_array, outputs)):
        commands.poke(at, b"".join(struct.pack("<II", *vector) for vector in vectors))
    marks = {answers: b"\xa5" * 32, elsewhere: b"\x5a" * 16}
    for at, mark in marks.items():
        commands.poke(at, mark)
    secure = struct.pack("<I", bench.memory_map.owned_by("secure")[-1].at)
    changes = {
        "address of the request": (in_array, secure),
        "length of the request": (in_array + 4, EVIL_LENGTH),
        "address of the input": (in_array + 8, secure),
        "length of the input": (in_array + 12, EVIL_LENGTH),
        "address of the result": (out_array, struct.pack("<I", elsewhere)),
        "length of the result": (out_array + 4, EVIL_LENGTH),
        "room that is too small": (out_array + 4, struct.pack("<I", RESULT_ROOM)),
        "length of the nonce": (data + 4, struct.pack("<I", 0xFFFF_FFF0)),
        "nonce": (data + 8, bytes(byte ^ 0xFF for byte in nonce[:4])),
    }
    statuses: list[int] = []

    def call() -> None:
        statuses.append(
            commands.psa_call_at(
                bench.services["inference"].handle, RUN, inputs, outputs, in_array=in_array, out_array=out_array
            )
        )

    try:
        raced = virtual.raced(call, *changes[what])
    except ProductError as error:
        checks(SURVIVES, False, expected="an answer", seen=error.message, subject=what)
        raise
    bench.asked_results += statuses == [0]
    checks(WORKS, raced, expected="read by the secure side", seen="not read", subject=what)
    if small:
        checks.equal(READ_ONCE, statuses, [BUFFER_TOO_SMALL], subject=f"{what}: status, room for it was made later")
        checks.equal(READ_ONCE, commands.peek(answers, 32), marks[answers], subject=f"{what}: there and behind it")
        return
    checks.equal(READ_ONCE, statuses, [0], subject=f"{what}: status of a call that was right when it was read")
    checks.equal(READ_ONCE, commands.peek(elsewhere, 16), marks[elsewhere], subject=f"{what}: memory of the change")
    result = commands.peek(answers, 1024)
    checks(
        READ_ONCE, result[:1] == b"\xd2" and nonce in result,
        expected="the result, with the nonce, where it was asked for", seen=result[:8].hex(), subject=what,
    )  # fmt: skip
