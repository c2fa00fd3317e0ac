"""Simulates the Pico: the same device files under CPython, with an I2C controller for tests and a pty.

Reports label it as a simulator. It runs `device/{sensors,player,link}.py`; only `device/main.py`
(the RP2040's interrupts and USB) is replaced.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import tty
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

__all__ = ["SimulatedPico", "load_device_module"]

_DEVICE = Path(__file__).parent / "device"
_CACHE: dict[str, ModuleType] = {}


def load_device_module(name: str) -> ModuleType:
    """Import one of the device's files, which import each other by bare names as MicroPython does."""
    if name not in _CACHE:
        if name == "link":
            player = load_device_module("player")
            before = sys.modules.get("player")
            sys.modules["player"] = player
            try:
                _CACHE[name] = _load(name)
            finally:
                if before is None:
                    del sys.modules["player"]
                else:
                    sys.modules["player"] = before
        else:
            _CACHE[name] = _load(name)
    return _CACHE[name]


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tfm_harness_pico_{name}", _DEVICE / f"{name}.py")
    if spec is None or spec.loader is None:  # pragma: no cover - the files ship with the package
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class SimulatedPico:
    """Register models, player and link; `read` and `write` act as the board's I2C controller.

    As a context manager it also serves the link on a pty whose path is `port`.
    """

    def __init__(self, uid: str = "e6614103e7000000") -> None:
        sensors, player, link = (load_device_module(name) for name in ("sensors", "player", "link"))
        self.modes = {"mag": player.NONE, "temp": player.NONE}
        self._none = player.NONE
        self.mag: Any = sensors.Lsm303dlhcMag()
        self.temp: Any = sensors.Tmp105()
        self.player: Any = player.Player(self.mag, self.temp)
        self.link: Any = link.Link(self.player, self, uid)
        self.port = ""
        self._master = -1
        self._slave = -1
        self._thread: threading.Thread | None = None

    def fault(self, sensor: str, mode: int) -> bool:
        """Do what the class Bus of device/main.py does, on the simulated bus."""
        self.modes[sensor] = mode
        return True

    def _model(self, address: int) -> tuple[str, Any]:
        for name, model in (("mag", self.mag), ("temp", self.temp)):
            if address == model.ADDRESS and self.modes[name] == self._none:
                return name, model
        raise OSError(f"address 0x{address:02x} not acknowledged")

    def write(self, address: int, data: bytes) -> None:
        """One write transaction. Raises OSError when the address is not acknowledged."""
        _, model = self._model(address)
        model.begin_write()
        for byte in data:
            model.write(byte)

    def read(self, address: int, count: int) -> bytes:
        """One read transaction. Raises OSError when the address is not acknowledged."""
        name, model = self._model(address)
        model.begin_read()
        data = bytes(model.read() for _ in range(count))
        if model.end_read():
            (self.player.mag_read if name == "mag" else self.player.temp_read)()
        return data

    def read_register(self, address: int, register: int, count: int) -> bytes:
        """Write the pointer, then read, as sensor drivers do."""
        self.write(address, bytes([register]))
        return self.read(address, count)

    def __enter__(self) -> Self:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._thread = threading.Thread(target=self._serve, name="simulated-pico", daemon=True)
        self._thread.start()
        return self

    def _serve(self) -> None:
        pending = b""
        while True:
            try:
                chunk = os.read(self._master, 4096)
            except OSError:
                return
            if not chunk or b"\x04" in chunk:
                return
            pending += chunk
            *lines, pending = pending.split(b"\n")
            for line in lines:
                os.write(self._master, self.link.handle(line.rstrip(b"\r")))

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        # EOT ends the server thread: closing a pty does not wake a blocked read.
        os.write(self._slave, b"\x04")
        if self._thread is not None:
            self._thread.join()
        os.close(self._master)
        os.close(self._slave)
