"""Does one operation with a debug probe in a process of its own; when the process ends, the probe is free.

pyOCD keeps global state (plug-ins, loggers, USB handles) and a hung USB transfer cannot be interrupted from Python, but
a process can be ended. It reads a request (JSON file, first argument), and writes an answer (JSON file, second
argument): ``{"ok": {...}}`` or ``{"error": KIND, "message": ..., "seen": ...}``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["main"]

_VTOR, _SP_LIMITS = 0xE000ED08, ("msplim_s", "psplim_s")
_DAUTHSTATUS, _DHCSR = 0xE000EFB8, 0xE000EDF0
_CHUNK = 0x4000
_RESETS = {
    "default": "DEFAULT",
    "hardware": "HARDWARE",
    "sysresetreq": "SYSRESETREQ",
    "vectreset": "VECTRESET",
    "emulated": "EMULATED",
}


class _RefusedError(Exception):
    """A failure that has its own error kind."""

    def __init__(self, kind: str, message: str, seen: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.seen = seen


def _probe(unique_id: str) -> Any:  # noqa: ANN401 - pyOCD is not typed
    from pyocd.core.helpers import ConnectHelper

    found = ConnectHelper.get_all_connected_probes(blocking=False, print_wait_message=False)
    # pyOCD itself takes any probe whose id contains the text, which may belong to another board.
    probe = next((probe for probe in found if probe.unique_id == unique_id), None)
    if probe is None:
        seen = ", ".join(f"{probe.unique_id} ({probe.description})" for probe in found) or "no probe at all"
        raise _RefusedError("probe-missing", f"there is no debug probe {unique_id}", seen)
    return probe


def _session(request: Mapping[str, Any], mode: str) -> Any:  # noqa: ANN401
    from pyocd.core.session import Session

    options = {
        "target_override": request["part"],
        "auto_unlock": False,
        "hide_programming_progress": True,
        "resume_on_disconnect": True,
        "connect_mode": mode,
        "no_config": True,
        "chip_erase": request["erase"],
        "smart_flash": True,
        "fast_program": False,
        "keep_unwritten": True,
        # Files in the working folder must not override the target's YAML.
        "project_dir": str(Path(request["folder"])),
    }
    if request["pack"] is not None:
        options["pack"] = request["pack"]
    if request["frequency"] is not None:
        options["frequency"] = request["frequency"]
    return Session(_probe(request["probe"]), options=options)


def _add_regions(target: Any, regions: Mapping[str, Sequence[int]]) -> None:  # noqa: ANN401
    from pyocd.core.memory_map import RamRegion

    for name, (start, size) in regions.items():
        target.memory_map.add_region(RamRegion(name=name, start=start, length=size))


def _differs(target: Any, address: int, wanted: bytes) -> int | None:  # noqa: ANN401
    """Address of the first byte that differs from the wanted content."""
    for offset in range(0, len(wanted), _CHUNK):
        part = wanted[offset : offset + _CHUNK]
        seen = bytes(target.read_memory_block8(address + offset, len(part)))
        if seen != part:
            return address + offset + next(i for i, (a, b) in enumerate(zip(seen, part, strict=True)) if a != b)
    return None


def _read_images(request: Mapping[str, Any]) -> list[tuple[int, bytes]]:
    return [(address, Path(file).read_bytes()) for address, file in request["images"]]


def _identical(target: Any, images: Sequence[tuple[int, bytes]]) -> bool:  # noqa: ANN401
    from pyocd.core import exceptions

    try:
        return all(_differs(target, address, content) is None for address, content in images)
    except exceptions.TransferError:
        return False  # memory that cannot be read yet; if something is wrong, programming reports it


def _reset(target: Any, how: str, *, halt: bool) -> None:  # noqa: ANN401
    from pyocd.core.target import Target

    kind = getattr(Target.ResetType, _RESETS[how])
    if halt:
        target.reset_and_halt(kind)
    else:
        target.reset(kind)


def _start(target: Any, vectors: int | None) -> str:  # noqa: ANN401
    """Let the core run; an image in RAM starts from its vector table. Returns the core's state."""
    from pyocd.core.target import Target

    if vectors is not None:
        target.write32(_VTOR, vectors)
        names = target.selected_core.core_registers.by_name
        for limit in _SP_LIMITS:
            if limit in names:
                target.write_core_register(limit, 0)
        target.write_core_register("sp", target.read32(vectors))
        target.write_core_register("xpsr", 0x01000000)
        target.write_core_register("pc", target.read32(vectors + 4) & ~1)
    if target.get_state() == Target.State.HALTED:
        target.resume()
    state = target.get_state()
    if state == Target.State.HALTED:
        raise _RefusedError("target-halted", "the core does not run after the reset", "halted")
    return str(state.name).lower()


def _facts(session: Any) -> dict[str, str]:  # noqa: ANN401
    import pyocd

    return {
        "pyocd": str(pyocd.__version__),
        "probe": f"{session.probe.unique_id} ({session.probe.description})",
        "part": str(session.target.part_number),
        "core": str(session.target.selected_core.name),
    }


def _write(session: Any, images: Sequence[tuple[int, bytes]]) -> None:  # noqa: ANN401
    """Write, then read everything back."""
    from pyocd.core import exceptions
    from pyocd.flash.loader import MemoryLoader

    loader = MemoryLoader(session)
    for address, content in images:
        loader.add_data(address, list(content))
    try:
        loader.commit()
        for address, content in images:
            at = _differs(session.target, address, content)
            if at is not None:
                raise _RefusedError("flash-verify", "the board did not keep what was written", f"0x{at:08x} differs")
    except exceptions.TransferFaultError as error:
        raise _RefusedError("image-region", "nothing answers at an image's address", str(error)) from error


def do_find(request: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the probe is there; the board is not touched."""
    return {"probe": _probe(request["probe"]).description}


def do_flash(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write what differs, read everything back, reset, let it run."""
    images = _read_images(request)
    with _session(request, request["connect"]) as session:
        target = session.target
        _add_regions(target, request["regions"])
        in_ram = request["start"] is not None
        if in_ram:  # reset first: firmware that the reset starts may overwrite RAM
            _reset(target, request["reset"], halt=True)
        else:
            target.halt()
        skipped = bool(request["skip_identical"]) and _identical(target, images)
        if not skipped:
            _write(session, images)
        if not in_ram:
            _reset(target, request["reset"], halt=False)
        state = _start(target, request["start"])
        return {"skipped": skipped, "bytes": sum(len(content) for _, content in images), "state": state} | _facts(
            session
        )


def do_reset(request: Mapping[str, Any]) -> dict[str, Any]:
    """Reset and let the core run. Images in RAM must still be there."""
    with _session(request, "attach" if request["start"] is None else "halt") as session:
        target = session.target
        _reset(target, request["reset"], halt=request["start"] is not None)
        if request["start"] is not None:
            _add_regions(target, request["regions"])
            for address, content in _read_images(request):
                at = _differs(target, address, content)
                if at is not None:
                    raise _RefusedError(
                        "image-lost", "the image in RAM did not survive the reset", f"0x{at:08x} differs"
                    )
        return {"state": _start(target, request["start"])} | _facts(session)


def do_debug_port(request: Mapping[str, Any]) -> dict[str, Any]:
    """Registers of the debug port, and words of memory; nothing is halted, reset or written."""
    with contextlib.closing(_session(request, "attach")) as session:
        ports = _access_ports(session)
        if not any(port.is_enabled for port in ports):
            nothing = [None] * len(request["secure"])
            return {"disabled": True, "dauthstatus": None, "dhcsr": None, "secure": nothing, "nonsecure": None}
        port = next(port for port in ports if port.is_enabled)
        return {
            "disabled": False,
            "dauthstatus": _word(port, _DAUTHSTATUS),
            "dhcsr": _word(port, _DHCSR),
            "secure": [_word(port, address) for address in request["secure"]],
            "nonsecure": _word(port, request["nonsecure"]),
        }


def _access_ports(session: Any) -> list[Any]:  # noqa: ANN401
    """The core's access port. If the part hides its core: every memory access port that answers."""
    from pyocd.core import exceptions
    from pyocd.coresight.ap import MEM_AP

    try:
        session.open()
    except exceptions.DebugError:
        ports = [port for port in session.target.dp.aps.values() if isinstance(port, MEM_AP)]
        if not ports:
            raise
        return ports
    return [session.target.selected_core.ap]


def _word(port: Any, address: int) -> int | None:  # noqa: ANN401
    """A word of memory as a secure or a non-secure access shows it; None if both are refused."""
    from pyocd.core import exceptions

    found: int | None = None
    for request in (port.secure_lock, port.nonsecure_lock):
        try:
            with request():
                found = int(port.read32(address)) or found or 0
        except exceptions.TransferFaultError:
            continue  # refused; a failing probe or cable raises another error
        if found:
            break
    return found


_OPERATIONS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "find": do_find,
    "flash": do_flash,
    "reset": do_reset,
    "debug-port": do_debug_port,
}


def _check_version() -> None:
    """Refuse a pyOCD that is older than the API used here (as in the package's requirements)."""
    import pyocd

    numbers = [int(part) for part in re.findall(r"\d+", str(pyocd.__version__))[:2]]
    if numbers < [0, 36]:
        raise _RefusedError("tool-version", f"pyOCD {pyocd.__version__} is too old", "0.36 or newer is needed")


def _explain(error: Exception) -> dict[str, str]:
    text = f"{type(error).__name__}: {error}"[:500]
    if isinstance(error, _RefusedError):
        return {"error": error.kind, "message": str(error), "seen": error.seen}
    if isinstance(error, ImportError):
        return {"error": "tool-missing", "message": "pyOCD, or a part of it, is not installed", "seen": text}
    from pyocd.core import exceptions

    lower = str(error).lower()
    if isinstance(error, exceptions.ProbeDisconnected):
        return {"error": "probe-lost", "message": "the debug probe went away", "seen": text}
    if re.search(r"\block(?:ed)?\b", lower):  # does not match "lockup" or "reduce debug clock"
        return {"error": "target-locked", "message": "the part is locked against debugging", "seen": text}
    if isinstance(error, exceptions.TargetSupportError):
        return {"error": "probe-part", "message": "pyOCD does not know this part", "seen": text}
    if isinstance(error, exceptions.FlashFailure):
        return {"error": "flash-failed", "message": "the board's flash could not be written", "seen": text}
    if isinstance(error, ValueError) and "region" in lower:
        return {"error": "image-region", "message": "an image lies where the part has no memory", "seen": text}
    if isinstance(error, exceptions.TransferError) or "target not detected" in lower or "no cores" in lower:
        return {"error": "probe-transfer", "message": "the board does not answer the debug probe", "seen": text}
    return {"error": "probe-failed", "message": "the debug probe failed", "seen": text}


def main(arguments: Sequence[str]) -> int:
    """Run one request. Exit status 0 whenever there is an answer."""
    request = json.loads(Path(arguments[0]).read_text())
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        _check_version()
        answer: dict[str, Any] = {"ok": _OPERATIONS[request["do"]](request)}
    except Exception as error:
        logging.getLogger(__name__).info("failed", exc_info=True)
        answer = _explain(error)
    scratch = Path(arguments[1] + ".new")
    scratch.write_text(json.dumps(answer))
    scratch.rename(arguments[1])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
