"""Searches for a board's secrets in all that comes out of it, and in its non-secure memory, with the checks on them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from tfm_harness.coverage import helper_checks
from tfm_harness.files import read_end
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
        self._pool: ThreadPoolExecutor | None = None
        self._begun: list[Callable[[], None]] = []

    @contextmanager
    def beside(self) -> Iterator[None]:
        """In this block the device can work on while what it gave is searched.

        The methods read what is to be searched, and return; their findings are judged when the block ends, also by an
        error.
        """
        if self._pool is not None:  # a block like this one is open
            yield
            return
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="search") as pool:
            self._pool = pool
            try:
                yield
            finally:
                begun, self._begun, self._pool = self._begun, [], None
                with ExitStack() as judged:  # all are judged, also when a search fails
                    for judge in reversed(begun):
                        judged.callback(judge)

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
        fresh = list(self._work.outputs(begun=True))

        # In all that a long run has logged, one number in millions would be a key's word by chance.
        def single(output: tuple[str, bytes, bool]) -> tuple[list[Leak], list[Leak]]:
            _, data, log = output
            marked_here = [] if marks is None else [*marks.scan(data), *(marks.alone_in(data) if log else ())]
            return scanner.alone_in(data) if log else [], marked_here

        def judge(output: tuple[str, bytes, bool], found: tuple[list[Leak], list[Leak]]) -> None:
            alone, marked_here = found
            self._judge_kinds(sought, alone, f"single words, {output[0]}")
            if marks is not None:
                self.judge(self.SECRET_OUT, marked_here, f"fingerprints, {output[0]}")

        with self.beside():
            self._each(
                fresh if newest else list(self._work.outputs()),
                lambda output: scanner.scan(output[1]),
                lambda output, leaks: self._judge_kinds(sought, leaks, output[0]),
            )
            self._each(fresh, single, judge)

    def lines(self, samples: Sequence[SampleValues], *, newest: bool = False) -> None:
        """Judge that no line of a log shows these samples; with `newest`, of the lines since the cold start."""

        def shown(output: tuple[str, bytes, bool]) -> list[tuple[int, bytes]]:
            _, data, log = output
            return [*samples_in(data, samples), *series_in(data, samples)] if log else []

        def judge(output: tuple[str, bytes, bool], lines: list[tuple[int, bytes]]) -> None:
            seen = b"; ".join(line for _, line in lines[:3]).decode("ascii", "backslashreplace")
            subject = f"lines of {output[0]}"
            self._checks(self.SENSOR_OUT, not lines, expected="no values of a sample", seen=seen, subject=subject)

        self._each(list(self._work.outputs(begun=newest)), shown, judge)

    def memory(self, sought: Sought) -> None:
        """Judge that no secret is in non-secure memory. Needs ``memory-dump`` and ``memory-map``."""
        scanner = _scanner(sought)
        self._each(
            list(self._work.memories()),
            lambda memory: scanner.scan(memory[1], text=False),
            lambda memory, leaks: self._judge_kinds(sought, leaks, memory[0]),
        )

    def files(self, check: Check, sought: Sequence[Secret], folder: Path, *, newest: int) -> int:
        """Judge that no secret stands in the last `newest` bytes of any file of a folder, read as text.

        Returns:
            How many files there are. Links are left out.
        """
        scanner = Scanner(sought)
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
        self._each(
            sorted(files, key=lambda path: -path.stat().st_size),  # the longest search begins first
            lambda path: scanner.scan(read_end(path, newest)),
            lambda path, leaks: self.judge(check, leaks, str(path.relative_to(folder))),
        )
        return len(files)

    def canaries(self, places: Iterable[tuple[str, bytes]], *, text: bool) -> None:
        """Judge that the search finds made-up secrets, hidden in every notation in a copy of what was searched.

        A search that does not read a notation misses every secret in it. One secret in many may look like something
        else.

        Args:
            places: what was searched: name and bytes.
            text: hide the notations of a text; else the forms in memory.
        """
        seed = secrets.randbits(32)

        def missed_in(data: bytes) -> list[str]:
            missed = missed_canaries(data, seed=seed, text=text)
            again = missed_canaries(data, seed=seed + 1, text=text) if missed else ()
            return [notation for notation in missed if notation in again]

        def judge(places: Sequence[tuple[str, bytes]], missed: Sequence[list[str]]) -> None:
            for (where, _), here in zip(places, missed, strict=True):
                seen, subject = f"missed: {', '.join(here)}", f"canaries in {where} (seed {seed})"
                self._checks(self.SCANNER_WORKS, not here, expected="every notation", seen=seen, subject=subject)

        # One after the other: many small steps of Python are slower in two threads than in one.
        self._each([list(places)], lambda some: [missed_in(data) for _, data in some], judge)

    def _each(self, places: Sequence[T], search: Callable[[T], S], judge: Callable[[T, S], None]) -> None:
        """Search these places, and judge what is found in each, in their order."""
        with self.beside():
            assert self._pool is not None  # noqa: S101 - the block has opened it
            for place in places:
                self._begun.append(partial(_judge, self._pool.submit(search, place), partial(judge, place)))

    def _judge_kinds(self, sought: Sought, leaks: Sequence[Leak], where: str) -> None:
        for check, some in sought:
            names = {secret.name for secret in some}
            self.judge(check, [leak for leak in leaks if leak.secret in names], where)


def _judge(found: Future[S], judge: Callable[[S], None]) -> None:
    judge(found.result())


def _scanner(sought: Sought) -> Scanner:
    return _scanner_for(tuple(secret for _, some in sought for secret in some))


@lru_cache(maxsize=2)
def _scanner_for(secrets: tuple[Secret, ...]) -> Scanner:
    """One scanner for outputs and memory, in which the same secrets are looked for."""
    return Scanner(secrets)
