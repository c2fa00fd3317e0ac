"""Test commands of the reference firmware: probes, batches, latency runs, traces, models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from tfm_harness.console.deadline import Deadline
from tfm_harness.errors import ProductError
from tfm_harness.protocol.smp.answers import (
    DeviceStats,
    FaultRecord,
    LatencyRun,
    ModelInfo,
    Probe,
    SampleState,
    StoredObject,
    decode_answer,
    field,
    items,
    show,
    signed,
    ticks,
)
from tfm_harness.protocol.smp.core import INPUT_ROOM, SmpCore
from tfm_harness.protocol.smp.header import GROUP_INFERENCE, Command, Op
from tfm_harness.protocol.smp.link_records import Request
from tfm_harness.verify import cbor

__all__ = ["TRACE_LIFECYCLE", "PsaCall", "SmpTestCommands"]

PsaCall = tuple[int, int, Sequence[tuple[int, int]], Sequence[tuple[int, int]]]
"""Handle, message type, input vectors, output vectors; a vector is an address and a length."""

TRACE_LIFECYCLE = 0x1000
"""PSA lifecycle "assembly and test": the reference firmware gives traces in it (docs/protocol.md, command 16)."""

_PROBES_AT_A_TIME = 32
_BATCH_ROOM = 3072  # bytes of one answer or request that tensors may fill: 4096 less header, CBOR and names
_MOST_OUTPUT = 4 << 20  # bytes of an operator's output: 2^20 elements, the protocol's limit, of 4 bytes
_OUTPUT_PIECE = 2048  # bytes of the output that an answer should hold
_SMALLEST_PIECE = 64  # bytes of the output that each answer but the last must hold
_SECONDS_PER_INFERENCE = 2.0  # generous: a keyword model on a busy emulator takes a tenth of that


class SmpTestCommands(SmpCore):
    """Group 64 beyond describing, inferring and attesting."""

    def sample(self, mode: str, *, ms: int | None = None, timeout: float | None = None) -> SampleState:
        """`mode`: ``step``, ``free`` (every `ms` milliseconds), ``stop`` or ``clear``. `timeout`: of this answer."""
        arguments: dict[str, object] = {"mode": mode} if ms is None else {"mode": mode, "ms": ms}
        answer, _ = self.ask(Command.SAMPLE, arguments, timeout=timeout)
        return SampleState(
            status=field(answer, "st", int), window=field(answer, "n", int), taken=field(answer, "seq", int)
        )

    def probe(self, address: int, size: int = 4, *, write: int | None = None) -> Probe:
        """Let the non-secure side read an address, or write `write` to it; `size` is 1, 2 or 4 bytes."""
        arguments: dict[str, object] = {"op": 0 if write is None else 1, "addr": address, "size": size}
        if write is not None:
            arguments["val"] = write
        answer, _ = self.ask(Command.PROBE, arguments)
        return Probe.parse(answer)

    def probe_many(self, addresses: Sequence[int], size: int = 4) -> list[Probe]:
        """Read `size` bytes at each address, many requests at a time; a lost answer is requested again."""
        questions = [{"op": 0, "addr": address, "size": size} for address in addresses]
        return [Probe.parse(answer) for answer in self._answers(Command.PROBE, questions)]

    def peek(self, address: int, size: int) -> bytes:
        """Read bytes as the non-secure side, word by word; `address` and `size` are multiples of 4.

        Raises:
            ProductError: ``probe-fault``: the non-secure side may not read there.
        """
        words = self.probe_many(range(address, address + size, 4))
        if fault := next((n for n, word in enumerate(words) if word.value is None), None):
            raise ProductError(f"reading {address + 4 * fault:#x} faults", kind="probe-fault", expected="a value")
        return b"".join((word.value or 0).to_bytes(4, "little") for word in words)

    def poke(self, address: int, data: bytes) -> None:
        """Let the non-secure side write `data` (padded to words) to its own memory."""
        padded = data + bytes(-len(data) % 4)
        self._answers(
            Command.PROBE,
            [
                {"op": 1, "addr": address + at, "size": 4, "val": int.from_bytes(padded[at : at + 4], "little")}
                for at in range(0, len(padded), 4)
            ],
        )

    def _answers(self, command: Command, questions: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
        """Send many requests close together; a request that a real line lost is sent again, alone.

        Raises:
            Refused: one of them is refused; the rest is not judged.
            ProductError: ``smp-timeout``: an answer is missing on a console that loses nothing.
        """
        found: list[Mapping[str, object]] = []
        name = command.name.lower().replace("_", "-")
        for at in range(0, len(questions), _PROBES_AT_A_TIME):
            part = questions[at : at + _PROBES_AT_A_TIME]
            requests = (
                Request(op=Op.WRITE, group=GROUP_INFERENCE, command=command, payload=cbor.encode(question), name=name)
                for question in part
            )
            for question, payload in zip(part, self.link.burst(requests, timeout=self.timeout), strict=True):
                if payload is None and self.console.lossless:
                    raise ProductError(
                        f"the emulator runs, and the firmware in it did not answer {name} within {self.timeout:g} s",
                        kind="smp-timeout",
                        expected=f"{len(part)} answers",
                        seen=f"none to {show(question)}",
                    )
                found.append(self.ask(command, question)[0] if payload is None else decode_answer(payload, name))
        return found

    def faults(self) -> tuple[int, tuple[FaultRecord, ...]]:
        """Faults recorded so far and the last of them, newest first."""
        answer, _ = self.ask(Command.FAULTS, read=True)
        return field(answer, "n", int), items(answer, "last", FaultRecord.parse)

    def psa_call(
        self, handle: int, kind: int, inputs: Sequence[tuple[int, int]], outputs: Sequence[tuple[int, int]]
    ) -> int:
        """Let the non-secure side pass raw vectors (address, length) to `psa_call`. Returns the psa_status_t."""
        answer, _ = self.ask(Command.PSA_CALL, _call(handle, kind, inputs, outputs))
        return signed(answer, "st")

    def psa_call_at(
        self,
        handle: int,
        kind: int,
        inputs: Sequence[tuple[int, int]],
        outputs: Sequence[tuple[int, int]],
        *,
        in_array: int | None = None,
        out_array: int | None = None,
    ) -> int:
        """As `psa_call`, with the arrays of vectors at these addresses; `inputs` and `outputs` are their lengths."""
        arguments = _call(handle, kind, inputs, outputs)
        arguments |= {} if in_array is None else {"ia": in_array}
        arguments |= {} if out_array is None else {"oa": out_array}
        answer, _ = self.ask(Command.PSA_CALL, arguments)
        return signed(answer, "st")

    def psa_call_many(self, calls: Sequence[PsaCall]) -> list[int]:
        """Make many raw calls (handle, type, inputs, outputs) close together. Returns the psa_status_t of each."""
        return [signed(answer, "st") for answer in self._answers(Command.PSA_CALL, [_call(*call) for call in calls])]

    def psa_call_timed(self, call: PsaCall, count: int = 1, *, step: int = 0) -> tuple[int, tuple[int, ...]]:
        """As `psa_call`, `count` times (1 to 128) in one request, as long as the status stays the same.

        Args:
            call: handle, type, inputs, outputs.
            count: how many calls.
            step: bytes that are added to the address of the first input after each call.

        Returns:
            The psa_status_t of the last call, and the ticks of the device's counter that each call took.

        If there are fewer times than calls, the status changed with the last timed call.

        Raises:
            ProductError: no time, or more times than calls.
        """
        arguments = _call(*call) | {"tm": count} | ({"mv": step} if step else {})
        answer, _ = self.ask(Command.PSA_CALL, arguments)
        status, taken = signed(answer, "st"), ticks(field(answer, "t", bytes), "t")
        if not 0 < len(taken) <= count:
            raise ProductError(
                f"{count} timed calls gave {len(taken)} times",
                kind="smp-answer",
                expected=f"1 to {count} times",
                seen=f"{len(taken)} times",
            )
        return status, taken

    def batch(self, inputs: Sequence[bytes], output_bytes: int) -> list[bytes]:
        """Run the active model on inputs from the host, many to a message; one output each.

        Raises:
            ProductError: the answer's length is not inputs times `output_bytes`.
        """
        if not inputs:
            return []
        each = max(len(inputs[0]), output_bytes, 1)
        count = max(1, _BATCH_ROOM // each)
        outputs: list[bytes] = []
        for at in range(0, len(inputs), count):
            part = inputs[at : at + count]
            answer, _ = self.ask(
                Command.BATCH,
                {"in": b"".join(part)},
                timeout=self.timeout + len(part) * _SECONDS_PER_INFERENCE,
            )
            data = field(answer, "out", bytes)
            if len(data) != len(part) * output_bytes:
                raise ProductError(
                    f"a batch of {len(part)} inputs gave {len(data)} bytes",
                    kind="smp-answer",
                    expected=f"{len(part)} outputs of {output_bytes} bytes",
                    seen=f"{len(data)} bytes",
                )
            outputs += [data[k : k + output_bytes] for k in range(0, len(data), output_bytes)]
        return outputs

    def latency(self, count: int, *, warm_up: int = 0, data: bytes | None = None) -> LatencyRun:
        """Let the device time `count` inferences of the active model (1 to 512)."""
        arguments: dict[str, object] = {"n": count, "warm": warm_up}
        if data is not None:
            arguments["in"] = data
        answer, _ = self.ask(
            Command.LATENCY, arguments, timeout=self.timeout + (count + warm_up) * _SECONDS_PER_INFERENCE
        )
        return LatencyRun(
            ticks=ticks(field(answer, "t", bytes), "t"),
            empty=ticks(field(answer, "e", bytes), "e"),
            hz=field(answer, "hz", int),
            start=field(answer, "t0", int),
            end=field(answer, "t1", int),
        )

    def trace(self, data: bytes) -> tuple[tuple[int, int, int, int], ...]:
        """Each op's (index, TFLite builtin code, output length, CRC-32 of its output) for one input."""
        answer, _ = self.ask(Command.TRACE, {"in": data}, timeout=self.timeout + _SECONDS_PER_INFERENCE)

        def row(value: object) -> tuple[int, int, int, int]:
            if isinstance(value, list) and len(value) == 4:
                index, code, length, crc = value
                if (
                    isinstance(index, int)
                    and isinstance(code, int)
                    and isinstance(length, int)
                    and isinstance(crc, int)
                ):
                    return index, code, length, crc
            raise ProductError("a trace row is not four integers", kind="smp-answer", seen=str(value))

        return items(answer, "ops", row)

    def trace_output(self, data: bytes, op: int) -> bytes:
        """The whole output tensor of one op for one input.

        Raises:
            ProductError: ``smp-answer``: the device gives another length than it announces, announces one that no
                tensor has, or gives pieces so small that the transfer would not end.
        """
        output, said = b"", 0
        given = self.input_argument(data)
        end = Deadline.after(self.timeout, self._clock)
        while True:
            answer, _ = self.ask(
                Command.TRACE,
                {**given, "op": op, "off": len(output)},
                timeout=self.timeout + _SECONDS_PER_INFERENCE,
            )
            part, length = field(answer, "out", bytes), field(answer, "len", int)
            if not output:
                said = length
                pieces = min(length, _MOST_OUTPUT) // _OUTPUT_PIECE + 1
                end = Deadline.after(self.timeout + pieces * _SECONDS_PER_INFERENCE, self._clock)
            output += part
            if len(output) == length == said:
                return output
            too_small = len(part) < _SMALLEST_PIECE or end.passed
            if too_small or len(output) > length or not length == said <= _MOST_OUTPUT:
                raise ProductError(
                    "an operator's output does not end",
                    kind="smp-answer",
                    expected=f"all the time one length, at most {_MOST_OUTPUT} bytes, in pieces of {_SMALLEST_PIECE}"
                    " bytes or more",
                    seen=f"{len(output)} bytes of {length}, at first of {said}; the last piece has {len(part)}",
                )

    def models(self) -> tuple[ModelInfo, ...]:
        """All model slots with an image."""
        answer, _ = self.ask(Command.MODELS, read=True)
        return items(answer, "models", ModelInfo.parse)

    def select_model(self, name: str) -> bytes:
        """Activate the valid image of that name. Returns its model id (SHA-256)."""
        answer, _ = self.ask(Command.MODEL_SELECT, {"name": name}, safe=True)
        return field(answer, "mid", bytes)

    def upload_model(self, image: bytes, *, progress: Callable[[int, int], None] | None = None) -> bytes:
        """Upload a model image into the update bank without activating it. Returns its SHA-256.

        Raises:
            ProductError: ``upload-offset``: the firmware asks for an offset that makes no progress, or too little to
                end the upload.
        """
        digest = hashlib.sha256(image).digest()
        offset = 0
        end = Deadline.after(self.timeout * (2 + len(image) // INPUT_ROOM), self._clock)
        while offset < len(image):
            arguments: dict[str, object] = {"off": offset, "data": image[offset : offset + INPUT_ROOM]}
            if offset == 0:
                arguments |= {"len": len(image), "sha": digest}
            answer, _ = self.ask(Command.MODEL_UPLOAD, arguments)
            wanted = field(answer, "off", int)
            if not offset < wanted <= len(image) or (end.passed and wanted < len(image)):
                raise ProductError(
                    "the firmware asks for an offset that makes no progress",
                    kind="upload-offset",
                    expected=f"between {offset + 1} and {len(image)}",
                    seen=str(wanted),
                )
            offset = wanted
            if progress:
                progress(offset, len(image))
        return digest

    def activate_model(self, digest: bytes) -> bytes:
        """Verify and activate the uploaded image with that SHA-256. Returns the model id.

        Raises:
            Refused: -149 signature or hash, -133 rollback, -135 format, -140 nothing with that digest.
        """
        answer, _ = self.ask(Command.MODEL_ACTIVATE, {"sha": digest})
        return field(answer, "mid", bytes)

    def ps_set(self, uid: int, data: bytes, *, flags: int = 0) -> None:
        """Store `data` under `uid` in PSA Protected Storage; flag 1 makes it permanent (write once).

        Raises:
            Refused: -133 stored permanently before, -134 unknown flag, -142 no room, or too long.
        """
        self.ask(Command.PS_SET, {"uid": uid, "data": data, **({"fl": flags} if flags else {})})

    def ps_get(self, uid: int, *, offset: int = 0) -> StoredObject:
        """Read the object stored under `uid`, from byte `offset` on.

        Raises:
            Refused: -140 no object, -149 not the object that this device stored last, -135 offset beyond its end.
        """
        answer, _ = self.ask(Command.PS_GET, {"uid": uid, **({"off": offset} if offset else {})}, read=True)
        return StoredObject(
            data=field(answer, "data", bytes), size=field(answer, "size", int), flags=field(answer, "fl", int)
        )

    def ps_remove(self, uid: int) -> None:
        """Remove the object stored under `uid`. Raises as `ps_get`, and -133 if it was stored permanently."""
        self.ask(Command.PS_REMOVE, {"uid": uid})

    def device_stats(self) -> DeviceStats:
        """The firmware's own frame counters."""
        answer, _ = self.ask(Command.STATS, read=True)
        return DeviceStats(
            received=field(answer, "rx", int),
            bad_crc=field(answer, "crc", int),
            bad_frame=field(answer, "bad", int),
            too_big=field(answer, "big", int),
            bad_cbor=field(answer, "cbor", int),
            overruns=field(answer, "ovr", int),
            sent=field(answer, "tx", int),
        )

    def print_log(self, lines: int, length: int) -> None:
        """Let the firmware print log lines between frames."""
        self.ask(Command.LOG, {"n": lines, "len": length})

    def attest_size(self, challenge_length: int) -> int:
        """The token size the firmware announces for a challenge of that length."""
        answer, _ = self.ask(Command.ATTEST_SIZE, {"len": challenge_length}, read=True)
        return field(answer, "size", int)


def _call(
    handle: int, kind: int, inputs: Sequence[tuple[int, int]], outputs: Sequence[tuple[int, int]]
) -> dict[str, object]:
    return {
        "h": handle,
        "type": kind,
        "in": [list(vector) for vector in inputs],
        "out": [list(vector) for vector in outputs],
    }
