"""Devices of each protocol that say a given text in each field of an answer."""

from __future__ import annotations

from collections.abc import Callable

from tests.protocol.test_every_request_ends import MonitorAnswers, SmpAnswers, everywhere
from tests.protocol.zephyr_shell.simulated import PROMPT, Simulated

__all__ = ["DEVICES"]


def _error(payload: str) -> Callable[[bytes], bytes]:
    return SmpAnswers(lambda *_: {"err": {"group": payload, "rc": payload, payload: payload}, "rc": payload})


def _key(payload: str) -> Callable[[bytes], bytes]:
    return SmpAnswers(lambda *_: {payload: {payload: payload}, "models": [{payload: payload, "name": payload}]})


def _logs(payload: str) -> Callable[[bytes], bytes]:
    hears = SmpAnswers(lambda *_: {})
    return lambda data: payload.encode() + b"\n[NS] PANIC " + payload.encode() + b"\n" + hears(data)


class _Shell(Simulated):
    """A right device whose every line of an answer has the payload at one of its words."""

    def __init__(self, payload: str, place: int) -> None:
        super().__init__()
        self.payload, self.place = payload.encode(), place

    def run(self, line: str) -> bytes:
        said = super().run(line)
        rows = said.split(b"\r\n")
        for number, row in enumerate(rows):
            words = row.split(b" ")
            words[self.place % len(words)] = self.payload if self.place >= 0 else words[-1] + self.payload
            rows[number] = b" ".join(words)
        return b"\r\n".join(rows)


def _monitor(payload: str) -> Callable[[bytes], bytes]:
    one = payload.replace("\n", " ")
    return MonitorAnswers(
        f"m-name-dut-[{one}]", f"m-profile-[{one}]", f"m-model-[{one}]", f"m-results-[{one}]", f"m-{one}", f"e-[{one}]",
        f"m-lap-us-{one}", payload, f"m-timestamp-{one}",
    )  # fmt: skip


DEVICES: dict[str, list[Callable[[str], Callable[[bytes], bytes]]]] = {
    "smp": [
        lambda payload: SmpAnswers(everywhere(payload)),
        lambda payload: SmpAnswers(everywhere([payload, payload.encode()])),
        _error,
        _key,
        _logs,
    ],
    "zephyr-shell": [
        lambda payload: _Shell(payload, 0),
        lambda payload: _Shell(payload, 1),
        lambda payload: _Shell(payload, -1),
        lambda payload: lambda data: data + b"\r\n" + payload.encode() + b"\r\n" + PROMPT,
    ],
    "mlperf-tiny": [
        _monitor,
        lambda payload: lambda _data: f"m-ready\r\n{payload}\r\ne-[{payload}]\r\n".encode(),
        lambda payload: lambda data: data + payload.encode(),
    ],
}
