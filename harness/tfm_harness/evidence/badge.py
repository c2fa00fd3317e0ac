"""The pack that a PSA Functional API certification requires: log, release tag and images of a psa-arch-tests run.

A pack is a folder with the log as it came from the console and one signed statement (in-toto test result).
Only a run that passed is packed. To verify a pack is to verify its signature and to judge its log again.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tfm_harness.console_suites.model import Expectations, Judgement, Outcome, Verdict
from tfm_harness.console_suites.transcripts import judge_file, judge_stream
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.evidence import checks as check
from tfm_harness.evidence.dsse import EnvelopeSigner, SigningKey, make_envelope
from tfm_harness.evidence.opened import signed_payload
from tfm_harness.evidence.statements import STATEMENT, TEST_RESULT, statement_bytes
from tfm_harness.files import IMAGE_LIMIT, TEXT_LIMIT, read_file
from tfm_harness.findings import Report
from tfm_harness.version import __version__

__all__ = ["STATEMENT_NAME", "make_badge", "verify_badge"]

STATEMENT_NAME: Final = "badge.intoto.jsonl"
_LOG: Final = "console.log"
_SUITE: Final = "psa-arch-tests"
_REPOSITORY: Final = "pkg:github/ARM-software/psa-arch-tests@"


def make_badge(
    log: Path, images: Sequence[Path], release: str, signers: Sequence[EnvelopeSigner], output: Path, *, resets: bool
) -> Judgement:
    """Judge a log and pack it.

    Args:
        log: the console's transcript.
        images: the images that were on the board; at least one.
        release: the release tag of psa-arch-tests.
        signers: who signs.
        output: the folder to be made.
        resets: whether the tests reset the device on purpose.

    Raises:
        ConfigError: kinds ``evidence-exists``, ``unreadable``, ``badge-not-passed``.
        InfrastructureError: kind ``report-write``.
    """
    judgement = judge_file(log, _SUITE, _expectations(resets))
    if judgement.verdict is not Verdict.PASSED:
        raise ConfigError(
            "only a run that passed is packed", kind="badge-not-passed", expected="passed", seen=str(judgement.verdict),
            where=str(log), hint=f"tfm-harness console-suite {log} --suite {_SUITE} says why",
        )  # fmt: skip
    if output.exists():
        raise ConfigError("the pack is there already", kind="evidence-exists", where=str(output))
    try:
        data = read_file(log, TEXT_LIMIT)
        subject = [_named(image.name, read_file(image, IMAGE_LIMIT)) for image in images]
    except OSError as error:
        raise ConfigError("a file cannot be read", kind="unreadable", seen=str(error)) from None
    statement = {
        "_type": STATEMENT,
        "subject": subject,
        "predicateType": TEST_RESULT,
        "predicate": _predicate(judgement, data, release, resets),
    }
    envelope = make_envelope(statement_bytes(statement), signers)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".badge-") as scratch:
            root = Path(scratch) / "pack"
            root.mkdir()
            (root / _LOG).write_bytes(data)
            (root / STATEMENT_NAME).write_text(envelope.text() + "\n")
            root.rename(output)
    except OSError as error:
        raise InfrastructureError(
            "the pack cannot be written", kind="report-write", seen=str(error), where=str(output)
        ) from error
    return judgement


def verify_badge(folder: Path, keys: Mapping[str, SigningKey], report: Report) -> Judgement | None:
    """Verify a pack's signature and log, and judge the log again.

    Raises:
        ConfigError: kind ``evidence-file``: there is no pack.
    """
    path = folder / STATEMENT_NAME
    try:
        text = read_file(path, TEXT_LIMIT).decode("ascii")
    except OSError as error:
        raise ConfigError(
            "not a pack of psa-arch-tests", kind="evidence-file", seen=str(error), where=str(path)
        ) from None
    except UnicodeDecodeError as error:
        report.add(check.FORM, False, expected="ASCII", seen=str(error), where=str(path))
        return None
    statement = _statement(text, keys, report, path)
    if statement is None:
        return None
    strangers = sorted(one.name for one in folder.iterdir() if one.name not in {_LOG, STATEMENT_NAME})
    report.add(
        check.FILE_LISTED, not strangers, expected="log and statement", seen=", ".join(strangers), where=str(folder)
    )
    return _log(folder, statement, report)


def _statement(text: str, keys: Mapping[str, SigningKey], report: Report, path: Path) -> dict[str, Any] | None:
    ends = text.count("\n")
    if not text.endswith("\n") or ends != 1:
        report.add(
            check.FORM, False, expected="one envelope", seen=f"{ends} line ends in place of one", where=str(path)
        )
        return None
    payload = signed_payload(text[:-1], keys, report, str(path))
    if payload is None:
        return None
    try:
        plain: dict[str, Any] = json.loads(payload)
        known = plain["_type"] == STATEMENT and plain["predicateType"] == TEST_RESULT and bool(plain["subject"])
    except (ValueError, KeyError, TypeError, RecursionError):
        known = False
    report.add(check.STATEMENT, known, expected=TEST_RESULT, seen="" if known else "another statement", where=str(path))
    return plain if known else None


def _log(folder: Path, statement: Mapping[str, Any], report: Report) -> Judgement | None:
    log = folder / _LOG
    predicate = statement["predicate"]
    entries = {one.get("name"): one for one in predicate.get("configuration", []) if isinstance(one, dict)}
    wanted = entries.get(_LOG, {}).get("digest", {}).get("sha256")
    try:
        data = read_file(log, TEXT_LIMIT)
    except OSError as error:
        report.add(check.FILE_PRESENT, False, expected=_LOG, seen=str(error), where=str(log))
        return None
    digest = hashlib.sha256(data).hexdigest()
    if not report.add(check.FILE_DIGEST, digest == wanted, expected=wanted, seen=digest, where=str(log)):
        return None
    judgement = judge_stream(io.BytesIO(data), _SUITE, _expectations("resets allowed" in entries))
    passed = _cases(judgement, Outcome.PASSED)
    follows = judgement.verdict is Verdict.PASSED and passed == predicate.get("passedTests")
    report.add(
        check.JUDGED_AGAIN, follows, expected="the same cases, passed", seen=str(judgement.verdict), where=str(log)
    )
    return judgement


def _expectations(resets: bool) -> Expectations:
    return Expectations(allow_skipped=True, allow_resets=resets)


def _predicate(judgement: Judgement, log: bytes, release: str, resets: bool) -> dict[str, Any]:
    configuration: list[dict[str, Any]] = [
        {"name": "release", "uri": release if release.startswith(_REPOSITORY) else f"{_REPOSITORY}{release}"},
        _named(_LOG, log),
        {"name": f"tfm-harness {__version__}", "uri": f"urn:x-tfm-harness:verifier:{__version__}"},
    ]
    if resets:
        configuration.append({"name": "resets allowed", "uri": "urn:x-tfm-harness:allow-resets"})
    return {
        "result": "PASSED",
        "configuration": configuration,
        "passedTests": _cases(judgement, Outcome.PASSED),
        "warnedTests": _cases(judgement, Outcome.SKIPPED),
        "failedTests": _cases(judgement, Outcome.FAILED),
    }


def _cases(judgement: Judgement, outcome: Outcome) -> list[str]:
    return [f"{case.suite}: {case.id}" for case in judgement.cases if case.outcome is outcome]


def _named(name: str, data: bytes) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": hashlib.sha256(data).hexdigest()}}
