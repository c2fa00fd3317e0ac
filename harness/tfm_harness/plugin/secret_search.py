"""Searches for a board's secrets in all that comes out of it, and in its non-secure memory, with the checks on them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

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
        for where, data, _ in self._work.outputs(begun=newest):
            self._judge_kinds(sought, scanner.scan(data), where)
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
        scanner = _scanner(sought)
        for where, data in self._work.memories():
            self._judge_kinds(sought, scanner.scan(data, text=False), where)

    def canaries(self, where: str, data: bytes, *, text: bool) -> None:
        """Judge that the search finds made-up secrets, hidden in every notation in a copy of what was searched.

        A search that does not read a notation misses every secret in it. One secret in many may look like something
        else.

        Args:
            where: name of what was searched.
            data: what was searched.
            text: hide the notations of a text; else the forms in memory.
        """
        seed = secrets.randbits(32)
        missed = missed_canaries(data, seed=seed, text=text)
        if missed:
            again = missed_canaries(data, seed=seed + 1, text=text)
            missed = [notation for notation in missed if notation in again]
        seen, subject = f"missed: {', '.join(missed)}", f"canaries in {where} (seed {seed})"
        self._checks(self.SCANNER_WORKS, not missed, expected="every notation", seen=seen, subject=subject)

    def _judge_kinds(self, sought: Sought, leaks: Sequence[Leak], where: str) -> None:
        for check, some in sought:
            names = {secret.name for secret in some}
            self.judge(check, [leak for leak in leaks if leak.secret in names], where)


def _scanner(sought: Sought) -> Scanner:
    return Scanner([secret for _, some in sought for secret in some])
