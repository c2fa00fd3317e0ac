"""Opens a bundle: signatures, statements and digests are verified first, and nothing else is trusted before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path, PurePosixPath
from typing import Any, Final

from pydantic import ValidationError

from tfm_harness.errors import ConfigError
from tfm_harness.evidence import checks as check
from tfm_harness.evidence.bundle import MAX_FILE
from tfm_harness.evidence.dsse import EnvelopeVerificationError, SigningKey, parse_envelope
from tfm_harness.evidence.predicate import ADAPTER, BundleFile, ValidationRun
from tfm_harness.evidence.statements import PREDICATES, STATEMENT, Plain, subjects
from tfm_harness.evidence.timestamp import MAX_ANSWER, stamp_name
from tfm_harness.files import TEXT_LIMIT, read_file
from tfm_harness.findings import Report

__all__ = ["OpenedBundle", "open_bundle", "read_statements", "signed_payload"]

_MAX_STATEMENTS: Final = 16 * TEXT_LIMIT


@dataclass(frozen=True, slots=True)
class OpenedBundle:
    """A bundle whose signatures hold.

    Attributes:
        statements: the statements by predicate type.
        facts: the harness' own predicate.
        files: the files that the statements list, by path.
        content: reads each file whose digest is right, by path; files that were left out or are damaged are missing.
        name: the bundle's name in findings.
        signed: the bytes of the file of statements, which a time stamp covers.
        stamps: time stamps of that file, by file name; the digest of each is the one in its name.
    """

    name: str
    signed: bytes = field(repr=False)
    stamps: Mapping[str, bytes] = field(repr=False)
    statements: Mapping[str, Plain]
    facts: ValidationRun
    files: Mapping[str, BundleFile]
    content: Mapping[str, Callable[[], bytes]] = field(repr=False)

    def by_role(self, role: str) -> dict[str, Callable[[], bytes]]:
        """The files of a role that can be read, by path."""
        return {path: read for path, read in self.content.items() if self.files[path].role == role}


def open_bundle(
    path: Path, keys: Mapping[str, SigningKey], report: Report, *, run_dir: Path | None = None
) -> OpenedBundle | None:
    """Verify signatures, statements and digests; None when the statements cannot be trusted.

    Args:
        path: the bundle's folder, or its ``.intoto.jsonl``.
        keys: trusted keys by key id.
        report: gets the findings.
        run_dir: where to look for the run's files that the bundle does not hold.

    Raises:
        ConfigError: kind ``evidence-file``: there is no bundle.
    """
    file, signed = read_statements(path)
    try:
        text = signed.decode("ascii")
    except UnicodeDecodeError as error:
        report.add(check.FORM, False, expected="ASCII", seen=str(error), where=str(file))
        return None
    payloads = _payloads(text, keys, report, file)
    statements = _statements(payloads, report, file) if payloads is not None else None
    facts = _facts(statements, report, file) if statements is not None else None
    if statements is None or facts is None:
        return None
    listed = {one.path: one for one in facts.files}
    content = _content(file.parent, listed, report, run_dir)
    stamps = _stamps(file, report)
    if path.is_dir() or (file.parent / "run").is_dir():
        _unlisted(file, listed, report)
    return OpenedBundle(file.name.removesuffix(".intoto.jsonl"), signed, stamps, statements, facts, listed, content)


def read_statements(path: Path) -> tuple[Path, bytes]:
    """The path of a bundle's file of statements, and its bytes; nothing is verified.

    Raises:
        ConfigError: kind ``evidence-file``: there is no bundle.
    """
    file = _statements_file(path)
    try:
        return file, read_file(file, _MAX_STATEMENTS)
    except OSError as error:
        raise _no_bundle(file, str(error)) from None


def _statements_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.intoto.jsonl"))
    if len(found) != 1:
        raise _no_bundle(path, ", ".join(one.name for one in found) or "none")
    return found[0]


def _no_bundle(path: Path, seen: str) -> ConfigError:
    return ConfigError(
        "not a bundle of evidence",
        kind="evidence-file",
        expected="a folder with one .intoto.jsonl, as `tfm-harness evidence make` writes it",
        seen=seen,
        where=str(path),
    )


def _payloads(text: str, keys: Mapping[str, SigningKey], report: Report, file: Path) -> list[bytes] | None:
    """The payloads, if every signature of every line verifies."""
    lines = text.split("\n")
    if lines[-1] != "" or len(lines) - 1 != len(PREDICATES):
        report.add(
            check.FORM,
            False,
            expected=f"{len(PREDICATES)} lines, each with its end",
            seen=f"{len(lines) - 1} line ends",
            where=str(file),
        )
        return None
    found = [signed_payload(line, keys, report, f"{file}:{number}") for number, line in enumerate(lines[:-1], 1)]
    held = [payload for payload in found if payload is not None]
    return held if len(held) == len(found) else None


def signed_payload(line: str, keys: Mapping[str, SigningKey], report: Report, where: str) -> bytes | None:
    """The payload of one envelope, if every signature of it verifies; `where` names it in findings."""
    try:
        envelope = parse_envelope(line)
    except EnvelopeVerificationError as error:
        report.add(check.FORM, False, expected="one envelope", seen=str(error), where=where)
        return None
    report.add(check.FORM, True, where=where)
    try:
        envelope.verify(keys)
    except EnvelopeVerificationError as error:
        report.add(check.SIGNATURE, False, expected=f"signed by {' or '.join(keys)}", seen=str(error), where=where)
        return None
    report.add(check.SIGNATURE, True, where=where)
    return envelope.payload


def _statements(payloads: list[bytes], report: Report, file: Path) -> dict[str, Plain] | None:
    found: dict[str, Plain] = {}
    problem = ""
    for number, payload in enumerate(payloads):
        try:
            statement: Any = json.loads(payload)
            if (
                statement.keys() != {"_type", "subject", "predicateType", "predicate"}
                or statement["_type"] != STATEMENT
            ):
                problem = f"line {number + 1} holds no Statement v1"
            elif statement["predicateType"] != PREDICATES[number]:
                problem = (
                    f"line {number + 1} has predicate type {statement['predicateType']!r}, not {PREDICATES[number]}"
                )
            elif number and statement["subject"] != found[PREDICATES[0]]["subject"]:
                problem = f"line {number + 1} speaks about other subjects than line 1"
            else:
                found[PREDICATES[number]] = statement
        except (ValueError, AttributeError, KeyError, RecursionError) as error:
            problem = f"line {number + 1}: {type(error).__name__}: {error}"
        if problem:
            break
    report.add(check.STATEMENT, not problem, expected=", ".join(PREDICATES), seen=problem, where=str(file))
    return None if problem else found


def _facts(statements: Mapping[str, Plain], report: Report, file: Path) -> ValidationRun | None:
    plain = statements[PREDICATES[2]]
    try:
        facts: ValidationRun = ADAPTER.validate_json(json.dumps(plain["predicate"]))
        problem = ""
        if [dict(one) for one in plain["subject"]] != subjects(facts.files):
            problem = "the subjects are not the images and models of the list of files"
        elif len({one.path for one in facts.files}) != len(facts.files):
            problem = "a path is listed twice"
        else:
            problem = next(
                (f"a path that leaves the bundle: {one.path!r}" for one in facts.files if not _inside(one.path)), ""
            )
    except ValidationError as error:
        facts, problem = ValidationRun, str(error.errors()[0]["msg"])  # type: ignore[assignment]  # not returned
    report.add(check.STATEMENT, not problem, expected="the harness' own predicate", seen=problem, where=str(file))
    return None if problem else facts


def _inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return bool(path) and not pure.is_absolute() and ".." not in pure.parts and str(pure) == path and "\0" not in path


def _content(
    root: Path, listed: Mapping[str, BundleFile], report: Report, run_dir: Path | None
) -> dict[str, Callable[[], bytes]]:
    found: dict[str, Callable[[], bytes]] = {}
    for name, file in listed.items():
        places = [root / name] if file.here else []
        if run_dir is not None and name.startswith("run/"):
            places.append(run_dir / name.removeprefix("run/"))
        place = next((one for one in places if one.is_file() and not one.is_symlink()), None)
        if place is None:
            if file.here:
                report.add(check.FILE_PRESENT, False, expected=f"{file.bytes} bytes", seen="no such file", where=name)
            continue
        report.add(check.FILE_PRESENT, True, where=name)
        try:
            digest = hashlib.sha256(read_file(place, MAX_FILE)).hexdigest()
        except OSError as error:
            digest = f"it cannot be read: {error.strerror}"
        if report.add(check.FILE_DIGEST, digest == file.sha256, expected=file.sha256, seen=digest, where=str(place)):
            found[name] = _reader(place, file.sha256)
    return found


def _reader(place: Path, sha256: str) -> Callable[[], bytes]:
    def read() -> bytes:
        data = read_file(place, MAX_FILE)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ConfigError("a file changed while it was verified", kind="evidence-changed", where=str(place))
        return data

    return read


def _stamps(file: Path, report: Report) -> dict[str, bytes]:
    """The time stamps beside the statements; each must have the digest in its name."""
    found = {}
    for path in _stamp_files(file):
        try:
            data = read_file(path, MAX_ANSWER)
        except OSError as error:
            report.add(check.FILE_PRESENT, False, expected="a time stamp", seen=str(error), where=str(path))
            continue
        name = stamp_name(file.name, data)
        if report.add(check.FILE_DIGEST, name == path.name, expected=path.name, seen=name, where=str(path)):
            found[path.name] = data
    return found


def _stamp_files(file: Path) -> list[Path]:
    return sorted(file.parent.glob(f"{escape(file.name.removesuffix('.intoto.jsonl'))}.*.tsr"))


def _unlisted(file: Path, listed: Mapping[str, BundleFile], report: Report) -> None:
    here = {
        one.relative_to(file.parent).as_posix()
        for one in file.parent.rglob("*")
        if not one.is_dir() or one.is_symlink()
    }
    stamps = {one.name for one in _stamp_files(file) if one.is_file() and not one.is_symlink()}
    strangers = sorted(here - {file.name} - stamps - {name for name, one in listed.items() if one.here})
    report.add(
        check.FILE_LISTED,
        not strangers,
        expected="only files that were signed",
        seen=", ".join(strangers[:5]),
        where=str(file.parent),
    )
