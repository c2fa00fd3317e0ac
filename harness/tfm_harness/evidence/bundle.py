"""A bundle of evidence: a folder with all files that a run wrote and used, and the signed statements about them.

NAME.evidence/
  NAME.intoto.jsonl     three DSSE envelopes, one a line
  NAME.DIGEST.tsr       optional: a time stamp of that file
  run/                  the run's folder: record, page, transcripts, raw evidence, vectors
  inputs/ROLE/          target, build, images, models, public keys, as they were when the run began
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.evidence.dsse import EnvelopeSigner, make_envelope
from tfm_harness.evidence.predicate import BundleFile
from tfm_harness.evidence.statements import make_statements, statement_bytes
from tfm_harness.evidence.timestamp import stamp_name
from tfm_harness.files import open_file, read_file, write_file
from tfm_harness.report.record import FileEntry, RunRecord
from tfm_harness.report.storage import load_run
from tfm_harness.trust.kept import FILE_NAME as RAW_EVIDENCE
from tfm_harness.verify.keyfiles import parse_image_key
from tfm_harness.verify.keys import Ed25519Key, KeyFormatError, PublicKey, RsaKey

__all__ = ["LEAVE_OUT", "MAX_FILE", "Extra", "input_path", "make_bundle", "write_public_key"]

LEAVE_OUT: Final = {"images": {"image"}, "models": {"model"}, "transcripts": {"transcript"}}
"""The roles of files that a bundle may leave out, by the word of ``--leave-out``; it then has only their digests."""
MAX_FILE: Final = 1 << 30
"""The most bytes of one file of a bundle."""
_MAX_FILES: Final = 10_000
_BLOCK: Final = 1 << 20
_NOT_TAKEN: Final = (".sqlite", ".sqlite-journal", ".sqlite-wal", ".sqlite-shm", ".lock", ".sock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """A document that is made for the bundle: its name in the bundle, its role, its bytes."""

    name: str
    role: str
    data: bytes


def make_bundle(
    run_dir: Path,
    signers: Sequence[EnvelopeSigner],
    output: Path,
    *,
    leave_out: Collection[str] = (),
    extras: Callable[[RunRecord, dict[str, Path]], Sequence[Extra]] | None = None,
    now: dt.datetime | None = None,
    stamp: Callable[[bytes], bytes] | None = None,
) -> RunRecord:
    """Write a bundle, whole or not at all.

    Args:
        run_dir: the run's folder, with ``run.json``.
        signers: who signs; at least one.
        output: the folder to be made.
        leave_out: words of `LEAVE_OUT`.
        extras: makes further documents from the record and the bundle's input files (by `input_path`).
        now: when the statements are made.
        stamp: gets the bytes of the statements' file and returns a time stamp of them (RFC 3161).

    Raises:
        ConfigError: kinds ``run-file``, ``evidence-exists``, ``evidence-changed``, ``evidence-too-large``.
        InfrastructureError: kind ``report-write``.
    """
    run = load_run(run_dir)
    if output.exists():
        raise ConfigError("the bundle is there already", kind="evidence-exists", where=str(output),
                          hint="name another folder with -o")  # fmt: skip
    roles = set().union(*(LEAVE_OUT[word] for word in leave_out)) if leave_out else set()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".evidence-") as scratch:
            root = Path(scratch) / "bundle"
            root.mkdir()
            files = list(_run_files(run_dir, root, roles))
            inputs = dict(_inputs(run, root, roles))
            files += inputs.values()
            if extras is not None:
                paths = {path: root / path for path, file in inputs.items() if file.here}
                files += [_write(root, f"documents/{e.name}", e.role, e.data) for e in extras(run, paths)]
            time = (now or dt.datetime.now(dt.UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
            statements = make_statements(run, files, time=time)
            lines = [make_envelope(statement_bytes(statement), signers).text() + "\n" for statement in statements]
            signed = root / f"{output.name.removesuffix('.evidence')}.intoto.jsonl"
            envelopes = "".join(lines).encode("ascii")
            signed.write_bytes(envelopes)
            if stamp is not None:
                answer = stamp(envelopes)
                (root / stamp_name(signed.name, answer)).write_bytes(answer)
            for path in (root, *root.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)
            root.rename(output)
    except OSError as error:
        raise InfrastructureError(
            "the bundle cannot be written", kind="report-write", seen=str(error), where=str(output)
        ) from error
    return run


def input_path(entry: FileEntry) -> str:
    """The path in a bundle of one of the run's input files."""
    name = Path(entry.path).name
    return f"inputs/{entry.role}/{entry.sha256[:16]}-{name}{'.pem' if entry.role == 'key' else ''}"


def _run_files(run_dir: Path, root: Path, left_out: Collection[str]) -> Iterator[BundleFile]:
    paths = sorted(path for path in run_dir.rglob("*") if path.is_file() and not path.is_symlink())
    if len(paths) > _MAX_FILES:
        raise ConfigError("more files than a run leaves", kind="evidence-too-large", expected=f"at most {_MAX_FILES}",
                          seen=str(len(paths)), where=str(run_dir), hint="name the run's own folder")  # fmt: skip
    for path in paths:
        name = path.relative_to(run_dir)
        if path.name.endswith(_NOT_TAKEN) or any(part.startswith(".") for part in name.parts):
            continue
        yield _copy(path, root, f"run/{name.as_posix()}", _role(name), left_out)


def _role(name: Path) -> str:
    if name.as_posix() == "run.json":
        return "record"
    if name.name == RAW_EVIDENCE:
        return "raw evidence"
    if name.suffix == ".html":
        return "page"
    if name.name.startswith("vectors-"):
        return "vectors"
    return "transcript" if {".log", ".events"} & set(name.suffixes) else "file"


def _inputs(run: RunRecord, root: Path, left_out: Collection[str]) -> Iterator[tuple[str, BundleFile]]:
    seen = set()
    for combination in run.combinations:
        for entry in combination.files:
            path = input_path(entry)
            if path in seen:
                continue
            seen.add(path)
            yield path, _input(entry, path, root, left_out)


def _input(entry: FileEntry, path: str, root: Path, left_out: Collection[str]) -> BundleFile:
    # The build's further files may be private keys for tests: the bundle has only their digests.
    if entry.role in left_out or entry.role == "file":
        return BundleFile(path=path, role=entry.role, sha256=entry.sha256, bytes=entry.bytes, here=False)
    source = Path(entry.path)
    try:
        data = read_file(source, MAX_FILE)
    except OSError as error:
        raise _changed(entry, f"it cannot be read: {error.strerror}") from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != entry.sha256:
        raise _changed(entry, f"SHA-256 {digest}")
    if entry.role == "key":  # a file may hold a private key: only its public half is copied
        return _write(root, path, "key", _public(data, source))
    return _write(root, path, entry.role, data)


def _public(data: bytes, source: Path) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        key = parse_image_key(data)
    except KeyFormatError as error:
        raise ConfigError("no usable public key", kind="key-file", seen=error.seen, where=str(source)) from None
    assert isinstance(key, PublicKey | RsaKey | Ed25519Key)  # noqa: S101 - all kinds of image keys
    return key.handle.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _changed(entry: FileEntry, seen: str) -> ConfigError:
    return ConfigError(
        "a file is not what it was when the run began, so the bundle would not hold what was tested",
        kind="evidence-changed",
        expected=f"SHA-256 {entry.sha256}",
        seen=seen,
        where=entry.path,
        hint="make the bundle from the folder in which the run was started, before anything is built again; or leave"
        " these files out with --leave-out",
    )


def _write(root: Path, path: str, role: str, data: bytes) -> BundleFile:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return BundleFile(path=path, role=role, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


def _copy(source: Path, root: Path, path: str, role: str, left_out: Collection[str]) -> BundleFile:
    digest, size = hashlib.sha256(), 0
    target = Path(os.devnull) if role in left_out else root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with open_file(source, MAX_FILE) as read, target.open("wb") as write:
        while block := read.read(_BLOCK):
            digest.update(block)
            size += len(block)
            write.write(block)
    return BundleFile(path=path, role=role, sha256=digest.hexdigest(), bytes=size, here=role not in left_out)


def write_public_key(bundle: Path, pem: str) -> Path:
    """Write a throw-away key's public half beside the bundle; returns its path.

    Raises:
        InfrastructureError: kind ``report-write``.
    """
    path = bundle.with_name(bundle.name.removesuffix(".evidence") + ".throwaway-public.pem")
    write_file(path, pem.encode(), "public key")
    return path
