"""Searches for a board's secrets in all that comes out of it, and in its non-secure memory, with the checks on them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from tfm_harness.coverage import helper_checks
from tfm_harness.findings import Check
from tfm_harness.verify.leaks import (
    Leak,
    SampleValues,
    Scanner,
    Secret,
    fingerprints,
    missed_canaries,
    samples_in,
    series_in,
)

if TYPE_CHECKING:
    from tfm_harness.plugin.checks import Checks
    from tfm_harness.plugin.secret_work import SecretWork

__all__ = ["SecretSearch", "Sought"]

S = TypeVar("S")
T = TypeVar("T")
_AT_ONCE: Final = 2
"""Places that are searched at a time: NumPy works without Python's lock in part, so that two take a quarter less."""

Sought: TypeAlias = Sequence[tuple[Check, Sequence[Secret]]]
"""What is looked for in one go: secrets of several kinds, each with the check that fails where one of them stands."""


class SecretSearch:
    """Looks for secrets where `SecretWork` may have left them.

    Args:
        work: names the places.
        checks: take the findings.

    Attributes:
        SECRET_OUT, SECRET_LEFT, SENSOR_OUT, SENSOR_LEFT, MODEL_OUT, MODEL_LEFT: the checks on keys, on readings of
            sensors and on models: none is in an output, none is left in memory.
        SCANNER_WORKS: the check on the search itself.
    """

    SECRET_OUT: Final = helper_checks.SECRET_OUT
    SECRET_LEFT: Final = helper_checks.SECRET_LEFT
    SENSOR_OUT: Final = helper_checks.SENSOR_OUT
    SENSOR_LEFT: Final = helper_checks.SENSOR_LEFT
    MODEL_OUT: Final = helper_checks.MODEL_OUT
    MODEL_LEFT: Final = helper_checks.MODEL_LEFT
    SCANNER_WORKS: Final = helper_checks.SCANNER_WORKS

    def __init__(self, work: SecretWork, checks: Checks) -> None:
        self._work, self._checks = work, checks

    def judge(self, check: Check, leaks: Sequence[Leak], where: str) -> None:
        """Judge that nothing was found there."""
        self._checks(check, not leaks, expected="nothing", seen="; ".join(map(str, leaks[:4])), subject=where)

    def outputs(self, sought: Sought, *, marked: Sequence[Secret] = (), newest: bool = False) -> None:
        """Judge that no secret is in any output.

        Args:
            sought: the secrets.
            marked: those of which fingerprints are searched as well, since the cold start (`SECRET_OUT`).
            newest: leave output from before the cold start to other tests.
        """
        scanner = _scanner(sought)
        marks = Scanner(fingerprints(marked)) if marked else None
        outputs = [(where, data) for where, data, _ in self._work.outputs(begun=newest)]
        for (where, _), leaks in zip(outputs, _each(lambda each: scanner.scan(each[1]), outputs), strict=True):
            self._judge_kinds(sought, leaks, where)
        # In all that a long run has logged, one number in millions would be a key's word by chance.
        for where, data, log in self._work.outputs(begun=True):
            self._judge_kinds(sought, scanner.alone_in(data) if log else [], f"single words, {where}")
            if marks is not None:
                found = [*marks.scan(data), *(marks.alone_in(data) if log else ())]
                self.judge(self.SECRET_OUT, found, f"fingerprints, {where}")

    def lines(self, samples: Sequence[SampleValues], *, newest: bool = False) -> None:
        """Judge that no line of a log shows these samples; with `newest`, of the lines since the cold start."""
        for where, data, log in self._work.outputs(begun=newest):
            lines = [*samples_in(data, samples), *series_in(data, samples)] if log else []
            seen = b"; ".join(line for _, line in lines[:3]).decode("ascii", "backslashreplace")
            subject = f"lines of {where}"
            self._checks(self.SENSOR_OUT, not lines, expected="no values of a sample", seen=seen, subject=subject)

    def memory(self, sought: Sought) -> None:
        """Judge that no secret is in non-secure memory. Needs ``memory-dump`` and ``memory-map``."""
        scanner, memories = _scanner(sought), list(self._work.memories())
        found = _each(lambda each: scanner.scan(each[1], text=False), memories)
        for (where, _), leaks in zip(memories, found, strict=True):
            self._judge_kinds(sought, leaks, where)

    def files(self, check: Check, sought: Sequence[Secret], folder: Path, *, newest: int) -> int:
        """Judge that no secret stands in the last `newest` bytes of any file of a folder, read as text.

        Returns:
            How many files there are. Links are left out.
        """
        scanner = Scanner(sought)
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
        for path, leaks in zip(files, _each(lambda path: scanner.scan(_end_of(path, newest)), files), strict=True):
            self.judge(check, leaks, str(path.relative_to(folder)))
        return len(files)

    def canaries(self, places: Iterable[tuple[str, bytes]], *, text: bool) -> None:
        """Judge that the search finds made-up secrets, hidden in every notation in a copy of what was searched.

        A search that does not read a notation misses every secret in it. One secret in many may look like something
        else.

        Args:
            places: what was searched: name and bytes.
            text: hide the notations of a text; else the forms in memory.
        """
        seeded = [(where, data, secrets.randbits(32)) for where, data in places]

        def missed_in(each: tuple[str, bytes, int]) -> list[str]:
            _, data, seed = each
            missed = missed_canaries(data, seed=seed, text=text)
            again = missed_canaries(data, seed=seed + 1, text=text) if missed else ()
            return [notation for notation in missed if notation in again]

        for (where, _, seed), missed in zip(seeded, _each(missed_in, seeded), strict=True):
            seen, subject = f"missed: {', '.join(missed)}", f"canaries in {where} (seed {seed})"
            self._checks(self.SCANNER_WORKS, not missed, expected="every notation", seen=seen, subject=subject)

    def _judge_kinds(self, sought: Sought, leaks: Sequence[Leak], where: str) -> None:
        for check, some in sought:
            names = {secret.name for secret in some}
            self.judge(check, [leak for leak in leaks if leak.secret in names], where)


def _each(search: Callable[[T], S], places: Sequence[T]) -> Iterator[S]:
    """What a search finds in each of the places, in their order."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="search") as pool:
        yield from pool.map(search, places)


def _end_of(path: Path, size: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - size))
        return stream.read(size)


def _scanner(sought: Sought) -> Scanner:
    return Scanner([secret for _, some in sought for secret in some])
