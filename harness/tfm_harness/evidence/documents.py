"""The documents that are made for a bundle: bill of materials, attestation results."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfm_harness.errors import ConfigError
from tfm_harness.evidence.bom import bom_bytes, check_bom, make_bom
from tfm_harness.evidence.bundle import MAX_FILE, Extra, input_path
from tfm_harness.evidence.results_again import boards_of
from tfm_harness.evidence.results_file import SUFFIXES, encode_ear
from tfm_harness.evidence.signers import LibraryEnvelopeSigner
from tfm_harness.files import TEXT_LIMIT, read_file
from tfm_harness.report.record import RunRecord
from tfm_harness.trust.kept import FILE_NAME, KeptItem, read_kept

__all__ = ["bundle_documents"]


def bundle_documents(
    run_dir: Path, run: RunRecord, inputs: Mapping[str, Path], signer: LibraryEnvelopeSigner, *, issued: int
) -> list[Extra]:
    """Documents for a bundle.

    Args:
        run_dir: the run's folder.
        run: its record.
        inputs: the bundle's input files by their path in it.
        signer: signs attestation results, where its key is on P-256.
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
                imported[combination.name] = _imported(path)
    record = hashlib.sha256(read_file(run_dir / "run.json", MAX_FILE)).hexdigest()
    data = bom_bytes(make_bom(run, contents, imported, record_sha256=record))
    check_bom(data)
    found = [Extra(name="bom.cdx.json", role="bill of materials", data=data)]
    return [*found, *_results(run_dir, run, signer, issued)] if signer.makes_es256 else found


def _imported(path: Path) -> Mapping[str, Any]:
    """What an importer wrote into a build's file; the file was valid when the run began."""
    import yaml

    from tfm_harness.config.plain_yaml import PlainLoader

    try:
        plain = yaml.load(read_file(path, TEXT_LIMIT).decode(), Loader=PlainLoader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, UnicodeDecodeError):
        return {}
    found = plain.get("imported") if isinstance(plain, dict) else None
    return found if isinstance(found, dict) else {}


def _results(run_dir: Path, run: RunRecord, signer: LibraryEnvelopeSigner, issued: int) -> Iterator[Extra]:
    items: list[KeptItem] = []
    for path in sorted(run_dir.rglob(FILE_NAME)):
        try:
            items += read_kept(path)
        except ConfigError:
            continue  # `evidence verify` says that the bundle is damaged
    for name, (vector, token, challenge) in boards_of(run, items).items():
        for form, ending in SUFFIXES.items():
            data = encode_ear(vector, signer.sign, form, nonce=challenge, evidence=token, issued=issued)
            yield Extra(name=name + ending, role="attestation result", data=data)
