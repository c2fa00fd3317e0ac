"""The command line of qemu-system-arm for a target and a build. Pure: words in, words out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tfm_harness.boards.provision import loads
from tfm_harness.boards.qemu.quick_uart import ESCAPE
from tfm_harness.config.build import Build
from tfm_harness.config.qemu import QemuTarget
from tfm_harness.errors import ConfigError
from tfm_harness.stimulus.models import make_sensor
from tfm_harness.stimulus.qmp import sensor_device

__all__ = ["HOST_LIMITS", "check_sensors", "command_line", "escape", "older"]

HOST_LIMITS: Final = ("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
"""QEMU's sandbox options. Firmware is untrusted; they limit what it can do if it breaks out of the emulation."""


def escape(value: str) -> str:
    """A value inside a QEMU option: commas are doubled."""
    return value.replace(",", ",,")


def check_sensors(target: QemuTarget) -> None:
    """Refuse sensor models of packages that QEMU does not have.

    Raises:
        ConfigError: kind ``stimulus-sensor``.
    """
    for name, sensor in target.sensors.items():
        if make_sensor(sensor).qemu_device is None:
            raise ConfigError(
                f"QEMU does not play sensor {name!r}",
                kind="stimulus-sensor",
                expected="a sensor model that names its QEMU device (`qemu_device`)",
                seen=sensor.model,
                where=str(target.path or target.name),
                hint="leave the sensor out of this target, or use a board that has it",
            )


def _loader(file: str, address: int | None) -> list[str]:
    where = "" if address is None else f",addr=0x{address:x},force-raw=on"
    return ["-device", f"loader,file={escape(file)}{where}"]


def command_line(
    target: QemuTarget,
    build: Build,
    *,
    consoles: Mapping[str, int],
    qmp: int,
    otp: int | None,
    entropy: int | None,
    nv_file: Path | None,
    deterministic: bool,
    absent: frozenset[str] = frozenset(),
    skip_idle: bool = False,
    sandbox: bool = True,
) -> list[str]:
    """All words, the program first; the machine waits for `cont` on the monitor.

    Args:
        target, build: checked to fit (`tfm_harness.config.loading.check_combination`).
        consoles: for each console's name the descriptor that is its UART. One that is not named here is behind the
            multiplexer: QEMU's standard input and output (see `quick_uart`).
        qmp: descriptor of the monitor.
        otp, entropy: descriptors of files with these areas; None where the target has none.
        nv_file: file behind the NV memory.
        deterministic: count instructions instead of time.
        skip_idle: when counting instructions, idle time passes at once instead of at the host's pace.
        absent: names of the target's sensors that are not on the bus this time.
        sandbox: forbid QEMU what emulation does not need.
    """
    machine = target.machine
    virtual = target.virtual
    words = [target.binary, "-no-user-config", "-nodefaults", "-nic", "none", "-display", "none", "-monitor", "none"]
    words += ["-S", *(HOST_LIMITS if sandbox else ())]
    if virtual.nv is not None and nv_file is not None:
        memory = escape(virtual.nv.memory)
        file = f"size={virtual.nv.size},mem-path={escape(str(nv_file))},share=on"
        words += ["-object", f"memory-backend-file,id={memory},{file}"]
        machine += f",memory-backend={memory}"
    words += ["-M", machine]
    if deterministic:
        words += [
            "-icount",
            f"shift={target.icount.shift},sleep={'on' if target.icount.sleep and not skip_idle else 'off'}",
        ]
    words += _serials(target, consoles)
    words += ["-chardev", f"socket,id=qmp,fd={qmp}", "-mon", "chardev=qmp,mode=control"]
    for name, sensor in target.sensors.items():
        if name in absent:
            continue
        bus = f",bus={escape(sensor.bus)}" if sensor.bus else ""
        words += [
            "-device",
            f"{make_sensor(sensor).qemu_device},id={sensor_device(name)},address=0x{sensor.address:x}{bus}",
        ]
    words += _images(target, build)
    if virtual.otp is not None and otp is not None:
        words += _loader(f"/dev/fd/{otp}", virtual.otp.at)
    if virtual.entropy is not None and entropy is not None:
        words += _loader(f"/dev/fd/{entropy}", virtual.entropy.at)
    return [*words, *target.args]


def _serials(target: QemuTarget, consoles: Mapping[str, int]) -> list[str]:
    """``-serial`` number n is UART n; UARTs in between that are not used get none."""
    words = ["-echr", hex(ESCAPE)] if set(target.consoles) - set(consoles) else []
    by_number = {int(uart.removeprefix("uart")): name for name, uart in target.consoles.items()}
    for number in range(max(by_number) + 1):
        if number in by_number:
            fd = consoles.get(by_number[number])
            device = f"stdio,id=uart{number},signal=off,mux=on" if fd is None else f"socket,id=uart{number},fd={fd}"
            words += ["-chardev", device, "-serial", f"chardev:uart{number}"]
        else:
            words += ["-serial", "none"]
    return words


def _images(target: QemuTarget, build: Build) -> list[str]:
    words: list[str] = []
    kernel = build.kernel
    for image in build.images:
        if image is kernel:
            words += ["-kernel", str(image.file)]
        elif image.kind != "bin":
            words += _loader(str(image.file), None)
    for file, address in loads(build, target.virtual.model_slots):
        words += _loader(str(file), address)
    return words


def older(version: str, minimum: str) -> bool:
    """Whether dotted `version` is older than `minimum`."""

    def numbers(text: str) -> tuple[int, ...]:
        found = [int(part) for part in re.findall(r"\d+", text)[:3]]
        return tuple(found + [0] * (3 - len(found)))

    return numbers(version) < numbers(minimum)
