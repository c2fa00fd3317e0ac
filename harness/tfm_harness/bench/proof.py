"""Proves that the firmware which answers is the build that was just flashed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tfm_harness.bench.combination import TargetBuild
from tfm_harness.console.base import Console
from tfm_harness.errors import InfrastructureError, ProductError
from tfm_harness.protocol.base import Description, Feature
from tfm_harness.protocol.smp.text import log_tail
from tfm_harness.trust.anchors import Trust

__all__ = ["prove_flash", "spoke_elsewhere"]


@dataclass(frozen=True, slots=True)
class _Measured:
    component: str
    expected: bytes
    said: bytes


def prove_flash(description: Description, trust: Trust, combination: TargetBuild) -> None:
    """Raise an error unless the firmware that answers is the build that was just flashed.

    Raises:
        InfrastructureError: ``wrong-firmware``: another image answers; its results must not count for this build.
    """
    expected = {c.type: c.measurement for c in trust.components(None) if c.type}
    compared = [
        _Measured(name, expected[name], said) for name, said in description.measurements.items() if name in expected
    ]
    if expected and not compared and Feature.IDENTITY in description.features:
        # The firmware claims the feature but gives no measurement: an old image must not pass as the new one.
        compared = [_Measured(name, measurement, b"") for name, measurement in expected.items()]
    wrong = [m for m in compared if m.expected != m.said]
    if wrong:
        raise InfrastructureError(
            f"the firmware that answers on {combination.target.name} is not the build "
            f"{combination.build.name!r} just flashed",
            kind="wrong-firmware",
            expected="; ".join(f"{m.component} {m.expected.hex()}" for m in wrong),
            seen="; ".join(f"{m.component} {m.said.hex() or 'nothing'}" for m in wrong),
            where=str(combination.build.path or combination.build.name),
            hint="check that flashing worked, that this console is the board's, and that the build's images are new",
        )


def spoke_elsewhere(
    error: InfrastructureError, consoles: Mapping[str, Console], talking: Mapping[str, int]
) -> ProductError:
    """The error when only another console than the protocol's spoke: power and flash work, the firmware does not."""
    tails = "\n".join(f"console {name!r}:\n{log_tail(consoles[name], 8)}" for name in talking)
    return ProductError(
        "the firmware booted and spoke, but its protocol's console stayed silent",
        kind="boot-hung",
        expected=error.expected,
        seen=", ".join(f"{count} bytes on {name!r}" for name, count in talking.items()),
        where=tails,
    )
