"""Every protocol keeps the contract; a client that breaks a promise fails the test that states it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import pytest
from tfm_harness import (
    ConfigError,
    Description,
    Exchange,
    Feature,
    InferResult,
    InfrastructureError,
    ProductError,
    PseudoDriver,
    SmpDriver,
    Source,
    ZephyrShellDriver,
    fresh_nonce,
)
from tfm_harness.console.base import Console, Mark
from tfm_harness.testing import ConformanceError, MemoryConsole, ProtocolConformance, ReferenceFirmware

from tests.protocol.zephyr_shell.simulated import BOOT, PROMPT, Simulated


class TestSmp(ProtocolConformance):
    log_line = b"[NS] a line of the log\n"

    def make_device(self) -> Callable[[bytes], bytes]:
        firmware = ReferenceFirmware()
        firmware.boot()
        return firmware

    def make_client(self, console: MemoryConsole, *, timeout: float, watch: Callable[[], None]) -> PseudoDriver:
        return SmpDriver(console, timeout=timeout, watch=watch)

    def boot_text(self) -> bytes:
        return b"[NS] ready\n"


class TestZephyrShell(ProtocolConformance):
    # As recorded: Zephyr's log takes the prompt away, prints its line, and shows the prompt again.
    log_line = b"\x1b[8D\x1b[J[00:00:00.026,000] <inf> app: a line of the log\r\n" + PROMPT

    def make_device(self) -> Callable[[bytes], bytes]:
        return Simulated()

    def make_client(self, console: MemoryConsole, *, timeout: float, watch: Callable[[], None]) -> PseudoDriver:
        return ZephyrShellDriver(console, timeout=timeout, watch=watch, quiet=0.02)

    def boot_text(self) -> bytes:
        return BOOT


# --- a small protocol that keeps every promise, and its broken brothers


class Firmware:
    """``ask NAME`` is answered by ``NAME VALUE``, each on a line."""

    def __init__(self) -> None:
        self.heard = b""
        self.inner = ReferenceFirmware()
        self.inner.boot()

    def __call__(self, data: bytes) -> bytes:
        self.heard += data
        out = b""
        while b"\n" in self.heard:
            line, _, self.heard = self.heard.partition(b"\n")
            out += self.answer(line.decode().split())
        return out

    def answer(self, words: list[str]) -> bytes:
        match words:
            case ["describe"]:
                return b"describe acme/1.0\n"
            case ["infer", nonce, data]:
                asked = {"nonce": bytes.fromhex(nonce), "src": 1, "in": bytes.fromhex(data)}
                return self.said("infer", self.inner.commands[64, 2](asked)["res"])
            case ["attest", challenge]:
                return self.said("attest", self.inner.commands[64, 3]({"ch": bytes.fromhex(challenge)})["tok"])
            case ["key", number]:
                return self.said("key", self.inner.commands[64, 5]({"key": int(number)})["key"])
            case ["csr", number]:
                return self.said("csr", self.inner.commands[64, 6]({"key": int(number)})["csr"])
        return b"what?\n"

    @staticmethod
    def said(word: str, data: bytes) -> bytes:
        return f"{word} {data.hex()}\n".encode()


class Lines(PseudoDriver):
    features = frozenset({Feature.DESCRIBE, Feature.INFER, Feature.SIGNED_RESULT, Feature.NONCE, Feature.PUBLIC_KEYS,
                          Feature.CSR, Feature.PSA_TOKEN})  # fmt: skip
    key_names: tuple[str, ...] = ("iak", "result")
    limit: ClassVar[int] = 8192

    def __init__(self, console: Console, *, timeout: float, watch: Callable[[], None] | None) -> None:
        self.console, self.timeout, self.watch = console, timeout, watch or (lambda: None)
        self.kept: list[Exchange] = []

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        return tuple(self.kept)

    def ask(self, line: str, timeout: float | None = None) -> str:
        began = time.monotonic()
        end = began + (timeout or self.timeout)
        mark = self.console.mark()
        self.console.write(line.encode() + b"\n")
        word = line.split(maxsplit=1)[0].encode() + b" "
        while True:
            self.watch()
            heard = self.console.read_from(mark, limit=self.limit)
            for row in heard.split(b"\n")[:-1]:
                if row.startswith(word):
                    self.keep(Exchange(request=line, response=repr(row), raw_request=line.encode(), raw_response=row,
                                       seconds=time.monotonic() - began))  # fmt: skip
                    return row.removeprefix(word).decode("ascii", "replace")
            if len(heard) >= self.limit:
                raise ProductError("an answer without an end", kind="acme.flood")
            left = end - time.monotonic()
            if left <= 0:
                raise InfrastructureError("no answer", kind="acme.lost")
            self.console.wait_data(Mark(mark.offset + len(heard)), timeout=min(left, 0.05))

    def keep(self, exchange: Exchange) -> None:
        self.kept = [*self.kept[-31:], exchange]

    def unhex(self, text: str) -> bytes:
        try:
            return bytes.fromhex(text)
        except ValueError:
            raise ProductError("an answer that is no hexadecimal text", kind="acme.answer", seen=text[:100]) from None

    def wait_ready(self, *, timeout: float) -> Description:
        end = time.monotonic() + timeout
        while True:
            try:
                return self.describe()
            except InfrastructureError as error:
                if error.kind != "acme.lost" or time.monotonic() < end:
                    if error.kind != "acme.lost":
                        raise
                    continue
                if self.console.received:
                    raise ProductError("it spoke and did not answer", kind="boot-hung") from None
                raise InfrastructureError("not one byte came", kind="silent") from None

    def describe(self) -> Description:
        name, _, version = self.ask("describe").partition("/")
        if not name or not version:
            raise ProductError("no name and version", kind="acme.answer")
        return Description(firmware=name, version=version, features=frozenset(map(str, self.features)))

    def infer(self, *, nonce: bytes | None = None, source: Source = Source.SENSOR, data: bytes | None = None,
              model: str | None = None) -> InferResult:  # fmt: skip
        nonce = fresh_nonce() if nonce is None else nonce
        message = self.unhex(self.ask(f"infer {nonce.hex()} {(data or b'').hex()}"))
        return InferResult(message=message, nonce=nonce, source=source, model=model)

    def any_input(self) -> bytes:
        return bytes(128)

    def attest(self, challenge: bytes) -> bytes:
        return self.unhex(self.ask(f"attest {challenge.hex()}"))

    def public_key(self, name: str) -> bytes:
        return self.unhex(self.ask(f"key {1 + self.key_names.index(name)}"))

    def csr(self, name: str) -> bytes:
        return self.unhex(self.ask(f"csr {1 + self.key_names.index(name)}"))


class LinesConformance(ProtocolConformance):
    log_line = b"log: nothing of interest\n"
    client: ClassVar[type[Lines]] = Lines

    def make_device(self) -> Callable[[bytes], bytes]:
        return Firmware()

    def make_client(self, console: MemoryConsole, *, timeout: float, watch: Callable[[], None]) -> PseudoDriver:
        return self.client(console, timeout=timeout, watch=watch)

    def boot_text(self) -> bytes:
        return b"log: booted\n"


class TestLines(LinesConformance):
    """The small protocol itself: every test of the suite can pass."""


class Few(Lines):
    """It offers little, and refuses the rest as it should."""

    features = frozenset({Feature.DESCRIBE, Feature.INFER})
    key_names: tuple[str, ...] = ()

    @staticmethod
    def missing() -> ConfigError:
        return ConfigError("not offered", kind="feature-missing")

    def infer(self, *, nonce: bytes | None = None, source: Source = Source.SENSOR, data: bytes | None = None,
              model: str | None = None) -> InferResult:  # fmt: skip
        if nonce is not None:
            raise self.missing()
        return replace(super().infer(source=source, data=data, model=model), nonce=None)

    def attest(self, challenge: bytes) -> bytes:
        raise self.missing()

    def public_key(self, name: str) -> bytes:
        raise self.missing()

    def csr(self, name: str) -> bytes:
        raise self.missing()


class TestFew(LinesConformance):
    client = Few


# Each broken client, and the test that must fail it.


class NoFeatures(Lines):
    features = ("infer",)  # type: ignore[assignment] # that is the fault


class KeysWithoutFeature(Few):
    key_names = ("iak",)


class Eager(Lines):
    def __init__(self, console: Console, *, timeout: float, watch: Callable[[], None] | None) -> None:
        super().__init__(console, timeout=timeout, watch=watch)
        console.write(b"hello?\n")


class Nameless(Lines):
    def describe(self) -> Description:
        return replace(super().describe(), version="")


class Fickle(Lines):
    count = 0

    def describe(self) -> Description:
        self.count += 1
        return replace(super().describe(), version=str(self.count))


class SilenceIsTheProducts(Lines):
    def wait_ready(self, *, timeout: float) -> Description:
        try:
            return super().wait_ready(timeout=timeout)
        except InfrastructureError:
            raise ProductError("it is silent", kind="boot-hung") from None


class SecretKind(Lines):
    def wait_ready(self, *, timeout: float) -> Description:
        try:
            return super().wait_ready(timeout=timeout)
        except InfrastructureError:
            raise InfrastructureError("it is silent", kind="no-kind-of-ours") from None


class ForeignTimeout(Lines):
    def ask(self, line: str, timeout: float | None = None) -> str:
        try:
            return super().ask(line, timeout)
        except InfrastructureError as error:
            if error.kind == "acme.lost" and self.kept:
                raise TimeoutError from None
            raise


class RenewedByText(Lines):
    """Each byte renews the deadline: the wait ends only because this test's client gives up after a while."""

    def wait_ready(self, *, timeout: float) -> Description:
        quiet = time.monotonic() + timeout
        last, give_up = self.console.received, time.monotonic() + 2
        while time.monotonic() < min(quiet, give_up):
            self.watch()
            self.console.wait_data(self.console.mark(), timeout=0.01)
            if self.console.received != last:
                last, quiet = self.console.received, time.monotonic() + timeout
        return super().wait_ready(timeout=0.1)


class ForeignOnFlood(Lines):
    def ask(self, line: str, timeout: float | None = None) -> str:
        try:
            return super().ask(line, timeout)
        except ProductError as error:
            raise MemoryError from error


class ForeignOnDamage(Lines):
    def describe(self) -> Description:
        name, version = self.ask("describe").split("/")
        return Description(firmware=name, version=version)


class AnyLine(Lines):
    """Takes the first line that comes for the answer."""

    def ask(self, line: str, timeout: float | None = None) -> str:
        answer = super().ask(line, timeout)
        newest = self.console.read_from(Mark(0)).split(b"\n")[-3:-2]
        return "log/line" if newest == [b"log: nothing of interest"] else answer


class Deaf(Lines):
    """Does not ask `watch`."""

    def __init__(self, console: Console, *, timeout: float, watch: Callable[[], None] | None) -> None:
        super().__init__(console, timeout=timeout, watch=None)

    def wait_ready(self, *, timeout: float) -> Description:
        return super().wait_ready(timeout=min(timeout, 0.5))


class ForeignOnClosed(Lines):
    def describe(self) -> Description:
        try:
            return super().describe()
        except InfrastructureError as error:
            if error.kind == "console-closed":
                raise OSError("bad file descriptor") from error
            raise


class SameNonce(Lines):
    def infer(self, *, nonce: bytes | None = None, source: Source = Source.SENSOR, data: bytes | None = None,
              model: str | None = None) -> InferResult:  # fmt: skip
        return super().infer(nonce=nonce or bytes(32), source=source, data=data, model=model)


class LostNonce(Lines):
    def infer(self, *, nonce: bytes | None = None, source: Source = Source.SENSOR, data: bytes | None = None,
              model: str | None = None) -> InferResult:  # fmt: skip
        return replace(super().infer(nonce=nonce, source=source, data=data, model=model), nonce=fresh_nonce())


class Tries(Few):
    """Sends what the firmware does not offer, to see what comes."""

    def csr(self, name: str) -> bytes:
        return self.unhex(self.ask("csr 1"))


class RefusesLate(Few):
    def csr(self, name: str) -> bytes:
        self.console.write(b"csr 1\n")
        raise self.missing()


class OneToken(Lines):
    def attest(self, challenge: bytes) -> bytes:
        return super().attest(bytes(32))


class NoKey(Lines):
    def public_key(self, name: str) -> bytes:
        return b"-----BEGIN PUBLIC KEY-----"


class NoRequest(Lines):
    def csr(self, name: str) -> bytes:
        return b"0\x03\x02\x01\x00"


class Forgets(Lines):
    def keep(self, exchange: Exchange) -> None:
        pass


class KeepsAll(Lines):
    def keep(self, exchange: Exchange) -> None:
        self.kept.append(exchange)


BROKEN: list[tuple[type[Lines], str]] = [
    (NoFeatures, "test_it_says_what_the_firmware_can_do"),
    (KeysWithoutFeature, "test_it_says_what_the_firmware_can_do"),
    (Eager, "test_it_is_made_without_a_word"),
    (Nameless, "test_wait_ready_gives_the_description"),
    (Fickle, "test_wait_ready_gives_the_description"),
    (SilenceIsTheProducts, "test_a_silent_device_is_infrastructure"),
    (SecretKind, "test_a_silent_device_is_infrastructure"),
    (ForeignTimeout, "test_a_device_that_falls_silent_is_our_error"),
    (RenewedByText, "test_endless_text_renews_no_deadline"),
    (ForeignOnFlood, "test_a_flood_is_our_error"),
    (ForeignOnDamage, "test_damaged_answers_raise_only_our_errors"),
    (AnyLine, "test_log_lines_between_answers_change_nothing"),
    (Deaf, "test_a_dead_board_ends_the_wait"),
    (ForeignOnClosed, "test_a_closed_console_is_infrastructure"),
    (SameNonce, "test_infer_gives_what_was_asked_for"),
    (LostNonce, "test_infer_gives_what_was_asked_for"),
    (Tries, "test_an_undeclared_feature_is_refused_without_a_byte"),
    (RefusesLate, "test_an_undeclared_feature_is_refused_without_a_byte"),
    (OneToken, "test_tokens_answer_their_challenge"),
    (NoKey, "test_keys_and_requests_can_be_read"),
    (NoRequest, "test_keys_and_requests_can_be_read"),
    (Forgets, "test_exchanges_are_kept_and_bounded"),
    (KeepsAll, "test_exchanges_are_kept_and_bounded"),
]


@pytest.mark.parametrize(("client", "name"), BROKEN, ids=lambda value: getattr(value, "__name__", value))
def test_a_broken_client_fails_the_test_that_states_the_promise(client: type[Lines], name: str) -> None:
    case = type("Case", (LinesConformance,), {"client": client, "slack": 1.0 if client is RenewedByText else 10.0})()
    with pytest.raises(ConformanceError, match="broken promise"):
        getattr(case, name)()


def test_every_test_of_the_suite_has_a_client_that_fails_it() -> None:
    tests = {name for name in dir(ProtocolConformance) if name.startswith("test_")}
    assert tests == {name for _, name in BROKEN}
