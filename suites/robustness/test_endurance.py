"""Every request that succeeds, many times: if it kept something each time, memory would run out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pytest
from tfm_harness import Bench, Check, Checks, Device, Refused, Source
from tfm_harness.protocol.smp import DOCUMENTED, GROUP_INFERENCE, Command, Op, Request, decode_answer
from tfm_harness.verify import cbor

pytestmark = pytest.mark.needs("stats")

USED = Check(
    id="robustness.serves-after-use",
    title="a request that succeeds once succeeds as often as it is made, in one boot, and gets its own answer",
    requirement="PSA Security Model 1.1 s.4.9 (availability)",
)
TIMES = 260
"""More than a counter of eight bits holds, and more than pools of messages, handles or keys have places."""
REFUSED = Check(
    id="robustness.serves-after-refusals",
    title="after any number of refused requests a service still serves a right one",
    requirement="PSA Security Model 1.1 s.4.9 (availability); PSA Firmware Framework 1.0 s.4.3",
)
AT_A_TIME = 16
UID = 0x454E4455
"""Of the object in protected storage that this test writes and removes, the last one perhaps not."""
OTHER_UID = UID + 1
"""Of one that is there for a moment only."""

DONE = "done"

Arguments = Mapping[str, object]


class Use(NamedTuple):
    """One kind of request: the n-th is `arguments(bench, n)`, with the commands in turn. Every `repeats` are alike."""

    commands: tuple[Command, ...]
    arguments: Callable[[Bench, int], Arguments]
    needs: tuple[str, ...] = ()
    repeats: int = 0


def _number(number: int, size: int) -> bytes:
    """As a nonce or challenge: no two the same."""
    return number.to_bytes(4, "big") * (size // 4)


def _input(bench: Bench, number: int) -> bytes:
    return bytes([number & 0x7F]) * bench.description.input_bytes


def _stored(number: int) -> Arguments:
    """Every third request of a round: set, get, remove."""
    return {"uid": UID, "data": _number(number, 64)} if number % 3 == 0 else {"uid": UID}


USES: dict[str, Use] = {
    "descriptions": Use((Command.DESCRIBE,), lambda _bench, _n: {}, ("describe",), repeats=1),
    "public keys": Use((Command.PUBLIC_KEY,), lambda _bench, n: {"key": 1 + n % 3}, ("public-keys",), repeats=3),
    "certification requests": Use((Command.CSR,), lambda _bench, n: {"key": 2 + n % 2}, ("csr",)),
    "tokens": Use((Command.ATTEST,), lambda _bench, n: {"ch": _number(n, 32)}, ("psa-token",)),
    "sizes of tokens": Use((Command.ATTEST_SIZE,), lambda _bench, n: {"len": (32, 48, 64)[n % 3]}, ("psa-token",)),
    "results": Use(
        (Command.INFER,),
        lambda bench, n: {"nonce": _number(n, 32), "src": int(Source.HOST), "in": _input(bench, n)},
        ("infer",),
    ),
    "encrypted results": Use(
        (Command.INFER,),
        lambda bench, n: {"nonce": _number(n, 32), "src": int(Source.HOST), "in": _input(bench, n), "enc": 1},
        ("infer", "encrypted-result"),
    ),
    "samples": Use((Command.SAMPLE,), lambda _bench, _n: {"mode": "step"}, ("sensor", "stimulus")),
    "batches": Use((Command.BATCH,), lambda bench, n: {"in": _input(bench, n)}, ("batch",)),
    "times": Use((Command.LATENCY,), lambda _bench, _n: {"n": 1, "warm": 0}, ("latency",)),
    "lists of models": Use((Command.MODELS,), lambda _bench, _n: {}, ("models",), repeats=1),
    "objects stored": Use(
        (Command.PS_SET, Command.PS_GET, Command.PS_REMOVE), lambda _bench, n: _stored(n), ("protected-storage",)
    ),
}


def _request(command: Command, arguments: Arguments) -> Request:
    read = (Op.READ, GROUP_INFERENCE, command) in DOCUMENTED
    return Request(
        op=Op.READ if read else Op.WRITE,
        group=GROUP_INFERENCE,
        command=command,
        payload=cbor.encode(dict(arguments)),
        name=command.name.lower().replace("_", "-"),
    )


def _own(arguments: Arguments) -> bytes:
    """What the answer repeats of the request: a nonce that is not encrypted, or a challenge."""
    own = arguments.get("ch", b"" if "enc" in arguments else arguments.get("nonce", b""))
    return own if isinstance(own, bytes) else b""


def _words(answer: bytes | None, name: str, wanted: bytes | None, own: bytes) -> str:
    """What an answer says of its request; `wanted`: the one that came before to the same; `own`: what it must hold."""
    if answer is None:
        return "no answer"
    try:
        decode_answer(answer, name)
    except Refused as refused:
        return str(refused)
    if own not in answer:
        return f"an answer without the {own.hex()} of its request: {answer.hex()}"
    return DONE if wanted in {None, answer} else f"another answer than before: {answer.hex()}"


@pytest.mark.thorough
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.needs(*use.needs)) for kind, use in USES.items()]
)
def test_every_request_works_as_often_as_it_is_made(
    bench: Bench, device: Device, checks: Checks, request: pytest.FixtureRequest, kind: str
) -> None:
    """A few requests at a time; the first one that fails ends the test."""
    use, test_commands = USES[kind], device.test_commands
    if "stimulus" in use.needs:
        request.getfixturevalue("stimulus")
    came: list[bytes | None] = []
    for first in range(0, TIMES, AT_A_TIME):
        asked = [use.arguments(bench, number) for number in range(first, min(first + AT_A_TIME, TIMES))]
        commands = [use.commands[number % len(use.commands)] for number in range(first, first + len(asked))]
        requests = [_request(*each) for each in zip(commands, asked, strict=True)]
        answers = test_commands.link.burst(requests, timeout=test_commands.timeout)
        for arguments, made, answer in zip(asked, requests, answers, strict=True):
            before = came[-use.repeats] if 0 < use.repeats <= len(came) else None
            words = _words(answer, made.name, before, _own(arguments))
            came.append(answer)
            if words != DONE:
                checks(USED, False, expected=DONE, seen=words, subject=f"{kind}: {made.name} number {len(came)}")
                return
    checks(USED, True, expected=DONE, seen=DONE, subject=f"{kind}: {TIMES} times")


class Refusals(NamedTuple):
    """Requests that a service must refuse, and one that it must do afterwards."""

    wrong: Callable[[Bench], Sequence[tuple[Command, Arguments]]]
    right: Callable[[Bench, Device], object]
    needs: tuple[str, ...]


def _wrong_input(bench: Bench) -> bytes:
    """One of another size than the model's, and short."""
    return bytes(1 if bench.description.input_bytes != 1 else 2)


def _of_results(bench: Bench) -> list[tuple[Command, Arguments]]:
    """An input of another size, another model, and both to be encrypted."""
    right: Arguments = {"nonce": bytes(16), "src": int(Source.HOST), "in": _wrong_input(bench)}
    wrong: list[Arguments] = [right, {**right, "mid": bytes(32)}]
    if not bench.missing(["encrypted-result"]):
        wrong += [{**each, "enc": 1} for each in wrong]
    return [(Command.INFER, each) for each in wrong]


def _object_there(_bench: Bench, device: Device) -> None:
    commands = device.test_commands
    commands.ps_set(OTHER_UID, b"object")
    commands.ps_get(OTHER_UID)
    commands.ps_remove(OTHER_UID)


REFUSALS: dict[str, Refusals] = {
    "tokens": Refusals(
        lambda _bench: [(Command.ATTEST, {"ch": bytes(5)}), (Command.ATTEST, {"ch": bytes(32), "buf": 10})],
        lambda _bench, device: device.attest(),
        ("psa-token",),
    ),
    "sizes of tokens": Refusals(
        lambda _bench: [(Command.ATTEST_SIZE, {"len": 33})],
        lambda _bench, device: device.test_commands.attest_size(32),
        ("psa-token",),
    ),
    "keys": Refusals(
        lambda _bench: [(Command.PUBLIC_KEY, {"key": 9}), (Command.CSR, {"key": 9})],
        lambda _bench, device: (device.public_key("client"), device.csr("client")),
        ("public-keys", "csr"),
    ),
    "results": Refusals(_of_results, lambda bench, device: device.infer_input(_input(bench, 1)), ("infer",)),
    "batches": Refusals(
        lambda bench: [(Command.BATCH, {"in": _wrong_input(bench)})],
        lambda bench, device: device.test_commands.ask(Command.BATCH, {"in": _input(bench, 0)}),
        ("batch",),
    ),
    "times": Refusals(
        lambda bench: [(Command.LATENCY, {"n": 1, "warm": 0, "in": _wrong_input(bench)})],
        lambda _bench, device: device.test_commands.latency(1),
        ("latency",),
    ),
    "models": Refusals(
        lambda _bench: [(Command.MODEL_SELECT, {"name": "nobody"})],
        lambda bench, device: device.select_model(str(bench.description.model)),
        ("models",),
    ),
    "updates": Refusals(
        lambda _bench: [
            (Command.MODEL_ACTIVATE, {"sha": bytes(32)}),
            (Command.MODEL_UPLOAD, {"off": 0, "data": b"x", "len": 0, "sha": bytes(32)}),
        ],
        lambda _bench, device: device.test_commands.upload_model(b"no model at all"),
        ("update",),
    ),
    "objects": Refusals(
        lambda _bench: [
            (Command.PS_GET, {"uid": OTHER_UID}),
            (Command.PS_REMOVE, {"uid": OTHER_UID}),
            (Command.PS_SET, {"uid": OTHER_UID, "data": b"x", "fl": 0x80}),
            (Command.PS_SET, {"uid": OTHER_UID, "data": bytes(257)}),
        ],
        _object_there,
        ("protected-storage",),
    ),
}


@pytest.mark.thorough
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.needs(*one.needs)) for kind, one in REFUSALS.items()]
)
def test_refusals_use_nothing_up(bench: Bench, device: Device, checks: Checks, kind: str) -> None:
    """A service that refuses a request gives back everything that it took for it."""
    wrong, commands = REFUSALS[kind].wrong(bench), device.test_commands
    requests = [_request(*wrong[number % len(wrong)]) for number in range(TIMES)]
    for first in range(0, TIMES, AT_A_TIME):
        made = requests[first : first + AT_A_TIME]
        for number, answer in enumerate(commands.link.burst(made, timeout=commands.timeout), first):
            words = _words(answer, requests[number].name, None, b"")
            if answer is None or words == DONE:
                subject = f"{kind}: {requests[number].name}, wrong, number {number}"
                checks(REFUSED, False, expected="a refusal", seen=words, subject=subject)
                return
    try:
        REFUSALS[kind].right(bench, device)
    except Refused as refused:
        checks(REFUSED, False, expected=DONE, seen=str(refused), subject=f"{kind}, after {TIMES} refusals")
    else:
        checks(REFUSED, True, expected=DONE, seen=DONE, subject=f"{kind}, after {TIMES} refusals")
