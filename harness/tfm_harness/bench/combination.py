"""A combination: one target with one build. It is loaded and matched before any board is touched."""

from __future__ import annotations

from dataclasses import dataclass

from tfm_harness.boards.base import Identity
from tfm_harness.boards.pool import members_of
from tfm_harness.config.build import Build
from tfm_harness.config.loading import check_combination, load_build, load_target
from tfm_harness.config.target import TargetBase
from tfm_harness.errors import HarnessError
from tfm_harness.findings import Policy
from tfm_harness.trust.anchors import Trust

__all__ = ["TargetBuild", "load_combination"]


@dataclass(frozen=True, slots=True)
class TargetBuild:
    """One target with one build.

    Attributes:
        target: the description of the board; for a pool, of its first member.
        build: the build that runs on it.
        policy: the policy for its findings.
        members: the targets of the boards that may be used; all are equivalent.
        pool: the pool's name; empty: the target's name is used.
    """

    target: TargetBase
    build: Build
    policy: Policy
    members: tuple[TargetBase, ...] = ()
    pool: str = ""

    @property
    def name(self) -> str:
        """The name in test ids: ``qemu-an547+reference``."""
        return f"{self.pool or self.target.name}+{self.build.name}"

    def build_summary(self) -> str:
        """The build in one line, for the header."""
        models = ", ".join(self.build.models) or "no models"
        identity = "".join(f", {name} {digest}" for name, digest in self.identity().items())
        return f"build {self.build.name}{identity}, protocol {self.build.protocol}, {models}; policy {self.policy}"

    def identity(self) -> dict[str, str]:
        """The firmware's identity from its files: the first digits of each component's measurement."""
        try:
            components = Trust(self.build, Identity(self.target.name)).components(None)
        except (HarnessError, OSError):
            return {}  # the header does not judge files
        return {component.type: component.measurement.hex()[:12] for component in components if component.type}


def load_combination(target: str, build: str, *, require_keys: bool = True) -> TargetBuild:
    """A target and a build by name or file, for commands that use one board.

    `require_keys`: whether the files of trusted keys must be there.

    Raises:
        ConfigError: a file is wrong, or the build cannot run on the target.
    """
    loaded, firmware = load_target(target), load_build(build, require_keys=require_keys)
    check_combination(loaded, firmware)
    return TargetBuild(loaded, firmware, firmware.policy or Policy.VALIDATION, members_of([loaded]))
