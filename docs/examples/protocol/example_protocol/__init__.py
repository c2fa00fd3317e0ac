"""A protocol of its own: ``WORD ARGUMENT...`` in a line, answered by ``WORD VALUE`` in a line, bytes in hexadecimal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from tfm_harness import (
    ConfigError,
    Console,
    Description,
    Exchange,
    Feature,
    InferResult,
    InfrastructureError,
    Mark,
    ProductError,
    PseudoDriver,
    Source,
    fresh_nonce,
)

LONGEST = 16_384  # bytes; what is longer is no answer
LOOK = 0.1  # seconds between two looks at whether the board lives


class LinesDriver(PseudoDriver):
    """Speaks ``describe``, ``infer``, ``key`` and ``sample``."""

    features = frozenset({Feature.DESCRIBE, Feature.INFER, Feature.SIGNED_RESULT, Feature.NONCE, Feature.PUBLIC_KEYS})
    key_names = ("result",)

    def __init__(self, console: Console, *, timeout: float, watch: Callable[[], None] | None) -> None:
        self._console = console
        self._timeout = timeout
        self._watch = watch or (lambda: None)
        self._exchanges: deque[Exchange] = deque(maxlen=64)

    @property
    def exchanges(self) -> Sequence[Exchange]:
        return tuple(self._exchanges)

    def wait_ready(self, *, timeout: float) -> Description:
        end = time.monotonic() + timeout
        while True:
            try:
                return self.describe()
            except InfrastructureError as error:
                if error.kind != "example.lost":
                    raise
            if time.monotonic() < end:
                continue
            if self._console.received:
                raise ProductError(
                    "the firmware spoke and did not answer", kind="boot-hung", where=self._console.tail()
                )
            raise InfrastructureError("not one byte came", kind="silent", hint="power, wiring, flash?")

    def describe(self) -> Description:
        firmware, _, version = self._ask("describe").partition(" ")
        if not firmware or not version:
            raise ProductError("no name and version", kind="example.answer", seen=firmware)
        return Description(firmware=firmware, version=version, model="mean",
                           features=frozenset(map(str, self.features)))  # fmt: skip

    def infer(
        self,
        *,
        nonce: bytes | None = None,
        source: Source = Source.SENSOR,
        data: bytes | None = None,
        model: str | None = None,
    ) -> InferResult:
        nonce = fresh_nonce() if nonce is None else nonce
        began = time.monotonic()
        message = self._bytes(self._ask(f"infer {nonce.hex()} {int(source)} {(data or b'').hex() or '-'}"))
        return InferResult(
            message=message, nonce=nonce, source=source, model=model, host_seconds=time.monotonic() - began
        )

    def any_input(self) -> bytes:
        return bytes(8)

    def public_key(self, name: str) -> bytes:
        return self._bytes(self._ask(f"key {name}"))

    def attest(self, challenge: bytes) -> bytes:
        raise self._missing("attestation tokens")

    def csr(self, name: str) -> bytes:
        raise self._missing("signing requests")

    def sample(self) -> int:
        """The sensor's count, read now."""
        return int.from_bytes(self._bytes(self._ask("sample")), "big", signed=True)

    @staticmethod
    def _missing(what: str) -> ConfigError:
        return ConfigError(f"this firmware offers no {what}", kind="feature-missing")

    @staticmethod
    def _bytes(text: str) -> bytes:
        try:
            return bytes.fromhex(text)
        except ValueError:
            raise ProductError("an answer is not hexadecimal", kind="example.answer", seen=text[:80]) from None

    def _ask(self, line: str) -> str:
        """The answer's value. One absolute deadline: nothing that the device sends renews it."""
        began = time.monotonic()
        end = began + self._timeout
        mark = self._console.mark()
        self._console.write(line.encode() + b"\n")
        word = line.split(maxsplit=1)[0].encode() + b" "
        while True:
            self._watch()
            heard = self._console.read_from(mark, limit=LONGEST)
            for row in heard.split(b"\n")[:-1]:
                if row.startswith(word):  # anything else is the firmware's log
                    self._exchanges.append(
                        Exchange(
                            request=line,
                            response=row.decode("ascii", "backslashreplace"),
                            raw_request=line.encode(),
                            raw_response=row,
                            seconds=time.monotonic() - began,
                        )
                    )
                    return row.removeprefix(word).decode("ascii", "backslashreplace")
            if len(heard) >= LONGEST:
                raise ProductError("text without an answer in it", kind="example.flood", where=self._console.tail())
            left = end - time.monotonic()
            if left <= 0:
                raise InfrastructureError("no answer came", kind="example.lost", where=self._console.tail())
            self._console.wait_data(Mark(mark.offset + len(heard)), timeout=min(left, LOOK))
