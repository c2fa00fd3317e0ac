"""``kind: probe``: a board flashed and reset by a debug probe, through pyOCD's Python API.

The probe is attached only while it flashes or resets: a debugger that stays changes what a part
attests (its debug state) and disturbs latency. Run here only through the simulator in
`tfm_harness.testing.simulators.pyocd_qemu` (see docs/targets.md).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tfm_harness.boards.base import ResetKind, RunContext
from tfm_harness.boards.image_bytes import whole_build
from tfm_harness.boards.real import RealBoard
from tfm_harness.boards.supervisor import spawn
from tfm_harness.config.probe import ProbeTarget
from tfm_harness.errors import HarnessBug, InfrastructureError
from tfm_harness.verify.debug_port import DebugPort

if TYPE_CHECKING:
    from tfm_harness.config.build import Build

__all__ = ["ProbeBoard"]

_HINTS: Final = {
    "tool-missing": "pip install 'pyocd>=0.36' into the harness's environment",
    "tool-version": "pip install 'pyocd>=0.36' into the harness's environment",
    "probe-missing": "plug it in, and let this user open it (udev rules); `pyocd list` shows what is there",
    "probe-lost": "check the USB cable and the board's supply",
    "probe-part": "correct `part`, or name the part's CMSIS-Pack in `pack`",
    "probe-transfer": "check the board's supply and the SWD cable; try `connect: under-reset` or a lower `frequency`",
    "target-locked": "the harness never unlocks a part, because that erases it, keys included",
    "image-region": "add the memory to `regions`, or correct the image's address",
    "image-lost": "this board's warm reset clears RAM: flash again instead",
    "flash-verify": "worn-out flash, a wrong `part` or `pack`, or something else writes to this memory",
    "flash-failed": "check that the region is not write-protected, and that `part` is the right one",
}


class ProbeBoard(RealBoard):
    """A board behind a debug probe. `acquire` finds the probe and opens the consoles; `flash` writes and resets."""

    kind: ClassVar[str] = "probe"
    config_model: ClassVar[type[Any]] = ProbeTarget

    def __init__(self, target: ProbeTarget, context: RunContext) -> None:
        super().__init__(target, context)
        self._target = target
        self._folder = context.run_dir / f"{target.name}.probe"
        self._images: list[tuple[int, str]] = []
        self._flashed: Build | None = None
        self._facts: dict[str, str] = {}

    def acquire(self) -> None:
        """See `Board`.

        Raises:
            InfrastructureError: ``board-busy``, ``port-*``, ``probe-missing``, ``tool-hung``, ``probe-failed``.
        """
        self._lock()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._facts["probe"] = str(self._ask("find")["probe"])
            self._open_consoles(self._target.consoles)
            self._open_stimulus(self._target.stimulus)
        except BaseException:
            self.release()
            raise

    def flash(self, build: Build) -> None:
        """See `Board`: writes what differs, reads all of it back, resets, lets it run, detaches.

        Raises:
            InfrastructureError: ``probe-*``, ``flash-*``, ``target-*``, ``image-region``, ``tool-hung``.
            ConfigError: ``image-*``.
        """
        self._require_acquired()
        self._flashed = None
        self._images = []
        for number, (_, address, content) in enumerate(whole_build(build)):
            file = self._folder / f"image{number}.bin"
            file.write_bytes(content)
            self._images.append((address, str(file)))
        self._note("host-reset", "flashed and reset by the harness")
        answer = self._ask("flash", reset=self._target.resets.flash)
        skipped = bool(answer.pop("skipped"))
        count = answer.pop("bytes")
        self._facts |= {key: str(answer[key]) for key in ("pyocd", "probe", "part", "core")}
        words = "not written: all bytes read back as they should be" if skipped else "written and read back"
        self._note("flash-skipped" if skipped else "flashed", f"{count} bytes {words}; core left {answer['state']}")
        self._flashed = build

    def reset(self, kind: ResetKind = ResetKind.WARM) -> None:
        """See `Board`. Warm: through the probe. Cold: through the power switch; images in RAM are written again.

        Raises:
            InfrastructureError: ``no-power-control`` for a cold reset without a switch; as `flash`.
        """
        self._require_acquired()
        build = self._flashed
        if build is None:
            raise HarnessBug("reset before flash", kind="board-state")
        if kind is ResetKind.COLD:
            self._cycle()
            if self._target.start is not None:
                self.flash(build)
            return
        self._note("host-reset", f"warm reset by the harness ({self._target.resets.warm}, through the probe)")
        self._ask("reset", reset=self._target.resets.warm)

    def debug_port(self, secure: Sequence[int], nonsecure: int) -> DebugPort:
        """See `Board`. The probe attaches for it and detaches again.

        Raises:
            InfrastructureError: as `flash`.
        """
        self._require_acquired()
        found = self._ask("debug-port", secure=list(secure), nonsecure=nonsecure)
        return DebugPort(
            dauthstatus=found["dauthstatus"],
            dhcsr=found["dhcsr"],
            reads=dict(zip(secure, found["secure"], strict=True)),
            readable=found["nonsecure"] is not None,
            disabled=found["disabled"],
        )

    def release(self) -> None:
        """See `Board`; the board runs on."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._give_back()

    @property
    def resets(self) -> frozenset[ResetKind]:
        """See `Board`: a cold reset needs a power switch."""
        return frozenset(ResetKind) if self._power is not None else frozenset({ResetKind.WARM})

    @property
    def description(self) -> Mapping[str, str]:
        """See `Board`."""
        return dict(self._facts)

    def _ask(self, what: str, *, reset: str = "default", **more: object) -> dict[str, Any]:
        target = self._target
        question, answer = self._folder / "question.json", self._folder / "answer.json"
        answer.unlink(missing_ok=True)
        question.write_text(
            json.dumps(
                {
                    "do": what,
                    "probe": target.probe,
                    "part": target.part,
                    "pack": str(target.pack) if target.pack else None,
                    "frequency": target.frequency,
                    "connect": target.connect,
                    "erase": target.erase,
                    "regions": {name: (region.start, region.size) for name, region in target.regions.items()},
                    "start": target.start,
                    "skip_identical": target.skip_identical,
                    "images": self._images,
                    "reset": reset,
                    "folder": str(self._folder),
                    **more,
                }
            )
        )
        log = self.context.run_dir / f"{self.name}.probe-{what}.log"
        words = [sys.executable, "-m", "tfm_harness.boards.probe.worker", str(question), str(answer)]
        # pyOCD's libraries run a compiler to find other libraries. If killed, its temporary files stay in the run's
        # folder.
        child = spawn(words, stderr_path=log, env={**os.environ, "TMPDIR": str(self._folder)})
        try:
            if child.wait(target.operation_timeout) is None:
                raise self._hung(what, log)
        finally:
            child.kill()
        try:
            found: dict[str, Any] = json.loads(answer.read_text())
        except (OSError, ValueError) as error:
            raise InfrastructureError(
                "pyOCD ended without an answer",
                kind="probe-failed",
                seen=child.ended(),
                where=f"{log}\n{child.last_words()}",
            ) from error
        if "error" in found:
            raise self._failed(found, log)
        return dict(found["ok"])

    def _hung(self, what: str, log: Path) -> InfrastructureError:
        self._flashed = None
        return InfrastructureError(
            f"the debug probe hangs ({what})",
            kind="tool-hung",
            expected=f"an end within {self._target.operation_timeout:g} s",
            seen="still at it: ended",
            where=str(log),
            hint="plug the probe in again; the board may be left halted until it is flashed or reset",
        )

    def _failed(self, found: Mapping[str, str], log: Path) -> InfrastructureError:
        kind = found["error"]
        return InfrastructureError(
            found["message"],
            kind=kind,
            expected=f"probe {self._target.probe}, part {self._target.part}",
            seen=found.get("seen"),
            where=str(log),
            hint=_HINTS.get(kind, "see the log"),
        )
