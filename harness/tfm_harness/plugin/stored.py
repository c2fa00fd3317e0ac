"""The run in the store of all runs, when that is asked for."""

from __future__ import annotations

from pathlib import Path

from tfm_harness.files import resolved
from tfm_harness.report.harmless import Harmless
from tfm_harness.report.record import RunRecord

__all__ = ["RunKeeper"]


class RunKeeper:
    """Keeps the run's record at its end; that the store can be used is seen before any board is touched.

    Args:
        url: the option's value: a path or URL, or empty for no store.

    Raises:
        ConfigError: kind ``store-url``.
        InfrastructureError: kind ``store-failed``.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        if url:
            from tfm_harness.history.database import Database

            Database(url).close()

    def keep(self, run: Harmless[RunRecord], run_dir: Path) -> None:
        """Keep the record.

        Raises:
            InfrastructureError: kind ``store-failed``.
        """
        if self._url:
            from tfm_harness.history.database import Database
            from tfm_harness.history.keep import keep_run

            with Database(self._url) as database:
                keep_run(database, run.record, folder=str(resolved(run_dir)))
