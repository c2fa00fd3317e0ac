"""Host side of the VSI stimulus: prepares the folder that the model reads, and reads its record."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.stimulus.base import Sample

__all__ = ["INSTANCES", "VsiFolder", "decode_record"]

INSTANCES = 8
RECORD = 8


def decode_record(record: bytes) -> Sample:
    """One 8-byte record (x, y, z raw counts, t in 1/16 degC, int16 LE each) as a `Sample`."""
    x, y, z, t = (int.from_bytes(record[i : i + 2], "little", signed=True) for i in range(0, RECORD, 2))
    return Sample(x, y, z, t)


class VsiFolder:
    """The folder given to the model as ``mps3_board.v_path``.

    Args:
        folder: one run's own folder; made when it does not exist.
        instance: which of the eight VSI instances the firmware reads (0..7).

    Raises:
        ConfigError: kind ``vsi-instance``.
    """

    def __init__(self, folder: Path, *, instance: int = 0) -> None:
        if not 0 <= instance < INSTANCES:
            raise ConfigError(
                f"there is no VSI instance {instance}",
                kind="vsi-instance",
                expected=f"0..{INSTANCES - 1}",
                seen=str(instance),
                hint="set `stimulus.instance` in the target's YAML",
            )
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(__file__).with_name("arm_vsi.py"), folder / f"arm_vsi{instance}.py")
        for name in ("now.bin", "trace.bin", "served.bin"):
            (folder / name).unlink(missing_ok=True)

    def _replace(self, name: str, data: bytes) -> None:
        temporary = self.folder / f"{name}.new"
        temporary.write_bytes(data)
        temporary.replace(self.folder / name)

    def set(self, sample: Sample) -> None:
        """Set `sample`, which every following read returns; ends a trace."""
        self._replace("now.bin", sample.record())
        (self.folder / "trace.bin").unlink(missing_ok=True)

    def play(self, samples: Sequence[Sample]) -> None:
        """Serve `samples` one after the other; the last one stays."""
        self._replace("trace.bin", b"".join(sample.record() for sample in samples))

    def remove_sensor(self) -> None:
        """Remove the sensor; the status register reports this."""
        (self.folder / "trace.bin").unlink(missing_ok=True)
        (self.folder / "now.bin").unlink(missing_ok=True)

    def served_count(self) -> int:
        """How many samples the model has served; a record being written does not count yet."""
        try:
            return (self.folder / "served.bin").stat().st_size // RECORD
        except FileNotFoundError:
            return 0

    def served(self, count: int | None = None) -> list[Sample]:
        """The last `count` samples (default: all) that the model really served, oldest first.

        Raises:
            InfrastructureError: kind ``vsi-record`` when fewer were served or the record is torn.
        """
        try:
            data = (self.folder / "served.bin").read_bytes()
        except FileNotFoundError:
            data = b""
        total = len(data) // RECORD
        if len(data) % RECORD or (count is not None and count > total):
            raise InfrastructureError(
                "the FVP has not served the samples asked for",
                kind="vsi-record",
                expected="whole records" if count is None else f"at least {count} samples",
                seen=f"{len(data)} bytes ({total} samples)",
                where=str(self.folder / "served.bin"),
                hint="check that the firmware reads this VSI instance and that v_path names this folder",
            )
        first = 0 if count is None else total - count
        return [decode_record(data[RECORD * i : RECORD * (i + 1)]) for i in range(first, total)]
