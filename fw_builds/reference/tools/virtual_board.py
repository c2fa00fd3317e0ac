"""A virtual board for the reference firmware: the areas it finds in memory, and a QEMU to run it in.

`make_otp` and `make_entropy` are pure; `Board` starts QEMU's mps3-an547 and leaves nothing behind. Layouts:
docs/protocol.md, "Virtual board".
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from cryptography.hazmat.primitives import serialization

OTP_ADDRESS: Final = 0x38000000
ENTROPY_ADDRESS: Final = 0x38001000
NSPE_ADDRESS: Final = 0x01000000
MODEL_SLOT_ADDRESS: Final = 0x38100000
MODEL_SLOT_SIZE: Final = 0x40000
NV_RAM_SIZE: Final = 2 << 30  # QEMU wants the whole DDR backed; the file is sparse

LIFECYCLE_SECURED: Final = 0x3000
LIFECYCLE_ASSEMBLY_AND_TEST: Final = 0x1000

ICOUNT: Final = ("-icount", "shift=5,sleep=on")


class BoardError(Exception):
    """The virtual board did not do what a board must do; the message has its last words."""


def key_hash(public_pem: bytes) -> bytes:
    """SHA-256 of a PEM public key's DER SubjectPublicKeyInfo (32 bytes), as MCUboot's KEYHASH TLV has it."""
    key = serialization.load_pem_public_key(public_pem)
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()


def make_otp(
    huk: bytes,
    nspe_key: bytes,
    *,
    model_key: bytes | None = None,
    implementation_id: bytes = b"TEST ONLY: reference firmware ID",
    lifecycle: int = LIFECYCLE_SECURED,
    certification_reference: str = "",
    verification_service: str = "",
) -> bytes:
    """The OTP area, layout version 1 (256 bytes).

    Args:
        huk: hardware unique key, 32 bytes.
        nspe_key: SHA-256 of the key that signs the NSPE image, 32 bytes.
        model_key: the same for model images; default: `nspe_key`.
        implementation_id: 32 bytes.
        lifecycle: PSA security lifecycle claim value.
        certification_reference: at most 20 ASCII characters; empty: no such claim.
        verification_service: at most 60 ASCII characters; empty: no such claim.

    Raises:
        ValueError: a field has the wrong size.
    """
    model_key = nspe_key if model_key is None else model_key
    for name, value in (
        ("huk", huk),
        ("nspe_key", nspe_key),
        ("model_key", model_key),
        ("implementation_id", implementation_id),
    ):
        if len(value) != 32:
            raise ValueError(f"{name}: {len(value)} bytes, expected 32")
    reference, service = certification_reference.encode("ascii"), verification_service.encode("ascii")
    if len(reference) > 20 or len(service) > 60:
        raise ValueError("certification_reference has at most 20 characters, verification_service 60")
    body = struct.pack("<IHHII", 0x4F4D4654, 1, 256, lifecycle, 0)
    body += huk + implementation_id + reference.ljust(20, b"\0") + service.ljust(60, b"\0") + nspe_key + model_key
    return body + hashlib.sha256(body).digest()


def make_entropy(entropy: bytes) -> bytes:
    """The entropy area (64 bytes) with 32 bytes of entropy.

    Raises:
        ValueError: `entropy` is not 32 bytes.
    """
    if len(entropy) != 32:
        raise ValueError(f"entropy: {len(entropy)} bytes, expected 32")
    return struct.pack("<II", 0x454D4654, 0) + entropy + bytes(24)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: also when this process is killed


class Board:
    """QEMU's mps3-an547 with the reference firmware; a context manager.

    The UARTs are files and sockets in a private folder; the CPU waits until UART0 is connected.
    """

    def __init__(
        self,
        images: Path,
        *,
        otp: bytes,
        entropy: bytes,
        models: Mapping[int, bytes],
        nspe: bytes | None = None,
        nv: Path | None = None,
        sensors: bool = True,
        icount: bool = True,
        secure_elf: Path | None = None,
    ) -> None:
        """Prepare a board.

        Args:
            images: the folder with secure.elf and nonsecure.signed.bin.
            otp: OTP area, see `make_otp`.
            entropy: entropy area, see `make_entropy`.
            models: model image files by factory slot (0..3).
            nspe: the non-secure image file; default: the one in `images`.
            nv: a file that keeps the NV area between boards; default: none.
            sensors: LSM303DLHC and TMP105 are on the bus.
            icount: time is counted in instructions (repeatable ticks).
            secure_elf: the secure image; default: the one in `images`.
        """
        self.images = images
        self._areas = {OTP_ADDRESS: otp, ENTROPY_ADDRESS: entropy}
        self._areas[NSPE_ADDRESS] = (images / "nonsecure.signed.bin").read_bytes() if nspe is None else nspe
        for slot, image in models.items():
            self._areas[MODEL_SLOT_ADDRESS + slot * MODEL_SLOT_SIZE] = image
        self._nv = nv
        self._sensors = sensors
        self._icount = icount
        self._elf = secure_elf or images / "secure.elf"
        self._process: subprocess.Popen[bytes] | None = None
        self._qmp: socket.socket | None = None
        self._qmp_buffer = b""
        self.uart: socket.socket | None = None
        self._folder = Path()

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="virtual-board-"))
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        folder = self._folder
        machine = "mps3-an547"
        command = [shutil.which("qemu-system-arm") or "qemu-system-arm", "-nodefaults", "-nic", "none"]
        command += ["-display", "none", "-monitor", "none", "-kernel", str(self._elf)]
        if self._nv is not None:
            machine += ",memory-backend=ddr"
            backend = f"memory-backend-file,id=ddr,size={NV_RAM_SIZE},mem-path={self._nv},share=on"
            command += ["-object", backend]
        command += ["-M", machine]
        command += ["-chardev", f"socket,id=u0,path={folder}/uart0,server=on,wait=on", "-serial", "chardev:u0"]
        command += ["-chardev", f"file,id=u1,path={folder}/uart1.log", "-serial", "chardev:u1"]
        command += ["-qmp", f"unix:{folder}/qmp,server=on,wait=off"]
        for address, data in self._areas.items():
            path = folder / f"{address:08x}.bin"
            path.write_bytes(data)
            if data:
                command += ["-device", f"loader,file={path},addr={address:#x},force-raw=on"]
        if self._sensors:
            command += ["-device", "lsm303dlhc_mag,id=mag,address=0x1e", "-device", "tmp105,id=temp,address=0x48"]
        if self._icount:
            command += list(ICOUNT)
        with (folder / "qemu.err").open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  # one thread; without it QEMU would outlive a SIGKILL
            )
        self.uart = self._connect("uart0")
        self._qmp = self._connect("qmp")
        self._read_qmp()  # the greeting
        self.qmp("qmp_capabilities")

    def _connect(self, name: str) -> socket.socket:
        deadline = time.monotonic() + 10
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(self._folder / name))
            except OSError:
                connection.close()
                if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                    raise BoardError(f"QEMU did not start: {self.qemu_errors() or 'no message'}") from None
                time.sleep(0.002)
            else:
                connection.settimeout(30)
                return connection

    def qemu_errors(self) -> str:
        """What QEMU wrote to its standard error."""
        path = self._folder / "qemu.err"
        return path.read_text(errors="replace").strip() if path.exists() else ""

    def _read_qmp(self) -> dict[str, Any]:
        if self._qmp is None:
            raise BoardError("the board is not running")
        while b"\n" not in self._qmp_buffer:
            data = self._qmp.recv(65536)
            if not data:
                raise BoardError(f"QEMU is gone: {self.qemu_errors() or 'no message'}")
            self._qmp_buffer += data
        line, self._qmp_buffer = self._qmp_buffer.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        return message

    def qmp(self, command: str, **arguments: object) -> Any:  # noqa: ANN401  # JSON of QEMU's choice
        """Run a QMP command and return its answer."""
        if self._qmp is None:
            raise BoardError("the board is not running")
        request = {"execute": command, "arguments": {name.replace("_", "-"): v for name, v in arguments.items()}}
        self._qmp.sendall(json.dumps(request).encode() + b"\n")
        while True:
            answer = self._read_qmp()
            if "error" in answer:
                raise BoardError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def set_magnetometer(self, x: int, y: int, z: int) -> None:
        """Set the field, 1000 = 1 uT an axis. A reset of the board zeroes it."""
        for axis, value in zip("xyz", (x, y, z), strict=True):
            self.qmp("qom-set", path="/machine/peripheral/mag", property=f"mag-{axis}", value=value)

    def set_temperature(self, millidegrees: int) -> None:
        """Set the temperature in 1/1000 degC."""
        self.qmp("qom-set", path="/machine/peripheral/temp", property="temperature", value=millidegrees)

    def send(self, data: bytes) -> None:
        """Write to UART0.

        Any QMP command ends the stall of one second that QEMU 7.2 has after a boot's first byte.
        """
        if self.uart is None:
            raise BoardError("the board is not running")
        self.uart.sendall(data)
        self.qmp("query-status")

    def secure_log(self) -> str:
        """Everything the secure side logged so far (UART1)."""
        path = self._folder / "uart1.log"
        return path.read_bytes().decode("ascii", "replace") if path.exists() else ""

    def wait_for_log(self, text: str, timeout: float = 30.0, count: int = 1) -> str:
        """Wait until the secure log contains `text` at least `count` times; return the log.

        Raises:
            BoardError: not within `timeout` seconds, or QEMU ended.
        """
        deadline = time.monotonic() + timeout
        while self.secure_log().count(text) < count:
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                why = f"QEMU ended: {self.qemu_errors()}" if ended else f"not within {timeout} s"
                raise BoardError(f"secure log without {text!r} ({why}):\n{self.secure_log()[-2000:]}")
            time.sleep(0.005)
        return self.secure_log()

    def reset(self) -> None:
        """Warm reset, as by the reset button."""
        self.qmp("system_reset")

    def close(self) -> None:
        """End QEMU and remove its folder."""
        for connection in (self.uart, self._qmp):
            if connection is not None:
                connection.close()
        self.uart = self._qmp = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._folder != Path():
            shutil.rmtree(self._folder, ignore_errors=True)


def default_models(images: Path) -> dict[int, bytes]:
    """The factory slots of a board as delivered: tamper (active), sine, keyword."""
    names = ("tamper", "sine", "keyword")
    return {slot: (images / f"{name}.signed.bin").read_bytes() for slot, name in enumerate(names)}


def test_board(images: Path, **changes: Any) -> Board:  # noqa: ANN401  # passed on to Board
    """A provisioned board with a random identity; `changes` are `Board`'s arguments."""
    here = Path(__file__).resolve().parent.parent
    key = key_hash((here / "keys" / "image_signing_pub.pem").read_bytes())
    arguments: dict[str, Any] = {
        "otp": make_otp(os.urandom(32), key, certification_reference="0604565272829-10010"),
        "entropy": make_entropy(os.urandom(32)),
        "models": default_models(images),
    }
    return Board(images, **(arguments | changes))
