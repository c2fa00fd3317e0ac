"""Names of tests, nights and firmware that are the same in every run, and text that every database accepts."""

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
"""The most characters of one text; this is KCIDB's limit for an excerpt of a log."""
_NOON = dt.timedelta(hours=12)


def clean(text: str, limit: int = _LONGEST_TEXT) -> str:
    """Text that SQLite and PostgreSQL accept: no NUL, no half of a surrogate pair; a text that is cut is marked."""
    if len(text) > limit:
        mark = f" ... ({len(text)} characters, SHA-256 {hashlib.sha256(_bytes(text)).hexdigest()[:16]})"
        text = text[: limit - len(mark)] + mark
    return _bytes(text).decode().replace("\0", "\\x00")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def test_name(nodeid: str, combination: str) -> str:
    """A test's node id without the combination on which it ran.

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
    """The time when the run began; None when the record does not have it."""
    try:
        found = dt.datetime.fromisoformat(record.started)
        return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (OverflowError, ValueError):
        return None


def night_of(started: dt.datetime | None) -> str:
    """The night of a run without a named night: the date of its evening; a night lasts from noon to noon, UTC."""
    if started is None:
        return "undated"
    try:
        return (started.astimezone(dt.UTC) - _NOON).date().isoformat()
    except OverflowError:
        return "undated"


@dataclass(frozen=True, slots=True)
class FirmwareIdentity:
    """The firmware that a run flashed.

    Attributes:
        digest: SHA-256 over the images' digests, or over the measurements if no image is known; empty if neither is.
        said: the firmware's own description of itself.
        measurements: by component, hex; the whole digest if a token gave it, else its first digits.
        files: SHA-256 of each image and model, by its name in the build.
    """

    digest: str
    build: str
    said: str
    measurements: Mapping[str, str]
    files: Mapping[str, str]


def firmware_of(record: RunRecord, combination: CombinationEntry) -> FirmwareIdentity | None:
    """The identity of the flashed firmware; None when the record does not have it."""
    files = {file.name: file.sha256 for file in combination.files if file.role in {"image", "model"}}
    reported = next((b.measurements for b in record.boards if b.combination == combination.name and b.measurements), {})
    measurements = dict(reported or combination.image)
    facts: object = sorted(set(files.values())) or sorted(measurements.items()) or combination.firmware
    if not facts:
        return None
    digest = hashlib.sha256(_bytes(json.dumps([combination.build, facts]))).hexdigest()
    return FirmwareIdentity(digest, combination.build, combination.firmware, measurements, files)
