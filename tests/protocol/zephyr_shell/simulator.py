"""A device that replays recorded traffic of zephyr_secure_inference, in any chunks, with anything in between."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

RECORDINGS = Path(__file__).resolve().parents[4] / "shared" / "recordings" / "linaro"
LOGS = {"colour": "uart-an547.log", "plain": "uart-an547-nocolor.log"}
PROMPTS = {"colour": b"\x1b[1;32muart:~$ \x1b[m", "plain": b"uart:~$ "}


def path_of(name: str) -> Path:
    path = RECORDINGS / name
    if not path.is_file():
        pytest.skip(f"the recording {name} is not present beside the checkout")
    return path


def traffic(name: str) -> Iterator[tuple[float, str, bytes]]:
    """Entries of a recorded log: seconds, RX or TX, bytes."""
    for line in path_of(name).read_text("latin-1").splitlines():
        match = re.fullmatch(r"\s*(\d+\.\d+) (RX|TX) (.*)", line)
        assert match, line
        yield float(match[1]), match[2], match[3].encode("latin-1").decode("unicode_escape").encode("latin-1")


def turns(name: str) -> tuple[bytes, list[tuple[str, bytes]]]:
    """The boot's bytes, and each command with all that came back before the next."""
    boot = bytearray()
    found: list[tuple[str, bytearray]] = []
    for _, way, data in traffic(name):
        if way == "TX":
            found.append((data.decode("latin-1").rstrip("\r\n"), bytearray()))
        elif found:
            found[-1][1].extend(data)
        else:
            boot += data
    return bytes(boot), [(command, bytes(reply)) for command, reply in found]


Chunker = Callable[[bytes], Iterable[bytes]]


class Device:
    """What is written to it gives what was recorded; `mangle` may change a reply on its way."""

    def __init__(self, style: str = "colour", mangle: Callable[[str, bytes], bytes] | None = None) -> None:
        self.boot, recorded = turns(LOGS[style])
        self.prompt = PROMPTS[style]
        self.replies: dict[str, deque[bytes]] = {}
        for command, reply in recorded:
            self.replies.setdefault(command, deque()).append(reply)
        self.mangle = mangle or (lambda _, reply: reply)
        self.typed = b""
        self.seen: list[str] = []

    def __call__(self, data: bytes) -> bytes:
        out = b""
        for byte in data:
            if byte == 3:
                self.typed = b""
                out += b"\r\n" + self.prompt
            elif byte == 13:
                command, self.typed = self.typed.decode("latin-1"), b""
                self.seen.append(command)
                out += self.mangle(command, self.reply(command))
            else:
                self.typed += bytes([byte])
        return out

    def reply(self, command: str) -> bytes:
        replies = self.replies.get(command)
        if replies is None:
            name = command.split(" ", maxsplit=1)[0].encode()
            return command.encode() + b"\r\n" + name + b": command not found\r\n" + self.prompt
        replies.rotate(-1)
        return replies[-1]
