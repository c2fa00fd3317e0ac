"""Raw evidence of a run: the bytes from the device, the expectations they were judged with, and the findings.

Every token, signed result, signing request and shown key is a line of ``evidence.jsonl`` in the run's folder, which is
written when it is judged. With this file, anybody can judge again, later and without the board
(`tfm_harness.evidence`). Public keys are kept; shared secrets are not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.files import read_file
from tfm_harness.findings import Finding
from tfm_harness.trust.kept_form import from_plain, to_plain
from tfm_harness.verify.keys import PublicKey, VerificationKey
from tfm_harness.verify.result_profile import ResultProfile, builtin_profiles, load_profile

__all__ = ["FILE_NAME", "KeptEvidence", "KeptItem", "Kind", "is_whole", "named_profile", "read_kept"]

FILE_NAME = "evidence.jsonl"
SCHEMA = "tfm-harness-kept-evidence/1"
MAX_FILE = 1 << 30
"""The most bytes of a file of raw evidence."""
MAX_ITEMS = 100_000
"""The most items that one test process keeps; later ones are judged as well, but not kept."""

Kind = Literal["token", "result", "csr", "key", "token relations", "result relations", "identity relations"]
_KINDS = frozenset(get_args(Kind))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptItem:
    """One piece of evidence with its judgement.

    Attributes:
        kind: the kind of evidence; ``relations`` are judgements over all tokens or results of the test so far.
        test: the test's id.
        combination, board: the combination and the board that gave it.
        subject: its name in the findings.
        data: the bytes as received; empty for relations.
        keys: the public keys that were trusted.
        secret: whether a shared secret was trusted in addition to `keys` or in place of them; it is not kept.
        facts: arguments of the judgement by name: challenge, expectations, profile, boot, ...
        findings: (check, passed) in the order in which they were found.
    """

    kind: Kind
    test: str
    combination: str
    board: str
    subject: str = ""
    data: bytes = field(default=b"", repr=False)
    keys: tuple[PublicKey, ...] = ()
    secret: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[tuple[str, bool], ...] = ()


class Named(Protocol):
    """Something with a name."""

    @property
    def name(self) -> str:
        """The name."""
        ...


class KeptEvidence:
    """Writes the evidence that one test's verifier judged.

    Args:
        folder: the run's folder, or the test process's part of it; None: nothing is kept.
        test: the test's id.
        combination, board: where the evidence comes from; their names are kept.
    """

    _counts: dict[Path, int] = {}  # noqa: RUF012 - of this process, by file

    def __init__(self, folder: Path | None, *, test: str, combination: Named, board: Named) -> None:
        self._path = folder / FILE_NAME if folder is not None else None
        self._test = test
        self._from = combination, board

    def keep(
        self,
        kind: Kind,
        findings: Sequence[Finding],
        *,
        data: bytes = b"",
        keys: Iterable[VerificationKey | None] = (),
        subject: str = "",
        **facts: object,
    ) -> None:
        """Append one item.

        Raises:
            InfrastructureError: kind ``report-write``: the disk is full or the folder cannot be written.
        """
        if self._path is None or (count := self._counts.get(self._path, 0)) > MAX_ITEMS:
            return
        self._counts[self._path] = count + 1
        if count == MAX_ITEMS:
            line: dict[str, Any] = {"full": MAX_ITEMS}
        else:
            trusted = [key for key in keys if key is not None]
            public = [key for key in trusted if isinstance(key, PublicKey)]
            line = {
                "kind": kind,
                "test": self._test,
                "combination": self._from[0].name,
                "board": self._from[1].name,
                "subject": subject,
                "data": data.hex(),
                "keys": [to_plain(key) for key in public],
                "secret": len(public) != len(trusted),
                "facts": {name: to_plain(value) for name, value in facts.items()},
                "findings": [[finding.id, finding.passed] for finding in findings],
            }
        try:
            with self._path.open("a", encoding="utf-8") as out:
                if not count:
                    out.write(json.dumps({"schema": SCHEMA}) + "\n")
                out.write(json.dumps(line, separators=(",", ":")) + "\n")
        except OSError as error:
            raise InfrastructureError(
                "the run's raw evidence cannot be kept", kind="report-write", seen=str(error), where=str(self._path)
            ) from error


def named_profile(profile: ResultProfile) -> str | ResultProfile:
    """The form of a profile in a line: a built-in profile is kept by its name, a vendor's own as a whole."""
    known = profile.name in builtin_profiles() and load_profile(profile.name) == profile
    return profile.name if known else profile


def read_kept(path: Path, data: bytes | None = None) -> Iterator[KeptItem]:
    """The items of a file, strictly.

    Args:
        path: the file.
        data: its bytes, if they have been read already.

    Raises:
        ConfigError: kind ``evidence-file``: unreadable, damaged, or of another version; with file and line.
    """
    try:
        lines = (read_file(path, MAX_FILE) if data is None else data).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(path, 0, f"{type(error).__name__}: {error}") from error
    for number, line in enumerate(lines, 1):
        try:
            plain = json.loads(line)
            if not isinstance(plain, dict):
                raise ValueError(f"a JSON {type(plain).__name__}")  # noqa: TRY004, TRY301 - one error for every wrong form
            if plain.get("schema") == SCHEMA and plain.keys() == {"schema"}:
                continue
            if number == 1:
                raise ValueError(f"schema {plain.get('schema')!r}")  # noqa: TRY301 - as above
            if plain.keys() != {"full"}:
                yield _item(plain)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise _refused(path, number, f"{type(error).__name__}: {error}") from error


def is_whole(data: bytes) -> bool:
    """Whether a file of raw evidence holds everything that was judged: there were not more than `MAX_ITEMS` items."""
    return b'\n{"full":' not in data


def _item(plain: Mapping[str, Any]) -> KeptItem:
    if plain["kind"] not in _KINDS or type(plain["secret"]) is not bool:
        raise ValueError(f"kind {plain['kind']!r}, secret {plain['secret']!r}")
    keys = tuple(from_plain(key) for key in plain["keys"])
    findings = tuple((str(check), passed) for check, passed in plain["findings"])
    if not all(isinstance(key, PublicKey) for key in keys) or not all(type(passed) is bool for _, passed in findings):
        raise ValueError("keys are points, findings are pairs of a check and whether it held")
    return KeptItem(
        kind=plain["kind"],
        test=str(plain["test"]),
        combination=str(plain["combination"]),
        board=str(plain["board"]),
        subject=str(plain["subject"]),
        data=bytes.fromhex(plain["data"]),
        keys=keys,
        secret=plain["secret"],
        facts={str(name): from_plain(value) for name, value in plain["facts"].items()},
        findings=findings,
    )


def _refused(path: Path, line: int, seen: str) -> ConfigError:
    return ConfigError(
        "not a run's raw evidence",
        kind="evidence-file",
        expected=f"{FILE_NAME} of schema {SCHEMA}",
        seen=seen,
        where=f"{path}:{line}" if line else str(path),
        hint="the file was damaged, or written by another version of tfm-harness",
    )
