"""Software components of a token against the images that were flashed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfm_harness.verify.cbor import CborValue
from tfm_harness.verify.checks import attestation as check
from tfm_harness.verify.judge import Judge

__all__ = ["ExpectedComponent", "SoftwareComponent", "check_components", "parse_components"]


@dataclass(frozen=True, slots=True)
class SoftwareComponent:
    """One software component of a token (RFC 9783 s.4.4.1); absent members are None."""

    type: str | None
    measurement: bytes | None
    version: str | None
    signer_id: bytes | None
    description: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedComponent:
    """What one flashed image must look like in the token.

    Attributes:
        type: measurement type, ``SPE`` for instance; None when the firmware names none.
        measurement: hash of the image, 32, 48 or 64 bytes.
        signer_ids: accepted hashes of the signing key; empty: not compared.
        version: ``major.minor.revision``; None: not compared.
        name: the image's name, for people.
    """

    type: str | None
    measurement: bytes
    signer_ids: frozenset[bytes] = frozenset()
    version: str | None = None
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.type or self.measurement.hex()[:16]


def parse_components(value: CborValue) -> tuple[SoftwareComponent, ...]:
    """The components of a software components claim; members of a wrong type count as absent."""
    if not isinstance(value, list):
        return ()
    found = []
    for item in value:
        if isinstance(item, dict):
            kind, measurement, version, signer, description = (item.get(key) for key in (1, 2, 4, 5, 6))
            found.append(
                SoftwareComponent(
                    kind if isinstance(kind, str) else None,
                    measurement if isinstance(measurement, bytes) else None,
                    version if isinstance(version, str) else None,
                    signer if isinstance(signer, bytes) else None,
                    description if isinstance(description, str) else None,
                )
            )
    return tuple(found)


def check_components(seen: Sequence[SoftwareComponent], expected: Sequence[ExpectedComponent], judge: Judge) -> None:
    """Compare each flashed image with its component, by type, or by measurement where there is no type."""
    left = list(seen)
    missing: list[str] = []
    pairs: list[tuple[ExpectedComponent, SoftwareComponent]] = []
    for wanted in expected:
        match = next((c for c in left if wanted.type is not None and c.type == wanted.type), None)
        if match is None:
            match = next(
                (c for c in left if c.measurement == wanted.measurement and not (c.type and wanted.type)), None
            )
        if match is None:
            missing.append(str(wanted))
        else:
            left.remove(match)
            pairs.append((wanted, match))
    names = ", ".join(map(str, expected)) or "none"
    judge.judge(check.COMPONENT_MISSING, not missing, expected=names, seen=f"without {', '.join(missing)}")
    extra = ", ".join(f"{c.type or '(no type)'} {(c.measurement or b'').hex()[:16]}" for c in left)
    judge.judge(check.COMPONENT_EXTRA, not left, expected=names, seen=f"also {extra}"[:300])
    measurements, signers, versions = [], [], []
    for wanted, found in pairs:
        if found.measurement != wanted.measurement:
            measurements.append((wanted, wanted.measurement.hex(), _hex(found.measurement)))
        if wanted.signer_ids and found.signer_id not in wanted.signer_ids:
            signers.append((wanted, " or ".join(sorted(s.hex() for s in wanted.signer_ids)), _hex(found.signer_id)))
        if wanted.version is not None and found.version != wanted.version:
            versions.append((wanted, wanted.version, str(found.version)))
    for which, problems in (
        (check.COMPONENT_MEASUREMENT, measurements),
        (check.COMPONENT_SIGNER, signers),
        (check.COMPONENT_VERSION, versions),
    ):
        judge.judge(
            which,
            not problems,
            expected="; ".join(f"{w}: {e}" for w, e, _ in problems),
            seen="; ".join(f"{w}: {s}" for w, _, s in problems),
        )


def _hex(value: bytes | None) -> str:
    return "absent" if value is None else value.hex()
