"""What a run ran on, as typed data: combinations with their files, boards. Parts of `tfm_harness.report.record`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from pydantic import ConfigDict

from tfm_harness.report.strict import STRICT

__all__ = ["BoardEntry", "CombinationEntry", "EventEntry", "FileEntry", "MoveEntry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventEntry:
    """Something that happened to a board; `at` is seconds since the run began."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    at: float
    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardEntry:
    """One board of a combination; a pool has several.

    Attributes:
        lost: why it was put in quarantine; empty for a board that lasted.
        worker: the test process that held it, when there were several.
        facts: facts that the board reports (emulator version, probe, serial number).
        boots, device_seconds: how often it started; seconds for which the harness waited for it.
        link: the problems of its console link; empty when there were none.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    combination: str
    name: str
    lost: str = ""
    worker: str = ""
    firmware: str = ""
    clock: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    measurements: Mapping[str, str] = field(default_factory=dict)
    boots: int = 0
    device_seconds: float = 0.0
    link: str = ""
    events: tuple[EventEntry, ...] = ()
    transcripts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """A file that determined the run, as it was when the run began.

    Attributes:
        role: ``target``, ``build``, ``image``, ``model``, ``key``, or ``file`` for anything else that the build names.
        name: its place in the build (``images.0.file``), with the file's own name.
        path: the file's path; relative to the folder in which the run was started, if the file is below it.
        sha256: digest of its bytes, hex.
        bytes: its size.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    role: Literal["target", "build", "image", "model", "key", "file"]
    name: str
    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinationEntry:
    """One target with one build.

    Attributes:
        files: digests, when the run began, of the flashed files and of those that judged them.
        boards: names of the boards that could serve.
        firmware: the firmware's description of itself; empty when it never gave one.
        image: the first digits of each component's measurement, from the build's files.
        protocol: the build's; ``none`` when it speaks none.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    target: str = ""
    build: str = ""
    policy: str = ""
    kind: str = ""
    protocol: str = ""
    firmware: str = ""
    clock: str = ""
    image: Mapping[str, str] = field(default_factory=dict)
    boards: tuple[str, ...] = ()
    files: tuple[FileEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveEntry:
    """A test that was given another board, because its own was lost."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    nodeid: str
    combination: str
    before: str
    after: str
    why: str
