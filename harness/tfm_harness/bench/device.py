"""The device for tests: the pseudo-driver client together with the stimulus of its sensors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from tfm_harness.bench.firmware import open_consoles
from tfm_harness.bench.not_covered import NotCovered
from tfm_harness.bench.requests import right_requests
from tfm_harness.boards.base import Board, ResetKind
from tfm_harness.errors import ConfigError, ProductError, Responsibility
from tfm_harness.protocol.base import Description, Feature, InferResult, PseudoDriver, Source, fresh_nonce
from tfm_harness.protocol.psa_status import status_name
from tfm_harness.protocol.smp.answers import Refused
from tfm_harness.protocol.smp.text import log_tail
from tfm_harness.stimulus.base import Sample, Stimulus

if TYPE_CHECKING:
    from tfm_harness.bench.combination import TargetBuild
    from tfm_harness.protocol.smp.client import SmpDriver

__all__ = ["Device", "Inference", "RefusedSize", "octets"]

_CHALLENGE_SIZES = (32, 48, 64)
"""Sizes in bytes; PSA Certified Attestation API s.3.2.3, RFC 9783 s.4.1.1."""

_CANNOT_RUN = frozenset({-134, -141, -153})
"""NOT_SUPPORTED, INSUFFICIENT_MEMORY, DATA_INVALID: an interpreter's answers to a model that it cannot run."""

_NO_MODEL = frozenset({134, 135, 141, 153})
"""The same in the list of models; INVALID_ARGUMENT: signed by the vendor, but no model for this interpreter."""

_LOG_LINES = 40


class RefusedSize(Refused):
    """The firmware refused a challenge of a size that it must refuse: the request was the test's mistake."""

    responsibility = Responsibility.TEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """A result, with everything that the host knows about its origin.

    Attributes:
        answer: the (signed) message as received, with nonce and device ticks.
        model: name of the active model; None when the firmware does not say.
        samples: what the secure side must have read, oldest first (sensor input).
        data: the input tensor's bytes (host input).
        boot: the number of the board's boot, 0 for the first after flashing.
        seed: that boot's seed: computed by the host if it knows the entropy, else as the device described it.
        encrypted: whether the answer was requested as a COSE_Encrypt0 around the signed message.
        before: the previous inference (without its own `before`); None for the first.
    """

    answer: InferResult
    model: str | None
    samples: tuple[Sample, ...] = ()
    data: bytes | None = None
    boot: int = 0
    seed: bytes | None = None
    encrypted: bool = False
    before: Inference | None = None

    @property
    def records(self) -> bytes | None:
        """The bytes whose digest the result must hold."""
        if self.answer.source is Source.HOST:
            return self.data
        return b"".join(sample.record() for sample in self.samples) or None


def octets(what: str, value: object) -> bytes:
    """The bytes of an argument. Text or a number is the test's mistake, and is not sent to the device.

    Raises:
        TypeError: naming the argument.
    """
    try:
        return bytes(memoryview(value))  # type: ignore[arg-type] # the error is the answer
    except TypeError:
        raise TypeError(f"{what}: bytes are wanted, and this is {type(value).__name__} {value!r:.60}") from None


def _smp() -> type[SmpDriver]:
    from tfm_harness.protocol.smp.client import SmpDriver

    return SmpDriver


class Running(Protocol):
    """The part of the combination that a device needs: see `tfm_harness.bench.live.LiveCombination`."""

    combination: TargetBuild
    stimulus: Stimulus | None
    boots: int
    asked_results: int
    board: Board

    @property
    def description(self) -> Description: ...

    @property
    def window(self) -> int: ...

    @property
    def boot_seed(self) -> bytes | None: ...

    def describe(self) -> Description: ...
    def missing(self, wanted: Iterable[str]) -> list[str]: ...
    def reset(self, kind: ResetKind) -> Description: ...
    def select_model(self, name: str) -> None: ...


class Device:
    """The operations of every firmware. `client` is the protocol's client, `test_commands` the reference firmware's."""

    def __init__(self, bench: Running, client: PseudoDriver) -> None:
        self._bench = bench
        self.client = client
        self._before: Inference | None = None

    @property
    def test_commands(self) -> SmpDriver:
        """The reference firmware's whole protocol; tests that need it are not covered on other firmware."""
        if not isinstance(self.client, _smp()):
            raise NotCovered(f"{self._bench.combination.name} does not speak the reference firmware's protocol")
        return self.client

    def describe(self) -> Description:
        """Ask the firmware for its description again."""
        return self._bench.describe()

    def fill_window(self, count: int | None = None) -> tuple[Sample, ...]:
        """Clear the window and let the secure side take `count` samples (default: a whole window).

        The stimulus advances by one step with each sample; the returned samples are those that it played.

        Raises:
            ProductError: ``sensor``: the secure side could not read its sensor.
        """
        stimulus = self._bench.stimulus
        if stimulus is None:
            raise ConfigError(
                "this target offers no stimulus",
                kind="no-stimulus",
                where=str(self._bench.combination.target.path or ""),
            )
        test_commands = self.test_commands
        test_commands.sample("clear")
        count = self._bench.window if count is None else count
        for number in range(1, count + 1):
            state = test_commands.sample("step")
            if state.status or state.window != min(number, self._bench.window):
                raise ProductError(
                    f"sample {number} of {count} was not taken",
                    kind="sensor",
                    expected=f"status ok, {number} samples in the window",
                    seen=f"{state.words}, {state.window} samples in the window",
                )
            stimulus.taken()
        return tuple(stimulus.expected_samples(count))

    def infer_window(self, *, nonce: bytes | None = None, encrypted: bool = False) -> Inference:
        """Sample a whole window from the stimulus and ask for a signed result, encrypted as well if `encrypted`."""
        samples = self.fill_window()
        return self._infer(nonce, Source.SENSOR, samples=samples, encrypted=encrypted)

    def infer_again(self, samples: Sequence[Sample], *, nonce: bytes | None = None) -> Inference:
        """Ask for another result of the window that holds `samples`."""
        return self._infer(nonce, Source.SENSOR, samples=tuple(samples))

    def infer_input(
        self, data: bytes, *, nonce: bytes | None = None, model: str | None = None, encrypted: bool = False
    ) -> Inference:
        """Ask for a signed result of an input tensor that the host gives (its bytes).

        Args:
            data: the tensor.
            nonce: the nonce that the result must hold; by default fresh random bytes.
            model: a model's name: the device must refuse when another model is active.
            encrypted: ask for a COSE_Encrypt0 around the signed message (feature ``encrypted-result``).

        Raises:
            ConfigError: ``no-model``: neither the build nor the device has a model of that name.
            TypeError: `data` or `nonce` is no bytes.
        """
        data = octets("data", data)
        with self._known_model(model):
            return self._infer(nonce, Source.HOST, data=data, wanted=model, encrypted=encrypted)

    def any_input(self) -> bytes:
        """Some input that the active model accepts, for tests that do not depend on its value."""
        return self.client.any_input()

    def infer_expecting(self, model_id: bytes, source: Source, data: bytes | None = None) -> bytes:
        """Ask for a result of the model with that id and no other; returns the message.

        Raises:
            Refused: -140 when another model is active.
        """
        self._bench.asked_results += 1
        try:
            return self.test_commands.infer(source=source, data=data, model_id=model_id).message
        except Refused:
            self._bench.asked_results -= 1
            raise

    def attest(self, challenge: bytes | None = None) -> tuple[bytes, bytes]:
        """Ask for a token for `challenge` (default: 32 fresh random bytes); returns the challenge and the token.

        Raises:
            Refused: the device refused; if PSA does not allow the size of the challenge, the test is responsible.
            TypeError: `challenge` is no bytes.
        """
        challenge = fresh_nonce() if challenge is None else octets("challenge", challenge)
        try:
            return challenge, self.client.attest(challenge)
        except Refused as refusal:
            if len(challenge) in _CHALLENGE_SIZES:
                raise
            error = RefusedSize("attest", group=refusal.group, rc=refusal.rc)
            error.expected = "a challenge of 32, 48 or 64 bytes"
            error.seen = f"{len(challenge)} bytes; {refusal.seen}"
            raise error from refusal

    def public_key(self, name: str) -> bytes:
        """A public key in the form that the device sends.

        Raises:
            ConfigError: ``no-such-key``: the protocol has no key of that name.
        """
        return self.client.public_key(name)

    def csr(self, name: str) -> bytes:
        """A PKCS#10 request, DER.

        Raises:
            ConfigError: ``no-such-key``: the protocol has no key of that name.
        """
        return self.client.csr(name)

    def requests(self, data: bytes | None = None, *, without: Collection[str] = ()) -> dict[str, Callable[[], object]]:
        """One right request of each kind that the firmware answers, by its name for tests: calling the value makes it.

        They are: a result, an encrypted result, a token, the size of a token, a public key, a signing request, a
        batch, timings, a sample, a list of the models, an object stored, an object read, an object removed, an input
        in parts. If they are made in this order, they leave no object behind.

        Args:
            data: one input of the active model (default: any).
            without: names of requests to leave out.

        Raises:
            NotCovered: the firmware does not speak the reference firmware's protocol.
            ValueError: `without` names no request.
        """
        return right_requests(self, self._bench.missing, data, without)

    def reset(self, kind: ResetKind = ResetKind.WARM) -> Description:
        """Reset the board and wait until the firmware answers; returns its description."""
        return self._bench.reset(kind)

    def select_model(self, name: str) -> None:
        """Make a model active; before the next test, the one that was active before is selected again.

        Raises:
            ConfigError: ``no-model``: neither the build nor the device has a model of that name.
        """
        with self._known_model(name):
            self._bench.select_model(name)

    def use_model(self, name: str) -> None:
        """Make a model of the build active, or skip the test as not covered if the device cannot run it.

        Raises:
            ProductError: ``model-refused``: the device holds it but does not accept its image, although its interpreter
                supports such models.
            ConfigError: ``no-model``: the build declares no model of that name.
        """
        where = self._bench.combination.name
        if not name:
            raise NotCovered(f"the build of {where} declares no model")
        if name not in self._bench.combination.build.models:
            raise self._no_model(name, ())
        if self._bench.missing(["models"]):
            raise NotCovered(f"{where} has no models to choose from")
        slot = self._bench.combination.build.models[name].slot
        listed = self.test_commands.models()
        # Firmware gives no name to an image that it refuses: then the slot identifies the model.
        held = [e for e in listed if e.name == name] or [
            e for e in listed if e.slot == slot and e.status and not e.name
        ]
        if not held:
            raise NotCovered(f"the device of {where} holds no model {name!r}: nothing is compared with the reference")
        if all(entry.status in _NO_MODEL for entry in held):
            raise NotCovered(
                f"the device of {where} refuses the image of model {name!r} in slot {held[0].slot}"
                f" ({status_name(-held[0].status)}{self._said_of(name)}): nothing is compared with the reference"
            )
        if all(entry.status for entry in held):
            raise ProductError(
                f"the device does not accept the image of model {name!r}",
                kind="model-refused",
                expected="a valid image: the build declares it",
                seen=", ".join(f"slot {entry.slot}: {status_name(-entry.status)}" for entry in held),
            )
        try:
            self.select_model(name)
            if not self._bench.missing(["latency"]):  # else it cannot be tried here; the first inference will show it
                self.test_commands.latency(1)
            self._can_give_input(where, name)
        except Refused as refusal:
            if refusal.status not in _CANNOT_RUN:
                raise
            raise NotCovered(
                f"the device of {where} holds model {name!r} and cannot run it"
                f" ({status_name(refusal.status)}{self._said_of(name)}): nothing is compared with the reference"
            ) from None

    def _said_of(self, name: str) -> str:
        """The last line of a console that names a model, which may hold the reason of a refusal."""
        for console in open_consoles(self._bench.board).values():
            lines = [line for line in log_tail(console, _LOG_LINES).splitlines() if name in line.split()]
            if lines:
                return f'; console {console.name}: "{lines[-1].strip()}"'
        return ""

    def _can_give_input(self, where: str, name: str) -> None:
        from tfm_harness.protocol.smp.core import INPUT_ROOM

        size = len(self.client.any_input())
        if size > INPUT_ROOM and self._bench.missing(["input-upload"]):
            raise NotCovered(
                f"{where} takes inputs of {INPUT_ROOM} bytes (it has no input-upload), and {name!r} has one of {size}:"
                " nothing is compared with the reference"
            )

    @contextlib.contextmanager
    def _known_model(self, name: str | None) -> Iterator[None]:
        """Convert an error about a model that neither build nor device has into a `ConfigError`."""
        try:
            yield
        except ProductError as error:
            if name is None or name in self._bench.combination.build.models or not isinstance(self.client, _smp()):
                raise
            held = {entry.name for entry in self.client.models()}
            if name in held:
                raise
            raise self._no_model(name, held) from error

    def _no_model(self, name: str, held: Iterable[str]) -> ConfigError:
        from tfm_harness.config.nearest import did_you_mean

        build = self._bench.combination.build
        known = sorted({*build.models, *held})
        return ConfigError(
            f"there is no model {name!r}" + did_you_mean(name, known),
            kind="no-model",
            expected=f"one of {', '.join(known) or 'none'}",
            where=str(build.path or build.name),
        )

    def _infer(
        self,
        nonce: bytes | None,
        source: Source,
        *,
        samples: tuple[Sample, ...] = (),
        data: bytes | None = None,
        wanted: str | None = None,
        encrypted: bool = False,
    ) -> Inference:
        nonce = None if nonce is None else octets("nonce", nonce)
        if nonce is None and Feature.NONCE in self.client.features:
            nonce = fresh_nonce()
        known = self._bench.description
        self._bench.asked_results += 1  # requests that the device refuses count as well
        if encrypted:
            answer = self.test_commands.infer(nonce=nonce, source=source, data=data, model=wanted, encrypted=True)
        else:
            answer = self.client.infer(nonce=nonce, source=source, data=data, model=wanted)
        made = Inference(
            answer=answer,
            model=known.model,
            samples=samples,
            data=data,
            boot=self._bench.boots,
            seed=self._bench.boot_seed,
            encrypted=encrypted,
            before=self._before,
        )
        self._before = replace(made, before=None)
        return made
