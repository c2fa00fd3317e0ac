"""What a pseudo-driver client is to the rest of the harness."""

from __future__ import annotations

import abc
import enum
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from tfm_harness.errors import ProductError

if TYPE_CHECKING:
    from tfm_harness.console.base import Console

__all__ = ["Description", "Exchange", "Feature", "InferResult", "PseudoDriver", "Reboots", "Source", "fresh_nonce"]


NONCE_BYTES: Final = 32


def fresh_nonce() -> bytes:
    """A random nonce of 32 bytes for requests whose caller gives none (PSA tokens allow this size, too)."""
    return secrets.token_bytes(NONCE_BYTES)


class Feature(enum.StrEnum):
    """What a firmware can do; suites name what they need and are *not covered* without it."""

    DESCRIBE = "describe"
    IDENTITY = "identity"  # describe returns the running images' measurements
    INFER = "infer"
    SIGNED_RESULT = "signed-result"
    NONCE = "nonce"  # results bind the caller's nonce
    PSA_TOKEN = "psa-token"  # noqa: S105 - a feature's name
    APP_TOKEN = "app-token"  # noqa: S105 - a feature's name
    PUBLIC_KEYS = "public-keys"
    CSR = "csr"
    ENCRYPTED_RESULT = "encrypted-result"  # signed results in a COSE_Encrypt0
    PROTECTED_STORAGE = "protected-storage"  # PSA Protected Storage for clients outside
    SENSOR = "sensor"  # the sensor can be stepped
    FREE_RUNNING = "free-running"
    PRINTED_RESULT = "printed-result"  # results are decimal text, three decimals, unsigned
    TIMED_RUN = "timed-run"  # N inferences between two of the device's timestamps
    BATCH = "batch"
    LATENCY = "latency"
    TRACE = "trace"
    PROBE = "probe"
    PSA_CALL = "psa-call"
    MODELS = "models"
    UPDATE = "update"
    RESET = "reset"
    STATS = "stats"
    LOG = "log"
    HOLD = "hold"  # the firmware can wait until its receive buffer is full
    INPUT_UPLOAD = "input-upload"  # inputs that are larger than a message


class Source(enum.IntEnum):
    """Where an inference takes its input from."""

    SENSOR = 0
    HOST = 1


_MOST_INPUT = 1 << 24  # bytes; no microcontroller holds more


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The firmware's own description of itself. `raw` holds its whole answer."""

    firmware: str
    version: str
    measurements: Mapping[str, bytes] = field(default_factory=dict)  # component ("SPE", "NSPE", "MODEL") -> hash
    boot: int | None = None
    boot_seed: bytes | None = None
    lifecycle: int | None = None
    uuid: str | None = None
    clock_hz: int | None = None
    model: str | None = None
    model_id: bytes | None = None
    features: frozenset[str] = frozenset()
    raw: Mapping[str, object] = field(default_factory=dict)

    @property
    def input_bytes(self) -> int:
        """Size of the active model's input, in bytes.

        Raises:
            ProductError: ``describe-incomplete``: the firmware does not report it.
        """
        size = self.raw.get("in")
        if not isinstance(size, int) or not 0 < size <= _MOST_INPUT:
            raise ProductError(
                "the firmware does not say how large its model's input is",
                kind="describe-incomplete",
                expected=f"1 to {_MOST_INPUT} bytes",
                seen=repr(size),
            )
        return size


@dataclass(frozen=True, slots=True, kw_only=True)
class InferResult:
    """A (signed) inference result as received, and what the request asked for.

    Attributes:
        message: the COSE message or CBOR map, byte for byte.
        nonce: the requested nonce; None if the firmware has no nonces.
        ticks: the device's own unsigned phase counters, by phase name.
        host_seconds: from the request's first byte to the response's last.
    """

    message: bytes
    nonce: bytes | None
    source: Source
    model: str | None
    ticks: Mapping[str, int] = field(default_factory=dict)
    host_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and its answer, for reports: decoded and raw."""

    request: str
    response: str
    raw_request: bytes
    raw_response: bytes
    seconds: float
    retries: int = 0


class PseudoDriver(abc.ABC):
    """Speaks one firmware's protocol over its console.

    Errors: `InfrastructureError` for lost, late, corrupt frames; `ProductError` for answers that break the
    protocol's contract. A firmware's own refusal (an SMP error, a PSA status) is `Refused`,
    defined with each client, a `ProductError` that carries the status.

    Packages add clients in the entry-point group ``tfm_harness.protocols``.

    Args:
        console: where the firmware speaks.
        timeout: seconds for an answer that needs no long work.
        watch: called while waiting; raises when the board is known to be dead.
    """

    features: frozenset[Feature]
    key_names: tuple[str, ...]  # what `public_key` takes here

    @abc.abstractmethod
    def __init__(self, console: Console, *, timeout: float, watch: Callable[[], None] | None) -> None: ...

    @abc.abstractmethod
    def wait_ready(self, *, timeout: float) -> Description:
        """Wait until the firmware answers after boot. Returns its description, as `describe`."""

    @abc.abstractmethod
    def describe(self) -> Description:
        """Ask the firmware who it is."""

    @abc.abstractmethod
    def infer(
        self,
        *,
        nonce: bytes | None = None,
        source: Source = Source.SENSOR,
        data: bytes | None = None,
        model: str | None = None,
    ) -> InferResult:
        """Ask for one inference."""

    @abc.abstractmethod
    def any_input(self) -> bytes:
        """Some valid input of the active model, for tests in which its value does not matter."""

    @abc.abstractmethod
    def attest(self, challenge: bytes) -> bytes:
        """Ask for an attestation token."""

    @abc.abstractmethod
    def public_key(self, name: str) -> bytes:
        """A public key as the device gives it: COSE_Key bytes or PEM."""

    @abc.abstractmethod
    def csr(self, name: str) -> bytes:
        """A PKCS#10 request, DER."""

    @property
    @abc.abstractmethod
    def exchanges(self) -> Sequence[Exchange]:
        """The last exchanges (bounded), newest last."""


@runtime_checkable
class Reboots(Protocol):
    """A client that can make the firmware reset itself.

    Attributes:
        expecting: opens a block in which resets are expected; the monitor of the board's resets sets it.
    """

    expecting: Callable[[], AbstractContextManager[object]]
