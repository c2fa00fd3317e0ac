"""Pseudo-driver client of Linaro's zephyr_secure_inference: its Zephyr shell on UART0."""

from __future__ import annotations

import math
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from tfm_harness.console.base import Console
from tfm_harness.errors import ConfigError, ProductError
from tfm_harness.protocol.base import Description, Exchange, Feature, InferResult, PseudoDriver, Source
from tfm_harness.protocol.zephyr_shell import parse
from tfm_harness.protocol.zephyr_shell.lines import ShellLine
from tfm_harness.protocol.zephyr_shell.session import QUIET, Reply, ShellSession

__all__ = ["KEYS", "ZephyrShellDriver"]

KEYS = {"client": 0x5001, "result": 0x5002}
"""Key names and the firmware's ids: the device client TLS key and the COSE signing key."""

_REPEAT = 64
_RANGE = 360  # degrees the firmware takes: 0 to 359


class ZephyrShellDriver(PseudoDriver):
    """Speaks the shell commands ``infer``, ``keys`` and ``info``.

    This firmware puts no nonce into its results and has no PSA attestation token, only a token of its own
    (`app_token`).

    Args:
        console: UART0, shared by both worlds.
        timeout: seconds for one command.
        watch: called while waiting; raises when the board is known to be dead.
        prompt: the shell's prompt, with its trailing blank.
        quiet: seconds without a byte after which a prompt counts as the last one.
        clock: monotonic seconds.
    """

    key_names = tuple(KEYS)
    features = frozenset(
        {
            Feature.DESCRIBE,
            Feature.INFER,
            Feature.SIGNED_RESULT,
            Feature.APP_TOKEN,
            Feature.PUBLIC_KEYS,
            Feature.CSR,
        }
    )

    def __init__(
        self,
        console: Console,
        *,
        timeout: float = 10.0,
        watch: Callable[[], None] | None = None,
        prompt: str = "uart:~$ ",
        quiet: float = QUIET,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.console = console
        self.timeout = timeout
        self.expecting: Callable[[], AbstractContextManager[object]] = nullcontext
        self._clock = clock
        self.session = ShellSession(console, prompt=prompt, watch=watch, quiet=quiet, clock=clock)
        self._exchanges: deque[Exchange] = deque(maxlen=_REPEAT)

    @property
    def exchanges(self) -> Sequence[Exchange]:
        """The last exchanges, newest last."""
        return tuple(self._exchanges)

    def notes(self) -> list[ShellLine]:
        """Log, secure and boot lines that came since the last call, classified, for reports."""
        return self.session.take_notes()

    def wait_ready(self, *, timeout: float) -> Description:
        """Wait for the shell, also during a boot. Returns the firmware's description.

        Raises:
            InfrastructureError: ``silent``: not one byte came.
            ProductError: ``boot-hung``: it printed, but no shell answered; ``device-reset``: it boots again and again.
        """
        deadline = self._clock() + timeout
        while True:
            self.session.synchronise(max(deadline - self._clock(), 0.1))
            try:
                return self.describe()
            except ProductError as error:
                # A prompt appears several times before the boot's last line: an earlier one was taken for the last.
                if error.kind != "device-reset" or self._clock() >= deadline:
                    raise

    def reboot(self, *, timeout: float = 20.0) -> Description:
        """Send ``kernel reboot cold``, then wait for the shell.

        Raises:
            InfrastructureError, ProductError: ``no-reset``: the firmware did not reset; else as `wait_ready`.
        """
        with self.expecting():
            self.session.restart("kernel reboot cold", timeout)
            return self.wait_ready(timeout=timeout)

    def describe(self) -> Description:
        """Version, UUID and models, as the firmware reports them."""
        version = parse.single_line(self._ask("info version"), r"[\w.+-]+")
        uuid = parse.single_line(self._ask("info uuid"), r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
        entries = parse.models(self._ask("infer model"))
        active = [entry.label for entry in entries if entry.status == "Active"]
        return Description(
            firmware="zephyr_secure_inference",
            version=version,
            uuid=uuid,
            model=active[0] if active else None,
            features=frozenset(feature.value for feature in self.features),
            raw={"models": {entry.label: {"id": entry.id, "status": entry.status} for entry in entries}},
        )

    def infer(
        self,
        *,
        nonce: bytes | None = None,
        source: Source = Source.HOST,
        data: bytes | None = None,
        model: str | None = None,
    ) -> InferResult:
        """One signed inference.

        Args:
            nonce: must be None: this firmware puts none into its results.
            source: `Source.HOST` only.
            data: the input in degrees, one little-endian float32, 0 to 359.
            model: ``tflm_sine`` (default) or ``utvm_sine``.

        Raises:
            ConfigError: ``feature-missing``: the request needs a feature that is not in `features`.
        """
        if nonce is not None:
            raise _missing("a nonce in results (nonce)")
        if source is not Source.HOST:
            raise _missing("input from the sensor (sensor)")
        if data is None or len(data) != 4:
            raise ConfigError("the input of this firmware is one float32, 4 bytes", kind="bad-input", seen=repr(data))
        name = model or "tflm_sine"
        (degrees,) = struct.unpack("<f", data)
        (found,), reply = self._infer(name, "SIGN1", degrees)
        return InferResult(
            message=found.message, nonce=None, source=Source.HOST, model=name, host_seconds=reply.seconds
        )

    def any_input(self) -> bytes:
        """The input of 45 degrees."""
        return struct.pack("<f", 45.0)

    def infer_values(
        self, model: str, start: float, stop: float | None = None, stride: float | None = None, *, form: str = "CBOR"
    ) -> list[parse.Inference]:
        """Inferences over a range of degrees, as CBOR maps or signed (``SIGN1``), in order."""
        found, _ = self._infer(model, form, start, stop, stride)
        return found

    def attest(self, challenge: bytes) -> bytes:
        """Raise `ConfigError` ``feature-missing``: this firmware has no PSA token."""
        del challenge
        raise _missing("a PSA attestation token (psa-token)")

    def app_token(self) -> bytes:
        """The firmware's own application attestation token, a COSE_Sign1 message. It contains no challenge."""
        lines = self._ask("infer token")
        found = parse.hexdumps(lines[1:]) if lines[:1] == ("AAT token:",) else []
        if len(found) != 1:
            raise parse.ShellRefused("'infer token': one token was expected", status=None, seen="\n".join(lines[:3]))
        return found[0]

    def public_key(self, name: str) -> bytes:
        """PEM of ``client`` (0x5001) or ``result`` (0x5002)."""
        number = _key(name)
        keys = parse.public_keys(self._ask(f"keys public {number:x}"))
        if set(keys) != {number}:
            raise parse.ShellRefused(
                f"asked for key {number:#x}", status=None, seen=", ".join(f"{key:#x}" for key in keys) or "no key"
            )
        return keys[number]

    def csr(self, name: str, *, form: str = "PEM") -> bytes:
        """PKCS#10 request, DER, of ``client`` or ``result``, asked for as ``PEM`` or ``JSON``."""
        lines = self._ask(f"keys csr {form} {_key(name):x}")
        return parse.csr_from_pem(lines) if form == "PEM" else parse.csr_from_json(lines)

    def key_status(self) -> dict[int, tuple[str, str]]:
        """``keys status``: label and status by key id."""
        return {int(row[1], 16): (row[0], row[2]) for row in parse.table(self._ask("keys status")) if len(row) == 3}

    def run(self, line: str, *, timeout: float | None = None) -> tuple[str, ...]:
        """Send any shell command. Returns its reply lines; refusals are not interpreted."""
        return self._send(line, timeout=timeout).lines

    # ---- inside

    def _infer(
        self, model: str, form: str, start: float, stop: float | None = None, stride: float | None = None
    ) -> tuple[list[parse.Inference], Reply]:
        if stop is not None and not (start <= stop and (stride is None or stride > 0)):
            raise ConfigError(
                "a range of degrees must rise", kind="bad-input", expected="start <= stop and stride > 0",
                seen=f"{start} {stop} {stride}",
            )  # fmt: skip
        number = 1 if stop is None else int((stop - start) / (stride or 1.0) + 1e-6) + 1
        words = [_decimal(value) for value in (start, stop, stride) if value is not None]
        if not all(0 <= value < _RANGE for value in (start, stop or 0)):
            raise ConfigError("degrees run from 0 to 359", kind="bad-input", seen=" ".join(words))
        command = f"infer get {model} {form} {' '.join(words)}"
        reply = self._send(
            command,
            timeout=self.timeout + 0.2 * number,
            most_lines=max(20_000, 32 * number),  # an inference prints some 12 lines
            complete=lambda lines: parse.inference_ends(lines) >= number or parse.is_refused(lines),
        )
        parse.raise_if_refused(command, reply.lines)
        found = parse.inferences(reply.lines)
        wrong = [entry for entry in found if entry.form != form]
        if wrong or len(found) != number:
            raise parse.ShellRefused(
                f"{command!r}: {number} {form} results were asked for",
                status=None,
                seen=f"{len(found)} results, {len(wrong)} of another form",
            )
        return found, reply

    def _ask(self, command: str) -> tuple[str, ...]:
        lines = self._send(command).lines
        parse.raise_if_refused(command, lines)
        return lines

    def _send(
        self,
        command: str,
        *,
        timeout: float | None = None,
        complete: Callable[[Sequence[str]], bool] | None = None,
        most_lines: int = 20_000,
    ) -> Reply:
        reply = self.session.command(command, timeout=timeout or self.timeout, complete=complete, most_lines=most_lines)
        self._exchanges.append(
            Exchange(
                request=command,
                response="\n".join(reply.lines),
                raw_request=command.encode("ascii") + b"\r",
                raw_response=reply.raw,
                seconds=reply.seconds,
            )
        )
        return reply


def _decimal(value: float) -> str:
    """The shortest decimal text without an exponent that reads back as the same float32; the shell takes this form.

    Raises:
        ConfigError: ``bad-input``: not a finite float32.
    """
    if not math.isfinite(value):
        raise ConfigError("degrees are finite numbers", kind="bad-input", seen=repr(value))
    return np.format_float_positional(np.float32(value), trim="-")


def _key(name: str) -> int:
    if name not in KEYS:
        raise ConfigError(f"this firmware has no key {name!r}", kind="no-such-key", expected=", ".join(KEYS), seen=name)
    return KEYS[name]


def _missing(what: str) -> ConfigError:
    return ConfigError(
        f"zephyr_secure_inference does not offer {what}",
        kind="feature-missing",
        hint="suites declare what they need and are skipped as not covered; see docs/other-firmware.md",
    )
