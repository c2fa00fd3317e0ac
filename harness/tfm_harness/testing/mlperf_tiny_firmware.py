"""A simulated firmware that speaks MLPerf Tiny's protocol, written from the benchmark's published firmware.

Source: mlcommons/tiny, benchmark/api/internally_implemented.cpp, and the reference submissions.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

__all__ = ["MlperfTinyFault", "MlperfTinyFirmware"]

_MAX_COMMAND = 80
_PRINTED = 8
_DONE = 20


class MlperfTinyFault(enum.Enum):
    """Errors of a faulty firmware or a bad line; a check or an error of the client notices each of them."""

    WRONG_ECHO = "the number in m-[Expecting N bytes] is another one"
    WRONG_ITERATIONS = "m-infer-start repeats another number than was asked for"
    BYTE_CHANGED = "a byte of the input is another one in the buffer"
    TRUNCATED = "db print shows eight bytes less than were loaded"
    LOAD_DONE_EARLY = "m-load-done comes a line early"
    REPEATED_LINE = "a lap line comes twice"
    MISSING_LAP = "only one lap line comes"
    NO_LAPS = "no lap line comes, as in energy mode"
    LAPS_BACKWARDS = "the second timestamp is before the first one"
    TOO_FEW_RESULTS = "the last result is missing"
    TOO_MANY_RESULTS = "there is a result too many"
    NOT_A_NUMBER = "a result is nan"
    EMPTY_RESULTS = "m-results-[]"
    LATE_READY = "the ready message comes only with the next command"
    NO_READY = "no ready message comes any more"
    ERROR_LINE = "infer is answered by an error line"
    RESET = "the firmware starts anew in the middle of infer"


def _twelve(data: bytes) -> Sequence[float]:
    return [(data[n % len(data)] & 127) / 128 for n in range(12)]


class MlperfTinyFirmware:
    """Answers commands that end in ``%``: called with received bytes, it returns the printed bytes.

    Args:
        model: the model that ``profile%`` names.
        infer: computes the results from the input's bytes; by default twelve numbers from the first bytes.
        input_bytes: the model's input size; the answer to another size is that of the reference firmware.
        buffer_bytes: room for the input (MAX_DB_INPUT_SIZE).
        microseconds: the duration of one inference, by which the counter advances.
        clock: the counter's microseconds, instead of `microseconds`; then a few of the inferences are really computed.
        decimals: how a result is printed; default: three decimals.
        fault: one error that it makes.
    """

    def __init__(
        self,
        model: str = "kws01",
        infer: Callable[[bytes], Sequence[float]] | None = None,
        *,
        input_bytes: int = 490,
        buffer_bytes: int = 96 * 96 * 3,
        microseconds: int = 1000,
        clock: Callable[[], int] | None = None,
        decimals: Callable[[float], str] = "{:.3f}".format,
        fault: MlperfTinyFault | None = None,
    ) -> None:
        self.model, self.infer = model, infer or _twelve
        self.input_bytes, self.buffer_bytes = input_bytes, buffer_bytes
        self.microseconds, self.decimals, self.fault = microseconds, decimals, fault
        self.clock = clock
        self.commands: list[str] = []
        self._heard = ""
        self._late = ""
        self._buffer = bytearray()
        self._expected = 0
        self._loaded = bytes(input_bytes)
        self._now = 17

    def boot(self) -> bytes:
        """Start the firmware. Returns the bytes that it prints."""
        self._heard, self._buffer, self._expected = "", bytearray(), 0
        return f"m-timestamp-mode-performance\r\nm-lap-us-{self._now}\r\nm-init-done\r\nm-ready\r\n".encode()

    def __call__(self, data: bytes) -> bytes:
        """Take `data`. Returns the printed bytes."""
        out = ""
        for character in data.decode("latin-1"):
            if character != "%":
                self._heard = (self._heard + character)[:_MAX_COMMAND]
                continue
            command, self._heard = self._heard, ""
            self.commands.append(command)
            answer, late = self._answer(command), self._late
            self._late = ""
            if self.fault is MlperfTinyFault.LATE_READY and command.startswith("infer"):
                self._late = "m-ready\r\n"
            elif self.fault is not MlperfTinyFault.NO_READY or not command.startswith("infer"):
                answer += "m-ready\r\n"
            out += late + answer
        return out.encode("latin-1")

    def _answer(self, command: str) -> str:
        words = command.split()
        match words:
            case ["name"]:
                return "m-name-dut-[simulated]\r\n"
            case ["profile"]:
                return f"m-profile-[ULPMark for tinyML Firmware V0.0.1]\r\nm-model-[{self.model}]\r\n"
            case ["timestamp"]:
                return self._lap()
            case ["results"]:
                return self._results()
            case ["db", *rest]:
                return self._db(rest)
            case ["infer", *rest]:
                return self._infer(rest)
            case _:
                return f"e-[Unknown command: {command.partition(' ')[0]}]\r\n"

    def _lap(self) -> str:
        return f"m-lap-us-{self.clock() if self.clock else self._now}\r\n"

    def _db(self, words: list[str]) -> str:
        fault = self.fault
        if not words:
            return "e-[Command 'db' requires a subcommand]\r\n"
        if words[0] == "load":
            size = int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0
            if size == 0:
                return "e-[Command 'db load' must be >0 bytes]\r\n"
            self._expected, self._buffer = size, bytearray()
            if size > self.buffer_bytes:
                return f"Supplied buffer size {size} exceeds maximum of {self.buffer_bytes}\n"
            return f"m-[Expecting {size + (fault is MlperfTinyFault.WRONG_ECHO)} bytes]\r\n"
        if words[0] == "print":
            return self._print()
        text = words[0]
        if len(text) % 2:
            return "e-[Insufficent number of hex digits]\r\n"
        for at in range(0, len(text), 2):
            try:
                self._buffer.append(int(text[at : at + 2], 16))
            except ValueError:
                return f"e-[Invalid hex digit '{text[at : at + 2]}']\r\n"
            if fault is MlperfTinyFault.BYTE_CHANGED and len(self._buffer) == self._expected // 2 + 1:
                self._buffer[-1] ^= 0x10
            early = 31 if fault is MlperfTinyFault.LOAD_DONE_EARLY else 0
            if len(self._buffer) == self._expected - early:
                return "m-load-done\r\n"
        return ""

    def _print(self) -> str:
        shown = self._buffer[: len(self._buffer) - (_PRINTED if self.fault is MlperfTinyFault.TRUNCATED else 0)]
        lines = [
            "m-buffer-" + "-".join(f"{byte:02x}" for byte in shown[at : at + _PRINTED]) + "\r\n"
            for at in range(0, len(shown), _PRINTED)
        ]
        return "".join(lines) + ("\r\n" if len(shown) % _PRINTED else "")

    def _infer(self, words: list[str]) -> str:
        fault = self.fault
        count, warmups = int(words[0]) if words else 1, int(words[1]) if len(words) > 1 else 10
        if count <= 0:
            return "e-[Inference iterations must be >0]\r\n"
        out = ""
        if len(self._buffer) == self.input_bytes:
            self._loaded = bytes(self._buffer)
        else:  # the reference firmware reports this, and continues with the earlier input
            out += f"Input db has {len(self._buffer)} elemented, expected {self.input_bytes}\n"
        if fault is MlperfTinyFault.ERROR_LINE:
            return out + "e-[out of memory]\r\n"
        self._now += warmups * self.microseconds
        said = count + (fault is MlperfTinyFault.WRONG_ITERATIONS)
        out += f"m-warmup-start-{warmups}\r\nm-warmup-done\r\nm-infer-start-{said}\r\n"
        if fault is MlperfTinyFault.RESET:
            return out + self.boot().decode().removesuffix("m-ready\r\n")
        laps = [self._lap()]
        for _ in range(min(count, _DONE) if self.clock else 0):
            self.infer(self._loaded)
        self._now += -count if fault is MlperfTinyFault.LAPS_BACKWARDS else count * self.microseconds
        laps.append(self._lap())
        match fault:
            case MlperfTinyFault.REPEATED_LINE:
                laps.append(laps[-1])
            case MlperfTinyFault.MISSING_LAP:
                laps.pop()
            case MlperfTinyFault.NO_LAPS:
                laps.clear()
            case _:
                pass
        return out + "".join(laps) + "m-infer-done\r\n" + self._results()

    def _results(self) -> str:
        words = [self.decimals(value) for value in self.infer(self._loaded)]
        match self.fault:
            case MlperfTinyFault.TOO_FEW_RESULTS:
                words.pop()
            case MlperfTinyFault.TOO_MANY_RESULTS:
                words.append("0.000")
            case MlperfTinyFault.NOT_A_NUMBER:
                words[0] = "nan"
            case MlperfTinyFault.EMPTY_RESULTS:
                words.clear()
            case _:
                pass
        return f"m-results-[{','.join(words)}]\r\n"
