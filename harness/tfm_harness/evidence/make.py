"""Makes a bundle with its documents from a run's folder; the command and the option of a run call this."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from tfm_harness.evidence.bundle import Extra, make_bundle
from tfm_harness.evidence.documents import bundle_documents
from tfm_harness.evidence.signers import LibraryEnvelopeSigner
from tfm_harness.report.record import RunRecord

__all__ = ["make_whole_bundle"]


def make_whole_bundle(
    run_dir: Path,
    signers: Sequence[LibraryEnvelopeSigner],
    output: Path,
    *,
    leave_out: Collection[str] = (),
    stamp: Callable[[bytes], bytes] | None = None,
) -> RunRecord:
    """Make and sign a bundle with bill of materials and attestation results.

    Args:
        run_dir: the run's folder.
        signers: who signs; the first one signs attestation results as well.
        output: the bundle's folder.
        leave_out: as for `tfm_harness.evidence.bundle.make_bundle`.
        stamp: as for `tfm_harness.evidence.bundle.make_bundle`.

    Raises:
        HarnessError: as `tfm_harness.evidence.bundle.make_bundle`.
    """
    now = dt.datetime.now(dt.UTC)

    def documents(run: RunRecord, inputs: dict[str, Path]) -> Sequence[Extra]:
        return bundle_documents(run_dir, run, inputs, signers[0], issued=int(now.timestamp()))

    return make_bundle(run_dir, signers, output, leave_out=leave_out, extras=documents, now=now, stamp=stamp)
