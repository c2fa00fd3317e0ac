"""The pseudo-driver client of the reference firmware: MCUmgr SMP over a UART (docs/protocol.md)."""

from __future__ import annotations

from tfm_harness.errors import ConfigError, ProductError
from tfm_harness.protocol.base import Description, Feature, InferResult, PseudoDriver, Source, fresh_nonce
from tfm_harness.protocol.smp.answers import field
from tfm_harness.protocol.smp.header import Command
from tfm_harness.protocol.smp.test_commands import SmpTestCommands

__all__ = ["KEYS", "PHASES", "SmpDriver"]

KEYS = {"iak": 1, "result": 2, "client": 3}
"""Key names and their numbers on the wire."""
PHASES = (
    "request-complete",
    "service-entered",
    "input-ready",
    "inference-start",
    "inference-end",
    "signing-start",
    "signing-end",
    "response-ready",
)
"""The phases that the eight ticks beside a result mark (docs/protocol.md, infer, ``ph``)."""


class SmpDriver(SmpTestCommands, PseudoDriver):
    """Speaks docs/protocol.md."""

    key_names = tuple(KEYS)
    features = frozenset(Feature) - {Feature.APP_TOKEN, Feature.PRINTED_RESULT, Feature.TIMED_RUN}

    def wait_ready(self, *, timeout: float) -> Description:
        """Wait until the firmware answers after boot. Returns its description.

        Raises:
            InfrastructureError: ``silent``: not one byte came.
            ProductError: ``boot-hung``: it printed, but did not answer.
        """
        self.wait_echo(timeout=timeout)
        return self.describe()

    def describe(self) -> Description:
        """The firmware's own description of itself."""
        answer, _ = self.ask(Command.DESCRIBE, read=True)
        measurements = {"SPE": field(answer, "speh", bytes), "NSPE": field(answer, "nspe", bytes)}
        named = {feature.value: feature for feature in Feature}
        said = field(answer, "feat", list)
        active = field(answer, "model", str)
        return Description(
            firmware=field(answer, "fw", str),
            version=field(answer, "ver", str),
            measurements=measurements,
            boot=field(answer, "boot", int) if "boot" in answer else None,
            boot_seed=field(answer, "seed", bytes) or None,
            lifecycle=field(answer, "life", int),
            uuid=field(answer, "uuid", str),
            clock_hz=field(answer, "hz", int),
            model=active or None,
            model_id=field(answer, "mid", bytes) or None,
            features=frozenset(named[name] for name in said if name in named),
            raw=dict(answer),
        )

    def any_input(self) -> bytes:
        """One input tensor of the active model, all zeros."""
        return bytes(self.describe().input_bytes)

    def infer(
        self,
        *,
        nonce: bytes | None = None,
        source: Source = Source.SENSOR,
        data: bytes | None = None,
        model: str | None = None,
        model_id: bytes | None = None,
        encrypted: bool = False,
    ) -> InferResult:
        """One signed inference. Without `nonce` a fresh one of 32 random bytes is used.

        Args:
            nonce: 8 to 64 bytes that the result must hold.
            source: sensor window or `data` (one input tensor's bytes).
            data: the input for `Source.HOST`.
            model: the model's name; the device refuses if another model is active.
            model_id: the model's id (32 bytes), instead of a name.
            encrypted: ask for a COSE_Encrypt0 around the signed result.
        """
        nonce = fresh_nonce() if nonce is None else nonce
        arguments: dict[str, object] = {"nonce": nonce, "src": int(source)}
        if data is not None:
            arguments["in"] = data
        if model is not None or model_id is not None:
            arguments["mid"] = self._model_id(model) if model_id is None and model is not None else model_id
        if encrypted:
            arguments["enc"] = 1
        answer, raw = self.ask(Command.INFER, arguments)
        phases = field(answer, "ph", list)
        if len(phases) != len(PHASES) or not all(type(tick) is int and tick >= 0 for tick in phases):
            raise ProductError(
                "the phase ticks beside a result are not eight unsigned integers",
                kind="smp-answer",
                expected=", ".join(PHASES),
                seen=str(phases),
            )
        return InferResult(
            message=field(answer, "res", bytes),
            nonce=nonce,
            source=source,
            model=model,
            ticks=dict(zip(PHASES, phases, strict=True)),
            host_seconds=raw.seconds,
        )

    def attest(self, challenge: bytes, *, buffer: int | None = None) -> bytes:
        """The attestation token for `challenge`; `buffer` offers the device an output buffer of that size."""
        arguments: dict[str, object] = {"ch": challenge}
        if buffer is not None:
            arguments["buf"] = buffer
        answer, _ = self.ask(Command.ATTEST, arguments)
        return field(answer, "tok", bytes)

    def public_key(self, name: str) -> bytes:
        """COSE_Key bytes of ``iak``, ``result`` or ``client``; another name raises `ConfigError` ``no-such-key``."""
        answer, _ = self.ask(Command.PUBLIC_KEY, {"key": _key(name)}, read=True)
        return field(answer, "key", bytes)

    def csr(self, name: str) -> bytes:
        """PKCS#10 request for ``result`` or ``client``, DER; another name raises `ConfigError` ``no-such-key``."""
        answer, _ = self.ask(Command.CSR, {"key": _key(name)}, read=True)
        return field(answer, "csr", bytes)

    def _model_id(self, name: str) -> bytes:
        for entry in self.models():
            if entry.name == name:
                return entry.id
        raise ProductError(
            f"the device holds no model named {name!r}",
            kind="no-such-model",
            seen=", ".join(sorted({entry.name for entry in self.models()})) or "no models",
        )


def _key(name: str) -> int:
    number = KEYS.get(name)
    if number is None:
        from tfm_harness.config.nearest import did_you_mean

        raise ConfigError(
            f"this firmware has no key {name!r}" + did_you_mean(str(name), KEYS),
            kind="no-such-key",
            expected=", ".join(KEYS),
            seen=str(name),
        )
    return number
