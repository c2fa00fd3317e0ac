"""Work on a board that touches its secrets, what the host knows of them, and all places where they may then appear."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from tfm_harness.bench.not_covered import NotCovered
from tfm_harness.boards.base import ResetKind
from tfm_harness.config.result_profile import build_result_profile
from tfm_harness.console.base import Mark
from tfm_harness.files import MODEL_LIMIT, read_file
from tfm_harness.plugin.stored_objects import storage_flash
from tfm_harness.protocol.base import Source
from tfm_harness.protocol.smp.answers import Refused
from tfm_harness.protocol.smp.frame import FrameDecoder, LogLine, Packet
from tfm_harness.protocol.smp.header import Command
from tfm_harness.verify.deterministic import secret_number
from tfm_harness.verify.keys import PublicKey
from tfm_harness.verify.leaks import SampleValues, Secret, device_secrets
from tfm_harness.verify.results import signature_of_result

if TYPE_CHECKING:
    from tfm_harness.bench.device import Device, Inference
    from tfm_harness.bench.virtual import VirtualBoard
    from tfm_harness.plugin.bench import Bench
    from tfm_harness.stimulus.base import Stimulus

__all__ = ["NEWEST", "SecretWork"]

NEWEST: Final = 1 << 20
"""Bytes of a console that are searched: the newest."""
_UID: Final = 0x5345_4352
"""The uid of a stored object."""


class SecretWork:
    """A cold start, and then whatever a test asks for that touches a secret.

    Args:
        bench: the live board.
        device: its firmware.
        start: False: the test itself starts the board.

    Attributes:
        results: the inferences that `keys` has asked for.
        samples, window, tensor: what `sensor` has played: counts and values, records, and the input made of them.
    """

    def __init__(self, bench: Bench, device: Device, *, start: bool = True) -> None:
        self.bench, self.device = bench, device
        self.results: list[Inference] = []
        self.samples: tuple[SampleValues, ...] = ()
        self.window = b""
        self.tensor = b""
        self._decoded: tuple[bytes, bytes, bytes] | None = None  # a console's bytes, the answers and the log in them
        self._begun = {name: console.mark().offset for name, console in bench.board.consoles.items()}
        if start and not bench.missing(["cold-reset"]):
            device.reset(ResetKind.COLD)

    def keys(self) -> None:
        """Sign, attest, and ask for all there is to ask."""
        data = self.device.any_input()
        self.results = [
            self.device.infer_input(data),
            self.device.infer_input(bytes(n * 7 & 0xFF for n in range(len(data)))),
        ]
        if not self.bench.missing(["psa-token"]):
            self.device.attest()
        for feature, ask in (("public-keys", self.device.public_key), ("csr", self.device.csr)):
            if not self.bench.missing([feature]):
                for role in ("result", "client"):
                    ask(role)
        if not self.bench.missing(["encrypted-result"]):
            self.device.infer_input(data, encrypted=True)
        if not self.bench.missing(["protected-storage"]):
            commands = self.device.test_commands
            commands.ps_set(_UID, b"stored and read")
            commands.ps_get(_UID)
            commands.ps_remove(_UID)
        self._refusals()
        if not self.bench.missing(["probe", "memory-map"]):
            violations = [region.at for region in self.bench.memory_map.owned_by("secure")]
            self.bench.probes.read_many(violations[: self.bench.probes.fewer(len(violations))])

    def _refusals(self) -> None:
        """Ask for what is refused: a firmware that logs the reason of a refusal may log more than that."""
        if self.bench.combination.build.protocol != "smp":
            return
        commands, data = self.device.test_commands, self.device.any_input()
        wrong: dict[str, list[Callable[[], object]]] = {
            "infer": [lambda: self.device.infer_input(data + b"\0")],
            "psa-token": [lambda: self.device.attest(bytes(33)), lambda: commands.attest(bytes(32), buffer=64)],
            "csr": [lambda: commands.ask(Command.CSR, {"key": 1}, read=True)],
            "protected-storage": [lambda: commands.ps_get(_UID)],
            "update": [lambda: commands.activate_model(commands.upload_model(bytes(range(1, 200))))],
            "models": [lambda: commands.select_model("nobody")],
        }
        for feature, asks in wrong.items():
            for ask in asks if not self.bench.missing([feature]) else ():
                with contextlib.suppress(Refused):
                    ask()

    def spoiled_object(self, virtual: VirtualBoard) -> None:
        """Ask for a stored object of which a byte has been changed, where the memory map says where objects lie."""
        flash = storage_flash(self.bench, virtual)
        if self.bench.missing(["protected-storage"]) or flash is None:
            return
        commands, before = self.device.test_commands, flash.read()
        commands.ps_set(_UID, b"to be spoiled")
        after = flash.read()
        # Behind a message's begin or its nonce, which differ first, and before the end of this short one.
        place = 24 + next((n for n in range(flash.size) if before[n] != after[n]), 0)
        flash.write(bytes([after[place] ^ 1]), place)
        try:
            commands.ps_get(_UID)
        finally:
            commands.ps_remove(_UID)

    def sensor(self, stimulus: Stimulus) -> None:
        """A window of samples that all differ, and an inference of it."""
        from tfm_harness.parity import window_records, window_tensor

        test_commands = self.device.test_commands
        test_commands.sample("clear")
        units: list[tuple[float, ...]] = []
        for step in range(self.bench.window):
            values = (31.3 + 1.7 * step, 90.1 - 1.3 * step, 44.7 + 2.1 * step, 21.0625 + 0.4375 * step)
            for channel, value in zip(("mag.x", "mag.y", "mag.z", "temp"), values, strict=True):
                stimulus.set(channel, value)
            test_commands.sample("step")
            stimulus.taken()
            units.append(values)
            if step == self.bench.window // 2:
                self._ask_for_window()
        taken = stimulus.expected_samples(self.bench.window)
        self.device.infer_again(taken)
        if not self.bench.missing(["encrypted-result"]):
            self._ask_for_window(enc=1)
        self.samples = tuple(SampleValues((s.x, s.y, s.z, s.t), unit) for s, unit in zip(taken, units, strict=True))
        self.window = b"".join(sample.record() for sample in taken)
        self.tensor = window_tensor(window_records(taken)).tobytes()

    def _ask_for_window(self, **keys: int) -> None:
        """Ask for a result of what has been sampled so far; half a window is refused."""
        with contextlib.suppress(Refused):
            self.device.test_commands.ask(Command.INFER, {"nonce": bytes(16), "src": int(Source.SENSOR), **keys})
            self.bench.asked_results += 1

    # -- what must not be found

    def known_keys(self) -> list[Secret]:
        """What the host knows of the board's keys. Needs ``known-secrets``."""
        huk = self.bench.board.identity.huk
        if huk is None:
            raise NotCovered("the board's secrets are not known")
        return device_secrets(huk, self.bench.seed_source)

    def secrets(self) -> list[Secret]:
        """The board's keys, and the secret numbers of the signatures that it has just made."""
        found, trust = self.known_keys(), self.bench.trust
        key, private = trust.key("result"), trust.private_key("result")
        if private is None or not isinstance(key, PublicKey):
            return found
        profile = build_result_profile(self.bench.combination.build)
        for number, inference in enumerate(self.results):
            record = signature_of_result(inference.answer.message, profile=profile, key=key)
            if record is not None:
                data = secret_number(record, private.private_numbers().private_value).to_bytes(32, "big")
                found.append(Secret(name=f"the secret number k of signature {number}", data=data))
        return found

    def sensor_secrets(self) -> list[Secret]:
        """The window as records and as 32-bit numbers, and the input tensor; none before `sensor`."""
        if not self.samples:
            return []
        counts = [count for sample in self.samples for count in sample.counts]
        wide = b"".join((count & 0xFFFF_FFFF).to_bytes(4, "little") for count in counts)
        return [
            Secret(name="the sensor window", data=self.window, window=16, step=8),
            Secret(name="the sensor window in 32-bit numbers", data=wide, window=32, step=16, distinct=0.25),
            Secret(name="the input tensor", data=self.tensor, window=16, step=4),
        ]

    def models(self, *names: str) -> list[Secret]:
        """The bytes of the build's models (default: all); any piece of 31 bytes counts as found."""
        build = self.bench.combination.build
        files = {name: read_file(build.model_file(name), MODEL_LIMIT) for name in names or build.models}
        return [
            Secret(name=f"model {name}", data=data, window=16, step=16, every_form=False)
            for name, data in files.items()
        ]

    # -- where it may be found

    def outputs(self, *, begun: bool = False) -> Iterator[tuple[str, bytes, bool]]:
        """Everything that came out: name, bytes (the newest `NEWEST`), whether it is a log for people.

        With `begun`: only what came since the cold start.
        """
        build = self.bench.combination.build
        for name, console in self.bench.board.consoles.items():
            first = max(self._begun[name] if begun else 0, console.received - NEWEST)
            raw = console.read_from(Mark(first), limit=NEWEST)
            yield f"console {name}", raw, name != build.console
            if name == build.console and build.protocol == "smp":
                if self._decoded is None or self._decoded[0] != raw:
                    self._decoded = raw, *_answers_and_log(raw)
                yield f"answers on console {name}", self._decoded[1], False
                yield f"log on console {name}", self._decoded[2], True

    def memories(self) -> Iterator[tuple[str, bytes]]:
        """Non-secure memory, region by region."""
        for region in self.bench.memory_map.owned_by("nonsecure"):
            yield region.name, self.bench.board.read_memory(region.at, region.size)


def _answers_and_log(raw: bytes) -> tuple[bytes, bytes]:
    """The packets that a console received, and the lines between them."""
    answers, log = bytearray(), bytearray()
    for item in FrameDecoder().feed(raw):
        if isinstance(item, Packet):
            answers += item.data + b"\n"
        elif isinstance(item, LogLine):
            log += item.data + b"\n"
    return bytes(answers), bytes(log)
