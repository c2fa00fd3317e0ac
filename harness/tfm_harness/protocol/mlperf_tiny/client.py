"""Pseudo-driver client of MLPerf Tiny's firmware protocol (EEMBC's benchmark runner speaks it)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from tfm_harness.console.base import Console
from tfm_harness.errors import ConfigError, HarnessError, ProductError
from tfm_harness.protocol.base import Description, Exchange, Feature, InferResult, PseudoDriver, Source
from tfm_harness.protocol.mlperf_tiny.answers import (
    TimedRun,
    bracketed,
    of_the_line,
    printed_bytes,
    raise_if_refused,
    results,
    timed_run,
    wrong_form,
)
from tfm_harness.protocol.mlperf_tiny.session import MonitorSession, Reply

__all__ = ["INPUT_BYTES", "MlperfTinyDriver"]

INPUT_BYTES: Final[Mapping[str, int]] = {"kws01": 490, "ic01": 3072, "vww01": 27_648, "ad01": 2560}
"""Bytes that each benchmark task's firmware takes: 49 x 10 int8, 32 x 32 x 3 and 96 x 96 x 3 uint8, 640 float32."""

_CHUNK = 31  # bytes in a `db` line, the same number as the benchmark's runner sends
_REPEAT = 64
_LOADS = 3
_MOST_INPUT = 1 << 24
_SLOWEST = 10 / 9600  # seconds for one character at the protocol's lowest speed


class MlperfTinyDriver(PseudoDriver):
    """Speaks ``name``, ``profile``, ``db``, ``infer``, ``results`` and ``timestamp``.

    The protocol has no signature, no nonce, no sensor and no checksum: every input is read back before it is used.
    Results have three decimals.

    Args:
        console: the firmware's UART.
        timeout: seconds for one short command.
        watch: called while waiting; raises when the board is known to be dead.
        clock: monotonic seconds.
    """

    key_names = ()
    features = frozenset({Feature.DESCRIBE, Feature.INFER, Feature.PRINTED_RESULT, Feature.TIMED_RUN})

    def __init__(
        self,
        console: Console,
        *,
        timeout: float = 10.0,
        watch: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.console = console
        self.timeout = timeout
        self.expecting: Callable[[], AbstractContextManager[object]] = nullcontext
        self.link = MonitorSession(console, watch=watch, clock=clock)
        self.loaded: bytes | None = None
        """The input that the device holds, as read back; None: not known."""
        self._clock = clock
        self._model = ""
        self._exchanges: deque[Exchange] = deque(maxlen=_REPEAT)

    @property
    def exchanges(self) -> Sequence[Exchange]:
        """The last exchanges, newest last."""
        return tuple(self._exchanges)

    def wait_ready(self, *, timeout: float) -> Description:
        """Wait until the firmware answers after its boot. Returns its description.

        Raises:
            InfrastructureError: ``silent``: not one byte came.
            ProductError: ``boot-hung``: it printed, but did not answer; ``device-reset``: it boots again and again.
        """
        self.loaded = None
        deadline = self._clock() + timeout
        while True:
            self.link.synchronise(max(deadline - self._clock(), 0.05), each=self.timeout)
            try:
                return self.describe()
            except ProductError as error:
                if error.kind != "device-reset" or self._clock() >= deadline:
                    raise

    def describe(self) -> Description:
        """The device's name, the firmware's version and its model, as the firmware reports them."""
        name = bracketed(self._ask("name").lines, "m-name-dut-", "name", where=self.link.where)
        lines = self._ask("profile").lines
        profile = bracketed(lines, "m-profile-", "profile", where=self.link.where)
        self._model = bracketed(lines, "m-model-", "profile", where=self.link.where)
        raw: dict[str, object] = {"name": name, "profile": profile, "model": self._model, "timestamps": self.link.mode}
        if self._model in INPUT_BYTES:
            raw["in"] = INPUT_BYTES[self._model]
        return Description(
            firmware=name or "unnamed",
            version=profile or "unknown",
            model=self._model or None,
            clock_hz=1_000_000,
            features=frozenset(feature.value for feature in self.features),
            raw=raw,
        )

    def infer(
        self,
        *,
        nonce: bytes | None = None,
        source: Source = Source.HOST,
        data: bytes | None = None,
        model: str | None = None,
    ) -> InferResult:
        """Run one inference: load the input, read it back, run once without warm-up.

        Args:
            nonce: must be None: results contain none.
            source: `Source.HOST` only.
            data: the input as the firmware takes it, see `INPUT_BYTES`.
            model: the model that must run; None accepts any.

        Returns:
            The result; its message is the text between the brackets of ``m-results-[...]``.

        Raises:
            ConfigError: ``feature-missing``: the request needs a feature that is not in `features`; ``input-size``;
                ``no-model``.
            InfrastructureError, ProductError: as `load` and `run`.
        """
        if nonce is not None:
            raise _missing("a nonce in results (nonce)")
        if source is not Source.HOST:
            raise _missing("input from the sensor (sensor)")
        if model is not None and model != (self._model or self.describe().model):
            raise ConfigError(
                "another model runs on the device", kind="no-model", expected=model, seen=self._model or "not said"
            )
        if data is None:
            raise ConfigError("an inference needs its input's bytes", kind="bad-input", seen="none")
        self.load(data)
        done = self.run(1, 0)
        return InferResult(
            message=",".join(done.texts).encode("ascii"),
            nonce=None,
            source=Source.HOST,
            model=self._model or None,
            host_seconds=done.host_seconds,
        )

    def any_input(self) -> bytes:
        """Zeros, as many bytes as the benchmark task's firmware takes, or as another firmware asks for.

        Raises:
            ConfigError: ``input-size``: the firmware does not report how many bytes it takes.
        """
        if not self._model:
            self.describe()
        if size := INPUT_BYTES.get(self._model):
            return bytes(size)
        # The reference firmware reports the right size if it gets a wrong one: one byte is too few.
        try:
            self.load(b"\0")
            self.run(1, 0)
        except ConfigError as error:
            words = (error.expected or "").split()
            if error.kind == "input-size" and words[1:] == ["elements"]:
                return bytes(self._possible(int(words[0])))
            raise
        return b"\0"

    def _possible(self, size: int) -> int:
        if size > _MOST_INPUT:
            raise ProductError(
                "the firmware asks for an input that no microcontroller holds",
                kind="answer-form",
                expected=f"at most {_MOST_INPUT} bytes",
                seen=f"{size} elements",
                where=self.link.where,
            )
        return size

    def load(self, data: bytes) -> None:
        """Put an input into the firmware's buffer and read it back. On a real UART a damaged input is sent again.

        Raises:
            ConfigError: ``input-size``: more than the firmware's buffer holds; ``bad-input``: nothing.
            InfrastructureError: ``input-damaged``: the input that is read back differs, three times.
            ProductError: ``input-damaged``, on a console that cannot change a byte; ``answer-form``.
        """
        if not data:
            raise ConfigError("an input of no bytes", kind="bad-input", seen="b''")
        if data == self.loaded:
            return
        self.loaded = None
        last: HarnessError | None = None
        for _ in range(1 if self.console.lossless else _LOADS):
            try:
                self._send(data)
                held = self.read_back(len(data))
            except ProductError as error:
                if error.kind not in {"answer-form", "input-truncated", "refused", "input-damaged"}:
                    raise
                last = error
                continue
            if held == data:
                self.loaded = data
                return
            at = next(n for n, (one, other) in enumerate(zip(held, data, strict=True)) if one != other)
            wrong = sum(one != other for one, other in zip(held, data, strict=True))
            last = self._damaged(f"byte {at} is {data[at]:02x}", f"{held[at]:02x}; {wrong} of {len(data)} bytes differ")
        assert last is not None  # noqa: S101 - the loop ran
        raise last

    def read_back(self, size: int) -> bytes:
        """The input that the firmware holds (``db print``), `size` bytes."""
        # Three characters a byte, and at most eleven more for each eight bytes.
        seconds = self.timeout + (3 * size + 11 * (size // 8 + 1)) * _SLOWEST
        return printed_bytes(self._ask("db print", timeout=seconds).lines, size, where=self.link.where)

    def run(self, iterations: int, warmups: int = 0, *, timeout: float | None = None) -> TimedRun:
        """Run the loaded input: `warmups` times, then `iterations` times between two timestamps.

        Args:
            iterations: 1 to 1,000,000.
            warmups: 0 to 1,000,000. It is always sent: the firmware's default is ten.
            timeout: seconds until the results; default: 30 s, the runner's.

        Raises:
            ConfigError: ``bad-input``: another number; ``input-size``.
            InfrastructureError, ProductError: as the session's, `MlperfTinyRefused`, ``answer-form``, ``results-form``.
        """
        if not 1 <= iterations <= 1_000_000 or not 0 <= warmups <= 1_000_000:
            raise ConfigError(
                "this number of inferences cannot be asked for", kind="bad-input",
                expected="1 to 1,000,000 iterations, 0 to 1,000,000 warm-ups", seen=f"{iterations}, {warmups}",
            )  # fmt: skip
        limit = max(self.timeout, 30.0) if timeout is None else timeout
        reply = self._ask(f"infer {iterations} {warmups}", timeout=limit)
        return timed_run(reply.lines, iterations, warmups, reply.seconds, where=self.link.where)

    def results(self) -> tuple[str, ...]:
        """The last inference's results once more (``results``), as printed."""
        text = bracketed(self._ask("results").lines, "m-results-", "results", where=self.link.where)
        return results(text, where=self.link.where)

    def timestamp(self) -> int | None:
        """The device's time in microseconds; None if it prints none (energy mode).

        Raises:
            ProductError: ``answer-form``.
        """
        lines = self._ask("timestamp").lines
        if not lines:
            return None
        text = lines[0].removeprefix("m-lap-us-")
        if len(lines) == 1 and text != lines[0] and text.isdecimal() and len(text) <= 20:
            return int(text)
        raise wrong_form("timestamp", "m-lap-us-T", lines, self.link.where)

    def attest(self, challenge: bytes) -> bytes:
        """Raise `ConfigError` ``feature-missing``: this protocol has no attestation."""
        del challenge
        raise _missing("a PSA attestation token (psa-token)")

    def public_key(self, name: str) -> bytes:
        """This protocol has no keys. Raises `ConfigError` ``feature-missing``."""
        del name
        raise _missing("public keys (public-keys)")

    def csr(self, name: str) -> bytes:
        """This protocol has no keys. Raises `ConfigError` ``feature-missing``."""
        del name
        raise _missing("signing requests (csr)")

    # ---- inside

    def _send(self, data: bytes) -> None:
        """Send ``db load``, then the bytes line by line; the firmware acknowledges each before the next is sent."""
        said = self._ask(f"db load {len(data)}").lines
        if said != (f"m-[Expecting {len(data)} bytes]",):
            raise ProductError(
                "the firmware does not expect the input that was announced", kind="answer-form",
                expected=f"m-[Expecting {len(data)} bytes]", seen=", ".join(said[:5]) or "nothing",
                where=self.link.where,
            )  # fmt: skip
        for at in range(0, len(data), _CHUNK):
            done = self._ask(f"db {data[at : at + _CHUNK].hex()}").lines
            last = at + _CHUNK >= len(data)
            if done != (("m-load-done",) if last else ()):
                raise ProductError(
                    "the firmware counts another number of input bytes than were sent", kind="answer-form",
                    expected="m-load-done behind the last line, and nothing behind the others",
                    seen=f"{', '.join(done[:5]) or 'nothing'} behind byte {min(at + _CHUNK, len(data))} of {len(data)}",
                    where=self.link.where,
                )  # fmt: skip

    def _damaged(self, expected: str, seen: str) -> HarnessError:
        lossless = self.console.lossless
        return of_the_line(
            "the input that the device holds is not the one that was sent",
            kind="input-damaged",
            lossless=lossless,
            expected=expected,
            seen=seen,
            where=self.link.where,
            hint="nothing on this console can change a byte: look at the firmware's db command"
            if lossless
            else "look at the UART's speed, cable and flow; the protocol has no checksum",
        )

    def _ask(self, text: str, *, timeout: float | None = None) -> Reply:
        try:
            reply = self.link.command(text, timeout=timeout or self.timeout, each=self.timeout)
        except HarnessError as error:
            if error.kind == "device-reset":
                self.loaded = None
            raise
        self._exchanges.append(
            Exchange(
                request=text,
                response="\n".join((*reply.lines, "m-ready")),
                raw_request=text.encode("ascii") + b"%",
                raw_response=reply.raw,
                seconds=reply.seconds,
            )
        )
        raise_if_refused(text, reply.lines, where=self.link.where)
        return reply


def _missing(what: str) -> ConfigError:
    return ConfigError(
        f"MLPerf Tiny's protocol does not offer {what}",
        kind="feature-missing",
        hint="suites declare what they need and are skipped as not covered; see docs/mlperf-tiny.md",
    )
