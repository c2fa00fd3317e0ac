"""The pseudo-driver's commands, and what depends on the lifecycle: only documented commands answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tfm_harness import Bench, Check, Checks, Device, Feature, ProductError, Refused
from tfm_harness.protocol.smp import DOCUMENTED, GROUP_INFERENCE, GROUP_OS, Command, Op, Request, decode_answer
from tfm_harness.verify import cbor

ENOTSUP, EINVAL = 8, 3
FEATURE_OF: dict[int, Feature] = {
    Command.MODELS: Feature.MODELS,
    Command.MODEL_SELECT: Feature.MODELS,
    Command.MODEL_UPLOAD: Feature.UPDATE,
    Command.MODEL_ACTIVATE: Feature.UPDATE,
    Command.PROBE: Feature.PROBE,
    Command.FAULTS: Feature.PROBE,
    Command.PSA_CALL: Feature.PSA_CALL,
    Command.INPUT_UPLOAD: Feature.INPUT_UPLOAD,
    Command.PS_SET: Feature.PROTECTED_STORAGE,
    Command.PS_GET: Feature.PROTECTED_STORAGE,
    Command.PS_REMOVE: Feature.PROTECTED_STORAGE,
}
"""Commands that a firmware may leave out; `describe` then does not name the feature."""
NOT_PERMITTED = -133
REFERENCE = "tfm-harness-reference"
PROBED = 0x5000_0000
"""An address of the secure side: a fault has a record, which the answers show."""
AT_A_TIME = 48

UNDOCUMENTED_COMMAND = Check(
    id="isolation.undocumented-command",
    title="groups, commands and operations that are not documented are answered with ENOTSUP",
    requirement="docs/protocol.md, transport; PSA Security Model 1.1 s.4.5 (least privilege)",
)
UNDOCUMENTED_KEY = Check(
    id="isolation.undocumented-key",
    title="a request with a key that is not documented is refused",
    requirement="docs/protocol.md, transport; PSA Security Model 1.1 s.4.5 (least privilege)",
)
UNDOCUMENTED_ANSWER = Check(
    id="isolation.undocumented-answer",
    title="no answer has a key that is not documented",
    requirement="docs/protocol.cddl (closed maps); PSA Security Model 1.1 s.4.5 (least privilege)",
)
DEBUG_LIFECYCLE = Check(
    id="isolation.debug-by-lifecycle",
    title="inner activations are shown in lifecycle `assembly and test` only, and secure memory in none",
    requirement="PSA Security Model 1.1 s.5.1 (debug features by lifecycle); docs/protocol.md, trace",
)


def undocumented(*, every: bool) -> Iterator[tuple[int, int, int]]:
    """(operation, group, command) that no document names: both known groups whole, others by a sample."""
    for group in (GROUP_OS, GROUP_INFERENCE):
        for command in range(256):
            for op in (Op.READ, Op.WRITE):
                if (op, group, command) not in DOCUMENTED:
                    yield op, group, command
    near = {*range(80), *((1 << bit) + step for bit in range(16) for step in (-1, 0, 1)), 0xFFFF}
    for group in sorted((near | (set(range(0, 0x10000, 61)) if every else set())) - {GROUP_OS, GROUP_INFERENCE}):
        if 0 <= group <= 0xFFFF:
            for command in (0, 1, 9, 0xFF):
                yield Op.READ if command & 1 else Op.WRITE, group, command


@pytest.mark.needs("stats")
@pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.thorough(every=False))], ids=["near", "far"]
)
def test_commands_that_are_not_documented_do_not_answer(device: Device, checks: Checks, every: bool) -> None:
    tried = list(undocumented(every=every))
    answered: list[str] = []
    for at in range(0, len(tried), AT_A_TIME):
        part = tried[at : at + AT_A_TIME]
        requests = [
            Request(op=Op(op), group=group, command=command, payload=cbor.encode({}), name="undocumented")
            for op, group, command in part
        ]
        answers = device.test_commands.link.burst(requests, timeout=device.test_commands.timeout)
        for (op, group, command), payload in zip(part, answers, strict=True):
            code = refusal(payload or b"")
            if code != ENOTSUP:
                answered.append(f"{Op(op).name} {group}/{command}: {'no answer' if payload is None else code}")
    checks(
        UNDOCUMENTED_COMMAND,
        not answered,
        expected=f"{len(tried)} times ENOTSUP (8)",
        seen="; ".join(answered[:8]),
    )


@pytest.mark.needs("stats")
@pytest.mark.parametrize("key", ["dbg", "debug", "", "x", "raw", "key0"])
def test_keys_that_are_not_documented_are_refused(device: Device, checks: Checks, key: str) -> None:
    said = device.describe().features
    for op, group, command in sorted(DOCUMENTED):
        request = Request(
            op=Op(op), group=group, command=command, payload=cbor.encode({key: 1}), name="with a key more"
        )
        answer = device.test_commands.link.request(request, timeout=device.test_commands.timeout)
        code = refusal(answer.payload)
        feature = FEATURE_OF.get(command) if group == GROUP_INFERENCE else None
        left_out = feature is not None and feature not in said
        wanted = ENOTSUP if left_out else EINVAL  # a firmware without a feature has not its commands
        checks.equal(UNDOCUMENTED_KEY, code, wanted, subject=f"{group}/{command} with {key!r}")


@pytest.mark.needs("infer", "stats")
def test_answers_say_no_more_than_is_documented(bench: Bench, device: Device, checks: Checks) -> None:
    """Each command is asked for something right; what came before, in this boot and others, counts too."""
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: what this firmware's answers hold is documented elsewhere")
    commands, name = device.test_commands, str(bench.description.model)
    right: dict[str, Callable[[], object]] = {
        "describe": device.describe,
        "models": lambda: commands.select_model(name),
        "update": lambda: commands.upload_model(b"no model at all"),
        "stats": lambda: (commands.device_stats(), commands.echo("x"), commands.parameters()),
        "log": lambda: commands.print_log(0, 0),
        "hold": lambda: commands.ask(Command.HOLD, {"t": 1}),
        "probe": lambda: (commands.probe(PROBED), commands.faults()),
        "psa-call": lambda: commands.psa_call(1, 0, [], []),
    }  # fmt: skip
    for feature, ask in right.items():
        if not bench.missing([feature]):
            ask()
    for ask in device.requests().values():
        ask()
    judge_answers(device, checks, "all that was asked")


def judge_answers(device: Device, checks: Checks, subject: str) -> None:
    """Every answer of this session so far."""
    more = sorted(device.test_commands.stats.undocumented)
    seen = f"{', '.join(more[:8])} (group/command: key)"
    checks(UNDOCUMENTED_ANSWER, not more, expected="documented keys", seen=seen, subject=subject)


def refusal(payload: bytes) -> int | str:
    """The error code of an answer; in words when it holds none."""
    try:
        return f"answered: {decode_answer(payload, 'it')}"
    except Refused as refused:
        return refused.rc if refused.group is None else refused.status or 0
    except ProductError as error:
        return error.message


LIFECYCLES = (0x1000, 0x3000, 0x0000, 0x0FFF, 0x10FF, 0x1100, 0x2000, 0x30FF, 0x4000, 0x5000, 0x6000, 0xFF10)


def trace_status(device: Device, arguments: dict[str, object]) -> int:
    """0, or the psa_status_t with which `trace` is refused."""
    try:
        device.test_commands.ask(Command.TRACE, arguments)
    except Refused as refused:
        return refused.status or refused.rc
    return 0


@pytest.mark.needs("infer", "stats")
def test_no_inner_activations_in_this_lifecycle(bench: Bench, device: Device, checks: Checks) -> None:
    """Asks by the command for the whole and for parts, whatever `describe` says; the board is not changed."""
    judge_trace(bench, device, checks)


@pytest.mark.needs("provision", "stats")
@pytest.mark.parametrize(
    "lifecycle",
    [
        pytest.param(value, marks=() if value == 0x1000 else pytest.mark.thorough, id=f"{value:#06x}")
        for value in LIFECYCLES
    ],
)
def test_debug_features_follow_the_lifecycle(bench: Bench, device: Device, checks: Checks, lifecycle: int) -> None:
    with bench.provisioned(lifecycle):
        judge_trace(bench, device, checks)
        if bench.missing(["probe", "memory-map"]) or bench.probes.resets:
            return
        tried, reached = bench.probes.read_of_secure()
        seen = f"no fault at {', '.join(map(hex, reached[:8]))}"
        subject = f"secure memory and peripherals, lifecycle {lifecycle:#06x}"
        checks(DEBUG_LIFECYCLE, not reached, expected=f"{tried} faults", seen=seen, subject=subject)


def judge_trace(bench: Bench, device: Device, checks: Checks) -> None:
    """The trace command answers, or is refused, as the lifecycle says; `describe` says the same."""
    said = device.describe()
    size = said.input_bytes
    lifecycle = bench.board.identity.lifecycle
    lifecycle = said.lifecycle if lifecycle is None else lifecycle
    allowed = (lifecycle or 0) & 0xFF00 == 0x1000
    requests: tuple[tuple[str, dict[str, object]], ...] = (
        ("list", {"in": bytes(size)}),
        ("operator 0", {"in": bytes(size), "op": 0}),
        ("operator 0 from offset 1", {"in": bytes(size), "op": 0, "off": 1}),
        ("last operators", {"in": bytes(size), "op": 3, "off": 0}),
    )
    for subject, arguments in requests:
        status = trace_status(device, arguments)
        checks(
            DEBUG_LIFECYCLE,
            status == (0 if allowed else NOT_PERMITTED),
            expected="an answer" if allowed else f"PSA_ERROR_NOT_PERMITTED ({NOT_PERMITTED})",
            seen="an answer" if status == 0 else status,
            subject=f"trace, {subject}, lifecycle {lifecycle:#06x}",
        )
    if said.firmware == REFERENCE:
        judge_answers(device, checks, f"lifecycle {lifecycle:#06x}")
    checks.equal(DEBUG_LIFECYCLE, "trace" in said.features, allowed, subject=f"describe, lifecycle {lifecycle:#06x}")
