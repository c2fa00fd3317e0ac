"""Names that are the same in every run: of a test, of a night, of firmware; and text that every database takes."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from tfm_harness.report.record import CombinationEntry, RunRecord

__all__ = ["FirmwareIdentity", "clean", "firmware_of", "night_of", "started_of", "test_name"]

_LONGEST_NAME = 1000
_LONGEST_TEXT = 16_384
"""Characters of one text; KCIDB's limit of a log's excerpt."""
_NOON = dt.timedelta(hours=12)


def clean(text: str, limit: int = _LONGEST_TEXT) -> str:
    """Text that SQLite and PostgreSQL take: no NUL, no half of a surrogate pair; what is too long says so."""
    if len(text) > limit:
        mark = f" ... ({len(text)} characters, SHA-256 {hashlib.sha256(_bytes(text)).hexdigest()[:16]})"
        text = text[: limit - len(mark)] + mark
    return _bytes(text).decode().replace("\0", "\\x00")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def test_name(nodeid: str, combination: str) -> str:
    """A test's node id without the combination that it ran on.

    ``suites/boot/test_a.py::test_b[qemu+reference-5]`` becomes ``suites/boot/test_a.py::test_b[5]``.
    """
    place, bracket, cases = nodeid.partition("[")
    if bracket and combination and combination in cases:
        rest = cases.removesuffix("]")
        for part in (f"{combination}-", f"-{combination}", combination):
            if part in rest:
                rest = rest.replace(part, "", 1)
                break
        nodeid = f"{place}[{rest}]" if rest else place
    return clean(nodeid, _LONGEST_NAME)


test_name.__test__ = False  # type: ignore[attr-defined] # not a test, whatever its name


def started_of(record: RunRecord) -> dt.datetime | None:
    """When the run began, None where the record does not say it."""
    try:
        found = dt.datetime.fromisoformat(record.started)
        return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (OverflowError, ValueError):
        return None


def night_of(started: dt.datetime | None) -> str:
    """The night of a run that names none: the date of its evening; a night lasts from noon to noon, UTC."""
    if started is None:
        return "undated"
    try:
        return (started.astimezone(dt.UTC) - _NOON).date().isoformat()
    except OverflowError:
        return "undated"


@dataclass(frozen=True, slots=True)
class FirmwareIdentity:
    """Which firmware a run flashed.

    Attributes:
        digest: SHA-256 over the images' digests; over the measurements where no image is known; empty where neither is.
        said: what the firmware says it is.
        measurements: by component, hex; the whole digest where a token gave it, else its first digits.
        files: SHA-256 of each image and model, by what the build calls it.
    """

    digest: str
    build: str
    said: str
    measurements: Mapping[str, str]
    files: Mapping[str, str]


def firmware_of(record: RunRecord, combination: CombinationEntry) -> FirmwareIdentity | None:
    """The identity of what was flashed, None where the record does not say."""
    files = {file.name: file.sha256 for file in combination.files if file.role in {"image", "model"}}
    reported = next((b.measurements for b in record.boards if b.combination == combination.name and b.measurements), {})
    measurements = dict(reported or combination.image)
    facts: object = sorted(set(files.values())) or sorted(measurements.items()) or combination.firmware
    if not facts:
        return None
    digest = hashlib.sha256(_bytes(json.dumps([combination.build, facts]))).hexdigest()
    return FirmwareIdentity(digest, combination.build, combination.firmware, measurements, files)
