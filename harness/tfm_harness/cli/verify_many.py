"""``tfm-harness verify token|result DIR -j N``: a folder of stored evidence, judged again over several processes.

Each file is judged by itself. What only many tell, one r of ECDSA that comes twice, is judged here, over all.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tfm_harness.errors import ConfigError, HarnessError
from tfm_harness.findings import Policy
from tfm_harness.safe_text import safe_json

if TYPE_CHECKING:
    from tfm_harness.config.build import Build
    from tfm_harness.findings import Report
    from tfm_harness.verify.signatures import SignatureRecord

__all__ = ["Outcome", "judge_folder"]

_CHUNK: Final = 500
_MOST_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file.

    Attributes:
        failed: checks that failed, with what was seen.
        error: why it could not be judged; empty when it was.
        record: its signature, where a key verified one.
        point: the key of that signature.
    """

    name: str
    failed: tuple[tuple[str, str], ...] = ()
    error: str = ""
    record: SignatureRecord | None = field(default=None, repr=False)
    point: bytes = b""


def judge_folder(args: argparse.Namespace, policy: Policy, jobs: int) -> int:
    """Judge every file of a folder and print what was found; returns the exit status.

    Raises:
        ConfigError: nothing to judge, no key, an unknown build.
    """
    folder = Path(args.file)
    files = sorted(str(path) for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    if not files:
        raise ConfigError("the folder holds no file", kind="empty", where=str(folder))
    _prepare(args, policy)  # a wrong key or build is told once, before anything is judged
    began = time.monotonic()
    counts: Counter[str] = Counter()
    failing: list[Outcome] = []
    reuses: list[str] = []
    from tfm_harness.findings import Report
    from tfm_harness.verify.keys import PublicKey
    from tfm_harness.verify.signatures import SignatureLedger, check_signatures

    ledger = SignatureLedger()
    for outcome in _outcomes(args, policy, files, jobs):
        counts["failed" if outcome.failed else "not judged" if outcome.error else "passed"] += 1
        if (outcome.failed or outcome.error) and len(failing) < 10_000:
            failing.append(outcome)
        if outcome.record is not None:
            across = Report(policy=policy)
            check_signatures([(outcome.record, PublicKey.from_point(outcome.point))], across, ledger=ledger)
            reuses += [f"{finding.where}: {finding.seen}" for finding in across.failed]
    seconds = time.monotonic() - began
    sys.stdout.write(_json(counts, failing, reuses) if args.json else _text(counts, failing, reuses, seconds))
    return 0 if counts["passed"] == len(files) and not reuses else 1


def _outcomes(args: argparse.Namespace, policy: Policy, files: Sequence[str], jobs: int) -> Iterator[Outcome]:
    chunks = [files[at : at + _CHUNK] for at in range(0, len(files), _CHUNK)]
    if jobs == 1 or len(chunks) == 1:
        for chunk in chunks:
            yield from _judge_chunk(chunk)
        return
    # spawn: a forked child would inherit the locks and descriptors of whatever else this process does
    context = multiprocessing.get_context("spawn")
    # Keys do not go to other processes: each reads its own.
    bare = argparse.Namespace(**{name: v for name, v in vars(args).items() if name not in {"ring", "expected_token"}})
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_prepare, initargs=(bare, policy)) as pool:
        for outcomes in pool.map(_judge_chunk, chunks):
            yield from outcomes


_prepared: tuple[argparse.Namespace, Policy, Build | None] | None = None


def _prepare(args: argparse.Namespace, policy: Policy) -> None:
    """What every file of this process is judged with."""
    global _prepared  # noqa: PLW0603 - a pool's workers have no other memory
    from tfm_harness.cli.verify_judges import load_named_build, require_keys

    build = load_named_build(args.build)
    require_keys(args, build)
    _prepared = args, policy, build


def _judge_chunk(files: Sequence[str]) -> list[Outcome]:
    assert _prepared is not None  # noqa: S101 - the initializer ran
    args, policy, build = _prepared
    return [_judge_file(name, args, policy, build) for name in files]


def _judge_file(name: str, args: argparse.Namespace, policy: Policy, build: Build | None) -> Outcome:
    from tfm_harness.cli.verify_files import read_evidence
    from tfm_harness.cli.verify_judges import JUDGES
    from tfm_harness.findings import Report
    from tfm_harness.verify.keys import PublicKey
    from tfm_harness.verify.signatures import record_signature

    report: Report = Report(policy=policy, waivers=build.granted() if build else ())
    try:
        data = read_evidence(name, what=args.evidence)
        content = JUDGES[args.evidence](args, data, build, report)
    except HarnessError as error:
        return Outcome(name, error=error.message)
    failed = tuple((finding.id, finding.seen) for finding in report.failed)
    key, message = getattr(content, "key", None), getattr(content, "message", None)
    if isinstance(key, PublicKey) and message is not None:
        return Outcome(name, failed, record=record_signature(message, key, where=name), point=key.point)
    return Outcome(name, failed)


def _text(counts: Counter[str], failing: Sequence[Outcome], reuses: Sequence[str], seconds: float) -> str:
    from tfm_harness.safe_text import safe

    lines = []
    for outcome in failing[:_MOST_SHOWN]:
        words = outcome.error or "; ".join(f"{check} (seen: {seen})" for check, seen in outcome.failed[:3])
        lines.append(safe(f"{outcome.name}: {words}"))
    if len(failing) > _MOST_SHOWN:
        lines.append(f"... and {len(failing) - _MOST_SHOWN} more; --json lists them")
    lines += [f"one r twice under one key: {text}" for text in reuses[:_MOST_SHOWN]]
    total = sum(counts.values())
    lines.append(", ".join(f"{count} {word}" for word, count in sorted(counts.items())) + f" of {total}")
    lines.append(f"{total / seconds:,.0f} a second" if seconds > 0 else "")
    return "\n".join(filter(None, lines)) + "\n"


def _json(counts: Counter[str], failing: Sequence[Outcome], reuses: Sequence[str]) -> str:
    plain = {
        "schema": "tfm-harness/verify-many/1",
        "passed": counts["passed"],
        "failed": counts["failed"],
        "not_judged": counts["not judged"],
        "files": [
            {"file": one.name, "error": one.error, "failed": [{"check": c, "seen": s} for c, s in one.failed]}
            for one in failing
        ],
        "nonce_reuse": list(reuses),
    }
    return safe_json(plain) + "\n"


def default_jobs() -> int:
    """Processes that this host can run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
