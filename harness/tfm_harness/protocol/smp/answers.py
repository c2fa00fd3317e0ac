"""The reference firmware's answers (docs/protocol.md): decoding, checking, value objects.

Everything here is untrusted: for a missing key, a wrong type or an impossible value the
product is responsible, and the error names the key. Additional keys are allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar, cast

from tfm_harness.errors import ProductError
from tfm_harness.protocol.psa_status import status_name
from tfm_harness.verify import cbor

__all__ = [
    "DeviceStats",
    "FaultRecord",
    "LatencyRun",
    "ModelInfo",
    "Probe",
    "Refused",
    "SampleState",
    "StoredObject",
    "answer_code",
    "decode_answer",
    "field",
    "show",
    "status_of",
]

SENSOR_STATUS = {
    0: "ok",
    1: "absent (address not acknowledged)",
    2: "not acknowledged while reading",
    3: "bus stuck",
    4: "wrong identity",
    5: "window not full",
}

T = TypeVar("T")
P = ParamSpec("P")


class Refused(ProductError):
    """The firmware refused a request.

    Attributes:
        status: the psa_status_t (negative), or None for a plain SMP error.
        rc: the SMP error code as sent.
        group: the group that refused; None for a plain SMP error.
    """

    def __init__(self, request: str, *, group: int | None, rc: int) -> None:
        self.group = group
        self.rc = rc
        self.status = -rc if group is not None else None
        reason = status_name(-rc) if group is not None else {3: "EINVAL (3)", 8: "ENOTSUP (8)"}.get(rc, f"rc {rc}")
        super().__init__(f"the firmware refused {request}: {reason}", kind="refused", seen=reason)


def status_of(ask: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> int | None:
    """Call `ask` and return its outcome: 0 when it was answered, else the psa_status_t of the refusal.

    Returns:
        None for a refusal by a plain SMP error, which has no such status.

    Raises:
        InfrastructureError, ProductError: as `ask` raises them, except `Refused`.
    """
    try:
        ask(*args, **kwargs)
    except Refused as refused:
        return refused.status
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleState:
    """Answer to `sample`: sensor status, samples in the window, samples since boot."""

    status: int
    window: int
    taken: int

    @property
    def words(self) -> str:
        """The sensor status in words."""
        return SENSOR_STATUS.get(self.status, f"status {self.status}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRecord:
    """A recorded security fault. Addresses are those that the core reports; None if it reports none."""

    type: str
    pc: int
    nonsecure: bool
    cfsr: int
    sfsr: int
    address: int | None
    ppc: int | None

    @classmethod
    def parse(cls, value: object) -> FaultRecord:
        """From the CBOR map of docs/protocol.md."""
        record = _map(value, "fault record")
        return cls(
            type=field(record, "t", str),
            pc=field(record, "pc", int),
            nonsecure=field(record, "ns", bool),
            cfsr=field(record, "cfsr", int),
            sfsr=field(record, "sfsr", int),
            address=optional(record, "ad", int),
            ppc=optional(record, "ppc", int),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One non-secure access to an address: whether it faulted, what was read, faults recorded so far."""

    fault: bool
    value: int | None
    faults: int
    record: FaultRecord | None

    @classmethod
    def parse(cls, answer: Mapping[str, object]) -> Probe:
        """From an answer's map."""
        return cls(
            fault=field(answer, "fault", bool),
            value=optional(answer, "val", int),
            faults=field(answer, "n", int),
            record=FaultRecord.parse(answer["info"]) if "info" in answer else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyRun:
    """A series measured by the device, in counter ticks; `start` and `end` are around the whole run."""

    ticks: tuple[int, ...]
    empty: tuple[int, ...]
    hz: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """One model slot. `slot` 0..3 factory, 4 update bank; `status` 0 valid or a PSA status."""

    slot: int
    name: str
    id: bytes
    version: str
    counter: int
    length: int
    status: int
    active: bool

    @classmethod
    def parse(cls, value: object) -> ModelInfo:
        """From the CBOR map of docs/protocol.md."""
        entry = _map(value, "model entry")
        return cls(
            slot=field(entry, "slot", int),
            name=field(entry, "name", str),
            id=field(entry, "id", bytes),
            version=field(entry, "ver", str),
            counter=field(entry, "cnt", int),
            length=field(entry, "len", int),
            status=field(entry, "st", int),
            active=field(entry, "act", bool),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """What protected storage holds under a uid: its bytes from the offset asked for on, whole size, PSA flags."""

    data: bytes
    size: int
    flags: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStats:
    """The firmware's own frame counters."""

    received: int
    bad_crc: int
    bad_frame: int
    too_big: int
    bad_cbor: int
    overruns: int
    sent: int


def decode_answer(payload: bytes, request: str) -> Mapping[str, object]:
    """The answer's map.

    Raises:
        ProductError: ``smp-answer``: no strict CBOR map with text keys.
        Refused: the firmware answered with an error.
    """
    try:
        value = cbor.decode(payload).value
    except cbor.CborError as error:
        raise ProductError(
            f"the answer to {request} is not strict CBOR: {error.message}",
            kind="smp-answer",
            expected="a CBOR map of definite length without duplicates",
            seen=payload[:64].hex(" "),
            where=error.where,
        ) from None
    answer = _map(value, f"answer to {request}")
    if "err" in answer:
        err = _map(answer["err"], "err")
        raise Refused(request, group=field(err, "group", int), rc=field(err, "rc", int))
    rc = answer.get("rc", 0)
    if rc != 0:
        raise Refused(request, group=None, rc=field(answer, "rc", int))
    return answer


def _map(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ProductError(
            f"the {what} is not a map with text keys", kind="smp-answer", expected="a map", seen=show(value)
        )
    return cast("Mapping[str, object]", value)


def answer_code(payload: bytes | None) -> int | str:
    """The outcome of a request, from its answer.

    Args:
        payload: the answer's CBOR; None: no answer came.

    Returns:
        0, a psa_status_t (negative), an SMP error code, or text that says what is wrong with the answer.
    """
    if payload is None:
        return "no answer"
    try:
        decode_answer(payload, "it")
    except Refused as refused:
        return refused.rc if refused.status is None else refused.status
    except ProductError as error:
        return error.message
    return 0


def field(answer: Mapping[str, object], key: str, kind: type[T]) -> T:
    """`answer[key]`, which must be there and of that type (a bool is no int; integers are not negative).

    Raises:
        ProductError: ``smp-answer``.
    """
    value = answer.get(key)
    if type(value) is not kind or (kind is int and cast("int", value) < 0):
        raise ProductError(
            f"key {key!r} of an answer is {'missing' if key not in answer else 'not what the protocol says'}",
            kind="smp-answer",
            expected=f"an unsigned {kind.__name__}" if kind is int else f"a {kind.__name__}",
            seen=show(value) if key in answer else f"keys {', '.join(answer) or 'none'}",
        )
    return value


def signed(answer: Mapping[str, object], key: str) -> int:
    """`answer[key]`, an integer that may be negative (a psa_status_t)."""
    value = answer.get(key)
    if type(value) is not int:
        raise ProductError(
            f"key {key!r} of an answer is not an integer", kind="smp-answer", expected="an int", seen=show(value)
        )
    return value


def optional(answer: Mapping[str, object], key: str, kind: type[T]) -> T | None:
    """Like `field`, None when the key is absent."""
    return field(answer, key, kind) if key in answer else None


def items(answer: Mapping[str, object], key: str, parse: Callable[[object], T]) -> tuple[T, ...]:
    """An array's items, each parsed."""
    return tuple(parse(item) for item in field(answer, key, list))


def ticks(data: bytes, key: str) -> tuple[int, ...]:
    """Little-endian 32-bit counters."""
    if len(data) % 4:
        raise ProductError(f"key {key!r} holds {len(data)} bytes, not a multiple of 4", kind="smp-answer")
    return tuple(int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4))


_MOST_ITEMS: Final = 12


def show(value: object, *, limit: int = 300) -> str:
    """A decoded value as CBOR diagnostic notation (RFC 8949 s.8), long byte strings and arrays shortened."""
    text = _show(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def _show(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case bytes():
            return f"h'{value.hex()}'" if len(value) <= 32 else f"h'{value[:12].hex()}...' ({len(value)} bytes)"
        case str():
            return f'"{value}"'
        case dict():
            return "{" + ", ".join(f"{_show(k)}: {_show(v)}" for k, v in value.items()) + "}"
        case list() | tuple() if len(value) > _MOST_ITEMS:  # cut first: every exchange is rendered
            return "[" + ", ".join(_show(v) for v in value[:_MOST_ITEMS]) + f", ... ({len(value)} items)]"
        case list() | tuple():
            return "[" + ", ".join(_show(v) for v in value) + "]"
        case _:
            return str(value)
