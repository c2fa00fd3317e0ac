"""The contract of a protocol client: what the harness relies on in a `PseudoDriver`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import ClassVar

from tfm_harness.console.base import Mark
from tfm_harness.errors import ConfigError, HarnessError, InfrastructureError
from tfm_harness.findings import Report
from tfm_harness.protocol.base import Description, Feature, InferResult, PseudoDriver, Source
from tfm_harness.testing.conformance.requirement import not_applicable, our_error, require, within
from tfm_harness.testing.consoles import MemoryConsole
from tfm_harness.testing.wire import FaultyWire, WireFault, each_position, flip, insert, repeat, silence, truncate

__all__ = ["ProtocolConformance"]

_SHORT = 0.2  # seconds: long for an answer from memory, short for a test
_MANY = 100


class _Chatter(MemoryConsole):
    """A device that prints without end: every read of the console gives new bytes."""

    noise = b"chatter chatter\r\n"

    def wait_data(self, since: Mark, *, timeout: float) -> bool:  # noqa: ARG002 - there is always more
        self._check()
        time.sleep(min(max(timeout, 0), 0.001))
        self.push(self.noise)
        return True


class ProtocolConformance:
    """Derive a test class from this one and define `make_client` and `make_device`.

    Attributes:
        log_line: a line as the firmware's log prints it between answers; None if no log line may come there.
        answer_timeout: seconds given to `make_client`'s client in tests of lost answers; a client may ask again a
            few times, so a test of a silent device takes some times as long.
        slack: seconds by which a wait may exceed its time-out, because the computer may be loaded.
    """

    log_line: ClassVar[bytes | None] = None
    answer_timeout: ClassVar[float] = _SHORT
    slack: ClassVar[float] = 10.0

    # --- what a protocol's author gives

    def make_device(self) -> Callable[[bytes], bytes]:
        """Make a simulated firmware that has booted: called with received bytes, it returns its answer."""
        raise NotImplementedError("make_device gives a simulated firmware")

    def make_client(self, console: MemoryConsole, *, timeout: float, watch: Callable[[], None]) -> PseudoDriver:
        """Make the client under test on `console`."""
        raise NotImplementedError("make_client gives the client under test")

    def boot_text(self) -> bytes:
        """The text that the firmware prints at its start; the console has it before the first request."""
        return b""

    # --- helpers

    def _open(self) -> tuple[PseudoDriver, FaultyWire, MemoryConsole]:
        wire = FaultyWire(self.make_device())
        console = MemoryConsole(wire)
        client = self.make_client(console, timeout=self.answer_timeout, watch=lambda: None)
        if text := self.boot_text():
            console.push(text)
        return client, wire, console

    def _silent(
        self, console_class: type[MemoryConsole] = MemoryConsole, watch: Callable[[], None] = lambda: None
    ) -> PseudoDriver:
        """The client of a device that never prints anything, not even at its start."""
        wire = FaultyWire(self.make_device())
        wire.always = silence
        return self.make_client(console_class(wire), timeout=self.answer_timeout, watch=watch)

    def _ready(self) -> tuple[PseudoDriver, FaultyWire, MemoryConsole]:
        client, wire, console = self._open()
        client.wait_ready(timeout=self.slack)
        return client, wire, console

    def _with(self, feature: Feature) -> PseudoDriver:
        client, _, _ = self._ready()
        if feature not in client.features:
            not_applicable(f"this protocol has no feature {feature}")
        return client

    # --- the contract

    def test_it_says_what_the_firmware_can_do(self) -> None:
        """`features` is a set of `Feature`, `key_names` a tuple of names."""
        client, _, _ = self._open()
        features, keys = getattr(client, "features", None), getattr(client, "key_names", None)
        require("`features` is a frozenset of Feature", isinstance(features, frozenset) and all(
            isinstance(each, Feature) for each in features), features)  # fmt: skip
        require("`key_names` is a tuple of names", isinstance(keys, tuple) and all(
            isinstance(each, str) and each for each in keys), keys)  # fmt: skip
        require(
            "`key_names` is empty exactly where the firmware shows no public keys",
            bool(keys) == (Feature.PUBLIC_KEYS in client.features),
            keys,
        )

    def test_it_is_made_without_a_word(self) -> None:
        """Making a client sends nothing: the board may not have booted."""
        _, _, console = self._open()
        require("nothing is sent before the first request", not console.written, bytes(console.written))

    def test_wait_ready_gives_the_description(self) -> None:
        """`wait_ready` and `describe` both return the firmware's description, and agree."""
        client, _, _ = self._open()
        first = client.wait_ready(timeout=self.slack)
        require("`wait_ready` gives a Description", isinstance(first, Description), first)
        require("the firmware has a name and a version", bool(first.firmware and first.version), first)
        again = client.describe()
        require("`describe` says the same a moment later", (again.firmware, again.version) == (
            first.firmware, first.version), again)  # fmt: skip
        require("features in the description are text", all(isinstance(each, str) for each in again.features), again)

    def test_a_silent_device_is_infrastructure(self) -> None:
        """If not one byte came since the boot, the error is infrastructure, kind ``silent``."""
        client = self._silent()
        with within(self.slack, "`wait_ready` ends"), our_error(
            "a silent device is an infrastructure error", InfrastructureError, kinds=frozenset({"silent"})
        ):  # fmt: skip
            client.wait_ready(timeout=3 * self.answer_timeout)

    def test_a_device_that_falls_silent_is_our_error(self) -> None:
        """A device that answered and then falls silent gives an error of the harness, in time."""
        client, wire, _ = self._ready()
        wire.always = silence
        with within(self.slack, "`describe` ends"), our_error("a lost answer is our error"):
            client.describe()

    def test_endless_text_renews_no_deadline(self) -> None:
        """A wait for a device that prints without end and never answers still ends."""
        client = self._silent(_Chatter)
        with within(self.slack, "`wait_ready` ends although text keeps coming"), our_error("endless text is our error"):
            client.wait_ready(timeout=3 * self.answer_timeout)

    def test_a_flood_is_our_error(self) -> None:
        """Eight MiB instead of an answer give an error of the harness, in time."""
        client, wire, _ = self._ready()
        wire.always = lambda _: b"\x00\xffA" * (8 << 20 >> 2)
        with within(3 * self.slack, "`describe` ends in a flood"), our_error("a flood is our error"):
            client.describe()

    def test_damaged_answers_raise_only_our_errors(self) -> None:
        """Any damage to an answer gives a description or an error of the harness."""
        client, wire, _ = self._ready()
        wire.answers.clear()
        client.describe()
        answers = list(wire.answers)
        faults: list[WireFault] = [
            silence,
            repeat(2),
            repeat(3),
            lambda data: data[::-1],
            lambda data: bytes(len(data)),
        ]
        for answer in answers[:1]:
            faults += [flip(at, 1 << at % 8) for at in each_position(answer, 16)]
            faults += [truncate(at) for at in each_position(answer, 4)]
            faults += [insert(at, noise) for at in each_position(answer, 4) for noise in (b"\n", b"\xff\x00\x06\x09")]
        for fault in faults:
            client, wire, _ = self._ready()
            wire.next(fault)
            try:
                found = client.describe()
            except HarnessError:
                continue
            except Exception as error:  # noqa: BLE001 - that is what this test looks for
                require("a damaged answer raises only the harness's errors", held=False, seen=repr(error))
            else:
                require("`describe` gives a Description", isinstance(found, Description), found)

    def test_log_lines_between_answers_change_nothing(self) -> None:
        """Log text between answers is not part of them."""
        if self.log_line is None:
            not_applicable("log_line is None: nothing may stand between answers")
        line = self.log_line
        client, _, console = self._ready()
        before = client.describe()
        console.push(line)
        require("a log line before an answer changes nothing", client.describe() == before)
        console.push(line * 50)
        require("many log lines change nothing", client.describe() == before)

    def test_a_dead_board_ends_the_wait(self) -> None:
        """An error that `watch` raises for a dead board ends the wait before its deadline."""

        def dead() -> None:
            raise InfrastructureError("the emulator has ended", kind="emulator-exit")

        client = self._silent(watch=dead)
        with within(self.slack, "a dead board ends the wait"), our_error(
            "the error of `watch` comes out", InfrastructureError, kinds=frozenset({"emulator-exit"})
        ):  # fmt: skip
            client.wait_ready(timeout=60)

    def test_a_closed_console_is_infrastructure(self) -> None:
        """A closed port gives an infrastructure error at once."""
        client, _, console = self._ready()
        console.close()
        with within(self.slack, "a closed console ends the request"), our_error(
            "a closed console is an infrastructure error", InfrastructureError
        ):  # fmt: skip
            client.describe()

    def test_infer_gives_what_was_asked_for(self) -> None:
        """A result has its message, its nonce and its source; two requests have different nonces."""
        client = self._with(Feature.INFER)
        data = client.any_input()
        require("`any_input` gives bytes", isinstance(data, bytes) and bool(data), data)
        first = client.infer(source=Source.HOST, data=data)
        require("`infer` gives an InferResult", isinstance(first, InferResult), first)
        require("the message is there, as bytes", isinstance(first.message, bytes) and bool(first.message), first)
        require("the source is the one asked for", first.source is Source.HOST, first.source)
        require("the host's time is not negative", first.host_seconds >= 0, first.host_seconds)
        if Feature.NONCE not in client.features:
            require("a firmware that binds no nonce has none in its result", first.nonce is None, first.nonce)
            return
        nonce = bytes(range(100, 132))
        require("the nonce is the one given", client.infer(nonce=nonce, source=Source.HOST, data=data).nonce == nonce)
        again = client.infer(source=Source.HOST, data=data)
        require(
            "without a nonce, each request draws a fresh one of at least 8 bytes",
            first.nonce is not None
            and again.nonce is not None
            and first.nonce != again.nonce
            and len(first.nonce) >= 8,
            (first.nonce, again.nonce),
        )

    def test_an_undeclared_feature_is_refused_without_a_byte(self) -> None:
        """A request beyond `features` raises `ConfigError`, kind ``feature-missing``, and sends nothing."""
        client, _, console = self._ready()
        calls: dict[Feature, Callable[[], object]] = {
            Feature.INFER: lambda: client.infer(source=Source.HOST, data=b"\0" * 4),
            Feature.PSA_TOKEN: lambda: client.attest(bytes(32)),
            Feature.PUBLIC_KEYS: lambda: client.public_key("iak"),
            Feature.CSR: lambda: client.csr("client"),
        }
        if Feature.INFER in client.features and Feature.NONCE not in client.features:
            calls[Feature.NONCE] = lambda: client.infer(nonce=bytes(32), source=Source.HOST, data=client.any_input())
        for feature, call in calls.items():
            if feature in client.features:
                continue
            before = len(console.written)
            with our_error(f"`{feature}` is not offered", ConfigError, kinds=frozenset({"feature-missing"})):
                call()
            require(f"nothing is sent for `{feature}`, which is not offered", len(console.written) == before)

    def test_tokens_answer_their_challenge(self) -> None:
        """A token is bytes, and contains the challenge of its request (RFC 9783 s.4.1.1)."""
        client = self._with(Feature.PSA_TOKEN)
        tokens = [client.attest(bytes([fill]) * 32) for fill in (1, 2)]
        require("a token is bytes", all(isinstance(each, bytes) and each for each in tokens), tokens)
        for fill, token in enumerate(tokens, 1):
            require("a token holds the challenge that it was asked with", bytes([fill]) * 32 in token, token)

    def test_keys_and_requests_can_be_read(self) -> None:
        """`tfm_harness.verify` can read every key named in `key_names`, and every signing request."""
        from tfm_harness.verify import check_device_key, verify_csr

        client = self._with(Feature.PUBLIC_KEYS)
        for name in client.key_names:
            key = client.public_key(name)
            found = check_device_key(key, report=Report(), subject=name) if isinstance(key, bytes) else None
            require(f"the public key {name!r} can be read", found is not None, key)
        if Feature.CSR not in client.features:
            return
        read = 0
        for name in client.key_names:
            with contextlib.suppress(HarnessError, KeyError):
                request = client.csr(name)
                found_request = verify_csr(request, report=Report(), subject=name)
                require(f"the signing request {name!r} can be read", found_request is not None, request)
                read += 1
        require("at least one key has a signing request", read > 0)

    def test_exchanges_are_kept_and_bounded(self) -> None:
        """The last exchanges are kept for reports, newest last; old ones are dropped."""
        client, wire, _ = self._ready()
        client.describe()
        kept = client.exchanges
        require("the last exchange is kept", len(kept) > 0)
        last = kept[-1]
        require("an exchange has both sides, decoded and raw", bool(
            last.request and last.response and last.raw_request and last.raw_response), last)  # fmt: skip
        asked = len(wire.answers)
        for _ in range(_MANY):
            client.describe()
        require("old exchanges are forgotten", len(client.exchanges) < len(wire.answers) - asked, len(client.exchanges))
