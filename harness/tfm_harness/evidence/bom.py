"""The bill of materials of a run (CycloneDX 1.6): firmware, models with figures, requirements with their evidence.

The library cyclonedx-python-lib has no classes for model cards and declarations. So the document is made here, and
validated against the schema that the library contains (`check_bom`).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tfm_harness.errors import ConfigError, HarnessBug, HarnessError
from tfm_harness.latency.statistics import summarise
from tfm_harness.parity.model_parser import parse_model
from tfm_harness.report.record import CombinationEntry, FileEntry, ParityEntry, RequirementEntry, RunRecord
from tfm_harness.verify.image_files import split_images
from tfm_harness.verify.mcuboot import begins_image

__all__ = ["bom_bytes", "check_bom", "make_bom"]

Plain = dict[str, Any]
_NAMESPACE: Final = uuid.UUID("6f0e6b1c-5a0b-4d5e-9a52-7c5f3d1f2a10")
_SCORES: Final = {"proven": 1.0, "excused": 0.5, "partly": 0.5, "failed": 0.0, "not proven": 0.0}
_VERSION: Final = 1024  # the most characters of a version in CycloneDX


def make_bom(
    run: RunRecord, contents: Mapping[str, bytes], imported: Mapping[str, Mapping[str, Any]], *, record_sha256: str
) -> Plain:
    """The bill of materials as a CycloneDX document.

    Args:
        run: the record.
        contents: bytes of images and models that are at hand, by SHA-256.
        imported: an importer's notes about each combination's build (the build's ``imported`` key).
        record_sha256: digest of ``run.json``; the serial number is derived from it.
    """
    components = [one for combination in run.combinations for one in _components(run, combination, contents, imported)]
    unique = {one["bom-ref"]: one for one in components}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, record_sha256)}",
        "version": 1,
        "metadata": {
            "timestamp": run.started,
            "tools": {
                "components": [{"type": "application", "name": "tfm-harness", "version": run.version[:_VERSION]}]
            },
            "component": {
                "type": "device",
                "bom-ref": "device",
                "name": ", ".join(combination.name for combination in run.combinations) or run.name,
            },
        },
        "components": list(unique.values()),
        "definitions": {"standards": [_standard(run)]},
        "declarations": _declarations(run),
    }


def bom_bytes(bom: Plain) -> bytes:
    """The document as a file."""
    return (json.dumps(bom, indent=1, ensure_ascii=False) + "\n").encode()


def check_bom(data: bytes) -> None:
    """Validate a document against CycloneDX's own schema.

    Raises:
        ConfigError: kind ``evidence-extra``: the validator is not installed.
        HarnessBug: kind ``bom``: the document is not valid.
    """
    try:
        from cyclonedx.exception import MissingOptionalDependencyException
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
    except ImportError:
        raise _missing() from None
    try:
        problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode())
    except MissingOptionalDependencyException:
        raise _missing() from None
    except (ValueError, RecursionError) as error:
        raise HarnessBug("the bill of materials is no JSON", kind="bom", seen=str(error)[:400]) from None
    if problem is not None:
        raise HarnessBug("the bill of materials does not fit its schema", kind="bom", seen=str(problem)[:400])


def _missing() -> ConfigError:
    return ConfigError(
        "a bill of materials needs the package cyclonedx-python-lib", kind="evidence-extra",
        hint="install tfm-harness with its extra: pip install 'tfm-harness[evidence]'",
    )  # fmt: skip


# -- components


def _components(
    run: RunRecord,
    combination: CombinationEntry,
    contents: Mapping[str, bytes],
    imported: Mapping[str, Mapping[str, Any]],
) -> Iterator[Plain]:
    facts = imported.get(combination.name, {})
    if facts.get("source"):
        yield {
            "type": "framework", "bom-ref": f"source:{combination.build}", "name": str(facts["source"]),
            "version": str(facts.get("version", ""))[:_VERSION],
            "properties": _properties({
                "platform": facts.get("platform"), "isolation level": facts.get("isolation_level"),
                "SPM backend": facts.get("spm_backend"), "partitions": ", ".join(facts.get("partitions") or ()),
            }),
        }  # fmt: skip
    for file in combination.files:
        if file.role == "image":
            yield _image(file, contents.get(file.sha256))
        elif file.role == "model":
            yield _model(run, combination, file, contents.get(file.sha256))


def _image(file: FileEntry, data: bytes | None) -> Plain:
    said: Plain = {}
    version = ""
    if data is not None and begins_image(data):
        try:
            image = split_images(data)[0]
            version = image.version_text
            said = {"security counter": image.security_counter, "signed": "MCUboot"}
        except HarnessError:
            said = {"signed": "MCUboot header, damaged"}
    found = _file("firmware", file, said)
    return {**found, "version": version} if version else found


def _model(run: RunRecord, combination: CombinationEntry, file: FileEntry, data: bytes | None) -> Plain:
    name = file.name.split(".")[1] if file.name.startswith("models.") else file.name
    found = _file("machine-learning-model", file, {"model": name})
    card: Plain = {"quantitativeAnalysis": {"performanceMetrics": list(_metrics(run, combination.name, name))}}
    if data is not None:
        try:
            info = parse_model(data, name=name)
        except HarnessError:
            return {**found, "modelCard": card}
        card["modelParameters"] = {
            "modelArchitecture": ", ".join(operator.name for operator in info.operators)[:1000],
            "inputs": [{"format": f"{tensor.dtype}{list(tensor.shape)}"} for tensor in info.inputs],
            "outputs": [{"format": f"{tensor.dtype}{list(tensor.shape)}"} for tensor in info.outputs],
        }
        card["properties"] = _properties({
            "quantisation of inputs": "; ".join(_quantisation(tensor.quantisation) for tensor in info.inputs),
            "quantisation of outputs": "; ".join(_quantisation(tensor.quantisation) for tensor in info.outputs),
        })  # fmt: skip
    return {**found, "modelCard": card}


def _quantisation(found: Any) -> str:  # noqa: ANN401 - None or the model's
    return "none" if found is None else f"scale {found.scales[0]:.9g}, zero point {found.zero_points[0]}"


def _metrics(run: RunRecord, combination: str, model: str) -> Iterator[Plain]:
    for entry in run.parity:
        if (entry.combination, entry.model) == (combination, model):
            yield from _parity_metrics(entry)
    for series in run.latency:
        if (
            series.combination == combination
            and series.series.name == model
            and series.series.clock.quality.carries_change
        ):
            found = summarise(series.series.seconds)
            quality = series.series.clock.quality.value
            for statistic in ("median", "p99"):
                yield {
                    "type": f"latency {statistic}",
                    "value": f"{found.get(statistic):.9g} s ({quality} clock)",
                    "slice": series.board or series.series.board or combination,
                }


def _parity_metrics(entry: ParityEntry) -> Iterator[Plain]:
    exact = sum(output.exact_elements for output in entry.outputs)
    whole = sum(output.elements for output in entry.outputs)
    yield {
        "type": "parity: output elements bit-exact with the reference",
        "value": f"{exact} of {whole}",
        "slice": f"{entry.vectors} vectors, {entry.engine.get('name', 'reference')} {entry.engine.get('version', '')}",
    }


def _file(kind: str, file: FileEntry, said: Mapping[str, object]) -> Plain:
    return {
        "type": kind,
        "bom-ref": f"sha256:{file.sha256}",
        "name": file.path.rpartition("/")[2],
        "hashes": [{"alg": "SHA-256", "content": file.sha256}],
        "properties": _properties({"place in the build": file.name, "bytes": file.bytes, **said}),
    }


def _properties(said: Mapping[str, object]) -> list[Plain]:
    return [
        {"name": f"tfm-harness:{name}", "value": str(value)} for name, value in said.items() if value not in (None, "")
    ]


# -- requirements and their states


def _rows(run: RunRecord) -> Iterator[tuple[str, RequirementEntry]]:
    for number, row in enumerate(run.requirements):
        yield f"{row.suite}-{number}", row


def _standard(run: RunRecord) -> Plain:
    return {
        "bom-ref": "tfm-harness-checks",
        "name": "Requirements of the suites of tfm-harness",
        "version": run.version[:_VERSION],
        "requirements": [
            {
                "bom-ref": f"requirement:{ref}",
                "identifier": ", ".join(row.checks),
                "text": row.proves or row.requirement,
                "descriptions": [row.requirement] if row.requirement else [],
            }
            for ref, row in _rows(run)
        ],
    }


def _declarations(run: RunRecord) -> Plain:
    rows = list(_rows(run))
    return {
        "assessors": [{"bom-ref": "assessor", "thirdParty": False}],
        "attestations": [
            {
                "summary": run.headline or run.verdict,
                "assessor": "assessor",
                "map": [
                    {
                        "requirement": f"requirement:{ref}",
                        ("claims" if _SCORES[row.state] > 0 else "counterClaims"): [f"claim:{ref}"],
                        "conformance": {"score": _SCORES[row.state], "rationale": _rationale(row)},
                    }
                    for ref, row in rows
                ],
            }
        ],
        "claims": [
            {
                "bom-ref": f"claim:{ref}",
                "target": "device",
                "predicate": f"{row.combination}: {row.state}",
                "reasoning": _rationale(row),
                "evidence": ["evidence:run"],
            }
            for ref, row in rows
        ],
        "evidence": [
            {
                "bom-ref": "evidence:run",
                "propertyName": "record of the run",
                "data": [{"name": "run/run.json", "contents": {"url": "run/run.json"}}],
                "created": run.started,
            }
        ],
    }


def _rationale(row: RequirementEntry) -> str:
    missing = f"; did not run: {', '.join(row.missing)}" if row.missing else ""
    return f"{row.state} by {', '.join(row.checks)}{missing}"
