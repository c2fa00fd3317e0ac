"""What a wheel carries beside the package: suites, targets, builds, documentation.

An editable install uses the checkout's.
The reference firmware goes in with its images where they have been built (`make wheel` builds them), so that the first
command of a user who has only pip and QEMU works.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PATTERNS = (
    "suites/**/*",
    "targets/*.yaml",
    "targets/**/*.md",
    "docs/*.md",
    "docs/*.cddl",
    "docs/boards/*",
    "docs/examples/**/*",
    "docs/pictures/*",
    "docs/schemas/*.json",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "LICENSE",
    "fw_builds/*/build.yaml",
    "fw_builds/*/README.md",
    "fw_builds/reference/keys/*",
    "fw_builds/reference/models/*.tflite",
    "fw_builds/reference/models/README.md",
)
IMAGES = ("secure.elf", "nonsecure.signed.bin", "tamper.signed.bin", "sine.signed.bin", "keyword.signed.bin")
"""Of ``fw_builds/reference/out``: what its ``build.yaml`` names."""


class BundleHook(BuildHookInterface):  # type: ignore[type-arg] # hatchling's generic has no use here
    """Adds what lies outside the package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is built; `version` is ``standard`` or ``editable``."""
        if version == "standard":
            root = Path(self.root)
            for path in _files(root):
                build_data["force_include"][str(path)] = f"tfm_harness/_bundled/{path.relative_to(root)}"


def _files(root: Path) -> Iterator[Path]:
    for pattern in PATTERNS:
        yield from (path for path in sorted(root.glob(pattern)) if path.is_file() and "__pycache__" not in path.parts)
    firmware = root / "fw_builds" / "reference"
    images = [firmware / "out" / name for name in IMAGES]
    if all(image.is_file() for image in images):
        yield from images
        # The secure image holds BearSSL (MIT licence), whose text must go along.
        licence = firmware / "build" / "bearssl" / "LICENSE.txt"
        if licence.is_file():
            yield licence
