"""Makes the documents of a bundle (bill of materials, attestation results), and makes the former again to compare."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfm_harness.errors import ConfigError
from tfm_harness.evidence.bom import bom_bytes, check_bom, make_bom
from tfm_harness.evidence.bundle import MAX_FILE, Extra, input_path
from tfm_harness.evidence.checks import BOM_AGAIN
from tfm_harness.evidence.opened import OpenedBundle
from tfm_harness.evidence.results_again import boards_of
from tfm_harness.evidence.results_file import SUFFIXES, encode_ear
from tfm_harness.evidence.signers import LibraryEnvelopeSigner
from tfm_harness.files import TEXT_LIMIT, read_file
from tfm_harness.findings import Report
from tfm_harness.report.record import RunRecord
from tfm_harness.trust.kept import FILE_NAME, KeptItem, read_kept

__all__ = ["bundle_documents", "judge_bom"]


def bundle_documents(
    run_dir: Path, run: RunRecord, inputs: Mapping[str, Path], signer: LibraryEnvelopeSigner, *, issued: int
) -> list[Extra]:
    """The documents for a bundle.

    Args:
        run_dir: the run's folder.
        run: its record.
        inputs: the bundle's input files by their path in it.
        signer: signs attestation results if its key is on P-256; else there are none.
        issued: seconds since 1970.
    """
    contents = {}
    imported: dict[str, Mapping[str, Any]] = {}
    for combination in run.combinations:
        for file in combination.files:
            path = inputs.get(input_path(file))
            if path is None:
                continue
            if file.role in {"image", "model"}:
                contents[file.sha256] = read_file(path, MAX_FILE)
            elif file.role == "build":
                imported[combination.name] = _imported_facts(read_file(path, TEXT_LIMIT))
    record = hashlib.sha256(read_file(run_dir / "run.json", MAX_FILE)).hexdigest()
    data = bom_bytes(make_bom(run, contents, imported, record_sha256=record))
    check_bom(data)
    found = [Extra(name="bom.cdx.json", role="bill of materials", data=data)]
    return [*found, *_results(run_dir, run, signer, issued)] if signer.makes_es256 else found


def _imported_facts(data: bytes) -> Mapping[str, Any]:
    """The importer's notes in a build's file; the file was valid when the run began."""
    import yaml

    from tfm_harness.config.plain_yaml import PlainLoader

    try:
        plain = yaml.load(data.decode(), Loader=PlainLoader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, UnicodeDecodeError):
        return {}
    found = plain.get("imported") if isinstance(plain, dict) else None
    return found if isinstance(found, dict) else {}


def judge_bom(bundle: OpenedBundle, run: RunRecord, report: Report) -> int:
    """Make the bill of materials again, and compare it with the bundle's; returns the number of those judged.

    Args:
        bundle: the bundle; its digests hold.
        run: its record, from this version of the harness: another version may write the document in another way.
        report: gets the findings.
    """
    signed = bundle.by_role("bill of materials")
    if not signed:
        return 0
    contents = {
        bundle.files[path].sha256: read() for role in ("image", "model") for path, read in bundle.by_role(role).items()
    }
    imported = {
        combination.name: _imported_facts(read())
        for combination in run.combinations
        for file in combination.files
        if file.role == "build" and (read := bundle.content.get(input_path(file))) is not None
    }
    again = bom_bytes(make_bom(run, contents, imported, record_sha256=bundle.files["run/run.json"].sha256))
    for path, read in signed.items():
        differing = "" if read() == again else _first_difference(read(), again)
        report.add(BOM_AGAIN, not differing, expected="the document that follows from the record and the images",
                   seen=differing, where=path)  # fmt: skip
    return len(signed)


def _first_difference(signed: bytes, again: bytes) -> str:
    lines = signed.split(b"\n"), again.split(b"\n")
    number = next((n for n, (a, b) in enumerate(zip(*lines, strict=False), 1) if a != b), min(map(len, lines)))
    seen = lines[0][number - 1][:120].decode(errors="replace")
    return f"line {number}: {seen.strip()}"


def _results(run_dir: Path, run: RunRecord, signer: LibraryEnvelopeSigner, issued: int) -> Iterator[Extra]:
    items: list[KeptItem] = []
    for path in sorted(run_dir.rglob(FILE_NAME)):
        try:
            items += read_kept(path)
        except ConfigError:
            continue  # `evidence verify` reports that the bundle is damaged
    for name, (vector, token, challenge) in boards_of(run, items).items():
        for form, ending in SUFFIXES.items():
            data = encode_ear(vector, signer.sign, form, nonce=challenge, evidence=token, issued=issued)
            yield Extra(name=name + ending, role="attestation result", data=data)
