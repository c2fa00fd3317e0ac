"""The reference firmware in QEMU, for its own tests: one process, its sensors, its OTP, its NV memory."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from smp_device import Device

__all__ = ["BOARD_ARGUMENTS", "QemuBoard", "board"]

BOARD_ARGUMENTS = ["-nodefaults", "-nic", "none", "-display", "none", "-monitor", "none"]
MODEL_SLOTS = 0x38100000
MODEL_SLOT_STRIDE = 0x60000
ICOUNT = ["-icount", "shift=5,sleep=on"]
_SENSORS = {
    "mag": ["-device", "lsm303dlhc_mag,id=mag,address=0x1e"],
    "impostor": ["-device", "tmp105,id=impostor,address=0x1e"],  # answers at the magnetometer's address
    "temperature": ["-device", "tmp105,id=temperature,address=0x48"],
}


class Monitor:
    """QMP over its socket."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(60.0)
        self._socket = connection
        self._lines = connection.makefile("rb")
        self._read()
        self.execute("qmp_capabilities")

    def _read(self) -> dict[str, Any]:
        line = self._lines.readline()
        if not line:
            raise ConnectionError("QEMU has closed its monitor")
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise ConnectionError(f"not QMP: {line!r}")
        return answer

    def execute(self, command: str, **arguments: object) -> object:
        """One command; events on the way are dropped."""
        request = {"execute": command, **({"arguments": arguments} if arguments else {})}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            answer = self._read()
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def close(self) -> None:
        """Close both ends of it."""
        self._lines.close()
        self._socket.close()


class QemuBoard:
    """A running board: `device` speaks to UART0, `secure_log()` reads UART1.

    Args:
        images: folder with secure.elf, nonsecure.signed.bin and the models' images.
        models: files of the factory slots, in order; None leaves a slot blank.
        otp: 256 bytes; entropy: 64 bytes.
        nv: file that keeps the NV memory.
        sensors: which of "mag" (or "impostor") and "temperature" are plugged in.
        icount: count instructions instead of time.
    """

    def __init__(
        self,
        images: Path,
        models: list[Path | None],
        *,
        otp: bytes,
        entropy: bytes,
        nv: Path | None = None,
        sensors: tuple[str, ...] = ("mag", "temperature"),
        icount: bool = True,
    ) -> None:
        self._stack = contextlib.ExitStack()
        folder = Path(tempfile.mkdtemp(prefix="tfm-harness-reference-"))
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        try:
            self._start(folder, images, models, otp, entropy, nv or folder / "nv.bin", sensors, icount=icount)
        except BaseException:
            self._stack.close()
            raise

    def _start(
        self,
        folder: Path,
        images: Path,
        models: list[Path | None],
        otp: bytes,
        entropy: bytes,
        nv: Path,
        sensors: tuple[str, ...],
        *,
        icount: bool,
    ) -> None:
        (folder / "otp.bin").write_bytes(otp)
        (folder / "entropy.bin").write_bytes(entropy)
        memory = 2 << 30
        with nv.open("ab") as file:
            os.truncate(file.fileno(), memory)  # sparse
        loads = [(images / "nonsecure.signed.bin", 0x01000000), (folder / "otp.bin", 0x38000000)]
        loads += [(folder / "entropy.bin", 0x38001000)]
        loads += [(model, MODEL_SLOTS + n * MODEL_SLOT_STRIDE) for n, model in enumerate(models) if model is not None]
        # A byte over the UART passes between two of QEMU's threads: on one CPU that takes a fraction of the time.
        cpus = sorted(os.sched_getaffinity(0))
        command = ["taskset", "-c", str(cpus[os.getpid() % len(cpus)])]
        command += ["setpriv", "--pdeathsig", "KILL", "qemu-system-arm", *BOARD_ARGUMENTS]
        command += ["-M", "mps3-an547,memory-backend=ddr"]
        command += ["-object", f"memory-backend-file,id=ddr,size={memory},mem-path={nv},share=on"]
        command += ["-chardev", f"socket,id=u0,path={folder}/u0,server=on,wait=on", "-serial", "chardev:u0"]
        command += ["-chardev", f"file,id=u1,path={folder}/uart1.log", "-serial", "chardev:u1"]
        command += ["-qmp", f"unix:{folder}/qmp,server=on,wait=off", "-kernel", str(images / "secure.elf")]
        for path, address in loads:
            command += ["-device", f"loader,file={path},addr={address:#x},force-raw=on"]
        for name in sensors:
            command += _SENSORS[name]
        command += ICOUNT if icount else []
        errors = self._stack.enter_context((folder / "stderr").open("wb"))
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        self._stack.callback(self._end)
        self.started = time.monotonic()
        uart = self._connect(folder / "u0", folder / "stderr")
        self._stack.callback(uart.close)
        self._monitor = Monitor(self._connect(folder / "qmp", folder / "stderr"))
        self._stack.callback(self._monitor.close)
        self.device = Device(uart, lambda: self._monitor.execute("query-status"))
        # QEMU has answered: it holds all its files open. Gone from here on, they cannot be left behind by a kill.
        self._log = self._stack.enter_context((folder / "uart1.log").open("rb"))
        shutil.rmtree(folder)

    def _connect(self, path: Path, errors: Path) -> socket.socket:
        end = time.monotonic() + 60.0
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(path))
            except OSError as exc:
                connection.close()
                if self.process.poll() is not None or time.monotonic() > end:
                    raise ConnectionError(f"QEMU does not start: {errors.read_text()}") from exc
                time.sleep(0.002)
            else:
                return connection

    def _end(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End the process, remove its files."""
        self._stack.close()

    def secure_log(self) -> str:
        """What UART1 has said."""
        self._log.seek(0)
        return self._log.read().decode(errors="backslashreplace")

    def set_sensors(self, x: int, y: int, z: int, temperature: int) -> None:
        """Put register counts into the sensors: magnetometer 0..2047, temperature in 1/16 degC."""
        # counts = value * gain // 100000: 1100 (x, y) and 980 (z) at the default gain
        for name, counts, gain in (("mag-x", x, 1100), ("mag-y", y, 1100), ("mag-z", z, 980)):
            self._set("mag", name, math.ceil(counts * 100000 / gain))
        self.set_temperature(temperature)

    def set_temperature(self, sixteenths: int) -> None:
        """Put a temperature into the thermometer, in 1/16 degC."""
        self._set("temperature", "temperature", math.ceil(sixteenths * 1000 / 16))

    def _set(self, device: str, name: str, value: int) -> None:
        self._monitor.execute("qom-set", path=f"/machine/peripheral/{device}", property=name, value=value)


@contextlib.contextmanager
def board(*args: Any, **kwargs: Any) -> Iterator[QemuBoard]:  # noqa: ANN401 - QemuBoard's
    """A QemuBoard that is closed at the end."""
    running = QemuBoard(*args, **kwargs)
    try:
        yield running
    finally:
        running.close()
