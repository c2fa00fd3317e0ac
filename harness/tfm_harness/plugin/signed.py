"""A run that signs its own evidence when it has ended (``--tfm-evidence``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["RunSigner"]


class RunSigner:
    """Signs once, at the end; the key is looked at before any board is touched.

    Args:
        name: the option's value: a key's file or URI, ``throwaway``, or empty for no bundle.

    Raises:
        ConfigError: kinds ``evidence-key`` and ``evidence-extra``.
    """

    def __init__(self, name: str) -> None:
        self._signer = None
        self._bundle: Path | None = None
        self._public: Path | None = None
        if name:
            from tfm_harness.evidence.signers import signer_of_run

            self._signer = signer_of_run(name)

    def sign(self, run_dir: Path) -> None:
        """Make the bundle beside the run's folder.

        Raises:
            HarnessError: as `tfm_harness.evidence.bundle.make_bundle`.
        """
        if self._signer is None:
            return
        from tfm_harness.evidence.bundle import write_public_key
        from tfm_harness.evidence.make import make_whole_bundle

        signer, public = self._signer
        bundle = run_dir.with_name(run_dir.name + ".evidence")
        make_whole_bundle(run_dir, [signer], bundle)
        self._bundle = bundle
        if public is not None:
            self._public = write_public_key(bundle, public)

    def lines(self) -> Iterator[str]:
        """What to tell the user."""
        if self._bundle is None:
            return
        yield f"evidence: {_shown(self._bundle)}"
        if self._public is not None:
            yield "signed with a throw-away key: it shows that nothing changed since, and not who signed"
            yield f"verify it: tfm-harness evidence verify {_shown(self._bundle)} --key {_shown(self._public)}"


def _shown(path: Path) -> Path:
    """A path as short as it can be opened from here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
