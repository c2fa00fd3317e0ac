"""``tfm-harness verify token|result DIR -j N``: a folder of stored evidence, judged again over several processes.

Each file is judged by itself. What only many tell, one r of ECDSA that comes twice, is judged here, over all.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tfm_harness.cli.output import write
from tfm_harness.errors import ConfigError, HarnessError
from tfm_harness.findings import Policy
from tfm_harness.safe_text import safe_json

if TYPE_CHECKING:
    from tfm_harness.cli.packed_signatures import PackedSignatures
    from tfm_harness.config.build import Build
    from tfm_harness.verify.signatures import Reuse

__all__ = ["Outcome", "judge_folder"]

_CHUNK: Final = 200
"""Files that a process judges before it tells of them: enough to make that cheap, few enough to end together."""
_MOST_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file.

    Attributes:
        failed: checks that failed, with what was seen.
        error: why it could not be judged; empty when it was.
    """

    name: str
    failed: tuple[tuple[str, str], ...] = ()
    error: str = ""


@dataclass(slots=True)
class _Judged:
    """What became of some files, in few objects: it goes from one process to another.

    Attributes:
        signatures: of each message that a key verified, by the number of its file.
        passed: how many hold.
        others: the files that do not, or that could not be judged.
        points: the keys of these signatures, by thumbprint.
    """

    signatures: PackedSignatures
    passed: int = 0
    others: list[Outcome] = field(default_factory=list)
    points: dict[bytes, bytes] = field(default_factory=dict)


def judge_folder(args: argparse.Namespace, policy: Policy, jobs: int) -> int:
    """Judge every file of a folder and print what was found; returns the exit status.

    Raises:
        ConfigError: nothing to judge, no key, an unknown build.
    """
    folder = Path(args.file)
    files = sorted(_files(folder))
    if not files:
        raise ConfigError("the folder holds no file", kind="empty", where=str(folder))
    _prepare(args, policy)  # a wrong key or build is told once, before anything is judged
    began = time.monotonic()
    counts: Counter[str] = Counter()
    failing: list[Outcome] = []
    reuses: list[str] = []
    from tfm_harness.cli.packed_signatures import ManySignatures

    ledger = ManySignatures(files)
    for judged in _judge_all(args, policy, files, jobs):
        counts["passed"] += judged.passed
        for outcome in judged.others:
            counts["failed" if outcome.failed else "not judged"] += 1
        failing += judged.others[: 10_000 - len(failing)]
        reuses += [_told(reuse, judged.points[reuse.second.key]) for reuse in ledger.add(judged.signatures)]
    seconds = time.monotonic() - began
    write(_json(counts, failing, reuses) if args.json else _text(counts, failing, reuses, seconds))
    return 0 if counts["passed"] == len(files) and not reuses else 1


def _files(folder: Path) -> Iterator[str]:
    """The paths of all files in a folder and the folders below, hidden ones left out."""
    below = [str(folder)]
    while below:
        with os.scandir(below.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
                elif not entry.name.startswith(".") and entry.is_file():
                    yield entry.path


def _told(reuse: Reuse, point: bytes) -> str:
    """Which two messages have one r, and what follows from it."""
    from tfm_harness.findings import Report
    from tfm_harness.verify.keys import PublicKey
    from tfm_harness.verify.signatures import check_signatures

    key, report = PublicKey.from_point(point), Report()
    check_signatures([(reuse.first, key), (reuse.second, key)], report)
    return "; ".join(f"{finding.where}: {finding.seen}" for finding in report.failed)


def _judge_all(args: argparse.Namespace, policy: Policy, files: Sequence[str], jobs: int) -> Iterator[_Judged]:
    starts = range(0, len(files), _CHUNK)
    chunks = (files[at : at + _CHUNK] for at in starts)
    if jobs == 1 or len(starts) == 1:
        yield from map(_judge_chunk, starts, chunks)
        return
    # spawn: a forked child would inherit the locks and descriptors of whatever else this process does
    context = multiprocessing.get_context("spawn")
    # Keys do not go to other processes: each reads its own.
    own = {"ring", "expected_token", "expected_result"}
    bare = argparse.Namespace(**{name: value for name, value in vars(args).items() if name not in own})
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_prepare, initargs=(bare, policy)) as pool:
        yield from pool.map(_judge_chunk, starts, chunks)


_prepared: tuple[argparse.Namespace, Policy, Build | None] | None = None


def _prepare(args: argparse.Namespace, policy: Policy) -> None:
    """What every file of this process is judged with."""
    global _prepared  # noqa: PLW0603 - a pool's workers have no other memory
    from tfm_harness.cli.verify_judges import load_named_build, require_keys

    build = load_named_build(args.build)
    require_keys(args, build)
    _prepared = args, policy, build


def _judge_chunk(start: int, files: Sequence[str]) -> _Judged:
    """Judge some files; `start` is the number of the first."""
    from tfm_harness.cli.packed_signatures import PackedSignatures

    assert _prepared is not None  # noqa: S101 - the initializer ran
    judged = _Judged(PackedSignatures())
    for number, name in enumerate(files, start):
        _judge_file(number, name, *_prepared, judged)
    return judged


def _judge_file(
    number: int, name: str, args: argparse.Namespace, policy: Policy, build: Build | None, judged: _Judged
) -> None:
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
        judged.others.append(Outcome(name, error=error.message))
        return
    failed = report.failed
    if failed:
        judged.others.append(Outcome(name, tuple((finding.id, finding.seen) for finding in failed)))
    else:
        judged.passed += 1
    key, message = getattr(content, "key", None), getattr(content, "message", None)
    if isinstance(key, PublicKey) and message is not None:
        record = record_signature(message, key, where=name)
        judged.signatures.add(record, number)
        if record.key not in judged.points:
            judged.points[record.key] = key.point


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
